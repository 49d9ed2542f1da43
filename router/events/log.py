"""The event log of one worker: what the request path appends, and the thread that writes it.

Responsible for: never making an exchange wait for the disk, bounding what waits to be written, counting what is lost.
Does not know: what decides whether an exchange is logged, who reads the segments, retention.

Rules:

- ``append`` puts a reference into a deque, without a lock (0.1 µs); the thread encodes (0.5 µs an event). Encoding at
  once into a shared buffer was measured too: its lock makes it 0.35 µs dearer in all.
- The thread encodes ``SLICE`` events at a time and then lets the interpreter's lock go for a moment, so that the event
  loop never waits for a whole batch. The write itself holds no lock.
- The thread sleeps while there is nothing to write, then gathers for ``GATHER_S`` or until the deque is half full.
- Beyond ``LIMIT`` waiting events are dropped; on ENOSPC, EIO and the like those of the batch are. Either is counted,
  and the next batch is tried as usual, so writing resumes by itself.
- ``kill -9`` loses what was not written: about ``GATHER_S`` of events. A power cut loses up to ``events.fsync`` more.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import json

from router.config.schema import Events
from router.events.model import Exchange
from router.events.segment import SegmentWriter, create_file

GATHER_S: Final = 0.2
LIMIT: Final = 32_768  # events; about 50 MB when the disk hangs
SLICE: Final = 256  # events, 0.1 ms
BREATH_S: Final = 0.000_05  # long enough for a waiting event loop to get the interpreter's lock
BATCH_BYTES: Final = 1024 * 1024

logger = logging.getLogger(__name__)


class EventLog:
    """Takes events from one thread (the event loop's) and writes them from another, until closed."""

    __slots__ = (
        "_awake", "_closing", "_dropped", "_encode_lines", "_events", "_hurry", "_overflowed", "_pending", "_reported",
        "_settled", "_some", "_synced", "_taken", "_thread", "_writer", "_written",
    )  # fmt: skip

    def __init__(
        self,
        folder: Path,
        worker: int,
        events: Events,
        dropped: Callable[[int], None],
        *,
        create: Callable[[Path], int] = create_file,
    ) -> None:
        """Start the writer thread; no file is made before the first event.

        Args:
            folder: Where the segments go.
            worker: Index of the worker.
            events: When to rotate and sync; ``reconfigure`` changes it.
            dropped: Called with a number of lost events, from the writer thread only.
            create: Opens a new segment, or raises OSError.
        """
        self._events = events
        self._dropped = dropped
        self._pending: deque[Exchange] = deque()  # right end: the appending thread's; left end: the writer thread's
        self._overflowed = 0  # written by the appending thread only
        self._closing = False
        self._awake = False  # whether the thread will look at the deque again before it sleeps
        self._some = threading.Event()  # there is something to do
        self._hurry = threading.Event()  # and it should not wait for more
        self._settled = threading.Condition()  # guards the next two
        self._taken = 0  # rounds that the thread began
        self._written = 0  # rounds that it finished
        self._encode_lines = json.Encoder().encode_lines  # the thread's, like all that follows
        self._writer = SegmentWriter(folder, worker, create)
        self._synced = time.monotonic()
        self._reported = 0
        self._thread = threading.Thread(target=self._run, name=f"events-{worker}", daemon=True)
        self._thread.start()

    def append(self, event: Exchange) -> None:
        """Take an event without waiting; drop and count it when too many wait already."""
        pending = self._pending
        if len(pending) >= LIMIT // 2:
            if len(pending) >= LIMIT or self._closing:
                self._overflowed += 1
                return
            self._hurry.set()
        pending.append(event)
        # The thread clears the flag before it looks at the deque for the last time, so one of the two sees the other.
        if not self._awake:
            self._awake = True
            self._some.set()

    def reconfigure(self, events: Events) -> None:
        """Rotate and sync by other settings from now on; the folder stays."""
        self._events = events

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until what was appended so far is written (not synced) or counted as lost; False past the timeout."""
        with self._settled:
            goal = self._taken + 1
            self._hurry.set()
            self._some.set()
            return self._settled.wait_for(lambda: self._written >= goal or not self._thread.is_alive(), timeout)

    def close(self, timeout: float = 5.0) -> bool:
        """Write and sync what waits, and end the thread; False if the disk does not let it end in time.

        Nothing may be appended afterwards.
        """
        self._closing = True
        self._hurry.set()
        self._some.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        closing = False
        while not closing:
            self._rest()
            closing = self._closing
            with self._settled:
                self._taken += 1
            lost = self._write(len(self._pending))
            overflowed = self._overflowed
            lost += overflowed - self._reported
            self._reported = overflowed
            if lost:
                self._dropped(lost)
            if closing:
                self._writer.close()
            with self._settled:
                self._written = self._taken
                self._settled.notify_all()

    def _rest(self) -> None:
        """Sleep until there is something to do, then gather more of it unless there is a hurry."""
        self._awake = False
        if not self._pending and not self._closing:
            self._some.wait(self._idle_s())
        self._some.clear()
        self._awake = True
        self._hurry.wait(GATHER_S)
        self._hurry.clear()

    def _idle_s(self) -> float | None:
        """Return how long nothing needs to be done if no event comes; None is for ever."""
        opened = self._writer.opened
        if opened is None:
            return None
        due = opened + self._events.rotate.age
        if self._writer.dirty:
            due = min(due, self._synced + self._events.fsync)
        return max(due - time.monotonic(), 0.0)

    def _write(self, count: int) -> int:
        """Write that many events, sync and rotate as far as due; return how many events were lost."""
        lost = 0
        while count:
            batch = bytearray()
            while count and len(batch) < BATCH_BYTES:
                size = min(count, SLICE)
                lost += self._encode([self._pending.popleft() for _ in range(size)], batch)
                count -= size
                if count:
                    time.sleep(BREATH_S)
            lost += self._put(batch)
        now = time.monotonic()
        if now - self._synced >= self._events.fsync:
            self._writer.sync()
            self._synced = now
        self._writer.rotate(now, self._events.rotate)
        return lost

    def _encode(self, events: list[Exchange], batch: bytearray) -> int:
        """Add lines to a batch; return how many events are not text, having a lone surrogate somewhere."""
        try:
            batch += self._encode_lines(events)
        except UnicodeEncodeError:
            if len(events) == 1:
                return 1
            return sum(self._encode([event], batch) for event in events)
        return 0

    def _put(self, batch: bytearray) -> int:
        writer = self._writer
        failing = writer.failure is not None
        lost = writer.write(batch, time.monotonic())
        if writer.failure is not None and not failing:
            logger.error("events: cannot write, dropping and counting them: %s", writer.failure)
        elif failing and writer.failure is None:
            logger.warning("events: can be written again")
        return lost
