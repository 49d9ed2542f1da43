"""The event log of one worker: what the request path appends, and the thread that writes it.

Responsible for: never making an exchange wait for the disk, bounding what waits to be written, counting what is lost.
Does not know: what decides whether an exchange is logged, who reads the segments, retention.

Rules:

- ``append`` encodes at once into a buffer of bytes. That costs what encoding in the thread would (0.5 µs), but holds
  the interpreter's lock for one event instead of a batch, and makes the bound one of bytes.
- The thread sleeps while there is nothing to write; then it gathers for ``GATHER_S`` (or until the buffer holds
  ``URGENT_BYTES``) and makes one write, during which the interpreter's lock is free.
- Beyond ``BUFFER_BYTES`` events are dropped; on ENOSPC, EIO and the like those of the batch are. Either is counted, and
  the next batch is tried as usual, so writing resumes by itself.
- ``kill -9`` loses what was not written: about ``GATHER_S`` of events. A power cut loses up to ``events.fsync`` more.
"""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import json

from router.config.schema import Events
from router.events.model import Exchange
from router.events.segment import SegmentWriter, create_file

GATHER_S: Final = 0.2
URGENT_BYTES: Final = 2 * 1024 * 1024
BUFFER_BYTES: Final = 16 * 1024 * 1024

logger = logging.getLogger(__name__)


class EventLog:
    """Takes events from one thread (the event loop's) and writes them from another, until closed."""

    __slots__ = (
        "_buffer", "_closing", "_dropped", "_encode_into", "_events", "_lock", "_now", "_overflowed",
        "_reported", "_settled", "_some", "_synced", "_taken", "_thread", "_writer", "_written",
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
        self._encode_into = json.Encoder().encode_into
        self._lock = threading.Lock()  # guards what follows; held for one encode or one swap, never for I/O
        self._buffer = bytearray()
        self._overflowed = 0
        self._taken = 0  # buffers that the thread took
        self._written = 0  # buffers that it is done with
        self._closing = False
        self._settled = threading.Condition(self._lock)
        self._some = threading.Event()  # there is something to do
        self._now = threading.Event()  # and it should not wait for more
        self._writer = SegmentWriter(folder, worker, create)  # the thread's, like all that follows
        self._synced = time.monotonic()
        self._reported = 0
        self._thread = threading.Thread(target=self._run, name=f"events-{worker}", daemon=True)
        self._thread.start()

    def append(self, event: Exchange) -> None:
        """Take an event without waiting; drop and count it if the buffer is full or its text is not Unicode."""
        with self._lock:
            buffer = self._buffer
            size = len(buffer)
            if size > BUFFER_BYTES or self._closing:
                self._overflowed += 1
                return
            try:
                self._encode_into(event, buffer, -1)
            except UnicodeEncodeError:  # a lone surrogate; the encoder leaves what it had begun
                del buffer[size:]
                self._overflowed += 1
                return
            buffer.append(10)
        if size == 0:
            self._some.set()
        elif size > URGENT_BYTES and not self._now.is_set():
            self._now.set()

    def reconfigure(self, events: Events) -> None:
        """Rotate and sync by other settings from now on; the folder stays."""
        self._events = events

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until what was appended so far is written (not synced) or counted as lost; False past the timeout."""
        with self._settled:
            goal = self._taken + 1
            self._now.set()
            self._some.set()
            return self._settled.wait_for(lambda: self._written >= goal or not self._thread.is_alive(), timeout)

    def close(self, timeout: float = 5.0) -> bool:
        """Write and sync what is buffered, and end the thread; False if the disk does not let it end in time."""
        with self._lock:
            self._closing = True
        self._now.set()
        self._some.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        closing = False
        while not closing:
            self._some.wait(self._idle_s())
            self._now.wait(GATHER_S)
            self._some.clear()
            self._now.clear()
            with self._lock:
                closing = self._closing
                batch, self._buffer = self._buffer, bytearray()
                overflowed = self._overflowed
                self._taken += 1
            lost = self._write(batch) + overflowed - self._reported
            self._reported = overflowed
            if lost:
                self._dropped(lost)
            if closing:
                self._writer.close()
            with self._settled:
                self._written = self._taken
                self._settled.notify_all()

    def _idle_s(self) -> float | None:
        """Return how long nothing needs to be done if no event comes; None is for ever."""
        opened = self._writer.opened
        if opened is None:
            return None
        due = opened + self._events.rotate.age
        if self._writer.dirty:
            due = min(due, self._synced + self._events.fsync)
        return max(due - time.monotonic(), 0.0)

    def _write(self, batch: bytearray) -> int:
        """Write, sync and rotate as far as due; return how many events were lost."""
        writer = self._writer
        now = time.monotonic()
        lost = 0
        if batch:
            failing = writer.failure is not None
            lost = writer.write(batch, now)
            if writer.failure is not None and not failing:
                logger.error("events: cannot write, dropping and counting them: %s", writer.failure)
            elif failing and writer.failure is None:
                logger.warning("events: can be written again")
        if now - self._synced >= self._events.fsync:
            writer.sync()
            self._synced = now
        writer.rotate(now, self._events.rotate)
        return lost
