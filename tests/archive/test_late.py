"""Late outcomes from a file: every row is accepted once, repeated, or refused with its reason."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from router.archive.columns import columns, quote
from router.archive.late import RELATION, Late, add_late

ROWS: list[dict[str, Any]] = [
    {"id": "new", "outcome": "refund", "value": -20, "time": 5, "unit": "u"},
    {"id": "new", "outcome": "refund", "value": -20, "time": 5, "unit": "u"},
    {"id": "known", "outcome": "refund", "time": 5, "unit": "u"},
    {"id": "true", "outcome": "fraud", "value": True, "time": "2026-11-01T00:00:00Z", "request_id": "r"},
    {"id": "", "outcome": "fraud", "time": 5, "unit": "u"},
    {"id": "a", "time": 5, "unit": "u"},
    {"id": "b", "outcome": "fraud", "time": "soon", "unit": "u"},
    {"id": "c", "outcome": "fraud", "time": 5},
    {"id": "d", "outcome": "fraud", "time": 5, "unit": "u", "request_id": "r"},
    {"id": "e", "outcome": "fraud", "value": "much", "time": 5, "unit": "u"},
    {"id": "f", "outcome": "fraud", "time": 5, "assignment": "token"},
]
EXPECTED = Late(
    rows=11,
    accepted=2,
    repeated=2,
    refused={
        "keyed by assignment, which a file cannot prove; use request_id or unit": 1,
        "no id": 1,
        "no outcome": 1,
        "not keyed by exactly one of request_id and unit": 2,
        "time is no unix time and no RFC 3339 with an offset": 1,
        "value is no finite number": 1,
    },
)


@pytest.fixture
def connection() -> duckdb.DuckDBPyConnection:
    """Give an archive with one outcome, ``known``."""
    made = duckdb.connect(":memory:", config={"threads": 1})
    declared = ", ".join(f"{quote(name)} {kind}" for name, kind in columns("outcomes").items())
    made.execute(f"CREATE TABLE outcomes ({declared})")
    made.execute("INSERT INTO outcomes (id, outcome, value, time) VALUES ('known', 'refund', -1, 4)")
    return made


@pytest.mark.parametrize("suffix", [".ndjson", ".csv", ".parquet"])
def test_each_row_counts_once_or_says_why_not(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, suffix: str
) -> None:
    """In any of the formats; what the log has already is the log's."""
    lines = tmp_path / "late.ndjson"
    lines.write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    file = lines.with_suffix(suffix)
    if suffix != ".ndjson":
        names = dict.fromkeys((key for row in ROWS for key in row), "VARCHAR")
        rows = connection.read_json(str(lines), format="newline_delimited", columns=names)
        rows.write_csv(str(file)) if suffix == ".csv" else rows.write_parquet(str(file))
    assert add_late(connection, file) == EXPECTED
    found = connection.execute(f"SELECT id, value, time, keyed FROM {RELATION} ORDER BY id").fetchall()  # noqa: S608 - a constant
    assert found == [("known", -1.0, 4.0, None), ("new", -20.0, 5.0, "unit"), ("true", 1.0, 1793491200.0, "request_id")]


def test_a_broken_line_is_refused_and_the_rest_is_read(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """A line that is no JSON has no id."""
    file = tmp_path / "late.ndjson"
    file.write_text('{"id": "x", "outcome": "o", "time": 1, "unit": "u"}\nnot json\n')
    assert add_late(connection, file) == Late(rows=2, accepted=1, repeated=0, refused={"no id": 1})


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_a_time_is_the_same_wherever_the_file_is_read(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, zone: str
) -> None:
    """One without an offset is refused; a timestamp of Parquet is UTC, with a zone or without."""
    connection.execute(f"SET TimeZone = '{zone}'")
    given = ("2026-11-01T02:00:00+02:00", "2026-11-01T00:00:00Z", "1793491200", "2026-11-01 00:00:00", "2026-11-01")
    file = tmp_path / "late.csv"
    file.write_text("id,outcome,time,unit\n" + "".join(f"{place},o,{time},u\n" for place, time in enumerate(given)))
    assert add_late(connection, file).accepted == 3
    found = connection.execute(f"SELECT DISTINCT time FROM {RELATION} WHERE id <> 'known'").fetchall()  # noqa: S608 - a constant
    assert found == [(1793491200.0,)]


@pytest.mark.parametrize("kind", ["TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMPTZ"])
def test_a_timestamp_of_parquet_is_utc(connection: duckdb.DuckDBPyConnection, tmp_path: Path, kind: str) -> None:
    """Whatever the zone of the machine."""
    connection.execute("SET TimeZone = 'America/New_York'")
    file = tmp_path / "late.parquet"
    moment = f"CAST(TIMESTAMPTZ '2026-11-01 00:00:00+00' AT TIME ZONE 'UTC' AS {kind.replace('TZ', '')})"
    moment = f"({moment}) AT TIME ZONE 'UTC'" if kind.endswith("TZ") else moment
    connection.sql(f"SELECT 'x' AS id, 'o' AS outcome, {moment} AS time, 'u' AS unit").write_parquet(str(file))
    assert add_late(connection, file).accepted == 1
    assert connection.execute(f"SELECT time FROM {RELATION} WHERE id = 'x'").fetchall() == [(1793491200.0,)]  # noqa: S608 - a constant


def test_a_file_that_cannot_be_read_is_one_sentence(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Neither another format nor garbage is a traceback."""
    with pytest.raises(ValueError, match=r"late.txt is none of .csv, .jsonl, .ndjson, .parquet"):
        add_late(connection, tmp_path / "late.txt")
    (tmp_path / "late.parquet").write_bytes(b"garbage")
    with pytest.raises(ValueError, match=r"late.parquet cannot be read: "):
        add_late(connection, tmp_path / "late.parquet")
    (tmp_path / "late.csv").write_text("user,refund\nu,5\n")
    with pytest.raises(ValueError, match=r"late.csv lacks the columns id, outcome, time"):
        add_late(connection, tmp_path / "late.csv")
