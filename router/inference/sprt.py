"""Wald's sequential probability ratio test: no effect against an effect of a given size, at any time.

Responsible for: log-likelihood ratios, the boundaries that they are held to, what is expected of a test beforehand.
Does not know: how long a test may last; a p-value or an interval, which a test between two points has none of.

With log-likelihood ratio L of the alternative over the null, and A = (1 - beta)/alpha, B = beta/(1 - alpha):

    L >= ln A    reject the null             L <= ln B    accept it             otherwise continue

(Wald, Sequential Analysis, 1947). These are Wald's approximate boundaries, which leave out by how much L oversteps: the
errors that they give are at most alpha/(1 - beta) and beta/(1 - alpha), and their sum is at most alpha + beta.

For two arms L = theta/V (d - theta/2) of a difference d with variance V, theta being the effect in the direction that
is better. d is near normal and V is estimated, so it is asymptotic, and takes the burn-in of a confidence sequence.

Rules: pure. Whoever looks several times is bound by the first look that decides (``first``).
"""

from collections.abc import Iterable
from math import expm1, inf, isfinite, log, log1p
from typing import Literal

from msgspec import Struct

from router.analysis.aggregates import Aggregate
from router.analysis.estimate import NotEnough
from router.config.schema import Metric
from router.inference import always_valid, confidence_sequence
from router.inference.effect import Asked, Effect

Decision = Literal["accept", "reject", "continue"]
"""What becomes of the null: that there is no effect, or the smaller value."""


class Errors(Struct, frozen=True):
    """How often a test may be wrong.

    Attributes:
        alpha: Share of rejections under the null, one-sided.
        beta: Share of acceptances under the alternative; 1 - power.
    """

    alpha: float = 0.05
    beta: float = 0.2

    def __post_init__(self) -> None:
        """Refuse what makes no test.

        Raises:
            ValueError: If an error is no share, or both add up to 1.
        """
        if not (0 < self.alpha < 1 and 0 < self.beta < 1 and self.alpha + self.beta < 1):
            raise ValueError(f"errors lie between 0 and 1 and add up to less, not {self.alpha} and {self.beta}")

    @property
    def upper(self) -> float:
        """The value ln A, at and above which the null is rejected."""
        return log1p(-self.beta) - log(self.alpha)

    @property
    def lower(self) -> float:
        """The value ln B, at and below which the null is accepted."""
        return log(self.beta) - log1p(-self.alpha)


class Sizes(Struct, frozen=True):
    """How many observations a test takes on average, by Wald's approximation.

    Attributes:
        null: When the null is true.
        alternative: When the alternative is.
    """

    null: float
    alternative: float


class Point(Struct, frozen=True):
    """What a test does for one true value (operating characteristic and average sample number).

    Attributes:
        value: The true chance.
        accepted: Chance that the null is accepted.
        size: Observations on average.
    """

    value: float
    accepted: float
    size: float


class Verdict(Struct, frozen=True, tag="sprt"):
    """What the test says now.

    Attributes:
        decision: About the null that there is no effect.
        evidence: The log-likelihood ratio L.
        upper: ln A.
        lower: ln B.
        expected: Units of both arms that such a test takes on average, at the present ratio of arms and variance.
        effect: The effect and its interval, valid at any time, beside the test.
        reason: What was compared, for a person.
    """

    decision: Decision
    evidence: float
    upper: float
    lower: float
    expected: Sizes
    effect: Effect
    reason: str


def decide(evidence: float, errors: Errors) -> Decision:
    """Return what becomes of the null.

    Args:
        evidence: The log-likelihood ratio; infinite when an observation was impossible under one of both.
        errors: How often the test may be wrong.

    Raises:
        ValueError: If the evidence is not a number.
    """
    if evidence != evidence:  # noqa: PLR0124 - only NaN differs from itself
        raise ValueError("evidence is a number")
    return "reject" if evidence >= errors.upper else "accept" if evidence <= errors.lower else "continue"


def bernoulli(successes: int, n: int, p0: float, p1: float) -> float:
    """Return the log-likelihood ratio of a chance p1 over p0.

    Args:
        successes: Of the observations.
        n: Observations.
        p0: Chance under the null, above 0 and below 1.
        p1: Chance under the alternative, likewise.

    Raises:
        ValueError: If there are more successes than observations, or a chance is none.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}")
    _chances(p0, p1)
    return successes * log(p1 / p0) + (n - successes) * (log1p(-p1) - log1p(-p0))


def normal(total: float, n: int, mean0: float, mean1: float, deviation: float) -> float:
    """Return the log-likelihood ratio of a mean over another, of normal observations.

    Args:
        total: Sum of the observations.
        n: Observations.
        mean0: Mean under the null.
        mean1: Mean under the alternative.
        deviation: Standard deviation, known or estimated, above 0.

    Raises:
        ValueError: If the deviation is not above 0 or there are fewer than 0 observations.
    """
    if not 0 < deviation < inf or n < 0:
        raise ValueError(f"{n} observations with a deviation of {deviation}")
    return (mean1 - mean0) / (deviation * deviation) * (total - n * (mean0 + mean1) / 2)


def difference(value: float, variance: float, effect: float) -> float:
    """Return the log-likelihood ratio of an effect over none, of a normal difference.

    Args:
        value: The difference.
        variance: Of it, above 0.
        effect: The alternative, with its sign.

    Raises:
        ValueError: If the variance is not above 0.
    """
    if not 0 < variance < inf:
        raise ValueError(f"a variance is above 0, not {variance}")
    return effect / variance * (value - effect / 2)


def expected(errors: Errors, null: float, alternative: float) -> Sizes:
    """Return how many observations a test takes on average.

    Args:
        errors: How often the test may be wrong.
        null: Mean of one observation's log-likelihood ratio when the null is true, below 0.
        alternative: The same when the alternative is, above 0.

    Raises:
        ValueError: If the means do not point to their hypotheses.
    """
    if not (null < 0 < alternative):
        raise ValueError(
            f"mean evidence is below 0 under the null and above under the alternative: {null}, {alternative}"
        )
    alpha, beta, upper, lower = errors.alpha, errors.beta, errors.upper, errors.lower
    return Sizes(
        ((1 - alpha) * lower + alpha * upper) / null,
        (beta * lower + (1 - beta) * upper) / alternative,
    )


def expected_bernoulli(errors: Errors, p0: float, p1: float) -> Sizes:
    """Return how many observations a test of a chance takes on average; see ``expected``."""
    _chances(p0, p1)
    hit, miss = log(p1 / p0), log1p(-p1) - log1p(-p0)
    return expected(errors, p0 * hit + (1 - p0) * miss, p1 * hit + (1 - p1) * miss)


def expected_normal(errors: Errors, mean0: float, mean1: float, deviation: float) -> Sizes:
    """Return how many observations a test of a normal mean takes on average; see ``expected``."""
    if not 0 < deviation < inf:
        raise ValueError(f"a deviation is above 0, not {deviation}")
    mean = ((mean1 - mean0) / deviation) ** 2 / 2
    return expected(errors, -mean, mean)


def characteristic(errors: Errors, p0: float, p1: float, h: float) -> Point:
    """Return what a test of a chance does for one true chance, which Wald's parameter h stands for.

    Args:
        errors: How often the test may be wrong.
        p0: Chance under the null.
        p1: Chance under the alternative.
        h: 1 is the null, -1 the alternative, 0 the chance where evidence stands still; any real number.
    """
    _chances(p0, p1)
    hit, miss, upper, lower = log(p1 / p0), log1p(-p1) - log1p(-p0), errors.upper, errors.lower
    if abs(h) < 1e-5:  # below it, digits cancel
        p = miss / (miss - hit)
        return Point(p, upper / (upper - lower), -upper * lower / (p * hit * hit + (1 - p) * miss * miss))
    p = _grown(h * miss) / (_grown(h * miss) - _grown(h * hit))
    accepted = _grown(h * upper) / (_grown(h * upper) - _grown(h * lower))
    return Point(p, accepted, (accepted * lower + (1 - accepted) * upper) / (p * hit + (1 - p) * miss))


def compare(
    metric: Metric, treatment: Aggregate, control: Aggregate, errors: Errors, effect: float
) -> Verdict | NotEnough:
    """Test whether an arm is better than control by an effect, or by none.

    Args:
        metric: The metric; no quantile. Its goal says which direction is better.
        treatment: What is known of the arm.
        control: What is known of control.
        errors: How often the test may be wrong.
        effect: The alternative: how much better, absolute and in the metric's unit, above 0.

    Raises:
        ValueError: If the effect is not above 0, or the metric is a quantile.
    """
    if metric.kind == "quantile":
        raise ValueError("there is no likelihood ratio of quantiles: use method sequential")
    if not 0 < effect < inf:
        raise ValueError(f"an effect is above 0, not {effect}")
    asked = Asked(errors.alpha, effect)
    shown = always_valid.compare(metric, treatment, control, asked)
    found = confidence_sequence.compare(metric, treatment, control, asked)
    if isinstance(shown, NotEnough):
        return shown
    if isinstance(found, NotEnough):
        return found
    units, variance = treatment.units.n + control.units.n, (found.standard_error or 0.0) ** 2
    if not 0 < variance < inf:
        return NotEnough("its values vary too little or too much to be squared", units)
    signed = effect if metric.goal == "up" else -effect
    evidence = difference(found.value, variance, signed)
    mean = effect / variance * (effect / 2) / units
    if not isfinite(evidence) or not 0 < mean < inf:
        return NotEnough("the effect is out of proportion to the data", units)
    decision = decide(evidence, errors)
    return Verdict(
        decision=decision,
        evidence=evidence,
        upper=errors.upper,
        lower=errors.lower,
        expected=expected(errors, -mean, mean),
        effect=shown,
        reason=_reason(decision, evidence, errors, signed),
    )


def first(looks: Iterable[Verdict | NotEnough]) -> Verdict | None:
    """Return the first look that decided: what comes later does not count; None when none did."""
    return next((look for look in looks if isinstance(look, Verdict) and look.decision != "continue"), None)


def _reason(decision: Decision, evidence: float, errors: Errors, effect: float) -> str:
    said = {
        "reject": f"the data prefer an effect of {effect:+g} to none",
        "accept": f"the data prefer no effect to one of {effect:+g}",
        "continue": f"the data do not tell an effect of {effect:+g} from none yet",
    }
    return f"{said[decision]}: ln L is {evidence:.3f}, between ln B = {errors.lower:.3f} and ln A = {errors.upper:.3f}"


def _chances(p0: float, p1: float) -> None:
    if not (0 < p0 < 1 and 0 < p1 < 1) or p0 == p1:
        raise ValueError(f"chances lie between 0 and 1 and differ, not {p0} and {p1}")


def _grown(value: float) -> float:
    """Return e^value - 1, at most what floating point holds."""
    return expm1(min(value, 700.0))
