"""The live fold: now and then, what the event log says of the experiments.

Responsible for: when to look, in a thread that yields to everything else, keeping the last answer, and why there is
none.
Does not know: what is measured (``router.control.measure``), what follows from it.

Rules: the loop never waits for a fold. What one cost decides when the next may begin, so that over time they take at
most ``SHARE`` of a core, however large the log. Nothing is measured while nothing happens. Whatever goes wrong is said
once and tried again; the last answer stays, and its age is a metric.
"""

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from logging import getLogger
from typing import Final

from router.control.counted import Counted
from router.control.measure import NotInstalledError, Question, Snapshot, Stop, StoppedError, measure

log = getLogger(__name__)

SHARE: Final = 0.1
FIRST_S: Final = 1.0  # after the start, which has other work to do
LEAST_S: Final = 30.0  # between two folds, however cheap
IDLE_S: Final = 600.0  # between two folds while nothing happens: outcome windows end all the same
ENDING_S: Final = 2.0  # what a query may take to end when the process does
NICE: Final = 10

Measure = Callable[[Question, Stop], Snapshot]


def pause_s(spent_s: float) -> float:
    """Return how long to rest after a fold, so that folds take at most ``SHARE`` of a core.

    Args:
        spent_s: What it took, in seconds of one core.
    """
    return max(LEAST_S, spent_s * (1 / SHARE - 1))


@dataclass(slots=True)
class Pace:
    """Whether there is anything new to fold.

    Attributes:
        seen: What was counted at the last look.
        folded: What was counted at the last fold; None before the first.
        settled: Whether nothing had happened for a while before the last fold, so that the log was whole then.
        at: When the last fold began, on the monotonic clock.
    """

    seen: Counted | None = None
    folded: Counted | None = None
    settled: bool = False
    at: float = 0.0

    def due(self, counted: Counted, now: float) -> bool:
        """Say whether to fold now; counters run ahead of the log by a moment, so once more than they say.

        Args:
            counted: What the counters say.
            now: Seconds of the monotonic clock.
        """
        still, self.seen = counted == self.seen, counted
        if counted == self.folded and self.settled and now - self.at < IDLE_S:
            return False
        self.folded, self.settled, self.at = counted, still, now
        return True


class Fold:
    """Looks now and then, and keeps the last answer.

    Attributes:
        snapshot: The last answer; None before the first.
        problem: Why the last fold gave none; None when it did.
    """

    def __init__(self, work: Measure = measure) -> None:
        # Per process
        self.snapshot: Snapshot | None = None
        self.problem: str | None = None
        self._work = work
        self._pace = Pace()

    async def run(self, ask: Callable[[], Question | None], found: Callable[[Snapshot], Awaitable[None]]) -> None:
        """Look until cancelled.

        Args:
            ask: Gives what to look at; None when there is no experiment.
            found: Takes each new answer.
        """
        await asyncio.sleep(FIRST_S)
        while True:  # noqa: ASYNC110 - nothing but the clock says when
            await asyncio.sleep(pause_s(await self.look(ask(), found)))

    async def look(self, question: Question | None, found: Callable[[Snapshot], Awaitable[None]]) -> float:
        """Fold once if there is anything new; return what that took, in seconds of one core."""
        if question is None:
            self.snapshot, self.problem = None, None
            return 0.0
        begun = time.monotonic()
        if not self._pace.due(question.counted, begun):
            return 0.0
        try:
            snapshot = await _in_thread(self._work, question)
        except NotInstalledError as error:
            self._fail(str(error))
        except Exception as error:  # noqa: BLE001 - whatever a log, a disk or a library does, the router goes on
            self._fail(f"the event log cannot be folded: {error!r}")
        else:
            if self.problem is not None:
                log.info("the event log can be folded again")
            self.snapshot, self.problem = snapshot, None
            await found(snapshot)
        # The queries run in one thread, so a second is at most a second of a core.
        return time.monotonic() - begun

    def _fail(self, problem: str) -> None:
        if problem != self.problem:
            log.warning("%s", problem)
        self.problem = problem
        self._pace.folded = None


async def _in_thread(work: Measure, question: Question) -> Snapshot:
    """Measure in a thread of low priority, which ends when this is cancelled."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Snapshot] = loop.create_future()
    stop = Stop()

    def tell(snapshot: Snapshot | None, error: Exception | None) -> None:
        if answer.done():
            return
        if snapshot is not None:
            answer.set_result(snapshot)
        else:
            answer.set_exception(error or StoppedError())

    def run() -> None:
        with suppress(OSError):  # of this thread alone, as Linux has it
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        found: Snapshot | None = None
        failure: Exception | None = None
        try:
            found = work(question, stop)
        except Exception as error:  # noqa: BLE001 - it is raised where the answer is awaited
            failure = error
        with suppress(RuntimeError):  # the loop has closed meanwhile
            loop.call_soon_threadsafe(tell, found, failure)

    # A daemon, and not of a pool: neither the end of the loop nor of the process waits for a query.
    thread = threading.Thread(target=run, name="fold", daemon=True)
    thread.start()
    try:
        return await answer
    except asyncio.CancelledError:
        await asyncio.to_thread(_end, thread, stop)
        raise


def _end(thread: threading.Thread, stop: Stop) -> None:
    """Interrupt one query after another until the thread gives up."""
    until = time.monotonic() + ENDING_S
    while thread.is_alive() and time.monotonic() < until:
        stop.now()
        thread.join(ENDING_S / 40)
