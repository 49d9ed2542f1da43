"""The live fold: now and then, what the event log says of the experiments.

Responsible for: when to look, in a thread that yields to everything else, keeping the last answer, and why there is
none.
Does not know: what is measured (``router.control.measure``), what follows from it.

Rules: the loop never waits for a fold. What one cost decides when the next may begin, so that over time they take at
most ``SHARE`` of a core, however large the log. Nothing is measured while nothing happens. Whatever goes wrong is said
once and tried again; the last answer stays, and its age is a metric.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from logging import getLogger
from typing import Final

from router.control.beside import in_thread
from router.control.counted import Counted
from router.control.measure import NotInstalledError, Question, Snapshot, Stop, measure

log = getLogger(__name__)

SHARE: Final = 0.1
FIRST_S: Final = 1.0  # after the start, which has other work to do
LEAST_S: Final = 30.0  # between two folds, however cheap
IDLE_S: Final = 600.0  # between two folds while nothing happens: outcome windows end all the same

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
            snapshot = await in_thread("fold", lambda stop: self._work(question, stop))
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
