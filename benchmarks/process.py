"""Programs under measurement: started on one core, their CPU time and memory read, ended by pid.

Responsible for: starting a program pinned to a core, finding every process that descends from it, reading nanoseconds
of CPU and bytes of memory from /proc, waiting for its port, and ending it with all its descendants.
Does not know: which program it is or what is measured about it.

Rules: only processes started here are ever signalled, by pid; leaving ``Programs`` ends every one of them, also on
Ctrl-C. CPU time is `sum_exec_runtime` of /proc/PID/task/TID/schedstat: the same user and system time as in
/proc/PID/stat, in nanoseconds instead of ticks of 10 ms. Network work done in the kernel on a sender's behalf is in it.
"""

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

PROC = Path("/proc")


class ProgramError(Exception):
    """A program did not start or ended early; the message carries the end of its log."""


class Program:
    """A started program: its root pid and where its output goes."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.process = process
        self.log = log

    @property
    def pid(self) -> int:
        """The pid of the process that was started; its descendants are found from it."""
        return self.process.pid

    def check(self) -> None:
        """Raise ``ProgramError`` if the program has ended."""
        code = self.process.poll()
        if code is not None:
            tail = self.log.read_text(errors="replace")[-1500:]
            raise ProgramError(f"{self.name} ended with {code}; the end of {self.log}:\n{tail}")


class Programs:
    """The programs of one case; a context manager that ends them all, last started first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[Program] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self.started:
            end(self.started.pop())

    def start(self, name: str, argv: Sequence[str], core: int, env: Mapping[str, str] | None = None) -> Program:
        """Start a program on one core, in a session of its own so that only we signal it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["taskset", "-c", str(core), *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
        program = Program(name, process, log)
        self.started.append(program)
        return program

    def stop(self, program: Program) -> None:
        """End one program before the others."""
        self.started.remove(program)
        end(program)


def end(program: Program, patience: float = 10.0) -> None:
    """Ask the program to end, and kill what is left of its tree after ``patience`` seconds."""
    members = tree(program.pid)
    if program.process.poll() is None:
        program.process.send_signal(signal.SIGTERM)
        try:
            program.process.wait(patience)
        except subprocess.TimeoutExpired:
            members = tree(program.pid)
            program.process.kill()
            program.process.wait()
    deadline = time.monotonic() + 2.0
    while (left := [member for member in members if alive(member)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid, born in left:
        if birth(pid) == born:
            os.kill(pid, signal.SIGKILL)


def birth(pid: int) -> str | None:
    """Return the start time of a process, which with its pid names it for ever; None if there is none."""
    fields = stat_fields(pid)
    return fields[19] if fields else None


def alive(member: tuple[int, str]) -> bool:
    """Tell whether a member of a tree still runs, zombies not counted."""
    fields = stat_fields(member[0])
    return fields is not None and fields[19] == member[1] and fields[0] != "Z"


def stat_fields(pid: int) -> list[str] | None:
    """Return /proc/PID/stat from the state on (index 0), or None if the process is gone."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def tree(root: int) -> list[tuple[int, str]]:
    """Return (pid, start time) of a process and all its descendants, the root first."""
    children: dict[int, list[int]] = {}
    born: dict[int, str] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (fields := stat_fields(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
            born[int(entry.name)] = fields[19]
    found: list[tuple[int, str]] = []
    queue = [root]
    while queue:
        pid = queue.pop(0)
        if pid in born:
            found.append((pid, born[pid]))
            queue.extend(children.get(pid, []))
    return found


def cpu_ns(root: int) -> dict[int, int]:
    """Return nanoseconds of CPU used so far by each process of a tree, user and system, all threads."""
    return {pid: used for pid, _born in tree(root) if (used := process_cpu_ns(pid)) is not None}


def process_cpu_ns(pid: int) -> int | None:
    """Return nanoseconds of CPU used by all living threads of a process, or None if it is gone."""
    total = 0
    try:
        for task in (PROC / str(pid) / "task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    except (FileNotFoundError, ProcessLookupError):
        return None
    return total


def core_busy_ns(core: int) -> int:
    """Return nanoseconds for which a core has worked or was withheld by the hypervisor, in steps of 10 ms."""
    for line in (PROC / "stat").read_text().splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) for field in fields[:8])
            return (user + nice + system + irq + softirq + steal) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    raise ProgramError(f"there is no core {core} in /proc/stat")


def spent(before: Mapping[int, int], after: Mapping[int, int]) -> dict[int, int]:
    """Return nanoseconds used between two readings, by process; one that came in between counts whole."""
    return {pid: used - before.get(pid, 0) for pid, used in after.items()}


def memory(pids: Iterable[int]) -> tuple[int, int]:
    """Return (resident, proportional) bytes of these processes; shared pages count in full, or by their share."""
    resident = proportional = 0
    for pid in pids:
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            key, _, rest = line.partition(":")
            if key == "Rss":
                resident += int(rest.split()[0]) * 1024
            elif key == "Pss":
                proportional += int(rest.split()[0]) * 1024
    return resident, proportional


def pin(root: int, core: int) -> None:
    """Move every thread of a tree to one core."""
    for pid, _born in tree(root):
        for task in (PROC / str(pid) / "task").iterdir():
            os.sched_setaffinity(int(task.name), {core})


def free_ports(count: int) -> list[int]:
    """Return loopback ports that were free a moment ago, below the range of outgoing connections."""
    found: list[int] = []
    for port in range(18200, 28000):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise ProgramError(f"no {count} free ports between 18200 and 28000")


def wait_answer(port: int, program: Program | None, path: str = "/", patience: float = 20.0) -> None:
    """Wait until GET of a path on a loopback port is answered with 200; raise ``ProgramError`` when it is not.

    An accepted connection is not enough: a kept listener accepts before any worker is there to answer.
    """
    deadline = time.monotonic() + patience
    while True:
        if program is not None:
            program.check()
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5.0)
            connection.request("GET", path, headers={"X-User-Id": "ready"})
            said = str(connection.getresponse().status)
            connection.close()
        except (OSError, http.client.HTTPException) as error:
            said = str(error)
        if said == "200":
            return
        if time.monotonic() > deadline:
            name = program.name if program else "the proxy"
            raise ProgramError(f"{name} does not answer on port {port} after {patience:.0f} s: {said}")
        time.sleep(0.05)
