"""The log of ticks: what was appended is there after any crash, and it does not grow for ever."""

from pathlib import Path

import pytest

from router.events.model import Coming, Run, Ticked
from router.events.ticks import Ticks, ticked


def entry(number: int) -> Ticked:
    """Make an entry."""
    run = {"e": Run(number=1, phase=1, epoch=number)}
    coming = {"e": Coming(start=5.0, epoch=number + 1, weights={"a": 0.25, "b": 0.75})}
    return Ticked(
        number=number, time=float(number), author="thompson", weights={"e": {"a": 0.5}}, runs=run, coming=coming
    )


def test_what_was_appended_is_read_in_order(tmp_path: Path) -> None:
    """By this process and by its successor; no file is no entry."""
    assert ticked(tmp_path) == ((), 0)
    log = Ticks(tmp_path)
    log.append(entry(1))
    log.append(entry(2))
    Ticks(tmp_path).append(entry(3))
    assert ticked(tmp_path) == ((entry(1), entry(2), entry(3)), 0)


def test_a_line_that_was_being_written_is_cut_off(tmp_path: Path) -> None:
    """The power went; the next entry begins a line of its own."""
    Ticks(tmp_path).append(entry(1))
    path = tmp_path / "ticks.ndjson"
    path.write_bytes(path.read_bytes() + b'{"type":"ticked","num')
    assert ticked(tmp_path) == ((entry(1),), 0)
    Ticks(tmp_path).append(entry(2))
    assert ticked(tmp_path) == ((entry(1), entry(2)), 0)


@pytest.mark.parametrize("wrong", [b"nonsense", b'{"type":"ticked"}', b"\xff\xfe", b'{"type":"other","number":1}'])
def test_a_line_that_is_no_entry_is_passed_over_and_counted(tmp_path: Path, wrong: bytes) -> None:
    """Whatever the bytes are, the rest is used."""
    (tmp_path / "ticks.ndjson").write_bytes(wrong + b"\n")
    Ticks(tmp_path).append(entry(2))
    assert ticked(tmp_path) == ((entry(2),), 1)


def test_at_most_two_files_are_kept(tmp_path: Path) -> None:
    """A full file takes the place of the older one; the newest entries are always there."""
    log = Ticks(tmp_path, full=1000)
    for number in range(1, 101):
        log.append(entry(number))
    found, _ = ticked(tmp_path)
    assert found[-1] == entry(100)
    assert [each.number for each in found] == list(range(found[0].number, 101))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2000
    assert {path.name for path in tmp_path.iterdir()} == {"ticks.ndjson", "ticks-older.ndjson"}


def test_a_disk_that_fails_is_said_and_the_log_goes_on_after(tmp_path: Path) -> None:
    """What was written half is mended before the next entry."""
    log = Ticks(tmp_path / "gone")
    with pytest.raises(OSError, match="No such file"):
        log.append(entry(1))
    (tmp_path / "gone").mkdir()
    log.append(entry(2))
    assert ticked(tmp_path / "gone") == ((entry(2),), 0)
