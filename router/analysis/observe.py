"""What a log holds of an experiment's phases, for the checks of data quality, as Ibis expressions.

Responsible for: counting exposures, units by epoch and arm of their first exposure, levels of strata, the lags of
outcomes, and what belongs to no experiment.
Does not know: how a query is run (``engine``), what the counts come to (``quality``, ``log_quality``).

Rules: pure. A forced exposure is none; bots are units as any other, since where they are excluded they are not assigned
in the first place. What comes back is bounded by phases, epochs, arms and ``LEVELS``, whatever the number of units.
Counts do not depend on the order of events, so live and offline agree.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import ibis
from ibis.expr import types as ir
from msgspec import structs

from router.analysis.engine import Engine
from router.analysis.log_quality import TOLERANCE_S, Received
from router.analysis.quality import Lags, Observed
from router.analysis.sample_ratio import Block
from router.analysis.weights import Weights
from router.config.schema import Experiment

# Levels of a stratum that are tested one by one, the commonest; all others together are one more.
LEVELS: Final = 20
OTHER: Final = "(other)"
_MICROSECONDS: Final = 1_000_000

Place = tuple[int, int]
Rows = list[dict[str, Any]]
Levels = dict[str | None, tuple[Block, ...]]


def observe(
    engine: Engine, experiments: Iterable[Experiment], weights: Mapping[str, Weights], now: float
) -> dict[str, tuple[Observed, ...]]:
    """Return, by experiment, what is known of each phase that has exposures, in order.

    Args:
        engine: Has the relations ``exposures`` and ``outcomes`` of the data contract, both without duplicates.
        experiments: The experiments to look at.
        weights: Experiment to the weights that were in force (``router.analysis.weights``).
        now: Nothing later is looked at; unix seconds.
    """
    found: dict[str, tuple[Observed, ...]] = {}
    for experiment in experiments:
        try:
            found[experiment.name] = _observe_one(engine, experiment, weights.get(experiment.name, {}), now)
        finally:
            engine.forget()
    return found


def _observe_one(engine: Engine, experiment: Experiment, weights: Weights, now: float) -> tuple[Observed, ...]:
    seen = engine.table("exposures")
    seen = seen.filter(seen.experiment == experiment.name, seen.time <= now)
    control = experiment.control or experiment.arms[0].name
    nothing: dict[str, Levels] = {column: {} for column in experiment.strata}
    counts = engine.rows(_counts(seen))
    phases = [Observed(experiment=experiment.name, control=control, strata=nothing, **row) for row in counts]
    if not any(phase.analysed for phase in phases):
        return tuple(phases)
    counted = seen.filter(~seen.override)
    units = engine.keep("units", _units(counted, experiment, engine))
    sums = {(row["run"], row["phase"]): row for row in engine.rows(_sums(units))}
    blocks, unplaced = _blocks(engine.rows(_first(units, [])), weights)
    strata = {column: _strata(engine, units, index, weights) for index, column in enumerate(experiment.strata)}
    lags = _lags(engine, counted, units, experiment.name, now)
    return tuple(
        structs.replace(
            phase,
            units=sums[place]["units"] if place in sums else 0,
            crossed=sums[place]["crossed"] if place in sums else 0,
            blocks=blocks.get(place, ()),
            unplaced=unplaced.get(place, 0),
            strata={column: levels.get(place, {}) for column, levels in strata.items()},
            lags=lags.get(place, Lags()),
        )
        for phase in phases
        for place in ((phase.run, phase.phase),)
    )


def _counts(seen: ir.Table) -> ir.Table:
    """Count the exposures of each phase; request ids by their hash, which is a number."""
    kept = ~seen.override
    return (
        seen.group_by("run", "phase")
        .aggregate(
            exposures=seen.count(),
            overridden=seen.override.cast("int64").sum(),
            bots=(seen.bot & ~seen.override).cast("int64").sum(),
            analysed=kept.cast("int64").sum(),
            requests=seen.request_id.hash().nunique(where=kept),
        )
        .order_by("run", "phase")
    )


def _units(exposures: ir.Table, experiment: Experiment, engine: Engine) -> ir.Table:
    """Return one row for each unit of a phase: its first exposure, and whether it was in more than one arm.

    An arm is a number here, so that the first exposure is the smallest of one integer: microseconds, then the arm.
    """
    arms = sorted(row["arm"] for row in engine.rows(exposures.select("arm").distinct()))
    place = exposures.arm.cases(*((arm, index) for index, arm in enumerate(arms)), else_=0).cast("int64")
    order = (exposures.time * _MICROSECONDS).round().cast("int64") * len(arms) + place
    found = exposures.group_by("run", "phase", "unit").aggregate(
        order=order.min(),
        first=exposures.time.min(),
        epoch=exposures.epoch.argmin(order),
        site=exposures.site.fill_null("").argmin(order),
        crossed=exposures.arm.min() != exposures.arm.max(),
        **({"attributes": exposures.attributes.argmin(order)} if experiment.strata else {}),
    )
    named = (found.order % len(arms)).cases(*enumerate(arms), else_="")
    # Of a unit, so that as few documents as can be are read; no attribute is an empty one.
    levels = {
        f"level{index}": engine.text(found.attributes, column).fill_null("")
        for index, column in enumerate(experiment.strata)
    }
    return found.mutate(arm=named, **levels).drop("order", *(["attributes"] if levels else []))


def _sums(units: ir.Table) -> ir.Table:
    return units.group_by("run", "phase").aggregate(units=units.count(), crossed=units.crossed.cast("int64").sum())


def _first(units: ir.Table, by: list[str]) -> ir.Table:
    counts = units.group_by("run", "phase", "epoch", "site", "arm", *by)
    return counts.aggregate(units=units.count())


def _blocks(rows: Rows, weights: Weights) -> tuple[dict[Place, tuple[Block, ...]], dict[Place, int]]:
    """Return the blocks of each phase, epochs in order, and the units of epochs whose weights are not known."""
    counts: dict[tuple[int, int, int, str], dict[str, int]] = {}
    unplaced: dict[Place, int] = {}
    for row in rows:
        place = row["run"], row["phase"], row["epoch"], row["site"]
        if place in weights:
            counts.setdefault(place, {})[row["arm"]] = row["units"]
        else:
            unplaced[place[:2]] = unplaced.get(place[:2], 0) + row["units"]
    blocks: dict[Place, tuple[Block, ...]] = {}
    for place, units in sorted(counts.items()):
        block = Block(place[2], dict(weights[place]), units, place[3])
        blocks[place[:2]] = (*blocks.get(place[:2], ()), block)
    return blocks, unplaced


def _strata(engine: Engine, units: ir.Table, index: int, weights: Weights) -> dict[Place, Levels]:
    """Return, by phase, the blocks of each level of a stratum."""
    column = units[f"level{index}"]
    sizes = units.group_by(level=column).aggregate(units=units.count())
    common = [row["level"] for row in engine.rows(sizes.order_by(sizes.units.desc(), sizes.level).limit(LEVELS))]
    levelled = units.mutate(level=ibis.ifelse(column.isin(common), column, OTHER))
    found: dict[Place, Levels] = {}
    by_level: dict[str, Rows] = {}
    for row in engine.rows(_first(levelled, ["level"])):
        by_level.setdefault(row["level"], []).append(row)
    for level, rows in sorted(by_level.items()):
        for place, blocks in _blocks(rows, weights)[0].items():
            found.setdefault(place, {})[level or None] = blocks
    return found


def _lags(engine: Engine, exposures: ir.Table, units: ir.Table, name: str, now: float) -> dict[Place, Lags]:
    """Return, by phase, how long after the first exposure of their unit outcomes came."""
    outcomes = engine.table("outcomes")
    outcomes = outcomes.filter(outcomes.time <= now, (outcomes.keyed != "assignment") | (outcomes.experiment == name))
    kinds = {row["keyed"] for row in engine.rows(outcomes.group_by("keyed").aggregate(number=outcomes.count()))}
    parts = [_ages(kind, outcomes.filter(outcomes.keyed == kind), exposures, units) for kind in sorted(kinds)]
    if not parts:
        return {}
    aged = ibis.union(*parts) if len(parts) > 1 else parts[0]
    by_unit = aged.group_by("run", "phase", "unit").aggregate(
        lag=aged.age.min(where=aged.age >= 0),
        keyed=aged.answers.cast("int64").sum(),
        early=(aged.answers & (aged.age < 0)).cast("int64").sum(),
    )
    lags = by_unit.group_by("run", "phase").aggregate(
        units=by_unit.lag.count(),
        median_s=by_unit.lag.quantile(0.5),
        p90_s=by_unit.lag.quantile(0.9),
        keyed=by_unit.keyed.sum(),
        early=by_unit.early.sum(),
    )
    return {
        (row["run"], row["phase"]): Lags(
            units=row["units"],
            median_s=row["median_s"] or 0.0,
            p90_s=row["p90_s"] or 0.0,
            keyed=row["keyed"],
            early=row["early"],
        )
        for row in engine.rows(lags)
    }


def _ages(kind: str, outcomes: ir.Table, exposures: ir.Table, units: ir.Table) -> ir.Table:
    """Return outcomes of one kind of key: their phase and unit, their age, and whether they answer an exposure."""
    yes, no = ibis.literal(value=True), ibis.literal(value=False)
    if kind == "unit":
        joined = outcomes.select("unit", at=outcomes.time).join(units, "unit")
        return joined.select("run", "phase", "unit", age=joined.at - joined.first, answers=no)
    if kind == "assignment":
        hashed = exposures.group_by("run", "phase", "unit").aggregate(
            unit_hash=exposures.unit_hash.min(), first=exposures.time.min()
        )
        joined = outcomes.select("run", "unit_hash", at=outcomes.time).join(hashed, ["run", "unit_hash"])
        return joined.select("run", "phase", "unit", age=joined.at - joined.first, answers=yes)
    asked = exposures.select("request_id", "run", "phase", "unit", asked=exposures.time)
    joined = outcomes.select("request_id", at=outcomes.time).join(asked, "request_id")
    return joined.select("run", "phase", "unit", age=joined.at - joined.asked, answers=yes)


# --- What belongs to no experiment -----------------------------------------------------------------------------------


def observe_received(engine: Engine) -> Received:
    """Return what the outcomes say, whoever they belong to; ``engine`` has ``exposures`` and ``outcomes``."""
    outcomes, exposures = engine.table("outcomes"), engine.table("exposures")
    lead = outcomes.time - outcomes.received
    rows = engine.rows(
        outcomes.aggregate(
            outcomes=outcomes.count(),
            future=(lead > TOLERANCE_S).cast("int64").sum(),
            lead=lead.max(),
            median=(-lead).quantile(0.5),
            p90=(-lead).quantile(0.9),
            assigned=(outcomes.keyed == "assignment").cast("int64").sum(),
        )
    )
    row = rows[0]
    if not row["outcomes"]:
        return Received()
    unmatched = 0
    if row["assigned"]:
        assigned = outcomes.filter(outcomes.keyed == "assignment")
        keys = ["experiment", "run", "unit_hash"]
        lost = assigned.anti_join(exposures.select(*keys).distinct(), keys)
        unmatched = engine.rows(lost.aggregate(number=lost.count()))[0]["number"]
    return Received(
        outcomes=row["outcomes"],
        assigned=row["assigned"],
        unmatched=unmatched,
        future=row["future"],
        lead_s=max(row["lead"], 0.0),
        median_s=row["median"],
        p90_s=row["p90"],
    )
