"""From outcomes and exchanges to one value for each metric and observation, as Ibis expressions.

Responsible for: windows, maturity, covariates, funnels, caps, and what became of each outcome.
Does not know: which observation an outcome belongs to (``attribute``), sums over units (``tabulate``).

A window of age is [opens, min(horizon, room)): ``room`` is what is left of the phase at the first exposure, so the end
of the phase cuts the windows of all arms alike. An observation is mature, and only then has a value, when its window is
over at ``now``; a window without a horizon has one at once.

Rules: pure. NULL means that an observation has no value for a metric (yet); it never stands for 0. The columns of
metric i are ``y{i}`` (value, or numerator), ``x{i}`` (denominator, or covariate), ``m{i}`` (mature), ``c{i}`` (cut).
"""

from math import log

import ibis
from ibis.expr import types as ir

from router.analysis.aggregates import GAMMA, OFFSET
from router.analysis.attribute import FOREVER
from router.analysis.engine import Engine
from router.analysis.plan import NEW_UNIT, ONE_DAY, Plan, Window, window
from router.config.schema import Metric

FATES = ("attributed", "early", "late", "immature", "excluded")
_SECONDS_OF_DAY = 86400.0


def measured(exposures: ir.Table, plan: Plan, engine: Engine) -> dict[str, ir.Value]:
    """Return the columns that observations need of their exchanges: sum, number and any of each measure, attributes.

    Args:
        exposures: What ``attribute.counted`` returns.
        plan: What is to be computed.
        engine: For members of JSON objects.
    """
    columns: dict[str, ir.Value] = {}
    for index, source in enumerate(plan.measures):
        value = measure(exposures, source, engine)
        kinds = {metric.kind for metric in plan.metrics if metric.exchange == source}
        if kinds & {"mean", "ratio"}:
            columns[f"s{index}"] = value.sum()
        if kinds & {"mean", "ratio", "proportion"}:
            columns[f"n{index}"] = value.count()
        if "proportion" in kinds:
            columns[f"a{index}"] = (value != 0).cast("float64").max()
        if source in plan.distributions:
            columns[f"b{index}"] = bucket(value).collect()
    if plan.attributes:
        columns["attributes"] = exposures.attributes.argmin(exposures.time)
    return columns


def measure(exposures: ir.Table, source: str, engine: Engine) -> ir.FloatingValue:
    """Return what is measured on an exchange; NULL where it has none."""
    if source in ("failed", "duration", "first_byte"):
        return exposures[source].cast("float64")
    return engine.number(exposures.rewards, source)


def bucket(value: ir.FloatingValue) -> ir.IntegerValue:
    """Return the bucket of a sketch that a value is counted in (``aggregates.Sketch``)."""
    steps = ((value.abs().ln() / log(GAMMA)).ceil() + OFFSET).cast("int32")
    return ibis.cases((value > 0, steps), (value < 0, -steps), else_=ibis.literal(0, "int32"))


def codes(plan: Plan) -> dict[str, int]:
    """Return the number that stands for each outcome."""
    return {name: code for code, name in enumerate(plan.outcomes)}


def aged(found: ir.Table) -> ir.Table:
    """Add the age of outcomes in seconds: since the first exposure, and since that of the user in the run.

    Args:
        found: What ``attribute.matched`` returns, as ``attribute.placed`` completes it.
    """
    return found.mutate(age=found["at"] - found.first, entry_age=found["at"] - found.entered)


def _named(found: ir.Table, names: tuple[str, ...], plan: Plan) -> ir.BooleanValue:
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
    over = _closes(found, looked) <= found.since
    return over & ~_cut(found, looked) if looked.whole else over


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
    columns: dict[str, ir.Value] = {"early": (kept.own & (kept.entry_age < 0)).cast("int64").max()}
    for index, metric in enumerate(plan.metrics):
        looked = window(metric)
        if looked is not None and metric.kind != "funnel":
            columns |= _sums(kept, metric, looked, index, plan)
        if metric.covariate is not None:
            before = (kept.entry_age < 0) & (kept.entry_age >= -metric.covariate.before) & kept.own
            chosen = before & _named(kept, (metric.covariate.outcome,), plan)
            columns[f"x{index}"] = ibis.ifelse(chosen, kept.value, 0.0).sum()
    return kept.group_by("observation").aggregate(**columns)


def _sums(kept: ir.Table, metric: Metric, looked: Window, index: int, plan: Plan) -> dict[str, ir.Value]:
    inside = _inside(kept, looked) & kept.chosen
    if metric.kind == "ratio":
        names = (metric.numerator or "", metric.denominator or "")
        top, bottom = (ibis.ifelse(inside & _named(kept, (name,), plan), kept.value, 0.0).sum() for name in names)
        return {f"y{index}": top, f"x{index}": bottom}
    counts = inside & _named(kept, looked.names, plan)
    if metric.kind in ("proportion", "retention"):
        return {f"y{index}": counts.cast("float64").max()}
    if metric.kind == "count":
        return {f"y{index}": counts.cast("float64").sum()}
    return {f"y{index}": ibis.ifelse(counts, kept.value, 0.0).sum()}


def funnel(found: ir.Table, metric: Metric, plan: Plan, index: int) -> ir.Table:
    """Return one row for each observation that came to the first step: how many steps it came to, in order.

    A step is taken by the first outcome of its name that is not older than the step before it was.
    """
    looked = window(metric)
    if looked is None:
        raise ValueError(f"metric {metric.name!r} is no funnel")
    kept = found.filter(~found.crossed, found.chosen, _inside(found, looked)).select("observation", "code", "age")
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


def completed(observed: ir.Table, sums: list[ir.Table], plan: Plan, engine: Engine) -> ir.Table:
    """Return one row for each observation that is not crossed, with its value for each metric.

    Args:
        observed: What ``attribute.observations`` returns, as ``attribute.placed`` completes it.
        sums: What ``values`` and ``funnel`` return; empty when no metric reads outcomes.
        plan: What is to be computed.
        engine: For members of JSON objects.

    Returns:
        Columns ``run``, ``phase``, ``arm``, ``unit``, ``exchanges``, ``failures``, ``unfinished``, ``b{i}`` (buckets of
        a measure's values), the built-in slices and attributes (``@name``), and those of metrics.
    """
    kept = observed.filter(~observed.crossed)
    whole = kept
    for table in sums:
        whole = whole.left_join(table, "observation").drop("observation_right")
    columns: dict[str, ir.Value] = {}
    early = _sum(whole, "early", 0)
    columns[f"@{NEW_UNIT}"] = ibis.ifelse((whole.seen < whole.first) | (early > 0), "returning", "new")
    columns[f"@{ONE_DAY}"] = (whole.first / _SECONDS_OF_DAY).floor().cast("int64").cast("string")
    for name in plan.attributes:
        columns[f"@{name}"] = engine.text(whole.attributes, name)
    for index, metric in enumerate(plan.metrics):
        columns |= _columns(whole, metric, index, plan)
    carried = ["run", "phase", "arm", "unit", "exchanges", "failures", "unfinished"]
    carried += [f"b{index}" for index, source in enumerate(plan.measures) if source in plan.distributions]
    return whole.select(*carried, **columns)


def _columns(whole: ir.Table, metric: Metric, index: int, plan: Plan) -> dict[str, ir.Value]:
    nothing = ibis.null("float64")
    depth = _sum(whole, f"d{index}", 0)
    x = _sum(whole, f"x{index}", 0.0) if metric.covariate is not None or metric.kind == "ratio" else nothing
    looked = window(metric)
    if looked is None:
        y, x = _of_exchanges(whole, metric, plan, x)
        mature, cut = ibis.literal(value=True), ibis.literal(value=False)
    else:
        mature, cut = _mature(whole, looked), _cut(whole, looked)
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


def _of_exchanges(whole: ir.Table, metric: Metric, plan: Plan, x: ir.Value) -> tuple[ir.Value, ir.Value]:
    place = plan.measures.index(str(metric.exchange))
    nothing = ibis.null("float64")
    if metric.kind == "quantile":  # the sketch is of exchanges; a unit's mean would be another quantity
        return nothing, nothing
    number = whole[f"n{place}"]
    value = whole[f"a{place}"] if metric.kind == "proportion" else whole[f"s{place}"]
    return ibis.ifelse(number > 0, value, nothing), number.cast("float64") if metric.kind == "ratio" else x


def fates(found: ir.Table, plan: Plan) -> ir.Table:
    """Return, for each phase, how many outcomes of each metric had which fate: columns ``attributed{i}`` and so on.

    The fates of one metric exclude each other: excluded before early before late before immature before attributed.
    """
    kept = found.filter(found.chosen)
    columns: dict[str, ir.Value] = {}
    for index, metric in enumerate(plan.metrics):
        looked = window(metric)
        if looked is None:
            continue
        counts = _named(kept, looked.names, plan) & ~kept.crossed
        late = kept.age >= _closes(kept, looked)
        inside = counts & (kept.age >= looked.opens) & ~late
        mature = _mature(kept, looked)
        columns[f"attributed{index}"] = (inside & mature).cast("int64").sum()
        columns[f"early{index}"] = (counts & (kept.age < looked.opens)).cast("int64").sum()
        columns[f"late{index}"] = (counts & late & (kept.age >= looked.opens)).cast("int64").sum()
        columns[f"immature{index}"] = (inside & ~mature).cast("int64").sum()
        columns[f"excluded{index}"] = (_named(kept, looked.names, plan) & kept.crossed).cast("int64").sum()
    return kept.group_by("run", "phase").aggregate(**columns)
