"""The closed-loop measurement: CPU time per request of one proxy under wrk.

Responsible for: starting the backend and a proxy, one timed run, and the CPU time of the proxy's processes within it.
Does not know: how rounds are put together or shown.

Rules: the proxy has core 0 to itself, wrk and the backend share core 1, so requests per second are limited by core 1
for the fast proxies; the CPU time per request is what compares. Readings are taken inside the run, not around it:
start-up of the generator costs the proxy nothing but would count in the divisor's time.
"""

import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks import configs, load, process
from benchmarks.peers import Peer
from benchmarks.process import Programs

PROXY_CORE = 0
LOAD_CORE = 1


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One run: CPU time per request of the busiest process (the worker) and of all of them.

    ``disturbed`` is the share of the proxy's core that others took meanwhile, the hypervisor included.
    """

    worker_us: float
    all_us: float
    rate: float
    p50_us: int
    p99_us: int
    resident_bytes: int
    disturbed: float


class Proxy(msgspec.Struct, frozen=True, kw_only=True):
    """A running proxy."""

    name: str
    pid: int
    port: int


class Bench:
    """What a case needs at hand: the peers, the running programs, the work folder, and the backend's port."""

    def __init__(self, peers: dict[str, Peer], programs: Programs, folder: Path) -> None:
        self.peers = peers
        self.programs = programs
        self.folder = folder
        self.backend = 0

    def start_backend(self, port: int = 0) -> None:
        """Start the nginx that answers, on the load's core."""
        self.backend = port or process.free_ports(1)[0]
        folder = self.folder / "backend"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "nginx.conf"
        file.write_text(configs.backend(self.backend, folder))
        argv = [self.peers["nginx"].path, "-p", str(folder), "-c", str(file), "-g", "daemon off;"]
        process.wait_answer(self.backend, self.programs.start("backend", argv, LOAD_CORE))

    @contextmanager
    def proxy(
        self, name: str, backend: int = 0, routes: int = 1, experiments: int = 1, *, mirror: bool = False
    ) -> Iterator[Proxy]:
        """Run a peer or the router in front of a backend, by default the one that ``start_backend`` started.

        ``direct`` is no proxy: its port is the backend's.
        """
        if name == "direct":
            yield Proxy(name=name, pid=0, port=backend or self.backend)
            return
        ports = process.free_ports(2)
        setting = configs.Setting(
            listen=ports[0],
            admin=ports[1],
            backend=backend or self.backend,
            folder=self.folder / name,
            program=self.peers[name.removesuffix("-matched")].path,
            routes=routes,
            experiments=experiments,
            mirror=mirror,
        )
        program = self.programs.start(name, configs.write(name, setting), PROXY_CORE)
        try:
            process.wait_answer(setting.listen, program, load.PATH)
            yield Proxy(name=name, pid=program.pid, port=setting.listen)
        finally:
            self.programs.stop(program)

    def served(self) -> int:
        """Return how many requests the backend has answered."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.backend}{configs.COUNT}") as answer:
            return int(answer.read().split(b"\n")[2].split()[2])

    def run(self, pid: int, port: int, connections: int, seconds: float, lua: Path | None = None) -> Sample:
        """Load a proxy for some seconds and return its CPU time per request; ``lua`` is another request to send."""
        lua = lua or load.script(self.folder)
        argv = load.command(self.peers["wrk"].path, port, connections, seconds, lua)
        before, busy, begun = process.cpu_ns(pid), process.core_busy_ns(PROXY_CORE), time.monotonic_ns()
        generator = self.programs.start("wrk", argv, LOAD_CORE)
        result = load.finish(generator, seconds + 30)
        self.programs.stop(generator)
        used = process.spent(before, process.cpu_ns(pid))
        others = process.core_busy_ns(PROXY_CORE) - busy - sum(used.values())
        return Sample(
            worker_us=max(used.values()) / 1000 / result.requests,
            all_us=sum(used.values()) / 1000 / result.requests,
            rate=result.rate,
            p50_us=result.p50_us,
            p99_us=result.p99_us,
            resident_bytes=process.memory(used)[0],
            disturbed=max(0.0, others / (time.monotonic_ns() - begun)),
        )
