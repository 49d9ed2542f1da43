"""The worker process: one event loop that carries exchanges.

Responsible for: the listener it was given, the tick (deadlines, heartbeat, new revisions), signals, and an orderly end.
Does not know: YAML, the control process, other workers.

Rules: nothing here waits for another process. Revisions come as a file that is replaced whole, their number through
shared memory; a revision that cannot be used is logged and the one before serves on. When the supervisor is gone, so
is the worker.
"""

import asyncio
import functools
import gc
import logging
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from router import counters
from router.events.log import EventLog
from router.events.model import Revision
from router.proxy.acceptor import Acceptor, descriptors
from router.proxy.deadlines import TICK_S
from router.proxy.server import Server
from router.segment import Segment

POLL_S: Final = 0.02
LAST_WRITES_S: Final = 2.0
REVISION_FILE: Final = "revision.msgpack"

logger = logging.getLogger(__name__)


def main(seat: tuple[int, int], listener_fd: int, segment_fd: int, lifeline_fd: int, run_dir: Path) -> int:
    """Run a worker until it is told to end.

    Args:
        seat: Number of the worker, and of the block of counters that it writes.
        listener_fd: Listening socket.
        segment_fd: Shared memory (``Segment``).
        lifeline_fd: Pipe that ends when the supervisor does.
        run_dir: Where ``revision.msgpack`` is.

    Returns:
        Exit status.
    """
    segment = Segment.attach(segment_fd)
    listener = socket.socket(fileno=listener_fd)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(Worker(seat, segment, run_dir).run(listener, lifeline_fd))


class Worker:
    """A worker's life: wait for a revision, serve, drain."""

    __slots__ = (
        "_block",
        "_blocks",
        "_gentle",
        "_index",
        "_log",
        "_revision_file",
        "_segment",
        "_server",
        "_stop",
        "_tick_handle",
        "_tried",
        "_words",
    )

    _server: Server
    _log: EventLog

    def __init__(self, seat: tuple[int, int], segment: Segment, run_dir: Path) -> None:
        # Per process
        self._index, self._block = seat
        self._segment = segment
        self._blocks = segment.blocks
        self._words = self._blocks[self._block]
        self._revision_file = run_dir / REVISION_FILE
        self._stop = asyncio.Event()
        self._gentle = False  # whether a successor accepts already
        self._tried = 0  # revision that was tried last
        self._tick_handle: asyncio.TimerHandle | None = None

    async def run(self, listener: socket.socket, lifeline_fd: int) -> int:
        """Serve until told to stop; return the exit status."""
        loop = asyncio.get_running_loop()
        loop.add_reader(lifeline_fd, functools.partial(os._exit, 1))
        loop.add_signal_handler(signal.SIGTERM, self._terminate)
        loop.add_signal_handler(signal.SIGUSR2, self._retire)
        loop.add_signal_handler(signal.SIGINT, lambda: None)  # a terminal's Ctrl-C is the supervisor's to handle
        loop.add_signal_handler(signal.SIGQUIT, functools.partial(os._exit, 1))
        self._words[counters.PID] = os.getpid()
        self._beat()
        while self._segment.words[counters.PUBLISHED] == 0:
            self._beat()
            await asyncio.sleep(POLL_S)
        revision = self._read()
        counters.reset_gauges(self._words, revision.slots)
        self._log = EventLog(Path(revision.config.events.dir), self._index, revision.config.events, self._count_dropped)
        self._server = server = Server(
            revision, self._blocks, self._block, self._log, self._segment.block(self._segment.workers)
        )
        acceptor = Acceptor(server, listener, descriptors())
        acceptor.start()
        self._words[counters.ACKNOWLEDGED] = revision.number
        gc.collect()
        gc.freeze()  # what start-up made lives as long as the process; no collection needs to look at it again
        gc.set_threshold(50_000, 20, 50)
        self._tick()
        await self._stop.wait()
        await acceptor.stop(queued=not self._gentle)
        await self._drain(server)
        if self._tick_handle is not None:
            self._tick_handle.cancel()
        self._log.close(LAST_WRITES_S)
        return 0

    async def _drain(self, server: Server) -> None:
        """Wait for exchanges under way, up to ``server.drain``.

        Connections end with their next answer. Idle ones are closed last, because a caller may be sending on one: when
        nobody waits for anything, or beside a successor, when there is time, in the second half. A revision that comes
        meanwhile may make the drain shorter: the supervisor goes by the latest, too, and kills who takes longer.
        """
        begun = time.monotonic()
        server.announce_end()
        while server.connections:
            gone, drain_s = time.monotonic() - begun, server.table.config.server.drain
            if gone >= drain_s:
                break
            if gone > drain_s / 2 if self._gentle else server.is_idle():
                server.drain()
            await asyncio.sleep(POLL_S)
        if server.connections:
            logger.warning(
                "worker %d: %d connections are cut at the end of the drain", self._index, len(server.connections)
            )
        server.abort()
        await asyncio.sleep(0)

    def _tick(self) -> None:
        """Do what is due, every ``TICK_S``."""
        self._tick_handle = asyncio.get_running_loop().call_later(TICK_S, self._tick)
        self._beat()
        server = self._server
        server.tick(time.monotonic())
        if self._segment.words[counters.DRAINING]:  # callers are still accepted, for `server.shutdown_delay`
            server.announce_end()
        published = self._segment.words[counters.PUBLISHED]
        if published not in (self._words[counters.ACKNOWLEDGED], self._tried):
            self._tried = published
            self._swap(published)

    def _swap(self, published: int) -> None:
        try:
            revision = self._read()
            self._server.swap(revision)
        except (OSError, ValueError, KeyError, msgspec.MsgspecError):
            logger.exception("worker %d: revision %d cannot be used, the one before serves on", self._index, published)
            return
        self._log.reconfigure(revision.config.events)
        self._words[counters.ACKNOWLEDGED] = revision.number

    def _read(self) -> Revision:
        return msgspec.msgpack.decode(self._revision_file.read_bytes(), type=Revision)

    def _beat(self) -> None:
        self._words[counters.HEARTBEAT] = time.monotonic_ns()

    def _count_dropped(self, events: int) -> None:
        self._words[counters.EVENTS_DROPPED] += events

    def _retire(self) -> None:
        if not self._stop.is_set():
            self._gentle = True
            self._stop.set()

    def _terminate(self) -> None:
        if self._stop.is_set():
            sys.stderr.flush()
            os._exit(1)
        self._stop.set()
