"""This router, as it decides: the machine, the guardrails and the primary metric's test are the product's own.

Responsible for: counting what workers and the event log would count, and asking the deciding code.
Does not know: how anything is decided.

Rules: a driver looks every second. Here it looks every minute in the first quarter of an hour of a phase, later
whenever the phase has become a sixth longer, and when a hold is over. That is sound because verdicts are valid at
whatever moments somebody looks: fewer looks make no wrong rollback likelier, and a right one comes at most a minute, or
a sixth, later. ``--look 10`` looks six times as often. The sample ratio is sound as soon as 20 units of each arm are
known: the assignment is not what is tested. The primary metric counts a user when the window after the first request of
the phase is over.
"""

from typing import TYPE_CHECKING, Final, Literal, cast

import numpy as np

from benchmarks.rollouts.recipes import CONTROL, NEW, Recipe
from benchmarks.rollouts.replay import Outcome, Part, Seen
from benchmarks.rollouts.traffic import Ints, Users
from benchmarks.rollouts.versions import Version
from router.guardrail.evidence import BUCKETS, CLUSTERS, ArmEvidence, Evidence
from router.guardrail.judge import judge
from router.guardrail.memory import Memory
from router.histogram import BUCKETS as TIMES
from router.histogram import bounds_us
from router.inference import e_process
from router.inference.effect import Asked
from router.rollout import machine
from router.rollout.observed import Observed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from router.events.rollout import Found

EPOCH: Final = 1_800_000_000.0
LOOK_S: Final = 60.0
DENSE_S: Final = 900.0
GROWTH: Final = 1 / 6
SOUND: Final = 20
_BOUNDS: Final = np.array(bounds_us, dtype=np.float64)


class _Arm:
    """What is counted of an arm in a phase."""

    def __init__(self, users: int) -> None:
        self.exchanges: Ints = np.zeros(BUCKETS, dtype=np.int64)
        self.failures: Ints = np.zeros(BUCKETS, dtype=np.int64)
        self.latency: Ints = np.zeros((CLUSTERS, TIMES), dtype=np.int64)
        self.first: NDArray[np.float64] = np.full(users, np.inf)

    def add(self, part: Part, bucket: Ints) -> None:
        where = bucket[part.user]
        self.exchanges += np.bincount(where, minlength=BUCKETS)
        self.failures += np.bincount(where[part.failed], minlength=BUCKETS)
        times = np.searchsorted(_BOUNDS, part.us)
        cells = np.bincount((where % CLUSTERS) * TIMES + times, minlength=CLUSTERS * TIMES)
        self.latency += cells.reshape(CLUSTERS, TIMES)
        np.minimum.at(self.first, part.user, part.time)

    def evidence(self) -> ArmEvidence:
        # An array reads like the tuples that it stands for, and spares making 7,680 objects a look.
        latency = cast("tuple[tuple[int, ...], ...]", self.latency)
        exchanges, failures = tuple(self.exchanges.tolist()), tuple(self.failures.tolist())
        return ArmEvidence(exchanges=exchanges, failures=failures, latency=latency)

    def units(self) -> int:
        return int(np.isfinite(self.first).sum())


class Router:
    """A release under this router; see ``replay.Controller``."""

    def __init__(self, recipe: Recipe, users: Users, versions: tuple[Version, Version], look_s: float = LOOK_S) -> None:
        """Begin it.

        Args:
            recipe: The experiment.
            users: Who makes requests.
            versions: The new one and the old one, of which the primary metric is known.
            look_s: How often it looks in the first quarter of an hour of a phase, in seconds.
        """
        self.share = 0.0
        self.due = 0.0
        self.sticky = True
        self.full: float | None = None
        self._recipe = recipe
        self._users = users
        self._versions = versions
        self._look_s = look_s
        self._primary = any("primary" in stage.require for stage in recipe.experiment.allocate.ladder)
        self._progress, _ = machine.begin(recipe.experiment, 1, EPOCH)
        self._phase = 0
        self._memory = Memory()
        self._found: tuple[Found, ...] = ()
        self._silent = 0.0
        self._begin(0.0)

    def _begin(self, now: float) -> None:
        """Begin a phase: other shares, and counting from nothing."""
        self._phase += 1
        self._since = now
        self._new, self._old = _Arm(len(self._users.point)), _Arm(len(self._users.point))

    def look(self, now: float, seen: Seen) -> Outcome | None:
        """Count, judge, take a step."""
        self._new.add(seen.new, self._users.bucket)
        self._old.add(seen.old, self._users.bucket)
        for part in (seen.new, seen.old):
            self._silent = max(self._silent, float(part.time[-1]) if part.time.size else 0.0)
        evidence = Evidence(
            time=EPOCH + now,
            run=1,
            phase=self._phase,
            arms={NEW: self._new.evidence(), CONTROL: self._old.evidence()},
            problem="no counters can be read" if seen.broken else None,
        )
        experiment = self._recipe.experiment
        self._found, self._memory = judge(experiment, self._recipe.metrics, evidence, self._memory, EPOCH + now)
        progress, _ = machine.step(experiment, self._progress, self._observed(now), EPOCH + now)
        moved, self._progress = progress.share != self._progress.share, progress
        self.share = progress.share
        if moved:
            self._begin(now)
        if self.full is None and self.share >= 1 - experiment.allocate.keep_control:
            self.full = now
        if progress.status == "over":
            return "promoted" if progress.step == "done" else "rolled back"
        self.due = self._next(now)
        return None

    def _next(self, now: float) -> float:
        lasted = now - self._since
        growth = GROWTH * min(1.0, self._look_s / LOOK_S)
        due = now + (self._look_s if lasted < DENSE_S else max(self._look_s, lasted * growth))
        ladder = self._recipe.experiment.allocate.ladder
        holds = [stage.hold for stage in ladder] + [self._recipe.experiment.allocate.bake]
        began = self._progress.since - EPOCH
        return min([due, *(began + hold for hold in holds if began + hold > now)])

    def _observed(self, now: float) -> Observed:
        units = {NEW: self._new.units(), CONTROL: self._old.units()}
        known = min(units.values()) >= SOUND
        return Observed(
            phase=self._phase,
            step_s=EPOCH + now - self._progress.since,
            found=self._found,
            units=units,
            exchanges={NEW: int(self._new.exchanges.sum()), CONTROL: int(self._old.exchanges.sum())},
            sample_ratio="sound" if known else "unknown",
            quality="" if known else "too few units",
            primary=self._compare(now) if self._primary else "inconclusive",
            silent_s=now - self._silent,
        )

    def _compare(self, now: float) -> Literal["better", "worse", "inconclusive"]:
        """Say what the primary metric says, by the product's test of proportions at any time."""
        window = self._recipe.metrics["converts"].window or 0.0
        counts = []
        for arm, version in zip((self._new, self._old), self._versions, strict=True):
            ripe = arm.first <= now - window
            did = self._users.taste[ripe] < version.converts(arm.first[ripe])
            counts.append((int(did.sum()), int(ripe.sum())))
        (new, of_new), (old, of_old) = counts
        if not of_new or not of_old or new + old in (0, of_new + of_old):
            return "inconclusive"
        found = e_process.compare((new, of_new), (old, of_old), Asked(self._recipe.experiment.decide.alpha)).difference
        if found.low is not None and found.low > 0:
            return "better"
        return "worse" if found.high is not None and found.high < 0 else "inconclusive"
