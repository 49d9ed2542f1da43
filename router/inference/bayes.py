"""Bayesian answers beside the tests: chance to win, expected loss, credible interval.

Responsible for: posteriors of proportions (Beta-Binomial) and of effects (Normal), and what follows from them.
Does not know: when to decide: unlike an always-valid interval, these numbers do not stay right under peeking.

Proportions: Beta(1, 1) on each arm unless another prior is given, so Beta(1 + x, 1 + n - x) afterwards. All others: the
effect is taken as Normal around its estimate, with a flat prior unless a Normal one is given. Losses are those of
Stucchio (2015). Integrals are sums over a grid of both posteriors, 4001 points each over all but 1e-12 of their mass;
nothing is drawn, so the same sums give the same numbers.

Rules: pure. Up is better or worse as the metric's goal says. An empty arm is ``NotEnough``, though a prior alone would
give numbers.
"""

from collections.abc import Mapping, Sequence
from math import exp, pi, sqrt
from typing import Any, Final

import numpy as np
from msgspec import Struct
from scipy.optimize import brentq
from scipy.special import betainc, betaincinv, expit, ndtr, ndtri

from router.analysis.aggregates import Aggregate
from router.analysis.estimate import NotEnough
from router.config.schema import Metric
from router.inference.difference import arm
from router.inference.effect import Asked, Effect, Interval
from router.inference.fixed import COUNTED, compare
from router.inference.proportions import count

POINTS: Final = 4001
TAIL: Final = 1e-12

Floats = np.ndarray[Any, np.dtype[np.float64]]


class Beta(Struct, frozen=True):
    """A Beta distribution: of a proportion, as a prior or a posterior.

    Attributes:
        a: Successes, and those that the prior is worth; above 0.
        b: Failures, likewise.
    """

    a: float = 1.0
    b: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what is no distribution.

        Raises:
            ValueError: If a parameter is not above 0 and finite.
        """
        if not (0 < self.a < float("inf") and 0 < self.b < float("inf")):
            raise ValueError(f"the parameters of a Beta distribution are above 0 and finite, not {self.a} and {self.b}")

    def grid(self) -> Floats:
        """Return points, equally far from each other as log odds, that hold all but a trace of the mass."""
        low = max(float(betaincinv(self.a, self.b, TAIL)), 1e-300)
        high = max(float(betaincinv(self.b, self.a, TAIL)), 1e-300)
        return np.asarray(expit(np.linspace(np.log(low) - np.log1p(-low), np.log1p(-high) - np.log(high), POINTS)))


class Normal(Struct, frozen=True):
    """A Normal prior of an effect, in the metric's unit.

    Attributes:
        mean: Of effects of such changes; 0 believes in none.
        sd: Their standard deviation; above 0.
    """

    mean: float
    sd: float

    def __post_init__(self) -> None:
        """Refuse what is no distribution.

        Raises:
            ValueError: If a parameter is not finite, or sd not above 0.
        """
        if not (0 < self.sd < float("inf") and abs(self.mean) < float("inf")):
            raise ValueError(f"a Normal prior has a finite mean and an sd above 0, not {self.mean} and {self.sd}")


class Posterior(Struct, frozen=True):
    """What is believed of an effect.

    Attributes:
        chance_to_win: Probability that treatment is better than control, as the goal says.
        expected_loss: What treatment is worse by, on average, if it is chosen; 0 where it is better. In the metric's
            unit, at least 0.
        expected_loss_of_control: The same if control is kept.
        interval: Credible interval of treatment less control, with equal tails.
        level: What it holds.
        prior: What was believed before, for a person.
    """

    chance_to_win: float
    expected_loss: float
    expected_loss_of_control: float
    interval: Interval
    level: float
    prior: str


def beside(
    metric: Metric, treatment: Aggregate, control: Aggregate, asked: Asked, prior: Beta | Normal | None = None
) -> Posterior | NotEnough:
    """Return what is believed of an effect: of proportions over independent units by Beta-Binomial, else by Normal.

    Args:
        metric: The metric.
        treatment: What is known of the arm.
        control: What is known of control.
        asked: 1 - alpha is what the interval holds.
        prior: A ``Beta`` for proportions, of each arm; a ``Normal`` for effects of all others. None is Beta(1, 1), or
            flat.

    Raises:
        ValueError: If the prior is of the other kind.
    """
    if _counted(metric, treatment) and _counted(metric, control):
        if isinstance(prior, Normal):
            raise ValueError("the prior of a proportion is a Beta distribution")
        return _of_counts(metric, (treatment, control), asked, prior or Beta())
    if isinstance(prior, Beta):
        raise ValueError("the prior of an effect is a Normal distribution")  # noqa: TRY004 - it is of the wrong metric
    found = compare(metric, treatment, control, asked)
    return found if isinstance(found, NotEnough) else of_effect(found, metric.goal, asked, prior)


def of_effect(effect: Effect, goal: str, asked: Asked, prior: Normal | None = None) -> Posterior | NotEnough:
    """Return what is believed of an effect that is Normal around its estimate.

    Args:
        effect: What was found.
        goal: Which direction is better.
        asked: 1 - alpha is what the interval holds.
        prior: Of the effect; None is flat.
    """
    if effect.standard_error is None or effect.standard_error <= 0:
        return NotEnough("its method has no standard error", effect.treatment.n + effect.control.n)
    mean, sd = effect.value, effect.standard_error
    if prior is not None:
        precise = 1 / (sd * sd), 1 / (prior.sd * prior.sd)
        mean = (mean * precise[0] + prior.mean * precise[1]) / sum(precise)
        sd = 1 / sqrt(sum(precise))
    reach = -float(ndtri(asked.alpha / 2))
    better = mean / sd if goal == "up" else -mean / sd
    density = exp(-better * better / 2) / sqrt(2 * pi)
    return Posterior(
        chance_to_win=float(ndtr(better)),
        expected_loss=max(0.0, sd * (density - better * float(ndtr(-better)))),
        expected_loss_of_control=max(0.0, sd * (density + better * float(ndtr(better)))),
        interval=Interval(mean - reach * sd, mean + reach * sd),
        level=1 - asked.alpha,
        prior="flat" if prior is None else f"Normal({prior.mean:g}, {prior.sd:g})",
    )


def best(metric: Metric, arms: Mapping[str, Aggregate], prior: Beta | None = None) -> Mapping[str, float] | NotEnough:
    """Return each arm's chance to be the best of all.

    Args:
        metric: The metric; no quantile.
        arms: Name to what is known of the arm; control is one of them.
        prior: Of each proportion; None is Beta(1, 1). Means and ratios have a flat one.

    Returns:
        Chances that add up to 1.
    """
    if metric.kind == "quantile":
        return NotEnough("quantiles have no posterior here", 0)
    curves = [_curve(metric, known, prior or Beta()) for known in arms.values()]
    for name, curve in zip(arms, curves, strict=True):
        if isinstance(curve, NotEnough):
            return NotEnough(f"{name}: {curve.reason}", curve.n)
    known = [curve for curve in curves if not isinstance(curve, NotEnough)]
    grid = np.unique(np.concatenate([curve[0] for curve in known]))
    with np.errstate(over="ignore"):
        below = [curve[1](grid) for curve in known]
    if metric.goal == "down":
        below = [1 - cumulated[::-1] for cumulated in below]
    chances = []
    for place, cumulated in enumerate(below):
        others = np.prod([other for at, other in enumerate(below) if at != place], axis=0) * np.ones_like(grid)
        chances.append(float(np.sum(np.diff(cumulated) * (others[1:] + others[:-1]) / 2)))
    whole = sum(chances)
    return {name: chance / whole for name, chance in zip(arms, chances, strict=True)}


def _curve(metric: Metric, known: Aggregate, prior: Beta) -> tuple[Floats, Any] | NotEnough:
    """Return points and cumulative distribution of an arm's value."""
    if _counted(metric, known):
        counted = count(known)
        if isinstance(counted, NotEnough):
            return counted
        after = Beta(prior.a + counted[0], prior.b + counted[1] - counted[0])
        return after.grid(), lambda grid: betainc(after.a, after.b, grid)
    found = arm(metric, known)
    if isinstance(found, NotEnough):
        return found
    if found.variance <= 0:
        return NotEnough("its values do not vary, or by less than sums can tell", found.estimate.n)
    mean, sd = found.estimate.value, sqrt(found.variance)
    return mean + sd * np.linspace(-8.5, 8.5, POINTS), lambda grid: ndtr((grid - mean) / sd)


def _counted(metric: Metric, known: Aggregate) -> bool:
    return metric.kind in COUNTED and known.clusters is None and metric.covariate is None


def _of_counts(metric: Metric, arms: Sequence[Aggregate], asked: Asked, prior: Beta) -> Posterior | NotEnough:
    counted = [count(known) for known in arms]
    for name, found in zip(("treatment", "control"), counted, strict=True):
        if isinstance(found, NotEnough):
            return NotEnough(f"{name}: {found.reason}", found.n)
    one, two = (Beta(prior.a + x, prior.b + n - x) for x, n in (found for found in counted if isinstance(found, tuple)))
    grid = np.unique(np.concatenate([one.grid(), two.grid()]))
    first, second = betainc(one.a, one.b, grid), betainc(two.a, two.b, grid)
    above = float(np.sum(np.diff(first) * (second[1:] + second[:-1]) / 2))
    under = float(np.trapezoid(first * (1 - second), grid))
    over = float(np.trapezoid(second * (1 - first), grid))
    up = metric.goal == "up"
    return Posterior(
        chance_to_win=min(1.0, max(0.0, above if up else 1 - above)),
        expected_loss=max(0.0, under if up else over),
        expected_loss_of_control=max(0.0, over if up else under),
        interval=_credible(one, two, asked.alpha),
        level=1 - asked.alpha,
        prior=f"Beta({prior.a:g}, {prior.b:g})",
    )


def _credible(one: Beta, two: Beta, alpha: float) -> Interval:
    """Return the equal-tailed interval of the difference of two proportions."""
    if (one.a, one.b) < (two.a, two.b):  # one order, so that relabelling negates it exactly
        found = _credible(two, one, alpha)
        return Interval(-(found.high or 0.0), -(found.low or 0.0))
    grid = one.grid()
    mass = np.diff(betainc(one.a, one.b, grid))
    middles = (grid[1:] + grid[:-1]) / 2

    def below(difference: float) -> float:
        """Return the probability that the first less the second is at most this."""
        return float(np.sum(mass * (1 - betainc(two.a, two.b, np.clip(middles - difference, 0, 1)))))

    low, high = (
        # Beyond the grid's own tails there is nothing to search for.
        float(brentq(lambda at, share=share: below(at) - share, -1.0, 1.0, xtol=1e-12))
        if below(-1.0) < share < below(1.0)
        else edge
        for share, edge in ((alpha / 2, -1.0), (1 - alpha / 2, 1.0))
    )
    return Interval(-high, high) if one == two else Interval(low, high)
