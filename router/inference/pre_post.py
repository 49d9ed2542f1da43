"""Before and after: an interrupted time series, where nothing was randomised.

Responsible for: how far a series lies from what its own past, its trend and its season said it would be.
Does not know: experiments.

Rules: pure. Whatever else changed at that moment is in the effect, and each result says so. Noise is an autoregression
of first order; its coefficient solves the moment equation that holds for residuals of this very regression, because
residuals of few points look less correlated than noise is. Errors that are consistent under any autocorrelation (HAC)
reject far too often for such series (docs/statistics.md has the numbers).
"""

from collections.abc import Callable, Sequence
from math import isfinite
from typing import Final

import numpy as np
import numpy.typing as npt
import statsmodels.api as sm
from msgspec import Struct
from scipy.linalg import matmul_toeplitz
from scipy.optimize import brentq
from scipy.special import stdtr, stdtrit
from statsmodels.stats.diagnostic import acorr_ljungbox

from router.analysis.estimate import Estimate, NotEnough
from router.inference.difference import p_of
from router.inference.effect import Asked, Effect, Interval, Relative

Floats = npt.NDArray[np.float64]

LONGEST: Final = 20_000
"""Points; more are to be summed into wider ones."""

_LEAST_AFTER: Final = 2
_STEEPEST: Final = 0.98
_LOST: Final = 1e-10


class Series(Struct, frozen=True):
    """Values at even distances, such as a metric's daily means.

    Attributes:
        values: In order, without gaps.
        change: How many of them lie before the change.
        season: Points in a season, such as 7 of days or 24 of hours; 1 for none.
        trend: Whether a straight line through the whole is allowed for.
    """

    values: Sequence[float]
    change: int
    season: int = 7
    trend: bool = True


def pre_post(series: Series, asked: Asked) -> Effect | NotEnough:
    """Return how far a series lies, after a change, from what it was.

    Args:
        series: The series.
        asked: Level of the interval.

    Returns:
        ``treatment`` is the mean after the change, ``control`` what it would have been.

    Raises:
        ValueError: If the change lies outside of the series, the season is below 1, or there are too many points.
    """
    values = np.asarray(series.values, np.float64)
    number = len(values)
    if number > LONGEST:
        raise ValueError(f"a series has at most {LONGEST} points; sum days or hours together")
    if not 0 <= series.change <= number or series.season < 1:
        raise ValueError("the change lies within the series, and a season has 1 point or more")
    if not np.isfinite(values).all():
        return NotEnough("a value is missing or not finite", number)
    after = number - series.change
    least = max(8, 2 * series.season)
    if series.change < least:
        return NotEnough(f"{series.change} points before the change, and it takes {least}: two seasons", number)
    if after < _LEAST_AFTER:
        return NotEnough(f"{after} points after the change, and it takes {_LEAST_AFTER}", number)
    design = _design(series, number)
    if number - design.shape[1] < 8:
        return NotEnough(f"{number} points are too few for a season of {series.season}", number)
    return _fit(series, values, design, asked)


def _design(series: Series, number: int) -> Floats:
    """Return the columns: level, step at the change, trend, season."""
    points = np.arange(number)
    columns = [np.ones(number), (points >= series.change).astype(float)]
    if series.trend:
        columns.append((points - points.mean()) / number)
    phases = points % series.season
    columns += [(phases == phase).astype(float) for phase in range(1, series.season)]
    return np.column_stack(columns)


def _fit(series: Series, values: Floats, design: Floats, asked: Asked) -> Effect | NotEnough:
    number = len(values)
    scale = float(np.abs(values).max()) or 1.0
    if scale > 1e150:
        return NotEnough("its values are too large to be squared", number)
    residuals = np.asarray(sm.OLS(values / scale, design).fit().resid)
    if float(np.abs(residuals).max()) <= _LOST:
        return NotEnough("it does not vary around its trend and season", number)
    correlation = autocorrelation(residuals, design)
    found = sm.GLSAR(values / scale, design, rho=np.array([correlation])).fit()
    value, error = float(found.params[1]) * scale, float(found.bse[1]) * scale
    if not (isfinite(error) and error > 0):
        return NotEnough("it does not vary around its trend and season", number)
    degrees = float(found.df_resid)
    reach = -float(stdtrit(degrees, asked.alpha / 2)) * error
    interval = Interval(value - reach, value + reach)
    mean = float(values[series.change :].mean())
    memory = float(acorr_ljungbox(np.asarray(found.wresid), lags=[min(10, number // 5)])["lb_pvalue"].iloc[0])
    return Effect(
        value=value,
        interval=interval,
        level=1 - asked.alpha,
        relative=_relative(value, mean, interval, number),
        p=p_of(float(stdtr(degrees, -abs(value / error)))),
        standard_error=error,
        treatment=Estimate(mean, None, number - series.change),
        control=Estimate(mean - value, error, series.change),
        method="pre/post",
        basis="fixed horizon",
        notes=_notes(series, correlation, memory),
        degrees_of_freedom=degrees,
    )


def autocorrelation(residuals: Floats, design: Floats) -> float:
    """Return the coefficient of a first-order autoregression whose residuals would be as correlated as these.

    With M the projection off the design and V the noise's correlation, the mean of e'Le over that of e'e is
    tr(MVML)/tr(MV), where L shifts by one; it is below the coefficient, the more so the more columns there are.

    Args:
        residuals: Of ordinary least squares.
        design: The regressors.

    Returns:
        Between -0.9 and 0.98.
    """
    seen = float(residuals[1:] @ residuals[:-1] / (residuals @ residuals))
    basis, _ = np.linalg.qr(design)

    def excess(coefficient: float) -> float:
        return _expected(coefficient, basis) - seen

    return _between(excess, -0.9, _STEEPEST)


def _expected(coefficient: float, basis: Floats) -> float:
    """Return tr(MVML)/tr(MV) for M = 1 - QQ', from the diagonals alone: V is a Toeplitz matrix."""
    number = len(basis)
    cross = matmul_toeplitz(np.power(coefficient, np.arange(number)), basis)
    both = basis @ (basis.T @ cross)
    diagonal = number + float(np.sum(both * basis) - 2 * np.sum(basis * cross))
    beside = np.sum(both[:-1] * basis[1:] - basis[:-1] * cross[1:] - cross[:-1] * basis[1:])
    return ((number - 1) * coefficient + float(beside)) / diagonal


def _between(excess: Callable[[float], float], low: float, high: float) -> float:
    if excess(low) >= 0:
        return low
    return high if excess(high) <= 0 else float(brentq(excess, low, high, xtol=1e-4))


def _relative(value: float, mean: float, interval: Interval, number: int) -> Relative | NotEnough:
    """Return the effect over what the mean would have been: effects e are shares e/|mean - e|, mean as it was seen."""
    ends = interval.low or 0.0, interval.high or 0.0
    baselines = [mean - each for each in (*ends, value)]
    if not (all(each > 0 for each in baselines) or all(each < 0 for each in baselines)):
        return NotEnough("what it would have been cannot be told from 0", number)
    low, high = sorted(end / abs(mean - end) for end in ends)
    share = value / abs(mean - value)
    if not all(map(isfinite, (low, high, share))):
        return NotEnough("what it would have been cannot be told from 0", number)
    return Relative(share, Interval(low, high))


def _notes(series: Series, correlation: float, memory: float) -> tuple[str, ...]:
    notes = [
        "pre/post: nothing was randomised; whatever else changed at that moment is in the effect.",
        f"Noise of neighbouring points correlates by {correlation:.2f}.",
    ]
    if memory < 0.01:
        notes.append("Its noise remembers more than one point: the interval is too narrow.")
    if correlation >= _STEEPEST:
        notes.append("Its noise wanders as a random walk does: the interval is not to be relied on.")
    if not series.trend:
        notes.append("No trend was allowed for: a trend of its own is taken for an effect.")
    return tuple(notes)
