"""Merging: many small parts of a day into one, and finding out which part is damaged.

Responsible for: merging in one rename.
Does not know: which parts to merge (``plan``), when to run, how a batch is sealed, retention.

Rules: a merged part is there before what it covers is deleted, and covers it from that moment on (``layout``).
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import duckdb

from router.archive import aside, columns, durable
from router.archive.engine import write_part
from router.archive.layout import Part, part_path, staging_folder
from router.archive.plan import Merge

logger = logging.getLogger(__name__)


def merge(connection: duckdb.DuckDBPyConnection, events: Path, planned: Merge) -> Part | None:
    """Merge parts; return the new one, or None when one of them is damaged, which is set aside then.

    Raises:
        OSError: If the disk does not take it.
        duckdb.Error: Likewise, or if it needs more memory than there is.
    """
    first = planned.parts[0]
    paths = [str(part.path) for part in planned.parts]
    staging_folder(events).mkdir(exist_ok=True)
    staged = staging_folder(events) / "merged.parquet"
    try:
        rows = write_part(connection, f"FROM read_parquet({columns.paths(paths)}, union_by_name=true)", staged)
        before = connection.execute("SELECT sum(num_rows) FROM parquet_file_metadata(?)", [paths]).fetchall()[0][0]
    except duckdb.Error:
        if not set_damaged_aside(connection, events, planned.parts):
            raise
        return None
    if rows != before:
        raise OSError(f"{staged} has {rows} rows and should have {before}")
    path = part_path(events, first.kind, first.day, planned.batches)
    durable.place(staged, path)
    for part in planned.parts:
        part.path.unlink(missing_ok=True)
    return Part(first.day, *planned.batches, first.kind, path, path.stat().st_size)


def set_damaged_aside(connection: duckdb.DuckDBPyConnection, events: Path, parts: Sequence[Part]) -> int:
    """Read parts in full, and move away those that cannot be read; return how many these are."""
    damaged = 0
    for part in parts:
        try:
            connection.execute("SELECT bit_xor(hash(COLUMNS(*))) FROM read_parquet(?)", [str(part.path)]).fetchall()
        except duckdb.InterruptException:
            raise
        except duckdb.Error as error:
            logger.error("archive: %s is damaged and set aside, its rows are missing: %s", part.path, error)  # noqa: TRY400 - the reason is in the text
            aside.keep_part(events, part.path)
            damaged += 1
    return damaged
