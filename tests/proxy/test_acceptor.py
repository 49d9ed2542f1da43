"""Accepting stops, and does not spin, while descriptors are short; nobody is turned away."""

import asyncio
import errno
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

from router import counters
from router.proxy import acceptor
from router.proxy.acceptor import Acceptor
from router.proxy.server import Server
from router.segment import Segment
from tests.harness import DEADLINE_S, Events, revision_of

YAML = "targets: [{name: t, endpoints: ['http://127.0.0.1:1']}]\nroutes: [{name: all, target: t}]\n"


class Listener:
    """A real listener whose ``accept`` fails as often as it is told."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.failures: list[int] = []
        self.asked = 0

    def fileno(self) -> int:
        """Return the descriptor of the listener."""
        return self.socket.fileno()

    def accept(self) -> tuple[socket.socket, Any]:
        """Fail, or accept."""
        self.asked += 1
        if self.failures:
            number = self.failures.pop()
            raise OSError(number, "told to")
        return self.socket.accept()

    def close(self) -> None:
        """Close the listener."""
        self.socket.close()

    def connect(self) -> socket.socket:
        """Connect as a caller."""
        return socket.create_connection(self.socket.getsockname(), DEADLINE_S)


class Door:
    """An acceptor before a server, on a loop that a test drives."""

    def __init__(self, descriptors: int) -> None:
        self.segment = Segment.create(1)
        self.listener = Listener()
        self.server = Server(revision_of(YAML), [self.segment.block(0)], 0, Events())
        self.idle_closed = 0
        self.acceptor = Acceptor(self.server, self.listener, descriptors)  # type: ignore[arg-type]

    def word(self, index: int) -> int:
        """Read a word of the worker's status."""
        return self.segment.block(0)[index]

    async def until(self, count: int) -> None:
        """Wait until as many callers are connected."""
        await self.reaches(lambda: self.word(counters.CONNECTIONS) == count)

    async def reaches(self, condition: Callable[[], bool]) -> None:
        """Wait until something is true."""
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.005)

    async def close(self) -> None:
        """End everything."""
        await self.acceptor.stop()
        self.server.abort()
        await self.until(0)


def run(test: Any, descriptors: int = 1 << 20) -> None:
    """Run a test on a loop of its own."""

    async def body() -> None:
        door = Door(descriptors)
        try:
            await test(door)
        finally:
            await door.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(body())


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EPERM])
def test_a_failed_accept_pauses(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each failure costs one accept and a pause, and the callers that wait are served after it."""

    async def test(door: Door) -> None:
        monkeypatch.setattr(acceptor, "PAUSE_S", 0.01)
        door.listener.failures = [number] * 3
        door.acceptor.start()
        with door.listener.connect(), door.listener.connect():
            await door.until(2)
            assert door.word(counters.ACCEPT_PAUSES) == 3
            assert door.listener.asked <= 3 + 2 + 2  # and an empty queue asked for once or twice

    run(test)


def test_callers_get_half_of_the_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers beyond half of the descriptors wait in the queue until one of the others leaves."""

    async def test(door: Door) -> None:
        monkeypatch.setattr(acceptor, "PAUSE_S", 0.01)
        door.acceptor.start()
        callers = [door.listener.connect() for _ in range(4)]
        await door.until(2)
        await door.reaches(lambda: door.word(counters.ACCEPT_PAUSES) >= 3)  # it looked again
        assert door.word(counters.CONNECTIONS) == 2
        for caller in callers[:2]:
            caller.close()
        await door.reaches(lambda: door.word(counters.CONNECTIONS_TOTAL) == 4)
        await door.until(2)
        for caller in callers:
            caller.close()

    run(test, descriptors=acceptor.RESERVE + 2 * 2)


def test_callers_get_what_targets_cannot_need(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the pools are smaller than half of the descriptors, callers get all the others."""

    async def test(door: Door) -> None:
        monkeypatch.setattr(acceptor, "PAUSE_S", 0.01)
        door.server.most_upstream = 1
        door.acceptor.start()
        callers = [door.listener.connect() for _ in range(4)]
        await door.until(3)
        pauses = door.word(counters.ACCEPT_PAUSES)
        await door.reaches(lambda: door.word(counters.ACCEPT_PAUSES) >= pauses + 2)  # it looked again
        assert door.word(counters.CONNECTIONS) == 3
        for caller in callers:
            caller.close()
        await door.reaches(lambda: door.word(counters.CONNECTIONS_TOTAL) == 4)

    run(test, descriptors=acceptor.RESERVE + 2 * 2)


def test_a_high_descriptor_pauses_before_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """When most descriptors are in use, by whatever, idle connections to targets go and accepting pauses."""
    closed: list[int] = []

    def close_idle(_: Server) -> int:
        closed.append(1)
        return 1

    async def test(door: Door) -> None:
        monkeypatch.setattr(acceptor, "PAUSE_S", 0.01)
        monkeypatch.setattr(Server, "close_idle", close_idle)
        door.acceptor._descriptors = 200
        door.acceptor._mark = 0
        door.acceptor.start()
        with door.listener.connect(), door.listener.connect():
            await door.until(2)
            assert door.word(counters.ACCEPT_PAUSES) == 2
            assert len(closed) == 2

    run(test)


def test_those_that_wait_when_it_stops_are_taken() -> None:
    """Closing a listener would reset the connections in its queue, so they are accepted first (DESIGN 9.1)."""

    async def test(door: Door) -> None:
        callers = [door.listener.connect() for _ in range(3)]
        await door.acceptor.stop()
        assert door.word(counters.CONNECTIONS) == 3
        for caller in callers:
            caller.close()
        door.listener = Listener()
        door.acceptor = Acceptor(door.server, door.listener, 100)  # type: ignore[arg-type]

    run(test)
