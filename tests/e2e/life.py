"""A target that streams, and callers that never stop, for what a router lives through.

Responsible for: answers and numbered events, requests on kept connections, streams that are read to their end, and
whatever of it did not go well.
Does not know: what happens to the router meanwhile.

Rules: a request is sent once, and every answer is checked. A connection that ends between two requests is no failure; a
stream that misses an event, or ends without its last one, is.
"""

import asyncio
import ssl
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Self

from tests.e2e.running import DEADLINE_S, wait_until

EVERY_S = 0.01  # between two events, and between an answer and the next request: a rate, not a wait for anything
LAST = b"data: last\n\n"


class _Thread:
    """Something with an event loop in a thread of its own, from ``with`` to its end."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._started = threading.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    async def _run(self) -> None:
        await self._main()
        for writer in self._writers:
            writer.transport.abort()
        while len(asyncio.all_tasks()) > 1:  # noqa: ASYNC110  # they end with their connections
            await asyncio.sleep(EVERY_S)

    async def _main(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(DEADLINE_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()


class Streaming(_Thread):
    """A model server: ``/`` is answered with its name, ``/stream`` with events until ``finish`` or its end."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.requests = 0
        self.finish = threading.Event()
        self._name = name.encode()

    async def _main(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=256)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._started.set()
        while not self._stopping.is_set():  # noqa: ASYNC110  # set by another thread
            await asyncio.sleep(EVERY_S)
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.requests += 1
                if head.startswith(b"GET /stream "):
                    await self._stream(writer)
                else:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(self._name), self._name))
        except (OSError, EOFError):
            pass
        finally:
            self._writers.discard(writer)
            await _closed(writer)

    async def _stream(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        number = 0
        while not self.finish.is_set() and not self._stopping.is_set():
            event = b"data: %d\n\n" % number
            writer.write(b"%x\r\n%b\r\n" % (len(event), event))
            number += 1
            await writer.drain()
            await asyncio.sleep(EVERY_S)
        writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(LAST), LAST))


class Callers(_Thread):
    """Callers of a router, and streams beside them."""

    def __init__(
        self, port: int, *, connections: int = 8, streams: int = 4, trust: ssl.SSLContext | None = None
    ) -> None:
        """Start nothing yet; ``trust`` is for a router that speaks TLS."""
        super().__init__()
        self.failures: list[str] = []
        self.answers: dict[str, int] = {}
        self.certificates: set[bytes | None] = set()  # of connections made
        self.events = 0
        self.streams_done = 0
        self.moved = 0  # callers that were told to go, and went
        self.moving = False  # whether callers that are told to go stay away, as when their balancer has heard of it
        self._port = port
        self._counts = connections, streams
        self._trust = trust

    @property
    def answered(self) -> int:
        """Return how many requests were answered rightly."""
        return sum(self.answers.values())

    def go_on(self, count: int = 100, events: int = 20) -> None:
        """Wait for some more right answers, and more events on the streams."""
        answered, seen = self.answered + count, self.events + events * bool(self._counts[1])
        wait_until(lambda: self.answered >= answered and self.events >= seen, f"more than {answered} answers")

    def served_by(self, name: str, count: int = 30) -> None:
        """Wait for some more answers of one target."""
        least = self.answers.get(name, 0) + count
        wait_until(lambda: self.answers.get(name, 0) >= least, f"{least} answers of {name}")

    async def _main(self) -> None:
        connections, streams = self._counts
        self._started.set()
        async with asyncio.TaskGroup() as group:
            for number in range(connections):
                group.create_task(self._guarded(self._call(number)))
            for _ in range(streams):
                group.create_task(self._guarded(self._read_stream()))

    async def _guarded(self, call: Coroutine[Any, Any, None]) -> None:
        try:
            async with asyncio.timeout(4 * DEADLINE_S):
                await call
        except (OSError, EOFError, AssertionError, TimeoutError) as error:
            self.failures.append(repr(error))

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        name = "localhost" if self._trust else None
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._trust, server_hostname=name)
        if self._trust is not None:
            self.certificates.add(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        return reader, writer

    async def _call(self, number: int) -> None:
        while not self._stopping.is_set():
            reader, writer = await self._connect()
            try:
                while not self._stopping.is_set() and not reader.at_eof():
                    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-User-Id: u-%d\r\n\r\n" % number)
                    head = await reader.readuntil(b"\r\n\r\n")
                    assert head.startswith(b"HTTP/1.1 200 "), head
                    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                    name = (await reader.readexactly(length)).decode()
                    self.answers[name] = self.answers.get(name, 0) + 1
                    if b"\r\nconnection: close\r\n" in head:
                        self.moved += 1
                        if self.moving:
                            return
                        break
                    await asyncio.sleep(EVERY_S)
            finally:
                await _closed(writer)

    async def _read_stream(self) -> None:
        reader, writer = await self._connect()
        try:
            writer.write(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 "), head
            number = 0
            while size := int(await reader.readuntil(b"\r\n"), 16):
                event = (await reader.readexactly(size + 2))[:-2]
                if event == LAST:
                    number = -1
                    continue
                assert event == b"data: %d\n\n" % number, event
                number += 1
                self.events += 1
            assert number == -1, "the stream ended without its last event"
            assert await reader.readexactly(2) == b"\r\n"
            self.streams_done += 1
        finally:
            await _closed(writer)


async def _closed(writer: asyncio.StreamWriter) -> None:
    """Close a connection, and wait until it is."""
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
