"""Segments: whole lines or counted losses, whatever a write does."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.config.schema import Rotate
from router.events.segment import SegmentName, SegmentWriter, find_segments, parse_name

names = st.builds(
    SegmentName, st.just("20261122T080000Z"), st.integers(0, 999), st.integers(1, 2**22), st.integers(0, 10**7)
)


@given(names)
def test_a_name_is_read_as_it_was_written(name: SegmentName) -> None:
    """Worker, process and sequence come back from the file name."""
    assert parse_name(str(name)) == name


@pytest.mark.parametrize(
    "name", ["journal.ndjson", "exchange-x.ndjson", "exchange-20261122T080000Z-w0-1-000001.ndjson.gz"]
)
def test_other_files_are_not_segments(name: str) -> None:
    """Whatever else lies in the folder is left alone."""
    assert parse_name(name) is None


def test_segments_are_listed_oldest_first(tmp_path: Path) -> None:
    """The order is of start, then worker, process and sequence as numbers."""
    ordered = [
        "exchange-20261122T080000Z-w9-10-000001.ndjson",
        "exchange-20261122T080000Z-w10-9-000002.ndjson",
        "exchange-20261122T080001Z-w0-5-000001.ndjson",
    ]
    for name in reversed(ordered):
        (tmp_path / name).touch()
    (tmp_path / "other").touch()
    assert [path.name for path in find_segments(tmp_path)] == ordered
    assert find_segments(tmp_path / "missing") == []


def test_a_name_in_use_is_never_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that gets the number of a dead one within the same second makes its own file."""
    monkeypatch.setattr(os, "getpid", lambda: 7)
    first, second = SegmentWriter(tmp_path, 0), SegmentWriter(tmp_path, 0)
    assert first.write(bytearray(b"1\n"), 0) == 0
    assert second.write(bytearray(b"2\n"), 0) == 0
    assert sorted(path.read_bytes() for path in find_segments(tmp_path)) == [b"1\n", b"2\n"]
    first.close()
    second.close()


@settings(max_examples=50)
@given(
    st.lists(st.lists(st.text("ab", max_size=9), min_size=1, max_size=5), min_size=1, max_size=5),
    st.lists(st.integers(-3, 12), max_size=12),
)
def test_a_write_that_stops_anywhere_leaves_whole_lines(batches: list[list[str]], script: list[int]) -> None:
    """However the kernel cuts a write short or fails it, the file holds whole lines and the rest is counted."""
    file = bytearray()
    answers = iter(script)

    def write(_fd: int, data: memoryview) -> int:
        accepted = next(answers, len(data))
        if accepted < 0:
            raise OSError(28, "No space left on device")
        file.extend(data[:accepted])
        return min(accepted, len(data))

    def cut(_fd: int, size: int) -> None:
        del file[size:]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", write)
        patch.setattr(os, "ftruncate", cut)
        writer = SegmentWriter(Path(), 0, create=lambda _path: os.open(os.devnull, os.O_WRONLY))
        sent = lost = 0
        for batch in batches:
            sent += len(batch)
            lost += writer.write(bytearray("".join(f"{line}\n" for line in batch).encode()), 0)
        patch.setattr(os, "fsync", lambda _fd: None)  # the null device has none
        writer.close()
    assert file.endswith(b"\n") or not file
    assert file.count(b"\n") + lost == sent


def test_a_file_size_limit_costs_the_lines_beyond_it(tmp_path: Path) -> None:
    """A real partial write by the kernel is cut back to the last whole line, and the lines lost are counted."""
    program = (
        "import pathlib, sys\n"
        "from router.events.segment import SegmentWriter\n"
        "writer = SegmentWriter(pathlib.Path(sys.argv[1]), 0)\n"
        "print(writer.write(bytearray(b'0123456789abcde\\n' * 100), 0.0))\n"
        "writer.close()\n"
    )

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    child = subprocess.run(
        [sys.executable, "-B", "-c", program, str(tmp_path)],
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    (path,) = find_segments(tmp_path)
    assert path.read_bytes() == b"0123456789abcde\n" * 62
    assert child.stdout == "38\n"


def test_a_segment_that_cannot_be_cut_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the half line cannot be removed, it is the last of its file and the next line begins another."""
    writer = SegmentWriter(tmp_path, 0)
    write = os.write
    calls = iter([4, None])

    def partial(fd: int, data: memoryview) -> int:
        size = next(calls)
        if size is None:
            raise OSError(5, "Input/output error")
        return write(fd, data[:size])

    def refuse(_fd: int, _size: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", partial)
        patch.setattr(os, "ftruncate", refuse)
        assert writer.write(bytearray(b"a\nbcd\ne\n"), 0) == 2
    assert writer.path is None
    assert writer.write(bytearray(b"f\n"), 0) == 0
    writer.close()
    assert [path.read_bytes() for path in find_segments(tmp_path)] == [b"a\nbc", b"f\n"]


def test_an_empty_segment_is_removed(tmp_path: Path) -> None:
    """A disk that is full for hours does not fill the folder with empty files."""
    writer = SegmentWriter(tmp_path, 0)
    with pytest.MonkeyPatch.context() as patch:

        def full(_fd: int, _data: memoryview) -> int:
            raise OSError(28, "No space left on device")

        patch.setattr(os, "write", full)
        for now in range(100):
            assert writer.write(bytearray(b"a\n"), float(now)) == 1
            writer.rotate(float(now), Rotate(age=1))
    writer.close()
    assert find_segments(tmp_path) == []


def test_nothing_is_written_to_a_segment_that_was_deleted(tmp_path: Path) -> None:
    """Whoever deleted it, sealed or not: what comes after is in a file that somebody can read."""
    writer = SegmentWriter(tmp_path, 0)
    assert writer.write(bytearray(b"a\n"), 0) == 0
    (first,) = find_segments(tmp_path)
    first.unlink()
    assert writer.write(bytearray(b"b\n"), 1) == 0
    assert writer.write(bytearray(b"c\n"), 2) == 0
    writer.close()
    (second,) = find_segments(tmp_path)
    assert second.read_bytes() == b"b\nc\n"
