"""A data plane in memory: scripted transports on both sides, no sockets, no clock but the test's.

``Plane`` holds a real ``Server``; ``caller()`` connects to it, and what it connects to appears in ``targets``. A
``Wire`` behaves as uvloop's transports do where that matters: writing to one that is gone raises, a close waits for
what is not sent yet, and the end of a connection is told in a later turn.
"""

import asyncio
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Self

from router import counters
from router.events.model import Event, Exchange, Shadow
from router.proxy.downstream import Downstream
from router.proxy.server import Server
from tests.harness import revision_of

YAML = (
    "events: {unenrolled: 100%}\n"
    "targets: [{name: t, endpoints: ['http://10.0.0.1:80']}]\n"
    "routes: [{name: all, target: t}]\n"
)
WORDS = 65_536
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


class Socket:
    """What is behind a transport: something to poll that never has anything, and options."""

    def __init__(self) -> None:
        self._pair = socket.socketpair()
        self.options: list[Any] = []

    def fileno(self) -> int:
        """Return a descriptor that is idle."""
        return self._pair[0].fileno()

    def setsockopt(self, *option: Any) -> None:
        """Note an option."""
        self.options.append(option)

    def make_readable(self) -> None:
        """Have the kernel hold bytes that the event loop has not seen."""
        self._pair[1].send(b"x")

    def close(self) -> None:
        """Give the descriptors back."""
        for sock in self._pair:
            sock.close()


class Wire(asyncio.Transport):
    """One side of a connection, as its protocol sees it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: Any, peer: str = "192.0.2.1") -> None:
        super().__init__()
        self._loop = loop
        self._waiting: list[bytes] = []
        self._pending = 0
        self._high = 64 * 1024
        self.protocol = protocol
        self.peer = peer
        self.socket = Socket()
        self.sent = b""
        self.stuck = False  # whether the peer takes nothing any more
        self.reading = True
        self.closing = False
        self.lost = False
        self.aborted = False
        self.eof = False
        protocol.connection_made(self)

    # --- what the protocol calls ---

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return the socket or the peer."""
        return {"socket": self.socket, "peername": (self.peer, 1)}.get(name, default)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:  # noqa: ARG002  # asyncio's signature
        """Set how much may be pending before the protocol is told to stop."""
        self._high = high or self._high

    def get_write_buffer_size(self) -> int:
        """Return how much the peer has not taken."""
        return self._pending

    def write(self, data: Any) -> None:
        """Send; as in uvloop, an error when the connection is gone or was ended."""
        if self.lost:
            raise RuntimeError("the handler is closed")
        if self.eof:
            raise RuntimeError("cannot write after write_eof")
        if self.aborted:
            return
        self.sent += bytes(data)
        if self.stuck:
            before = self._pending
            self._pending += len(data)
            if before <= self._high < self._pending:
                self.protocol.pause_writing()

    def can_write_eof(self) -> bool:
        """Return that it can be half-closed, as TCP can."""
        return True

    def write_eof(self) -> None:
        """End the data."""
        self.eof = True

    def is_closing(self) -> bool:
        """Return whether it is closed, or about to be."""
        return self.closing

    def close(self) -> None:
        """Close when everything is sent."""
        self.closing = True
        self.reading = False
        if not self._pending:
            self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        """Close now."""
        self.closing = self.aborted = True
        self.reading = False
        self._pending = 0
        self._loop.call_soon(self._lose, None)

    def pause_reading(self) -> None:
        """Let what comes in wait."""
        self.reading = False

    def resume_reading(self) -> None:
        """Deliver what waits, in a later turn."""
        self.reading = not self.closing
        self._loop.call_soon(self._deliver)

    # --- what the test does ---

    def feed(self, data: bytes) -> None:
        """Bytes come in from the peer."""
        self._waiting.append(data)
        self._deliver()

    def end(self) -> None:
        """The peer ends its data."""
        if not self.closing and not self.protocol.eof_received():
            self.close()

    def reset(self) -> None:
        """The peer resets the connection."""
        if not self.closing:
            self.closing = self.aborted = True
            self._loop.call_soon(self._lose, ConnectionResetError())

    def unstick(self) -> None:
        """The peer takes everything again."""
        pending, self._pending = self._pending, 0
        self.stuck = False
        if self.closing:
            self._loop.call_soon(self._lose, None)
        elif pending > self._high:
            self.protocol.resume_writing()

    def take(self) -> bytes:
        """Return what was sent since the last call."""
        sent, self.sent = self.sent, b""
        return sent

    def _deliver(self) -> None:
        while self._waiting and self.reading and not self.closing:
            self.protocol.data_received(self._waiting.pop(0))

    def _lose(self, error: Exception | None) -> None:
        if not self.lost:
            self.lost = self.closing = True
            self.socket.close()
            self.protocol.connection_lost(error)


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose connections are wires. ``outcomes``: an error for each attempt to fail; then all succeed."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: deque[Exception] = deque()
        self.made: list[Wire] = []
        self.stall = False  # whether connecting never ends
        self.stalled: set[str] = set()  # addresses to which it never ends

    # Only what the proxy passes is taken.
    async def create_connection(self, protocol_factory: Callable[[], Any], *where: Any, **__: Any) -> tuple[Wire, Any]:
        """Connect to nowhere."""
        host = where[0] if where else ""
        await asyncio.sleep(0)
        if self.stall or host in self.stalled:
            await asyncio.Event().wait()
        if self.outcomes:
            raise self.outcomes.popleft()
        protocol = protocol_factory()
        wire = Wire(self, protocol, host)
        self.made.append(wire)
        return wire, protocol


class Events:
    """A log that keeps events in a list."""

    def __init__(self) -> None:
        self.events: list[Exchange] = []
        self.shadows: list[Shadow] = []

    def append(self, event: Event) -> None:
        """Keep an event."""
        if isinstance(event, Shadow):
            self.shadows.append(event)
        else:
            self.events.append(event)


class Plane:
    """A server with its callers and targets."""

    def __init__(self, yaml: str = YAML) -> None:
        self.loop = Loop()
        self.escaped: list[str] = []
        self.loop.set_exception_handler(lambda _, context: self.escaped.append(repr(context)))
        self.words = memoryview(bytearray(8 * WORDS)).cast("q")
        self.control = memoryview(bytearray(8 * WORDS)).cast("q")
        self.log = Events()
        self.revision = revision_of(yaml)
        self._now = time.monotonic()
        self._callers: list[Wire] = []

        async def make() -> Server:
            return Server(self.revision, [self.words], 0, self.log, self.control)

        self.server = self.loop.run_until_complete(make())

    @property
    def targets(self) -> list[Wire]:
        """Every connection that was made to a target, in order."""
        return self.loop.made

    def caller(self, peer: str = "192.0.2.9") -> tuple[Downstream, Wire]:
        """Connect a caller."""
        protocol = self.server.accept()
        wire = Wire(self.loop, protocol, peer)
        self._callers.append(wire)
        return protocol, wire

    def settle(self, turns: int = 12) -> None:
        """Let the event loop do what it has to do."""

        async def turn() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turn())

    def swap(self, yaml: str) -> None:
        """Serve another configuration."""
        self.revision = revision_of(yaml, self.revision.number + 1, self.revision.slots)

        async def swap() -> None:
            self.server.swap(self.revision)

        self.loop.run_until_complete(swap())

    async def sleep(self, seconds: float) -> None:
        """Let the event loop's own timers come: those that are finer than a tick."""
        await asyncio.sleep(seconds)

    def wait(self, seconds: float) -> None:
        """Let time pass, in one tick."""
        self._now = max(self._now, time.monotonic()) + seconds

        async def tick() -> None:
            self.server.tick(self._now)

        self.loop.run_until_complete(tick())
        self.settle()

    def ask(self, wire: Wire, request: bytes = GET) -> Wire:
        """Send a request, and return the target's connection that got it."""
        before = {id(target): len(target.sent) for target in self.targets}
        wire.feed(request)
        self.settle()
        (target,) = (target for target in self.targets if len(target.sent) > before.get(id(target), 0))
        return target

    def inflight(self) -> int:
        """Return the gauge of the target."""
        return self.words[self.revision.slots[counters.target_key("t")] + counters.TARGET_INFLIGHT]

    def fault(self, name: str) -> int:
        """Return how often the target had a fault."""
        row = self.revision.slots[counters.target_key("t")]
        return self.words[row + counters.TARGET_FAULTS + counters.FAULTS.index(name)]

    def fallbacks(self) -> dict[tuple[str, str], int]:
        """Return how often fallbacks answered, by who and for which cause."""
        found = {}
        for key, base in self.revision.slots.items():
            if key.startswith("fallback\0"):
                for index, cause in enumerate(counters.CAUSES):
                    if self.words[base + index]:
                        found[key.split("\0")[2], cause] = self.words[base + index]
        return found

    def refusals(self) -> dict[str, int]:
        """Return how many requests were refused, by cause."""
        found = {cause: self.words[counters.REFUSED + index] for index, cause in enumerate(counters.REFUSALS)}
        return {cause: count for cause, count in found.items() if count}

    def close(self) -> None:
        """End everything, for good."""
        self.close_all()
        for wire in (*self.targets, *self._callers):
            wire.socket.close()
        self.loop.close()

    def close_all(self) -> None:
        """End every connection."""

        async def abort() -> None:
            self.server.abort()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()  # connections that are being made

        self.loop.run_until_complete(abort())
        self.settle()

    def check(self) -> None:
        """Assert what holds after everything has ended."""
        assert self.escaped == []
        assert self.words[counters.CONNECTIONS] == 0
        assert self.inflight() == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close()
        if kind is None:
            self.check()
