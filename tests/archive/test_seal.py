"""Sealing moves rows from one place to the other: whenever it is interrupted, each is in one of them."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from router.archive.engine import Limits, connect
from router.archive.layout import Mark, find_parts, mark_file, read_mark
from router.archive.reading import open_archive
from router.archive.recover import recover
from router.archive.seal import GrewError, Sealed, seal
from router.events import keep, outcomes
from router.events.outcomes import Assigned, Outcome, OutcomeStore
from tests.archive.events import DAY, NOON, exchange, lines, seen, shadow, write

LATE = NOON + 10 * DAY


def seal_all(folder: Path, connection: duckdb.DuckDBPyConnection | None = None) -> Sealed:
    """Seal whatever is there, with a connection of its own or a given one."""
    recover(folder)
    if connection is not None:
        return seal(connection, folder, keep.stored(folder, ()), LATE)
    with closing(connect(Limits(threads=1), folder / "spill")) as own:
        return seal(own, folder, keep.stored(folder, ()), LATE)


def put_outcomes(folder: Path, *numbers: int) -> None:
    """Append outcomes of units, and one of two assignments."""
    store = OutcomeStore(folder)
    said = [Outcome(f"o{number}", "click", 1.0, NOON + number, timed=True, unit=f"user-{number}") for number in numbers]
    assigned = (Assigned("e", 1, "ab" * 16), Assigned("f", 1, "cd" * 16))
    said.append(Outcome(f"a{numbers[0]}", "click", 2.0, NOON, timed=True, assignments=assigned))
    store.append(said, NOON + 5)
    store.close()


def fill(folder: Path) -> None:
    """Write segments of two workers over midnight, and outcomes."""
    write(folder, 1, lines(exchange(1), exchange(2, NOON + DAY), shadow(3)))
    write(folder, 2, lines(exchange(4, experiments=()), exchange(5)), worker=1)
    put_outcomes(folder, 1, 2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of events with something of each kind in it."""
    fill(tmp_path)
    return tmp_path


def test_sealed_rows_are_those_of_the_segments(folder: Path) -> None:
    """All columns of all views are the same before and after."""

    def everything() -> dict[str, list[tuple[object, ...]]]:
        with open_archive(folder, salts={("e", 1): "s"}) as archive:
            table = archive.connection.table
            return {
                kind: sorted(table(kind).fetchall(), key=str)
                for kind in ("exposures", "exchanges", "shadows", "outcomes")
            }

    before = everything()
    assert seal_all(folder) == Sealed(events=5, outcomes=4)
    assert everything() == before
    assert keep.stored(folder, ()) == []
    assert read_mark(folder) is None


def test_parts_are_of_one_day_each(folder: Path) -> None:
    """Rows go by the UTC day of their own time."""
    seal_all(folder)
    assert [(part.kind, part.day, part.first) for part in find_parts(folder)] == [
        ("exchanges", "2025-11-22", 1), ("exposures", "2025-11-22", 1), ("outcomes", "2025-11-22", 1),
        ("shadows", "2025-11-22", 1), ("exchanges", "2025-11-23", 1), ("exposures", "2025-11-23", 1),
    ]  # fmt: skip


def test_nothing_to_seal_leaves_nothing_behind(tmp_path: Path) -> None:
    """No part, and no mark."""
    assert seal_all(tmp_path) == Sealed()
    assert find_parts(tmp_path) == []
    assert not mark_file(tmp_path).exists()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Return a connection for many batches; each replaces its tables."""
    with closing(connect(Limits(threads=1), tmp_path / "spill")) as connection:
        yield connection


class CrashError(BaseException):
    """The process ends here."""


@pytest.fixture
def crash(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Return what makes the process end at the n-th change of the disk."""
    left = [-1]

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            if left[0] == 0:
                raise CrashError
            left[0] -= 1
            return real(*arguments, **options)

        return call

    for name in ("replace", "unlink", "mkdir", "write_bytes"):
        monkeypatch.setattr(Path, name, counted(getattr(Path, name)))
    monkeypatch.setattr(os, "fsync", counted(os.fsync))
    monkeypatch.setattr(outcomes, "mark_sealed", counted(outcomes.mark_sealed))

    def arm(changes: int) -> None:
        left[0] = changes

    yield arm
    left[0] = -1


SMALL = {"exposures": [f"{1:032x}"], "exchanges": [f"{1:032x}"], "shadows": [], "outcomes": ["o1"]}


def small(folder: Path) -> None:
    """Make a folder with as little as takes all the steps, in which ``SMALL`` is to be seen."""
    folder.mkdir()
    write(folder, 1, lines(exchange(1)))
    store = OutcomeStore(folder)
    store.append([Outcome("o1", "click", 1.0, NOON, timed=True, unit="user-1")], NOON)
    store.close()


def crashes(act: Callable[[], object], arm: Callable[[int], None], changes: int) -> bool:
    """Return whether something ends before so many changes of the disk are done."""
    arm(changes)
    try:
        act()
    except CrashError:
        return True
    finally:
        arm(-1)
    return False


def after_crash(
    folder: Path, arm: Callable[[int], None], changes: int, engine: duckdb.DuckDBPyConnection
) -> Mark | None:
    """Return the mark that is left when sealing ends after so many changes of the disk."""
    small(folder)
    assert crashes(lambda: seal_all(folder, engine), arm, changes)
    return read_mark(folder)


def test_a_crash_at_any_step_neither_loses_nor_doubles_a_row(
    tmp_path: Path, crash: Callable[[int], None], engine: duckdb.DuckDBPyConnection
) -> None:
    """After each change of the disk in turn: all rows once, before recovery and after it, and sealing goes on."""
    step = 0
    while True:
        folder = tmp_path / str(step)
        small(folder)
        if not crashes(lambda: seal_all(folder, engine), crash, step):  # noqa: B023 - called at once
            break
        assert seen(folder) == SMALL
        recover(folder)
        assert not mark_file(folder).exists()
        assert step % 4 or seen(folder) == SMALL
        seal_all(folder, engine)
        assert keep.stored(folder, ()) == []
        assert len(find_parts(folder)) == 3
        step += 1
    assert step > 30


def test_a_crash_of_the_recovery_is_recovered_from(
    tmp_path: Path, crash: Callable[[int], None], engine: duckdb.DuckDBPyConnection
) -> None:
    """Undoing and finishing are interrupted at each of their steps."""
    finishing = 28
    while (mark := after_crash(tmp_path / f"find-{finishing}", crash, finishing, engine)) is None or not mark.committed:
        finishing += 1
    for step in (finishing - 1, finishing):
        again = 0
        while True:
            folder = tmp_path / f"{step}-{again}"
            mark = after_crash(folder, crash, step, engine)
            assert mark is not None
            assert mark.committed is (step == finishing)
            if not crashes(lambda: recover(folder), crash, again):  # noqa: B023 - called at once
                break
            assert seen(folder) == SMALL
            recover(folder)
            assert seen(folder) == SMALL
            again += 1
        assert again >= 3


def test_a_segment_that_grows_is_not_sealed(folder: Path) -> None:
    """A writer that was thought to have ended loses nothing."""
    path = next(iter(keep.stored(folder, ()))).path
    expected = seen(folder)
    found = keep.stored(folder, ())
    with path.open("ab") as file:
        file.write(lines(exchange(6)))
    with closing(connect(Limits(threads=1), folder / "spill")) as connection, pytest.raises(GrewError):
        seal(connection, folder, found, LATE)
    recover(folder)
    assert seen(folder)["exposures"] == sorted([*expected["exposures"], f"{6:032x}"])
    assert find_parts(folder) == []


def test_lines_that_are_no_events_are_kept_aside_and_the_rest_is_sealed(tmp_path: Path) -> None:
    """They are counted, and a line that was being written is no such line."""
    bad = b'garbage\n{"type":"later","id":"x","time":1}\n'
    path = write(tmp_path, 1, lines(exchange(1)) + bad + lines(exchange(2)) + b'{"type":"exch')
    write(tmp_path, 2, lines(exchange(3)))
    assert seal_all(tmp_path) == Sealed(events=3, unsound=2)
    assert len(seen(tmp_path)["exposures"]) == 3
    kept = (tmp_path / "archive" / "aside" / path.name).read_bytes()
    assert kept == bad + b'{"type":"exch'
    assert [one.name for one in (tmp_path / "archive" / "aside").iterdir()] == [path.name]


def test_a_segment_of_rubbish_only_is_sealed_away(tmp_path: Path) -> None:
    """It makes no part and does not come again."""
    write(tmp_path, 1, b"\0" * 100_000 + b"\n" + b"{" * 3_000_000 + b"\n")
    assert seal_all(tmp_path) == Sealed(unsound=2)
    assert keep.stored(tmp_path, ()) == []
    assert find_parts(tmp_path) == []


def test_late_outcomes_go_to_their_own_days(tmp_path: Path) -> None:
    """Also to days that have parts already, as another part."""
    for number in (1, 2):
        put_outcomes(tmp_path, number)
        seal_all(tmp_path)
    assert [(part.day, part.first) for part in find_parts(tmp_path)] == [("2025-11-22", 1), ("2025-11-22", 2)]
    assert seen(tmp_path)["outcomes"] == ["a1", "a1", "a2", "a2", "o1", "o2"]


def test_outcomes_that_have_just_come_stay_where_they_are(tmp_path: Path) -> None:
    """They are read from their store until they are sealed."""
    put_outcomes(tmp_path, 1)
    with closing(connect(Limits(threads=1), tmp_path / "spill")) as connection:
        assert seal(connection, tmp_path, [], NOON) == Sealed()
    assert seen(tmp_path)["outcomes"] == ["a1", "a1", "o1"]


def test_a_store_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """The other views are there."""
    write(tmp_path, 1, lines(exchange(1)))
    path = tmp_path / "outcomes" / "outcomes.sqlite"
    path.parent.mkdir()
    path.write_bytes(b"not a database" * 100)
    with open_archive(tmp_path) as archive:
        assert [unread.path for unread in archive.unread] == [path]
        assert archive.connection.table("exposures").fetchall()
    with pytest.raises((OSError, sqlite3.Error)):
        seal_all(tmp_path)
