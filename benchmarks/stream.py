"""Server-sent events: a backend that streams them, and a count of those that arrive through a proxy.

Responsible for: a backend on the load's core that sends each stream an event every 5 ms, and the client side, which
reads the streams in this process.
Does not know: which proxy is between them.

Rules: each event is one chunk of one write, as a model server flushes one token; streams are served in five groups a
millisecond apart, so that events do not come to the proxy in one burst.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import uvloop

from benchmarks import load, process
from benchmarks.closed import LOAD_CORE, Bench, Proxy

STREAMS = 50
GROUPS = 5
PERIOD_S = 0.005
PATH = "/v2/models/ranker/stream"
EVENT = b'data: {"id":"chatcmpl-0123456789","choices":[{"index":0,"delta":{"content":" token"}}]}\n\n'
CHUNK = b"%x\r\n%s\r\n" % (len(EVENT), EVENT)
HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
READY = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Source(asyncio.Protocol):
    """One connection of the backend: a stream for the stream's path, a short answer for others."""

    def __init__(self, groups: list[set[asyncio.Transport]]) -> None:
        self.groups = groups
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer; a request comes in one piece here, and its body is not of interest."""
        assert self.transport is not None
        if PATH.encode() in data:
            self.transport.write(HEAD)
            min(self.groups, key=len).add(self.transport)
        else:
            self.transport.write(READY)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - the signature of asyncio.Protocol
        """Send nothing more."""
        assert self.transport is not None
        for group in self.groups:
            group.discard(self.transport)


async def serve(port: int) -> None:
    """Stream until the process is ended."""
    loop = asyncio.get_running_loop()
    groups: list[set[asyncio.Transport]] = [set() for _ in range(GROUPS)]
    await loop.create_server(lambda: Source(groups), "127.0.0.1", port, backlog=1024)
    step = PERIOD_S / GROUPS
    begun, turn = loop.time(), 0
    while True:
        for transport in groups[turn % GROUPS]:
            transport.write(CHUNK)
        turn += 1
        await asyncio.sleep(max(0.0, begun + turn * step - loop.time()))


@contextlib.contextmanager
def backend(bench: Bench) -> Iterator[int]:
    """Run the streaming backend; yield its port."""
    port = process.free_ports(1)[0]
    root = Path(__file__).resolve().parent.parent
    argv = [sys.executable, "-m", "benchmarks.stream", str(port)]
    program = bench.programs.start("stream-backend", argv, LOAD_CORE, {"PYTHONPATH": str(root)})
    try:
        process.wait_answer(port, program)
        yield port
    finally:
        bench.programs.stop(program)


class Sink(asyncio.Protocol):
    """One stream at the client: counts its events."""

    def __init__(self, counts: list[int], number: int) -> None:
        self.counts = counts
        self.number = number
        self.tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        head = f"GET {PATH} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in load.FIELDS.items())
        cast("asyncio.Transport", transport).write(f"{head}X-User-Id: user-{self.number}\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        """Count the ends of events, also one that is split between two reads."""
        self.counts[self.number] += data.count(b"\n\n") + (self.tail == b"\n" and data.startswith(b"\n"))
        self.tail = data[-1:]


def measure(proxy: Proxy, seconds: float) -> tuple[int, float, dict[int, int]]:
    """Read the streams through a proxy; return events, seconds, and nanoseconds of CPU by process.

    Raises:
        ProgramError: A stream brought nothing.
    """

    async def main() -> tuple[int, float, dict[int, int]]:
        loop = asyncio.get_running_loop()
        counts = [0] * STREAMS
        opened = [
            await loop.create_connection(lambda number=number: Sink(counts, number), "127.0.0.1", proxy.port)  # type: ignore[misc]
            for number in range(STREAMS)
        ]
        await asyncio.sleep(1.0)
        if not all(counts):
            raise process.ProgramError(f"{proxy.name}: {counts.count(0)} of {STREAMS} streams brought no event")
        before, begun, cpu = sum(counts), time.perf_counter(), process.cpu_ns(proxy.pid)
        await asyncio.sleep(seconds)
        events, took, used = sum(counts) - before, time.perf_counter() - begun, process.cpu_ns(proxy.pid)
        for transport, _sink in opened:
            transport.abort()
        return events, took, process.spent(cpu, used)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as own:
        own.run(serve(int(sys.argv[1])))
