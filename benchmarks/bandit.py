"""What Thompson sampling costs the control process: ``python -m benchmarks.bandit``.

Responsible for: observations that enter a posterior in a second, one by one and as a tick reads them from an archive;
and the time to compute the probability that each arm is best, for some numbers of arms.
Does not know: what is learned (``router.bandit``), when a tick comes (``router.control.ticker``).

The goal: 10,000 updates a second, of CPU. Of several rounds the fastest counts, for others may use the machine.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import numpy as np
from msgspec import structs

from benchmarks.fold import EXPERIMENT, METRICS
from benchmarks.synthetic import START, Shape, make
from router.analysis.engine import duckdb_engine
from router.analysis.history import History, Phase
from router.archive.engine import Limits
from router.archive.reading import open_archive
from router.bandit.earned import Earned, Sums
from router.bandit.thompson import Thompson
from router.config.schema import Allocate
from router.control.learn import learn
from router.control.produce import Task
from router.events.model import Run

GOAL: Final = 10_000
ROUNDS: Final = 5
BATCH: Final = 20_000


def earned(arms: int, *, bounded: bool) -> Earned:
    """Return rewards of arms that are near each other: the hardest case of the quadrature."""
    rng = np.random.default_rng(arms)
    drawn = {f"arm-{index}": rng.random(1000) < 0.1 + 0.002 * index for index in range(arms)}
    return Earned({arm: Sums(1000, 1000.0, float(y.sum()), float(y.sum())) for arm, y in drawn.items()}, bounded)


def fastest(work: Callable[[], object], times: int) -> float:
    """Return the least CPU that one of many calls took, in seconds."""
    best = float("inf")
    for _ in range(ROUNDS):
        begun = time.process_time()
        for _ in range(times):
            work()
        best = min(best, (time.process_time() - begun) / times)
    return best


def one_by_one() -> float:
    """Return how many observations enter sums that age, each by itself, in a second of CPU."""
    rewards = [float(value) for value in np.random.default_rng(1).random(BATCH)]

    def enter() -> Sums:
        known = Sums()
        for reward in rewards:
            known = known.aged(0.001, 86_400.0).merge(Sums(1, 1.0, reward, reward * reward))
        return known

    return BATCH / fastest(enter, 1)


def from_the_log(observations: int) -> float:
    """Return how many observations a tick reads from an archive, and learns from, in a second of CPU."""
    end = START.timestamp() + 14 * 86_400 + 7200
    allocate = Allocate(use="thompson", reward="ctr", floor=0.01)
    experiment = structs.replace(EXPERIMENT, allocate=allocate)
    phase = Phase(1, 1, START.timestamp(), None, ("control", "treatment"), "control")
    history = History({experiment.name: (phase,)}, {})
    task = Task(
        experiment, METRICS[0], Run(number=1, phase=1, epoch=0), {"control": 0.5, "treatment": 0.5}, history, end
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, Shape(exposures=observations, outcomes=2 * observations, units=observations, everybody=True))
        with open_archive(folder, Limits(threads=1)) as archive:
            engine = duckdb_engine(archive.connection)
            begun = time.process_time()
            found = learn(engine, task, None)
            spent = time.process_time() - begun
    seen = found.standing["observations"]
    assert seen > 0.9 * observations
    return float(seen / spent)


def rows(observations: int) -> Iterable[str]:
    """Yield the lines of the answer."""
    yield f"goal: {GOAL:,} Thompson updates a second"
    yield f"observations that enter a posterior, one by one: {one_by_one():,.0f} a second of CPU"
    yield f"read from an archive of {observations:,} by one tick: {from_the_log(observations):,.0f} a second of CPU"
    for arms in (2, 4, 10):
        for kind, bounded in (("Beta", True), ("Normal-Inverse-Gamma", False)):
            known, rng = earned(arms, bounded=bounded), np.random.default_rng(0)
            spent = fastest(lambda known=known, rng=rng: Thompson().shares(known, rng), 20)  # type: ignore[misc]
            yield f"weights of {arms} arms, {kind}: {spent * 1e6:,.0f} µs of CPU, {1 / spent:,.0f} a second"


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--observations", type=int, default=200_000)
    for line in rows(parser.parse_args().observations):
        print(line)


if __name__ == "__main__":
    main()
