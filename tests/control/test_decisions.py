"""Decisions are told at once, written in order, and a disk that fails holds nothing up."""

import asyncio
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from router.control import decisions as module
from router.control.decisions import Decisions
from router.events.decisions import Wanted, number_of, read_decisions
from router.events.rollout import Decided
from tests.control.desk import until


class Disk:
    """A disk that keeps what it is given, fails, or does not answer."""

    def __init__(self) -> None:
        self.lines: list[int] = []
        self.full = False
        self.answers = threading.Event()
        self.answers.set()

    def append(self, entries: Iterable[Decided]) -> None:
        """Keep the numbers."""
        self.answers.wait(10)
        if self.full:
            raise OSError("no space left on device")
        self.lines += [number_of(each.id) for each in entries]


def made(action: str = "hold") -> Decided:
    """Make a decision as the machine gives it."""
    return Decided(
        id="", time=1.0, experiment="e", run=1, phase=1, revision=0, step="stage", action=action, reason="because"
    )


def test_decisions_are_on_the_disk_and_numbered_over_restarts(tmp_path: Path) -> None:
    """The number goes on where it was, so that an id is never given twice."""

    async def run(count: int) -> list[str]:
        log = Decisions(tmp_path)
        await log.begin()
        ids = [log.record(made(), 3).id for _ in range(count)]
        await log.close()
        assert log.written
        return ids

    assert asyncio.run(run(2)) == ["e-1-1", "e-1-2"]
    assert asyncio.run(run(1)) == ["e-1-3"]
    assert [(each.id, each.revision) for each in read_decisions(tmp_path)[0]][-1] == ("e-1-3", 3)


def test_a_disk_that_fails_holds_nothing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decision can be asked for at once, the alarm is on until it is written, and nothing is lost."""
    monkeypatch.setattr(module, "_AGAIN_S", 0.001)
    disk = Disk()
    disk.full = True

    async def run() -> None:
        log = Decisions(tmp_path, disk)
        log.record(made("rollback"), 1)
        assert [each.action for each in await log.find(Wanted())] == ["rollback"]
        await until(lambda: log.failed)
        log.record(made(), 1)
        disk.full = False
        await until(lambda: log.written)
        assert (log.failed, log.dropped, disk.lines) == (False, 0, [1, 2])
        await log.close()

    asyncio.run(run())


def test_what_waits_for_a_disk_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are given up, and counted; the newest are kept."""
    monkeypatch.setattr(module, "WAITING", 3)
    disk = Disk()
    disk.answers.clear()

    async def run() -> None:
        log = Decisions(tmp_path, disk)
        for _ in range(5):
            log.record(made(), 1)
        assert log.dropped == 2
        disk.answers.set()
        await until(lambda: log.written)
        assert disk.lines == [3, 4, 5]
        await log.close()

    asyncio.run(run())


def test_older_decisions_come_from_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A question reaches as far back as the files, in one order and without doubles."""
    monkeypatch.setattr(module, "REMEMBERED", 4)

    async def run() -> None:
        log = Decisions(tmp_path)
        for _ in range(10):
            log.record(made(), 1)
        await until(lambda: log.written)
        for wanted, expected in (
            (Wanted(limit=3), [10, 9, 8]),
            (Wanted(limit=7), [10, 9, 8, 7, 6, 5, 4]),
            (Wanted(before=6, limit=3), [5, 4, 3]),
            (Wanted(), list(range(10, 0, -1))),
        ):
            assert [number_of(each.id) for each in await log.find(wanted)] == expected
        await log.close()

    asyncio.run(run())


def test_a_log_that_cannot_be_read_does_not_keep_the_router_from_starting(tmp_path: Path) -> None:
    """It is said, and the log begins anew."""
    (tmp_path / "decisions.ndjson").mkdir()

    async def run() -> None:
        log = Decisions(tmp_path)
        await log.begin()
        assert await log.find(Wanted()) == ()

    asyncio.run(run())
