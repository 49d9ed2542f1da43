"""A router of two workers and its targets, all as processes, and what must be so when everything is over.

Responsible for: starting, killing and starting again; counting what a process holds; the assertions that every chaos
run ends with.
Does not know: what a run does in between.
"""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tests.e2e.running import SERVE, Router, gone, wait_until
from tests.faults.load import CONNECTIONS, Load
from tests.ports import free_ports

WORKERS = 2
GROWN_KB = 24 * 1024  # of a worker's memory after a run: pools, buffers and caches fill, and a leak goes on


class Held(NamedTuple):
    """What a process holds."""

    descriptors: int
    memory_kb: int


class TargetProcess:
    """A target that can be killed and started again."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self._journal = folder / f"{name}.ran"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it listens."""
        command = [sys.executable, "-m", "tests.faults.target", str(self.port), self.name, str(self._journal)]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        wait_until(self._listens, f"target {self.name}")

    def stop(self) -> None:
        """Let it hang: connections are taken by the kernel, and nothing is answered."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        """End at once, as ``kill -9`` does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def ran(self) -> Counter[int]:
        """Return how often each number was run."""
        with suppress(FileNotFoundError):
            return Counter(int(line) for line in self._journal.read_text().split() if line != "-")
        return Counter()

    def _listens(self) -> bool:
        """Look into the kernel's table: a connection would be one too many for a test that counts them."""
        wanted = f"0100007F:{self.port:04X} 00000000:0000 0A"
        return any(wanted in line for line in Path("/proc/net/tcp").read_text().splitlines())


class Site:
    """A router, its targets, and its configuration."""

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        self.folder = folder
        self.router = Router(folder, workers=WORKERS)
        self.targets = {name: TargetProcess(folder, name) for name in names}
        self.events = folder / "events"

    def configure(self, targets: str, routes: str, more: str = "") -> None:
        """Write the configuration; ``{NAME}`` in it is a target process's URL.

        Args:
            targets: Items of ``targets``, as YAML flow mapping content.
            routes: Likewise of ``routes``.
            more: Further lines.
        """
        text = (
            f"server: {{listen: '127.0.0.1:{self.router.port}', workers: {WORKERS}, shutdown_delay: 0s, drain: 5s,\n"
            "  expose: [fallback]}\n"
            f"admin: {{listen: '127.0.0.1:{self.router.admin_port}'}}\n"
            f"events: {{dir: '{self.events}', unenrolled: 100%}}\n"
            f"targets: [{targets}]\nroutes: [{routes}]\n{more}"
        )
        for name, target in self.targets.items():
            text = text.replace(f"{{{name}}}", f"'{target.url}'")
        fresh = self.router.config.with_suffix(".tmp")
        fresh.write_text(text)
        fresh.rename(self.router.config)

    def start(self, command: tuple[str, ...] = SERVE) -> None:
        """Start everything."""
        for target in self.targets.values():
            target.start()
        self.router.start_ready(command)

    def warmed(self, *, method: str = "POST") -> list[Held]:
        """Have every worker serve, and return what each holds then: what it goes on holding."""
        with Load(self.router.port, connections=2 * CONNECTIONS, method=method) as load:
            load.run(600)
        assert load.outcomes.failures() == []
        return self.settled()

    def workers(self) -> list[int]:
        """Wait until all workers are there, and return their process ids."""
        return list(
            wait_until(lambda: len(found := self.router.children("worker")) == WORKERS and found, "the workers")
        )

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of a metric over all series that have some labels."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        found = 0.0
        for line in self.router.ask("/metrics")[1].decode().splitlines():
            series, _, value = line.rpartition(" ")
            if series.partition("{")[0] == name and all(label in series for label in wanted):
                found += float(value)
        return found

    def ran(self) -> Counter[int]:
        """Return how often each number was run, by whichever target."""
        return sum((target.ran() for target in self.targets.values()), Counter())

    def settled(self) -> list[Held]:
        """Wait until no exchange and no caller is left, and return what each worker holds then."""
        wait_until(lambda: self.metric("router_connections") == 0, "the callers' connections to be gone")
        wait_until(lambda: self.metric("router_inflight") == 0, "the gauges to return to zero")
        workers = self.workers()
        wait_until(lambda: not any(_talks(pid) for pid in workers), "the connections to targets to be closed")
        return [held(pid) for pid in workers]

    def close(self) -> None:
        """End everything, and assert that nothing is left."""
        everybody = [] if self.router.process is None else [self.router.running.pid, *self.router.children()]
        self.router.close()
        for target in self.targets.values():
            target.kill()
        wait_until(lambda: all(gone(pid) for pid in everybody), "all processes of the router to be gone")

    def zombies(self) -> list[int]:
        """Return the children of the supervisor that have ended and were not reaped."""
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                status = (entry / "stat").read_text().rpartition(")")[2].split()
                if status[0] == "Z" and int(status[1]) == self.router.running.pid:
                    found.append(int(entry.name))
        return found

    def assert_nothing_ran_twice(self, load: Load) -> None:
        """Assert that each answered request ran once, and no other more often."""
        ran = self.ran()
        assert [number for number, times in ran.items() if times > 1] == []
        answered = {number for number, name in load.outcomes.right.items() if name in self.targets}
        assert answered <= set(ran)

    def assert_nothing_leaked(self, before: list[Held], *, grown_kb: int = GROWN_KB) -> None:
        """Assert that the workers hold what they held before, and that nobody is a zombie."""
        after = self.settled()
        most = max(one.descriptors for one in before)
        assert [one.descriptors for one in after if one.descriptors > most] == []
        base = max(one.memory_kb for one in before)
        assert [one.memory_kb for one in after if one.memory_kb > base + grown_kb] == []
        wait_until(lambda: not self.zombies(), "the zombies to be reaped")


@contextmanager
def standing(folder: Path, *names: str) -> Iterator[Site]:
    """Prepare a site; the test configures and starts it."""
    site = Site(folder, names)
    try:
        yield site
    finally:
        site.close()


def held(pid: int) -> Held:
    """Return what a process holds now."""
    status = Path(f"/proc/{pid}/status").read_text()
    memory = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return Held(len(list(Path(f"/proc/{pid}/fd").iterdir())), int(memory.split()[1]))


def kill(pid: int) -> None:
    """End a process at once."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _talks(pid: int) -> bool:
    """Return whether a process has a connection open, other than what it listens on."""
    sockets = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            sockets.add(str(entry.readlink()))
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        columns = line.split()
        if columns[3] == "01" and f"socket:[{columns[9]}]" in sockets:
            return True
    return False
