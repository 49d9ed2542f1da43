"""The journal as the control process uses it: in order, off the loop, with an alarm instead of an error.

Responsible for: writing decisions down one after another, saying whether one is on the disk, trying again.
Does not know: what a decision means, how it is written (``router.events.journal``).

Rules: nobody waits longer for a disk than they said. What could not be written stays, and is tried again until it is;
of more than ``_WAITING`` the oldest go, since each entry holds a whole state. The alarm is on while anything waits.
"""

import asyncio
from collections import deque
from logging import getLogger
from typing import Final, Protocol

from router.counters import JOURNAL_FAILED
from router.events.model import Revised
from router.segment import Segment

log = getLogger(__name__)

_WAITING: Final = 100
_AGAIN_S: Final = 2.0


class Journal(Protocol):
    """Where decisions are written down."""

    def append(self, entry: Revised) -> None:
        """Write one down; it is on the disk when this returns.

        Raises:
            OSError: If it is not.
        """

    def earlier(self, number: int) -> Revised | None:
        """Return the entry of a revision that is older than those that a start replays; None when it is not kept."""


class Ledger:
    """What is to be written down, and the one task that writes."""

    def __init__(self, journal: Journal, segment: Segment) -> None:
        # Per process
        self._journal = journal
        self._segment = segment
        self._waiting: deque[tuple[Revised, asyncio.Future[bool]]] = deque()
        self._writer: asyncio.Task[None] | None = None
        self._more = asyncio.Event()

    async def write(self, entry: Revised, patience_s: float) -> bool:
        """Write an entry behind those that wait.

        Args:
            entry: What was decided.
            patience_s: How long to wait for the disk.

        Returns:
            Whether it is on the disk; if not, the alarm is on and it is tried again.
        """
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, written))
        if len(self._waiting) > _WAITING:
            self._waiting.popleft()[1].cancel()
        self._more.set()
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        done, _ = await asyncio.wait((written,), timeout=patience_s)
        if not done:
            self._alarm(entry, f"the disk takes longer than {patience_s:g} s")
        return bool(done) and not written.cancelled() and written.result()

    def earlier(self, number: int) -> Revised | None:
        """Return the entry of an older revision; None when it is not kept."""
        return self._journal.earlier(number)

    async def close(self) -> None:
        """Stop trying."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)

    async def _write(self) -> None:
        while self._waiting:
            entry, written = self._waiting[0]
            self._more.clear()
            try:
                await asyncio.to_thread(self._journal.append, entry)
            except OSError as error:
                self._alarm(entry, str(error))
                for _, waiter in self._waiting:
                    self._tell(waiter, done=False)
                await self._pause()
            else:
                if self._waiting and self._waiting[0][0] is entry:
                    self._waiting.popleft()
                self._tell(written, done=True)
        self._segment.words[JOURNAL_FAILED] = 0

    async def _pause(self) -> None:
        """Wait a moment, or until there is more to write."""
        try:
            async with asyncio.timeout(_AGAIN_S):
                await self._more.wait()
        except TimeoutError:
            return

    @staticmethod
    def _tell(written: asyncio.Future[bool], *, done: bool) -> None:
        if not written.done():
            written.set_result(done)

    def _alarm(self, entry: Revised, reason: str) -> None:
        if not self._segment.words[JOURNAL_FAILED]:
            log.error("revision %d could not be written to the journal, and is tried again: %s", entry.number, reason)
        self._segment.words[JOURNAL_FAILED] = 1
