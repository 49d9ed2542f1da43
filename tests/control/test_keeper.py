"""The upkeep runs beside the loop, with the lowest priority, and ends when it is told to."""

import asyncio
import os
import threading
import time
from pathlib import Path

import pytest

from router.archive.upkeep import Upkeep
from router.config.schema import Events
from router.control.keeper import Keeper
from router.counters import PID
from router.events.segment import find_segments
from router.segment import Segment
from tests.archive.events import exchange, lines, name, seen, write
from tests.control.desk import DEADLINE_S, until


def test_what_running_workers_write_is_left_alone(tmp_path: Path) -> None:
    """The newest segment of each worker that is in the counters grows, unless it is long past its age."""
    asyncio.run(_what_running_workers_write(tmp_path))


async def _what_running_workers_write(tmp_path: Path) -> None:
    segment = Segment.create(2)
    segment.block(0)[PID] = 7
    segment.block(1)[PID] = 9
    for sequence, pid in ((1, 7), (2, 7), (3, 8), (4, 9)):
        path = write(tmp_path, sequence, lines(exchange(sequence, time.time())), pid=pid)
        modified = time.time() - (100 if pid != 9 else 1000)
        os.utime(path, (modified, modified))
    keeper = Keeper(segment)
    work = asyncio.create_task(keeper.run(lambda: Events(dir=str(tmp_path))))
    await until(lambda: keeper.tally.files)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    assert [path.name for path in find_segments(tmp_path)] == [name(2)]
    assert (keeper.tally.sealed, len(seen(tmp_path)["exposures"])) == (3, 4)


def test_the_loop_goes_on_while_a_round_takes_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A round that hangs holds up nobody, runs with a lower priority, and is told to end."""
    asyncio.run(_a_round_takes_long(tmp_path, monkeypatch))


async def _a_round_takes_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entered, stopped = threading.Event(), threading.Event()
    priorities: list[int] = []

    def hang(*_: object) -> None:
        priorities.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        entered.set()
        assert stopped.wait(DEADLINE_S)

    monkeypatch.setattr(Upkeep, "round", hang)
    monkeypatch.setattr(Upkeep, "stop", lambda _: stopped.set())
    work = asyncio.create_task(Keeper(Segment.create(1)).run(lambda: Events(dir=str(tmp_path))))
    await until(entered.is_set)
    assert priorities == [10]
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    assert stopped.is_set()
