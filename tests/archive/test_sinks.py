"""The built-in sinks keep the contract of a sink, also when what they send to is slow, or gone."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer
from msgspec import Struct

from router.archive import stdout
from router.archive.kafka import Kafka
from router.archive.sink import BACKLOG_BYTES, Outlet, Sink, backlog_bytes
from router.archive.stdout import Stdout
from router.testing import check_sink
from tests.archive.events import exchange, lines


class Pipe:
    """A pipe in the place of standard output, read by a thread."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        self.got = bytearray()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while piece := os.read(self.read_end, 65536):
            self.got += piece

    def lines(self) -> list[bytes]:
        """Close the writing end, and return the lines that came."""
        os.close(self.write_end)
        self._thread.join()
        os.close(self.read_end)
        return bytes(self.got).splitlines(keepends=True)


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Pipe:
    """Return a pipe that the sink writes to."""
    made = Pipe()
    monkeypatch.setattr(stdout, "_STDOUT", made.write_end)
    return made


def test_stdout_keeps_the_contract(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is sent is in the file that standard output leads to."""
    path = tmp_path / "out"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    monkeypatch.setattr(stdout, "_STDOUT", fd)
    check_sink(Stdout(), lambda: path.read_bytes().split(b"\n"))
    os.close(fd)


def test_stdout_writes_whole_lines_to_a_pipe_that_takes_little(pipe: Pipe) -> None:
    """A pipe that is full is waited for, also one that does not block."""
    os.set_blocking(pipe.write_end, False)
    sent = [lines(exchange(number)) for number in range(2000)]
    Stdout().open().send(sent)
    assert pipe.lines() == sent


def test_stdout_that_nobody_reads_is_an_error_and_no_line_is_glued(monkeypatch: pytest.MonkeyPatch) -> None:
    """After half a line the next begins on a line of its own."""
    pipe = Pipe()
    monkeypatch.setattr(stdout, "_STDOUT", pipe.write_end)
    outlet = Stdout().open()
    real = os.write
    answers: list[Callable[[int, memoryview], int]] = [lambda fd, view: real(fd, view[:10]), _broken]
    monkeypatch.setattr(os, "write", lambda fd, view: answers.pop(0)(fd, view) if answers else real(fd, view))
    line = lines(exchange(1))
    with pytest.raises(BrokenPipeError):
        outlet.send((line,))
    outlet.send((line,))
    assert pipe.lines() == [line[:10] + b"\n", line]


def _broken(_fd: int, _view: memoryview) -> int:
    raise BrokenPipeError


@pytest.fixture
def cluster() -> Iterator[list[Producer]]:
    """Return a list with the client whose librdkafka plays brokers; without it they are gone."""
    held = [Producer({"test.mock.num.brokers": 2, "bootstrap.servers": "mock"})]
    yield held
    held.clear()


def servers(cluster: list[Producer]) -> tuple[str, ...]:
    """Return the addresses of the brokers; the topic exists from then on."""
    brokers = cluster[0].list_topics("events", timeout=10).brokers.values()
    return tuple(f"{broker.host}:{broker.port}" for broker in brokers)


class Reader:
    """A consumer that has read the topic so far."""

    def __init__(self, brokers: tuple[str, ...]) -> None:
        self._consumer = Consumer(
            {"bootstrap.servers": ",".join(brokers), "group.id": "g", "auto.offset.reset": "earliest"}
        )
        self._consumer.subscribe(["events"])
        self.messages: list[tuple[bytes | None, bytes]] = []

    def values(self, least: int) -> list[bytes]:
        """Read until there are so many messages, or none come."""
        while len(self.messages) < least and (message := self._consumer.poll(10.0)) is not None:
            if message.error() is None:
                self.messages.append((message.key(), message.value() or b""))
        return [value for _, value in self.messages]

    def close(self) -> None:
        """Leave."""
        self._consumer.close()


def test_kafka_keeps_the_contract(cluster: list[Producer]) -> None:
    """Messages are confirmed, whole, and keyed by unit."""
    brokers = servers(cluster)
    reader = Reader(brokers)
    expected = iter((1, 2001, 2001))
    check_sink(Kafka(servers=brokers, topic="events"), lambda: reader.values(next(expected)))
    assert {key for key, _ in reader.messages} >= {b"user-1", b"x" * 512}
    reader.close()


def test_kafka_that_is_gone_is_an_error_in_time_and_nothing_waits_for_ever(cluster: list[Producer]) -> None:
    """Loss of all brokers between two batches; what was confirmed before stays so."""
    outlet = Kafka(servers=servers(cluster), topic="events", timeout=2.0).open()
    outlet.send((lines(exchange(1)),))
    cluster.clear()
    with pytest.raises(OSError, match="Kafka did not"):
        outlet.send((lines(exchange(2)),))
    outlet.close()
    outlet.close()


def test_a_slow_kafka_is_waited_for() -> None:
    """Each answer takes a while, and all arrive."""
    slow = [Producer({"test.mock.num.brokers": 1, "test.mock.broker.rtt": 50, "bootstrap.servers": "mock"})]
    brokers = servers(slow)
    sent = [lines(exchange(number)) for number in range(100)]
    outlet = Kafka(servers=brokers, topic="events", key="id").open()
    outlet.send(sent)
    reader = Reader(brokers)
    assert sorted(reader.values(100)) == sorted(line.rstrip(b"\n") for line in sent)
    assert {key for key, _ in reader.messages} == {f"{number:032x}".encode() for number in range(100)}
    reader.close()
    outlet.close()


def test_properties_come_from_the_configuration_and_from_a_file(tmp_path: Path) -> None:
    """Those that keep the promises cannot be changed; what librdkafka does not know is said."""
    file = tmp_path / "properties"
    file.write_text("# secret\nclient.id = me\nnonsense=1\n")
    with pytest.raises(OSError, match="nonsense"):
        Kafka(servers=("localhost:1",), topic="t", properties_file=str(file)).open()
    file.write_text("client.id=me\nacks=0\n")
    Kafka(servers=("localhost:1",), topic="t", properties={"acks": "1"}, properties_file=str(file)).open().close()


def test_a_backlog_is_the_sinks_own_or_the_usual_one() -> None:
    """A sink need not have the option."""
    assert backlog_bytes(Stdout(backlog=5)) == 5
    assert backlog_bytes(Dull()) == BACKLOG_BYTES


class Dull(Struct, frozen=True):
    """A sink that does not keep what it is given, in one of several ways."""

    fault: str = "loses"

    def open(self) -> Outlet:
        """Be its own outlet."""
        return self

    def send(self, sent: Sequence[bytes]) -> None:
        """Take lines, and answer what is none of the caller's business."""
        return None if self.fault == "loses" else len(sent)  # type: ignore[return-value]

    def close(self) -> None:
        """Do nothing."""


@pytest.mark.parametrize(
    ("sink", "reason"),
    [(Dull(), "have not arrived"), (Dull("answers"), "returned 1 from send"), (object(), "is not a frozen")],
)
def test_a_sink_that_breaks_the_contract_is_told_how(sink: Sink, reason: str) -> None:
    """The check can fail."""
    with pytest.raises(AssertionError, match=reason):
        check_sink(sink, list)
