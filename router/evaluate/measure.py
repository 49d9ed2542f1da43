"""The numbers of a target with their intervals, and those of target and baseline side by side.

Responsible for: which interval each number gets, and what is said where there is none.
Does not know: requirements, files.

Two sides are compared request by request: both are resampled together, so that what makes a request hard for both does
not widen the interval of the difference. For shares of right answers there is McNemar's exact test as well.

Rules: pure; a generator is given.
"""

from collections.abc import Collection, Sequence
from typing import Final

import numpy as np
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from router.evaluate import intervals
from router.evaluate.sides import Bools, Floats, Ints, Labels, Side, paired
from router.evaluate.statistics import BINS, Statistic, calibration_bins, statistics
from router.events.evaluated import Bin, Compared, Measured

_METHODS: Final = {
    "share": "Wilson score",
    "mean": "Student t",
    "root_mean": "Student t",
    "quantile": "order statistics",
    "other": "bootstrap percentiles",
}
TOLD: Final = frozenset(
    {
        "failures", "agreement", "accuracy", "precision", "recall", "f1", "log_loss", "brier", "ece", "mae", "rmse",
        "p50", "p99",
    }
)  # fmt: skip
"""Numbers that are compared with a baseline even where nobody asks for them."""


class Draw:
    """What intervals are made of: units, level, generator."""

    def __init__(self, units: Ints | None, alpha: float, generator: np.random.Generator) -> None:
        self.units = units
        self.alpha = alpha
        self.generator = generator


def measure(side: Side, labels: Labels, how: Draw) -> tuple[Measured, ...]:
    """Return the numbers of a side."""
    found = statistics(side, labels)
    ones = np.ones(len(side.usable))
    others = [statistic for statistic in found if statistic.kind == "other"]
    units = _rows(side) if how.units is None else how.units
    enough = len(np.unique(units)) >= intervals.FEWEST
    drawn = intervals.draw([other.of for other in others], units, how.generator) if others and enough else None
    columns = {other.name: place for place, other in enumerate(others)}
    measured = []
    for statistic in found:
        if not statistic.mask.any():
            measured.append(Measured(name=statistic.name, value=None, n=0, reason="there are no such requests"))
            continue
        ends, reason = _ends(statistic, how), ""
        if statistic.kind == "other" and ends is None:
            ends = None if drawn is None else intervals.percentiles(drawn[:, columns[statistic.name]], how.alpha)
            reason = "" if ends is not None else _why(enough=enough)
        measured.append(_measured(statistic, ones, ends, reason))
    return tuple(measured)


def compare(
    candidate: Side, baseline: Side, labels: Labels, how: Draw, wanted: Collection[str]
) -> tuple[Compared, ...]:
    """Return numbers of both sides, with the difference and the ratio.

    Args:
        candidate: The target.
        baseline: What it is compared with.
        labels: Of the requests.
        how: What intervals are made of.
        wanted: Names of numbers besides those that are always told.
    """
    one, other = paired(candidate, baseline)
    theirs = {statistic.name: statistic for statistic in statistics(other, labels)}
    pairs = [
        (statistic, theirs[statistic.name])
        for statistic in statistics(one, labels)
        if statistic.name in theirs and (statistic.name in TOLD or statistic.name in wanted)
    ]
    units = _rows(one) if how.units is None else how.units
    enough = len(np.unique(units)) >= intervals.FEWEST
    drawn = None
    if enough and pairs:
        both = [statistic.of for pair in pairs for statistic in pair]
        drawn = intervals.draw(both, units, how.generator)
    return tuple(
        _compared(pair, None if drawn is None else drawn[:, 2 * place : 2 * place + 2], how.alpha, enough=enough)
        for place, pair in enumerate(pairs)
    )


def calibration(side: Side) -> tuple[Bin, ...]:
    """Return confidence beside what is so, over ten ranges."""
    found = []
    for place, mask in enumerate(calibration_bins(side)):
        n, right = int(mask.sum()), int(side.likeliest[mask].sum())
        if n:
            low, high = proportion_confint(right, n, method="wilson")
            found.append(
                Bin(
                    low=place / BINS,
                    high=(place + 1) / BINS,
                    n=n,
                    confidence=float(side.confidence[mask].mean()),
                    right=right / n,
                    right_low=float(low),
                    right_high=float(high),
                )
            )
    return tuple(found)


def _ends(statistic: Statistic, how: Draw) -> intervals.Ends | None:
    mask = statistic.mask
    units = None if how.units is None else np.unique(how.units[mask], return_inverse=True)[1]
    values = statistic.values[mask]
    if statistic.kind == "share":
        return intervals.share(values > 0, units, how.alpha)
    if statistic.kind == "quantile":
        return intervals.quantile(values, statistic.q, how.alpha)
    if statistic.kind == "other":
        # Where nothing is wrong resampling knows no error; what is right of a class is what its size allows.
        least = statistic.least if units is None else min(statistic.least, int(units.max()) + 1)
        perfect = least > 0 and bool((values > 0).all())
        return intervals.share(np.ones(least, dtype=bool), None, how.alpha) if perfect else None
    ends = intervals.mean(values, units, how.alpha)
    if ends is None or statistic.kind == "mean":
        return ends
    return max(0.0, ends[0]) ** 0.5, max(0.0, ends[1]) ** 0.5


def _measured(statistic: Statistic, ones: Floats, ends: intervals.Ends | None, reason: str) -> Measured:
    value = statistic.of(ones)
    n = int(statistic.mask.sum())
    if not np.isfinite(value):
        return Measured(name=statistic.name, value=None, n=n, reason="it is not defined for these requests")
    if ends is None:
        return Measured(name=statistic.name, value=value, n=n, reason=reason or "too few requests for an interval")
    method = _METHODS[statistic.kind]
    return Measured(name=statistic.name, value=value, low=ends[0], high=ends[1], n=n, method=method)


def _compared(pair: tuple[Statistic, Statistic], drawn: Floats | None, alpha: float, *, enough: bool) -> Compared:
    one, other = pair
    ones = np.ones(len(one.mask))
    values = one.of(ones), other.of(ones)
    n = int((one.mask & other.mask).sum())
    if not np.isfinite(values).all():
        return Compared(name=one.name, candidate=None, baseline=None, n=n, reason="it is not defined for both")
    ratio = values[0] / values[1] if values[1] > 0 else None
    ends = ratios = None
    method = "paired bootstrap percentiles"
    if drawn is not None:
        ends = intervals.percentiles(drawn[:, 0] - drawn[:, 1], alpha)
        if ends is None and one.kind == "share":  # no request that they differ on: as if they were not paired
            ends, method = _unpaired(one, other, alpha), "Newcombe"
        if ratio is not None and (drawn[:, 1] > 0).all():
            ratios = intervals.percentiles(drawn[:, 0] / drawn[:, 1], alpha)
    p: float | None = None
    only: tuple[int | None, int | None] = (None, None)
    if one.name in ("accuracy", "agreement"):
        p, only = _mcnemar(one.values[one.mask & other.mask] > 0, other.values[one.mask & other.mask] > 0)
    return Compared(
        name=one.name,
        candidate=values[0],
        baseline=values[1],
        difference=values[0] - values[1],
        low=ends[0] if ends else None,
        high=ends[1] if ends else None,
        ratio=ratio,
        ratio_low=ratios[0] if ratios else None,
        ratio_high=ratios[1] if ratios else None,
        p=p,
        only_candidate=only[0],
        only_baseline=only[1],
        n=n,
        method=method if ends else "",
        reason="" if ends else _why(enough=enough),
    )


def _unpaired(one: Statistic, other: Statistic, alpha: float) -> intervals.Ends:
    """Return the interval of a difference of independent shares, wider than one of paired requests."""
    counts = [(int(each.values[each.mask].sum()), int(each.mask.sum())) for each in (one, other)]
    (right, n), (theirs, m) = counts
    low, high = confint_proportions_2indep(right, n, theirs, m, method="newcomb", alpha=alpha)
    return float(low), float(high)


def _mcnemar(one: Bools, other: Bools) -> tuple[float, tuple[int, int]]:
    only = int((one & ~other).sum()), int((other & ~one).sum())
    table = [[int((one & other).sum()), only[0]], [only[1], int((~one & ~other).sum())]]
    return (float(mcnemar(table, exact=True).pvalue) if sum(only) else 1.0), only


def _rows(side: Side) -> Ints:
    return np.arange(len(side.usable))


def _why(*, enough: bool) -> str:
    if enough:
        return "it is the same in every resample, so how sure it is cannot be said"
    return f"fewer than {intervals.FEWEST} units to resample"


def coded(units: Sequence[str | None]) -> Ints | None:
    """Return a number for each unit, a request without one being its own; None where no request names one."""
    if all(unit is None for unit in units):
        return None
    known: dict[str, int] = {}
    codes = []
    for place, unit in enumerate(units):
        key = f"u{unit}" if unit is not None else f"r{place}"
        codes.append(known.setdefault(key, len(known)))
    return np.array(codes, dtype=np.int64)
