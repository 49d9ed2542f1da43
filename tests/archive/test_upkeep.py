"""A round seals, merges and sweeps; whatever goes wrong in one, requests and the next round go on."""

import logging
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.archive import retain, upkeep
from router.archive.layout import Part, find_parts
from router.archive.upkeep import SPARE_BYTES, Upkeep, choose_batch
from router.config.schema import Events, Keep
from router.events import keep, outcomes
from router.events.keep import Stored
from router.events.outcomes import Outcome, OutcomeStore
from tests.archive.events import DAY, NOON, exchange, lines, seen, write

EVENTS = Events()


class Reading:
    """Somebody who has segments to read."""

    def __init__(self, *paths: Path) -> None:
        self.paths = set(paths)
        self.left: list[Path] = []

    def held(self) -> set[Path]:
        """Return what was said."""
        return self.paths

    def leave(self, path: Path) -> None:
        """Note a path."""
        self.left.append(path)


NOBODY = Reading()


def segment(folder: Path, sequence: int, content: bytes | None = None, modified: float = NOON) -> Path:
    """Write a segment that was last written to at a time."""
    path = write(folder, sequence, lines(exchange(sequence)) if content is None else content)
    os.utime(path, (modified, modified))
    return path


def test_a_round_seals_what_is_closed(tmp_path: Path) -> None:
    """Not what grows, what a sink still reads, or what was written to just now."""
    for sequence in range(1, 6):
        segment(tmp_path, sequence)
    growing, held, fresh = (segment(tmp_path, sequence) for sequence in (6, 7, 8))
    os.utime(fresh, (NOON + 59, NOON + 59))
    expected = seen(tmp_path)
    kept = Upkeep(tmp_path)
    kept.round(EVENTS, {growing}, Reading(held), NOON + 60)
    assert [one.path for one in keep.stored(tmp_path, ())] == [growing, held, fresh]
    assert seen(tmp_path) == expected
    assert (kept.tally.sealed, kept.tally.files, kept.tally.failures) == (5, 2, 0)


def test_rounds_keep_the_number_of_files_bounded(tmp_path: Path) -> None:
    """After many rounds there are few parts, and every row once."""
    kept = Upkeep(tmp_path)
    for sequence in range(1, 20):
        segment(tmp_path, sequence)
        kept.round(EVENTS, (), NOBODY, NOON + 60)
    assert kept.tally.files <= 2 * 8
    assert len(seen(tmp_path)["exposures"]) == 19
    kept.round(EVENTS, (), NOBODY, NOON + DAY)
    assert kept.tally.files <= 4
    assert len(seen(tmp_path)["exposures"]) == 19


def test_without_duckdb_segments_stay_and_that_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Retention is done all the same."""
    caplog.set_level(logging.INFO)
    path, old = segment(tmp_path, 2), segment(tmp_path, 1, modified=NOON - 40 * DAY)
    kept = Upkeep(tmp_path, seals=False)
    reading = Reading(old)
    for _ in range(2):
        kept.round(EVENTS, (), reading, NOON + 60)
    assert path.exists()
    assert not old.exists()
    assert reading.left == [old]
    assert sum("router[analysis]" in record.getMessage() for record in caplog.records) == 1


def test_without_duckdb_old_outcomes_are_deleted(tmp_path: Path) -> None:
    """Nobody else does it then."""
    store = OutcomeStore(tmp_path)
    for number, received in enumerate((NOON - 40 * DAY, NOON)):
        store.append([Outcome(f"o{number}", "click", 1.0, received, timed=True, unit="u")], received)
    store.close()
    Upkeep(tmp_path, seals=False).round(EVENTS, (), NOBODY, NOON + 60)
    assert seen(tmp_path)["outcomes"] == ["o1"]


def test_a_round_deletes_all_outcomes_that_are_too_old(tmp_path: Path) -> None:
    """They may come faster than a step of a round a minute, so one round takes as many steps as it needs."""
    store = OutcomeStore(tmp_path)
    old = [Outcome(f"o{number}", "click", 1.0, NOON, timed=True, unit="u") for number in range(outcomes.STEP + 1)]
    store.append(old, NOON - 40 * DAY)
    store.append([Outcome("young", "click", 1.0, NOON, timed=True, unit="u")], NOON)
    store.close()
    Upkeep(tmp_path, seals=False).round(EVENTS, (), NOBODY, NOON + 60)
    assert seen(tmp_path)["outcomes"] == ["young"]


def test_age_and_size_hold_over_segments_and_parts(tmp_path: Path) -> None:
    """A part goes when its whole day is too old; by size, the oldest day goes first, and what grows never."""
    kept = Upkeep(tmp_path)
    for number, day in enumerate((0, 1, 2), start=1):
        segment(tmp_path, number, lines(*(exchange(number * 1000 + n, NOON + day * DAY) for n in range(1000))))
        kept.round(EVENTS, (), NOBODY, NOON + 60)
    growing = segment(tmp_path, 9, modified=0)
    assert {part.day for part in find_parts(tmp_path)} == {"2025-11-22", "2025-11-23", "2025-11-24"}
    by_age = Events(keep=Keep(age=DAY))
    kept.round(by_age, {growing}, NOBODY, NOON + 1.49 * DAY)
    assert len({part.day for part in find_parts(tmp_path)}) == 3
    kept.round(by_age, {growing}, NOBODY, NOON + 1.51 * DAY)
    assert {part.day for part in find_parts(tmp_path)} == {"2025-11-23", "2025-11-24"}
    assert not (tmp_path / "archive" / "exposures" / "day=2025-11-22").exists()
    total = kept.tally.archive_bytes + growing.stat().st_size
    kept.round(Events(keep=Keep(size=max(total - 1, 65536))), {growing}, NOBODY, NOON + 60)
    assert min(part.day for part in find_parts(tmp_path)) >= "2025-11-23"
    assert growing.exists()


def test_the_oldest_go_first() -> None:
    """Days in order; within a day parts before segments, by batch, of all kinds alike."""

    def part(day: str, batch: int, kind: str) -> Part:
        return Part(day, batch, batch, kind, Path(f"{day}-{batch}-{kind}"), 1)

    parts = [part("2025-11-22", 2, "shadows"), part("2025-11-22", 1, "shadows"), part("2025-11-21", 3, "exposures")]
    segments = [Stored(Path("live"), 1, NOON, growing=False), Stored(Path("older"), 1, NOON - DAY, growing=False)]
    assert [str(one.path) for one in retain.oldest_first(segments, parts)] == [
        "2025-11-21-3-exposures", "older", "2025-11-22-1-shadows", "2025-11-22-2-shadows", "live",
    ]  # fmt: skip


@given(st.lists(st.integers(0, 400 * 2**20), max_size=12), st.integers(0, 2**31))
def test_a_batch_fits_on_the_disk(sizes: list[int], free: int) -> None:
    """Sealing leaves space for others; one segment is sealed however large it is, if the disk has room for it."""
    closed = [Stored(Path(str(number)), size, NOON, growing=False) for number, size in enumerate(sizes)]
    batch = choose_batch(closed, free)
    total = sum(one.size for one in batch)
    assert batch == closed[: len(batch)]
    assert total <= upkeep.BATCH_BYTES or len(batch) == 1
    assert not batch or total + SPARE_BYTES <= free
    assert batch or not closed or sizes[0] + SPARE_BYTES > free


def test_a_full_disk_stops_sealing_and_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Segments stay; when there is space again, they are sealed."""
    caplog.set_level(logging.INFO)
    path = segment(tmp_path, 1)
    kept = Upkeep(tmp_path)
    usage = shutil.disk_usage(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=SPARE_BYTES))
        for _ in range(3):
            kept.round(EVENTS, (), NOBODY, NOON + 60)
        assert path.exists()
    kept.round(EVENTS, (), NOBODY, NOON + 60)
    assert not path.exists()
    said = [record.getMessage() for record in caplog.records]
    assert sum("too little space" in message for message in said) == 1
    assert sum("works again" in message for message in said) == 1
    assert kept.tally.failures == 3


def test_a_mark_that_cannot_be_read_stops_sealing_and_nothing_else(tmp_path: Path) -> None:
    """What is not known is not guessed: segments and parts stay as they are, retention goes on."""
    path, old = segment(tmp_path, 2), segment(tmp_path, 1, modified=NOON - 40 * DAY)
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "sealing.json").write_bytes(b"{")
    kept = Upkeep(tmp_path)
    kept.round(EVENTS, (), NOBODY, NOON + 60)
    assert path.exists()
    assert not old.exists()
    assert kept.tally.failures == 2


def test_a_round_that_is_stopped_leaves_everything_as_it_was(tmp_path: Path) -> None:
    """It is no failure, and the next start goes on."""
    segment(tmp_path, 1)
    kept = Upkeep(tmp_path)
    kept.stop()
    kept.round(EVENTS, (), NOBODY, NOON + 60)
    assert kept.tally.failures == 0
    assert len(seen(tmp_path)["exposures"]) == 1


def test_a_folder_that_does_not_exist_is_left_alone(tmp_path: Path) -> None:
    """The first event makes it."""
    Upkeep(tmp_path / "none").round(EVENTS, (), NOBODY, NOON)
    assert not (tmp_path / "none").exists()
