"""The Mann-Whitney test: whether values of one arm tend to be larger, whatever their distribution.

Responsible for: the test on values, by scipy, and on sketches, with the buckets as ties.
Does not know: means and quantiles, which it says nothing about: it compares P(treatment > control) with one half.

Rules: pure. Values are independent: those of a sketch of exchanges are not, and such a metric is refused. The p-value
assumes that both arms have the same distribution where nothing differs.
"""

from collections.abc import Sequence
from math import isfinite, sqrt

from msgspec import Struct
from scipy.special import ndtr
from scipy.stats import mannwhitneyu

from router.analysis.aggregates import Aggregate
from router.analysis.estimate import NotEnough
from router.config.schema import Metric
from router.inference.difference import p_of


class Ranks(Struct, frozen=True):
    """What the Mann-Whitney test found.

    Attributes:
        u: Its statistic: pairs in which treatment's value is the larger, ties counting half.
        probability: The same as a share of all pairs: P(treatment > control) + P(equal) / 2.
        p: Two-sided p-value.
        exact: Whether p is that of all orders, rather than of the normal distribution.
        n: Values in both arms.
    """

    u: float
    probability: float
    p: float
    exact: bool
    n: int


def of_values(treatment: Sequence[float], control: Sequence[float]) -> Ranks | NotEnough:
    """Test values; exactly for few of them without ties.

    Args:
        treatment: Values of the arm; finite, independent.
        control: Control's.

    Raises:
        ValueError: If a value is not finite.
    """
    pooled = [*treatment, *control]
    if not all(isfinite(value) for value in pooled):
        raise ValueError("values have to be finite")
    if not len(treatment) or not len(control):
        return NotEnough("an arm has no values", len(pooled))
    if min(pooled) == max(pooled):
        return NotEnough("its values do not vary", len(pooled))
    exact = min(len(treatment), len(control)) <= 8 and len(set(pooled)) == len(pooled)
    found = mannwhitneyu(treatment, control, method="exact" if exact else "asymptotic")
    u = float(found.statistic)
    return Ranks(u, u / len(treatment) / len(control), float(found.pvalue), exact, len(pooled))


def of_sketches(metric: Metric, treatment: Aggregate, control: Aggregate) -> Ranks | NotEnough:
    """Test distributions, with the buckets of their sketches as ties.

    Args:
        metric: A quantile of outcomes, whose sketch has a value for each unit.
        treatment: What is known of the arm.
        control: What is known of control.
    """
    if metric.exchange is not None or treatment.clusters is not None or control.clusters is not None:
        return NotEnough("its values are not independent: several are of one unit", 0)
    one = {} if treatment.sketch is None else dict(treatment.sketch.counts)
    two = {} if control.sketch is None else dict(control.sketch.counts)
    n, m = sum(one.values()), sum(two.values())
    if not n or not m:
        return NotEnough("an arm has no values", n + m)
    u, below, ties = 0.0, 0, 0
    for bucket in sorted({*one, *two}):
        here = two.get(bucket, 0)
        u += one.get(bucket, 0) * (below + here / 2)
        below += here
        both = one.get(bucket, 0) + here
        ties += both * both * both - both
    total = n + m
    variance = n * m / 12 * (total + 1 - ties / (total * (total - 1)))
    if variance <= 1e-9 * n * m:
        return NotEnough("its values do not vary", total)
    # With the correction for continuity, as scipy does.
    distance = max(0.0, abs(u - n * m / 2) - 0.5) / sqrt(variance)
    return Ranks(u, u / n / m, p_of(float(ndtr(-distance))), exact=False, n=total)
