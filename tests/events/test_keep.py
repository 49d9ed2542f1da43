"""Retention: the oldest go first, no more than needed, and never what is being written."""

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from router.config.schema import Keep
from router.events.keep import Stored, expired, stored, sweep

NOW = 1_000_000.0
segments = st.lists(
    st.builds(Stored, st.just(Path("x")), st.integers(0, 100_000), st.floats(0, NOW), st.booleans()), max_size=12
)
keeps = st.builds(Keep, age=st.floats(1, NOW), size=st.integers(65536, 500_000))


@given(segments, keeps)
def test_growing_segments_stay_and_old_ones_go(found: list[Stored], keep: Keep) -> None:
    """Age alone decides for the old, and nothing decides for those being written."""
    gone = expired(found, keep, NOW)
    assert not any(segment.growing for segment in gone)
    assert all(segment in gone for segment in found if not segment.growing and NOW - segment.modified > keep.age)


@given(segments, keeps)
def test_the_rest_fits_or_nothing_more_can_go(found: list[Stored], keep: Keep) -> None:
    """The total is within the size unless only growing segments are left."""
    gone = expired(found, keep, NOW)
    total = sum(segment.size for segment in found) - sum(segment.size for segment in gone)
    assert total <= keep.size or len(gone) == sum(not segment.growing for segment in found)


@given(segments, keeps)
def test_no_young_segment_goes_without_need(found: list[Stored], keep: Keep) -> None:
    """Of those that are not too old, the oldest go, and only while the total is above the size."""
    gone = expired(found, keep, NOW)
    total = sum(segment.size for segment in found)
    for segment in gone:
        assert NOW - segment.modified > keep.age or total > keep.size
        total -= segment.size


def write(folder: Path, worker: int, pid: int, sequence: int, size: int = 10) -> Path:
    """Make a segment; a higher sequence started later."""
    path = folder / f"exchange-20261122T0800{sequence:02d}Z-w{worker}-{pid}-{sequence:06d}.ndjson"
    path.write_bytes(b"x" * size)
    return path


def test_only_the_newest_segment_of_a_running_worker_grows(tmp_path: Path) -> None:
    """Older segments, and those of dead processes, may go."""
    paths = [write(tmp_path, 0, 7, 1), write(tmp_path, 1, 9, 2), write(tmp_path, 0, 7, 3), write(tmp_path, 0, 6, 4)]
    found = {segment.path: segment.growing for segment in stored(tmp_path, pids={7, 9})}
    assert list(found) == paths
    assert list(found.values()) == [False, True, True, False]


def test_what_is_swept_is_gone_and_nothing_else(tmp_path: Path) -> None:
    """By age, the segments of dead workers are deleted; the journal's folder is not looked at."""
    old, young, growing = write(tmp_path, 0, 1, 1, 100), write(tmp_path, 0, 1, 2), write(tmp_path, 0, 7, 3)
    journal = tmp_path / "journal"
    journal.mkdir()
    (journal / "journal.ndjson").touch()
    for path in (old, growing):
        os.utime(path, (NOW - 100, NOW - 100))
    os.utime(young, (NOW, NOW))
    freed, failures = sweep(expired(stored(tmp_path, pids={7}), Keep(age=50), NOW))
    assert (freed, failures) == (100, [])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([young.name, growing.name, "journal"])


def test_what_cannot_be_deleted_is_reported(tmp_path: Path) -> None:
    """A failure is returned with its reason and stops nothing."""
    path = write(tmp_path, 0, 1, 1)
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    freed, failures = sweep([Stored(blocked, 5, NOW, growing=False), Stored(path, 10, NOW, growing=False)])
    assert freed == 10
    assert len(failures) == 1
