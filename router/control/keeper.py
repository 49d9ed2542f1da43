"""The upkeep of the event log in the background: sealing, merging, retention, and the sinks.

Responsible for: the one thread that does it, at low priority, how often, which segments are still written to, and that
there is a courier for each sink of the configuration.
Does not know: what is done in a round (``router.archive.upkeep``), how events reach a sink (``archive.courier``).

Rules: the loop only waits. The thread has a lower priority than everything else of the router, and DuckDB works in it
and in no other. At the end a round is interrupted; it is safe to interrupt anywhere.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from router.archive.courier import Couriers, Sent
from router.archive.upkeep import Tally, Upkeep
from router.config.schema import Events
from router.counters import PID
from router.events import keep
from router.segment import Segment

_STOP_S: Final = 1.0  # for a sink to end with this process
_LOOK_S: Final = 1.0  # at the configuration, and the least between rounds
_MOST_S: Final = 60.0  # between rounds
_SURELY_S: Final = 60.0
_NICE: Final = 10  # of 19; the CPU that requests leave


class Keeper:
    """Runs rounds, and the sinks, until cancelled.

    Attributes:
        tally: What was done; all zero before the first round.
    """

    def __init__(self, segment: Segment) -> None:
        # Per process
        self.tally = Tally()
        self._segment = segment
        self._couriers: Couriers | None = None

    def sinks(self) -> dict[str, Sent]:
        """Return what each sink has done."""
        return {} if self._couriers is None else self._couriers.done()

    async def run(self, events: Callable[[], Events]) -> None:
        """Do a round about as often as a segment is closed.

        Args:
            events: What to keep, at present. The folder never changes.
        """
        folder = Path(events().dir)
        upkeep, couriers = Upkeep(folder), Couriers(folder)
        self.tally, self._couriers = upkeep.tally, couriers
        thread = ThreadPoolExecutor(1, "upkeep", initializer=_lower_priority)
        loop = asyncio.get_running_loop()
        due = 0.0
        try:
            while True:
                await asyncio.to_thread(couriers.follow, events().sinks)
                if time.monotonic() >= due:
                    await loop.run_in_executor(thread, self._round, upkeep, couriers, events())
                    due = time.monotonic() + min(events().rotate.age, _MOST_S)
                await asyncio.sleep(_LOOK_S)
                due = min(due, time.monotonic() + events().rotate.age)
        finally:
            upkeep.stop()
            thread.shutdown(wait=False, cancel_futures=True)
            await asyncio.shield(asyncio.to_thread(couriers.stop, _STOP_S))

    def _round(self, upkeep: Upkeep, couriers: Couriers, events: Events) -> None:
        now = time.time()
        pids = {int(block[PID]) for block in self._segment.blocks}
        # A worker closes a segment at its age, and makes no other until there is something to write.
        closed_before = now - 2 * events.rotate.age - _SURELY_S
        found = keep.stored(Path(events.dir), pids)
        growing = {one.path for one in found if one.growing and one.modified >= closed_before}
        upkeep.round(events, growing, couriers, now)


def _lower_priority() -> None:
    """Lower the priority of this thread; Linux has one for each."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
