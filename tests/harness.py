"""A worker's data plane in this process, on real sockets, and scripted targets behind it.

``Proxy`` runs the real ``Server`` on its own event loop in a thread. ``Target`` is a listening socket whose answers are
lists of byte chunks, and which keeps what it was sent. Callers are plain blocking sockets; ``Caller`` reads answers
from one in turn. An exception that escapes into the event loop, or a gauge that does not return to zero, fails the
test.
"""

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Self

import uvloop

from router import counters
from router.config.load import load_text
from router.events.model import Event, Exchange, Revision, Run, Shadow
from router.proxy.deadlines import TICK_S
from router.proxy.server import Server
from router.segment import Segment

DEADLINE_S = 5.0


def revision_of(yaml: str, number: int = 1, slots: dict[str, int] | None = None) -> Revision:
    """Make a revision of a configuration, as the control process would."""
    config = load_text(yaml.encode(), "test.yaml").config
    runs = {experiment.name: Run(number=1, phase=1, epoch=1) for experiment in config.experiments}
    return Revision(
        number=number,
        time=0.0,
        cause="start",
        author="test",
        digest="",
        config=config,
        weights={e.name: {arm.name: arm.weight for arm in e.arms} for e in config.experiments},
        runs=runs,
        slots=counters.allocate(slots or {}, counters.row_keys(config, runs)),
    )


def wait_until(condition: Callable[[], Any], what: str = "the condition") -> Any:
    """Wait until something is true, and return it."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.005)
    raise AssertionError(f"{what} did not come true within {DEADLINE_S} s")


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


class Proxy:
    """A data plane on a port of its own."""

    def __init__(self, yaml: str, *, tls: bool = False) -> None:
        self.log = Events()
        self.segment = Segment.create(1)
        self.revision = revision_of(yaml)
        self.escaped: list[str] = []  # exceptions that nothing caught
        self._tls = tls
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(DEADLINE_S)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(lambda _, context: self.escaped.append(repr(context)))
        self._stop = asyncio.Event()
        self.server = Server(self.revision, [self.segment.block(0)], 0, self.log)
        acceptor = await self.loop.create_server(self.server.accept, "127.0.0.1", 0, ssl=self.server.tls)
        self.port = acceptor.sockets[0].getsockname()[1]
        tick = asyncio.create_task(self._tick())
        self._ready.set()
        await self._stop.wait()
        tick.cancel()
        acceptor.close()
        self.server.abort()
        for _ in range(10):  # connections end in callbacks of their own
            await asyncio.sleep(0)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.server.tick(time.monotonic())

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run something on the loop of the data plane, and return its result."""

        async def run() -> Any:
            return function(*arguments)

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(DEADLINE_S)

    def swap(self, yaml: str) -> None:
        """Serve another configuration."""
        self.revision = revision_of(yaml, self.revision.number + 1, self.revision.slots)
        self.call(self.server.swap, self.revision)

    def word(self, key: str, offset: int) -> int:
        """Read a word of a counter row."""
        return self.segment.block(0)[self.revision.slots[key] + offset]

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Stop the event loop meanwhile, so that all that happens is there at once when it looks again."""
        go_on = threading.Event()
        stopped = threading.Event()

        def stop() -> None:
            stopped.set()
            go_on.wait(DEADLINE_S)

        self.loop.call_soon_threadsafe(stop)
        assert stopped.wait(DEADLINE_S)
        try:
            yield
        finally:
            go_on.set()

    def refusals(self) -> dict[str, int]:
        """Read all causes for which requests were refused."""
        return {cause: count for cause in counters.REFUSALS if (count := self.refused(cause))}

    def all_faults(self, target: str = "t") -> dict[str, int]:
        """Read all faults that a target had."""
        return {fault: count for fault in counters.FAULTS if (count := self.faults(target, fault))}

    def connects(self, target: str = "t") -> int:
        """Read how many connections were opened to a target."""
        return self.word(counters.target_key(target), counters.TARGET_CONNECTS)

    def inflight(self, target: str = "t") -> int:
        """Read how many exchanges a target is working on."""
        return self.word(counters.target_key(target), counters.TARGET_INFLIGHT)

    def codes(self, route: str = "all", target: str = "t") -> dict[str, int]:
        """Read how many exchanges ended in which status; "0" is closed before any response."""
        key = counters.pair_key(route, target)
        return {
            label: count
            for offset, label in enumerate(counters.CODE_LABELS)
            if (count := self.word(key, counters.PAIR_CODES + offset))
        }

    def gathered(self, cause: str) -> int:
        """Read how many bodies were not read to decide, for a cause."""
        return self.segment.block(0)[counters.GATHER + counters.GATHER_CAUSES.index(cause)]

    def event(self) -> Exchange:
        """Wait for the one event of the log, and return it."""
        wait_until(lambda: self.log.events, "an event")
        (event,) = self.log.events
        return event

    def refused(self, cause: str) -> int:
        """Read how many requests were refused for a cause."""
        return self.segment.block(0)[counters.REFUSED + counters.REFUSALS.index(cause)]

    def faults(self, target: str, fault: str) -> int:
        """Read how many faults a target had."""
        return self.word(counters.target_key(target), counters.TARGET_FAULTS + counters.FAULTS.index(fault))

    def connect(self) -> socket.socket:
        """Open a caller connection."""
        sock = socket.create_connection(("127.0.0.1", self.port), DEADLINE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def caller(self) -> "Caller":
        """Open a caller connection from which answers are read in turn."""
        return Caller(self.connect())

    def send(self, *chunks: bytes, close_write: bool = False) -> bytes:
        """Send bytes on a new connection and return all that comes back until it closes."""
        with self.connect() as caller:
            for chunk in chunks:
                caller.sendall(chunk)
            if close_write:
                caller.shutdown(socket.SHUT_WR)
            return read_all(caller)

    def close(self) -> None:
        """Stop the data plane."""
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()

    def check(self) -> None:
        """Assert what holds after every test: nothing escaped, and the gauges are back at zero."""
        assert self.escaped == []
        block = self.segment.block(0)
        assert block[counters.CONNECTIONS] == 0
        for key, base in self.revision.slots.items():
            if key.startswith("target\0"):
                assert block[base + counters.TARGET_INFLIGHT] == 0, key

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close()
        if kind is None:
            self.check()
        del self.server  # it holds the words
        with contextlib.suppress(BufferError):
            self.segment.close()


class Response(NamedTuple):
    """A response as a caller got it; ``head`` without the empty line, ``body`` as sent."""

    status: int
    head: bytes
    body: bytes

    def field(self, name: bytes) -> list[bytes]:
        """Return the values of a field, in order."""
        lines = [line.partition(b":") for line in self.head.split(b"\r\n")[1:]]
        return [value.strip() for found, _, value in lines if found.lower() == name]


class Caller:
    """A caller connection from which answers are read one after another."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._data = b""

    def send(self, *chunks: bytes) -> None:
        """Send bytes, each chunk by itself."""
        for chunk in chunks:
            self.socket.sendall(chunk)

    def response(self, *, bodiless: bool = False) -> Response:
        """Read one response, which has a length or chunks, or no body because of the request."""
        while b"\r\n\r\n" not in self._data:
            self._more()
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        response = Response(int(head[9:12]), head, b"")
        if bodiless or response.status < 200 or response.status in {204, 304}:
            return response
        if response.field(b"transfer-encoding"):
            size = self._chunked_size()
        else:
            (length,) = response.field(b"content-length")
            size = int(length)
            while len(self._data) < size:
                self._more()
        body, self._data = self._data[:size], self._data[size:]
        return response._replace(body=body)

    def rest(self) -> bytes:
        """Read until the other side closes; a reset ends it too."""
        data, self._data = self._data, b""
        return data + read_all(self.socket)

    def read_until(self, end: bytes) -> bytes:
        """Read until some bytes came, and return everything up to them."""
        while end not in self._data:
            self._more()
        data, _, self._data = self._data.partition(end)
        return data + end

    def _chunked_size(self) -> int:
        at = 0
        while True:
            while (end := self._data.find(b"\r\n", at)) < 0:
                self._more()
            size = int(self._data[at:end], 16)
            at = end + 2 + size + 2
            while len(self._data) < at:
                self._more()
            if not size:
                return at

    def _more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise EOFError(f"the connection ended within a response: {self._data!r}")
        self._data += data

    def close(self) -> None:
        """Close with FIN."""
        self.socket.close()

    def reset(self) -> None:
        """Close with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Connection:
    """One connection that a target accepted."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.received = b""

    def read_until(self, end: bytes) -> bytes:
        """Read until the bytes received so far contain some; return all of them."""
        while end not in self.received:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError(f"the connection ended before {end!r}; received {self.received!r}")
            self.received += data
        return self.received

    def read_request(self) -> bytes:
        """Read a head and as much body as its Content-Length says, or a chunked one to its end."""
        self.read_until(b"\r\n\r\n")
        head, _, body = self.received.partition(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
                while len(body) < length:
                    self._more()
                    body = self.received.partition(b"\r\n\r\n")[2]
            if line == b"transfer-encoding: chunked":
                self.read_until(b"0\r\n\r\n")
        request, self.received = self.received, b""
        return request

    def _more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise EOFError("the connection ended within a request")
        self.received += data

    def read_to_end(self) -> bytes:
        """Read until the other side closes or resets; return all bytes received so far."""
        self.received += read_all(self.socket)
        return self.received

    def send(self, *chunks: bytes) -> None:
        """Send bytes, each chunk by itself."""
        for chunk in chunks:
            self.socket.sendall(chunk)

    def reset(self) -> None:
        """Close with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.socket.close()

    def ended(self) -> bool:
        """Wait until the other side closes; true, or a time-out error."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
        return True

    def close(self) -> None:
        """Close with FIN."""
        self.socket.close()


class Target:
    """A listening socket that does what each test says."""

    def __init__(self, *, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(DEADLINE_S)
        self.port = self._listener.getsockname()[1]
        self.requests: list[bytes] = []
        self._threads: list[threading.Thread] = []
        self._connections: list[Connection] = []

    @property
    def url(self) -> str:
        """Base URL."""
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}"

    def accept(self) -> Connection:
        """Wait for a connection."""
        sock, _ = self._listener.accept()
        sock.settimeout(DEADLINE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context is not None:
            sock = self._context.wrap_socket(sock, server_side=True)
        connection = Connection(sock)
        self._connections.append(connection)
        return connection

    def pending(self) -> bool:
        """Return whether a connection waits to be accepted."""
        self._listener.settimeout(0)
        try:
            sock, _ = self._listener.accept()
        except BlockingIOError:
            return False
        else:
            self._connections.append(Connection(sock))
            return True
        finally:
            self._listener.settimeout(DEADLINE_S)

    def answer(self, *chunks: bytes, times: int = 1, close: bool = False) -> None:
        """Answer requests, all on as many connections as come, in the background."""

        def run() -> None:
            left = times
            while left:
                try:
                    connection = self.accept()
                except OSError:
                    return
                with contextlib.suppress(OSError, EOFError):
                    while left:
                        self.requests.append(connection.read_request())
                        left -= 1
                        connection.send(*chunks)
                        if close:
                            break
                if close:
                    connection.close()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self._threads.append(thread)

    def close(self) -> None:
        """Close the listener and all connections."""
        for sock in (self._listener, *(connection.socket for connection in self._connections)):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # wakes threads that wait on it
            sock.close()
        for thread in self._threads:
            thread.join(DEADLINE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_all(sock: socket.socket) -> bytes:
    """Read until the other side closes; a reset ends it too."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := sock.recv(65536):
            data += chunk
    return data


def read_response(sock: socket.socket) -> tuple[int, bytes, bytes]:
    """Read one response with a Content-Length or chunks; return status, head and body as sent."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = sock.recv(65536)
        if not chunk:
            raise EOFError(f"the connection ended within a response head: {data!r}")
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        while not body.endswith(b"0\r\n\r\n"):
            chunk = sock.recv(65536)
            if not chunk:
                raise EOFError(f"the connection ended within a chunked body: {body!r}")
            body += chunk
    elif b"content-length:" in lower:
        length = int(lower.partition(b"content-length:")[2].split(b"\r\n")[0])
        while len(body) < length:
            chunk = sock.recv(65536)
            if not chunk:
                raise EOFError(f"the connection ended within a body: {body!r}")
            body += chunk
    return int(head.split(b" ")[1]), head, body


def status_of(response: bytes) -> int:
    """Return the status of a response; 0 when there is none."""
    return int(response.split(b" ", 2)[1]) if response.startswith(b"HTTP/1.1 ") else 0


@contextlib.contextmanager
def one_target(extra: str = "", server: str = "", **options: Any) -> Iterator[tuple[Proxy, Target]]:
    """A proxy that routes everything to one scripted target.

    Args:
        extra: Further keys of the target, as YAML flow mapping content.
        server: Keys of ``server``, likewise.
        options: For the target.
    """
    with Target(**options) as target, Proxy(simple_yaml(target.url, extra, server)) as proxy:
        yield proxy, target


def simple_yaml(
    url: str, extra: str = "", server: str = "", routes: Sequence[str] = ("{name: all, target: t}",)
) -> str:
    """Write a configuration with one target named ``t``."""
    return (
        f"server: {{{server}}}\n"
        f"targets: [{{name: t, endpoints: ['{url}']{', ' + extra if extra else ''}}}]\n"
        f"routes: [{', '.join(routes)}]\n"
    )
