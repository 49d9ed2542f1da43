"""How often a chart is wrong, and the limit for which it is so rarely enough.

Responsible for: average run lengths (ARL) of the charts over a stream of independent standard normal points, and
solving them for the limit.
Does not know: streams whose points are not like that; what those do is measured (``benchmarks/detectors.py``).

The run length of a chart is how many points it takes to its first alarm. Its mean solves a Fredholm equation of the
second kind, L(u) = 1 + integral of L(x) over where the next point leads from u (Page 1954 for CUSUM, Crowder 1987 for
EWMA): solved at Gauss-Legendre nodes. Where both directions count, 1 / ARL of a CUSUM is the sum of both sides' (van
Dobben de Bruyn 1968).
"""

from collections.abc import Callable
from functools import lru_cache
from math import erfc, log, sqrt
from statistics import NormalDist
from typing import Final

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from router.detect.chart import Chart, Cusum, Direction, Ewma, PageHinkley, Shewhart

_NODES: Final = 80
_LOWEST: Final = 9.0  # standard deviations of an EWMA: so far down a one-sided one practically never is
_SOLVED: Final = 256  # limits kept; one for each way in which a configuration watches
_CLOSE: Final = 1e-4  # of the logarithm of a run length
_STEPS: Final = 50
_LEAST_POINTS: Final = 2.0
_MOST_POINTS: Final = 1e9

_Array = NDArray[np.float64]


def run_length(chart: Chart, shift: float = 0.0, direction: Direction = "both") -> float:
    """Return the average number of points to the first alarm.

    Args:
        chart: The chart.
        shift: Mean of the points, in standard deviations, from the first on.
        direction: Where changes matter.
    """
    if isinstance(chart, Shewhart):
        up, down = _beyond(chart.limit - shift), _beyond(chart.limit + shift)
        return 1 / (up if direction == "up" else down if direction == "down" else up + down)
    if isinstance(chart, Ewma):
        return _ewma(chart, -shift if direction == "down" else shift, both=direction == "both")
    slack, limit = (chart.slack, chart.limit) if isinstance(chart, Cusum) else (chart.delta, chart.threshold)
    sides = {"up": (1,), "down": (-1,), "both": (1, -1)}[direction]
    return 1 / sum(1 / _cusum(slack, limit, side * shift) for side in sides)


@lru_cache(maxsize=_SOLVED)
def with_run_length(chart: Chart, points: float, direction: Direction = "both") -> Chart:
    """Return the chart with the limit for which its run length in control is a number of points.

    Args:
        chart: The chart; its limit does not matter.
        points: From 2 to 10^9; beyond, the nearest of those.
        direction: Where changes matter.
    """
    points = min(max(points, _LEAST_POINTS), _MOST_POINTS)
    if isinstance(chart, Shewhart):
        share = 1 / points / (2 if direction == "both" else 1)
        return Shewhart(max(1e-3, -NormalDist().inv_cdf(share)))
    name = "threshold" if isinstance(chart, PageHinkley) else "limit"

    def rises(limit: float) -> float:
        return log(run_length(replace(chart, **{name: limit}), 0.0, direction))

    return replace(chart, **{name: _solved(rises, log(points))})


def _solved(rises: Callable[[float], float], wanted: float) -> float:
    """Return where a function that rises, nearly in a straight line, has a value: by false position (Illinois)."""
    low, high = 1e-3, 4.0
    below, above = rises(low) - wanted, rises(high) - wanted
    while above < 0:
        low, below, high = high, above, high * 2
        above = rises(high) - wanted
    if below >= 0:
        return low
    found = high
    for _ in range(_STEPS):
        found = (low * above - high * below) / (above - below)
        value = rises(found) - wanted
        if abs(value) < _CLOSE:
            break
        if value > 0:
            high, above, below = found, value, below / 2
        else:
            low, below, above = found, value, above / 2
    return found


def _cusum(slack: float, limit: float, shift: float) -> float:
    """Solve Page's equation: from u the next sum is max(0, u + z - slack)."""
    nodes, weights = _quadrature(0.0, limit)
    points = np.concatenate(([0.0], nodes))
    kernel = np.zeros((len(points), len(points)))
    kernel[:, 0] = [_beyond(u - slack + shift) for u in points]
    kernel[:, 1:] = _density(nodes[None, :] - points[:, None] + slack - shift) * weights
    return _solve(kernel, 0)


def _ewma(chart: Ewma, shift: float, *, both: bool) -> float:
    """Solve Crowder's equation: from u the next mean is (1 - weight) u + weight z."""
    reach = chart.reach
    low = -reach if both else -_LOWEST * sqrt(chart.weight / (2 - chart.weight)) + min(0.0, shift)
    nodes, weights = _quadrature(low, reach)
    points = np.concatenate(([0.0], nodes))
    kernel = np.zeros((len(points), len(points)))
    ahead = (nodes[None, :] - (1 - chart.weight) * points[:, None]) / chart.weight
    kernel[:, 1:] = _density(ahead - shift) * weights / chart.weight
    return _solve(kernel, 0)


def _solve(kernel: _Array, at: int) -> float:
    lengths = np.linalg.solve(np.eye(len(kernel)) - kernel, np.ones(len(kernel)))
    found = float(lengths[at])
    # Beyond what doubles can tell from never.
    return found if 1 <= found < _MOST_POINTS * 1e3 else _MOST_POINTS * 1e3


def _quadrature(low: float, high: float) -> tuple[_Array, _Array]:
    nodes, weights = _legendre()
    half = (high - low) / 2
    return low + half * (nodes + 1), weights * half


@lru_cache(maxsize=1)
def _legendre() -> tuple[_Array, _Array]:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return nodes, weights


def _density(values: _Array) -> _Array:
    found: _Array = np.exp(-(values**2) / 2) / sqrt(2 * np.pi)
    return found


def _beyond(limit: float) -> float:
    return erfc(limit / sqrt(2)) / 2
