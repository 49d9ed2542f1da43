"""The store of outcomes: durable, once each, whatever is repeated and wherever it is cut off."""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.events import outcomes
from router.events.outcomes import Assigned, Outcome, OutcomeStore, connect, expire, mark_sealed, rows, unsealed

NOW = 1_800_000_000.0
HASH = "ab" * 16


def outcome(ident: str = "a", value: float = 1.0, time: float = NOW, *, timed: bool = True) -> Outcome:
    """Make an outcome of a unit."""
    return Outcome(ident, "click", value, time, timed, unit="u")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[OutcomeStore]:
    """A store in a folder of its own."""
    made = OutcomeStore(tmp_path)
    yield made
    made.close()


def held(folder: Path) -> list[outcomes.Row]:
    """Return the rows as another process reads them."""
    with closing(connect(folder)) as connection:
        return rows(connection)


def test_a_repeat_changes_nothing(store: OutcomeStore, tmp_path: Path) -> None:
    """Sent again, an outcome is a duplicate; with other content it is conflicting, and what was first stays."""
    assert store.append([outcome()], NOW) == ["accepted"]
    assert store.append([outcome(), outcome(value=2.0)], NOW + 1) == ["duplicate", "conflicting"]
    (row,) = held(tmp_path)
    assert (row.id, row.value, row.received) == ("a", 1.0, NOW)


def test_a_repeat_within_a_batch_counts_once(store: OutcomeStore, tmp_path: Path) -> None:
    """The first of two with one id is taken, also when both come at once."""
    assert store.append([outcome("a"), outcome("b"), outcome("a")], NOW) == ["accepted", "accepted", "duplicate"]
    assert [row.id for row in held(tmp_path)] == ["a", "b"]


def test_ids_of_any_length_are_told_apart(store: OutcomeStore) -> None:
    """Also those that are too long to be kept as they are."""
    idents = [text * count for text in "aé\xff" for count in (1, 19, 20, 21, 39, 40, 41, 128)]
    assert store.append([outcome(ident) for ident in idents], NOW) == ["accepted"] * len(idents)
    assert store.append([outcome(ident) for ident in idents], NOW) == ["duplicate"] * len(idents)


def test_a_time_that_was_not_sent_is_no_conflict(store: OutcomeStore) -> None:
    """Who leaves the time out and sends again at another time says the same again."""
    assert store.append([outcome(timed=False)], NOW) == ["accepted"]
    assert store.append([outcome(time=NOW + 9, timed=False)], NOW + 9) == ["duplicate"]


def test_an_outcome_has_a_row_for_each_of_its_assignments(store: OutcomeStore, tmp_path: Path) -> None:
    """Several experiments on one exchange each get it, under one id."""
    assigned = (Assigned("one", 1, HASH), Assigned("two", 3, HASH))
    assert store.append([Outcome("a", "click", 1.0, NOW, True, assigned)], NOW) == ["accepted"]
    found = [(row.id, row.keyed, row.experiment, row.run, row.unit_hash) for row in held(tmp_path)]
    assert found == [("a", "assignment", "one", 1, HASH), ("a", "assignment", "two", 3, HASH)]


def test_a_row_says_what_it_is_keyed_by(store: OutcomeStore, tmp_path: Path) -> None:
    """A unit and a request id are kept as they came."""
    store.append([outcome("a"), Outcome("b", "click", 1.0, NOW, True, request_id="r-1")], NOW)
    assert [(row.keyed, row.unit, row.request_id) for row in held(tmp_path)] == [
        ("unit", "u", None),
        ("request_id", None, "r-1"),
    ]


def test_an_item_is_part_of_what_an_outcome_says(store: OutcomeStore, tmp_path: Path) -> None:
    """A click on another item under the same id is a conflict; the item is kept."""
    click = Outcome("a", "click", 1.0, NOW, True, unit="u", item="i")
    assert store.append([click], NOW) == ["accepted"]
    assert store.append([click, outcome()], NOW) == ["duplicate", "conflicting"]
    assert [row.item for row in held(tmp_path)] == ["i"]


def test_a_store_of_the_version_before_is_read_and_written(tmp_path: Path) -> None:
    """Nothing of it is lost, repeats of what it has are known, and reading alone brings it up to date."""
    path = outcomes.store_path(tmp_path)
    for reader in (False, True):
        shutil.rmtree(path.parent, ignore_errors=True)
        with closing(OutcomeStore(tmp_path)) as made:
            made.append([outcome()], NOW)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("ALTER TABLE rows DROP COLUMN item")
            connection.execute("PRAGMA user_version=1")
            connection.commit()
        if reader:
            assert [row.item for row in held(tmp_path)] == [None]
        with closing(OutcomeStore(tmp_path)) as opened:
            assert opened.append([outcome(), outcome("b")], NOW) == ["duplicate", "accepted"]
        assert [row.id for row in held(tmp_path)] == ["a", "b"]


def test_ids_stay_known_after_sealing(store: OutcomeStore, tmp_path: Path) -> None:
    """What moved to the archive still makes a repeat a duplicate, and numbers of rows are never used again."""
    store.append([outcome("a"), outcome("b")], NOW)
    with closing(connect(tmp_path, write=True)) as connection:
        sealed = unsealed(connection, NOW + 1)
        assert [row.id for row in sealed] == ["a", "b"]
        assert mark_sealed(connection, sealed[-1].seq) == 2
    assert store.append([outcome("a"), outcome("c")], NOW + 2) == ["duplicate", "accepted"]
    (row,) = held(tmp_path)
    assert (row.id, row.seq) == ("c", 3)


def test_only_rows_older_than_a_bound_are_sealed(store: OutcomeStore, tmp_path: Path) -> None:
    """Rows go in order, and none passes one that has to stay."""
    for number, received in enumerate((NOW, NOW + 5, NOW + 10)):
        store.append([outcome(str(number))], received)
    with closing(connect(tmp_path, write=True)) as connection:
        assert unsealed(connection, NOW) == []
        assert [row.id for row in unsealed(connection, NOW + 4)] == ["0"]
        assert [row.id for row in unsealed(connection, NOW + 11, limit=2)] == ["0", "1"]
        assert mark_sealed(connection, 1) == 1
        assert [row.id for row in rows(connection)] == ["1", "2"]
        assert [row.id for row in rows(connection, after=2)] == ["2"]


def test_a_clock_that_ran_ahead_holds_no_rows_back(store: OutcomeStore, tmp_path: Path) -> None:
    """What was received before a row that may go came earlier than it, whatever the clock said then."""
    for number, received in enumerate((NOW + 1e9, NOW, NOW + 60, NOW + 1e9)):
        store.append([outcome(str(number))], received)
    with closing(connect(tmp_path)) as connection:
        assert [row.id for row in unsealed(connection, NOW + 1)] == ["0", "1"]
        assert [row.id for row in unsealed(connection, NOW + 61)] == ["0", "1", "2"]


def test_many_rows_are_sealed_in_short_steps(
    store: OutcomeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are, all up to the bound go, and none beyond it."""
    monkeypatch.setattr(outcomes, "STEP", 10)
    store.append([outcome(str(number)) for number in range(45)], NOW)
    with closing(connect(tmp_path, write=True)) as connection:
        assert mark_sealed(connection, 40) == 40
        assert len(rows(connection)) == 5


def test_ids_are_forgotten_by_age(store: OutcomeStore, tmp_path: Path) -> None:
    """Only those received before the bound, a step at a time; rows that are not sealed stay."""
    store.append([outcome(str(number)) for number in range(5)], NOW)
    store.append([outcome("late")], NOW + 10)
    with closing(connect(tmp_path, write=True)) as connection:
        assert [expire(connection, NOW + 1, 3) for _ in range(3)] == [3, 2, 0]
    assert store.append([outcome("0"), outcome("late")], NOW + 20) == ["accepted", "duplicate"]
    assert len(held(tmp_path)) == 7


def test_nothing_is_made_before_the_first_outcome(store: OutcomeStore, tmp_path: Path) -> None:
    """A router that nobody sends outcomes has no store."""
    assert store.expire(NOW) == 0
    assert store.size() == 0
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        connect(tmp_path)


def test_others_read_what_a_dead_writer_left(tmp_path: Path) -> None:
    """After a kill the write-ahead log is there and nobody has it open: a reader sees all of it."""
    before = OutcomeStore(tmp_path / "before")
    before.append([outcome()], NOW)
    shutil.copytree(tmp_path / "before", tmp_path / "after")
    before.close()
    (tmp_path / "after/outcomes/outcomes.sqlite-shm").unlink()
    assert [row.id for row in held(tmp_path / "after")] == ["a"]


def test_a_full_disk_takes_nothing_and_the_store_recovers(store: OutcomeStore, tmp_path: Path) -> None:
    """A batch that does not fit is not taken, not even a part of it; when there is room, the repeat is."""
    store.append([outcome("first")], NOW)
    connection = store._connection
    assert connection is not None
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count={pages}")
    batch = [outcome(f"{number:0100}") for number in range(1000)]
    with pytest.raises(OSError, match="database or disk is full"):
        store.append(batch, NOW)
    assert [row.id for row in held(tmp_path)] == ["first"]
    assert set(store.append(batch, NOW)) == {"accepted"}


def test_a_store_that_was_replaced_is_not_acknowledged(store: OutcomeStore, tmp_path: Path) -> None:
    """What went into a file that has no name any more is not taken; a new store takes the repeat."""
    store.append([outcome("a")], NOW)
    shutil.rmtree(tmp_path / "outcomes")
    with pytest.raises(OSError, match=r"No such file|replaced"):
        store.append([outcome("b")], NOW)
    assert store.append([outcome("b")], NOW) == ["accepted"]
    assert [row.id for row in held(tmp_path)] == ["b"]


def test_a_file_that_is_no_store_is_said_and_left_alone(store: OutcomeStore) -> None:
    """Damage is an error with the file's name, at each call, until somebody moves it away."""
    content = b"no database, but long enough to be looked at" * 100
    store.path.parent.mkdir()
    store.path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(OSError, match=r"outcomes\.sqlite"):
            store.append([outcome()], NOW)
        with pytest.raises(OSError, match=r"outcomes\.sqlite"):
            connect(store.path.parent.parent)
    assert store.path.read_bytes() == content
    store.path.unlink()
    assert store.append([outcome()], NOW) == ["accepted"]


def test_a_store_that_fails_to_expire_works_again(store: OutcomeStore) -> None:
    """The connection is made anew, as after every failure."""
    store.append([outcome()], NOW)
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("ALTER TABLE ids RENAME TO other")
        with pytest.raises(OSError, match="no such table"):
            store.expire(NOW + 1)
        connection.execute("ALTER TABLE other RENAME TO ids")
    assert store.expire(NOW + 1) == 1


def test_a_store_of_another_version_is_not_touched(store: OutcomeStore, tmp_path: Path) -> None:
    """A downgrade says so instead of guessing."""
    store.append([outcome()], NOW)
    store.close()
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("PRAGMA user_version=99")
    for use in (lambda: store.append([outcome()], NOW), lambda: connect(tmp_path)):
        with pytest.raises(OSError, match="version 99"):
            use()


BATCHES = st.lists(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from([0.0, 1.0])), min_size=1, max_size=6),
    min_size=1,
    max_size=6,
)


@settings(max_examples=40, deadline=None)
@given(batches=BATCHES, sealing=st.integers(0, 5), reopening=st.integers(0, 5))
def test_the_first_of_each_id_counts_once(batches: list[list[tuple[str, float]]], sealing: int, reopening: int) -> None:
    """Whatever is repeated within and between batches, sealed or reopened between: a dictionary that keeps firsts."""
    with tempfile.TemporaryDirectory() as name:
        store = OutcomeStore(Path(name))
        first: dict[str, float] = {}
        sealed: list[tuple[str, float]] = []
        for number, batch in enumerate(batches):
            expected = []
            for ident, value in batch:
                known = first.setdefault(ident, value) if ident in first else None
                expected.append("accepted" if known is None else "duplicate" if known == value else "conflicting")
                first.setdefault(ident, value)
            assert store.append([outcome(ident, value) for ident, value in batch], NOW + number) == expected
            if number == sealing:
                with closing(connect(Path(name), write=True)) as connection:
                    some = unsealed(connection, NOW + 100, limit=3)
                    sealed += [(row.id, row.value) for row in some]
                    mark_sealed(connection, some[-1].seq)
            if number == reopening:
                store.close()
        store.close()
        found = sealed + [(row.id, row.value) for row in held(Path(name))]
        assert len(found) == len(first)
        assert dict(found) == first


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(1, 30), min_size=1, max_size=5), data=st.data())
def test_what_was_acknowledged_survives_a_cut_anywhere_behind_it(sizes: list[int], data: st.DataObject) -> None:
    """Power that goes at any byte after an acknowledgement leaves all that was acknowledged, and no half of a batch."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = OutcomeStore(folder / "a")
        wal = store.path.with_name(f"{outcomes.FILE}-wal")
        acknowledged = []
        for number, size in enumerate(sizes):
            store.append([outcome(f"{number}-{place}") for place in range(size)], NOW)
            acknowledged.append(wal.stat().st_size)
        kept = data.draw(st.integers(0, len(sizes) - 1))
        cut = data.draw(st.integers(acknowledged[kept], acknowledged[-1]))
        (folder / "b/outcomes").mkdir(parents=True)
        shutil.copy(store.path, folder / "b/outcomes")
        (folder / "b/outcomes" / wal.name).write_bytes(wal.read_bytes()[:cut])
        store.close()
        after = OutcomeStore(folder / "b")
        batch = [outcome(f"{kept}-{place}") for place in range(sizes[kept])]
        assert set(after.append(batch, NOW)) == {"duplicate"}
        after.close()
        counts = [sum(row.id.startswith(f"{number}-") for row in held(folder / "b")) for number in range(len(sizes))]
        assert counts[: kept + 1] == sizes[: kept + 1]
        assert all(count in (0, size) for count, size in zip(counts, sizes, strict=True))
