"""Opened, a folder of events is one moment of it: nothing twice, nothing missing, whatever happens to its files."""

from base64 import urlsafe_b64decode
from pathlib import Path

import msgspec
import pytest

from router.archive import columns, reading
from router.archive.engine import write_part
from router.archive.layout import Mark, list_archive, mark_file, part_path
from router.archive.reading import open_archive
from router.events.journal import Journal
from router.events.model import Enrolment, Fanout
from router.routing.token import unit_hash
from tests.archive.events import NOON, exchange, lines, name, seen, shadow, write
from tests.events import examples


def hexed(number: int) -> str:
    """Return the id of an exchange."""
    return f"{number:032x}"


def open_files() -> int:
    """Count the files that this process has open."""
    return len(list(Path("/dev/fd").iterdir()))


def put_part(folder: Path, kind: str, numbers: range, batches: tuple[int, int] = (1, 1)) -> Path:
    """Write a part whose rows are those of some events."""
    source = write(folder / "made", batches[0], lines(*(exchange(number) for number in numbers)))
    path = part_path(folder, kind, "2025-11-22", batches)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_archive(source.parent) as archive:
        hidden = " EXCLUDE (unit_hash)" if kind == "exposures" else ""
        write_part(archive.connection, f"FROM {kind} SELECT *{hidden}", path)
    source.unlink()
    return path


def test_a_folder_that_does_not_exist_has_no_rows(tmp_path: Path) -> None:
    """All views are there, and empty."""
    assert seen(tmp_path / "none") == {"exposures": [], "exchanges": [], "shadows": [], "outcomes": []}


def test_live_segments_are_read(tmp_path: Path) -> None:
    """Each line is a row of its kind; an exchange in no experiment is no exposure."""
    write(tmp_path, 1, lines(exchange(1), exchange(2, experiments=()), shadow(3)))
    write(tmp_path, 2, lines(exchange(4)), worker=1)
    assert seen(tmp_path) == {
        "exposures": [hexed(1), hexed(4)],
        "exchanges": [hexed(1), hexed(2), hexed(4)],
        "shadows": [hexed(3)],
        "outcomes": [],
    }


def test_an_exposure_has_what_the_event_says(tmp_path: Path) -> None:
    """Every column of the contract, for an exchange in two experiments."""
    enrolments = (
        Enrolment("e", 1, 2, 3, "control", 0.25, "v1"),
        Enrolment("f", 4, 5, 6, "new", 0.5, "v2", override=True),
    )
    event = exchange(1, experiments=enrolments, failed=True, fallback="timeout", unit='a"b', first_byte=None,
                     fanout=Fanout("e", {"control": "alone"}))  # fmt: skip
    write(tmp_path, 1, lines(event))
    with open_archive(tmp_path, salts={("e", 1): "s"}) as archive:
        rows = archive.connection.execute("SELECT * FROM exposures ORDER BY experiment").fetchall()
        named = [column[0] for column in archive.connection.description or ()]
    first, second = (dict(zip(named, row, strict=True)) for row in rows)
    assert named == [*columns.EXPOSURES, "unit_hash"]
    assert first == {
        "exchange": hexed(1), "time": NOON, "request_id": "request-1", "route": "ranker", "experiment": "e", "run": 1,
        "phase": 2, "epoch": 3, "arm": "control", "propensity": 0.25, "override": False, "bot": False, "unit": 'a"b',
        "user": 'a"b', "site": None, "target": "v1", "failed": True, "finished": True, "status": 200,
        "duration": 0.0123, "first_byte": None, "fallback": "timeout", "attributes": "{}", "rewards": "{}",
        "unit_hash": urlsafe_b64decode(unit_hash("s", 1, 'a"b') + "==").hex(),
        "fanout": '{"experiment":"e","arms":{"control":"alone"}}',
    }  # fmt: skip
    assert second["fanout"] is None
    assert (second["experiment"], second["arm"], second["override"], second["unit_hash"]) == ("f", "new", True, None)


def test_salts_come_from_the_journal(tmp_path: Path) -> None:
    """Without being told, the hash of a unit is that of its assignment token."""
    journal = Journal(tmp_path / "journal")
    journal.append(examples.revised(1))
    journal.close()
    write(tmp_path, 1, lines(exchange(1)))
    with open_archive(tmp_path) as archive:
        found = archive.connection.execute("SELECT unit_hash FROM exposures").fetchall()
    assert found == [(urlsafe_b64decode(unit_hash("e", 1, "user-1") + "==").hex(),)]


@pytest.mark.parametrize(
    "bad",
    [b"garbage\n", b"[]\n", b'{"type":"later","id":"x","time":1}\n', b'{"type":"exchange","id":"x","time":1}\n',
     lines(exchange(9, time=1e12)), b'{"type":"exchange","id":"\xff"}\n', b"{" * 3_000_000 + b"\n"],
    ids=["garbage", "array", "unknown type", "missing fields", "far future", "not UTF-8", "megabytes"],
)  # fmt: skip
def test_lines_that_are_no_events_are_counted_and_passed_over(tmp_path: Path, bad: bytes) -> None:
    """The lines before and after them are read."""
    path = write(tmp_path, 1, lines(exchange(1)) + bad + lines(exchange(2)))
    with open_archive(tmp_path) as archive:
        found = archive.connection.execute("SELECT exchange FROM exposures ORDER BY 1").fetchall()
        assert archive.unsound == {path: 1}
    assert found == [(hexed(1),), (hexed(2),)]


def test_a_line_that_is_being_written_is_not_there_yet(tmp_path: Path) -> None:
    """It is neither read nor counted as wrong."""
    write(tmp_path, 1, lines(exchange(1)) + lines(exchange(2))[:-40])
    with open_archive(tmp_path) as archive:
        assert archive.connection.execute("SELECT count(*) FROM exchanges").fetchall() == [(1,)]
        assert archive.unsound == {}


def test_fields_of_later_versions_are_ignored(tmp_path: Path) -> None:
    """A line with more than this version knows is read as far as it is known."""
    event = {**msgspec.to_builtins(exchange(1)), "novel": {"a": [1]}}
    write(tmp_path, 1, msgspec.json.encode(event) + b"\n")
    assert seen(tmp_path)["exposures"] == [hexed(1)]


def test_parts_and_live_segments_are_one_table(tmp_path: Path) -> None:
    """Also when the part lacks a column that was added since."""
    path = put_part(tmp_path, "exposures", range(1, 3))
    with open_archive(tmp_path) as archive:
        write_part(archive.connection, "SELECT * EXCLUDE (bot, fallback, unit_hash) FROM exposures", path)
    write(tmp_path, 5, lines(exchange(3)))
    assert seen(tmp_path)["exposures"] == [hexed(1), hexed(2), hexed(3)]
    with open_archive(tmp_path) as archive:
        assert archive.connection.execute("SELECT DISTINCT bot, fallback FROM exposures").fetchall() == [(False, None)]


def test_a_batch_counts_from_its_commit_on_and_its_sources_until_then(tmp_path: Path) -> None:
    """At every step of sealing, each row is there once."""
    write(tmp_path, 1, lines(exchange(1), exchange(2)))
    put_part(tmp_path, "exposures", range(1, 3))
    for committed in (False, True):
        mark_file(tmp_path).write_bytes(msgspec.json.encode(Mark(1, (name(1),), committed=committed)))
        assert seen(tmp_path)["exposures"] == [hexed(1), hexed(2)]
        assert bool(list_archive(tmp_path).parts) is committed


def test_what_was_merged_counts_once(tmp_path: Path) -> None:
    """Parts that are covered by a merged one are passed over until they are deleted."""
    put_part(tmp_path, "exposures", range(1, 2), (1, 1))
    put_part(tmp_path, "exposures", range(2, 3), (2, 2))
    put_part(tmp_path, "exposures", range(1, 3), (1, 2))
    assert seen(tmp_path)["exposures"] == [hexed(1), hexed(2)]


def test_opened_it_stays_as_it_was(tmp_path: Path) -> None:
    """Files that are deleted and lines that are written later change no answer."""
    part = put_part(tmp_path, "exposures", range(1, 3))
    segment = write(tmp_path, 5, lines(exchange(3)))
    with open_archive(tmp_path) as archive:
        with segment.open("ab") as file:
            file.write(lines(exchange(4)))
        part.unlink()
        segment.unlink()
        for _ in range(2):
            found = archive.connection.execute("SELECT exchange FROM exposures ORDER BY 1").fetchall()
            assert found == [(hexed(1),), (hexed(2),), (hexed(3),)]


def test_a_file_that_vanishes_while_opening_is_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sealing between the listing and the reading neither loses nor doubles a row."""
    segment = write(tmp_path, 1, lines(exchange(1)))
    listings = iter([True, False])

    def sealed_meanwhile(folder: Path) -> object:
        listing = list_archive(folder)
        if next(listings, False):
            put_part(tmp_path, "exposures", range(1, 2))
            segment.unlink()
        return listing

    monkeypatch.setattr(reading, "list_archive", sealed_meanwhile)
    assert seen(tmp_path)["exposures"] == [hexed(1)]


def test_it_gives_up_on_a_folder_that_never_holds_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of attempts is bounded, and no file stays open."""
    before = open_files()
    numbers = iter(range(1000, 10_000))

    def never_the_same(folder: Path) -> object:
        return msgspec.structs.replace(list_archive(folder), mark=Mark(next(numbers)))

    write(tmp_path, 1, lines(exchange(1)))
    monkeypatch.setattr(reading, "list_archive", never_the_same)
    with pytest.raises(OSError, match="changes faster than it can be opened"), open_archive(tmp_path):
        pass
    assert open_files() == before


@pytest.mark.parametrize("content", [b"", b"PAR1PAR1", b"PAR1" + b"x" * 100, b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_a_damaged_part_is_passed_over_and_named(tmp_path: Path, content: bytes) -> None:
    """The rows of the others are there."""
    put_part(tmp_path, "exposures", range(1, 2), (1, 1))
    bad = put_part(tmp_path, "exposures", range(2, 3), (2, 2))
    bad.write_bytes(content)
    with open_archive(tmp_path) as archive:
        assert archive.connection.execute("SELECT exchange FROM exposures").fetchall() == [(hexed(1),)]
        assert [unread.path for unread in archive.unread] == [bad]


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    """Files are closed at the end, also when the reader fails."""
    write(tmp_path, 1, lines(exchange(1)))
    before = open_files()
    with pytest.raises(KeyError), open_archive(tmp_path):
        raise KeyError
    assert open_files() == before
