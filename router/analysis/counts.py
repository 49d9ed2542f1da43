"""What is counted of exposures and outcomes before anything is measured, and beside it.

Responsible for: exposures by phase, phases and what attribution is about, the outcomes that are read, and what became
of those that count for nobody.
Does not know: values of metrics, sums over units.

Rules: rows of the database to frozen data; one query for each count.
"""

from typing import Any

import ibis
from ibis.expr import types as ir
from msgspec import structs

from router.analysis import measure
from router.analysis.aggregates import Fates
from router.analysis.attribute import Scope
from router.analysis.collect import as_fates
from router.analysis.engine import Engine
from router.analysis.history import History, Phase, complete
from router.analysis.plan import Plan
from router.analysis.result import Stage, Stray

Rows = list[dict[str, Any]]
Propensities = dict[tuple[int, int, str], float]


def exposed(engine: Engine, made: Plan, now: float) -> tuple[Rows, Propensities | None]:
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


def keyed(engine: Engine, made: Plan, now: float) -> Rows:
    """Count the outcomes that metrics read, by name and key, and those of them that were not known by now."""
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


def with_units(
    engine: Engine, stages: dict[tuple[int, int], Stage], observed: ir.Table, *, clustered: bool
) -> dict[tuple[int, int], Stage]:
    """Add the units of each phase; where each of them is one observation, observations are counted."""
    number = observed.unit.nunique() if clustered else observed.count()
    crossed = observed.unit.nunique(where=observed.crossed) if clustered else observed.crossed.cast("int64").sum()
    out = dict(stages)
    for row in engine.rows(observed.group_by("run", "phase").aggregate(units=number, crossed=crossed)):
        place = row["run"], row["phase"]
        out[place] = structs.replace(out[place], units=row["units"], crossed=row["crossed"])
    return out


def with_fates(
    engine: Engine, made: Plan, stages: dict[tuple[int, int], Stage], found: ir.Table | None
) -> dict[tuple[int, int], Stage]:
    """Add what became of outcomes."""
    fates = [] if found is None else engine.rows(measure.fates(found, made))
    known = {(row["run"], row["phase"]): as_fates(row, made) for row in fates}
    nothing = {metric.name: Fates() for metric in made.metrics if metric.exchange is None}
    return {place: structs.replace(stage, fates=known.get(place, nothing)) for place, stage in stages.items()}


def crossed_by_arm(
    engine: Engine, stages: dict[tuple[int, int], Stage], exposures: ir.Table, observed: ir.Table, by: list[str]
) -> dict[tuple[int, int], Stage]:
    """Add in which arm observations that were seen in two arms were first.

    Args:
        engine: Runs queries.
        stages: What ``with_units`` returns.
        exposures: What ``attribute.counted`` returns.
        observed: What ``attribute.placed`` returns.
        by: Columns that name an observation.
    """
    if not any(stage.crossed for stage in stages.values()):
        return stages
    seen = exposures.semi_join(observed.filter(observed.crossed).select(*by), by)
    first = seen.group_by(by).aggregate(arm=seen.arm.argmin(seen.time))
    found: dict[tuple[int, int], dict[str, int]] = {}
    for row in engine.rows(first.group_by("run", "phase", "arm").aggregate(number=first.count())):
        found.setdefault((row["run"], row["phase"]), {})[row["arm"]] = row["number"]
    return {
        place: structs.replace(stage, crossed_by_arm=dict(sorted(found.get(place, {}).items())))
        for place, stage in stages.items()
    }


def leading(engine: Engine, found: ir.Table) -> dict[int, int]:
    """Count the outcomes that belong to some unit, each once, by code."""
    counts = found.filter(found.leads).group_by("code").aggregate(number=found.filter(found.leads).count())
    return {row["code"]: row["number"] for row in engine.rows(counts)}


def strays(made: Plan, keyed: Rows, leading: dict[int, int]) -> dict[str, Stray]:
    """Return, by metric, the outcomes that belong to no unit.

    Args:
        made: What was computed.
        keyed: What ``keyed`` returns.
        leading: What ``leading`` returns.
    """
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
