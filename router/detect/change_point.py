"""Change points: whether the latest points are better told as two levels than as one.

Responsible for: looking through a window of points with PELT, and how sure a change is.
Does not know: where the points come from.

PELT (Killick, Fearnhead & Eckley 2012) finds the changes of mean whose costs, squared error plus a penalty for each
change, are least; ``ruptures`` has it. Points are in normal units, so the gain of a change that is none is chi-square
with one degree of freedom at each place, and at all places of a window together, by Bonferroni's inequality, beyond the
penalty at most as often as stated. With a linear kernel the cost is the same, and the search is in C: 0.1 ms for a
window instead of 70.

Rules: the window is looked through every ``stride`` points. Pure but for the library, which is imported when it is
needed: ``MISSING`` says how to get it.
"""

from statistics import NormalDist
from typing import Annotated, Final

import numpy as np
from msgspec import Meta, Struct
from msgspec.structs import replace

from router.detect.chart import Direction, Level

MISSING: Final = "change points need ruptures: pip install router[watch]"
CALM: Final = 3.0  # standard deviations of a mean: nearer to the old level than that, a change is over


class ChangePoint(Struct, frozen=True, tag="change_point"):
    """A change of level within a window of points, by PELT. Says when it happened; late, and sure.

    Attributes:
        penalty: Gain that a change must have, in squared standard deviations.
        window: Points that are looked through.
        stride: Points between two looks.
        least: Points that a level lasts at least.
    """

    penalty: Annotated[float, Meta(gt=0, le=10_000)] = 25.0
    window: Annotated[int, Meta(ge=20, le=1000)] = 120
    stride: Annotated[int, Meta(ge=1, le=1000)] = 5
    least: Annotated[int, Meta(ge=2, le=100)] = 5


def with_rate(chart: ChangePoint, points: float) -> ChangePoint:
    """Return the detector with the penalty for which it is wrong at most once in a number of points.

    Args:
        chart: The detector; its penalty does not matter.
        points: How many.
    """
    # Each look asks at as many places as the window has; the next look asks at most of them again.
    share = chart.stride / max(points, 2.0) / chart.window
    return replace(chart, penalty=NormalDist().inv_cdf(max(share, 1e-15) / 2) ** 2)


def look(chart: ChangePoint, points: tuple[float, ...], direction: Direction = "both") -> Level:
    """Look through a window.

    Args:
        chart: The detector.
        points: The window, oldest first, standard normal while nothing changes.
        direction: Where changes matter.

    Raises:
        ImportError: If ``ruptures`` is not installed.
    """
    import ruptures  # noqa: PLC0415 - see the module's rules

    values = np.asarray(points)
    if len(values) < 2 * chart.least:
        return Level(0.0, "up")
    best, side = _best(values, chart.least)
    found = ruptures.KernelCPD(kernel="linear", min_size=chart.least, jump=1).fit(values).predict(pen=chart.penalty)
    if len(found) > 1:
        before = values[found[-3] if len(found) > 2 else 0 : found[-2]]
        side = float(values[found[-2] :].mean() - before.mean())
        best = max(best, chart.penalty * 1.001)
    name: Direction = "up" if side >= 0 else "down"
    share = best / chart.penalty
    if direction not in ("both", name):
        share = min(share, 1.0)
    return Level(share, "up" if side >= 0 else "down")


def still(points: tuple[float, ...], least: int) -> Level:
    """Say whether the latest points are still away from the level before a change."""
    values = points[-least:]
    off = sum(values) / len(values) * len(values) ** 0.5 / CALM if values else 0.0
    return Level(abs(off), "up" if off >= 0 else "down")


def _best(values: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]", least: int) -> tuple[float, float]:
    """Return the gain of the best single change, and by how much the level changes there."""
    count = len(values)
    at = np.arange(least, count - least + 1)
    sums = np.cumsum(values)
    before, after = sums[at - 1] / at, (sums[-1] - sums[at - 1]) / (count - at)
    gains = at * (count - at) / count * (after - before) ** 2
    best = int(np.argmax(gains))
    return float(gains[best]), float(after[best] - before[best])
