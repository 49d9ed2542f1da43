"""What the control process does all the time, whatever is decided: heartbeat, run directory, readiness.

Responsible for: telling the workers that this process lives, saying once that they serve a revision, keeping the run
directory whole, and asking targets whether they are ready.
Does not know: how a revision comes about.

Rules: the run directory is written under the lock of changes, so that it never gets an older revision back.
"""

import asyncio
import time
from collections.abc import Callable
from logging import DEBUG, INFO, getLogger
from typing import Final

from router.control.ask import Asker
from router.control.probe import Prober
from router.control.seat import Seat
from router.control.tick import CAUSE
from router.counters import CONTROL_HEARTBEAT, DRAINING
from router.events.model import Revision
from router.segment import reset_left_gauges

log = getLogger(__name__)

TICK_S: Final = 0.1
RETENTION_S: Final = 60.0


class Upkeep:
    """Does what is always to be done."""

    def __init__(self, seat: Seat, change: asyncio.Lock, revision: Callable[[], Revision]) -> None:
        """Begin with nothing announced.

        Args:
            seat: What the supervisor gave.
            change: The lock of changes.
            revision: Returns the present revision.
        """
        # Per process
        self._seat = seat
        self._change = change
        self._revision = revision
        self._announced = 0

    async def beat(self, places: str) -> None:
        """Tell the workers that this process lives, and people what the workers serve, until cancelled.

        Args:
            places: Where the router can be reached, for the line that says it is ready.
        """
        ready = False
        words, publisher = self._seat.segment.words, self._seat.publisher
        while True:
            words[CONTROL_HEARTBEAT] = time.monotonic_ns()
            done, workers, revision = publisher.acknowledged(), publisher.workers, self._revision()
            if done == workers and self._announced != revision.number:
                self._announced = revision.number
                level = DEBUG if revision.cause == CAUSE else INFO
                log.log(level, "revision %d acknowledged by %d of %d workers", revision.number, done, workers)
                if not ready and not words[DRAINING]:
                    log.info("ready %s", places)
                ready = True
            await asyncio.sleep(TICK_S)

    async def probe(self) -> None:
        """Ask targets whether they are ready, until cancelled."""
        segment = self._seat.segment
        async with Asker() as asker:
            await Prober(segment.block(segment.workers), asker.ask).run(self._revision)

    async def retain(self) -> None:
        """Keep the run directory whole, and gauges of what is gone at nothing, until cancelled."""
        while True:
            await self._refresh()
            reset_left_gauges(self._seat.segment, self._revision().slots)
            await asyncio.sleep(RETENTION_S)

    async def _refresh(self) -> None:
        async with self._change:
            try:
                if self._seat.publisher.refresh(self._revision()):
                    log.warning("the run directory had lost the revision; it is there again")
            except OSError as error:
                log.error("the run directory cannot hold the revision: %s", error)  # noqa: TRY400 - the reason is in the text
