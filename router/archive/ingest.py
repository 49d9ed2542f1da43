"""Segments of the event log into a table of DuckDB, whatever is in them.

Responsible for: one table ``lines`` of all whole lines, each marked as sound or not, and how many were not.
Does not know: why they are read, what is done with the rows or with the lines that are no events.

Rules: no content of a file is an error. DuckDB reads the lines; a file that it cannot read, as with a line of more
than ``LINE_BYTES``, is read by ``router.events.read`` instead, written anew without what is wrong, and then read. A
line without a newline is the last of its file and does not count as unsound: its writer is still at it, or was killed.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import duckdb
import msgspec
from msgspec import Struct

from router.archive import columns
from router.events.read import read_segment

LINE_BYTES: Final = 1024 * 1024  # a line of the log has some hundred bytes; units and paths are bounded
_CLEANED_BYTES: Final = 256 * 1024  # lines written at once

logger = logging.getLogger(__name__)


class Ingested(Struct, frozen=True):
    """What came of reading segments.

    Attributes:
        events: Rows of ``lines`` that are events.
        unsound: Segment to how many of its whole lines are no events; segments without any are left out.
    """

    events: int
    unsound: Mapping[Path, int]


def ingest(
    connection: duckdb.DuckDBPyConnection, segments: Mapping[str, Path], spill: Path, table: str = "lines"
) -> Ingested:
    """Make a table of the lines of segments.

    Args:
        connection: Where.
        segments: File to read, which may be a descriptor's, to the segment's own path.
        spill: Folder for copies of segments that DuckDB cannot read as they are.
        table: Name of the table, replaced when it exists.
    """
    create = f"CREATE OR REPLACE TABLE {table} AS "
    connection.execute(f"{create} {_read([])}")
    unsound: dict[Path, int] = {}
    try:
        connection.execute(f"{create} {_read(list(segments))}")
    except duckdb.Error as error:
        logger.warning("events: %d segments are read one by one, because of one of them: %s", len(segments), error)
        for file, path in segments.items():
            skipped = _ingest_alone(connection, table, file, spill)
            if skipped:
                unsound[path] = skipped
    counted = connection.execute(
        f"SELECT filename, count(*) FROM {table} WHERE NOT sound GROUP BY filename"  # noqa: S608 - a name of our own
    ).fetchall()
    for file, count in counted:
        whole = count - _torn(file)
        if whole > 0 and file in segments:
            unsound[segments[file]] = unsound.get(segments[file], 0) + whole
    events = connection.execute(f"SELECT count(*) FROM {table} WHERE sound").fetchall()[0][0]  # noqa: S608 - likewise
    return Ingested(events, unsound)


def _read(files: Sequence[str]) -> str:
    if not files:
        nothing = ", ".join(
            f"NULL::{kind} AS {columns.quote(name)}" for name, kind in columns.fields_of_lines().items()
        )
        return f"SELECT {nothing}, NULL::VARCHAR AS filename, false AS sound WHERE false"
    return (
        f"SELECT *, {columns.sound()} AS sound FROM read_json({columns.paths(files)}, format='newline_delimited', "  # noqa: S608 - quoted
        f"columns={columns.line_columns()}, ignore_errors=true, filename=true, maximum_object_size={LINE_BYTES})"
    )


def _ingest_alone(connection: duckdb.DuckDBPyConnection, table: str, file: str, spill: Path) -> int:
    """Add the lines of one segment; return how many of them were left out on the way."""
    try:
        connection.execute(f"INSERT INTO {table} BY NAME {_read([file])}")
    except duckdb.Error:
        spill.mkdir(parents=True, exist_ok=True)
        clean = spill / f"clean-{Path(file).name}"
        try:
            skipped = _write_clean(file, clean)
            connection.execute(f"INSERT INTO {table} BY NAME {_read([str(clean)])}")
        finally:
            clean.unlink(missing_ok=True)
        return skipped
    return 0


def _write_clean(file: str, clean: Path) -> int:
    skipped = 0

    def count(_path: Path, _line: int, _reason: str) -> None:
        nonlocal skipped
        skipped += 1

    encoder = msgspec.json.Encoder()
    lines = bytearray()
    with clean.open("wb") as output:
        for event in read_segment(Path(file), count):
            lines += encoder.encode(event)
            lines += b"\n"
            if len(lines) >= _CLEANED_BYTES:
                output.write(lines)
                lines.clear()
        output.write(lines)
    return skipped


def _torn(file: str) -> bool:
    """Return whether a file ends in a line without its newline."""
    try:
        with Path(file).open("rb") as opened:
            if not opened.seek(0, os.SEEK_END):
                return False
            opened.seek(-1, os.SEEK_END)
            return opened.read(1) != b"\n"
    except FileNotFoundError:
        return False
