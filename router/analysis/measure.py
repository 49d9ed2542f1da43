"""From outcomes and exchanges to one value for each metric and observation, as Ibis expressions.

Responsible for: windows, maturity, covariates, funnels, and what became of each outcome.
Does not know: which observation an outcome belongs to (``attribute``), what is measured on exchanges (``exchanges``),
sums over units (``tabulate``).

A window of age is [opens, min(horizon, room)): ``room`` is what is left of the phase at the first exposure, so the end
of the phase cuts the windows of all arms alike. An observation is mature, and only then has a value, when its window is
over at ``now`` and its grace has passed; a window without a horizon has one at once. From then on its value is final:
what is received later (``overdue``) does not count, so that a sequential test sees each unit once.

Rules: pure. NULL means that an observation has no value for a metric (yet); it never stands for 0. The columns of
metric i are ``y{i}`` (value, or numerator), ``x{i}`` (denominator, or covariate), ``m{i}`` (mature), ``c{i}`` (cut).
"""

from typing import Final

import ibis
from ibis.expr import types as ir

from router.analysis import slices
from router.analysis.attribute import FOREVER
from router.analysis.engine import Engine
from router.analysis.plan import Measure, Plan, Window, measure_of, window
from router.config.schema import Metric

NO_BUCKETS: Final = ibis.literal([], "array<int32>")


def codes(plan: Plan) -> dict[str, int]:
    """Return the number that stands for each outcome."""
    return {name: code for code, name in enumerate(plan.outcomes)}


def aged(found: ir.Table) -> ir.Table:
    """Add the age of outcomes in seconds: since the first exposure, and since that of the user in the run.

    ``known_age`` is the age at which they were received.


    Args:
        found: What ``attribute.matched`` returns, as ``attribute.placed`` completes it.
    """
    known_age = found.received - found.first
    return found.mutate(age=found["at"] - found.first, entry_age=found["at"] - found.entered, known_age=known_age)


def named(found: ir.Table, names: tuple[str, ...], plan: Plan) -> ir.BooleanValue:
    """Return whether an outcome has one of some names."""
    return found.code.isin([codes(plan)[name] for name in names])


def _inside(found: ir.Table, looked: Window) -> ir.BooleanValue:
    """Return whether an outcome's age lies in a window; its name is not looked at."""
    return (found.age >= looked.opens) & (found.age < _closes(found, looked))


def _closes(found: ir.Table, looked: Window) -> ir.FloatingValue:
    horizon = FOREVER if looked.horizon is None else looked.horizon
    return ibis.least(ibis.literal(horizon), found.room)


def _mature(found: ir.Table, looked: Window) -> ir.BooleanValue:
    if looked.horizon is None:
        return ibis.literal(value=True)
    over = _closes(found, looked) + looked.grace <= found.since
    return over & ~_cut(found, looked) if looked.whole else over


def _in_time(found: ir.Table, looked: Window, plan: Plan) -> ir.BooleanValue:
    """Return whether an outcome was received before the unit's value was final."""
    return found.known_age <= _closes(found, looked) + looked.grace if plan.frozen else ibis.literal(value=True)


def _cut(found: ir.Table, looked: Window) -> ir.BooleanValue:
    """Return whether the phase ended before the window would have."""
    return ibis.literal(value=False) if looked.horizon is None else found.room < looked.horizon


def values(found: ir.Table, plan: Plan) -> ir.Table:
    """Return one row for each observation with an outcome that matters: its sums by metric.

    Args:
        found: What ``aged`` returns.
        plan: What is to be computed.
    """
    kept = found.filter(~found.crossed)
    # A user's own outcomes from before the first exposure in the run.
    columns: dict[str, ir.Value] = {"early": (kept.own & (kept.entry_age < 0)).cast("int64").sum()}
    for index, metric in enumerate(plan.metrics):
        looked = window(metric)
        if metric.exchange is None and metric.kind != "funnel":
            columns |= _sums(kept, metric, looked, index, plan)
        if metric.covariate is not None:
            before = _in_time(kept, looked, plan)
            before &= (kept.entry_age < 0) & (kept.entry_age >= -metric.covariate.before) & kept.own
            chosen = before & named(kept, (metric.covariate.outcome,), plan)
            columns[f"x{index}"] = ibis.ifelse(chosen, kept.value, 0.0).sum()
    return kept.group_by("observation").aggregate(**columns)


def _sums(kept: ir.Table, metric: Metric, looked: Window, index: int, plan: Plan) -> dict[str, ir.Value]:
    inside = _inside(kept, looked) & _in_time(kept, looked, plan) & kept.chosen
    if metric.kind == "ratio":
        names = (metric.numerator or "", metric.denominator or "")
        top, bottom = (ibis.ifelse(inside & named(kept, (name,), plan), kept.value, 0.0).sum() for name in names)
        return {f"y{index}": top, f"x{index}": bottom}
    counts = inside & named(kept, looked.names, plan)
    if metric.kind in ("proportion", "retention"):
        return {f"y{index}": counts.cast("float64").max()}
    if metric.kind == "count":
        return {f"y{index}": counts.cast("float64").sum()}
    return {f"y{index}": ibis.ifelse(counts, kept.value, 0.0).sum()}


def parts(made: Plan, found: ir.Table | None) -> list[ir.Table]:
    """Return what outcomes come to, by observation; nothing where there are none."""
    if found is None:
        return []
    funnels = [(index, metric) for index, metric in enumerate(made.metrics) if metric.kind == "funnel"]
    return [values(found, made), *(funnel(found, metric, made, index) for index, metric in funnels)]


def funnel(found: ir.Table, metric: Metric, plan: Plan, index: int) -> ir.Table:
    """Return one row for each observation that came to the first step: how many steps it came to, in order.

    A step is taken by the first outcome of its name that is not older than the step before it was.
    """
    looked = window(metric)
    counts = _inside(found, looked) & _in_time(found, looked, plan)
    kept = found.filter(~found.crossed, found.chosen, counts).select("observation", "code", "age")
    known = codes(plan)
    first = kept.filter(kept.code == known[metric.steps[0]])
    reached = first.group_by("observation").aggregate(at=first.age.min())
    steps = reached.mutate(depth=ibis.literal(1, "int64"))
    for number, name in enumerate(metric.steps[1:], start=2):
        coming = kept.filter(kept.code == known[name]).join(reached, "observation")
        coming = coming.filter(coming.age >= coming["at"])
        reached = coming.group_by("observation").aggregate(at=coming.age.min())
        steps = ibis.union(steps, reached.mutate(depth=ibis.literal(number, "int64")))
    return steps.group_by("observation").aggregate(**{f"d{index}": steps.depth.max()})


def completed(
    observed: ir.Table, sums: list[ir.Table], plan: Plan, engine: Engine, more: tuple[str, ...] = ()
) -> ir.Table:
    """Return one row for each observation that is not crossed, with its value for each metric.

    Args:
        observed: What ``attribute.observations`` returns, as ``attribute.placed`` completes it.
        sums: What ``values``, ``funnel``, ``exchanges.windowed`` and ``slices.before`` return; each may be missing.
        plan: What is to be computed.
        engine: For members of JSON objects.
        more: Further columns of ``observed`` that are kept.

    Returns:
        Columns ``run``, ``phase``, ``arm``, ``unit``, ``exchanges``, ``failures``, ``unfinished``, ``b{i}`` (buckets of
        a measure's values), the built-in slices and attributes (``@name``), and those of metrics.
    """
    kept = observed.filter(~observed.crossed)
    whole = kept
    for table in sums:
        whole = whole.left_join(table, "observation").drop("observation_right")
    columns = slices.columns(whole, plan)
    for name in plan.attributes:
        columns[f"@{name}"] = engine.text(whole.attributes, name)
    for index, metric in enumerate(plan.metrics):
        columns |= _columns(whole, metric, index, plan)
    for index, wanted in enumerate(plan.measures):
        if wanted in plan.distributions:
            columns[f"b{index}"] = _final(whole, wanted, whole[f"b{index}"].fill_null(NO_BUCKETS))
    if "propensity" in whole.columns:
        possible = (whole.propensity > 0) & (whole.propensity <= 1)
        columns["w"] = ibis.ifelse(possible, 1 / whole.propensity, ibis.null("float64"))
    carried = ["run", "phase", "arm", "unit", "exchanges", "failures", "unfinished", *more]
    return whole.select(*carried, **columns)


def _final(whole: ir.Table, wanted: Measure, buckets: ir.Value) -> ir.Value:
    """Hide the exchanges of a window that is not over."""
    over = _mature(whole, Window((), 0.0, wanted.window, whole=False, grace=wanted.grace))
    return buckets if wanted.window is None else ibis.ifelse(over, buckets, NO_BUCKETS)


def _columns(whole: ir.Table, metric: Metric, index: int, plan: Plan) -> dict[str, ir.Value]:
    nothing = ibis.null("float64")
    depth = _sum(whole, f"d{index}", 0)
    x = _sum(whole, f"x{index}", 0.0) if metric.covariate is not None or metric.kind == "ratio" else nothing
    looked = window(metric)
    mature, cut = _mature(whole, looked), _cut(whole, looked)
    if metric.exchange is not None:
        y, x = _of_exchanges(whole, metric, plan, x)
    else:
        funnel_y = (depth >= len(metric.steps)).cast("float64")
        y = funnel_y if metric.kind == "funnel" else _sum(whole, f"y{index}", 0.0)
    out = {f"m{index}": mature, f"c{index}": mature & cut, f"y{index}": ibis.ifelse(mature, y, nothing)}
    out[f"x{index}"] = ibis.ifelse(out[f"y{index}"].notnull(), x, nothing)
    if metric.kind == "funnel":
        out[f"d{index}"] = ibis.ifelse(mature, depth, ibis.null("int64"))
    return out


def _sum(whole: ir.Table, name: str, nothing: float) -> ir.Value:
    """Return a sum over outcomes; of an observation without outcomes it is 0, also when there are none at all."""
    return whole[name].fill_null(nothing) if name in whole.columns else ibis.literal(nothing)


def _place(metric: Metric, plan: Plan) -> int:
    return next(index for index, wanted in enumerate(plan.measures) if wanted == measure_of(metric))


def _of_exchanges(whole: ir.Table, metric: Metric, plan: Plan, x: ir.Value) -> tuple[ir.Value, ir.Value]:
    place = _place(metric, plan)
    nothing = ibis.null("float64")
    if metric.kind == "quantile":  # the sketch is of exchanges; a unit's mean would be another quantity
        return nothing, nothing
    number = whole[f"n{place}"]
    value = whole[f"a{place}"] if metric.kind == "proportion" else whole[f"s{place}"]
    return ibis.ifelse(number > 0, value, nothing), number.cast("float64") if metric.kind == "ratio" else x


def fates(found: ir.Table, plan: Plan) -> ir.Table:
    """Return, for each phase, how many outcomes of each metric had which fate: columns ``attributed{i}`` and so on.

    The fates of one metric exclude each other: excluded before early before late before immature before overdue before
    attributed.
    """
    kept = found.filter(found.chosen)
    columns: dict[str, ir.Value] = {}
    for index, metric in enumerate(plan.metrics):
        if metric.exchange is not None:
            continue
        looked = window(metric)
        counts = named(kept, looked.names, plan) & ~kept.crossed
        late = kept.age >= _closes(kept, looked)
        inside = counts & (kept.age >= looked.opens) & ~late
        mature, in_time = _mature(kept, looked), _in_time(kept, looked, plan)
        columns[f"attributed{index}"] = (inside & mature & in_time).cast("int64").sum()
        columns[f"overdue{index}"] = (inside & mature & ~in_time).cast("int64").sum()
        columns[f"early{index}"] = (counts & (kept.age < looked.opens)).cast("int64").sum()
        columns[f"late{index}"] = (counts & late & (kept.age >= looked.opens)).cast("int64").sum()
        columns[f"immature{index}"] = (inside & ~mature).cast("int64").sum()
        columns[f"excluded{index}"] = (named(kept, looked.names, plan) & kept.crossed).cast("int64").sum()
    return kept.group_by("run", "phase").aggregate(**columns)
