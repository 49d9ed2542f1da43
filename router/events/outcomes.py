"""The store of outcomes: what came of exposures, on the disk before anybody is told so, and once each.

Responsible for: the SQLite file, appending so that a repeat changes nothing, handing rows to who seals them, forgetting
ids that are old enough.
Does not know: HTTP, tokens, what an outcome means or whether it has an exposure, Parquet.

``EVENTS_DIR/outcomes/outcomes.sqlite``, in WAL mode with ``synchronous=FULL``: a commit returns after its fsync::

    ids   number INTEGER PRIMARY KEY, key BLOB UNIQUE, content INTEGER, received REAL
    rows  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT, outcome TEXT, value REAL, time REAL, received REAL,
          keyed TEXT, experiment TEXT, run INTEGER, unit_hash TEXT, request_id TEXT, unit TEXT, item TEXT

``ids`` has every id that was ever accepted until ``expire``: ``key`` is its UTF-8, so that ids which sort by time are
written side by side (a fifth of the bytes), or 16 bytes of BLAKE2b behind 0xFF for one that is long. ``content`` is
eight bytes of what it said, which tell a repeat from a conflict.
``rows`` has what is not sealed yet, with a ``seq`` that only grows and is never reused; an outcome that is keyed by
several assignments has a row for each, so ``(id, experiment)`` is unique and ``id`` alone is not. ``keyed`` is
``assignment`` (``experiment``, ``run`` and ``unit_hash`` are set, the hash as 32 hexadecimal digits), ``request_id`` or
``unit``. Times are unix seconds.

Rules: one process appends (the journal's lock says which); any may read, seal and expire, each in a short transaction.
Who seals makes the sealed file durable first and calls ``mark_sealed`` then: a crash between the two leaves a row in
both places, none in neither. Whatever goes wrong, the connection is made anew at the next call, so the store works
again once the disk does.
"""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct, json

Keyed = Literal["assignment", "request_id", "unit"]
Fate = Literal["accepted", "duplicate", "conflicting"]

FOLDER: Final = "outcomes"
FILE: Final = "outcomes.sqlite"
VERSION: Final = 2  # of the tables, in ``user_version``; a store of version 1 gets its new column when it is opened
BUSY_S: Final = 5.0  # how long a call waits for another process's transaction
STEP: Final = 10_000  # rows or ids of one short transaction
CACHE_KIB: Final = 32 * 1024  # the index of ids is written in random places
KEY_BYTES: Final = 40  # of an id that is its own key: a UUID fits
CHECKPOINT_PAGES: Final = 8000  # 32 MB of log; a page that many commits touch is copied once
WAL_BYTES: Final = 64 * 1024 * 1024  # what the write-ahead log is cut back to
VACUUM_PAGES: Final = 1000  # given back to the file system after a step

_TABLES: Final = """
CREATE TABLE ids (
    number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, content INTEGER NOT NULL, received REAL NOT NULL
);
CREATE TABLE rows (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, outcome TEXT NOT NULL, value REAL NOT NULL,
    time REAL NOT NULL, received REAL NOT NULL, keyed TEXT NOT NULL, experiment TEXT, run INTEGER, unit_hash TEXT,
    request_id TEXT, unit TEXT, item TEXT
);
"""
_COLUMNS: Final = "seq, id, outcome, value, time, received, keyed, experiment, run, unit_hash, request_id, unit, item"
_INSERT_ID: Final = "INSERT OR IGNORE INTO ids VALUES (?, ?, ?, ?)"
_INSERT_ROW: Final = "INSERT INTO rows VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Assigned(Struct, frozen=True, gc=False, array_like=True):
    """The assignment that an outcome belongs to, from a token that was verified.

    Attributes:
        experiment: Name of the experiment.
        run: Number of its run.
        unit_hash: Salted hash of the unit, 32 hexadecimal digits.
    """

    experiment: str
    run: int
    unit_hash: str


class Outcome(Struct, frozen=True, gc=False):
    """An outcome that is in order: exactly one of the last three says whose it is.

    Attributes:
        id: Who sends it twice sends it under the same id.
        outcome: What happened.
        value: How much of it.
        time: When, in unix seconds.
        timed: Whether its sender said when; what it is given otherwise is no part of what it says.
        assignments: The assignments that it came with.
        request_id: Request that it is about.
        unit: Unit that it is about.
        item: Id of the item of a list that it is about; None when it is about none.
    """

    id: str
    outcome: str
    value: float
    time: float
    timed: bool
    assignments: tuple[Assigned, ...] = ()
    request_id: str | None = None
    unit: str | None = None
    item: str | None = None

    @property
    def keyed(self) -> Keyed:
        """Say what it is keyed by."""
        return "assignment" if self.assignments else "unit" if self.request_id is None else "request_id"


class Row(Struct, frozen=True, gc=False):
    """A row of the table ``rows``; see above."""

    seq: int
    id: str
    outcome: str
    value: float
    time: float
    received: float
    keyed: str
    experiment: str | None
    run: int | None
    unit_hash: str | None
    request_id: str | None
    unit: str | None
    item: str | None = None


def store_path(events_dir: Path) -> Path:
    """Return where the store of a folder of events is."""
    return events_dir / FOLDER / FILE


def connect(events_dir: Path, *, write: bool = False) -> sqlite3.Connection:
    """Connect to a store that is there, for one thread.

    Args:
        events_dir: Folder of events.
        write: Whether to seal or expire with it.

    Raises:
        FileNotFoundError: If there is no store yet.
        OSError: If it is none, or another version's.
    """
    path = store_path(events_dir)
    if not path.exists():
        raise FileNotFoundError(f"there is no {path}")
    try:
        return _checked(_connection(path, "rw" if write else "ro"), path)
    except sqlite3.Error as error:
        raise _unusable(path, error) from error


def rows(connection: sqlite3.Connection, after: int = 0, limit: int = STEP) -> list[Row]:
    """Return the rows that come after a ``seq``, in order, at most so many."""
    found = connection.execute(f"SELECT {_COLUMNS} FROM rows WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit))  # noqa: S608 - a constant
    return [Row(*row) for row in found]


def unsealed(connection: sqlite3.Connection, before: float, limit: int = STEP) -> list[Row]:
    """Return the first rows, in order, up to the last that was received before a time in unix seconds.

    What stands before that one came earlier, also where a clock that ran ahead says something else.
    """
    found = rows(connection, 0, limit)
    return found[: next((place for place in range(len(found), 0, -1) if found[place - 1].received < before), 0)]


def mark_sealed(connection: sqlite3.Connection, through: int) -> int:
    """Drop the rows up to a ``seq``, which are durable elsewhere; their ids stay known. Return how many they were.

    Raises:
        sqlite3.Error: If they cannot be dropped now; they can be sealed again, and count once by ``(id, experiment)``.
    """
    dropped = 0
    while True:
        some = connection.execute(
            "DELETE FROM rows WHERE seq IN (SELECT seq FROM rows WHERE seq <= ? ORDER BY seq LIMIT ?)", (through, STEP)
        ).rowcount
        dropped += some
        if some < STEP:
            return dropped


def expire(connection: sqlite3.Connection, before: float, limit: int = STEP) -> int:
    """Forget ids that were received before a time, oldest first, in one short step; return how many.

    Raises:
        sqlite3.Error: If that cannot be done now.
    """
    forgotten = connection.execute(
        "DELETE FROM ids WHERE number IN (SELECT number FROM ids ORDER BY number LIMIT ?) AND received < ?",
        (limit, before),
    ).rowcount
    if forgotten:
        connection.execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()
    return forgotten


class OutcomeStore:
    """The store as its one writing process has it. Used by one thread.

    Attributes:
        path: The file.
    """

    __slots__ = ("_connection", "_inode", "path")

    def __init__(self, events_dir: Path) -> None:
        """Touch nothing yet; the first outcome makes the file."""
        self.path = store_path(events_dir)
        self._connection: sqlite3.Connection | None = None
        self._inode = 0

    def append(self, outcomes: Sequence[Outcome], received: float) -> list[Fate]:
        """Write outcomes in one transaction; they are on the disk when this returns.

        Args:
            outcomes: In the order in which repeats among them count.
            received: When, in unix seconds.

        Returns:
            What became of each. A conflicting one is a repeat that says something else; what was first stays.

        Raises:
            OSError: If they cannot be written. Then none of them counts as taken; a repeat finds out.
        """
        connection = self._opened()
        try:
            fates = _append(connection, outcomes, received)
            inode = self.path.stat().st_ino
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise _unusable(self.path, error) from error
        if inode != self._inode:  # what was just committed is in a file that no longer has a name
            self.close()
            raise OSError(f"{self.path} was replaced while it was in use")
        return fates

    def expire(self, before: float) -> int:
        """Forget some of the ids that were received before a time; none when there is no store.

        Raises:
            OSError: If that cannot be done now.
        """
        if self._connection is None and not self.path.exists():
            return 0
        try:
            return expire(self._opened(), before)
        except sqlite3.Error as error:
            self.close()
            raise _unusable(self.path, error) from error

    def size(self) -> int:
        """Return the bytes that the store takes, its write-ahead log included."""
        total = 0
        for path in (self.path, self.path.with_name(f"{FILE}-wal")):
            with suppress(OSError):  # no such file takes nothing
                total += path.stat().st_size
        return total

    def close(self) -> None:
        """Let go of the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(
                sqlite3.Error
            ):  # what was acknowledged is durable; a log that stays is read at the next start
                connection.close()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            try:
                self._connection = _create(self.path)
                self._inode = self.path.stat().st_ino
            except (sqlite3.Error, OSError) as error:
                self.close()
                raise _unusable(self.path, error) from error
        return self._connection


def _append(connection: sqlite3.Connection, outcomes: Sequence[Outcome], received: float) -> list[Fate]:
    keys = [_key(outcome.id) for outcome in outcomes]
    contents = [_content(outcome) for outcome in outcomes]
    connection.execute("BEGIN IMMEDIATE")
    try:
        (last,) = connection.execute("SELECT max(number) FROM ids").fetchone()
        first = (last or 0) + 1
        entries = [
            (first + place, key, content, received)
            for place, (key, content) in enumerate(zip(keys, contents, strict=True))
        ]
        if connection.executemany(_INSERT_ID, entries).rowcount == len(entries):
            fates: list[Fate] = ["accepted"] * len(entries)
        else:
            found = connection.execute("SELECT number FROM ids WHERE number >= ?", (first,))
            taken = {number for (number,) in found}
            fates = [
                "accepted" if number in taken else _repeat(connection, key, content)
                for number, key, content, _ in entries
            ]
        connection.executemany(_INSERT_ROW, _lines(outcomes, fates, received))
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # SQLite may have rolled back already
            connection.execute("ROLLBACK")
        raise
    return fates


def _lines(outcomes: Sequence[Outcome], fates: Sequence[Fate], received: float) -> list[tuple[object, ...]]:
    """Return the rows of the accepted ones."""
    out: list[tuple[object, ...]] = []
    keys: list[tuple[object, ...]]
    for outcome, fate in zip(outcomes, fates, strict=True):
        if fate == "accepted":
            said = (outcome.id, outcome.outcome, outcome.value, outcome.time, received, outcome.keyed)
            if outcome.assignments:
                keys = [(each.experiment, each.run, each.unit_hash, None, None) for each in outcome.assignments]
            else:
                keys = [(None, None, None, outcome.request_id, outcome.unit)]
            out += [(*said, *key, outcome.item) for key in keys]
    return out


def _repeat(connection: sqlite3.Connection, key: bytes, content: int) -> Fate:
    (known,) = connection.execute("SELECT content FROM ids WHERE key = ?", (key,)).fetchone()
    return "duplicate" if known == content else "conflicting"


def _key(ident: str) -> bytes:
    key = ident.encode()
    return key if len(key) <= KEY_BYTES else b"\xff" + blake2b(key, digest_size=16).digest()


def _content(outcome: Outcome) -> int:
    said: tuple[object, ...] = (
        outcome.outcome, outcome.value, outcome.time if outcome.timed else None, outcome.assignments,
        outcome.request_id, outcome.unit,
    )  # fmt: skip
    if outcome.item is not None:  # what version 1 kept of those without one stays what they say
        said = (*said, outcome.item)
    return int.from_bytes(blake2b(json.encode(said), digest_size=8).digest(), "big", signed=True)


def _create(path: Path) -> sqlite3.Connection:
    """Open a store for appending; make it, durably, when there is none."""
    folder = path.parent
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640))  # SQLite gives its other files this mode
    connection = _connection(path, "rw")
    try:
        if connection.execute("PRAGMA user_version").fetchone() == (0,):
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # only ever before the first table
            connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript(f"BEGIN IMMEDIATE;{_TABLES}PRAGMA user_version={VERSION};COMMIT;")
            for each in (folder, folder.parent):  # a file that has no name after a power cut is not durable
                with closing(_Folder(each)) as opened:
                    os.fsync(opened.fd)
    except BaseException:
        connection.close()
        raise
    return _checked(connection, path)


class _Folder:
    """A folder, open."""

    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self.fd)


def _connection(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=BUSY_S, isolation_level=None
    )
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
    connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit={WAL_BYTES}")
    return connection


def _checked(connection: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    """Give a connection back, or close it when its file is not of this version."""
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    if version == 1:
        return _grown(connection, path)
    if version != VERSION:
        connection.close()
        raise OSError(f"{path} has version {version}, this router knows {VERSION}; move it away or use its own version")
    return connection


def _grown(connection: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    """Add to a store of version 1 what it lacks; another process may do so at the same time."""
    try:
        with closing(_connection(path, "rw")) as writer:
            writer.execute("BEGIN IMMEDIATE")
            if writer.execute("PRAGMA user_version").fetchone() == (1,):
                writer.execute("ALTER TABLE rows ADD COLUMN item TEXT")
                writer.execute(f"PRAGMA user_version={VERSION}")
            writer.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def _unusable(path: Path, error: Exception) -> OSError:
    """Say what is wrong in a sentence; an error that is a sentence already stays."""
    if isinstance(error, OSError) and error.errno is None:
        return error
    return OSError(f"the outcome store {path} cannot be used: {error}")
