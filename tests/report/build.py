"""Results of experiments, made of numbers that tests choose, without a fold.

A unit is a row of values; sums are what a fold would have added up of them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router.analysis.aggregates import Aggregate, Cell, Moments, Place, Product
from router.analysis.history import Phase
from router.analysis.plan import plan
from router.analysis.quality import Observed, Quality, judge
from router.analysis.result import Result, Stage
from router.analysis.sample_ratio import Block
from router.config.schema import Arm as ConfiguredArm
from router.config.schema import Experiment, Measured, Metric
from router.report.scene import Evidence

DAY = 86400.0
START = 1_700_000_000.0
NOW = START + 14 * DAY

CTR = Metric(name="ctr", kind="proportion", outcome="click", window=3600.0, goal="up")
REVENUE = Metric(name="revenue", kind="mean", outcome="revenue", window=3600.0, goal="up")
ERRORS = Metric(name="errors", kind="ratio", exchange="failed", goal="down")
METRICS = (CTR, REVENUE, ERRORS)

Values = NDArray[np.float64]


def moments(y: Values, x: Values | None = None) -> Moments:
    """Add up values, and second values."""
    other = np.zeros_like(y) if x is None else x
    return Moments(len(y), *(float(each.sum()) for each in (y, y * y, other, other * other, other * y)))


def counted(successes: int, units: int, **more: Any) -> Aggregate:
    """Give what is known of a proportion."""
    return Aggregate(units=Moments(units, float(successes), float(successes)), **more)


def cell(values: Mapping[str, Values | tuple[Values, Values]]) -> Cell:
    """Give what is known of units whose values of each metric are given; a pair is numerator and denominator."""
    pairs = {name: each if isinstance(each, tuple) else (each, None) for name, each in values.items()}
    metrics = {name: Aggregate(units=moments(y, x)) for name, (y, x) in pairs.items()}
    names = list(pairs)
    products: dict[str, dict[str, Product]] = {}
    for place, one in enumerate(names):
        for two in names[place + 1 :]:
            (y1, x1), (y2, x2) = pairs[one], pairs[two]
            products.setdefault(one, {})[two] = Product(
                moments(y1, y2),
                0.0 if x1 is None else float((x1 * y2).sum()),
                0.0 if x2 is None else float((y1 * x2).sum()),
                0.0 if x1 is None or x2 is None else float((x1 * x2).sum()),
            )
    units = max((len(y) for y, _ in pairs.values()), default=0)
    return Cell(units=units, exchanges=units, metrics=metrics, products=products)


def experiment(
    metrics: Measured | None = None, *, arms: Sequence[str] = ("control", "treatment"), **more: Any
) -> Experiment:
    """Give an experiment whose first arm is control."""
    return Experiment(
        name="e",
        route="r",
        arms=tuple(ConfiguredArm(name=arm, target=arm, weight=1.0) for arm in arms),
        metrics=metrics or Measured(primary="ctr"),
        **more,
    )


def stage(units: int, arms: Sequence[str], *, phase: int = 1, end: float | None = None) -> Stage:
    """Give a phase that began at ``START``."""
    known = Phase(1, phase, start=START, end=end, arms=tuple(arms), control=arms[0], clustered=False)
    return Stage(known, exposures=units, overrides=0, bots=0, units=units)


def quality(units: Mapping[str, int], *, phase: int = 1, weights: Mapping[str, float] | None = None) -> Quality:
    """Judge the sample ratio of a phase by its units."""
    whole = sum(units.values())
    block = Block(0, dict(weights or dict.fromkeys(units, 1.0)), dict(units), "")
    observed = Observed(
        experiment="e",
        run=1,
        phase=phase,
        control=next(iter(units)),
        exposures=whole,
        analysed=whole,
        requests=whole,
        units=whole,
        blocks=(block,),
    )
    return judge(observed)


def evidence(
    made: Experiment,
    arms: Mapping[str, Cell],
    slices: Mapping[tuple[tuple[str, str], ...], Mapping[str, Cell]] | None = None,
    *,
    metrics: Sequence[Metric] = METRICS,
    **more: Any,
) -> Evidence:
    """Give the evidence of one phase.

    Args:
        made: The experiment.
        arms: Arm to what is known of it.
        slices: Attributes and their values, to arm to what is known there.
        metrics: Definitions.
        more: Further parts of ``Evidence``; ``stage`` for another phase.
    """
    place = more.pop("stage", None) or stage(sum(each.units for each in arms.values()), list(arms))
    at = place.phase.place
    cells = {Place(at[0], at[1], arm): each for arm, each in arms.items()}
    for attributes, by_arm in (slices or {}).items():
        slicing, values = tuple(name for name, _ in attributes), tuple(value for _, value in attributes)
        cells |= {Place(at[0], at[1], arm, slicing, values): each for arm, each in by_arm.items()}
    result = Result(plan(made, metrics), (place,), cells)
    found = more.pop("quality", None) or (quality({arm: each.units for arm, each in arms.items()}),)
    return Evidence(result=result, quality=found, **more)


def draw(seed: int, units: int, chance: float, spend: float = 10.0) -> Cell:
    """Draw units that click and buy, and their exchanges that fail."""
    rng = np.random.default_rng(seed)
    clicks = (rng.random(units) < chance).astype(float)
    revenue: Values = clicks * rng.gamma(2.0, spend / 2, units)
    exchanges: Values = rng.poisson(5.0, units).astype(np.float64) + 1.0
    failed = rng.binomial(exchanges.astype(int), 0.01).astype(float)
    return cell({"ctr": clicks, "revenue": revenue, "errors": (failed, exchanges)})
