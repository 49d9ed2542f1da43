"""What the users of the demo saw, added up.

Responsible for: per split and arm the requests, right answers, errors and latencies; per split and user the arms that
served them.
Does not know: how requests are sent, what should have come out (``router.demo.verdict``), how it is shown.

Rules: a request belongs to a split only when that split was in force on every worker from its start to its end; what
falls into a change counts towards errors and totals but says nothing about a split. Memory does not grow with time:
latencies are histograms, errors are counted and only the first few are kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from router import histogram

ERRORS_KEPT = 5


@dataclass(frozen=True, slots=True)
class Seen:
    """One request, as its user saw it."""

    user: str
    arm: str | None  # None: the answer did not say, or there was none
    seconds: float
    right: bool
    error: str | None = None


@dataclass(slots=True)
class ArmTally:
    """One arm's requests under one split."""

    requests: int = 0
    right: int = 0
    errors: int = 0
    latency: list[int] = field(default_factory=lambda: [0] * histogram.BUCKETS)

    def quantile_ms(self, q: float) -> float | None:
        """Return a quantile of the answered requests' latency in milliseconds; None without any."""
        us = histogram.quantile(self.latency, q)
        return None if us is None else us / 1000

    def accuracy(self) -> float | None:
        """Return the share of right answers among the answered requests; None without any."""
        answered = self.requests - self.errors
        return self.right / answered if answered else None


@dataclass(slots=True)
class SplitTally:
    """What happened while one split was in force."""

    weights: Mapping[str, float]
    revision: int
    arms: dict[str, ArmTally] = field(default_factory=dict)
    arms_of_user: dict[str, set[str]] = field(default_factory=dict)

    def share(self, arm: str) -> float:
        """Return the configured share of an arm, in 0..1."""
        return self.weights[arm] / sum(self.weights.values())

    def users(self, arm: str) -> int:
        """Return how many users this arm served."""
        return sum(arm in arms for arms in self.arms_of_user.values())

    def requests(self) -> int:
        """Return the requests of all arms together."""
        return sum(tally.requests for tally in self.arms.values())


class Tally:
    """Everything that was seen in one show."""

    def __init__(self) -> None:
        self.splits: list[SplitTally] = []
        self.settled = False  # whether the last split is in force on every worker
        self.requests = 0
        self.errors = 0
        self.first_errors: list[str] = []

    def begin(self, weights: Mapping[str, float], revision: int) -> None:
        """Note that every worker now serves this split."""
        arms = {arm: ArmTally() for arm in weights}
        self.splits.append(SplitTally(weights=dict(weights), revision=revision, arms=arms))
        self.settled = True

    def unsettle(self) -> None:
        """Note that the split is about to change: until ``begin``, either may be in force."""
        self.settled = False

    def epoch(self) -> int | None:
        """Return which split is in force; None while none surely is."""
        return len(self.splits) - 1 if self.settled else None

    def record(self, seen: Seen, began_in: int | None) -> None:
        """Add one request that began in the given epoch."""
        self.requests += 1
        if seen.error is not None:
            self.errors += 1
            if len(self.first_errors) < ERRORS_KEPT:
                self.first_errors.append(f"{seen.user}: {seen.error}")
        if began_in is None or began_in != self.epoch() or seen.arm is None:
            return
        split = self.splits[began_in]
        arm = split.arms.setdefault(seen.arm, ArmTally())
        arm.requests += 1
        split.arms_of_user.setdefault(seen.user, set()).add(seen.arm)
        if seen.error is not None:
            arm.errors += 1
            return
        arm.right += seen.right
        arm.latency[histogram.bucket(int(seen.seconds * 1e6))] += 1
