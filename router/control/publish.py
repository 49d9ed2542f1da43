"""A revision on its way to the workers, and their acknowledgements.

Responsible for: the file that workers read, the word that tells them to, and what they answered.
Does not know: what is in a revision, or why there is a new one.

Rules: the file is replaced before the word changes, so a worker that sees the number finds at least that revision.
"""

import os
from pathlib import Path

import msgspec

from router.counters import ACKNOWLEDGED, PID, PUBLISHED, SEATS
from router.events.model import Revision
from router.segment import Segment

FILE = "revision.msgpack"


class Publisher:
    """Hands revisions to the workers of one segment."""

    def __init__(self, run_dir: Path, segment: Segment) -> None:
        # Per process
        self._file = run_dir / FILE
        self._next = self._file.with_suffix(".next")
        self._segment = segment

    @property
    def workers(self) -> int:
        """Return how many workers there are."""
        return self._segment.workers

    @property
    def number(self) -> int:
        """Return the number of the revision that the workers were told of last; 0 before the first."""
        return int(self._segment.words[PUBLISHED])

    def prepare(self, revision: Revision) -> None:
        """Write a revision down beside the present one, so that publishing it cannot fail for want of space.

        Raises:
            OSError: If the file cannot be written; the workers keep what they have.
        """
        data = msgspec.msgpack.encode(revision)
        try:
            self._next.write_bytes(data)
        except FileNotFoundError:  # what cleans temporary folders was quicker than `refresh`
            self._file.parent.mkdir(mode=0o700, exist_ok=True)
            self._next.write_bytes(data)

    def publish(self, revision: Revision) -> None:
        """Hand the prepared revision to the workers."""
        os.replace(self._next, self._file)  # noqa: PTH105 - the name of the system call says what is relied on
        self._segment.words[PUBLISHED] = revision.number

    def refresh(self, revision: Revision) -> bool:
        """Keep the file from being taken for rubbish: what cleans temporary folders goes by age.

        Returns:
            Whether it had gone, and was made again; a worker that starts needs it.
        """
        try:
            os.utime(self._file)
            os.utime(self._file.parent)
        except FileNotFoundError:
            self.prepare(revision)
            self.publish(revision)
            return True
        return False

    def read(self) -> Revision | None:
        """Return the revision that the workers were told of last, also by a predecessor of this process."""
        if self.number == 0:
            return None
        return msgspec.msgpack.decode(self._file.read_bytes(), type=Revision)

    def reached(self, number: int) -> bool:
        """Say whether every worker, and every one that still drains, serves a revision or a later one."""
        segment = self._segment
        seats = set(segment.words[SEATS : SEATS + self.workers].tolist())
        return all(
            block[ACKNOWLEDGED] >= number or (index not in seats and not (block[PID] and block[ACKNOWLEDGED]))
            for index, block in enumerate(segment.blocks)
        )

    def acknowledged(self) -> int:
        """Count the workers that serve the revision published last.

        A worker that drains after its successor has begun is a part of it: both must serve the revision.
        """
        segment, number = self._segment, self.number
        seats = segment.words[SEATS : SEATS + self.workers].tolist()
        done = sum(segment.blocks[seat][ACKNOWLEDGED] == number for seat in seats)
        leaving = (block for index, block in enumerate(segment.blocks) if index not in seats and block[PID])
        behind = sum(block[ACKNOWLEDGED] not in (0, number) for block in leaving)
        return max(0, done - behind)
