"""The decision log as the control process uses it: in order, off the loop, with an alarm instead of an error.

Responsible for: numbering decisions, writing them down one after another, trying again, finding them again.
Does not know: what a decision means, the form of a line (``router.events.decisions``).

Rules: nobody waits for a disk: ``record`` only puts a decision into memory, where it can be asked for at once, and one
task writes. What could not be written stays and is tried again; of more than ``WAITING`` the oldest go, counted. The
newest ``REMEMBERED`` are in memory; older ones are read from the disk when somebody asks.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from logging import getLogger
from pathlib import Path
from typing import Final, Protocol

import msgspec

from router.events.decisions import DecisionFile, Wanted, newest, number_of, numbered, read_decisions
from router.events.rollout import Decided

log = getLogger(__name__)

WAITING: Final = 1000
REMEMBERED: Final = 1000
_AGAIN_S: Final = 2.0
_PATIENCE_S: Final = 2.0  # at the end of the process


class Appends(Protocol):
    """Where decisions are written down."""

    def append(self, entries: Iterable[Decided]) -> None:
        """Write them down; they are on the disk when this returns.

        Raises:
            OSError: If they are not.
        """


class Decisions:
    """What was decided on releases, and the one task that writes it down.

    Attributes:
        failed: Whether the last attempt to write failed.
        dropped: Decisions that were never written, because too many waited.
        unsound: Lines of the log that are no decisions.
        last: Number of the newest decision; 0 before the first.
    """

    def __init__(self, folder: Path, file: Appends | None = None) -> None:
        """Name the folder of the journal; nothing is read yet.

        Args:
            folder: The folder.
            file: What writes, in tests.
        """
        # Per process
        self.failed = False
        self.dropped = 0
        self.unsound = 0
        self.last = 0
        self._folder = folder
        self._file: Appends = DecisionFile(folder) if file is None else file
        self._recent: deque[Decided] = deque(maxlen=REMEMBERED)
        self._waiting: deque[Decided] = deque()
        self._writer: asyncio.Task[None] | None = None
        self._more = asyncio.Event()

    async def begin(self) -> None:
        """Read what was decided before this start; what cannot be read is said and passed over."""
        try:
            found, self.unsound = await asyncio.to_thread(read_decisions, self._folder)
        except OSError as error:
            log.warning("the decision log begins anew, it cannot be read: %s", error)
            return
        if self.unsound:
            log.warning("the decision log: %d lines are no decisions, and are passed over", self.unsound)
        self._recent.extendleft(reversed(found[-REMEMBERED:]))
        self.last = max(self.last, number_of(found[-1].id) if found else 0)

    def record(self, decided: Decided, revision: int) -> Decided:
        """Take a decision; it is written soon.

        Args:
            decided: What was decided; its ``id`` and ``revision`` do not matter.
            revision: Number of the revision that it was decided in.

        Returns:
            The decision with its id.
        """
        self.last += 1
        entry = numbered(decided, self.last, revision)
        self._recent.append(entry)
        self._waiting.append(entry)
        if len(self._waiting) > WAITING:
            self._waiting.popleft()
            self.dropped += 1
        self._more.set()
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        return entry

    async def find(self, wanted: Wanted) -> tuple[Decided, ...]:
        """Return decisions, the newest first.

        Raises:
            OSError: If older ones are wanted and cannot be read.
        """
        found = newest(self._recent, wanted)
        oldest = number_of(self._recent[0].id) if self._recent else 1
        if len(found) >= wanted.limit or oldest <= 1:
            return found
        earlier = msgspec.structs.replace(
            wanted, before=min(oldest, wanted.before or oldest), limit=wanted.limit - len(found)
        )
        return found + await asyncio.to_thread(_read, self._folder, earlier)

    def after(self, number: int) -> tuple[Decided, ...]:
        """Return the decisions in memory with higher numbers, the oldest first."""
        return tuple(decided for decided in self._recent if number_of(decided.id) > number)

    @property
    def written(self) -> bool:
        """Return whether everything is on the disk."""
        return not self._waiting

    async def close(self) -> None:
        """Write what waits, if the disk can take it now, and stop."""
        if self._writer is not None:
            if not self.failed:
                await asyncio.wait((self._writer,), timeout=_PATIENCE_S)
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)

    async def _write(self) -> None:
        while self._waiting:
            batch = tuple(self._waiting)
            self._more.clear()
            try:
                await asyncio.to_thread(self._file.append, batch)
            except OSError as error:
                if not self.failed:
                    log.error("decisions cannot be written down, and are tried again: %s", error)  # noqa: TRY400 - the reason is in the text
                self.failed = True
                await self._pause()
            else:
                self.failed = False
                done = number_of(batch[-1].id)
                while self._waiting and number_of(self._waiting[0].id) <= done:
                    self._waiting.popleft()

    async def _pause(self) -> None:
        """Wait a moment, or until there is more to write."""
        try:
            async with asyncio.timeout(_AGAIN_S):
                await self._more.wait()
        except TimeoutError:
            return


def _read(folder: Path, wanted: Wanted) -> tuple[Decided, ...]:
    return newest(read_decisions(folder)[0], wanted)
