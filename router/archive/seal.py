"""Sealing: closed segments and outcomes into parts, in one batch, so that a crash neither loses nor doubles a row.

Responsible for: the order of steps of a batch.
Does not know: which segments are closed, when to seal, what becomes of a batch that is interrupted (``recover``).

The steps, each durable before the next:

1. ``sealing.json`` marks the batch and its sources. Its parts do not count yet.
2. The parts are written to ``staging``, synced, and renamed to where they belong.
3. The mark says ``committed``: from here on the parts count, and the sources do not.
4. The sources are deleted: segments, and rows of the store of outcomes.
5. The mark is deleted.

Rules: only a folder in which nothing is half done is sealed. A segment that grew since it was read is not sealed: its
writer was thought to be dead.
"""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import duckdb
import msgspec
from msgspec import Struct

from router.archive import aside, columns, durable
from router.archive.engine import write_part
from router.archive.ingest import ingest
from router.archive.layout import KINDS, Mark, archive_folder, find_parts, mark_file, part_path, staging_folder
from router.archive.recover import finish
from router.events import outcomes
from router.events.keep import Stored

OUTCOMES_AT_ONCE: Final = 50_000  # rows of a batch; some 25 MB while they are copied


class Sealed(Struct, frozen=True):
    """What a batch was.

    Attributes:
        events: Lines that were sealed.
        outcomes: Outcomes that were.
        unsound: Lines that were no events.
    """

    events: int = 0
    outcomes: int = 0
    unsound: int = 0


class GrewError(Exception):
    """A segment was written to while it was sealed."""


def seal(
    connection: duckdb.DuckDBPyConnection, events: Path, segments: Sequence[Stored], received_before: float
) -> Sealed:
    """Seal segments, and the outcomes that wait, as one batch.

    Args:
        connection: For the work; its tables ``lines`` and ``outcomes`` are replaced.
        events: ``events.dir``.
        segments: Closed ones. None of them may grow.
        received_before: Outcomes received from then on stay where they are, in unix seconds.

    Raises:
        OSError: If the disk does not take it. ``recover`` comes next, then it can be tried again.
        duckdb.Error: Likewise.
        GrewError: If a segment is still written to.
    """
    durable.make_folder(archive_folder(events))
    through, waiting = _take_outcomes(connection, events, received_before)
    if not segments and not waiting:
        return Sealed()
    mark = Mark(
        max((part.last for part in find_parts(events)), default=0) + 1,
        tuple(segment.path.name for segment in segments),
        through,
    )
    durable.write(mark_file(events), msgspec.json.encode(mark))
    staging_folder(events).mkdir()
    ingested = ingest(connection, {str(one.path): one.path for one in segments}, staging_folder(events))
    for path in ingested.unsound:
        aside.keep_lines(events, path)
    _write_parts(connection, events, mark)
    for segment in segments:
        if segment.path.stat().st_size != segment.size:
            raise GrewError(f"{segment.path} was written to while it was sealed")
    committed = msgspec.structs.replace(mark, committed=True)
    durable.write(mark_file(events), msgspec.json.encode(committed))
    finish(events, committed)
    return Sealed(ingested.events, waiting, sum(ingested.unsound.values()))


def _take_outcomes(connection: duckdb.DuckDBPyConnection, events: Path, before: float) -> tuple[int, int]:
    """Copy the outcomes that wait into a table; return the last one's sequence number and how many they are."""
    create_outcomes(connection)
    try:
        store = outcomes.connect(events)
    except FileNotFoundError:
        return 0, 0
    with closing(store):
        rows = outcomes.unsealed(store, before, OUTCOMES_AT_ONCE)
    insert_outcomes(connection, rows)
    return (rows[-1].seq if rows else 0), len(rows)


def create_outcomes(connection: duckdb.DuckDBPyConnection) -> None:
    """Make an empty table ``outcomes``."""
    named = ", ".join(f"{columns.quote(name)} {kind}" for name, kind in columns.OUTCOMES.items())
    connection.execute(f"CREATE OR REPLACE TABLE outcomes ({named})")


def insert_outcomes(connection: duckdb.DuckDBPyConnection, rows: Sequence[outcomes.Row]) -> None:
    """Add rows of the store to the table ``outcomes``."""
    lists = ", ".join(f"unnest(?::{kind}[])" for kind in columns.OUTCOMES.values())
    for start in range(0, len(rows), outcomes.STEP):
        some = rows[start : start + outcomes.STEP]
        values = [[getattr(row, name) for row in some] for name in columns.OUTCOMES]
        connection.execute(f"INSERT INTO outcomes SELECT {lists}", values)


def _write_parts(connection: duckdb.DuckDBPyConnection, events: Path, mark: Mark) -> None:
    """Write a part for each kind and day of the batch, and put it where it belongs."""
    for kind in KINDS:
        rows = "FROM outcomes" if kind == "outcomes" else f"FROM ({columns.select(kind, 'lines')})"
        listed = connection.execute(f"{rows} SELECT DISTINCT {columns.day()} AS day ORDER BY day").fetchall()
        for (day,) in listed:
            staged = staging_folder(events) / f"{kind}.parquet"
            write_part(connection, f"{rows} SELECT * WHERE {columns.day()} = {columns.text(day)}", staged)
            path = part_path(events, kind, day, (mark.batch, mark.batch))
            durable.make_folder(path.parent)
            durable.place(staged, path)
