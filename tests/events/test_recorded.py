"""What was decided is read whole, also what compaction took out of the journal."""

from pathlib import Path

import msgspec
import pytest

from router.events import older, recorded
from router.events.journal import Journal
from tests.events.examples import revised


def test_every_revision_that_is_kept_comes_once_and_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal and what lies beside it are one history, while a router still writes it."""
    monkeypatch.setattr("os.fsync", lambda _fd: None)
    journal = Journal(tmp_path / "journal")
    for number in range(1, 302):
        journal.append(revised(number))
    older.keep(tmp_path / "journal", [msgspec.json.encode(revised(number)) for number in (300, 301)])
    assert [entry.number for entry in recorded.recorded(tmp_path)] == list(range(1, 302))
    assert [entry.number for entry in recorded.before(tmp_path, 150)] == list(range(1, 150))
    assert recorded.before(tmp_path, 1) == ()
    monkeypatch.setattr(recorded, "MOST", 50)
    assert [entry.number for entry in recorded.recorded(tmp_path)] == list(range(252, 302))
    journal.close()


def test_without_a_journal_there_is_nothing_to_read(tmp_path: Path) -> None:
    """Somebody who names another folder is told so by the error."""
    with pytest.raises(FileNotFoundError):
        recorded.recorded(tmp_path)
