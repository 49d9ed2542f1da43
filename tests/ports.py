"""Ports for programs that are started later.

Responsible for: numbers that are free now and that the system gives to nobody of its own accord meanwhile.
Does not know: who listens there.
"""

import random
import socket
from pathlib import Path

_LOWEST = 10240
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_ports(count: int) -> list[int]:
    """Return different ports below those that the system gives to outgoing connections, such as the tests' own."""
    chosen: list[int] = []
    for port in random.SystemRandom().sample(range(_LOWEST, int(_RANGE.read_text().split()[0])), 1000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        chosen.append(port)
        if len(chosen) == count:
            return chosen
    raise OSError(f"{count} free ports were not found")
