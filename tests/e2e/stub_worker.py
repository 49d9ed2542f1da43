"""A worker without a data plane: beats, acknowledges, drains, and answers 200 with its process number.

It stands in for ``router.proxy.worker`` where a test is about processes and not about proxying. ``STUB_WORKER=CODE``
makes it end at once.
"""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from router.counters import ACKNOWLEDGED, CONNECTIONS_TOTAL, HEARTBEAT, PID, PUBLISHED
from router.segment import Segment


class _Stopped(Exception):  # noqa: N818 - not an error
    """A signal asked for the end."""


def main(arguments: list[str]) -> int:
    """Run until told to stop."""
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    if behaviour := os.environ.get("STUB_WORKER"):
        return int(behaviour)
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGQUIT, _stop)
    signal.signal(signal.SIGUSR2, _stop)
    block = Segment.attach(int(options["--segment"]))
    words, mine = block.words, block.blocks[int(options["--block"])]
    listener = socket.socket(fileno=int(options["--listener"]))
    listener.setblocking(False)
    lifeline = int(options["--lifeline"])
    mine[PID] = os.getpid()
    if orphan := os.environ.get("STUB_ORPHAN"):
        Path(orphan).write_text(str(subprocess.Popen(["sleep", "1"]).pid))
    try:
        while True:
            mine[HEARTBEAT] = time.monotonic_ns()
            mine[ACKNOWLEDGED] = words[PUBLISHED]
            readable, _, _ = select.select([listener.fileno(), lifeline], [], [], 0.05)
            if lifeline in readable:
                return 3
            if listener.fileno() in readable:
                _answer(listener, mine)
    except _Stopped:
        listener.close()
        return 0


def _answer(listener: socket.socket, mine: memoryview) -> None:
    try:
        connection, _ = listener.accept()
    except BlockingIOError:
        return
    with connection:
        connection.settimeout(1)
        connection.recv(65536)
        mine[CONNECTIONS_TOTAL] += 1
        body = str(os.getpid()).encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _Stopped


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
