"""What is counted in a log for the checks of data quality: the same as by hand, whatever the order of events."""

import json
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st

from router.analysis.engine import EXPOSURES, OUTCOMES, SqlEngine, duckdb_engine
from router.analysis.observe import LEVELS, OTHER, observe, observe_received
from router.analysis.quality import Observed
from router.analysis.sample_ratio import Block
from router.config.schema import Arm, Experiment

Row = dict[str, Any]
NOW = 1000.0
WEIGHTS = {
    (1, 1, 0): {"a": 1.0, "b": 1.0},
    (1, 1, 1): {"a": 3.0, "b": 1.0},
    (1, 2, 0): {"a": 1.0, "b": 9.0},
}
IN_FORCE = {
    "e": {(*place, ""): weights for place, weights in WEIGHTS.items()} | {(1, 1, 0, "EU"): {"a": 9.0, "b": 1.0}}
}
_TYPES = {"string": "VARCHAR", "float64": "DOUBLE", "int32": "INTEGER", "boolean": "BOOLEAN"}


def experiment(*strata: str) -> Experiment:
    """Make the experiment that rows are of."""
    arms = (Arm(name="a", target="a", weight=1), Arm(name="b", target="b", weight=1))
    return Experiment(name="e", route="r", arms=arms, strata=strata)


def exposure(number: int, **given: Any) -> Row:
    """Make an exposure of unit ``u`` to arm ``a`` in epoch 0 of the first phase, at the second of its number."""
    tier = given.pop("tier", None)
    unit = given.get("unit", "u")
    plain = dict.fromkeys(EXPOSURES) | {
        "exchange": f"x{number}", "time": float(number), "request_id": f"q{number}", "route": "r", "experiment": "e",
        "run": 1, "phase": 1, "epoch": 0, "arm": "a", "propensity": 0.5, "override": False, "bot": False, "unit": unit,
        "user": unit, "site": None, "failed": False, "finished": True, "status": 200, "duration": 0.1,
        "rewards": "{}", "fanout": None,
        "attributes": json.dumps({} if tier is None else {"tier": tier}), "unit_hash": f"hash of {unit}",
    }  # fmt: skip
    return plain | given


def outcome(number: int, time: float, **given: Any) -> Row:
    """Make an outcome."""
    plain = dict.fromkeys(OUTCOMES) | {"id": f"o{number}", "outcome": "click", "value": 1.0}
    return plain | {"time": time, "received": time} | given


def engine(exposures: Sequence[Row], outcomes: Sequence[Row] = ()) -> SqlEngine:
    """Put rows into a database of this process."""
    connection = duckdb.connect(config={"threads": 1})
    for name, columns, rows in (("exposures", EXPOSURES, exposures), ("outcomes", OUTCOMES, outcomes)):
        typed = ", ".join(f'"{column}" {_TYPES[kind]}' for column, kind in columns.items())
        connection.execute(f"CREATE TABLE {name} ({typed})")
        if rows:
            places = ", ".join("?" for _ in columns)
            connection.executemany(
                f"INSERT INTO {name} VALUES ({places})",  # noqa: S608 - names of this test
                [[row[column] for column in columns] for row in rows],
            )
    return duckdb_engine(connection)


def observed(exposures: Sequence[Row], outcomes: Sequence[Row] = (), *strata: str) -> Any:
    """Observe the experiment; return its phases."""
    found = observe(engine(exposures, outcomes), [experiment(*strata)], IN_FORCE, NOW)
    return found["e"]


def test_without_events_there_is_no_phase() -> None:
    """Nothing is known, which is not that everything is fine."""
    assert observed([]) == ()


def test_a_unit_counts_once_at_its_first_exposure() -> None:
    """In the arm and against the weights of that moment, whatever it was given later."""
    rows = [
        exposure(5, epoch=1, arm="b"),
        exposure(3, epoch=0, arm="a"),
        exposure(4, unit="v", epoch=1, arm="b"),
        exposure(9, unit="v", epoch=1, arm="b"),
        exposure(7, phase=2, arm="b"),
    ]
    first, second = observed(rows)
    assert (first.units, first.crossed, first.exposures, first.analysed) == (2, 1, 4, 4)
    assert first.blocks == (Block(0, WEIGHTS[1, 1, 0], {"a": 1}), Block(1, WEIGHTS[1, 1, 1], {"b": 1}))
    assert (second.units, second.crossed) == (1, 0)
    assert second.blocks == (Block(0, WEIGHTS[1, 2, 0], {"b": 1}),)


def test_forced_exposures_are_no_units() -> None:
    """They are counted, and left out; a bot that was assigned is a unit as any other."""
    rows = [exposure(1, override=True), exposure(2, unit="v", bot=True), exposure(3, unit="w", bot=True, override=True)]
    (found,) = observed(rows)
    assert (found.exposures, found.overridden, found.bots, found.analysed, found.units) == (3, 2, 1, 1, 1)


def test_repeated_request_ids_are_counted() -> None:
    """A caller sent the same request again."""
    (found,) = observed([exposure(1, request_id="q"), exposure(2, request_id="q"), exposure(3)])
    assert (found.analysed, found.requests) == (3, 2)


def test_units_of_unknown_epochs_are_counted_apart() -> None:
    """The journal was compacted, or the epoch is of a replica."""
    (found,) = observed([exposure(1), exposure(2, unit="v", epoch=7)])
    assert (found.units, found.unplaced) == (2, 1)
    assert found.blocks == (Block(0, WEIGHTS[1, 1, 0], {"a": 1}),)


def test_a_region_with_weights_of_its_own_is_tested_against_them() -> None:
    """Units of another site are a block of their own; those of one whose weights are not known are counted apart."""
    rows = [exposure(1, unit="v", site="EU"), exposure(2), exposure(3, unit="w", site="EU", arm="b")]
    (found,) = observed([*rows, exposure(4, unit="x", site="US")])
    assert found.blocks == (
        Block(0, WEIGHTS[1, 1, 0], {"a": 1}),
        Block(0, {"a": 9.0, "b": 1.0}, {"a": 1, "b": 1}, "EU"),
    )
    assert found.unplaced == 1


def test_later_events_are_not_looked_at() -> None:
    """So that an answer is about one moment."""
    (found,) = observed([exposure(1), exposure(2000, unit="v")])
    assert found.units == 1


def test_strata_have_the_level_of_the_first_exposure() -> None:
    """A unit without the attribute is of the level None."""
    rows = [
        exposure(2, tier="gold"),
        exposure(5, tier="none"),
        exposure(3, unit="v"),
        exposure(4, unit="w", tier="gold"),
    ]
    (found,) = observed(rows, (), "tier")
    assert {level: blocks[0].units for level, blocks in found.strata["tier"].items()} == {
        "gold": {"a": 2},
        None: {"a": 1},
    }


def test_rare_levels_are_one() -> None:
    """What has as many levels as units does not make the answer as long as the log."""
    rows = [exposure(number, unit=f"u{number}", tier=str(number)) for number in range(LEVELS + 5)]
    (found,) = observed(rows, (), "tier")
    levels = found.strata["tier"]
    assert len(levels) == LEVELS + 1
    assert levels[OTHER][0].units == {"a": 5}


def test_lags_are_from_the_first_exposure_to_the_first_outcome_after_it() -> None:
    """By whatever key; what names an exposure and is dated before it is early, what names a user is not."""
    rows = [exposure(10), exposure(20), exposure(30, unit="v"), exposure(40, unit="w")]
    outcomes = [
        outcome(1, 5.0, keyed="unit", unit="u"),
        outcome(2, 16.0, keyed="unit", unit="u"),
        outcome(3, 50.0, keyed="request_id", request_id="q30"),
        outcome(4, 29.0, keyed="request_id", request_id="q30"),
        outcome(5, 43.0, keyed="assignment", experiment="e", run=1, unit_hash="hash of w"),
        outcome(6, 44.0, keyed="assignment", experiment="other", run=1, unit_hash="hash of w"),
        outcome(7, 60.0, keyed="unit", unit="nobody"),
    ]
    (found,) = observed(rows, outcomes)
    assert found.lags.units == 3
    assert (found.lags.median_s, found.lags.p90_s) == (6.0, 17.2)  # of 3, 6 and 20 seconds
    assert (found.lags.keyed, found.lags.early) == (3, 1)


def test_outcomes_tell_of_clocks_and_of_lost_exposures() -> None:
    """Times after they were received, and assignments that the router gave and the log does not have."""
    outcomes = [
        outcome(1, 100.0, received=90.0, keyed="unit", unit="u"),
        outcome(2, 50.0, received=53.0, keyed="assignment", experiment="e", run=1, unit_hash="hash of u"),
        outcome(3, 60.0, received=61.0, keyed="assignment", experiment="e", run=1, unit_hash="hash of lost"),
    ]
    found = observe_received(engine([exposure(1)], outcomes))
    assert (found.outcomes, found.assigned, found.unmatched, found.future, found.lead_s) == (3, 2, 1, 1, 10.0)
    assert found.median_s == 1.0
    assert observe_received(engine([exposure(1)])).outcomes == 0


# --- The law ----------------------------------------------------------------------------------------------------------


@st.composite
def _rows(draw: st.DrawFn) -> list[Row]:
    """Draw exposures of few units, at different moments."""
    return [
        exposure(
            number,
            unit=draw(st.sampled_from("uvwxyz")),
            phase=draw(st.sampled_from((1, 1, 2))),
            epoch=draw(st.sampled_from((0, 0, 1))),
            arm=draw(st.sampled_from("aaab")),
            override=draw(st.sampled_from((False, False, False, True))),
            bot=draw(st.sampled_from((False, False, True))),
            tier=draw(st.sampled_from(("gold", "none", None))),
        )
        for number in range(draw(st.integers(0, 25)))
    ]


def _by_hand(rows: list[Row], place: tuple[int, int]) -> Observed:
    here = [row for row in rows if (row["run"], row["phase"]) == place]
    counted = [row for row in here if not row["override"]]
    first: dict[str, Row] = {}
    for row in sorted(counted, key=lambda row: row["time"]):
        first.setdefault(row["unit"], row)
    arms = {unit: {row["arm"] for row in counted if row["unit"] == unit} for unit in first}

    def blocks(units: list[Row]) -> tuple[Block, ...]:
        known = sorted({row["epoch"] for row in units if (*place, row["epoch"]) in WEIGHTS})
        return tuple(
            Block(epoch, WEIGHTS[*place, epoch], dict(Counter(row["arm"] for row in units if row["epoch"] == epoch)))
            for epoch in known
        )

    tiers = {unit: json.loads(row["attributes"]).get("tier") for unit, row in first.items()}
    levels = {tier: blocks([row for unit, row in first.items() if tiers[unit] == tier]) for tier in set(tiers.values())}
    return Observed(
        experiment="e",
        run=place[0],
        phase=place[1],
        control="a",
        exposures=len(here),
        overridden=sum(row["override"] for row in here),
        bots=sum(row["bot"] and not row["override"] for row in here),
        analysed=len(counted),
        requests=len({row["request_id"] for row in counted}),
        units=len(first),
        crossed=sum(len(seen) > 1 for seen in arms.values()),
        blocks=blocks(list(first.values())),
        unplaced=sum((*place, row["epoch"]) not in WEIGHTS for row in first.values()),
        strata={"tier": {level: units for level, units in levels.items() if units}},
    )


@settings(max_examples=10, deadline=None)
@given(_rows(), st.randoms(use_true_random=False))
def test_counts_are_those_that_one_would_count_by_hand(rows: list[Row], order: random.Random) -> None:
    """And do not depend on the order of the log."""
    places = sorted({(row["run"], row["phase"]) for row in rows})
    known = tuple(_by_hand(rows, place) for place in places)
    order.shuffle(rows)
    assert observed(rows, (), "tier") == known
