"""Idle keep-alive connections: each has had one request answered and then says nothing.

Responsible for: opening them, a few hundred at a time, and closing them.
Does not know: what is measured while they are open.
"""

import contextlib
import resource
import selectors
import socket
import struct
import time
from collections.abc import Iterator

from benchmarks import load
from benchmarks.process import ProgramError

AT_A_TIME = 200
SPARE = 500  # descriptors for everything else
REQUEST = (
    f"POST {load.PATH} HTTP/1.1\r\nHost: models.example.org\r\nX-User-Id: user-%d\r\n"
    f"Content-Length: {len(load.BODY)}\r\n\r\n{load.BODY}"
)


def possible(wanted: int) -> int:
    """Return how many connections this process may have, ``wanted`` at most; raises the soft limit to the hard one."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard - SPARE)


@contextlib.contextmanager
def connections(port: int, count: int) -> Iterator[None]:
    """Hold idle keep-alive connections open."""
    held: list[socket.socket] = []
    try:
        while len(held) < count:
            held += opened(port, len(held), min(AT_A_TIME, count - len(held)))
        time.sleep(1.0)
        yield
    finally:
        for each in held:
            # A reset leaves nothing in TIME_WAIT, which the next proxy's ten thousand would run into.
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            each.close()


def opened(port: int, first: int, count: int) -> list[socket.socket]:
    """Open connections, send a request on each, and wait for every answer."""
    fresh: list[socket.socket] = []
    with selectors.DefaultSelector() as selector:
        for number in range(first, first + count):
            each = socket.create_connection(("127.0.0.1", port), 10.0)
            each.sendall((REQUEST % number).encode())
            selector.register(each, selectors.EVENT_READ)
            fresh.append(each)
        waiting = count
        while waiting:
            ready = selector.select(10.0)
            if not ready:
                raise ProgramError(f"{waiting} of {count} connections got no answer within 10 s, with {first} open")
            for key, _events in ready:
                answerer = key.fileobj
                assert isinstance(answerer, socket.socket)
                answer = answerer.recv(65536)
                if not answer.startswith(b"HTTP/1.1 200"):
                    raise ProgramError(f"connection {first} and following: {answer[:80]!r} instead of an answer")
                selector.unregister(answerer)
                waiting -= 1
    return fresh
