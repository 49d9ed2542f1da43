"""Reading the event log in any state it can be left in."""

from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from router.events.read import read, read_shadows
from tests.events.examples import exchange, shadow

NAME = "exchange-20261122T080000Z-w0-7-000001.ndjson"
LINES = b"".join(msgspec.json.encode(exchange(number)) + b"\n" for number in range(3))


def test_a_segment_torn_at_any_byte_yields_its_whole_lines(tmp_path: Path) -> None:
    """Wherever a crash cuts the file, the events before are read and nothing is called damaged."""
    path = tmp_path / NAME
    damage: list[object] = []
    for size in range(len(LINES) + 1):
        path.write_bytes(LINES[:size])
        found = [int(event.id, 16) for event in read(tmp_path, damaged=lambda *what: damage.append(what))]
        assert found == list(range(LINES[:size].count(b"\n")))
    assert damage == []


def test_a_damaged_line_is_reported_with_its_place_and_passed_over(tmp_path: Path) -> None:
    """Bit rot costs one event and is not silent."""
    lines = LINES.splitlines(keepends=True)
    (tmp_path / NAME).write_bytes(lines[0] + b"\xff\x00\n" + b'{"type":"other"}\n' + lines[2])
    damage: list[tuple[str, int]] = []
    found = list(read(tmp_path, damaged=lambda path, line, _reason: damage.append((path.name, line))))
    assert found == [exchange(0), exchange(2)]
    assert damage == [(NAME, 2), (NAME, 3)]


def test_each_kind_of_event_is_read_apart(tmp_path: Path) -> None:
    """Who asks for exchanges gets no comparisons, and the other way round; nothing is called damaged."""
    lines = LINES.splitlines(keepends=True)
    (tmp_path / NAME).write_bytes(lines[0] + msgspec.json.encode(shadow(7)) + b"\n" + lines[1])
    damage: list[object] = []
    assert list(read(tmp_path, damaged=lambda *what: damage.append(what))) == [exchange(0), exchange(1)]
    assert list(read_shadows(tmp_path, damaged=lambda *what: damage.append(what))) == [shadow(7)]
    assert damage == []


@given(st.binary(max_size=300))
def test_no_content_can_make_reading_fail(tmp_path_factory: object, content: bytes) -> None:
    """Whatever bytes are in a segment, the sound lines after them are read."""
    folder = tmp_path_factory.mktemp("events")  # type: ignore[attr-defined]
    (folder / NAME).write_bytes(content + b"\n" + LINES)
    assert [int(event.id, 16) for event in read(folder)] == [0, 1, 2]


def test_segments_of_all_workers_are_read_in_the_order_of_their_start(tmp_path: Path) -> None:
    """Dead and living writers' segments are one log."""
    for started, number in (("20261122T080002Z", 3), ("20261122T080001Z", 2), ("20261121T235959Z", 1)):
        line = msgspec.json.encode(exchange(number)) + b"\n"
        (tmp_path / f"exchange-{started}-w{number}-{number}-000001.ndjson").write_bytes(line)
    (tmp_path / "journal").mkdir()
    assert [int(event.id, 16) for event in read(tmp_path)] == [1, 2, 3]


def test_a_folder_that_does_not_exist_holds_no_events(tmp_path: Path) -> None:
    """Before the first event there is nothing to read, which is no error."""
    assert list(read(tmp_path / "missing")) == []


def test_a_segment_deleted_while_reading_is_passed_over(tmp_path: Path) -> None:
    """Retention may run beside a reader."""
    for number in (1, 2):
        line = msgspec.json.encode(exchange(number)) + b"\n"
        (tmp_path / f"exchange-20261122T08000{number}Z-w0-7-00000{number}.ndjson").write_bytes(line)
    events = read(tmp_path)
    assert next(events) == exchange(1)
    for path in tmp_path.iterdir():
        path.unlink()
    assert list(events) == []
