"""The files of the event log: their names, and writing whole lines to the newest one.

Responsible for: naming and opening segments, appending batches, closing by size and age, syncing, and leaving no half
line behind when a write fails part of the way.
Does not know: what a line says, threads, retention.

Rules: a segment is made by one process and never opened for writing again; a process that starts makes its own. A
failed write loses the lines that did not fit and no others, and says how many; it never raises.
"""

import logging
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from router.config.schema import Rotate

SUFFIX: Final = ".ndjson"
_NAME: Final = re.compile(r"exchange-(\d{8}T\d{6}Z)-w(\d+)-(\d+)-(\d+)\.ndjson")

logger = logging.getLogger(__name__)


class SegmentName(NamedTuple):
    """What the name of a segment says; sorts by start.

    Attributes:
        started: When it was opened, as ``20261122T080000Z``.
        worker: Index of the worker that writes it.
        pid: Process that writes it.
        sequence: Counts up within the process.
    """

    started: str
    worker: int
    pid: int
    sequence: int

    def __str__(self) -> str:
        return f"exchange-{self.started}-w{self.worker}-{self.pid}-{self.sequence:06d}{SUFFIX}"


def parse_name(name: str) -> SegmentName | None:
    """Return what a file name says, or None when it is not a segment's."""
    match = _NAME.fullmatch(name)
    return SegmentName(match[1], int(match[2]), int(match[3]), int(match[4])) if match else None


def find_segments(folder: Path) -> list[Path]:
    """List the segments in a folder, oldest first; none when there is no such folder."""
    try:
        paths = list(folder.iterdir())
    except FileNotFoundError:
        return []
    named = [(name, path) for path in paths if (name := parse_name(path.name))]
    return [path for _, path in sorted(named)]


def create_file(path: Path) -> int:
    """Create a file that must not exist yet; return a descriptor that appends."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o640)


class SegmentWriter:
    """Appends lines to one worker's newest segment. Used by one thread.

    Attributes:
        path: The open segment; None between segments.
        failure: Why the last write failed; None when it did not.
    """

    __slots__ = ("_create", "_dirty", "_fd", "_folder", "_opened", "_sequence", "_size", "_worker", "failure", "path")

    def __init__(self, folder: Path, worker: int, create: Callable[[Path], int] = create_file) -> None:
        """Begin without a file; the first write opens one.

        Args:
            folder: Where segments go; made when missing.
            worker: Index of the worker, part of the name.
            create: Opens a new file for appending, or raises OSError.
        """
        self.path: Path | None = None
        self.failure: OSError | None = None
        self._folder = folder
        self._worker = worker
        self._create = create
        self._fd = -1
        self._size = 0
        self._opened = 0.0
        self._dirty = False
        self._sequence = 0

    @property
    def dirty(self) -> bool:
        """Whether something was written since the last sync."""
        return self._dirty

    @property
    def opened(self) -> float | None:
        """When the open segment was opened, on the caller's clock; None without one."""
        return self._opened if self._fd >= 0 else None

    def write(self, batch: bytearray, now: float) -> int:
        """Append lines, each ended by a newline; return how many of them were lost.

        Args:
            batch: Whole lines.
            now: Monotonic seconds, the age of a new segment counts from them.
        """
        written = 0
        try:
            if self._fd >= 0 and self._gone():
                self.close()
            if self._fd < 0:
                self._open(now)
            with memoryview(batch) as view:
                while written < len(view):
                    written += os.write(self._fd, view[written:])
        except OSError as error:
            self.failure = error
        else:
            self.failure = None
        kept = written if written == len(batch) else batch.rfind(b"\n", 0, written) + 1
        self._size += kept
        self._dirty = self._dirty or kept > 0
        if kept < written:
            self._cut()
        return batch.count(b"\n", kept)

    def rotate(self, now: float, rotate: Rotate) -> None:
        """Close the open segment if it is large or old enough; the next write opens another."""
        if self._fd >= 0 and (self._size >= rotate.size or now - self._opened >= rotate.age):
            self.close()

    def sync(self) -> None:
        """Make what was written survive a power cut; a failure ends the segment, as its content is in doubt then."""
        if not self._dirty:
            return
        self._dirty = False
        try:
            os.fsync(self._fd)
        except OSError as error:
            logger.error("events: cannot sync %s: %s", self.path, error)  # noqa: TRY400 - the cause is all there is
            self.close()

    def close(self) -> None:
        """Sync and close the open segment; remove it if it stayed empty."""
        self.sync()
        if self._fd < 0:
            return
        fd, path, self._fd, self.path = self._fd, self.path, -1, None
        try:
            os.close(fd)
            if path is not None and self._size == 0:
                path.unlink(missing_ok=True)
        except OSError as error:
            logger.error("events: cannot close %s: %s", path, error)  # noqa: TRY400 - the cause is all there is

    def _open(self, now: float) -> None:
        self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        started = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        while self._fd < 0:
            self._sequence += 1
            path = self._folder / str(SegmentName(started, self._worker, os.getpid(), self._sequence))
            try:
                self._fd = self._create(path)
            except FileExistsError:  # a process of the same number, within this second
                continue
            self.path = path
        self._size = 0
        self._opened = now

    def _gone(self) -> bool:
        """Return whether the segment was deleted meanwhile; nobody would ever read what is written to it then.

        Somebody may have done so by hand, or taken it for one of a process that has ended: clocks that jump, as after a
        machine slept, make a segment look old.
        """
        # Some file systems have no links to count, so the name is asked as well.
        return os.fstat(self._fd).st_nlink == 0 and self.path is not None and not self.path.exists()

    def _cut(self) -> None:
        """Remove a half line, or else end the segment with it: readers tolerate one as the last."""
        try:
            os.ftruncate(self._fd, self._size)
        except OSError as error:
            logger.error("events: cannot cut %s: %s", self.path, error)  # noqa: TRY400 - the cause is all there is
            self.close()
