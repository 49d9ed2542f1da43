"""From events to what is known of each experiment: the same function live, offline and in replays.

Responsible for: which queries are run, and in which order.
Does not know: files, where events come from, how often it is called, what follows from what it returns.

Rules: a fold is a function of the events, the definitions, the history and ``now``; nothing is kept from one to the
next, so live and offline agree (floating-point sums up to rounding, since a database adds in any order). Memory is the
database's, which spills; what comes back is bounded by phases, arms, slices and metrics.
"""

from collections.abc import Iterable
from typing import Any

import ibis
from ibis.expr import types as ir
from msgspec import structs

from router.analysis import attribute, exchanges, measure, tabulate
from router.analysis.aggregates import Fates
from router.analysis.attribute import Scope
from router.analysis.collect import Facts, as_fates
from router.analysis.credit import credits_of
from router.analysis.engine import Engine
from router.analysis.history import History, Phase, complete
from router.analysis.plan import Plan, plan, provisional
from router.analysis.result import Folded, Result, Stage, Stray
from router.analysis.sums import Summing, bundles
from router.config.schema import Experiment, Metric

Rows = list[dict[str, Any]]
Propensities = dict[tuple[int, int, str], float]


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
    exposed, constant = _exposed(engine, made, now)
    keyed = _keyed(engine, made, now) if made.outcomes else []
    stages = {
        stage.phase.place: stage
        for stage in (
            Stage(phase, row["exposures"], row["overrides"], row["bots"])
            for phase, row in zip(phases_of(made, history, exposed), exposed, strict=True)
        )
    }
    if not any(stage.exposures > stage.overrides + stage.bots for stage in stages.values()):
        return Result(made, tuple(stages.values()), {}, _strays(made, keyed, {}))
    scope = scope_of(made, history, exposed, frozenset(row["keyed"] for row in keyed), now)
    exposures = attribute.counted(engine.table("exposures"), made.experiment, now, bots=made.bots)
    extra = exchanges.measured(exposures, made, engine)
    extra |= {"propensity": exposures.propensity.argmin(exposures.time)} if constant is None else {}
    kept = engine.keep("observed", attribute.observations(exposures, scope, extra))
    observed = attribute.placed(kept, scope)
    found = _matched(engine, made, exposures, kept, scope) if keyed else None
    parts = measure.parts(made, found)
    windowed = exchanges.windowed(exposures, observed, made, engine, attribute.identity(scope))
    completed, values = _completed(engine, made, observed, parts if windowed is None else [*parts, windowed])
    stages = _staged(engine, made, stages, observed, found)
    still = [
        (*stage.phase.place, index)
        for stage in stages.values()
        for index, metric in enumerate(made.metrics)
        if provisional(metric, stage.phase, now, frozen=made.frozen)
    ]
    summing = Summing(engine, made, bundles(made.slicings, values), scope.clustered)
    cells = summing.cells(completed, Facts(propensities=constant, provisional=frozenset(still)))
    leading = {} if found is None else _leading(engine, found)
    return Result(made, tuple(stages[place] for place in sorted(stages)), cells, _strays(made, keyed, leading))


def _exposed(engine: Engine, made: Plan, now: float) -> tuple[Rows, Propensities | None]:
    """Count the exposures of each phase, and return the propensities of arms where all of an arm's are the same."""
    seen = engine.table("exposures")
    seen = seen.filter(seen.experiment == made.experiment, seen.time <= now)
    left_out = seen.bot & ~seen.override & ibis.literal(made.bots)
    counts = ~seen.override & ~left_out
    found = seen.group_by("run", "phase", "arm").aggregate(
        exposures=seen.count(),
        first=seen.time.min(),
        overrides=seen.override.cast("int64").sum(),
        bots=left_out.cast("int64").sum(),
        low=seen.propensity.min(where=counts),
        high=seen.propensity.max(where=counts),
        known=seen.propensity.count(where=counts),
    )
    rows = engine.rows(found.order_by("run", "phase", "arm"))
    phases: dict[tuple[int, int], dict[str, Any]] = {}
    for row in rows:
        whole = phases.setdefault((row["run"], row["phase"]), {"run": row["run"], "phase": row["phase"]})
        whole["first"] = min(row["first"], whole.get("first", row["first"]))
        for name in ("exposures", "overrides", "bots"):
            whole[name] = whole.get(name, 0) + row[name]
    return list(phases.values()), _constant(rows)


def _constant(rows: Rows) -> Propensities | None:
    out: Propensities = {}
    for row in rows:
        counted = row["exposures"] - row["overrides"] - row["bots"]
        if counted and not (row["known"] == counted and row["low"] == row["high"] and 0 < row["low"] <= 1):
            return None
        if counted:
            out[row["run"], row["phase"], row["arm"]] = row["low"]
    return out


def _keyed(engine: Engine, made: Plan, now: float) -> Rows:
    """Count the outcomes that metrics read, by name and key."""
    seen = _ours(engine, made)
    future = (seen.time > now) | (_received(seen, made) > now)
    counts = seen.group_by("outcome", "keyed").aggregate(total=seen.count(), future=future.cast("int64").sum())
    return engine.rows(counts)


def _ours(engine: Engine, made: Plan) -> ir.Table:
    outcomes = engine.table("outcomes")
    named = outcomes.filter(outcomes.outcome.isin(list(made.outcomes)))
    return named.filter((named.keyed != "assignment") | (named.experiment == made.experiment))


def _received(outcomes: ir.Table, made: Plan) -> ir.FloatingValue:
    """Return when outcomes came; where that is not asked, or not known, when they happened."""
    return ibis.coalesce(outcomes.received, outcomes.time) if made.frozen else outcomes.time


def phases_of(made: Plan, history: History, exposed: Rows) -> list[Phase]:
    """Return the phase of each row of ``exposed``, which has run, phase and first exposure."""
    seen = {(row["run"], row["phase"]): row["first"] for row in exposed}
    phases = {phase.place: phase for phase in complete(history.phases.get(made.experiment, ()), seen)}
    return [phases[row["run"], row["phase"]] for row in exposed]


def scope_of(made: Plan, history: History, exposed: Rows, keys: frozenset[str], now: float) -> Scope:
    """Return what attribution is about.

    Args:
        made: What is to be computed.
        history: What was in force when.
        exposed: A row for each phase that has exposures: its run, phase and first exposure.
        keys: How outcomes are keyed.
        now: The moment that it is about.
    """
    phases = phases_of(made, history, exposed)
    known = (*history.phases.get(made.experiment, ()), *phases)
    clustered = any(made.clustered if phase.clustered is None else phase.clustered for phase in known)
    return Scope(made.experiment, now, tuple(phases), made.bots, clustered, keys)


def known_outcomes(engine: Engine, made: Plan, now: float) -> ir.Table:
    """Return the outcomes that metrics read and that had been received, with the ``code`` of their name."""
    ours = _ours(engine, made)
    outcomes = ours.mutate(received=_received(ours, made))
    outcomes = outcomes.filter(outcomes.time <= now, outcomes.received <= now)
    named = outcomes.outcome.cases(*measure.codes(made).items(), else_=-1) if made.outcomes else ibis.literal(-1)
    return outcomes.mutate(code=named.cast("int16"))


def _matched(engine: Engine, made: Plan, exposures: ir.Table, observed: ir.Table, scope: Scope) -> ir.Table:
    outcomes = known_outcomes(engine, made, scope.now)
    found = engine.keep("matched", attribute.matched(outcomes, exposures, observed, scope))
    return measure.aged(attribute.placed(found, scope))


def _completed(
    engine: Engine, made: Plan, observed: ir.Table, parts: list[ir.Table]
) -> tuple[ir.Table, dict[str, int]]:
    """Return one row for each observation that counts, and how many values each slice has at most."""
    completed = engine.keep("completed", measure.completed(observed, parts, made, engine))
    common = {
        name: [row["value"] for row in engine.rows(tabulate.common_values(completed, name))] for name in made.attributes
    }
    return tabulate.sliced(completed, common), {**tabulate.BUILT_IN, **{name: len(v) + 1 for name, v in common.items()}}


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
