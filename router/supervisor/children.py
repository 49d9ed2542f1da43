"""One child process: how it is started, and whether it still lives.

Responsible for: the command line and the descriptors of a child, the judgement of its heartbeat, and its end.
Does not know: when a child is to be started or stopped (``run``), nor what it does.

Rules: a child is spawned, never forked without exec. It gets a process group of its own, so that Ctrl-C in a terminal
reaches the supervisor alone, which then drains in order. It inherits exactly the descriptors named for it.
"""

import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a child may be silent.

    Attributes:
        start_s: From its start to its first heartbeat; imports on a loaded machine take seconds.
        silence_s: Between two heartbeats.
    """

    start_s: float = 30.0
    silence_s: float = 5.0


class Pulse:
    """The heartbeat of one process: a word that changes while it lives."""

    def __init__(self, value: int, now: float, patience: Patience) -> None:
        self._value = value
        self._deadline = now + patience.start_s
        self._patience = patience

    def stopped(self, value: int, now: float) -> bool:
        """Look at the word.

        Args:
            value: What it holds now.
            now: Monotonic time in seconds.

        Returns:
            Whether it has not changed for too long.
        """
        if value != self._value:
            self._value = value
            self._deadline = now + self._patience.silence_s
        return now >= self._deadline

    def forgive(self, now: float) -> None:
        """Begin the wait anew, because nobody was looking or nobody could run."""
        self._deadline = max(self._deadline, now + self._patience.silence_s)


@dataclass(slots=True)
class Child:
    """A running process.

    Attributes:
        name: What it is called in messages: ``worker 0``.
        process: The process; its ``returncode`` is set by whoever reaps it.
        started: When it was started, in monotonic seconds.
        pulse: Its heartbeat.
        block: The block of counters that a worker writes.
        doomed: When it is killed if it has not ended by itself, in monotonic seconds.
    """

    name: str
    process: subprocess.Popen[bytes]
    started: float
    pulse: Pulse
    block: int = 0
    doomed: float | None = None

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self.process.pid

    def send(self, number: signal.Signals) -> None:
        """Send a signal; a child that has ended but is not reaped yet takes it without effect."""
        os.kill(self.process.pid, number)


def spawn(command: Sequence[str], descriptors: Sequence[int]) -> subprocess.Popen[bytes]:
    """Start a process that inherits the given descriptors under their own numbers.

    Raises:
        OSError: If it cannot be started.
    """
    return subprocess.Popen(  # noqa: S603 - the command is the program's own, never a caller's
        list(command), stdin=subprocess.DEVNULL, pass_fds=tuple(descriptors), process_group=0
    )


def describe_end(returncode: int) -> str:
    """Say how a process ended: ``exit code 1`` or ``signal SIGKILL``."""
    if returncode >= 0:
        return f"exit code {returncode}"
    try:
        return f"signal {signal.Signals(-returncode).name}"
    except ValueError:
        return f"signal {-returncode}"
