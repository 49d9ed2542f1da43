"""A shadow that is ill, in every way a server can be.

Responsible for: what it does with each connection, until it is closed.
Does not know: who connects, or what comes of it.
"""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Self

from tests.harness import DEADLINE_S

_RESET = struct.pack("ii", 1, 0)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
Illness = Callable[["Ill", socket.socket], None]


class Ill:
    """A server with an illness; ``closing`` is set when it is to end."""

    def __init__(self, illness: str) -> None:
        self._illness = ILLNESSES[illness]
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=2)
        self.port = self._listener.getsockname()[1]
        self.closing = threading.Event()
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        if illness == "dead":
            self._listener.close()
        elif illness != "never accepts":
            self._threads[0].start()

    def requests(self, sock: socket.socket) -> Iterator[bytes]:
        """Read one request after another, each of which has a length."""
        data = b""
        while not self.closing.is_set():
            while b"\r\n\r\n" not in data:
                more = sock.recv(65536)
                if not more:
                    return
                data += more
            head, _, data = data.partition(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            while len(data) < size:
                data += sock.recv(65536)
            yield data[:size]
            data = data[size:]

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(sock)
            thread = threading.Thread(target=self._suffer, args=(sock,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _suffer(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            self._illness(self, sock)
        sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        for sock in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(DEADLINE_S)


def _reads_nothing(ill: Ill, _: socket.socket) -> None:
    ill.closing.wait(DEADLINE_S)


def _never_answers(ill: Ill, sock: socket.socket) -> None:
    for _ in ill.requests(sock):
        pass


def _resets(ill: Ill, sock: socket.socket) -> None:
    for _ in ill.requests(sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        return


def _resets_at_once(_: Ill, sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def _hangs_up(ill: Ill, sock: socket.socket) -> None:
    for _ in ill.requests(sock):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        return


def _floods(ill: Ill, sock: socket.socket) -> None:
    for _ in ill.requests(sock):
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            sock.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")


def _trickles(ill: Ill, sock: socket.socket) -> None:
    for _ in ill.requests(sock):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not ill.closing.wait(0.01):
            sock.sendall(b"x")


def _talks_unasked(ill: Ill, sock: socket.socket) -> None:
    for _ in ill.requests(sock):
        sock.sendall((OK + b"no") * 3)


def _speaks_garbage(ill: Ill, sock: socket.socket) -> None:
    for _ in ill.requests(sock):
        sock.sendall(b"\x15\x03\x01\x00\x02\x02\x46" * 20)


def _disagrees(ill: Ill, sock: socket.socket) -> None:
    for _ in ill.requests(sock):
        sock.sendall(OK + b"no")


def _fails(ill: Ill, sock: socket.socket) -> None:
    for _ in ill.requests(sock):
        sock.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")


def _nothing(_: Ill, __: socket.socket) -> None:
    return


ILLNESSES: dict[str, Illness] = {
    "dead": _nothing,
    "never accepts": _nothing,
    "reads nothing": _reads_nothing,
    "never answers": _never_answers,
    "resets": _resets,
    "resets at once": _resets_at_once,
    "hangs up half-way": _hangs_up,
    "floods": _floods,
    "trickles": _trickles,
    "talks unasked": _talks_unasked,
    "speaks garbage": _speaks_garbage,
    "disagrees": _disagrees,
    "fails": _fails,
}
