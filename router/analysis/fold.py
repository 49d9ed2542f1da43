"""From events to what is known of each experiment: the same function live, offline and in replays.

Responsible for: which queries are run, and in which order.
Does not know: files, where events come from, how often it is called, what follows from what it returns.

Rules: a fold is a function of the events, the definitions, the history and ``now``; nothing is kept from one to the
next, so live and offline agree (floating-point sums up to rounding, since a database adds in any order). Memory is the
database's, which spills; what comes back is bounded by phases, arms, slices and metrics.
"""

from collections.abc import Iterable, Mapping

from ibis.expr import types as ir
from msgspec import structs

from router.analysis import attribute, counts, exchanges, measure, series, slices, tabulate
from router.analysis.aggregates import Cell, Moments, Place
from router.analysis.attribute import Scope
from router.analysis.collect import Facts, as_sketches, pooled
from router.analysis.counts import Propensities
from router.analysis.credit import credits_of
from router.analysis.engine import Engine
from router.analysis.history import History
from router.analysis.plan import ONE_DAY, Plan, plan, provisional
from router.analysis.result import Folded, Result, Series, Stage, TenurePlace
from router.analysis.slots import slots_of
from router.analysis.sums import Summing, bundles
from router.config.schema import Experiment, Metric


def fold(
    engine: Engine, experiments: Iterable[Experiment], metrics: Iterable[Metric], history: History, now: float
) -> Folded:
    """Attribute outcomes to exposures, and add up; values are final when windows close.

    Args:
        engine: Has the relations ``exposures`` and ``outcomes`` of the data contract, both without duplicates.
        experiments: The experiments to look at.
        metrics: Definitions of metrics; those that no experiment names are not computed.
        history: What was in force when.
        now: Nothing later is looked at, and windows that are not over then are not counted; unix seconds.
    """
    known = tuple(metrics)
    return fold_plans(engine, (plan(experiment, known) for experiment in experiments), history, now)


def fold_plans(engine: Engine, plans: Iterable[Plan], history: History, now: float) -> Folded:
    """Do what ``fold`` does for plans, which may be to let in what came late (``Plan.frozen``)."""
    found: dict[str, Result] = {}
    for made in plans:
        try:
            one = fold_one(engine, made, history, now)
            found[made.experiment] = structs.replace(one, credits=credits_of(engine, made, now))
        finally:
            engine.forget()
    return Folded(now, found)


def fold_one(engine: Engine, made: Plan, history: History, now: float) -> Result:
    """Return what is known of one experiment; the caller lets the engine forget."""
    exposed, constant = counts.exposed(engine, made, now)
    keyed = counts.keyed(engine, made, now) if made.outcomes else []
    phases = zip(counts.phases_of(made, history, exposed), exposed, strict=True)
    stages = {phase.place: Stage(phase, row["exposures"], row["overrides"], row["bots"]) for phase, row in phases}
    if not any(stage.exposures > stage.overrides + stage.bots for stage in stages.values()):
        return Result(made, tuple(stages.values()), {}, counts.strays(made, keyed, {}))
    scope = counts.scope_of(made, history, exposed, frozenset(row["keyed"] for row in keyed), now)
    exposures = attribute.counted(engine.table("exposures"), made.experiment, now, bots=made.bots)
    kept = engine.keep("observed", attribute.observations(exposures, scope, _extra(engine, made, exposures, constant)))
    observed = attribute.placed(kept, scope)
    found = _matched(engine, made, exposures, kept, scope) if keyed else None
    completed, values = _completed(engine, made, exposures, (observed, found), scope)
    stages = counts.with_units(engine, stages, observed, clustered=scope.clustered)
    stages = counts.with_fates(engine, made, stages, found)
    stages = counts.crossed_by_arm(engine, stages, exposures, observed, attribute.identity(scope))
    summing = Summing(engine, made, bundles(dict.fromkeys((*made.slicings, (ONE_DAY,))), values), scope.clustered)
    facts = Facts(propensities=constant, provisional=_still(made, stages, now))
    cells = summing.cells(completed, facts)
    leading = {} if found is None else counts.leading(engine, found)
    return Result(
        plan=made,
        stages=tuple(stages[place] for place in sorted(stages)),
        cells={place: cell for place, cell in cells.items() if place.slicing in made.slicings},
        strays=counts.strays(made, keyed, leading),
        series=_series(engine, made, (exposures, observed, found), cells, scope),
        slots={} if made.slot is None else slots_of(engine, made, summing.limited(completed)),
    )


def _extra(engine: Engine, made: Plan, exposures: ir.Table, constant: Propensities | None) -> dict[str, ir.Value]:
    """Return what is needed of an observation's exposures."""
    extra = exchanges.measured(exposures, made, engine) | slices.observed(exposures, made)
    return extra if constant is not None else extra | {"propensity": exposures.propensity.argmin(exposures.time)}


def _still(made: Plan, stages: Mapping[tuple[int, int], Stage], now: float) -> frozenset[tuple[int, int, int]]:
    """Return run, phase and place of the metrics whose values may still change."""
    return frozenset(
        (*place, index)
        for place, stage in stages.items()
        for index, metric in enumerate(made.metrics)
        if provisional(metric, stage.phase, now, frozen=made.frozen)
    )


def _matched(engine: Engine, made: Plan, exposures: ir.Table, observed: ir.Table, scope: Scope) -> ir.Table:
    outcomes = counts.known_outcomes(engine, made, scope.now)
    found = engine.keep("matched", attribute.matched(outcomes, exposures, observed, scope))
    return measure.aged(attribute.placed(found, scope))


def _completed(
    engine: Engine, made: Plan, exposures: ir.Table, known: tuple[ir.Table, ir.Table | None], scope: Scope
) -> tuple[ir.Table, dict[str, int]]:
    """Return one row for each observation that counts, and how many values each slice has at most."""
    observed, found = known
    every = engine.table("exposures")
    windowed = exchanges.windowed(exposures, observed, made, engine, attribute.identity(scope))
    before = slices.before(every.filter(every.time <= scope.now), observed, made)
    parts = [part for part in (*measure.parts(made, found), windowed, before) if part is not None]
    more = () if made.slot is None else ("first",)
    completed = engine.keep("completed", measure.completed(observed, parts, made, engine, more))
    common = {
        name: [row["value"] for row in engine.rows(tabulate.common_values(completed, name))] for name in made.attributes
    }
    values = {**slices.VALUES, **{name: len(found) + 1 for name, found in common.items()}}
    bounds = {name: _bounds(engine, completed, name) for name in slices.LEVELS if name in made.slices}
    return slices.told_apart(tabulate.sliced(completed, common), bounds), values


def _bounds(engine: Engine, completed: ir.Table, name: str) -> dict[tuple[int, int], tuple[int, ...]]:
    """Return the buckets at which the parts of a slice end, of all arms of each phase."""
    found = pooled(as_sketches(engine.rows(tabulate.spread(completed, name)), ()))
    return {
        place: tuple(last for level in slices.LEVELS[name] if (last := known.bucket_at(level)) is not None)
        for place, known in found.items()
    }


def _series(
    engine: Engine,
    made: Plan,
    known: tuple[ir.Table, ir.Table, ir.Table | None],
    cells: Mapping[Place, Cell],
    scope: Scope,
) -> Series:
    exposures, observed, found = known
    tenure: dict[str, dict[TenurePlace, Moments]] = {}
    primary = made.metrics[0] if made.metrics else None
    if primary is not None and primary.kind in series.KINDS:
        seen = series.valued(exposures, observed, primary, engine, attribute.identity(scope))
        rows = [] if seen is None and found is None else engine.rows(series.done(observed, found, seen, primary, made))
        tenure[primary.name] = series.as_tenure(engine.rows(series.lasted(observed)), rows, primary)
    return Series(
        days={place: cell for place, cell in cells.items() if place.slicing == (ONE_DAY,)},
        tenure=tenure,
        traffic=series.as_traffic(engine.rows(series.traffic(exposures)), scope.now),
    )
