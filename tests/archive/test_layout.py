"""Which parts count: each batch once, whatever was merged and whatever is unfinished."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.archive.layout import Mark, Part, covered, current, find_parts, list_archive, mark_file, part_path

SPANS = st.tuples(st.integers(1, 12), st.integers(0, 6)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def part(first: int, last: int, kind: str = "exposures", day: str = "2025-11-22") -> Part:
    """Make a part of some batches."""
    return Part(day, first, last, kind, Path(f"{kind}/{day}/{first}-{last}"), 100)


@given(st.sets(SPANS, max_size=12))
def test_what_is_left_out_is_within_something_that_is_not(spans: set[tuple[int, int]]) -> None:
    """No batch is lost: each part that does not count lies within one that does, and those lie in none."""
    parts = [part(*span) for span in spans]
    gone = covered(parts)
    kept = [one for one in parts if one not in gone]
    assert all(any(one.first <= part.first and part.last <= one.last for one in kept) for part in gone)
    assert not any(
        one is not other and one.first <= other.first and other.last <= one.last for one in kept for other in kept
    )


def test_parts_of_another_kind_or_day_cover_nothing() -> None:
    """Batches are compared within a partition only."""
    parts = [part(1, 9), part(2, 2, kind="shadows"), part(3, 3, day="2025-11-23")]
    assert covered(parts) == []


def test_the_parts_of_an_unfinished_batch_do_not_count() -> None:
    """Until the mark says committed, the sources count instead."""
    parts = [part(1, 3), part(4, 4)]
    assert current(parts, Mark(4, ("a",))) == [part(1, 3)]
    assert current(parts, Mark(4, ("a",), committed=True)) == parts
    assert current(parts, None) == parts


def test_only_parts_are_listed(tmp_path: Path) -> None:
    """What people or other programs put beside them is not looked at."""
    wanted = part_path(tmp_path, "exposures", "2025-11-22", (1, 2))
    wanted.parent.mkdir(parents=True)
    wanted.write_bytes(b"1234")
    for other in ("notes.txt", "1-2.parquet", "0000000001-0000000002.parquet.part"):
        (wanted.parent / other).touch()
    (wanted.parents[1] / "day=today").mkdir()
    (wanted.parents[1] / "day=2025-11-23").touch()
    assert find_parts(tmp_path) == [Part("2025-11-22", 1, 2, "exposures", wanted, 4)]


def test_a_folder_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    """Nothing needs to have been written yet."""
    listing = list_archive(tmp_path / "none")
    assert (listing.segments, listing.parts, listing.mark, listing.outcomes) == ((), (), None, 0)


def test_a_mark_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    """Whether its batch counts cannot be guessed."""
    mark_file(tmp_path).parent.mkdir()
    mark_file(tmp_path).write_bytes(b"{")
    with pytest.raises(ValueError, match=r"sealing.json cannot be read"):
        list_archive(tmp_path)
