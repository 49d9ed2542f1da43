"""A check for interference: do units randomised one by one show the same effect as whole clusters?

Responsible for: the comparison of two effects of one treatment, estimated at two levels of randomisation.
Does not know: how either was estimated, how clusters were made.

Rules: pure. Units are first divided at random between the two designs. Without interference both effects estimate the
same thing, and their difference has mean 0; with it, units influence each other across arms in one design, and only
within clusters in the other (Saveski, Pouget-Abadie, Saint-Jacques, Duan, Ghosh, Xu and Airoldi, KDD 2017). That is
Hausman's test (1978) of two independent estimates: nothing is refuted by a difference that is not seen.
"""

from math import isfinite, sqrt

from scipy.special import stdtr, stdtrit

from router.analysis.estimate import Estimate, NotEnough
from router.inference.difference import p_of, satterthwaite
from router.inference.effect import Asked, Effect, Interval

_LARGE = 1e9  # degrees of freedom of a normal distribution


def interference(unit: Effect | NotEnough, cluster: Effect | NotEnough, asked: Asked) -> Effect | NotEnough:
    """Compare the effect by clusters with that by units, in one metric.

    Args:
        unit: The effect where units were randomised one by one, with its standard error.
        cluster: The effect where clusters were randomised, with a cluster-robust one; of other units.
        asked: Level of the interval.

    Returns:
        The difference, cluster less unit. ``treatment`` is the effect by clusters and ``control`` that by units.
    """
    if isinstance(unit, NotEnough):
        return NotEnough(f"by units: {unit.reason}", unit.n)
    if isinstance(cluster, NotEnough):
        return NotEnough(f"by clusters: {cluster.reason}", cluster.n)
    errors = unit.standard_error, cluster.standard_error
    total = unit.treatment.n + unit.control.n + cluster.treatment.n + cluster.control.n
    if errors[0] is None or errors[1] is None:
        return NotEnough("an effect has no standard error", total)
    variances = errors[0] ** 2, errors[1] ** 2
    variance = sum(variances)
    if not (isfinite(variance) and variance > 0):
        return NotEnough("its effects do not vary", total)
    degrees = satterthwaite(
        (variances[0] / variance, variances[1] / variance),
        (unit.degrees_of_freedom or _LARGE, cluster.degrees_of_freedom or _LARGE),
    )
    value, error = cluster.value - unit.value, sqrt(variance)
    reach = -float(stdtrit(degrees, asked.alpha / 2)) * error
    p = p_of(float(stdtr(degrees, -abs(value / error))))
    seen = "Units influence each other" if p < asked.alpha else "No interference is seen, which does not refute it"
    return Effect(
        value=value,
        interval=Interval(value - reach, value + reach),
        level=1 - asked.alpha,
        relative=NotEnough("a difference of effects has no baseline", total),
        p=p,
        standard_error=error,
        treatment=Estimate(cluster.value, errors[1], cluster.treatment.n + cluster.control.n),
        control=Estimate(unit.value, errors[0], unit.treatment.n + unit.control.n),
        method="two-level check for interference",
        basis="fixed horizon",
        notes=(f"{seen}: the effect by clusters less that by units.",),
        degrees_of_freedom=degrees,
    )
