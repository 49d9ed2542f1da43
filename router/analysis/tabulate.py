"""Sums by phase, arm and slice, as Ibis expressions.

Responsible for: what is added up over observations, over clusters, over pairs of metrics and over exchanges.
Does not know: values (``measure``), what sums are used for (``aggregates``).

Rules: pure. Every sum leaves NULL out, so that an observation without a value for a metric is in none of its sums.
"""

import ibis
from ibis.expr import types as ir

from router.analysis.exchanges import bucket
from router.analysis.plan import Measure, Plan, Slicing, measure_of, window
from router.analysis.slices import ABSENT
from router.config.schema import Metric

Caps = dict[tuple[int, int, int], float]
"""Run, phase and place of a metric to the value above which its values count as it."""

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


def below(completed: ir.Table, plan: Plan, limits: dict[tuple[int, int, int], int]) -> ir.Table:
    """Count, of quantiles of exchanges, those at or below a limit: as the y and x of these metrics.

    Args:
        completed: What ``sliced`` returns.
        plan: What is to be computed.
        limits: Run, phase and place of a metric to the last bucket that counts.
    """
    named = {f"limit{place}" for _, _, place in limits}
    cases = {
        name: [
            ((completed.run == run) & (completed.phase == phase), ibis.literal(last, "int32"))
            for (run, phase, place), last in limits.items()
            if f"limit{place}" == name
        ]
        for name in named
    }
    if not named:
        return completed
    known = completed.mutate(**{name: ibis.cases(*each, else_=ibis.null("int32")) for name, each in cases.items()})
    columns: dict[str, ir.Value] = {}
    for index, metric in enumerate(plan.metrics):
        if f"limit{index}" in named:
            values = known[f"b{plan.measures.index(measure_of(metric))}"]
            number = values.length()
            limit = known[f"limit{index}"]
            counts = values.filter(lambda value, limit=limit: value <= limit).length()
            for name, count in (("y", counts), ("x", number)):
                columns[f"{name}{index}"] = ibis.ifelse(number > 0, count.cast("float64"), ibis.null("float64"))
    return known.mutate(**columns).drop(*named)


def keys(by: Slicing) -> list[str]:
    """Return the columns that a place is made of."""
    return ["run", "phase", "arm", *(f"@{name}" for name in by)]


def sized(metric: Metric) -> bool:
    """Say whether the second value of a metric is its denominator: of a ratio, and of a share of exchanges."""
    return metric.kind == "ratio" or (metric.kind == "quantile" and metric.exchange is not None)


def cells(completed: ir.Table, plan: Plan, by: Slicing) -> ir.Table:
    """Return the sums over observations of each phase, arm and slice.

    Columns that follow from others are left out: squares of what is 0 or 1, second values that there are not.
    """
    columns: dict[str, ir.Value] = {
        "units": completed.count(),
        "exchanges": completed.exchanges.sum(),
        "failures": completed.failures.sum(),
        "unfinished": completed.unfinished.sum(),
    }
    if "w" in completed.columns:
        columns["without_propensity"] = completed.w.isnull().cast("int64").sum()
    for index, metric in enumerate(plan.metrics):
        y, x = completed[f"y{index}"], completed[f"x{index}"]
        columns |= _moments(f"_{index}", y, x, metric)
        if window(metric).horizon is not None:
            columns[f"immature_{index}"] = (~completed[f"m{index}"]).cast("int64").sum()
            columns[f"cut_{index}"] = completed[f"c{index}"].cast("int64").sum()
        if "w" in completed.columns and not (sized(metric) and metric.kind == "quantile"):
            size = x if metric.kind == "ratio" else ibis.ifelse(y.notnull(), 1.0, ibis.null("float64"))
            columns |= _all_moments(f"_w{index}", y * completed.w, size * completed.w)
        columns |= _steps(completed, metric, index)
    return completed.group_by(keys(by)).aggregate(**columns)


def coarser(found: ir.Table, by: Slicing) -> ir.Table:
    """Return the sums of fewer slices from what ``cells`` returns of more."""
    return found.group_by(keys(by)).aggregate(
        **{name: found[name].sum() for name in found.columns if name not in ("run", "phase", "arm") and name[0] != "@"}
    )


def binary(metric: Metric) -> bool:
    """Say whether a metric's values are 0 and 1, so that squares are the values."""
    return metric.kind in ("proportion", "retention", "funnel")


def _moments(suffix: str, y: ir.FloatingValue, x: ir.FloatingValue, metric: Metric) -> dict[str, ir.Value]:
    columns = _all_moments(suffix, y, x)
    if binary(metric):
        del columns[f"yy{suffix}"]
    if metric.covariate is None and not sized(metric):
        for name in ("x", "xx", "xy"):
            del columns[f"{name}{suffix}"]
    return columns


def _all_moments(suffix: str, y: ir.FloatingValue, x: ir.FloatingValue) -> dict[str, ir.Value]:
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
    inner: dict[str, ir.Value] = {}
    weighted = "w" in completed.columns
    for index, metric in enumerate(plan.metrics):
        y = completed[f"y{index}"]
        size = completed[f"x{index}"] if sized(metric) else ibis.ifelse(y.notnull(), 1.0, ibis.null("float64"))
        inner |= {f"y{index}": y.sum(), f"x{index}": size.sum(), f"k{index}": y.count()}
        if weighted:
            inner |= {f"yw{index}": (y * completed.w).sum(), f"xw{index}": (size * completed.w).sum()}
            inner[f"kw{index}"] = (y * completed.w).count()
    whole = completed.group_by(*keys(by), "unit").aggregate(**inner)
    columns: dict[str, ir.Value] = {}
    for index in range(len(plan.metrics)):
        for kind in ("", "w") if weighted else ("",):
            some = whole[f"k{kind}{index}"] > 0
            y, x = (ibis.ifelse(some, whole[f"{name}{kind}{index}"], ibis.null("float64")) for name in "yx")
            columns |= _all_moments(f"_{kind}{index}", y, x)
    return whole.group_by(keys(by)).aggregate(clusters=whole.count(), **columns)


def pairs(completed: ir.Table, plan: Plan) -> ir.Table:
    """Return the sums of products between metrics over the observations that have a value for both."""
    columns: dict[str, ir.Value] = {}
    for one, first in enumerate(plan.metrics):
        for other, second in enumerate(plan.metrics[:one]):
            if "quantile" not in (first.kind, second.kind):
                columns |= _all_moments(f"_{other}_{one}", completed[f"y{other}"], completed[f"y{one}"])
                columns |= _ratio_products(completed, (other, second), (one, first))
    return completed.group_by(keys(())).aggregate(**columns)


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


def spread(completed: ir.Table, name: str) -> ir.Table:
    """Return how the buckets of a slice (``slices.LEVELS``) are spread over the units of all arms of a phase."""
    kept = completed.filter(completed[f"#{name}"].notnull())
    return kept.group_by("run", "phase", "arm", bucket=kept[f"#{name}"]).aggregate(number=kept.count())


def sketch(completed: ir.Table, index: int, by: Slicing) -> ir.Table:
    """Return the sketch of a metric's values over observations: columns ``bucket`` and ``number``."""
    kept = completed.filter(completed[f"y{index}"].notnull())
    kept = kept.mutate(bucket=bucket(kept[f"y{index}"]))
    return kept.group_by(*keys(by), "bucket").aggregate(number=kept.count())


def buckets(completed: ir.Table, source: Measure, plan: Plan, names: Slicing) -> ir.Table:
    """Return what is measured on exchanges as buckets of every slice at once: columns ``bucket`` and ``number``."""
    each = completed.select(*keys(names), bucket=completed[f"b{plan.measures.index(source)}"].unnest())
    return each.group_by(*keys(names), "bucket").aggregate(number=each.count())


def sketch_of(found: ir.Table, by: Slicing) -> ir.Table:
    """Return the sketch of each slice from what ``buckets`` returns."""
    return found.group_by(*keys(by), "bucket").aggregate(number=found.number.sum())
