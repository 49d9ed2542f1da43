"""Takes connections from the worker's listener, and stops for a while when descriptors run short.

Responsible for: accepting, the handshake's time, and leaving descriptors for what is already here.
Does not know: what a connection is for, how many the configuration allows.

Rules: callers leave as many descriptors as connections to targets may need, and have half of them in any case, so that
each of them can have one to a target. An accept that fails is not tried again at once: the listener stays readable, and
the loop would spin on it. Meanwhile callers wait in the listener's queue, and nobody is turned away. Connections to
targets that lie idle are closed first.
"""

import asyncio
import logging
import resource
import socket
from typing import TYPE_CHECKING, Final

from router import counters

if TYPE_CHECKING:
    from router.proxy.server import Server

BATCH: Final = 64  # connections accepted before the others have their turn
PAUSE_S: Final = 0.2  # asyncio's own servers wait 1 s; callers notice that
RESERVE: Final = 32  # log segments, revisions, names: what a worker opens besides connections
MOST_QUEUED: Final = 4096  # the listener's queue
HANDSHAKE_S: Final = 1.0  # for handshakes under way when accepting ends

logger = logging.getLogger(__name__)


class Acceptor:
    """Accepts on one listener."""

    __slots__ = ("_descriptors", "_listener", "_mark", "_paused", "_said", "_server", "_tasks")

    def __init__(self, server: "Server", listener: socket.socket, descriptors: int) -> None:
        """Accept nothing yet; ``descriptors`` is how many this process may have."""
        # Per process
        self._server = server
        self._listener = listener
        self._descriptors = max(2, descriptors - RESERVE)
        # The lowest free number is the next one's, so one that is this high means that as many are in use.
        self._mark = descriptors - RESERVE
        self._paused: asyncio.TimerHandle | None = None
        self._said = False
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Accept from now on."""
        self._paused = None
        self._server.loop.add_reader(self._listener, self._accept)

    async def stop(self, *, queued: bool = True) -> None:
        """Accept no more.

        Args:
            queued: Whether to take those that wait in the queue, since closing the listener would reset them; not when
                another process accepts on the same one.
        """
        for _ in range(MOST_QUEUED if queued else 0):
            if not self._take_one():
                break
        if self._paused is not None:
            self._paused.cancel()
        self._server.loop.remove_reader(self._listener)
        self._listener.close()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=HANDSHAKE_S)
            for task in late:
                task.cancel()

    def _accept(self) -> None:
        room = max(self._descriptors // 2, self._descriptors - self._server.most_upstream)
        for _ in range(BATCH):
            if self._server.words[counters.CONNECTIONS] + len(self._tasks) >= room:
                self._pause("callers have their share of the descriptors")
                return
            if not self._take_one():
                return

    def _take_one(self) -> bool:
        """Take a connection; return whether there may be another at once."""
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError):
            return False
        except ConnectionAbortedError:  # it left the queue again
            return True
        except OSError as error:
            self._server.close_idle()
            self._pause(f"accept: {error.strerror}")
            return False
        connection.setblocking(False)
        high = connection.fileno() >= self._mark
        task = self._server.loop.create_task(self._admit(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if high:
            self._server.close_idle()
            self._pause("few descriptors are left")
        return not high

    async def _admit(self, connection: socket.socket) -> None:
        server = self._server
        # A TLS hello is a head like any other: who is slow with it holds a descriptor.
        handshake_s = server.timeouts.header_read if server.tls is not None else None
        try:
            await server.loop.connect_accepted_socket(
                server.accept, connection, ssl=server.tls, ssl_handshake_timeout=handshake_s
            )
        except OSError:  # the handshake failed, which is the caller's own affair
            connection.close()

    def _pause(self, why: str) -> None:
        """Leave the queue alone for a moment."""
        server = self._server
        server.words[counters.ACCEPT_PAUSES] += 1
        if not self._said:
            self._said = True  # once in a worker's life; after that the metric says it
            logger.warning(
                "connections wait to be accepted: %s. See $.server.limits.connections, the limit of open files, and "
                "router_accept_pauses_total",
                why,
            )
        if self._paused is None:
            server.loop.remove_reader(self._listener)
            self._paused = server.loop.call_later(PAUSE_S, self.start)


def descriptors() -> int:
    """Return how many descriptors this process may have."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
