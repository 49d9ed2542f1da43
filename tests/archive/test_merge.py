"""Merging bounds the number of parts, keeps every row once, and sets aside what is damaged."""

from contextlib import closing
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.archive.engine import Limits, connect
from router.archive.layout import Part, find_parts, list_archive, part_path
from router.archive.merge import merge
from router.archive.plan import FAN, LARGEST_BYTES, plan, tier
from tests.archive.events import exchange, lines, seen, write
from tests.archive.test_seal import seal_all

TODAY = "2025-11-22"


def settle(parts: list[Part], today: str = TODAY) -> tuple[list[Part], int]:
    """Merge until nothing is to be merged; return what is left and the bytes written for it."""
    written = 0
    while planned := plan(parts, today):
        for one in planned:
            size = sum(part.size for part in one.parts)
            written += size
            parts = [part for part in parts if part not in one.parts]
            parts.append(Part(one.parts[0].day, *one.batches, one.parts[0].kind, Path("x"), size))
    return sorted(parts), written


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1_000, 40_000_000), min_size=1, max_size=200), st.sampled_from((TODAY, "2025-11-23")))
def test_few_parts_stay_and_each_batch_is_in_one_of_them(sizes: list[int], today: str) -> None:
    """Whatever the sizes are: no batch is lost or doubled, none exceeds the largest size, and files are few."""
    parts: list[Part] = []
    for number, size in enumerate(sizes, start=1):
        parts.append(Part(TODAY, number, number, "exposures", Path("x"), size))
        parts, _ = settle(parts, today)
    assert [part.first for part in parts] == [1, *(part.last + 1 for part in parts[:-1])]
    assert parts[-1].last == len(sizes)
    assert all(part.size <= LARGEST_BYTES for part in parts)
    large = sum(part.size for part in parts) // (LARGEST_BYTES // 2)
    assert len(parts) <= (FAN - 1) * (tier(LARGEST_BYTES) + 1) + 2 * large


def test_a_day_of_a_batch_a_minute_is_written_a_few_times_only() -> None:
    """1440 batches become few parts, and each byte is written once for each tier at most."""
    parts: list[Part] = []
    written = 0
    for number in range(1, 1441):
        parts.append(Part(TODAY, number, number, "exposures", Path("x"), 300_000))
        parts, more = settle(parts)
        written += more
    assert len(parts) <= 24
    assert written <= 3 * 1440 * 300_000
    assert len(settle(parts, "2025-11-23")[0]) <= 5


def test_kinds_and_days_are_merged_apart() -> None:
    """Only parts of one partition are neighbours."""
    parts = [
        Part(day, number, number, kind, Path("x"), 100)
        for number in range(1, FAN)
        for kind in ("exposures", "shadows")
        for day in ("2025-11-22", "2025-11-23")
    ]
    assert plan(parts, TODAY) == []
    assert len(plan(parts, "2025-11-23")) == 2


def fill(folder: Path, batches: int) -> None:
    """Seal a segment of one exchange for each batch."""
    for number in range(1, batches + 1):
        write(folder, number, lines(exchange(number)))
        seal_all(folder)


def merge_all(folder: Path) -> list[Part | None]:
    """Merge what is planned once."""
    with closing(connect(Limits(threads=1), folder / "spill")) as connection:
        return [merge(connection, folder, one) for one in plan(list_archive(folder).parts, "2026-01-01")]


def test_merged_rows_are_those_of_the_parts(tmp_path: Path) -> None:
    """Each is there once, and the parts that were merged are gone."""
    fill(tmp_path, 3)
    expected = seen(tmp_path)
    assert len(merge_all(tmp_path)) == 2
    assert seen(tmp_path) == expected
    assert [(part.kind, part.first, part.last) for part in find_parts(tmp_path)] == [
        ("exchanges", 1, 3), ("exposures", 1, 3),
    ]  # fmt: skip


def test_merging_that_is_interrupted_doubles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts that are covered do not count, and the next round deletes them."""
    fill(tmp_path, 2)
    expected = seen(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_args, **_options: None)
        merge_all(tmp_path)
    assert len(find_parts(tmp_path)) == 6
    assert seen(tmp_path) == expected
    seal_all(tmp_path)
    assert len(find_parts(tmp_path)) == 2
    assert seen(tmp_path) == expected


@pytest.mark.parametrize("where", ["footer", "page"])
def test_a_damaged_part_is_set_aside_and_the_others_are_merged(tmp_path: Path, where: str) -> None:
    """Also when only reading it in full shows the damage."""
    fill(tmp_path, 3)
    bad = part_path(tmp_path, "exposures", "2025-11-22", (2, 2))
    content = bytearray(bad.read_bytes())
    place = slice(len(content) - 40, len(content) - 30) if where == "footer" else slice(4, 200)
    content[place] = b"\xff" * (place.stop - place.start)
    bad.write_bytes(content)
    merged = merge_all(tmp_path)
    assert sum(part is None for part in merged) == 1
    assert (tmp_path / "archive" / "aside" / f"exposures-day=2025-11-22-{bad.name}").exists()
    assert None not in merge_all(tmp_path)
    assert seen(tmp_path)["exposures"] == [f"{1:032x}", f"{3:032x}"]


def test_parts_are_kept_when_merging_fails_for_another_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be merged for want of memory or of space is not called damaged."""
    fill(tmp_path, 2)
    expected = seen(tmp_path)

    def fail(*_: object) -> int:
        raise duckdb.OutOfMemoryException("no space")

    monkeypatch.setattr("router.archive.merge.write_part", fail)
    with pytest.raises(duckdb.OutOfMemoryException):
        merge_all(tmp_path)
    monkeypatch.undo()
    assert seen(tmp_path) == expected
