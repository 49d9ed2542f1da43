"""Outcomes that come in a file: labels of fraud, churn, refunds that somebody worked out later.

Responsible for: reading NDJSON, CSV or Parquet beside the outcomes of an archive, refusing what is no outcome, and
counting each once.
Does not know: what outcomes are for.

Rules: a row is what ``POST /v1/outcomes`` takes, with the same defaults, but for assignments, which need keys to be
believed. An id counts once: the log's outcome before the file's, and of the file's the one that sorts first.
"""

from pathlib import Path
from typing import Final

import duckdb
from msgspec import Struct

from router.archive.columns import columns, quote, text

RELATION: Final = "outcomes_and_late"
"""Relation that has the archive's outcomes and the file's."""
_FIELDS: Final = ("id", "outcome", "value", "time", "request_id", "unit", "assignment", "item")
_NEEDED: Final = ("id", "outcome", "time")
_OFFSET: Final = r"\d[Tt ]\d.*([Zz]|[+-]\d\d:\d\d)$"
_READERS: Final = {
    ".csv": "read_csv({file}, header = true, all_varchar = true)",
    ".parquet": "read_parquet({file})",
    ".ndjson": "read_json({file}, format = 'newline_delimited', ignore_errors = true, columns = {fields})",
    ".jsonl": "read_json({file}, format = 'newline_delimited', ignore_errors = true, columns = {fields})",
}
# The first that is true is the reason; none is an outcome that counts.
_REASONS: Final = (
    ("no id", "coalesce(id, '') = ''"),
    ("no outcome", "coalesce(outcome, '') = ''"),
    ("keyed by assignment, which a file cannot prove; use request_id or unit", "assignment IS NOT NULL"),
    ("not keyed by exactly one of request_id and unit", "(request_id IS NULL) = (unit IS NULL)"),
    ("time is no unix time and no RFC 3339 with an offset", "moment IS NULL OR NOT isfinite(moment)"),
    ("value is no finite number", "number IS NULL OR NOT isfinite(number)"),
)


class Late(Struct, frozen=True):
    """What a file holds.

    Attributes:
        rows: Rows in all.
        accepted: Rows that are outcomes the archive does not have.
        repeated: Rows whose id the archive has, or an earlier row.
        refused: Reason to number of rows; a line that cannot be read has no id.
    """

    rows: int
    accepted: int
    repeated: int
    refused: dict[str, int]


def add_late(connection: duckdb.DuckDBPyConnection, file: Path) -> Late:
    """Read a file, and make ``RELATION``.

    Args:
        connection: Of an archive; has the view ``outcomes``.
        file: Its name says what it is: .ndjson, .jsonl, .csv, .parquet.

    Raises:
        ValueError: If it cannot be read, or its name says nothing; a sentence for the user.
    """
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise ValueError(f"{file} is none of {', '.join(sorted(_READERS))}")
    fields = "{" + ", ".join(f"{name}: 'VARCHAR'" for name in _FIELDS) + "}"
    source = reader.format(file=text(str(file)), fields=fields)
    try:
        found = connection.execute(f"SELECT * FROM {source} LIMIT 0").description  # noqa: S608 - constants and quoted names
        present = {column[0]: str(column[1]) for column in found}
        if missing := [name for name in _NEEDED if name not in present]:
            raise ValueError(f"{file} lacks the columns {', '.join(missing)}")
        given = (_as_text(name, present[name]) if name in present else "NULL" for name in _FIELDS)
        fields = ", ".join(f"{column} AS {name}" for column, name in zip(given, _FIELDS, strict=True))
        connection.execute(f"CREATE TEMP TABLE late_rows AS {_checked(f'SELECT {fields} FROM {source}')}")  # noqa: S608 - constants and quoted names
    except duckdb.Error as error:
        raise ValueError(f"{file} cannot be read: {str(error).splitlines()[0]}") from error
    return _combined(connection)


def _as_text(name: str, kind: str) -> str:
    """Return a column as text; a timestamp of Parquet, which is UTC, as unix seconds."""
    return f"CAST(epoch({name}) AS VARCHAR)" if kind.startswith("TIMESTAMP") else f"CAST({name} AS VARCHAR)"


def _checked(given: str) -> str:
    """Return the query of rows with their values as numbers, and why each is refused."""
    whens = " ".join(f"WHEN {condition} THEN {text(reason)}" for reason, condition in _REASONS)
    truth = "CASE lower(value) WHEN 'true' THEN 1.0 WHEN 'false' THEN 0.0 ELSE TRY_CAST(value AS DOUBLE) END"
    # Without an offset a time would be that of the zone of whatever machine reads the file.
    offset = f"regexp_matches(time, {text(_OFFSET)})"
    at = f"coalesce(TRY_CAST(time AS DOUBLE), CASE WHEN {offset} THEN epoch(TRY_CAST(time AS TIMESTAMPTZ)) END)"
    values = f"SELECT *, CASE WHEN value IS NULL THEN 1.0 ELSE {truth} END AS number, {at} AS moment FROM ({given})"  # noqa: S608 - constants and quoted names
    return f"SELECT *, CASE {whens} END AS reason FROM ({values})"  # noqa: S608 - constants and quoted names


def _combined(connection: duckdb.DuckDBPyConnection) -> Late:
    made = {
        "id": "id",
        "outcome": "outcome",
        "value": "number",
        "time": "moment",
        "received": "moment",
        "keyed": "CASE WHEN unit IS NULL THEN 'request_id' ELSE 'unit' END",
        "request_id": "request_id",
        "unit": "unit",
        "item": "nullif(item, '')",
    }
    chosen = ", ".join(
        f"CAST({made.get(name, 'NULL')} AS {kind}) AS {quote(name)}" for name, kind in columns("outcomes").items()
    )
    connection.execute(
        f"CREATE TEMP TABLE late AS SELECT {chosen} FROM late_rows WHERE reason IS NULL "  # noqa: S608 - constants and quoted names
        "AND id NOT IN (SELECT id FROM outcomes) "
        "QUALIFY row_number() OVER (PARTITION BY id ORDER BY outcome, moment, number, unit, request_id, item) = 1"
    )
    names = ", ".join(map(quote, columns("outcomes")))
    connection.execute(
        f"CREATE TEMP VIEW {RELATION} AS SELECT {names} FROM outcomes UNION ALL SELECT {names} FROM late"  # noqa: S608 - constants and quoted names
    )
    counts = connection.execute("SELECT reason, count(*) FROM late_rows GROUP BY ALL ORDER BY ALL").fetchall()
    accepted = connection.execute("SELECT count(*) FROM late").fetchall()[0][0]
    sound = sum(count for reason, count in counts if reason is None)
    refused = {reason: count for reason, count in counts if reason is not None}
    return Late(sound + sum(refused.values()), accepted, sound - accepted, refused)
