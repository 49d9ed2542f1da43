"""Logs of events for tests: rows of the data contract, drawn or written by hand, as relations of an engine."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import duckdb
import pyarrow as pa
from hypothesis import strategies as st

from router.analysis.engine import SqlEngine, duckdb_engine
from router.analysis.history import Phase

Row = dict[str, Any]

EXPOSURES = pa.schema(
    [
        *(
            (name, pa.string())
            for name in ("exchange", "request_id", "route", "experiment", "arm", "unit", "user", "site")
        ),
        *((name, pa.string()) for name in ("target", "fallback", "attributes", "rewards", "unit_hash", "fanout")),
        *((name, pa.float64()) for name in ("time", "propensity", "duration", "first_byte")),
        *((name, pa.int32()) for name in ("run", "phase", "epoch", "status")),
        *((name, pa.bool_()) for name in ("override", "bot", "failed", "finished")),
    ]
)
OUTCOMES = pa.schema(
    [
        *((name, pa.string()) for name in ("id", "outcome", "keyed", "experiment", "unit_hash", "request_id", "unit")),
        ("item", pa.string()),
        *((name, pa.float64()) for name in ("value", "time", "received")),
        ("run", pa.int32()),
    ]
)
PHASES = (
    Phase(1, 1, 0.0, 20.0, ("a", "b"), "a"),
    Phase(1, 2, 20.0, 40.0, ("a", "b"), "a"),
    Phase(2, 1, 40.0, None, ("a", "b"), "a"),
)
NAMES = ("click", "buy", "visit")


def exposure(number: int, **given: Any) -> Row:
    """Make an exposure: of user ``u`` in arm ``a`` of experiment ``e``, run 1, phase 1, at time 0 unless given."""
    row: Row = {
        "exchange": f"x{number}",
        "time": 0.0,
        "request_id": f"r{number}",
        "route": "r",
        "experiment": "e",
        "run": 1,
        "phase": 1,
        "epoch": 0,
        "arm": "a",
        "propensity": 0.5,
        "override": False,
        "bot": False,
        "unit": "u",
        "user": given.get("unit", "u"),
        "target": "t",
        "failed": False,
        "finished": True,
        "status": 200,
        "duration": 0.1,
        "first_byte": 0.05,
        "fallback": None,
        "attributes": {},
        "rewards": {},
        "fanout": None,
        **given,
    }
    return {"unit_hash": f"{row['run']}/{row['unit']}", **row}


def outcome(number: int, **given: Any) -> Row:
    """Make an outcome: a click of user ``u``, of value 1, at time 1 unless given."""
    row: Row = {
        "id": f"o{number}",
        "outcome": "click",
        "value": 1.0,
        "time": 1.0,
        "keyed": "unit",
        "experiment": None,
        "run": None,
        "unit_hash": None,
        "request_id": None,
        "unit": None,
        "item": None,
        **given,
    }
    if row["keyed"] == "unit" and row["unit"] is None:
        row["unit"] = "u"
    return {"received": row["time"], **row}


def tables(exposures: Iterable[Row], outcomes: Iterable[Row]) -> Mapping[str, pa.Table]:
    """Return the relations of the data contract."""
    texts = [
        {**row, "attributes": json.dumps(row["attributes"]), "rewards": json.dumps(row["rewards"])} for row in exposures
    ]
    return {
        "exposures": pa.Table.from_pylist(texts, EXPOSURES),
        "outcomes": pa.Table.from_pylist(list(outcomes), OUTCOMES),
    }


def engine(exposures: Iterable[Row], outcomes: Iterable[Row]) -> SqlEngine:
    """Return an engine on DuckDB that has the relations."""
    connection = duckdb.connect(":memory:", config={"threads": 1})
    for name, table in tables(exposures, outcomes).items():
        connection.register(f"given_{name}", table)
        connection.table(f"given_{name}").create_view(name)
    return duckdb_engine(connection)


TIMES = st.integers(0, 60).map(float)
USERS = st.sampled_from(["u1", "u2", "u3", "u4", "u5"])
TENANTS = st.sampled_from(["t1", "t2", "t3"])


@st.composite
def exposures(draw: st.DrawFn, *, clustered: bool) -> list[Row]:
    """Draw exposures: several phases, forced ones, bots, units in two arms, users in several clusters."""
    rows = []
    chances = draw(st.sampled_from([(0.5,), (0.25, 0.5, None, 0.0)]))
    for number in range(draw(st.integers(0, 30))):
        user = draw(st.one_of(st.none(), USERS) if clustered else USERS)
        unit = draw(TENANTS) if clustered else user
        run, phase = draw(st.sampled_from([(1, 1), (1, 1), (1, 2), (2, 1)]))
        usual = "ab"[(sum(map(ord, str(unit))) + run) % 2]
        finished = draw(st.booleans())
        rows.append(
            exposure(
                number,
                time=draw(TIMES) + number / 64,  # no two at once: which came first is what the rules are about
                request_id=f"r{draw(st.integers(0, 12))}",
                experiment=draw(st.sampled_from(["e", "e", "e", "other"])),
                run=run,
                phase=phase,
                arm=usual if draw(st.integers(0, 9)) else "ab"[1 - "ab".index(usual)],
                override=draw(st.integers(0, 9)) == 0,
                bot=draw(st.integers(0, 9)) == 0,
                propensity=draw(st.sampled_from(chances)),
                unit=unit,
                user=user,
                failed=not finished or draw(st.booleans()),
                finished=finished,
                duration=draw(st.sampled_from([0.001, 0.25, 3.0])),
                first_byte=draw(st.sampled_from([None, 0.125])),
                attributes=draw(st.sampled_from([{}, {"country": "DE"}, {"country": "US", "tier": "gold"}])),
                rewards=draw(st.sampled_from([{}, {"header:x-cost": 0.5}, {"header:x-cost": 2.0, "json:/bad": 1.0}])),
            )
        )
    return rows


@st.composite
def outcomes(draw: st.DrawFn, *, clustered: bool) -> list[Row]:
    """Draw outcomes: keyed in each way, before and after exposures, of nobody known, of the future."""
    rows = []
    for number in range(draw(st.integers(0, 30))):
        keyed = draw(st.sampled_from(["unit", "request_id", "assignment"]))
        given: Row = {}
        if keyed == "unit":
            known = st.one_of(USERS, TENANTS) if clustered else USERS
            given["unit"] = draw(st.one_of(known, st.just("stranger")))
        elif keyed == "request_id":
            given["request_id"] = f"r{draw(st.integers(0, 14))}"
        else:
            run = draw(st.sampled_from([1, 2]))
            experiment = draw(st.sampled_from(["e", "e", "other"]))
            unit = draw(TENANTS if clustered else USERS)
            given |= {"run": run, "experiment": experiment, "unit_hash": f"{run}/{unit}"}
        time = draw(TIMES) + draw(st.sampled_from([0.0, 0.5]))
        rows.append(
            outcome(
                number,
                keyed=keyed,
                outcome=draw(st.sampled_from([*NAMES, "unread"])),
                value=draw(st.sampled_from([1.0, 0.0, -2.0, 8.0])),
                time=time,
                received=draw(st.sampled_from([None, time, time, time + 3.0, time + 16.0])),
                **given,
            )
        )
    return rows
