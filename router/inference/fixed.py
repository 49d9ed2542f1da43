"""Fixed-horizon comparisons of two arms: which metric takes which test.

Responsible for: the choice of the method from the kind of the metric and from what is known of its arms.
Does not know: how a method works, when a result may be read (``readable``), many questions at once (``corrections``).

| what is known | method |
|---|---|
| proportion, retention, funnel over units | z-test of two proportions; Fisher's exact for small counts |
| mean, count | Welch's t |
| ratio | delta method |
| any but quantiles, units holding several users | cluster-robust t |
| a covariate, units independent | CUPED, with the unadjusted effect beside it |
| quantile | ranks of the sketch, robust to exchanges of one unit |

Rules: pure. Intervals are two-sided. The result is valid once, at a size or time chosen beforehand.
"""

from router.analysis.aggregates import Aggregate
from router.analysis.estimate import NotEnough
from router.config.schema import Metric
from router.inference import adjusted, difference, proportions, quantiles
from router.inference.effect import Asked, Effect

COUNTED = ("proportion", "retention", "funnel")
"""Kinds whose values are 0 and 1."""


def compare(metric: Metric, treatment: Aggregate, control: Aggregate, asked: Asked) -> Effect | NotEnough:
    """Compare an arm with control by the test of the metric's kind.

    Args:
        metric: The metric.
        treatment: What is known of the arm.
        control: What is known of control.
        asked: Level of the interval.

    Raises:
        ValueError: If the arms were capped at different values, or only one of them has clusters.
    """
    check(treatment, control)
    if metric.kind == "quantile":
        return quantiles.compare(metric, treatment, control, asked)
    if metric.kind in COUNTED and treatment.clusters is None and control.clusters is None:
        plain = proportions.compare(treatment, control, asked)
    else:
        plain = difference.compare(metric, treatment, control, asked)
    if metric.covariate is None or isinstance(plain, NotEnough) or treatment.clusters is not None:
        return plain
    return adjusted.compare(metric, treatment, control, plain, asked)


def check(treatment: Aggregate, control: Aggregate) -> None:
    """Refuse arms that cannot be compared.

    Raises:
        ValueError: If they were capped at different values, or only one of them has clusters though both have units.
    """
    if treatment.cap is not None and control.cap is not None and treatment.cap != control.cap:
        raise ValueError(f"arms capped at {treatment.cap} and at {control.cap} do not compare; fold both with one cap")
    both = treatment.units.n and control.units.n
    if both and (treatment.clusters is None) != (control.clusters is None):
        raise ValueError("one arm has clusters and the other has none; fold both in one way")
