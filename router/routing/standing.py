"""Whether an endpoint may be used now, and for what share of its usual requests.

Responsible for: putting together what the breaker, the health questions and ``slow_start`` say.
Does not know: other endpoints, connections, who reads the clock.

Rules: pure but for the shared words that it is given. Times are seconds of the monotonic clock.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from router import counters
from router.config.schema import Target
from router.routing.breaker import HALF_OPEN, LEAST_SHARE, OPEN, RAMP, Breaker
from router.routing.readiness import RECOVERED, Readiness


class Words(NamedTuple):
    """The shared words of an endpoint.

    Attributes:
        blocks: Those of all workers.
        worker: Which of them is this worker's.
        control: The control process's; None when nobody asks endpoints for their health.
        row: Where the endpoint's row begins, in each of them.
        asked: Where that begins in which the control process says whether it is ready; another one for copies.
    """

    blocks: Sequence[memoryview]
    worker: int
    control: memoryview | None
    row: int
    asked: int

    @property
    def own(self) -> memoryview:
        """Return this worker's block."""
        return self.blocks[self.worker]


class Standing:
    """The standing of one endpoint.

    Attributes:
        breaker: Its breaker.
        ready: Whether health questions, where there are any, say that it is.
    """

    __slots__ = ("_asked", "_changed", "_control", "_health", "_row", "_since", "_slow_start", "breaker", "ready")

    def __init__(self, target: Target, words: Words, random: Callable[[], float], changed: Callable[[], None]) -> None:
        """Begin.

        Args:
            target: The target that the endpoint is one of.
            words: Its shared words.
            random: Returns floats uniform in [0, 1).
            changed: Called when the endpoint may have become usable or has ceased to be.
        """
        # Per endpoint
        self.ready = True
        self.breaker = Breaker(target.breaker, (words.blocks, words.worker, words.row), random, changed)
        self._changed = changed
        self._control = words.control
        self._row = words.asked
        self._health = 0  # what the control process said last
        self._since: float | None = None  # when it began to warm up
        self._asked = target.health is not None
        self._slow_start = target.slow_start

    def warm_up(self, now: float) -> None:
        """Begin ``slow_start``: it was added to a target that others serve already."""
        self._since = now

    def reconfigure(self, target: Target, now: float) -> None:
        """Follow a change of the target's keys."""
        self._asked = target.health is not None
        self._slow_start = target.slow_start
        self.breaker.reconfigure(target.breaker, now)
        self.look(now)

    def look(self, now: float) -> None:
        """Take note of what other processes found; called on every tick."""
        self.breaker.look(now)
        word = self._control[self._row + counters.ENDPOINT_HEALTH] if self._control is not None and self._asked else 0
        if word != self._health:
            self._health = word
            readiness = Readiness.of(word)
            self.ready = readiness.ready
            if readiness.state == RECOVERED:
                self._since = readiness.since_ms / 1000
            self._changed()

    @property
    def usable(self) -> bool:
        """Return whether it may get requests; a half-open one may get a few."""
        return self.ready and self.breaker.state != OPEN

    @property
    def probing(self) -> bool:
        """Return whether only probes are let through."""
        return self.breaker.state == HALF_OPEN

    @property
    def ramping(self) -> bool:
        """Return whether it is on its way back from an open breaker."""
        return self.breaker.state == RAMP

    def share(self, now: float) -> float:
        """Return its share of what it usually gets, above 0; below 1 while it warms up."""
        share = self.breaker.share(now)
        if self._since is not None:
            passed = now - self._since
            if passed >= self._slow_start:
                self._since = None
            else:
                share = min(share, max(LEAST_SHARE, passed / self._slow_start))
        return share

    @property
    def moving(self) -> bool:
        """Return whether the share grows with time."""
        return self._since is not None or self.breaker.state == RAMP
