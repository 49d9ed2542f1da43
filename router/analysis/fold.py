"""From events to what is known of each experiment: the same function live, offline and in replays.

Responsible for: which queries are run, and in which order.
Does not know: files, where events come from, how often it is called, what follows from what it returns.

Rules: a fold is a function of the events, the definitions, the history and ``now``; nothing is kept from one to the
next, so live and offline agree (floating-point sums up to rounding, since a database adds in any order). Memory is the
database's, which spills; what comes back is bounded by phases, arms, slices and metrics.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import ibis
from ibis.expr import types as ir
from msgspec import structs

from router.analysis import attribute, measure, tabulate
from router.analysis.aggregates import Cell, Fates, Place, Sketch
from router.analysis.attribute import Scope
from router.analysis.collect import as_cells, as_fates, as_products, as_sketches, with_sketch
from router.analysis.engine import Engine
from router.analysis.history import History, Phase, complete
from router.analysis.plan import Plan, plan
from router.analysis.result import Folded, Result, Stage, Stray
from router.config.schema import Experiment, Metric

Rows = list[dict[str, Any]]


def fold(
    engine: Engine, experiments: Iterable[Experiment], metrics: Iterable[Metric], history: History, now: float
) -> Folded:
    """Attribute outcomes to exposures, and add up.

    Args:
        engine: Has the relations ``exposures`` and ``outcomes`` of the data contract, both without duplicates.
        experiments: The experiments to look at.
        metrics: Definitions of metrics; those that no experiment names are not computed.
        history: What was in force when.
        now: Nothing later is looked at, and windows that are not over then are not counted; unix seconds.
    """
    known = tuple(metrics)
    found: dict[str, Result] = {}
    for experiment in experiments:
        try:
            found[experiment.name] = fold_one(engine, plan(experiment, known), history, now)
        finally:
            engine.forget()
    return Folded(now, found)


def fold_one(engine: Engine, made: Plan, history: History, now: float) -> Result:
    """Return what is known of one experiment; the caller lets the engine forget."""
    exposed = _exposed(engine, made, now)
    keyed = _keyed(engine, made, now) if made.outcomes else []
    phases = complete(
        history.phases.get(made.experiment, ()), {(row["run"], row["phase"]): row["first"] for row in exposed}
    )
    stages = {
        (row["run"], row["phase"]): Stage(_phase(phases, row), row["exposures"], row["overrides"], row["bots"])
        for row in exposed
    }
    if not any(stage.exposures > stage.overrides + stage.bots for stage in stages.values()):
        return Result(made, tuple(stages.values()), {}, _strays(made, keyed, {}))
    scope = Scope(
        experiment=made.experiment,
        now=now,
        phases=tuple(stage.phase for stage in stages.values()),
        bots=made.bots,
        clustered=any(made.clustered if phase.clustered is None else phase.clustered for phase in phases),
        keys=frozenset(row["keyed"] for row in keyed),
    )
    exposures = attribute.counted(engine.table("exposures"), made.experiment, now, bots=made.bots)
    observed = attribute.observations(exposures, scope, measure.measured(exposures, made, engine))
    kept = engine.keep("observed", observed)
    observed = attribute.placed(kept, scope)
    found = _matched(engine, made, exposures, kept, scope) if keyed else None
    completed = _completed(engine, made, observed, found)
    stages = _staged(engine, made, stages, observed, found)
    cells = _cells(engine, made, completed, clustered=scope.clustered)
    leading = {} if found is None else _leading(engine, found)
    return Result(made, tuple(stages[place] for place in sorted(stages)), cells, _strays(made, keyed, leading))


def _exposed(engine: Engine, made: Plan, now: float) -> Rows:
    """Count the exposures of each phase."""
    seen = engine.table("exposures")
    seen = seen.filter(seen.experiment == made.experiment, seen.time <= now)
    left_out = seen.bot & ~seen.override & ibis.literal(made.bots)
    counts = seen.group_by("run", "phase").aggregate(
        exposures=seen.count(),
        first=seen.time.min(),
        overrides=seen.override.cast("int64").sum(),
        bots=left_out.cast("int64").sum(),
    )
    return engine.rows(counts.order_by("run", "phase"))


def _keyed(engine: Engine, made: Plan, now: float) -> Rows:
    """Count the outcomes that metrics read, by name and key."""
    seen = _ours(engine, made)
    counts = seen.group_by("outcome", "keyed").aggregate(
        total=seen.count(), future=(seen.time > now).cast("int64").sum()
    )
    return engine.rows(counts)


def _ours(engine: Engine, made: Plan) -> ir.Table:
    outcomes = engine.table("outcomes")
    named = outcomes.filter(outcomes.outcome.isin(list(made.outcomes)))
    return named.filter((named.keyed != "assignment") | (named.experiment == made.experiment))


def _phase(phases: Sequence[Phase], row: dict[str, Any]) -> Phase:
    return next(phase for phase in phases if phase.place == (row["run"], row["phase"]))


def _matched(engine: Engine, made: Plan, exposures: ir.Table, observed: ir.Table, scope: Scope) -> ir.Table:
    ours = _ours(engine, made)
    codes = measure.codes(made)
    outcomes = ours.filter(ours.time <= scope.now)
    outcomes = outcomes.mutate(code=outcomes.outcome.cases(*codes.items(), else_=-1).cast("int16"))
    found = engine.keep("matched", attribute.matched(outcomes, exposures, observed, scope))
    return measure.aged(attribute.placed(found, scope))


def _completed(engine: Engine, made: Plan, observed: ir.Table, found: ir.Table | None) -> ir.Table:
    sums: list[ir.Table] = []
    if found is not None:
        sums.append(measure.values(found, made))
        funnels = [(index, metric) for index, metric in enumerate(made.metrics) if metric.kind == "funnel"]
        sums += [measure.funnel(found, metric, made, index) for index, metric in funnels]
    completed = engine.keep("completed", measure.completed(observed, sums, made, engine))
    common = {
        name: [row["value"] for row in engine.rows(tabulate.common_values(completed, name))] for name in made.attributes
    }
    return tabulate.sliced(completed, common)


def _staged(
    engine: Engine,
    made: Plan,
    stages: dict[tuple[int, int], Stage],
    observed: ir.Table,
    found: ir.Table | None,
) -> dict[tuple[int, int], Stage]:
    """Add the units of each phase, and what became of outcomes."""
    units = observed.group_by("run", "phase").aggregate(
        units=observed.unit.nunique(), crossed=observed.unit.nunique(where=observed.crossed)
    )
    out = dict(stages)
    for row in engine.rows(units):
        place = row["run"], row["phase"]
        out[place] = structs.replace(out[place], units=row["units"], crossed=row["crossed"])
    fates = [] if found is None else engine.rows(measure.fates(found, made))
    known = {(row["run"], row["phase"]): as_fates(row, made) for row in fates}
    nothing = {metric.name: Fates() for metric in made.metrics if metric.exchange is None}
    return {place: structs.replace(stage, fates=known.get(place, nothing)) for place, stage in out.items()}


def _leading(engine: Engine, found: ir.Table) -> dict[int, int]:
    """Count the outcomes that belong to some unit, each once, by code."""
    counts = found.filter(found.leads).group_by("code").aggregate(number=found.filter(found.leads).count())
    return {row["code"]: row["number"] for row in engine.rows(counts)}


def _strays(made: Plan, keyed: Rows, leading: dict[int, int]) -> dict[str, Stray]:
    codes = measure.codes(made)
    out: dict[str, Stray] = {}
    for metric in made.metrics:
        names = metric.outcomes()
        if names:
            total = sum(row["total"] for row in keyed if row["outcome"] in names)
            future = sum(row["future"] for row in keyed if row["outcome"] in names)
            belong = sum(leading.get(codes[name], 0) for name in names)
            out[metric.name] = Stray(total, future, total - future - belong)
    return out


def _cells(engine: Engine, made: Plan, completed: ir.Table, *, clustered: bool) -> dict[Place, Cell]:
    caps = _caps(engine, made, completed)
    limited = tabulate.capped(completed, made, caps)
    cells: dict[Place, Cell] = {}
    for by in made.slicings:
        grouped = engine.rows(tabulate.clusters(limited, made, by)) if clustered else []
        cells |= as_cells(engine.rows(tabulate.cells(limited, made, by)), grouped, made, by, caps)
    for row in engine.rows(tabulate.pairs(limited, made)) if len(made.metrics) > 1 else []:
        place = Place(row["run"], row["phase"], row["arm"])
        cells[place] = structs.replace(cells[place], products=as_products(row, made))
    for name, sketches in _sketches(engine, made, limited).items():
        cells = {place: with_sketch(cell, name, sketches.get(place, Sketch())) for place, cell in cells.items()}
    return cells


def _caps(engine: Engine, made: Plan, completed: ir.Table) -> tabulate.Caps:
    """Return where each metric is capped: at a quantile of the values of all arms of a phase, read from a sketch."""
    caps: tabulate.Caps = {}
    for index, metric in enumerate(made.metrics):
        if metric.cap is None:
            continue
        pooled: dict[tuple[int, int], Sketch] = {}
        for place, values in as_sketches(engine.rows(tabulate.sketch(completed, index, ())), ()).items():
            here = place.run, place.phase
            pooled[here] = pooled.get(here, Sketch()).merge(values)
        for (run, phase), values in pooled.items():
            cap = values.quantile(metric.cap)
            if cap is not None:
                caps[run, phase, index] = cap
    return caps


def _sketches(engine: Engine, made: Plan, completed: ir.Table) -> dict[str, dict[Place, Sketch]]:
    """Return the distributions that quantiles are read from, by metric."""
    out: dict[str, dict[Place, Sketch]] = {}
    wanted = [(index, metric) for index, metric in enumerate(made.metrics) if metric.kind == "quantile"]
    kept: dict[str, ir.Table] = {}
    for index, metric in wanted:
        source = metric.exchange
        if source is not None and source not in kept:
            kept[source] = engine.keep(f"buckets{len(kept)}", tabulate.buckets(completed, source, made))
        out[metric.name] = {}
        for by in made.slicings:
            table = tabulate.sketch(completed, index, by) if source is None else tabulate.sketch_of(kept[source], by)
            out[metric.name] |= as_sketches(engine.rows(table), by)
    return out
