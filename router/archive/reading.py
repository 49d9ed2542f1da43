"""Archive and live events together, as tables: ``open_archive``.

Responsible for: one moment of a folder that is written, sealed, merged and swept meanwhile, as views that stay the same
for as long as they are open; passing over files that are damaged, and saying which.
Does not know: what is asked of the views, who keeps the folder.

Rules:

- Nothing is written to the folder. What does not fit in memory goes to a temporary folder, which is removed at the end.
- All files are opened first. If the folder lists the same before and after, they are one moment of it; else it is tried
  again. From then on files are read through their descriptors, so it does not matter who deletes them.
- Live events are copied at the start: a segment that grows would give each query another answer.
- Rows are neither lost nor doubled while sealing moves them, because of what ``layout`` lists. Nothing is compared row
  by row: ids within segments and parts are unique as they are written.
"""

import logging
import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final, Self

import duckdb
from msgspec import Struct

from router.archive import columns
from router.archive.engine import Limits, connect, write_part
from router.archive.ingest import ingest
from router.archive.layout import KINDS, Listing, Part, list_archive
from router.archive.salts import Salts, read_salts
from router.archive.seal import create_outcomes, insert_outcomes
from router.events import outcomes

_ATTEMPTS: Final = 50
_MAGIC: Final = b"PAR1"
_LEAST_BYTES: Final = 12  # magic, length of the footer, magic

logger = logging.getLogger(__name__)


class Unread(Struct, frozen=True):
    """A part that could not be read.

    Attributes:
        path: Where it is.
        reason: Why not.
    """

    path: Path
    reason: str


class Archive(Struct, frozen=True):
    """A folder of events, opened.

    Attributes:
        connection: Has the views ``exposures``, ``exchanges``, ``shadows`` and ``outcomes``.
        unread: Parts that are damaged and whose rows are missing.
        unsound: Segment to how many of its lines are no events.
    """

    connection: duckdb.DuckDBPyConnection
    unread: tuple[Unread, ...]
    unsound: Mapping[Path, int]


@contextmanager
def open_archive(folder: Path, limits: Limits | None = None, salts: Salts | None = None) -> Iterator[Archive]:
    """Open a folder of events, as it is at this moment.

    Args:
        folder: ``events.dir``; one that does not exist holds no events.
        limits: What DuckDB may use.
        salts: (experiment, run) to the salt of its assignment, which ``exposures.unit_hash`` needs; by default those
            that the journal knows. The hash is NULL for other runs.

    Raises:
        OSError: If files cannot be opened, as when there are more than this process may have open.
        ValueError: If the mark of the batch that is being sealed cannot be read.
    """
    known = read_salts(folder) if salts is None else salts
    with ExitStack() as stack:
        spill = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="router-archive-")))
        connection = stack.enter_context(closing(connect(limits or Limits(), spill)))
        held = stack.enter_context(_Held(folder))
        live, unsound = _copy_live(connection, held, spill)
        unread = _create_views(connection, held.parts, live)
        connection.execute("SET VARIABLE salts = " + _map(known))
        yield Archive(connection, (*held.unread, *unread), unsound)


class _Held:
    """The files of one moment of a folder, open."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.parts: dict[int, Part] = {}
        self.segments: dict[int, Path] = {}
        self.store: sqlite3.Connection | None = None
        self.sealed_outcomes = 0
        self.unread: tuple[Unread, ...] = ()

    def __enter__(self) -> Self:
        for _ in range(_ATTEMPTS):
            before = list_archive(self._folder)
            try:
                self._open(before)
                # A segment that is new holds only events of after this moment.
                after = list_archive(self._folder)
                if (before.parts, before.mark) == (after.parts, after.mark) and {*before.segments} <= {*after.segments}:
                    return self
            except FileNotFoundError:
                pass
            except BaseException:
                self._close()
                raise
            self._close()
        raise OSError(f"{self._folder} changes faster than it can be opened")

    def __exit__(self, *_: object) -> None:
        self._close()

    def _open(self, listing: Listing) -> None:
        for path in listing.segments:
            self.segments[os.open(path, os.O_RDONLY | os.O_CLOEXEC)] = path
        for part in listing.parts:
            self.parts[os.open(part.path, os.O_RDONLY | os.O_CLOEXEC)] = part
        self.sealed_outcomes = listing.outcomes
        try:
            self.store = outcomes.connect(self._folder)
            self.store.execute("BEGIN")
            outcomes.rows(self.store, limit=1)  # from the first reading on, a transaction sees one moment
        except FileNotFoundError:
            return
        except (OSError, sqlite3.Error) as error:
            self._close_store()
            logger.warning("archive: outcomes that are not sealed are passed over: %s", error)
            self.unread = (Unread(outcomes.store_path(self._folder), str(error)),)

    def _close(self) -> None:
        for fd in (*self.segments, *self.parts):
            os.close(fd)
        self.segments, self.parts = {}, {}
        self._close_store()

    def _close_store(self) -> None:
        store, self.store = self.store, None
        if store is not None:
            store.close()


def descriptor(fd: int) -> str:
    """Return the name under which an open file can be opened again, though it may have been deleted."""
    return f"/dev/fd/{fd}"


def _copy_live(connection: duckdb.DuckDBPyConnection, held: _Held, spill: Path) -> tuple[Path, Mapping[Path, int]]:
    """Write live rows as parts, so that a view is one scan of files.

    Returns:
        The folder with a file ``KIND.parquet`` for each kind, and the segments with lines that are no events.
    """
    live = spill / "live"
    live.mkdir()
    ingested = ingest(connection, {descriptor(fd): path for fd, path in held.segments.items()}, spill)
    for kind in KINDS[:-1]:
        write_part(connection, columns.select(kind, "lines"), live / f"{kind}.parquet", "snappy")
    connection.execute("DROP TABLE lines")
    create_outcomes(connection)
    after = held.sealed_outcomes
    while held.store is not None and (rows := outcomes.rows(held.store, after)):
        insert_outcomes(connection, rows)
        after = rows[-1].seq
    write_part(connection, "FROM outcomes", live / "outcomes.parquet", "snappy")
    connection.execute("DROP TABLE outcomes")
    return live, ingested.unsound


def _create_views(connection: duckdb.DuckDBPyConnection, parts: Mapping[int, Part], live: Path) -> list[Unread]:
    unread: list[Unread] = []
    files: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for fd, part in parts.items():
        reason = damage(connection, fd, part.size)
        if reason is None:
            files[part.kind].append(descriptor(fd))
        else:
            logger.warning("archive: %s is passed over, its rows are missing: %s", part.path, reason)
            unread.append(Unread(part.path, reason))
    for kind in KINDS:
        # DuckDB estimates a list of files by its first, on which the order of joins depends; live rows may be none.
        listed = [*files[kind], str(live / f"{kind}.parquet")]
        connection.execute(f"CREATE VIEW {kind} AS {_view(kind, listed)}")
    return unread


def damage(connection: duckdb.DuckDBPyConnection, fd: int, size: int) -> str | None:
    """Say what is wrong with a part as far as its ends and its footer show it; None when nothing is."""
    if size < _LEAST_BYTES:
        return f"it has {size} bytes"
    if os.pread(fd, 4, 0) != _MAGIC or os.pread(fd, 4, size - 4) != _MAGIC:
        return "it is not a whole Parquet file"
    try:
        connection.execute("SELECT num_rows FROM parquet_file_metadata(?)", [descriptor(fd)]).fetchall()
    except duckdb.Error as error:
        return str(error)
    return None


def _view(kind: str, files: Iterable[str]) -> str:
    """Write the view of a kind. Parts of older versions lack columns, which are NULL then, or false."""
    named = [
        f"coalesce({columns.quote(name)}, false) AS {columns.quote(name)}"
        if duck == "BOOLEAN" and name != "agree"
        else columns.quote(name)
        for name, duck in columns.columns(kind).items()
    ]
    if kind == "exposures":
        named.append(f"{_UNIT_HASH} AS unit_hash")
    return f"SELECT {', '.join(named)} FROM read_parquet({columns.paths(files)}, union_by_name=true)"  # noqa: S608 - quoted


# The first half of what ``router.routing.token.unit_hash`` digests, in hexadecimal digits instead of base64.
_UNIT_HASH: Final = (
    "left(sha256(getvariable('salts')[experiment || chr(31) || run] || chr(0) || 'assignment' || chr(0) || run "
    '|| chr(0) || "unit"), 32)'
)


def _map(salts: Salts) -> str:
    keys = [f"{experiment}\x1f{run}" for experiment, run in salts]
    return f"MAP({columns.paths(keys)}::VARCHAR[], {columns.paths(salts.values())}::VARCHAR[])"
