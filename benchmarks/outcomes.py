"""Outcomes acknowledged per second over HTTP, each on the disk first: `python -m benchmarks.outcomes`.

Responsible for: a router with its control process on one core, callers on the other, batches of several sizes one after
another on each connection, and what one core and one disk allow.
Does not know: how the ingest works. It believes a count only when the answer says that it was accepted.

*commits at most* is how often this disk makes 4 KiB durable (`fsync`), measured in the same folder just before: a
caller that sends one outcome at a time cannot be faster, and several at once can, because they share a commit. *core*
is the share of its core that the control process used: near 100 % the processor is the limit, far below it the disk is,
or whoever else is on that core.
"""

import argparse
import asyncio
import os
import shutil
import statistics
import sys
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import process

if TYPE_CHECKING:
    from collections.abc import Callable

ROUTER_CORE, LOAD_CORE = 0, 1
BATCHES = (1, 100, 1000)
CALLERS = (1, 16)
PROBES = 200
FOLDER = Path(__file__).parent / ".work" / "outcomes"


class Row(NamedTuple):
    """What one case showed.

    Attributes:
        batch: Outcomes in a request.
        callers: Connections, each with one request at a time.
        outcomes_s: Outcomes acknowledged a second.
        p50_ms: Median time of a request.
        p99_ms: 99th percentile of it.
        cpu_us: CPU time of the control process for an outcome.
        core: Share of a core that it used.
    """

    batch: int
    callers: int
    outcomes_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    core: float

    def line(self) -> str:
        """Return it as a line of a Markdown table."""
        rates = f"{self.outcomes_s:,.0f} | {self.outcomes_s / self.batch:,.0f}"
        times = f"{self.p50_ms:.1f} | {self.p99_ms:.1f} | {self.cpu_us:.1f}"
        return f"| {self.batch:,} | {self.callers} | {rates} | {times} | {self.core:.0%} |"


class Caller:
    """One connection that sends batches of outcomes that were never sent before."""

    def __init__(self, ingest: "Ingest", batch: int) -> None:
        self._ingest = ingest
        self._batch = batch
        self.times: list[float] = []
        self.accepted = 0

    def request(self) -> bytes:
        """Write the next request: ids like UUIDs, keyed by unit, with a time."""
        now = time.time()
        numbers, ident = self._ingest.numbers, self._ingest.ident
        body = ",".join(
            f'{{"id":"{ident(number):032x}","outcome":"click","time":{now:.3f},"unit":"user-{number}"}}'
            for number in (next(numbers) for _ in range(self._batch))
        )
        head = "POST /v1/outcomes HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: "
        return f"{head}{len(body) + 2}\r\n\r\n[{body}]".encode()

    async def run(self, until: float) -> None:
        """Send until some time of ``time.perf_counter``."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._ingest.port)
        expected = b'"accepted":%d,' % self._batch
        try:
            while time.perf_counter() < until:
                request = self.request()
                began = time.perf_counter()
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
                body = await reader.readexactly(length)
                self.times.append(time.perf_counter() - began)
                if expected not in body:
                    raise process.ProgramError(f"not all was accepted: {head[:15]!r} {body[:200]!r}")
                self.accepted += self._batch
        finally:
            writer.close()
            await writer.wait_closed()


def _spread(number: int) -> int:
    """Return numbers in no order, as UUIDs of version 4 are; each once."""
    return number * 0x9E3779B97F4A7C15 % 2**64


def _in_order(number: int) -> int:
    """Return numbers in order, as UUIDs of version 7 are."""
    return number


class Ingest(NamedTuple):
    """What is measured.

    Attributes:
        port: Of the admin API.
        control: Process that serves it.
        numbers: Of outcomes, each used once.
        ident: Makes the number of an id of it.
    """

    port: int
    control: int
    numbers: "count[int]"
    ident: "Callable[[int], int]"


def measure(ingest: Ingest, batch: int, callers: int, seconds: float) -> Row:
    """Measure one case."""
    control = ingest.control

    async def run() -> list[Caller]:
        until = time.perf_counter() + seconds
        made = [Caller(ingest, batch) for _ in range(callers)]
        await asyncio.gather(*(caller.run(until) for caller in made))
        return made

    before = process.process_cpu_ns(control) or 0
    began = time.perf_counter()
    made = asyncio.run(run())
    took = time.perf_counter() - began
    cpu = ((process.process_cpu_ns(control) or 0) - before) / 1e9
    accepted = sum(caller.accepted for caller in made)
    times = sorted(each * 1000 for caller in made for each in caller.times)
    p99 = times[min(len(times) - 1, len(times) * 99 // 100)]
    return Row(batch, callers, accepted / took, statistics.median(times), p99, cpu / accepted * 1e6, cpu / took)


def commits_at_most(folder: Path) -> float:
    """Return how often a second 4 KiB can be made durable."""
    path = folder / "probe"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        began = time.perf_counter()
        for _ in range(PROBES):
            os.write(fd, bytes(4096))
            os.fsync(fd)
        return PROBES / (time.perf_counter() - began)
    finally:
        os.close(fd)
        path.unlink()


def control_of(root: int) -> int:
    """Return the control process of a router."""
    for pid, _born in process.tree(root):
        if b"control" in (process.PROC / str(pid) / "cmdline").read_bytes().split(b"\0"):
            return pid
    raise process.ProgramError("the router has no control process")


def main() -> int:
    """Measure all cases and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3, help="length of a case (default 3)")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each case; the fastest counts (default 1)")
    parser.add_argument("--ids", choices=("random", "ordered"), default="random", help="how ids sort (default random)")
    options = parser.parse_args()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    port, admin = process.free_ports(2)
    config = FOLDER / "router.yaml"
    config.write_text(
        f"server: {{listen: '127.0.0.1:{port}', workers: 1}}\nadmin: {{listen: '127.0.0.1:{admin}'}}\n"
        f"events: {{dir: '{FOLDER / 'events'}'}}\n"
        "targets: [{name: t, endpoints: ['http://127.0.0.1:9']}]\nroutes: [{name: r, target: t}]\n"
    )
    os.sched_setaffinity(0, {LOAD_CORE})
    with process.Programs(FOLDER / "run") as programs:
        program = programs.start("router", [sys.executable, "-m", "router", "serve", str(config)], ROUTER_CORE)
        process.wait_answer(admin, program, "/readyz")
        ingest = Ingest(admin, control_of(program.pid), count(1), _in_order if options.ids == "ordered" else _spread)
        print(f"commits at most: {commits_at_most(FOLDER):.0f}/s\n")
        print("| in a request | callers | outcomes/s | requests/s | p50 ms | p99 ms | CPU µs an outcome | core |")
        print("|---|---|---|---|---|---|---|---|")
        for batch in BATCHES:
            for callers in CALLERS:
                runs = [measure(ingest, batch, callers, options.seconds) for _ in range(options.rounds)]
                print(max(runs, key=lambda run: run.outcomes_s).line(), flush=True)
    shutil.rmtree(FOLDER)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except process.ProgramError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
