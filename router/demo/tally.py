"""What the users of the demo saw, added up.

Responsible for: per split and arm the requests, right answers, errors, latencies and labels; per split and user the
arms that served them; per user the experiments that they met.
Does not know: how requests and labels are sent, what should have come out (``router.demo.verdict``), how it is shown.

Rules: a request belongs to a split only when that split was in force on every worker from its start to its end; what
falls into a change counts towards errors and totals but says nothing about a split. Memory does not grow with time:
latencies are histograms, errors are counted and only the first few are kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from router import histogram

ERRORS_KEPT = 5
Weights = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Seen:
    """One request, as its user saw it."""

    user: str
    arm: str | None  # None: the answer named none, or there was none
    seconds: float
    right: bool
    error: str | None = None
    request_id: str | None = None
    assignment: str | None = None  # the signed token that the answer had


@dataclass(slots=True)
class LabelTally:
    """Labels of one arm's answers under one split, sent back as outcomes.

    Attributes:
        sent: Outcomes that the API answered for, repeats included.
        repeated: Of them, repeats of one that had been accepted.
        accepted: Outcomes that the API says it accepted.
        duplicates: Outcomes that the API says it knew.
        refused: Outcomes that the API refused.
        never: Labels that never come.
        right: Sum of the values of those that were accepted.
    """

    sent: int = 0
    repeated: int = 0
    accepted: int = 0
    duplicates: int = 0
    refused: int = 0
    never: int = 0
    right: int = 0


@dataclass(slots=True)
class ArmTally:
    """One arm's requests under one split."""

    requests: int = 0
    right: int = 0
    errors: int = 0
    latency: list[int] = field(default_factory=lambda: [0] * histogram.BUCKETS)
    labels: LabelTally = field(default_factory=LabelTally)

    def quantile_ms(self, q: float) -> float | None:
        """Return a quantile of the answered requests' latency in milliseconds; None without any."""
        us = histogram.quantile(self.latency, q)
        return None if us is None else us / 1000

    def accuracy(self) -> float | None:
        """Return the share of right answers among the answered requests; None without any."""
        answered = self.requests - self.errors
        return self.right / answered if answered else None

    def add(self, seen: Seen) -> None:
        """Count a request."""
        self.requests += 1
        if seen.error is not None:
            self.errors += 1
            return
        self.right += seen.right
        self.latency[histogram.bucket(int(seen.seconds * 1e6))] += 1


@dataclass(slots=True)
class SplitTally:
    """What happened while one split of an experiment was in force: one phase of it."""

    experiment: str
    weights: Weights
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
        self.current: dict[str, SplitTally] = {}  # by experiment
        self.outside = ArmTally()  # of users in no experiment
        self.homes: dict[str, set[str | None]] = {}  # user to the experiments met, None for none
        self.began = 0  # how often a configuration came into force
        self.settled = False  # whether the last one is in force on every worker
        self.requests = 0
        self.errors = 0
        self.first_errors: list[str] = []

    def begin(self, weights: Mapping[str, Weights], revision: int) -> None:
        """Note that every worker now serves these splits; those that are as before go on."""
        for experiment, split in weights.items():
            before = self.current.get(experiment)
            if before is None or before.weights != split:
                tally = SplitTally(experiment, dict(split), revision, {arm: ArmTally() for arm in split})
                self.current[experiment] = tally
                self.splits.append(tally)
        self.began += 1
        self.settled = True

    def unsettle(self) -> None:
        """Note that a split is about to change: until ``begin``, either may be in force."""
        self.settled = False

    def epoch(self) -> int | None:
        """Return which configuration is in force; None while none surely is."""
        return self.began if self.settled else None

    def phase(self, split: SplitTally) -> int:
        """Return the number of the phase that a split is, from 1."""
        return [each for each in self.splits if each.experiment == split.experiment].index(split) + 1

    def record(self, seen: Seen, began_in: int | None) -> ArmTally | None:
        """Add one request that began in the given epoch.

        Returns:
            Where its label is to be counted; None when it has no answer, or is of no split.
        """
        split = next((split for split in self.current.values() if seen.arm in split.weights), None)
        error = seen.error
        if error is None and split is None and seen.arm is not None:
            error = f"no experiment has an arm {seen.arm!r}"
        self.requests += 1
        if error is not None:
            self.errors += 1
            if len(self.first_errors) < ERRORS_KEPT:
                self.first_errors.append(f"{seen.user}: {error}")
        if began_in is None or began_in != self.epoch() or (seen.arm is None and seen.error is not None):
            return None
        self.homes.setdefault(seen.user, set()).add(None if split is None else split.experiment)
        if split is None or seen.arm is None:
            self.outside.add(seen)
            return None
        arm = split.arms[seen.arm]
        arm.add(seen)
        split.arms_of_user.setdefault(seen.user, set()).add(seen.arm)
        return arm if seen.error is None else None
