"""Sums by phase, arm and slice, as Ibis expressions.

Responsible for: what is added up over observations, over clusters, over pairs of metrics and over exchanges.
Does not know: values (``measure``), what sums are used for (``aggregates``).

Rules: pure. Every sum leaves NULL out, so that an observation without a value for a metric is in none of its sums.
"""

import ibis
from ibis.expr import types as ir

from router.analysis.measure import bucket
from router.analysis.plan import Plan, Slicing
from router.config.schema import Metric

Caps = dict[tuple[int, int, int], float]
"""Run, phase and place of a metric to the value above which its values count as it."""

ABSENT = "(absent)"
OTHER = "(other)"
MOST_VALUES = 50
"""Values of an attribute that are told apart; the rest are one slice, so an attribute that is an id is harmless."""


def common_values(completed: ir.Table, name: str) -> ir.Table:
    """Return the commonest values of an attribute: columns ``value`` and ``units``."""
    column = completed[f"@{name}"].fill_null(ABSENT)
    counts = completed.group_by(value=column).aggregate(units=completed.count())
    return counts.order_by(counts.units.desc(), counts.value).limit(MOST_VALUES)


def sliced(completed: ir.Table, common: dict[str, list[str]]) -> ir.Table:
    """Replace attributes by ``(other)`` where their value is not common, by ``(absent)`` where there is none."""
    columns: dict[str, ir.Value] = {}
    for name, values in common.items():
        column = completed[f"@{name}"].fill_null(ABSENT)
        columns[f"@{name}"] = ibis.ifelse(column.isin(values), column, OTHER) if values else column
    return completed.mutate(**columns) if columns else completed


def capped(completed: ir.Table, plan: Plan, caps: Caps) -> ir.Table:
    """Lower the values that are above their cap to it."""
    columns: dict[str, ir.Value] = {}
    for index, metric in enumerate(plan.metrics):
        limits = [
            ((completed.run == run) & (completed.phase == phase), ibis.literal(cap))
            for (run, phase, place), cap in caps.items()
            if place == index
        ]
        if metric.cap is not None and limits:
            y = completed[f"y{index}"]
            limit = ibis.cases(*limits, else_=ibis.null("float64"))
            columns[f"y{index}"] = ibis.ifelse(limit.notnull() & (y > limit), limit, y)
    return completed.mutate(**columns) if columns else completed


def _keys(by: Slicing) -> list[str]:
    return ["run", "phase", "arm", *(f"@{name}" for name in by)]


def cells(completed: ir.Table, plan: Plan, by: Slicing) -> ir.Table:
    """Return the sums over observations of each phase, arm and slice."""
    columns: dict[str, ir.Value] = {
        "units": completed.count(),
        "exchanges": completed.exchanges.sum(),
        "failures": completed.failures.sum(),
        "unfinished": completed.unfinished.sum(),
    }
    for index, metric in enumerate(plan.metrics):
        y, x = completed[f"y{index}"], completed[f"x{index}"]
        mature = completed[f"m{index}"]
        columns |= _moments(f"_{index}", y, x)
        columns[f"immature_{index}"] = (~mature).cast("int64").sum()
        columns[f"cut_{index}"] = completed[f"c{index}"].cast("int64").sum()
        columns |= _steps(completed, metric, index)
    return completed.group_by(_keys(by)).aggregate(**columns)


def _moments(suffix: str, y: ir.FloatingValue, x: ir.FloatingValue) -> dict[str, ir.Value]:
    sums = {"y": y, "yy": y * y, "x": x, "xx": x * x, "xy": x * y}
    return {f"n{suffix}": y.count(), **{f"{name}{suffix}": value.sum() for name, value in sums.items()}}


def _steps(completed: ir.Table, metric: Metric, index: int) -> dict[str, ir.Value]:
    if metric.kind != "funnel":
        return {}
    depth = completed[f"d{index}"]
    return {
        f"step_{index}_{number}": (depth >= number).cast("int64").sum() for number in range(1, len(metric.steps) + 1)
    }


def clusters(completed: ir.Table, plan: Plan, by: Slicing) -> ir.Table:
    """Return the sums over clusters: of each cluster's sum, and of its size (for a ratio: its denominator)."""
    keys = _keys(by)
    inner: dict[str, ir.Value] = {}
    for index, metric in enumerate(plan.metrics):
        y = completed[f"y{index}"]
        inner[f"y{index}"] = y.sum()
        inner[f"x{index}"] = completed[f"x{index}"].sum() if metric.kind == "ratio" else y.count().cast("float64")
        inner[f"k{index}"] = y.count()
    whole = completed.group_by(*keys, "unit").aggregate(**inner)
    columns: dict[str, ir.Value] = {}
    for index in range(len(plan.metrics)):
        some = whole[f"k{index}"] > 0
        y, x = (ibis.ifelse(some, whole[f"{name}{index}"], ibis.null("float64")) for name in "yx")
        columns |= _moments(f"_{index}", y, x)
    return whole.group_by(keys).aggregate(clusters=whole.count(), **columns)


def pairs(completed: ir.Table, plan: Plan) -> ir.Table:
    """Return the sums of products between metrics over the observations that have a value for both."""
    columns: dict[str, ir.Value] = {}
    for one, first in enumerate(plan.metrics):
        for other, second in enumerate(plan.metrics[:one]):
            if "quantile" not in (first.kind, second.kind):
                columns |= _moments(f"_{other}_{one}", completed[f"y{other}"], completed[f"y{one}"])
                columns |= _ratio_products(completed, (other, second), (one, first))
    return completed.group_by(_keys(())).aggregate(**columns)


def _ratio_products(completed: ir.Table, left: tuple[int, Metric], right: tuple[int, Metric]) -> dict[str, ir.Value]:
    (one, first), (other, second) = left, right
    columns: dict[str, ir.Value] = {}
    if first.kind == "ratio":
        columns[f"xl_y_{one}_{other}"] = (completed[f"x{one}"] * completed[f"y{other}"]).sum()
    if second.kind == "ratio":
        columns[f"y_xr_{one}_{other}"] = (completed[f"y{one}"] * completed[f"x{other}"]).sum()
    if first.kind == second.kind == "ratio":
        columns[f"xl_xr_{one}_{other}"] = (completed[f"x{one}"] * completed[f"x{other}"]).sum()
    return columns


def sketch(completed: ir.Table, index: int, by: Slicing) -> ir.Table:
    """Return the sketch of a metric's values over observations: columns ``bucket`` and ``number``."""
    kept = completed.filter(completed[f"y{index}"].notnull())
    kept = kept.mutate(bucket=bucket(kept[f"y{index}"]))
    return kept.group_by(*_keys(by), "bucket").aggregate(number=kept.count())


def buckets(completed: ir.Table, source: str, plan: Plan) -> ir.Table:
    """Return what is measured on exchanges as buckets of every slice at once: columns ``bucket`` and ``number``."""
    names = list(dict.fromkeys(name for by in plan.slicings for name in by))
    keys = ["run", "phase", "arm", *(f"@{name}" for name in names)]
    each = completed.select(*keys, bucket=completed[f"b{plan.measures.index(source)}"].unnest())
    return each.group_by(*keys, "bucket").aggregate(number=each.count())


def sketch_of(found: ir.Table, by: Slicing) -> ir.Table:
    """Return the sketch of each slice from what ``buckets`` returns."""
    return found.group_by(*_keys(by), "bucket").aggregate(number=found.number.sum())
