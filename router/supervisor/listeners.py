"""The sockets that callers connect to: made once, kept for the life of the router.

Responsible for: one listening socket per worker on one address, and a clear refusal when the address is taken.
Does not know: who accepts on them.

Rules: an address is probed before it is shared, because SO_REUSEPORT lets a second router of the same user listen on
the same port, and the two would share its connections at random. The sockets stay open here while a worker is replaced:
the replacement inherits the very same socket, so connections queued in it are not reset.
"""

import os
import socket
import stat
from pathlib import Path

from router.config.scalars import Listen
from router.control.address import unusable

KEY = "$.server.listen"
# What nginx and HAProxy recommend for busy listeners; the kernel caps it at net.core.somaxconn.
BACKLOG = 4096


class Listeners:
    """One listening socket for each worker; a unix socket is one that all share.

    Attributes:
        address: Where they listen; a port 0 has become the one that the system chose.
    """

    def __init__(self, address: Listen, sockets: list[socket.socket]) -> None:
        self.address = address
        self._sockets = sockets
        self._identity = _identity(address.path)

    @classmethod
    def open(cls, address: Listen, workers: int) -> "Listeners":
        """Probe the address, then listen on it.

        Raises:
            AddressError: If it cannot be used; the message names the key.
        """
        try:
            if address.path:
                return cls(address, [_open_unix(address.path)])
            return _open_tcp(address, workers)
        except OSError as error:
            raise unusable(KEY, address, error) from error

    def fd(self, worker: int) -> int:
        """Return the descriptor that a worker inherits."""
        return self._sockets[worker % len(self._sockets)].fileno()

    def close(self) -> None:
        """Close this process's copies; listening ends when the workers have closed theirs."""
        for listener in self._sockets:
            listener.close()

    def unlink(self) -> None:
        """Remove the file of a unix socket, unless another program has put its own there since."""
        if self.address.path and _identity(self.address.path) == self._identity:
            Path(self.address.path).unlink(missing_ok=True)


def _open_tcp(address: Listen, workers: int) -> Listeners:
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise OSError(0, f"{address.host!r} is not a known host name") from error
    family, _, _, _, place = found[0]
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(place)
    sockets: list[socket.socket] = []
    try:
        for _ in range(workers):
            listener = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind(place)
            listener.listen(BACKLOG)
            listener.setblocking(False)
            # The rest join the port that the system chose for the first.
            place = listener.getsockname()
    except OSError:
        for listener in sockets:
            listener.close()
        raise
    return Listeners(Listen(address.host, sockets[0].getsockname()[1]), sockets)


def _open_unix(path: str) -> socket.socket:
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(path)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _remove_stale(path: str) -> None:
    """Remove a socket file that nobody listens on; a live one, or another kind of file, is left to fail the bind."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.setblocking(False)
        try:
            caller.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()
        except BlockingIOError:
            return  # its queue is full: somebody listens


def _identity(path: str) -> tuple[int, int, int] | None:
    if not path:
        return None
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    # The time too, because a freed inode number is often the next one given out.
    return found.st_dev, found.st_ino, found.st_mtime_ns
