"""What is measured on the exchanges of an observation, as Ibis expressions.

Responsible for: durations, failures and members of responses, added up over all exchanges or those of a window.
Does not know: outcomes, sums over units (``tabulate``).

Rules: pure. The columns of measure i are ``s{i}`` (sum), ``n{i}`` (number of exchanges that have it), ``a{i}`` (any)
and ``b{i}`` (buckets of its values), as far as metrics need them. An exchange without a value is in none of them.
"""

from math import log

import ibis
from ibis.expr import types as ir

from router.analysis.engine import Engine
from router.analysis.plan import Measure, Plan, measure_of
from router.analysis.sketch import GAMMA, OFFSET


def measured(exposures: ir.Table, plan: Plan, engine: Engine) -> dict[str, ir.Value]:
    """Return the columns that observations need of their exchanges: sum, number and any of each measure, attributes.

    Args:
        exposures: What ``attribute.counted`` returns.
        plan: What is to be computed.
        engine: For members of JSON objects.
    """
    columns: dict[str, ir.Value] = {}
    for index, wanted in enumerate(plan.measures):
        if wanted.window is None:
            columns |= _summed(measure(exposures, wanted.source, engine), index, wanted, plan)
    if plan.attributes:
        columns["attributes"] = exposures.attributes.argmin(exposures.time)
    return columns


def _summed(value: ir.FloatingValue, index: int, wanted: Measure, plan: Plan) -> dict[str, ir.Value]:
    kinds = {metric.kind for metric in plan.metrics if measure_of(metric) == wanted}
    columns: dict[str, ir.Value] = {}
    if kinds & {"mean", "ratio"}:
        columns[f"s{index}"] = value.sum()
    if kinds & {"mean", "ratio", "proportion"}:
        columns[f"n{index}"] = value.count()
    if "proportion" in kinds:
        columns[f"a{index}"] = (value != 0).cast("float64").max()
    if wanted in plan.distributions:
        columns[f"b{index}"] = ibis.ifelse(value.notnull(), bucket(value), ibis.null("int32")).collect()
    return columns


def windowed(exposures: ir.Table, observed: ir.Table, plan: Plan, engine: Engine, by: list[str]) -> ir.Table | None:
    """Return the columns of ``measured`` for what is measured within a window, by observation; None without any.

    An exchange counts that began within the window, and had ended when it was over and its grace had passed.

    Args:
        exposures: What ``attribute.counted`` returns.
        observed: What ``attribute.placed`` returns.
        plan: What is to be computed.
        engine: For members of JSON objects.
        by: Columns that name an observation.
    """
    if all(wanted.window is None for wanted in plan.measures):
        return None
    seen = exposures.join(observed.select("observation", "first", "room", *by), by)
    age = seen.time - seen.first
    columns: dict[str, ir.Value] = {}
    for index, wanted in enumerate(plan.measures):
        if wanted.window is not None:
            closes = ibis.least(ibis.literal(wanted.window), seen.room)
            inside = (age < closes) & (age + seen.duration <= closes + wanted.grace)
            value = ibis.ifelse(inside, measure(seen, wanted.source, engine), ibis.null("float64"))
            columns |= _summed(value, index, wanted, plan)
    return seen.group_by("observation").aggregate(**columns)


def measure(exposures: ir.Table, source: str, engine: Engine) -> ir.FloatingValue:
    """Return what is measured on an exchange; NULL where it has none."""
    if source in ("failed", "duration", "first_byte"):
        return exposures[source].cast("float64")
    return engine.number(exposures.rewards, source)


def bucket(value: ir.FloatingValue) -> ir.IntegerValue:
    """Return the bucket of a sketch that a value is counted in (``aggregates.Sketch``)."""
    steps = ((value.abs().ln() / log(GAMMA)).ceil() + OFFSET).cast("int32")
    return ibis.cases((value > 0, steps), (value < 0, -steps), else_=ibis.literal(0, "int32"))
