"""A sink takes its time, fails or hangs: events wait, are bounded, and what is lost is counted."""

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic, sleep

import pytest
from msgspec import Struct

from router.archive import courier
from router.archive.courier import Courier, Couriers
from tests.archive.events import exchange, lines, write

DEADLINE_S = 10.0
TAKEN: dict[str, list[bytes]] = {}
GATES: dict[str, threading.Event] = {}
FAILURES: dict[str, int] = {}


class Memory(Struct, frozen=True):
    """A sink that remembers, when its gate lets it, after some failures."""

    name: str
    backlog: int = 1_000_000

    def open(self) -> "Memory":
        """Be its own outlet."""
        return self

    def send(self, sent: Sequence[bytes]) -> None:
        """Take lines."""
        assert GATES[self.name].wait(DEADLINE_S)
        if FAILURES.get(self.name, 0):
            FAILURES[self.name] -= 1
            raise OSError("not now")
        TAKEN[self.name] += sent

    def close(self) -> None:
        """Do nothing."""


@pytest.fixture
def sink(tmp_path: Path) -> Memory:
    """Return a sink of this test's own, whose gate is open."""
    name = tmp_path.name
    TAKEN[name], GATES[name], FAILURES[name] = [], threading.Event(), 0
    GATES[name].set()
    return Memory(name)


def until(condition: Callable[[], object]) -> None:
    """Wait until something is true."""
    ends = monotonic() + DEADLINE_S
    while not condition():
        assert monotonic() < ends
        sleep(0.005)


def test_events_arrive_and_segments_are_free_then(tmp_path: Path, sink: Memory) -> None:
    """What a sink has taken may be sealed."""
    work = Courier("memory", sink, tmp_path)
    work.start()
    path = write(tmp_path, 1, lines(exchange(1), exchange(2)))
    until(lambda: work.done().sent == 2)
    assert TAKEN[sink.name] == [lines(exchange(1)), lines(exchange(2))]
    assert path not in work.held()
    assert work.stop(DEADLINE_S)


def test_a_restart_goes_on_where_the_last_one_was(tmp_path: Path, sink: Memory) -> None:
    """Events that were written in between come too."""
    first = Courier("memory", sink, tmp_path)
    first.start()
    write(tmp_path, 1, lines(exchange(1)))
    until(lambda: first.done().sent == 1)
    assert first.stop(DEADLINE_S)
    write(tmp_path, 2, lines(exchange(2)))
    second = Courier("memory", sink, tmp_path)
    second.start()
    until(lambda: second.done().sent == 1)
    assert second.stop(DEADLINE_S)
    assert TAKEN[sink.name] == [lines(exchange(1)), lines(exchange(2))]


def test_what_failed_is_tried_again_and_said_once(
    tmp_path: Path, sink: Memory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is lost, nothing is skipped."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(courier, "_FIRST_PAUSE_S", 0.001)
    FAILURES[sink.name] = 3
    work = Courier("memory", sink, tmp_path)
    work.start()
    write(tmp_path, 1, lines(exchange(1)))
    until(lambda: work.done().sent == 1)
    assert work.stop(DEADLINE_S)
    assert TAKEN[sink.name] == [lines(exchange(1))]
    said = [record.getMessage() for record in caplog.records]
    assert sum("not now" in message for message in said) == 1
    assert sum("works again" in message for message in said) == 1


def test_a_sink_that_hangs_holds_segments_only_up_to_its_bound(tmp_path: Path, sink: Memory) -> None:
    """Beyond it the oldest are let go and counted, while the sink hangs; the newest come when it goes on."""
    GATES[sink.name].clear()
    size = len(lines(exchange(1)))
    work = Courier("memory", Memory(sink.name, backlog=12 * size), tmp_path)
    work.start()
    first = write(tmp_path, 1, lines(*(exchange(number) for number in range(10, 20))))
    until(lambda: work.done().waiting_bytes)
    assert work.held() == {first}
    second = write(tmp_path, 2, lines(*(exchange(number) for number in range(20, 30))))
    assert work.held() == {second}
    assert work.done().dropped == 10
    GATES[sink.name].set()
    until(lambda: TAKEN[sink.name][-1:] == [lines(exchange(29))])
    assert work.stop(DEADLINE_S)
    assert TAKEN[sink.name][-10:] == [lines(exchange(number)) for number in range(20, 30)]


def test_a_segment_that_retention_deletes_is_counted(tmp_path: Path, sink: Memory) -> None:
    """What the sink never got is said."""
    GATES[sink.name].clear()
    work = Courier("memory", sink, tmp_path)
    work.start()
    path = write(tmp_path, 1, lines(exchange(1), exchange(2)))
    until(lambda: work.done().waiting_bytes)
    work.leave(path)
    path.unlink()
    assert work.done().dropped == 2
    GATES[sink.name].set()
    assert work.stop(DEADLINE_S)


def test_ending_does_not_wait_for_a_sink_that_hangs(tmp_path: Path, sink: Memory) -> None:
    """It is given up, and its events come again after the start."""
    GATES[sink.name].clear()
    work = Courier("memory", sink, tmp_path)
    work.start()
    write(tmp_path, 1, lines(exchange(1)))
    until(lambda: work.done().waiting_bytes)
    assert not work.stop(0.01)
    GATES[sink.name].set()


def test_sinks_follow_the_configuration(tmp_path: Path, sink: Memory, caplog: pytest.LogCaptureFixture) -> None:
    """Others replace them, and one that can no longer be made is said and stops nothing."""
    use = "tests.archive.test_courier:Memory"
    work = Couriers(tmp_path)
    work.follow(({"use": use, "name": sink.name},))
    write(tmp_path, 1, lines(exchange(1)))
    until(lambda: work.done()[use].sent == 1)
    work.follow(({"use": use, "name": sink.name}, {"use": use, "name": sink.name, "backlog": 10_000_000}))
    assert list(work.done()) == [use, f"{use}#2"]
    write(tmp_path, 2, lines(exchange(2)))
    until(lambda: all(done.sent == 1 for done in work.done().values()))
    work.follow(({"use": "gone.away:Sink"},))
    assert work.done() == {}
    assert "gone.away:Sink" in caplog.text
    work.stop(DEADLINE_S)
