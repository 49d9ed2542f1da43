"""How often guardrails roll back what is no worse, and how soon what is: ``python -m benchmarks.guardrails``.

Responsible for: traffic of two arms by user, on a simulated clock, through the very code that judges releases.
Does not know: ladders of stages (``benchmarks.rollouts``).

Rules: seeded. Each run is one release of one guardrail, ``errors ratio 2``, at alpha 0.01. Users are drawn by arm; a
row of the table is many runs of one kind of traffic. The command ends with 1 when false alarms are more than a binomial
variable with the promised share exceeds with a probability of one in a million.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.stats import binom

from router.config.schema import Arm, Experiment, Guardrail, Measured, Metric
from router.guardrail.evidence import ArmEvidence, Evidence
from router.guardrail.judge import judge
from router.guardrail.memory import Memory

METRICS: Final = {"errors": Metric(name="errors", kind="ratio", goal="down", exchange="failed")}
RELEASE: Final = Experiment(
    name="release",
    route="r",
    arms=(Arm(name="stable", target="v1", weight=1), Arm(name="canary", target="v2", weight=1)),
    metrics=Measured(primary="errors", guardrails=(Guardrail(metric="errors", ratio=2.0),)),
)
ALPHA: Final = 0.01
HOUR_S: Final = 3600.0
BURST: Final = 40  # failures of one user


@dataclass(frozen=True)
class Traffic:
    """Traffic of a release.

    Attributes:
        name: What it is called.
        per_minute: Requests a minute of canary and of stable.
        failing: Share of canary's requests that fail, once it is bad.
        healthy: Share of stable's, and of canary's before.
        bad_from_s: When canary turns bad.
        hours: How long it is watched.
        look_s: Seconds between looks.
        users: Users of each arm.
        skew: Of their volumes: the k-th sends as k^-skew.
        broken: Share of users of either arm whose every request fails.
        bursts: Bursts of failures an hour of one random user of an arm, each of ``BURST``.
        by_request: Whether each request is counted as if it were of a user of its own.
        outage: Share of both arms' requests that fail in ten minutes of each hour.
    """

    name: str
    per_minute: tuple[float, float] = (100.0, 100.0)
    failing: float = 0.001
    healthy: float = 0.001
    bad_from_s: float = 0.0
    hours: float = 24.0
    look_s: float = 60.0
    users: int = 5000
    skew: float = 0.0
    broken: float = 0.0
    bursts: float = 0.0
    outage: float = 0.0
    by_request: bool = False


@dataclass(frozen=True)
class Ran:
    """What became of a run: when it failed and first passed, in seconds since it began, and requests by then."""

    failed_s: float | None
    passed_s: float | None
    exposed: int


class Users:
    """Users of both arms: their buckets, volumes and whether they are broken."""

    def __init__(self, traffic: Traffic, random: np.random.Generator) -> None:
        self._traffic = traffic
        self._random = random
        ranks = np.arange(1, traffic.users + 1, dtype=np.float64) ** -traffic.skew
        self._reached = np.cumsum(ranks / ranks.sum())
        self._buckets = random.integers(0, 256, (2, traffic.users))
        self._broken = random.random((2, traffic.users)) < traffic.broken
        self.exchanges = np.zeros((2, 256), dtype=np.int64)
        self.failures = np.zeros((2, 256), dtype=np.int64)

    def step(self, now: float) -> None:
        """Send the requests of one look."""
        traffic, random = self._traffic, self._random
        out = traffic.outage if traffic.outage and now % HOUR_S < 600 else 0.0
        for arm, rate in enumerate(traffic.per_minute):
            count = int(random.poisson(rate * traffic.look_s / 60))
            users = np.searchsorted(self._reached, random.random(count))
            bad = traffic.failing if arm == 0 and now > traffic.bad_from_s else traffic.healthy
            failed = (random.random(count) < max(bad, out)) | self._broken[arm, users]
            buckets = random.integers(0, 256, count) if traffic.by_request else self._buckets[arm, users]
            np.add.at(self.exchanges[arm], buckets, 1)
            np.add.at(self.failures[arm], buckets[failed], 1)
            for _ in range(
                int(random.poisson(traffic.bursts * traffic.look_s / HOUR_S * rate / sum(traffic.per_minute)))
            ):
                one = np.full(BURST, self._buckets[arm, random.integers(traffic.users)])
                hit = random.integers(0, 256, BURST) if traffic.by_request else one
                np.add.at(self.exchanges[arm], hit, 1)
                np.add.at(self.failures[arm], hit, 1)

    def evidence(self, now: float) -> Evidence:
        """Return what has been counted."""
        canary, stable = (
            ArmEvidence(exchanges=tuple(seen.tolist()), failures=tuple(failed.tolist()))
            for seen, failed in zip(self.exchanges, self.failures, strict=True)
        )
        return Evidence(time=now, run=1, phase=1, arms={"canary": canary, "stable": stable})


def run(traffic: Traffic, seed: int) -> Ran:
    """Watch one release."""
    users, memory = Users(traffic, np.random.default_rng(seed)), Memory()
    passed = None
    before = 0
    for look in range(1, int(traffic.hours * HOUR_S / traffic.look_s) + 1):
        now = look * traffic.look_s
        users.step(now)
        if now <= traffic.bad_from_s:
            before = int(users.exchanges[0].sum())
        found, memory = judge(RELEASE, METRICS, users.evidence(now), memory, now)
        if any(each.status == "fail" for each in found):
            return Ran(now, passed, int(users.exchanges[0].sum()) - before)
        if passed is None and all(each.status == "pass" for each in found):
            passed = now
            if traffic.name.startswith("pass"):
                break
    return Ran(None, passed, int(users.exchanges[0].sum()) - before)


ALIKE: Final = (
    (1000, Traffic("5 requests a minute in all, 1 %", (2.5, 2.5), 0.01, 0.01, look_s=300)),
    (200, Traffic("100 a minute and arm, 0.1 %", look_s=120)),
    (200, Traffic("100 a minute and arm, 5 %", failing=0.05, healthy=0.05, hours=12)),
    (200, Traffic("2 and 198 a minute, 0.5 %", (2.0, 198.0), 0.005, 0.005, look_s=120)),
    (200, Traffic("both arms fail 20 % in ten minutes of each hour", outage=0.2, hours=12)),
    (200, Traffic("volumes as 1/k, 2 % of users always fail", users=500, skew=1.0, broken=0.02, hours=12, look_s=120)),
    (200, Traffic("six bursts an hour of 40 failures of one user", users=1000, bursts=6, hours=12)),
    (
        200,
        Traffic("20 users an arm, one in ten always fails", (20.0, 20.0), users=20, broken=0.1, hours=12, look_s=120),
    ),
)
WORSE: Final = (
    (500, Traffic("0.1 % to 1 %", failing=0.01, hours=2, look_s=10)),
    (100, Traffic("0.1 % to 1 %, after 6 hours", failing=0.01, hours=9, bad_from_s=6 * HOUR_S, look_s=60)),
    (100, Traffic("0.1 % to 1 %, 10 and 190 a minute", (10.0, 190.0), failing=0.01, hours=12, look_s=60)),
    (100, Traffic("0.1 % to 5 %", failing=0.05, hours=1, look_s=5)),
    (100, Traffic("0.1 % to 5 %, after 6 hours", failing=0.05, hours=7, bad_from_s=6 * HOUR_S, look_s=30)),
    (100, Traffic("1 % to 5 %, 5 a minute in all", (2.5, 2.5), 0.05, 0.01, hours=24, look_s=60)),
    (100, Traffic("nothing answers", failing=1.0, hours=0.2, look_s=1)),
    (100, Traffic("answers no more, after 6 hours", failing=1.0, hours=6.1, bad_from_s=6 * HOUR_S, look_s=10)),
)
PASSING: Final = (
    (200, Traffic("pass: no failures", failing=0.0, healthy=0.0, look_s=30)),
    (200, Traffic("pass: 0.1 %", look_s=30)),
    (200, Traffic("pass: 1 %", failing=0.01, healthy=0.01, look_s=60)),
    (200, Traffic("pass: 5 %", failing=0.05, healthy=0.05, look_s=60)),
    (200, Traffic("pass: no failures, 10 and 190 a minute", (10.0, 190.0), 0.0, 0.0, look_s=60)),
)


FAST: Final = tuple(
    (2000, Traffic("fast", (10.0, 10.0), 0.0, 0.0, hours=1, look_s=6, users=400, broken=chance))
    for chance in (0.05, 0.1, 0.2, 0.3, 0.5, 0.8)
)
Rows = Sequence[tuple[int, Traffic]]


def main() -> int:
    """Run what is asked for and print the tables."""
    parser = argparse.ArgumentParser(description="False alarms of guardrails, and how soon they fire.")
    parser.add_argument("--only", choices=("alike", "worse", "pass", "fast"))
    parser.add_argument("--row", type=int, help="one row of a table, from 0")
    parser.add_argument("--runs", type=int, help="runs of each row; default as stands in this module")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    parts = {"alike": _alike, "worse": _worse, "pass": _pass, "fast": _fast}
    rows = {"alike": ALIKE, "worse": WORSE, "pass": PASSING, "fast": FAST}
    bad = 0
    for name, part in parts.items():
        if asked.only in (None, name):
            chosen = rows[name] if asked.row is None else rows[name][asked.row : asked.row + 1]
            for line in part([(asked.runs or runs, traffic) for runs, traffic in chosen], asked.seed):
                bad += line.startswith("!")
                print(line.removeprefix("!"), flush=True)
            print()
    return 1 if bad else 0


def _alike(rows: Rows, seed: int) -> Iterator[str]:
    yield "| versions that are alike | hours | runs | rolled back | with a test by request |"
    yield "|---|---:|---:|---:|---:|"
    for count, traffic in rows:
        wrong = sum(run(traffic, seed + index).failed_s is not None for index in range(count))
        naive = _by_request(traffic, range(seed, seed + max(20, count // 5)))
        over = binom.sf(wrong - 1, count, ALPHA) < 1e-6
        yield f"{'!' * int(over)}| {traffic.name} | {traffic.hours:g} | {count} | {wrong / count:.1%} | {naive:.0%} |"


def _by_request(traffic: Traffic, seeds: range) -> float:
    """Return the share of runs rolled back if requests of one user were taken for independent."""
    alone = replace(traffic, by_request=True)
    return sum(run(alone, seed).failed_s is not None for seed in seeds) / len(seeds)


def _worse(rows: Rows, seed: int) -> Iterator[str]:
    yield "| versions that are worse | runs | within 30 minutes | median | 95 % | exposed requests, median |"
    yield "|---|---:|---:|---:|---:|---:|"
    for count, traffic in rows:
        ran = [run(traffic, seed + index) for index in range(count)]
        delays = np.array([np.inf if each.failed_s is None else each.failed_s - traffic.bad_from_s for each in ran])
        early = float(np.mean(delays < 0))
        exposed = int(np.median([each.exposed for each in ran]))
        median, late = (_time(float(np.quantile(delays, q, method="higher"))) for q in (0.5, 0.95))
        name = f"{traffic.name} ({early:.1%} before)" if early else traffic.name
        yield f"| {name} | {count} | {np.mean(delays <= 1800):.1%} | {median} | {late} | {exposed} |"


def _pass(rows: Rows, seed: int) -> Iterator[str]:
    yield "| versions that are alike | runs | passed within 24 hours | median | 95 % |"
    yield "|---|---:|---:|---:|---:|"
    for count, traffic in rows:
        ran = [run(traffic, seed + index) for index in range(count)]
        times = np.array([np.inf if each.passed_s is None else each.passed_s for each in ran])
        median, late = (_time(float(np.quantile(times, q, method="higher"))) for q in (0.5, 0.95))
        yield f"| {traffic.name[6:]} | {count} | {np.isfinite(times).mean():.1%} | {median} | {late} |"


def _fast(rows: Rows, seed: int) -> Iterator[str]:
    yield "| users of both arms that are always down | runs | fast path within an hour |"
    yield "|---|---:|---:|"
    for count, traffic in rows:
        wrong = sum(_only_fast(traffic, seed + index) for index in range(count))
        yield f"| {traffic.broken:.0%} | {count} | {wrong / count:.2%} |"


def _only_fast(traffic: Traffic, seed: int) -> bool:
    users, memory = Users(traffic, np.random.default_rng(seed)), Memory()
    bare = Experiment(name="release", route="r", arms=RELEASE.arms)
    for look in range(1, int(traffic.hours * HOUR_S / traffic.look_s) + 1):
        now = look * traffic.look_s
        users.step(now)
        found, memory = judge(bare, {}, users.evidence(now), memory, now)
        if found[0].status == "fail":
            return True
        if found[0].status == "pass" and look > 40:
            return False
    return False


def _time(seconds: float) -> str:
    if not np.isfinite(seconds):
        return "not seen"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * HOUR_S else f"{seconds / HOUR_S:.1f} h"


if __name__ == "__main__":
    sys.exit(main())
