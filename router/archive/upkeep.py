"""The upkeep of a folder of events: sealing, merging and retention, in rounds.

Responsible for: what is done in a round and in which order, how much of it, that none of it fills the disk, what is
said and counted.
Does not know: tasks and threads (``router.control.upkeep``), how a batch is made.

Rules: a round never raises for what a disk or a file does: it says so, once while it lasts, and the next one goes on.
Without DuckDB segments stay as they are, and retention is all that is done. A round can be ended from another thread.
"""

import logging
import shutil
import sqlite3
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

from router.archive import aside, retain
from router.archive.layout import find_parts, list_archive, staging_folder
from router.archive.plan import Merge, plan
from router.archive.recover import recover
from router.config.schema import Events, Keep
from router.events import keep, outcomes
from router.events.keep import Stored

if TYPE_CHECKING:
    import duckdb

MIB: Final = 1024 * 1024
BATCH_BYTES: Final = 256 * MIB  # of segments sealed together
BATCHES: Final = 32  # of one round; 27,000 outcomes a second are kept up with
MERGES: Final = 16  # of one round
SPARE_BYTES: Final = 64 * MIB  # that sealing and merging leave free, and more where they need it
QUIET_S: Final = 2.0  # a segment of a worker that has ended is closed when nothing was written to it for so long
OUTCOMES_WAIT_S: Final = 60.0  # outcomes stay in their store at least so long
MEMORY_BYTES: Final = 128 * MIB  # a batch makes the process grow by 190 MB; with twice that it is a tenth faster
SPILL_BYTES: Final = 1024 * MIB

logger = logging.getLogger(__name__)


class Tally(Struct):
    """What was done since the start, and what is there.

    Attributes:
        sealed: Lines of the event log that were sealed.
        outcomes: Outcomes that were.
        unsound: Lines that were no events.
        failures: Rounds in which something could not be done.
        waiting_bytes: Closed segments that are not sealed.
        archive_bytes: Parts.
        files: Parts, in number.
    """

    sealed: int = 0
    outcomes: int = 0
    unsound: int = 0
    failures: int = 0
    waiting_bytes: int = 0
    archive_bytes: int = 0
    files: int = 0


class Readers(Protocol):
    """Who reads segments besides sealing (``router.archive.courier``)."""

    def held(self) -> set[Path]:
        """Return the segments that are still to be read."""

    def leave(self, path: Path) -> None:
        """Take note that a file is about to be deleted, read or not."""


def installed() -> bool:
    """Return whether there is what sealing needs."""
    return find_spec("duckdb") is not None


class Upkeep:
    """Keeps one folder. Rounds are for one thread; ``stop`` and ``tally`` are for any.

    Attributes:
        tally: What was done.
    """

    def __init__(self, folder: Path, *, seals: bool | None = None) -> None:
        """Do nothing yet.

        Args:
            folder: ``events.dir``.
            seals: Whether to seal; by default, whether what it needs is installed.
        """
        # Per process
        self.tally = Tally()
        self._folder = folder
        self._seals = installed() if seals is None else seals
        self._said: set[str] = set()
        self._stopping = threading.Event()
        self._connection: duckdb.DuckDBPyConnection | None = None
        if not self._seals:
            logger.info("events: segments stay as they are; the extra router[analysis] seals them to Parquet")

    def round(self, events: Events, growing: Collection[Path], readers: Readers, now: float) -> None:
        """Do what is due.

        Args:
            events: What to keep.
            growing: Segments that a running worker may still write to.
            readers: Who else reads segments: what they still need is not sealed yet.
            now: Unix seconds.
        """
        if self._seals and self._folder.exists():
            with self._failing("sealing"):
                self._seal(growing, readers.held(), now)
            with self._failing("merging"):
                self._merge(now)
        with self._failing("retention"):
            self._retain(events.keep, growing, readers, now)
        self._look(growing)

    def stop(self) -> None:
        """End the round that is under way soon, and do nothing more."""
        self._stopping.set()
        connection = self._connection
        if connection is not None:
            connection.interrupt()

    # --- Sealing and merging --------------------------------------------------------------------------------------

    def _seal(self, growing: Collection[Path], held: Collection[Path], now: float) -> None:
        recover(self._folder)
        refused = {*growing, *held}
        closed = [
            one for one in _segments(self._folder, growing) if one.path not in refused and now - one.modified >= QUIET_S
        ]
        for _ in range(BATCHES):
            batch = choose_batch(closed, shutil.disk_usage(self._folder).free)
            if closed and not batch:
                raise OSError(f"{self._folder} has too little space left for sealing")
            if self._stopping.is_set() or not (batch or self._outcomes_wait(now - OUTCOMES_WAIT_S)):
                return
            self._seal_batch(batch, now)
            del closed[: len(batch)]

    def _seal_batch(self, batch: Sequence[Stored], now: float) -> None:
        from router.archive.seal import seal  # noqa: PLC0415 - needs the extra

        with self._engine() as connection:
            sealed = seal(connection, self._folder, batch, now - OUTCOMES_WAIT_S)
        self.tally.sealed += sealed.events
        self.tally.outcomes += sealed.outcomes
        self.tally.unsound += sealed.unsound
        if sealed.unsound:
            kept = aside.aside_folder(self._folder)
            logger.warning("archive: lines that are no events were left out lines=%d; see %s", sealed.unsound, kept)

    def _outcomes_wait(self, before: float) -> bool:
        try:
            store = outcomes.connect(self._folder)
        except FileNotFoundError:
            return False
        with closing(store):
            return bool(outcomes.unsealed(store, before))

    def _merge(self, now: float) -> None:
        today = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d}"
        done = 0
        while done < MERGES and (planned := plan(list_archive(self._folder).parts, today)):
            for one in planned[: MERGES - done]:
                needed = sum(part.size for part in one.parts)
                if self._stopping.is_set() or shutil.disk_usage(self._folder).free < needed + SPARE_BYTES:
                    return
                self._merge_parts(one)
                done += 1

    def _merge_parts(self, planned: Merge) -> None:
        from router.archive.merge import merge  # noqa: PLC0415 - needs the extra

        with self._engine() as connection:
            merge(connection, self._folder, planned)

    @contextmanager
    def _engine(self) -> "Iterator[duckdb.DuckDBPyConnection]":
        from router.archive.engine import Limits, connect  # noqa: PLC0415 - needs the extra

        # One thread is the caller's own, so it has the caller's priority.
        limits = Limits(threads=1, memory_bytes=MEMORY_BYTES, spill_bytes=SPILL_BYTES)
        with closing(connect(limits, staging_folder(self._folder) / "spill")) as connection:
            self._connection = connection
            try:
                yield connection
            finally:
                self._connection = None

    # --- Retention --------------------------------------------------------------------------------------------------

    def _retain(self, wanted: Keep, growing: Collection[Path], readers: Readers, now: float) -> None:
        segments = _segments(self._folder, growing)
        parts = find_parts(self._folder)
        expired = keep.expired(retain.oldest_first(segments, parts), wanted, now)
        for one in expired:
            readers.leave(one.path)
        freed, failures = keep.sweep(expired)
        retain.remove_empty_days({part.path.parent for part in parts})
        aside.bound(self._folder)
        if not self._seals:
            self._expire_outcomes(now - wanted.age)
        if freed:
            logger.info("old events deleted files=%d bytes=%d", len(expired) - len(failures), freed)
        if failures:
            raise failures[0]

    def _expire_outcomes(self, before: float) -> None:
        """Delete outcomes that nobody seals."""
        try:
            store = outcomes.connect(self._folder, write=True)
        except FileNotFoundError:
            return
        with closing(store):
            while not self._stopping.is_set() and (old := outcomes.unsealed(store, before, outcomes.STEP)):
                outcomes.mark_sealed(store, old[-1].seq)

    def _look(self, growing: Collection[Path]) -> None:
        parts = find_parts(self._folder)
        self.tally.files = len(parts)
        self.tally.archive_bytes = sum(part.size for part in parts)
        self.tally.waiting_bytes = sum(one.size for one in _segments(self._folder, growing) if not one.growing)

    @contextmanager
    def _failing(self, what: str) -> Iterator[None]:
        """Say what failed, once while it lasts."""
        try:
            yield
        except Exception as error:  # whatever a disk or a library does, the next round goes on
            if self._stopping.is_set():
                return
            self.tally.failures += 1
            if what not in self._said:
                known = isinstance(error, OSError | ValueError | sqlite3.Error)
                logger.error("events: %s failed and is tried again: %s", what, error, exc_info=not known)  # noqa: TRY400 - where it is known, the reason is in the text
            self._said.add(what)
        else:
            if what in self._said:
                logger.info("events: %s works again", what)
            self._said.discard(what)


def choose_batch(closed: Sequence[Stored], free_bytes: int) -> list[Stored]:
    """Return the oldest segments that may be sealed together: none when the disk has too little space for any.

    Args:
        closed: Segments, oldest first.
        free_bytes: What the disk has left.
    """
    batch: list[Stored] = []
    total = 0
    for segment in closed:
        total += segment.size
        if (batch and total > BATCH_BYTES) or total + SPARE_BYTES > free_bytes:
            break
        batch.append(segment)
    return batch


def _segments(folder: Path, growing: Collection[Path]) -> list[Stored]:
    return [Stored(one.path, one.size, one.modified, one.path in growing) for one in keep.stored(folder, ())]
