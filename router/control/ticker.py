"""The ticks of bandits: when weights are computed anew, and what people can see of them.

Responsible for: which bandits are due, one thread of low priority that computes, keeping what producers remember, and
why there is nothing new.
Does not know: how weights are computed (``router.control.allot``), how they come into force (``router.control.tick``).

Rules: nothing that serves a request waits for a tick. Ticks take at most ``SHARE`` of a core over time, however short
``update`` is and however large the log. Whatever goes wrong, the weights in force stay: it is said once, counted, and
tried again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from logging import getLogger
from typing import Any, Final

from router.config.schema import Experiment
from router.control.allot import Answer, Asked, allot, boundary
from router.control.beside import in_thread
from router.control.measure import NotInstalledError, Snapshot, Stop
from router.control.tick import Allotment, over
from router.events.model import Revised, Revision

log = getLogger(__name__)

SHARE: Final = 0.1
FIRST_S: Final = 1.0
IDLE_S: Final = 1.0  # between two looks at whether something is due
LEAD_S: Final = 60.0  # how long before a period begins its weights are computed; in a short one, half of it
MOST_LOOKS: Final = 24  # in a period; weights of it are in force already, so it is for people


Publish = Callable[[Mapping[str, Allotment]], Awaitable[str | None]]
Compute = Callable[[Asked, Mapping[str, Any], float, Stop], Answer]


class Ticker:
    """Computes weights now and then, and keeps what is known.

    Attributes:
        standings: Experiment to what people are shown of its bandit.
        problems: Experiment to why its last tick gave nothing.
        ticks: Experiment to how many ticks gave an answer.
        failures: How many gave none.
    """

    def __init__(self, compute: Compute | None = None) -> None:
        # Per process
        self.standings: dict[str, Mapping[str, Any]] = {}
        self.problems: dict[str, str] = {}
        self.ticks: dict[str, int] = {}
        self.failures = 0
        self._compute = compute or allot
        self._memory: dict[str, Any] = {}
        self._last: dict[str, float] = {}

    async def run(
        self,
        ask: Callable[[], tuple[Revision, tuple[Revised, ...], Snapshot | None]],
        publish: Publish,
    ) -> None:
        """Tick until cancelled.

        Args:
            ask: Gives the present revision, its history, and what the log said last.
            publish: Takes what allocators say; returns why it could not be published, or None.
        """
        await asyncio.sleep(FIRST_S)
        while True:
            spent = await self.look(*ask(), publish)
            await asyncio.sleep(max(IDLE_S, spent * (1 / SHARE - 1)))

    async def look(
        self,
        revision: Revision,
        history: tuple[Revised, ...],
        snapshot: Snapshot | None,
        publish: Publish,
    ) -> float:
        """Tick once if anything is due; return what that took, in seconds of one core."""
        now = time.time()
        bandits = {each.name: each for each in revision.config.experiments if each.allocate.bandit}
        self._forget(bandits)
        names = tuple(name for name, each in bandits.items() if due(each, self._last.get(name), now))
        turning = any(over(revision, name, now) for name in revision.coming)
        if not names and not turning:
            return 0.0
        found = Answer()
        if names:
            self._last.update(dict.fromkeys(names, now))
            found = await self._ask(Asked(revision, history, names, snapshot))
        refused = await publish(found.allotments)
        for name in names:
            self._note(name, found, refused)
        return found.spent_s

    async def _ask(self, asked: Asked) -> Answer:
        memory, now = dict(self._memory), time.time()
        try:
            return await in_thread("tick", lambda stop: self._compute(asked, memory, now, stop))
        except NotInstalledError as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001 - whatever a log, a disk or a library does, the router goes on
            problem = f"the event log cannot be read: {error!r}"
        return Answer(problems=dict.fromkeys(asked.names, problem))

    def _note(self, name: str, found: Answer, refused: str | None) -> None:
        """Keep what came of a tick of one bandit."""
        produced = found.produced.get(name)
        problem = found.problems.get(name) or (refused if name in found.allotments else None)
        if produced is not None:
            self._memory[name] = produced.memory
            self.standings[name] = produced.standing
        if problem is None:
            self.ticks[name] = self.ticks.get(name, 0) + 1
            if self.problems.pop(name, None) is not None:
                log.info("experiment %r: weights are computed again", name)
            return
        self.failures += 1
        if self.problems.get(name) != problem:
            log.warning("experiment %r: the weights in force stay: %s", name, problem)
        self.problems[name] = problem

    def _forget(self, bandits: Mapping[str, Experiment]) -> None:
        """Let go of what is known of bandits that are no more."""
        for known in (self.standings, self.problems, self.ticks, self._memory, self._last):
            for name in known.keys() - bandits.keys():
                del known[name]


def due(experiment: Experiment, last: float | None, now: float) -> bool:
    """Say whether a bandit's weights are to be computed.

    Args:
        experiment: The experiment.
        last: When they were computed last, in unix seconds; None if they were not.
        now: Unix seconds.
    """
    allocate = experiment.allocate
    if last is None:
        return True
    if allocate.period is None:
        return now - last >= allocate.update
    leading = boundary(allocate.period, now) - lead(allocate.period)
    return last < leading <= now or now - last >= max(allocate.update, allocate.period / MOST_LOOKS)


def lead(period: float) -> float:
    """Return how long before a period begins its weights are computed."""
    return min(LEAD_S, period / 2)
