"""A release on a simulated clock: what its arms counted, second by second, and what guardrails say of it."""

from dataclasses import dataclass, field

import numpy as np

from router.config.guardrail import Guardrail
from router.config.schema import Arm, Experiment, Measured, Metric
from router.events.rollout import Found
from router.guardrail.evidence import BUCKETS, CLUSTERS, ArmEvidence, Evidence
from router.guardrail.judge import judge
from router.guardrail.memory import Memory
from router.guardrail.seen import Business
from router.histogram import BUCKETS as TIMES
from router.histogram import bucket

METRICS = {
    "errors": Metric(name="errors", kind="ratio", exchange="failed", goal="down"),
    "p99": Metric(name="p99", kind="quantile", exchange="duration", q=0.99, goal="down"),
    "ctr": Metric(name="ctr", kind="proportion", outcome="click", goal="up"),
    "cost": Metric(name="cost", kind="ratio", exchange="header:x-cost", goal="down"),
}
NEW, CONTROL = "treatment", "control"


def experiment(*rails: Guardrail, primary: str = "ctr") -> Experiment:
    """Give an experiment of two arms with some guardrails."""
    arms = (Arm(name=CONTROL, target="v1", weight=0.5), Arm(name=NEW, target="v2", weight=0.5))
    return Experiment(
        name="e", route="r", arms=arms, control=CONTROL, metrics=Measured(primary=primary, guardrails=rails)
    )


@dataclass
class Release:
    """What has been counted so far, and what is remembered.

    Attributes:
        rails: Its guardrails.
        now: Unix seconds.
        phase: Phase of the run.
    """

    rails: tuple[Guardrail, ...]
    now: float = 1_000_000.0
    phase: int = 1
    memory: Memory = field(default_factory=Memory)
    business: Business | None = None
    counts: dict[str, list[np.ndarray]] = field(default_factory=dict)
    turn: int = 0

    def serve(self, arm: str, exchanges: int, failures: int = 0, ms: float = 20.0) -> None:
        """Count exchanges of as many units, all of the same duration, the first of which failed."""
        counts = self.counts.setdefault(arm, _nothing())
        for index in range(exchanges):
            unit = (self.turn + 37 * index) % BUCKETS
            counts[0][unit] += 1
            counts[1][unit] += index < failures
            counts[2][unit % CLUSTERS, bucket(round(ms * 1000))] += 1
        self.turn += 1

    def enter(self, phase: int) -> None:
        """Begin another phase, in which nothing has been counted."""
        self.phase, self.counts = phase, {}

    def evidence(self, problem: str | None = None) -> Evidence:
        """Give what counters say now."""
        arms = {arm: self.counts.setdefault(arm, _nothing()) for arm in (CONTROL, NEW)}
        known = {
            arm: ArmEvidence(
                exchanges=tuple(exchanges.tolist()),
                failures=tuple(failures.tolist()),
                latency=tuple(map(tuple, latency.tolist())),
            )
            for arm, (exchanges, failures, latency) in arms.items()
        }
        return Evidence(time=self.now, run=1, phase=self.phase, arms=known, problem=problem)

    def look(self, problem: str | None = None) -> tuple[Found, ...]:
        """Judge what is known now; without the fast path, which other tests are about."""
        given = experiment(*self.rails)
        found, self.memory = judge(given, METRICS, self.evidence(problem), self.memory, self.now, self.business)
        return found[1:]

    def run(self, seconds: int, every: int = 10, **arms: tuple[int, int, float]) -> list[tuple[Found, ...]]:
        """Serve both arms alike for some time, looking every few seconds; of each arm exchanges, failures and ms."""
        looks = []
        for _ in range(seconds // every):
            self.now += every
            for arm, (exchanges, failures, ms) in arms.items():
                self.serve(arm, exchanges, failures, ms)
            looks.append(self.look())
        return looks


def _nothing() -> list[np.ndarray]:
    return [np.zeros(BUCKETS, int), np.zeros(BUCKETS, int), np.zeros((CLUSTERS, TIMES), int)]
