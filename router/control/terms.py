"""What the control process and the supervisor say to each other, each message a line of JSON.

Responsible for: the two messages.
Does not know: sockets, what the numbers are for. Imports nothing heavy: the supervisor uses it too.
"""

import json
from dataclasses import dataclass


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
