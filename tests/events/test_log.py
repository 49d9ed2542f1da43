"""The event log: nothing waits for it, everything is written or counted, and a crash costs a moment at most."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from router.config.schema import Events, Rotate
from router.events import log as log_module
from router.events.log import GATHER_S, LIMIT, SLICE, EventLog
from router.events.read import read
from router.events.segment import create_file, find_segments, parse_name
from tests.events.examples import exchange

ALWAYS_SYNC = Events(fsync=0.0)


@dataclass
class Disk:
    """Opens real segments, or `/dev/full`, where each write fails with ENOSPC; can also be made to hang."""

    full: bool = False
    opened: int = 0
    free: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.free.set()

    def create(self, path: Path) -> int:
        """Open a segment, once the disk answers."""
        self.free.wait()
        self.opened += 1
        return os.open("/dev/full", os.O_WRONLY) if self.full else create_file(path)


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Look again and again until it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def no_loss(count: int) -> None:
    """Refuse to lose events."""
    raise AssertionError(f"{count} events were dropped")


def numbers(folder: Path) -> list[int]:
    """Read the numbers of the events in a folder."""
    return [int(event.id, 16) for event in read(folder)]


def test_what_is_appended_is_read_in_order(tmp_path: Path) -> None:
    """Each event is in the log once, as it was appended, after a flush and without a close."""
    log = EventLog(tmp_path / "new" / "folder", 3, Events(), no_loss)
    events = [exchange(number) for number in range(1000)]
    for event in events:
        log.append(event)
    assert log.flush()
    assert list(read(tmp_path / "new" / "folder")) == events
    assert log.close()


def test_a_close_writes_what_waits(tmp_path: Path) -> None:
    """Nothing is lost at a planned end."""
    log = EventLog(tmp_path, 0, Events(), no_loss)
    for number in range(600):
        log.append(exchange(number))
    assert log.close()
    assert numbers(tmp_path) == list(range(600))


def test_events_are_written_without_being_asked(tmp_path: Path) -> None:
    """An event is readable soon after it was appended, also when it is the only one."""
    log = EventLog(tmp_path, 0, Events(), no_loss)
    for number in range(3):
        log.append(exchange(number))
        wait_until(lambda number=number: numbers(tmp_path) == list(range(number + 1)))  # type: ignore[misc]
    log.close()


def test_no_file_is_made_for_no_events(tmp_path: Path) -> None:
    """A worker without traffic leaves nothing behind."""
    log = EventLog(tmp_path, 0, Events(), no_loss)
    log.flush()
    log.close()
    assert list(tmp_path.iterdir()) == []


def test_a_segment_names_its_writer(tmp_path: Path) -> None:
    """Start, worker, process and sequence are in the name; two logs never share a file."""
    for _ in range(2):
        log = EventLog(tmp_path, 5, Events(), no_loss)
        log.append(exchange())
        log.close()
    names = [parse_name(path.name) for path in find_segments(tmp_path)]
    assert len(names) == 2
    assert {(name.worker, name.pid) for name in names if name} == {(5, os.getpid())}


@pytest.mark.parametrize("rotate", [Rotate(size=1, age=3600), Rotate(size=2**30, age=0)], ids=["size", "age"])
def test_segments_are_rotated(tmp_path: Path, rotate: Rotate) -> None:
    """A segment that is large or old enough is closed; all of them together hold each event once."""
    log = EventLog(tmp_path, 0, Events(rotate=rotate), no_loss)
    for number in range(3):
        log.append(exchange(number))
        log.flush()
    log.close()
    assert len(find_segments(tmp_path)) == 3
    assert numbers(tmp_path) == [0, 1, 2]


def test_other_settings_apply_to_a_running_log(tmp_path: Path) -> None:
    """A reload changes when segments are rotated, without a restart."""
    log = EventLog(tmp_path, 0, Events(), no_loss)
    log.reconfigure(Events(rotate=Rotate(size=1)))
    for number in range(2):
        log.append(exchange(number))
        log.flush()
    log.close()
    assert len(find_segments(tmp_path)) == 2


def test_a_full_disk_costs_counted_events_and_writing_resumes(tmp_path: Path) -> None:
    """While there is no space events are dropped and counted; with space the log goes on by itself."""
    disk = Disk(full=True)
    dropped: list[int] = []
    log = EventLog(tmp_path, 0, Events(rotate=Rotate(age=0)), dropped.append, create=disk.create)
    for number in range(300):
        log.append(exchange(number))
    log.flush()
    assert sum(dropped) == 300
    disk.full = False
    log.append(exchange(300))
    assert log.close()
    assert numbers(tmp_path) == [300]
    assert sum(dropped) == 300


def test_a_folder_that_cannot_be_made_costs_counted_events_until_it_can(tmp_path: Path) -> None:
    """A path in the way is no reason to stop serving."""
    folder = tmp_path / "events"
    folder.write_text("in the way")
    dropped: list[int] = []
    log = EventLog(folder, 0, Events(), dropped.append)
    log.append(exchange(1))
    log.flush()
    assert dropped == [1]
    folder.unlink()
    log.append(exchange(2))
    log.close()
    assert numbers(folder) == [2]


def test_a_hanging_disk_bounds_memory_and_never_blocks(tmp_path: Path) -> None:
    """Beyond the limit events are dropped at once; every event is either written or counted."""
    disk = Disk()
    disk.free.clear()
    dropped: list[int] = []
    log = EventLog(tmp_path, 0, Events(), dropped.append, create=disk.create)
    total = 2 * LIMIT
    for number in range(total):
        log.append(exchange(number))
    assert len(log._encoded) * SLICE <= LIMIT
    assert len(log._fresh) < SLICE
    assert not log.flush(timeout=0.01)
    disk.free.set()
    assert log.close(timeout=60)
    written = numbers(tmp_path)
    assert len(written) + sum(dropped) == total
    assert sum(dropped) > 0
    assert written == sorted(set(written))


def test_a_close_does_not_wait_for_ever(tmp_path: Path) -> None:
    """A disk that hangs at shutdown is given up on."""
    disk = Disk()
    disk.free.clear()
    log = EventLog(tmp_path, 0, Events(), lambda _: None, create=disk.create)
    log.append(exchange())
    assert not log.close(timeout=0.01)
    disk.free.set()
    assert log.close(timeout=60)


def test_text_that_is_not_unicode_costs_only_its_own_event(tmp_path: Path) -> None:
    """A lone surrogate cannot be JSON: that event is counted as dropped, its neighbours are written."""
    dropped: list[int] = []
    log = EventLog(tmp_path, 0, Events(), dropped.append)
    for number in range(10):
        log.append(exchange(number, unit="\udc80" if number in {3, 7} else "u"))
    log.close()
    assert numbers(tmp_path) == [0, 1, 2, 4, 5, 6, 8, 9]
    assert sum(dropped) == 2


def test_a_failed_sync_ends_the_segment_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed fsync the file is in doubt, so later events go to another one."""
    log = EventLog(tmp_path, 0, ALWAYS_SYNC, no_loss)

    def fail(_fd: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        log.append(exchange(1))
        log.flush()
    log.append(exchange(2))
    log.close()
    assert numbers(tmp_path) == [1, 2]
    assert len(find_segments(tmp_path)) == 2


def test_written_events_are_synced_though_no_more_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a power cut can lose is bounded by time, not by the next event."""
    synced = threading.Event()
    fsync = os.fsync

    def notice(fd: int) -> None:
        fsync(fd)
        synced.set()

    monkeypatch.setattr(os, "fsync", notice)
    log = EventLog(tmp_path, 0, Events(fsync=GATHER_S), no_loss)
    log.append(exchange())
    assert synced.wait(30)
    log.close()


def test_a_killed_writer_loses_only_what_was_not_written(tmp_path: Path) -> None:
    """After kill -9 the log holds a prefix without holes, up to at least what was flushed."""
    program = (
        "import pathlib, sys\n"
        "from router.config.schema import Events\n"
        "from router.events.log import EventLog\n"
        "from tests.events.examples import exchange\n"
        "log = EventLog(pathlib.Path(sys.argv[1]), 0, Events(), lambda _: None)\n"
        "for number in range(2000): log.append(exchange(number))\n"
        "log.flush()\n"
        "print('flushed', flush=True)\n"
        "number = 2000\n"
        "while True:\n"
        "    log.append(exchange(number))\n"
        "    number += 1\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"flushed\n"
        child.send_signal(signal.SIGKILL)
    found = numbers(tmp_path)
    assert len(found) >= 2000
    assert found == list(range(len(found)))
    log = EventLog(tmp_path, 0, Events(), no_loss)
    log.append(exchange(10**9))
    log.close()
    assert sorted(numbers(tmp_path)) == [*found, 10**9]


def test_a_reader_beside_a_writer_sees_whole_events_only(tmp_path: Path) -> None:
    """Read while it grows, the log is at each moment a prefix of what was appended."""
    log = EventLog(tmp_path, 0, Events(rotate=Rotate(size=200_000)), no_loss)
    seen = 0
    for round_number in range(20):
        for number in range(200):
            log.append(exchange(round_number * 200 + number))
        found = [int(event.id, 16) for event in read(tmp_path, damaged=lambda *reason: pytest.fail(str(reason)))]
        assert found == list(range(len(found)))
        assert len(found) >= seen
        seen = len(found)
    log.close()
    assert numbers(tmp_path) == list(range(4000))


def test_a_batch_larger_than_one_write_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoded bytes that wait for the disk are bounded, and nothing is lost between two writes."""
    monkeypatch.setattr(log_module, "BATCH_BYTES", 1000)
    log = EventLog(tmp_path, 0, Events(), no_loss)
    for number in range(3000):
        log.append(exchange(number))
    log.close()
    assert numbers(tmp_path) == list(range(3000))
