"""What the supervisor and the control process say to each other.

Responsible for: one socket pair, and the two messages on it, each a line of JSON.
Does not know: what the numbers are for.

Rules: the control process says its ``Terms`` when it has read the configuration, and again when they change; the first
ones are answered with what became of them. The pair is a lifeline too: each side sees the end of the other.
"""

import json
import socket
from dataclasses import dataclass

# Terms are four short values; more without a line end is not a control process.
_LINE_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class Terms:
    """What the supervisor needs to know of the configuration.

    Attributes:
        listen: Address for callers.
        workers: Number of worker processes.
        drain_s: How long exchanges in flight may take to end at shutdown.
        shutdown_delay_s: How long accepting goes on after readiness went false.
    """

    listen: str
    workers: int
    drain_s: float
    shutdown_delay_s: float

    def line(self) -> bytes:
        """Write them as the control process sends them."""
        said = {
            "listen": self.listen,
            "workers": self.workers,
            "drain": self.drain_s,
            "shutdown_delay": self.shutdown_delay_s,
        }
        return json.dumps(said).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> "Terms":
        """Read a line of the control process.

        Raises:
            ValueError: If it is not one.
        """
        try:
            said = json.loads(line)
            return cls(str(said["listen"]), int(said["workers"]), float(said["drain"]), float(said["shutdown_delay"]))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"the control process said {line[:200]!r}") from error


@dataclass(frozen=True, slots=True)
class Agreed:
    """What became of the first terms.

    Attributes:
        workers: Number of blocks that the counters now have.
        listen: Where the sockets listen; the port is the real one.
    """

    workers: int
    listen: str

    def line(self) -> bytes:
        """Write it as the supervisor sends it."""
        return json.dumps({"workers": self.workers, "listen": self.listen}).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> "Agreed":
        """Read a line of the supervisor.

        Raises:
            ValueError: If it is not one.
        """
        try:
            said = json.loads(line)
            return cls(int(said["workers"]), str(said["listen"]))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"the supervisor said {line[:200]!r}") from error


class Channel:
    """The supervisor's end."""

    def __init__(self) -> None:
        self.socket, self.theirs = socket.socketpair()
        self.socket.setblocking(False)
        self.answered = False
        self._rest = b""

    def receive(self) -> list[Terms] | None:
        """Take what has arrived.

        Returns:
            The terms said since; None when the other side has closed.

        Raises:
            ValueError: If the other side says anything else.
        """
        try:
            data = self.socket.recv(_LINE_MAX)
        except BlockingIOError:
            return []
        except ConnectionResetError:
            return None
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LINE_MAX:
            raise ValueError(f"the control process said {len(self._rest)} bytes without a line end")
        return [Terms.read(line) for line in lines]

    def answer(self, agreed: Agreed) -> None:
        """Answer the first terms; a control process that has gone meanwhile is noticed by its end."""
        self.answered = True
        try:
            self.socket.sendall(agreed.line())
        except (BrokenPipeError, ConnectionResetError):
            return

    def close(self) -> None:
        """Close both ends."""
        self.socket.close()
        self.theirs.close()
