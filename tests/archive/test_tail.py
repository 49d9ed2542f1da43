"""A sink's place in the log: every event at least once, across restarts, and no line twice while nothing goes wrong."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.archive.sink import LINES
from router.archive.tail import Tail
from tests.archive.events import exchange, lines, name, write


def tail_of(folder: Path) -> Tail:
    """Make a tail of a folder, as a start of the process does."""
    return Tail(folder, folder / "sinks" / "s.json")


def drain(tail: Tail) -> list[bytes]:
    """Take all that comes."""
    out: list[bytes] = []
    while (batch := tail.read()).ends:
        out += batch.lines
        tail.done(batch)
    return out


def test_a_new_sink_begins_with_what_is_written_from_then_on(tmp_path: Path) -> None:
    """Also in segments that grow."""
    path = write(tmp_path, 1, lines(exchange(1)))
    tail = tail_of(tmp_path)
    assert drain(tail) == []
    with path.open("ab") as file:
        file.write(lines(exchange(2)))
    write(tmp_path, 2, lines(exchange(3)))
    assert drain(tail) == [lines(exchange(2)), lines(exchange(3))]
    assert drain(tail) == []


def test_what_was_not_done_comes_again_after_a_restart(tmp_path: Path) -> None:
    """The positions on the disk are those of what was done."""
    tail = tail_of(tmp_path)
    write(tmp_path, 1, lines(exchange(1)))
    tail.done(tail.read())
    tail.save()
    write(tmp_path, 2, lines(exchange(2)))
    assert tail.read().lines == (lines(exchange(2)),)
    assert drain(tail_of(tmp_path)) == [lines(exchange(2))]


def test_positions_of_segments_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    """The file stays as small as the folder is."""
    tail = tail_of(tmp_path)
    path = write(tmp_path, 1, lines(exchange(1)))
    drain(tail)
    path.unlink()
    write(tmp_path, 2, lines(exchange(2)))
    drain(tail)
    tail.save()
    assert path.name not in (tmp_path / "sinks" / "s.json").read_text()


def test_positions_that_cannot_be_read_lose_nothing(tmp_path: Path) -> None:
    """All live segments are sent again."""
    write(tmp_path, 1, lines(exchange(1)))
    (tmp_path / "sinks").mkdir()
    (tmp_path / "sinks" / "s.json").write_bytes(b"{")
    assert drain(tail_of(tmp_path)) == [lines(exchange(1))]


@pytest.mark.parametrize("bad", [b"garbage\n", b"x" * 700_000 + b"\n", b"\xff\n", b"[]\n"])
def test_lines_that_are_no_events_are_not_sent(tmp_path: Path, bad: bytes) -> None:
    """Those around them are, however long a line is."""
    tail = tail_of(tmp_path)
    write(tmp_path, 1, lines(exchange(1)) + bad + lines(exchange(2)))
    assert drain(tail) == [lines(exchange(1)), lines(exchange(2))]
    assert tail.waiting() == []


def test_a_torn_line_waits_for_its_end_and_holds_up_nothing(tmp_path: Path) -> None:
    """A segment that ends in one is read to its end."""
    tail = tail_of(tmp_path)
    whole = lines(exchange(1), exchange(2))
    path = write(tmp_path, 1, whole[:-30])
    assert drain(tail) == [lines(exchange(1))]
    assert tail.waiting() == []
    path.write_bytes(whole)
    assert drain(tail) == [lines(exchange(2))]


def test_a_batch_is_bounded(tmp_path: Path) -> None:
    """However much waits."""
    tail = tail_of(tmp_path)
    write(tmp_path, 1, lines(*(exchange(number) for number in range(3 * LINES))))
    assert 0 < len(tail.read().lines) <= LINES
    assert len(drain(tail)) == 3 * LINES


def test_what_is_too_much_is_skipped_oldest_first_and_counted(tmp_path: Path) -> None:
    """What stays is read as usual."""
    tail = tail_of(tmp_path)
    for sequence in range(1, 4):
        write(tmp_path, sequence, lines(*(exchange(10 * sequence + number) for number in range(5))))
    size = len(lines(exchange(31)))
    assert tail.shed(7 * size) == 10
    assert drain(tail) == [lines(exchange(30 + number)) for number in range(5)]
    assert tail.shed(0) == 0


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(("write", "torn", "read", "restart", "rotate")), max_size=30))
def test_every_event_comes_at_least_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, acts: list[str]
) -> None:
    """Whatever is written, read and restarted in between; without restarts exactly once."""
    folder = tmp_path_factory.mktemp("tail")
    tail = tail_of(folder)
    tail.save()
    sequence, written, rest = 1, 0, b""
    got: list[bytes] = []
    for act in acts:
        if act in {"write", "torn"}:
            written += 1
            line = rest + lines(exchange(written))
            cut = len(line) - 25 if act == "torn" else len(line)
            rest = line[cut:]
            with (folder / name(sequence)).open("ab") as file:
                file.write(line[:cut])
        elif act == "rotate" and not rest:
            sequence += 1
        elif act == "read":
            batch = tail.read()
            got += batch.lines
            tail.done(batch)
            tail.save()
        elif act == "restart":
            tail = tail_of(folder)
    got += drain(tail)
    whole = written - bool(rest)
    assert got == [lines(exchange(number)) for number in range(1, whole + 1)]
