"""The numbers of an offline check, each as a function of how often each request counts.

Responsible for: which numbers there are, their formulas, and which kind of interval each has.
Does not know: intervals, verdicts.

============================  ==========================================================================================
failures                      share of requests without a usable answer
agreement                     share of comparable answers that agree
accuracy                      share of labelled requests whose prediction is the label; no answer is wrong
precision(C) recall(C) f1(C)  of class C: of predictions C, of labels C, and 2 TP/(2 TP + FP + FN)
precision recall f1           their means over the classes that labels have (macro)
balanced_accuracy             the same as recall
log_loss brier                means of -ln of the label's chance, and of the squared distance of chances from what is so
ece                           expected calibration error: mean |confidence - share right| over ten bins of confidence
mae rmse                      mean absolute error, and root of the mean squared one, where there is an answer
p50 p90 p95 p99 p99.9         quantiles of latency, of usable answers
============================  ==========================================================================================

Rules: pure. The formulas are those of scikit-learn with ``zero_division=0``; a class that nobody predicts has precision
0. With all weights 1 a number is its estimate; with weights of a resample it is that of the resample.
"""

from collections.abc import Callable
from typing import Any, Final, Literal

import numpy as np
from msgspec import Struct

from router.evaluate.sides import Bools, Floats, Ints, Labels, Side

QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
BINS: Final = 10
MOST_SHOWN: Final = 50
"""Classes that are told one by one; macro numbers are over all."""


class Statistic(Struct, frozen=True):
    """A number.

    Attributes:
        name: What it is called.
        of: Its value with the requests weighted; NaN where not defined.
        kind: Which interval fits.
        values: Of ``share`` (0 and 1), ``mean``, ``root_mean`` and ``quantile``: what it is of, for each request.
        mask: Which requests it is of.
        q: The quantile.
        least: Of numbers over classes: requests with a label of the rarest class.
    """

    name: str
    of: Callable[[Floats], float]
    kind: Literal["share", "mean", "root_mean", "quantile", "other"]
    values: Floats
    mask: Bools
    q: float = 0.0
    least: int = 0


def statistics(side: Side, labels: Labels) -> list[Statistic]:
    """Return the numbers that can be computed from a side."""
    everything = np.ones(len(side.usable), dtype=bool)
    found = [_average("failures", "share", (~side.usable).astype(float), everything)]
    if side.compared.any():
        found.append(_average("agreement", "share", side.agree.astype(float), side.compared))
    if labels.known.any():
        found += _numeric(side, labels) if labels.numeric else _classes(side, labels)
    if side.timed.any():
        found += [_quantile(name, q, side) for name, q in QUANTILES.items()]
    return found


def calibration_bins(side: Side) -> list[Bools]:
    """Return for each of ten ranges of confidence whose it is; 1 is in the last."""
    places = np.minimum((np.nan_to_num(side.confidence, nan=-1.0) * BINS).astype(int), BINS - 1)
    known = ~np.isnan(side.confidence)
    return [known & (places == number) for number in range(BINS)]


def _average(name: str, kind: Literal["share", "mean", "root_mean"], values: Floats, mask: Bools) -> Statistic:
    kept = np.where(mask, values, 0.0)
    weighed = mask.astype(float)

    def of(weights: Floats) -> float:
        total = float(weights @ weighed)
        found = float(weights @ kept) / total if total > 0 else float("nan")
        return found**0.5 if kind == "root_mean" else found

    return Statistic(name, of, kind, values, mask)


def _quantile(name: str, q: float, side: Side) -> Statistic:
    order = np.argsort(side.seconds, kind="stable")
    order = order[side.timed[order]]
    ordered = side.seconds[order]

    def of(weights: Floats) -> float:
        reached = np.cumsum(weights[order])
        if not len(reached) or reached[-1] <= 0:
            return float("nan")
        return float(ordered[min(int(np.searchsorted(reached, q * reached[-1])), len(ordered) - 1)])

    return Statistic(name, of, "quantile", side.seconds, side.timed, q)


def _numeric(side: Side, labels: Labels) -> list[Statistic]:
    mask = labels.known & side.usable & ~np.isnan(side.numbers)
    if not mask.any():
        return []
    error = np.where(mask, side.numbers - labels.numbers, 0.0)
    return [
        _average("mae", "mean", np.abs(error), mask),
        _average("rmse", "root_mean", error**2, mask),
    ]


def _classes(side: Side, labels: Labels) -> list[Statistic]:
    known, codes = labels.known, np.where(side.usable, side.codes, len(labels.classes))
    right = (known & (codes == labels.codes)).astype(float)
    found = [_average("accuracy", "share", right, known)]
    table = _Table(labels.codes, codes, known, len(labels.classes))
    sizes = np.bincount(labels.codes[known], minlength=len(labels.classes))
    least = int(sizes.min())
    found += [
        Statistic(name, table.macro(name), "other", right, known, least=least)
        for name in ("precision", "recall", "f1", "balanced_accuracy")
    ]
    for place, label in enumerate(labels.classes[:MOST_SHOWN]):
        found += [
            _average(f"precision({label})", "share", right, known & (codes == place)),
            _average(f"recall({label})", "share", right, known & (labels.codes == place)),
            Statistic(
                f"f1({label})",
                table.f1(place),
                "other",
                right,
                known & ((labels.codes == place) | (codes == place)),
                least=int(sizes[place]),
            ),
        ]
    chances = ~np.isnan(side.log_loss) & known
    if chances.any():
        found += [
            _average("log_loss", "mean", np.nan_to_num(side.log_loss), chances),
            _average("brier", "mean", np.nan_to_num(side.brier), chances),
            Statistic("ece", _calibration_error(side), "other", np.nan_to_num(side.confidence), chances),
        ]
    return found


class _Table:
    """Weighted counts of labels and predictions."""

    def __init__(self, truth: Ints, codes: Ints, known: Bools, classes: int) -> None:
        self._rows = np.flatnonzero(known)
        self._truth = truth[self._rows]
        self._codes = codes[self._rows]
        self._right = self._truth == self._codes
        self._count = classes
        self._last: Floats | None = None  # weights that sums are of: all statistics of a draw share them
        self._known: tuple[Any, Any, Any] = (None, None, None)

    def _sums(self, weights: Floats) -> tuple[Any, Any, Any]:
        """Return labels, predictions and hits of each class."""
        if weights is not self._last:
            kept = weights[self._rows]
            labels = np.bincount(self._truth, weights=kept, minlength=self._count)
            said = np.bincount(self._codes, weights=kept, minlength=self._count + 1)[: self._count]
            hits = np.bincount(self._truth, weights=kept * self._right, minlength=self._count)
            self._last, self._known = weights, (labels, said, hits)
        return self._known

    def macro(self, name: str) -> Callable[[Floats], float]:
        def of(weights: Floats) -> float:
            labels, said, hits = self._sums(weights)
            below = {"precision": said, "f1": labels + said}.get(name, labels)
            above = 2 * hits if name == "f1" else hits
            # A resample may lack a class; the others stand for it.
            there = labels > 0
            if not there.any():
                return float("nan")
            return float((above[there] / np.where(below > 0, below, 1.0)[there]).mean())

        return of

    def f1(self, place: int) -> Callable[[Floats], float]:
        def of(weights: Floats) -> float:
            labels, said, hits = self._sums(weights)
            below = float(labels[place] + said[place])
            return float(2 * hits[place]) / below if below > 0 else float("nan")

        return of


def _calibration_error(side: Side) -> Callable[[Floats], float]:
    bins = [np.flatnonzero(found) for found in calibration_bins(side)]

    def of(weights: Floats) -> float:
        total = error = 0.0
        for rows in bins:
            kept = weights[rows]
            total += float(kept.sum())
            error += abs(float(kept @ side.confidence[rows]) - float(kept @ side.likeliest[rows]))
        return error / total if total > 0 else float("nan")

    return of
