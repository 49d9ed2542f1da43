"""Comparisons in which whole clusters, not units, were randomised: regions, tenants, slots of time.

Responsible for: the difference of two ratios of sums over clusters, adjusted for periods, with errors that hold for few
clusters.
Does not know: what a cluster is; the order of slots (``switchback``).

Rules: pure. Clusters are independent; units within them need not be. A cluster weighs what its denominator says, so
that each arm's value is the ratio of sums. Errors are CR2 of Bell and McCaffrey (2002), which for sums over clusters is
HC2 of the weighted regression (by statsmodels), with their degrees of freedom as Imbens and Kolesar (2016) write them.
"""

from collections.abc import Sequence
from math import isfinite, sqrt
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import statsmodels.api as sm
from msgspec import Struct
from scipy.special import stdtr, stdtrit

from router.analysis.estimate import Estimate, NotEnough
from router.inference.difference import FEWEST_CLUSTERS, fieller, p_of
from router.inference.effect import Asked, Effect, Interval

Floats = npt.NDArray[np.float64]

_ALONE: Final = 0.99  # leverage above which the others of an arm, or of a period, do not count
_TOO_LARGE: Final = 1e150  # whose square is no number
_LOST: Final = 1e-12  # a spread below this share of the values is rounding


class Cluster(Struct, frozen=True):
    """Sums over one cluster.

    Attributes:
        treated: Whether it had the treatment.
        y: Sum of the metric, or of a ratio's numerator.
        x: Observations, or the sum of a ratio's denominator; 0 for an empty cluster, which is left out.
        period: What it is compared within, such as an hour of the day; None for everything.
    """

    treated: bool
    y: float
    x: float = 1.0
    period: int | None = None


class Fitted(NamedTuple):
    """A coefficient of a regression over clusters.

    Attributes:
        value: The coefficient.
        base: The intercept: control's value.
        variances: Of the coefficient, of the intercept, and their covariance.
        degrees: Degrees of freedom of the coefficient's error.
    """

    value: float
    base: float
    variances: tuple[float, float, float]
    degrees: float


def compare(clusters: Sequence[Cluster], asked: Asked, method: str = "clusters, CR2") -> Effect | NotEnough:
    """Compare treated clusters with the others.

    Args:
        clusters: The clusters of both arms.
        asked: Level of the interval.
        method: Name of the method.

    Raises:
        ValueError: If a denominator is below 0.
    """
    kept, notes = usable(clusters)
    if isinstance(kept, NotEnough):
        return kept
    found = fit(kept, np.empty((len(kept), 0)), 1)
    if isinstance(found, NotEnough):
        return found
    return effect_of(found, arms_of(kept, found), asked, (method, notes))


def usable(clusters: Sequence[Cluster]) -> tuple[list[Cluster] | NotEnough, tuple[str, ...]]:
    """Return the clusters that can be compared, or why there are too few, and what was left out.

    Raises:
        ValueError: If a denominator is below 0.
    """
    if any(each.x < 0 for each in clusters):
        raise ValueError("the denominator of a cluster is 0 or above")
    total = len(clusters)
    if not all(isfinite(each.y) and isfinite(each.x) for each in clusters):
        return NotEnough("a cluster's sums are not finite", total), ()
    filled = [each for each in clusters if each.x > 0]
    both = {each.period for each in filled if each.treated} & {each.period for each in filled if not each.treated}
    kept = [each for each in filled if each.period in both]
    notes: list[str] = []
    if len(kept) < len(filled):
        alone = len(filled) - len(kept)
        notes.append(f"{alone} clusters were left out: their period saw only one of the arms.")
    for name, treated in (("treatment", True), ("control", False)):
        number = sum(each.treated is treated for each in kept)
        if number < FEWEST_CLUSTERS:
            return NotEnough(f"{name}: {number} clusters, and it takes {FEWEST_CLUSTERS}", total), ()
    return kept, tuple(notes)


def fit(clusters: Sequence[Cluster], more: Floats, column: int) -> Fitted | NotEnough:
    """Regress the clusters' values on treatment, periods and more, weighted by their denominators.

    Args:
        clusters: As ``usable`` keeps them.
        more: Further columns, (clusters, any).
        column: Whose coefficient is wanted: 1 is treatment, 2 the first of ``more``.
    """
    weights = np.array([each.x for each in clusters])
    values = np.array([each.y for each in clusters]) / weights
    weights = weights / weights.mean()
    periods = sorted({each.period for each in clusters}, key=str)
    dummies = np.array([[each.period == period for period in periods[1:]] for each in clusters], float)
    others = np.column_stack([more, dummies.reshape(len(clusters), -1)])
    others = others - np.average(others, axis=0, weights=weights)
    design = np.column_stack([np.ones(len(clusters)), [float(each.treated) for each in clusters], others])
    scale = float(np.abs(values).max()) or 1.0
    if not scale < _TOO_LARGE:
        return NotEnough("its values are too large to be squared", len(clusters))
    if np.linalg.matrix_rank(design) < design.shape[1]:
        return NotEnough("what is asked cannot be told from what it is adjusted for", len(clusters))
    root = np.sqrt(weights)
    basis, _ = np.linalg.qr(root[:, None] * design)
    if float(np.sum(basis * basis, axis=1).max()) > _ALONE:
        return NotEnough("a single cluster decides its arm's value", len(clusters))
    fitted = sm.OLS(root * values / scale, root[:, None] * design).fit()
    if float(np.abs(fitted.resid).max()) <= _LOST:
        return NotEnough("its values do not vary, or by less than sums can tell", len(clusters))
    covariance = np.asarray(fitted.cov_HC2) * scale * scale
    variances = (float(covariance[column, column]), float(covariance[0, 0]), float(covariance[0, column]))
    if not (isfinite(variances[0]) and variances[0] > 0):
        return NotEnough("its values do not vary, or by less than sums can tell", len(clusters))
    degrees = degrees_of_freedom(root[:, None] * design, column)
    return Fitted(float(fitted.params[column] * scale), float(fitted.params[0] * scale), variances, degrees)


def degrees_of_freedom(design: Floats, column: int) -> float:
    """Return the degrees of freedom of Bell and McCaffrey for a coefficient.

    Those of a chi-square with the mean and variance that the robust variance would have were all errors alike
    (Imbens and Kolesar 2016, equation 8).

    Args:
        design: The regressors, (clusters, columns), weighted.
        column: Of the coefficient.
    """
    inverse = np.linalg.pinv(design)
    basis, _ = np.linalg.qr(design)
    leverage = np.sum(basis * basis, axis=1)
    # With M = I - QQ' the projection off the design and a = (share)^2, the trace is that of M*a, and the sum of squares
    # a'(M∘M)a = Σa²(1-2h) + |Q'diag(a)Q|²: no matrix of clusters by clusters is made.
    squares = inverse[column] ** 2 / np.clip(1 - leverage, 1e-12, None)
    within = basis.T @ (squares[:, None] * basis)
    total = np.sum(squares * squares * (1 - 2 * leverage)) + np.sum(within * within)
    return float(np.sum(squares * (1 - leverage)) ** 2 / total)


def arms_of(clusters: Sequence[Cluster], found: Fitted) -> tuple[Estimate, Estimate]:
    """Return what each arm is at the periods that both share, with the clusters it is made of."""
    treated = sum(each.treated for each in clusters)
    error = sqrt(max(0.0, found.variances[1]))
    sums = found.variances[0] + found.variances[1] + 2 * found.variances[2]
    one = Estimate(found.base + found.value, sqrt(max(0.0, sums)), treated)
    return one, Estimate(found.base, error, len(clusters) - treated)


def effect_of(
    found: Fitted, arms: tuple[Estimate, Estimate], asked: Asked, named: tuple[str, tuple[str, ...]]
) -> Effect | NotEnough:
    """Return a coefficient as an effect; ``named`` is method and notes."""
    error = sqrt(found.variances[0])
    reach = -float(stdtrit(found.degrees, asked.alpha / 2))
    low, high = found.value - reach * error, found.value + reach * error
    if not (isfinite(low) and isfinite(high)):
        return NotEnough("its clusters are too few for an interval at this level", arms[0].n + arms[1].n)
    notes = named[1]
    if found.degrees < 10:
        notes = (*notes, f"The error rests on {found.degrees:.1f} degrees of freedom: few clusters, or uneven ones.")
    return Effect(
        value=found.value,
        interval=Interval(low, high),
        level=1 - asked.alpha,
        relative=fieller(found.value, arms[1], found.variances, reach),
        p=p_of(float(stdtr(found.degrees, -abs(found.value / error)))),
        standard_error=error,
        treatment=arms[0],
        control=arms[1],
        method=named[0],
        basis="fixed horizon",
        notes=notes,
        degrees_of_freedom=found.degrees,
    )
