"""How many units an experiment needs, what it finds with a number of them, and the smallest effect that it finds.

Responsible for: sample size, power and minimum detectable effect of fixed-sample and group-sequential designs.
Does not know: how long units take to come (``duration``), options, words for people.

Rules: superiority of proportions is tested with the pooled variance and has power by the unpooled one, as R's
power.prop.test and Fleiss, Levin and Paik (2003); margins are tested with the unpooled variance (Chow, Shao and Wang
2008). Only rejections in the direction of the effect count. Means use the noncentral t by statsmodels. Several looks
multiply the size by the inflation factor. Sizes are rounded up to whole units, arm by arm.
"""

from collections.abc import Callable
from math import ceil, inf, isfinite, sqrt
from typing import Final

from msgspec import Struct
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri
from statsmodels.stats.power import TTestIndPower

from router.design.question import Design
from router.design.variance import Mean, Metric
from router.inference.operating import drift_for, looks_of
from router.inference.operating import power as sequential_power

_LARGEST: Final = 1e15  # units; more is a slip of the pen
_SMALLEST: Final = 1e-100  # effect; whose square is still a number
_LARGE: Final = 1e6  # units of control from which on t is normal to within the rounding


class Sizes(Struct, frozen=True):
    """How many units are needed.

    Attributes:
        arms: Units of each arm, control first.
        total: Their sum.
        clusters: Clusters of each arm, where clusters are randomised.
        effect: What is found with them, in the metric's unit.
        inflation: What looking several times multiplies the size by; in the numbers above.
    """

    arms: tuple[int, ...]
    total: int
    clusters: tuple[int, ...] | None
    effect: float
    inflation: float


def sample_size(metric: Metric, effect: float, design: Design) -> Sizes:
    """Return the size with which each treatment is told from control.

    Args:
        metric: What is measured.
        effect: Of superiority, the difference to be found, other than 0; of margins, that assumed.
        design: Everything else.

    Raises:
        ValueError: If there is no such effect, or no size suffices.
    """
    _check(metric, effect, design)
    inflation = inflated(design)
    needed = max(
        control_units(metric, effect, design, share / design.shares[0]) / design.shares[0]
        for share in design.shares[1:]
    )
    total = needed * inflation * design.factor
    if not total < _LARGEST:
        raise ValueError(f"that takes {total:.2g} units, more than anybody has; look for a larger effect")
    arms = tuple(max(2, _up(total * share)) for share in design.shares)
    clusters = None
    if design.clusters is not None:
        size = design.clusters.size
        clusters = tuple(max(2, _up(total * share / size)) for share in design.shares)
        arms = tuple(_up(number * size) for number in clusters)
    return Sizes(arms, sum(arms), clusters, effect, inflation)


def power(metric: Metric, effect: float, design: Design, total: float) -> float:
    """Return the power of the comparison with the least.

    Args:
        metric: What is measured.
        effect: The true difference.
        design: Everything else; its power does not count.
        total: Units of all arms together.

    Raises:
        ValueError: If there is no such effect, or fewer than two units are in an arm.
    """
    _check(metric, effect, design)
    _check_total(design, total)
    control = total * design.shares[0] / design.factor
    ratio = min(design.shares[1:]) / design.shares[0]
    if design.boundaries is None:
        return _fixed_power(metric, effect, design, (control, ratio))
    bounds, critical = design.boundaries, -float(ndtri(design.rate))
    looks, least = looks_of(bounds), max(design.rate, design.test.level().rate)

    def units(drift: float) -> float:
        found = sequential_power(bounds, drift, looks)
        if not least < found < 1 - 1e-12:
            return 0.0 if found < 0.5 else inf
        asked = Design(design.test, found, design.shares)
        scale = drift / (critical + float(ndtri(found)))
        return control_units(metric, effect, asked, ratio) * scale**2

    low, high = 0.0, 1.0
    while units(high) < control:
        low, high = high, 2 * high
    drift = float(brentq(lambda value: min(units(value), 1e3 * control) - control, low, high, xtol=1e-9))
    return sequential_power(bounds, drift, looks)


def mde(metric: Metric, design: Design, total: float) -> float:
    """Return the smallest increase that is found with the design's power.

    Args:
        metric: What is measured.
        design: Everything else, of superiority.
        total: Units of all arms together.

    Raises:
        ValueError: If no effect is found with so few, or fewer than two units are in an arm.
    """
    if design.test.aim != "superiority":
        raise ValueError("with a margin, ask for power: the effect to be found is the margin")
    _check_total(design, total)
    control = total * design.shares[0] / design.factor / inflated(design)
    ratio = min(design.shares[1:]) / design.shares[0]
    lacking = ValueError(f"{total:g} units find no effect with a power of {design.power:g}; take more of them")
    if isinstance(metric, Mean):
        if control * (1 + ratio) <= 2:
            raise lacking
        unit = Mean(1.0, students=metric.students)
        found = _root(lambda size: _fixed_power(unit, size, design, (control, ratio)) - design.power, 1e-12, 1e9)
        return found * metric.sd
    _, most = metric.range()
    most *= 1 - 1e-12
    if _fixed_power(metric, most, design, (control, ratio)) < design.power:
        raise lacking
    return _root(lambda size: _fixed_power(metric, size, design, (control, ratio)) - design.power, most * 1e-12, most)


def inflated(design: Design) -> float:
    """Return what several looks multiply a size by."""
    bounds = design.boundaries
    if bounds is None:
        return 1.0
    fixed = -float(ndtri(design.rate)) + float(ndtri(design.power))
    return (drift_for(bounds, design.power) / fixed) ** 2 * bounds.information[-1]


def control_units(metric: Metric, effect: float, design: Design, ratio: float) -> float:
    """Return how many units control needs in a fixed sample, not rounded.

    Args:
        metric: What is measured.
        effect: The difference.
        design: Test and power.
        ratio: Units of the treatment for one of control.
    """
    critical, wanted = -float(ndtri(design.rate)), float(ndtri(design.power))
    null, alternative = metric.null(effect, ratio), metric.alternative(effect, ratio)
    if design.test.aim == "superiority":
        units = ((critical * sqrt(null) + wanted * sqrt(alternative)) / effect) ** 2
    elif design.test.aim == "non-inferiority":
        units = (critical + wanted) ** 2 * alternative / ((design.test.margin or 0) + effect) ** 2
    else:
        margin, spread = design.test.margin or 0, sqrt(alternative)

        def lacks(size: float) -> float:
            return _equivalence(margin, effect, spread / sqrt(size), critical) - design.power

        least = (critical * spread / margin) ** 2
        units = _root(lacks, least, 4 * (critical + 10) ** 2 * alternative / (margin - abs(effect)) ** 2)
    if not (isinstance(metric, Mean) and metric.students and units < _LARGE):
        return units

    def short(size: float) -> float:
        return _fixed_power(metric, effect, design, (size, ratio)) - design.power

    smallest = max(2 / (1 + ratio) * 1.0001, units * 0.5)
    return smallest if short(smallest) >= 0 else _root(short, smallest, 2 * units + 1000)


def _fixed_power(metric: Metric, effect: float, design: Design, units: tuple[float, float]) -> float:
    """Return the power with so many units of control, and so many of the treatment for each of them."""
    control, ratio = units
    critical = -float(ndtri(design.rate))
    error = sqrt(metric.alternative(effect, ratio) / control)
    margin = design.test.margin or 0.0
    if isinstance(metric, Mean) and metric.students and control < _LARGE:
        return _students(metric, effect, design, units)
    if design.test.aim == "superiority":
        null = sqrt(metric.null(effect, ratio) / control)
        return float(ndtr((abs(effect) - critical * null) / error))
    if design.test.aim == "non-inferiority":
        return float(ndtr((margin + effect) / error - critical))
    return _equivalence(margin, effect, error, critical)


def _students(metric: Mean, effect: float, design: Design, units: tuple[float, float]) -> float:
    control, ratio = units
    if control * (1 + ratio) <= 2:
        return 0.0

    def found(shift: float) -> float:
        known = TTestIndPower().power(shift / metric.sd, control, design.rate, ratio, alternative="larger")
        return float(known) if isfinite(known) else float(shift > 0)

    margin = design.test.margin or 0.0
    if design.test.aim == "superiority":
        return found(abs(effect))
    if design.test.aim == "non-inferiority":
        return found(margin + effect)
    return max(0.0, found(margin - effect) + found(margin + effect) - 1)


def _equivalence(margin: float, effect: float, error: float, critical: float) -> float:
    """Return the power of two one-sided tests (Schuirmann 1987), of a normal statistic."""
    both = ndtr((margin - effect) / error - critical) + ndtr((margin + effect) / error - critical) - 1
    return max(0.0, float(both))


def _check(metric: Metric, effect: float, design: Design) -> None:
    if effect != 0 and not _SMALLEST <= abs(effect) <= 1 / _SMALLEST:
        raise ValueError(f"an effect is a number of a size between {_SMALLEST:g} and {1 / _SMALLEST:g}, not {effect:g}")
    metric.check(effect)
    margin = design.test.margin or 0.0
    if design.test.aim == "superiority" and effect == 0:
        raise ValueError("an effect of 0 cannot be found: no sample size suffices")
    if design.test.aim == "non-inferiority" and not margin + effect > 0:
        raise ValueError(f"with an effect of {effect:g} a treatment is worse than a margin of {margin:g} allows")
    if design.test.aim == "equivalence" and not abs(effect) < margin:
        raise ValueError(f"arms that differ by {abs(effect):g} are not equivalent with a margin of {margin:g}")


def _check_total(design: Design, total: float) -> None:
    if not isfinite(total) or total * min(design.shares) < 2:
        raise ValueError("each arm needs at least 2 units")


def _root(lacks: Callable[[float], float], low: float, high: float) -> float:
    return float(brentq(lacks, low, high, xtol=1e-12, rtol=1e-12, maxiter=500))


def _up(number: float) -> int:
    """Round up, but for what is rounding of floats."""
    return ceil(number * (1 - 1e-12))
