"""Cases about what goes wrong: a target that dies, an experiment that is killed, callers that read slowly.

Responsible for: their targets and callers, and the times and sizes that come of them.
Does not know: how results are shown, or what is to be reached.

Rules: callers are in this process, each on a connection of its own, one request after another with a pause between
them; times are taken here, where callers are. Only the router is measured: peers have other words for these things.
"""

import asyncio
import contextlib
import http.client
import os
import resource
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import msgspec
import uvloop

from benchmarks import idle, process
from benchmarks.cases import Pace, told
from benchmarks.closed import LOAD_CORE, PROXY_CORE, Bench
from benchmarks.process import Program, ProgramError
from benchmarks.result import Reading

CALLERS: Final = 32
PAUSE_S: Final = 0.002
READERS: Final = 1000
STREAM_BYTES: Final = 10 * 1024 * 1024
PIECE: Final = bytes(64 * 1024)
READ_BYTES: Final = 4096  # what a slow reader takes,
SWEEP_S: Final = 0.2  # and how often
KILLED: Final = "bench"  # the experiment
NAMES: Final = ("one", "two")
Result = TypeVar("Result")


class Source(asyncio.Protocol):
    """One connection of a target: answers its name, or at ``/stream`` ten mebibytes as fast as they are taken."""

    def __init__(self, name: bytes) -> None:
        self.answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(name), name)
        self.left = 0
        self.writable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer; a request comes in one piece here."""
        if data.startswith(b"GET /stream "):
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % STREAM_BYTES)
            self.left = STREAM_BYTES
            self.go_on()
        else:
            self.transport.write(self.answer)

    def pause_writing(self) -> None:
        """Wait."""
        self.writable = False

    def resume_writing(self) -> None:
        """Go on."""
        self.writable = True
        self.go_on()

    def go_on(self) -> None:
        """Send while it is taken."""
        while self.left and self.writable:
            self.left -= len(PIECE)
            self.transport.write(PIECE)


async def serve(port: int, name: str) -> None:
    """Answer until the process is ended."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Source(name.encode()), "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


class Site(msgspec.Struct, frozen=True):
    """A running router and its two targets."""

    port: int
    admin: int
    router: Program
    targets: dict[str, Program]


@contextlib.contextmanager
def site(bench: Bench, targets: str, more: str = "", workers: int = 1) -> Iterator[Site]:
    """Run the router in front of two targets; ``{one}`` and ``{two}`` in ``targets`` are their URLs."""
    listen, admin, *ports = process.free_ports(4)
    root = Path(__file__).resolve().parent.parent
    started = {}
    urls = {name: f"'http://127.0.0.1:{port}'" for name, port in zip(NAMES, ports, strict=True)}
    try:
        for name, port in zip(NAMES, ports, strict=True):
            argv = [sys.executable, "-m", "benchmarks.faults", str(port), name]
            started[name] = bench.programs.start(f"target-{name}", argv, LOAD_CORE, {"PYTHONPATH": str(root)})
            process.wait_answer(port, started[name])
        folder = Path(tempfile.mkdtemp(prefix="router-", dir=bench.folder))  # anew: a kill survives a restart
        file = folder / "router.yaml"
        file.write_text(
            f"server: {{listen: '127.0.0.1:{listen}', workers: {workers}, shutdown_delay: 0s, drain: 1s}}\n"
            f"admin: {{listen: '127.0.0.1:{admin}'}}\nevents: {{dir: '{folder}/events'}}\n"
            f"targets: [{targets.format(**urls)}]\n"
            f"routes: [{{name: all, target: one, unit: ['header:x-user-id']}}]\n{more}"
        )
        argv = [*bench.peers["router"].path.split(), "serve", str(file)]
        program = started["router"] = bench.programs.start("router-faults", argv, PROXY_CORE)
        process.wait_answer(admin, program, "/readyz")
        yield Site(listen, admin, program, started)
    finally:
        for each in reversed(started.values()):
            bench.programs.stop(each)


class Answer(msgspec.Struct, frozen=True):
    """When an answer came, and what it was: a target's name, or why it is none."""

    at: float
    said: str


class Callers:
    """Callers one request after another, from ``begin`` to ``end``."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answers: list[Answer] = []
        self.tasks: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        """Begin to call."""
        self.tasks = [asyncio.create_task(self.call(number)) for number in range(CALLERS)]

    async def end(self) -> None:
        """Call no more."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def call(self, number: int) -> None:
        """Ask for different users on one connection; open another when it is lost."""
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            with contextlib.suppress(OSError, EOFError):
                while True:
                    number += CALLERS
                    self.answers.append(await self.ask(reader, writer, number))
                    await asyncio.sleep(PAUSE_S)
            self.answers.append(Answer(time.perf_counter(), "lost"))
            writer.close()

    async def ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> Answer:
        """Send a request, and read its answer."""
        writer.write(b"POST / HTTP/1.1\r\nhost: h\r\nx-user-id: u-%d\r\ncontent-length: 2\r\n\r\nok" % (number % 1000))
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(length)
        return Answer(time.perf_counter(), body.decode() if b" 200 " in head[:16] else "failed")


def measure(bench: Bench, pace: Pace) -> Iterator[Reading]:
    """Measure all three."""
    seconds = max(2.0, pace.seconds)
    try:
        for reading in failover(bench, pace.rounds, seconds):
            yield told(reading, pace)
        for reading in kill_switch(bench, pace.rounds, seconds):
            yield told(reading, pace)
        for reading in slow_readers(bench, seconds):
            yield told(reading, pace)
    except ProgramError as error:
        print(f"skipped: faults: {error}")


def failover(bench: Bench, rounds: int, seconds: float) -> Iterator[Reading]:
    """Measure the time from the death of one of two endpoints to the last request that failed for it."""
    for turn in range(rounds):
        for at, more in (("breaker alone", ""), ("and one retry", ", retry: {{attempts: 1}}")):
            with site(bench, "{{name: one, endpoints: [{one}, {two}]" + more + "}}") as running:
                values = _loop(_failed_over(running, seconds))
            yield Reading(case="failover", proxy="router", at=at, turn=turn, values=values)


async def _failed_over(running: Site, seconds: float) -> dict[str, float]:
    callers = await _called(running)
    killed = time.perf_counter()
    os.kill(running.targets["two"].pid, signal.SIGKILL)
    await asyncio.sleep(seconds)
    await callers.end()
    failed = [answer.at - killed for answer in callers.answers if answer.said not in NAMES]
    return {"last_failed_s": max(failed, default=0.0), "failed": len(failed), "answered": len(callers.answers)}


def kill_switch(bench: Bench, rounds: int, seconds: float) -> Iterator[Reading]:
    """Measure the time from the kill of an experiment to the last answer of its treatment, over two workers."""
    targets = "{{name: one, endpoints: [{one}]}}, {{name: two, endpoints: [{two}]}}"
    arms = "arms: [{name: control, target: one, weight: 1}, {name: treatment, target: two, weight: 1}]"
    experiment = f"experiments: [{{name: {KILLED}, route: all, {arms}}}]\n"
    for turn in range(rounds):
        with site(bench, targets, experiment, workers=2) as running:
            values = _loop(_killed(running, seconds))
        yield Reading(case="kill switch", proxy="router", at="2 workers", turn=turn, values=values)


async def _killed(running: Site, seconds: float) -> dict[str, float]:
    callers = await _called(running)
    asked = time.perf_counter()
    await asyncio.to_thread(_kill, running.admin)
    acknowledged = time.perf_counter() - asked
    await asyncio.sleep(seconds)
    await callers.end()
    treated = [answer.at - asked for answer in callers.answers if answer.said == "two"]
    failed = sum(1 for answer in callers.answers if answer.said not in NAMES)
    # Below zero: none came after the kill was asked for.
    return {"last_treated_s": max(0.0, *treated), "acknowledged_s": acknowledged, "failed": failed}


async def _called(running: Site) -> Callers:
    """Begin to call, and go on when both targets have answered for a second."""
    callers = Callers(running.port)
    callers.begin()
    await asyncio.sleep(1.0)
    said = {answer.said for answer in callers.answers}
    if said != set(NAMES):
        raise ProgramError(f"before anything went wrong callers were answered by {sorted(said)}")
    return callers


def slow_readers(bench: Bench, seconds: float) -> Iterator[Reading]:
    """Measure what callers that hardly read their stream add to a worker's memory."""
    count = idle.possible(READERS * 2) // 2  # the router needs two descriptors for each, under the same limit
    with site(bench, "{{name: one, endpoints: [{one}, {two}], pool: {{max: 2000}}}}") as running:
        started = process.cpu_ns(running.router.pid)
        _loop(_warmed(running))
        used = process.spent(started, process.cpu_ns(running.router.pid))
        worker = max(used, key=lambda pid: used[pid])
        before, _ = process.memory([worker])
        readers = [_reader(running.port) for _ in range(count)]
        try:
            most = 0
            ends = time.monotonic() + max(seconds, 2.0)
            while time.monotonic() < ends:
                for reader in readers:
                    with contextlib.suppress(BlockingIOError):
                        reader.recv(READ_BYTES)
                most = max(most, process.memory([worker])[0])
                time.sleep(SWEEP_S)
        finally:
            for reader in readers:
                reader.close()
        values = {"before": before, "most": most, "each": (most - before) / count, "readers": count}
    yield Reading(case="slow readers", proxy="router", at=f"{count} readers", turn=0, values=values)


async def _warmed(running: Site) -> None:
    await (await _called(running)).end()


def _reader(port: int) -> socket.socket:
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, READ_BYTES)
    reader.settimeout(10.0)
    reader.connect(("127.0.0.1", port))
    reader.sendall(b"GET /stream HTTP/1.1\r\nhost: h\r\n\r\n")
    if not reader.recv(16).startswith(b"HTTP/1.1 200"):
        raise ProgramError("a stream did not begin")
    reader.setblocking(False)
    return reader


def _kill(admin: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", admin, timeout=10.0)
    connection.request("POST", f"/v1/experiments/{KILLED}/kill", b"{}", {"content-type": "application/json"})
    answer = connection.getresponse()
    said = answer.read()
    connection.close()
    if answer.status != 200:
        raise ProgramError(f"the kill was answered with {answer.status}: {said[:200]!r}")


def _loop(work: Coroutine[Any, Any, Result]) -> Result:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as own:
        own.run(serve(int(sys.argv[1]), sys.argv[2]))
