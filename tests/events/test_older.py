"""What the journal lets go is kept, compressed, and found again."""

import lzma
from pathlib import Path

import msgspec
import pytest

from router.events import older
from router.events.journal import Journal
from tests.events.examples import revised


def test_a_revision_of_any_age_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that a start replays are in the journal, all before them beside it, each once."""
    monkeypatch.setattr("os.fsync", lambda _fd: None)
    journal = Journal(tmp_path)
    for number in range(1, 502):
        journal.append(revised(number))
    first = 501 - len(journal._raw) + 1
    assert [journal.earlier(number) for number in (1, 150, first - 1)] == [
        revised(1),
        revised(150),
        revised(first - 1),
    ]
    assert journal.earlier(first) is None
    assert len(list(older.every(tmp_path))) == first - 1
    assert older.oldest(tmp_path) == 1
    journal.close()


def test_the_oldest_go_when_there_is_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By size and by number of files; the newest file stays in any case."""
    for first in (1, 3, 5):
        older.keep(tmp_path, [msgspec.json.encode(revised(number)) for number in (first, first + 1)])
    monkeypatch.setattr(older, "OLDER_FILES", 3)
    older.keep(tmp_path, [msgspec.json.encode(revised(7))])
    assert (older.oldest(tmp_path), older.find(tmp_path, 2)) == (3, None)
    monkeypatch.setattr(older, "OLDER_BYTES", 10)
    older.keep(tmp_path, [msgspec.json.encode(revised(8))])
    assert [path.name for path in tmp_path.iterdir()] == ["older-8-8.ndjson.xz"]


def test_damage_hides_no_more_than_itself(tmp_path: Path) -> None:
    """A file that was cut gives what comes before the cut, and others are not touched by it."""
    older.keep(tmp_path, [msgspec.json.encode(revised(1))])
    older.keep(tmp_path, [msgspec.json.encode(revised(2))])
    (tmp_path / "older-1-1.ndjson.xz").write_bytes(b"no such thing")
    (tmp_path / "older-3-3.ndjson.xz").write_bytes(lzma.compress(b'{"number":3,"type":"revised"}\n'))
    assert older.find(tmp_path, 1) is None
    assert older.find(tmp_path, 2) == revised(2)
    assert older.find(tmp_path, 3) is None
    older.keep(tmp_path, [b'{"type":"unknown"}'])
    assert older.find(tmp_path / "nowhere", 1) is None


def test_a_journal_without_room_beside_it_is_compacted_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What it is for comes first: the next start, and a bounded file."""

    def full(_folder: Path, _entries: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", lambda _fd: None)
    monkeypatch.setattr(older, "keep", full)
    journal = Journal(tmp_path)
    for number in range(1, 202):
        journal.append(revised(number))
    journal.close()
    assert "older entries cannot be kept" in caplog.text
    assert len(Journal(tmp_path).entries) < 201
