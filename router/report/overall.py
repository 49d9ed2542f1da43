"""The overall evaluation criterion: several metrics as one number, above 0 where the arm is better.

Responsible for: its value, its interval from the joint covariance of its metrics, what each metric gives, and how much
hangs on the weights.
Does not know: what follows from it.

    OEC = sum of w_i g_i (T_i - C_i)/|C_i|,      g_i = -1 where lower is better, sum of w_i = 1

with T_i of the arm and C_i of control, and by the delta method, with S_T and S_C the covariance matrices of the arms'
estimates (``covariance``)

    var(OEC) = a' S_T a + b' S_C b,      a_i = w_i g_i/|C_i|,      b_i = -w_i g_i sign(C_i) T_i/C_i^2

Where covariances are not known (units that hold several users), standard errors are added up, as if all metrics moved
together the worst way: never too narrow. An always-valid interval is an asymptotic confidence sequence
(``confidence_sequence.around``), tuned to the relative effect that matters.

Rules: pure. A metric whose control is 0 has no relative change, and then the criterion has no value.
"""

from collections.abc import Mapping, Sequence
from math import copysign, fsum, sqrt
from typing import Final, NamedTuple

from scipy.special import ndtri

from router.analysis.aggregates import Aggregate, Cell
from router.analysis.estimate import Estimate, NotEnough, estimate
from router.config.schema import Decide, Metric
from router.inference.confidence_sequence import around
from router.inference.effect import Asked, Basis, Effect, Interval
from router.report.covariance import matrix
from router.report.report import Overall, Part

LEAST_UNITS: Final = 100
ADDED: Final = "standard errors are added up, because covariances of clusters are not kept: wider than need be"


class _Term(NamedTuple):
    """One metric of the criterion: weight times goal, and the estimates of the arm and of control."""

    metric: Metric
    weight: float
    treatment: Estimate
    control: Estimate

    @property
    def change(self) -> float:
        """Relative change, above 0 where better."""
        sign = 1 if self.metric.goal == "up" else -1
        return sign * (self.treatment.value - self.control.value) / abs(self.control.value)


def overall(
    weights: Mapping[str, float],
    metrics: Mapping[str, Metric],
    cells: tuple[Cell, Cell],
    decide: Decide,
    basis: Basis,
) -> Overall | NotEnough:
    """Return the overall criterion of one arm.

    Args:
        weights: Metric to weight; they add up to 1.
        metrics: Metrics by name.
        cells: What is known of the arm, and of control.
        decide: Alpha, and the relative effect that matters.
        basis: When it is to be read: ``fixed horizon``, or else at any time.
    """
    terms = _terms(weights, metrics, cells)
    if isinstance(terms, NotEnough):
        return terms
    value = fsum(term.weight * term.change for term in terms)
    spread = _standard_error(terms, metrics, cells)
    if isinstance(spread, NotEnough):
        return spread
    error, notes = spread
    if basis == "fixed horizon":
        reach = float(ndtri(1 - decide.alpha / 2)) * error
        interval = Interval(value - reach, value + reach)
    else:
        units = min(term.treatment.n + term.control.n for term in terms)
        found = around(value, error, units, Asked(decide.alpha, decide.mde))
        if isinstance(found, NotEnough):
            return found
        interval = found.interval
    return Overall(
        value=value,
        interval=interval,
        level=1 - decide.alpha,
        standard_error=error,
        basis="fixed horizon" if basis == "fixed horizon" else "always valid",
        parts=_parts(terms, value),
        notes=notes,
    )


def weighted_overall(weights: Mapping[str, float], effects: Mapping[str, tuple[Metric, Effect]]) -> Overall | NotEnough:
    """Return the criterion of an arm of a bandit: the weighted sum of the relative intervals of its metrics.

    Sums of a bandit's observations are weighted by propensity each, and their covariances are not kept. Intervals at
    alpha/m each of m metrics hold all at once, and so does the range of their weighted sum.

    Args:
        weights: Metric to weight.
        effects: Metric to its effect at alpha/m; one for each weight.
    """
    low, high, terms = 0.0, 0.0, []
    for name, weight in weights.items():
        metric, effect = effects[name]
        relative = effect.relative
        if isinstance(relative, NotEnough) or relative.interval.low is None or relative.interval.high is None:
            reason = relative.reason if isinstance(relative, NotEnough) else "its relative interval has no end"
            return NotEnough(f"{name}: {reason}", effect.treatment.n + effect.control.n)
        sign = 1 if metric.goal == "up" else -1
        ends = sorted(sign * weight * end for end in (relative.interval.low, relative.interval.high))
        low, high = low + ends[0], high + ends[1]
        terms.append(_Term(metric, weight, effect.treatment, effect.control))
    value = fsum(term.weight * term.change for term in terms)
    level = 1 - fsum(1 - effect.level for _, effect in effects.values())
    return Overall(
        value=value,
        interval=Interval(low, high),
        level=level,
        standard_error=None,
        basis="always valid",
        parts=_parts(terms, value),
        notes=("put together from the intervals of its metrics, each at its share of alpha",),
    )


def _terms(
    weights: Mapping[str, float], metrics: Mapping[str, Metric], cells: tuple[Cell, Cell]
) -> list[_Term] | NotEnough:
    terms: list[_Term] = []
    for name, weight in weights.items():
        found = [estimate(metrics[name], cell.metrics.get(name, Aggregate())) for cell in cells]
        units = sum(each.n for each in found)
        for each in found:
            if isinstance(each, NotEnough):
                return NotEnough(f"{name}: {each.reason}", units)
        treatment, control = (each for each in found if isinstance(each, Estimate))
        if control.value == 0:
            return NotEnough(f"{name}: control is 0, so nothing is a share of it", units)
        least = min(treatment.n, control.n)
        if least < LEAST_UNITS:
            return NotEnough(f"{name}: an arm has {least} units; {LEAST_UNITS} are needed", units)
        terms.append(_Term(metrics[name], weight, treatment, control))
    return terms


def _standard_error(
    terms: Sequence[_Term], metrics: Mapping[str, Metric], cells: tuple[Cell, Cell]
) -> tuple[float, tuple[str, ...]] | NotEnough:
    """Return the standard error by the delta method, and what to note of it."""
    names = [term.metric.name for term in terms]
    slopes = [_slopes(term) for term in terms]
    known = [matrix(names, metrics, cell) for cell in cells]
    if known[0] is not None and known[1] is not None:
        variance = sum(
            fsum(one[arm] * other[arm] * table[i][j] for i, one in enumerate(slopes) for j, other in enumerate(slopes))
            for arm, table in enumerate(known)
            if table is not None
        )
        return sqrt(max(0.0, variance)), ()
    total = 0.0
    for term, (up, down) in zip(terms, slopes, strict=True):
        if term.treatment.standard_error is None or term.control.standard_error is None:
            return NotEnough(f"{term.metric.name}: its standard error is not known", term.treatment.n + term.control.n)
        total += sqrt((up * term.treatment.standard_error) ** 2 + (down * term.control.standard_error) ** 2)
    return total, (ADDED,)


def _slopes(term: _Term) -> tuple[float, float]:
    """Return how the criterion changes with the estimate of the arm, and with that of control."""
    sign = 1 if term.metric.goal == "up" else -1
    control, treatment = term.control.value, term.treatment.value
    share = term.weight * sign
    return share / abs(control), -share * copysign(1.0, control) * treatment / (control * control)


def _parts(terms: Sequence[_Term], value: float) -> tuple[Part, ...]:
    """Return what each metric gives, and how much hangs on its weight."""
    parts = []
    for term in terms:
        rest = None
        if term.weight < 1:
            rest = (value - term.weight * term.change) / (1 - term.weight)
        flips = None
        if rest is not None and rest != term.change:
            at = rest / (rest - term.change)
            flips = at if 0 < at < 1 else None
        parts.append(
            Part(metric=term.metric.name, weight=term.weight, change=term.change, flips_at=flips, without=rest)
        )
    return tuple(parts)
