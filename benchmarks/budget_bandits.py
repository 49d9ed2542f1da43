"""Error budget of effects under a bandit: propensity-weighted sequences under Thompson sampling.

Responsible for: level, and coverage at the moment of stopping, of weighted sequences; what plain means do there.
Does not know: the product's allocators: a Beta-Bernoulli posterior is drawn here, with a floor by mixing.
"""

from collections.abc import Iterator
from math import sqrt
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from benchmarks.budget import Line
from router.analysis.aggregates import Aggregate, Moments
from router.analysis.estimate import NotEnough
from router.config.schema import Metric
from router.inference import adaptive, always_valid
from router.inference.effect import Asked, Effect

Floats = npt.NDArray[np.float64]

ASKED: Final = Asked()
CTR: Final = Metric(name="ctr", kind="mean", goal="up", outcome="click")
BATCHES: Final = 60
BATCH: Final = 200


def lines(scale: float, random: np.random.Generator) -> Iterator[Line]:
    """Run the simulations."""
    runs = round(1000 * scale)
    for one, two, floor in ((0.3, 0.3, 0.01), (0.3, 0.3, 0.1), (0.05, 0.05, 0.05)):
        weighted, plain, effects = _run(random, (one, two), floor, runs)
        setting = f"no effect, both {one:.0%}, Thompson with a floor of {floor:.0%}, {BATCHES} looks"
        yield Line("propensity-weighted confidence sequence", setting, runs, weighted, 0.05, 0.01)
        text = f"{plain / runs:.2%} reject; mean of the last effects {effects / runs:+.4f}"
        yield Line("the plain sequence there, misused", "the same logs", runs, plain, 1, 0, "shown", text)
    for one, two, floor in ((0.35, 0.3, 0.05), (0.3, 0.35, 0.01)):
        weighted, _plain, _mean = _run(random, (one, two), floor, runs)
        setting = f"{one:.0%} against {two:.0%}, floor {floor:.0%}, at each of {BATCHES} looks"
        yield Line("propensity-weighted confidence sequence", setting, runs, runs - weighted, 0.95, 0.01, "least")


def _run(random: np.random.Generator, chances: tuple[float, float], floor: float, runs: int) -> tuple[int, int, float]:
    """Return how many weighted and how many plain sequences ever miss the true effect, and the sum of plain effects."""
    misses = [0, 0]
    last = 0.0
    for _ in range(runs):
        sums = np.zeros((2, 6))
        missed = [False, False]
        for _batch in range(BATCHES):
            share = floor + (1 - 2 * floor) * _better(sums)
            treated = int(random.binomial(BATCH, share))
            for side, (n, propensity) in enumerate(((treated, share), (BATCH - treated, 1 - share))):
                hits, w = int(random.binomial(n, chances[side])), 1 / propensity
                sums[side] += (n, hits, w * hits, w * w * hits, w * n, w * w * n)
            for index, found in enumerate(_compared(sums)):
                missed[index] |= isinstance(found, Effect) and not found.interval.holds(chances[0] - chances[1])
        last += sums[0, 1] / max(1, sums[0, 0]) - sums[1, 1] / max(1, sums[1, 0])
        misses = [count + one for count, one in zip(misses, missed, strict=True)]
    return misses[0], misses[1], last


def _better(sums: Floats) -> float:
    """Return the posterior chance that the first arm is better, by a normal approximation of both beta posteriors."""
    n, hits = sums[:, 0] + 2, sums[:, 1] + 1
    mean = hits / n
    spread = sqrt(float((mean * (1 - mean) / (n + 1)).sum()))
    return float(ndtr((mean[0] - mean[1]) / spread))


def _compared(sums: Floats) -> tuple[Effect | NotEnough, Effect | NotEnough]:
    arms = [
        Aggregate(
            units=Moments(int(n), float(hits), float(hits)),
            weighted=Moments(int(n), float(wy), float(wwy), float(wx), float(wwx), float(wwy)),
        )
        for n, hits, wy, wwy, wx, wwx in sums
    ]
    return adaptive.compare(CTR, arms[0], arms[1], ASKED), always_valid.compare(CTR, arms[0], arms[1], ASKED)
