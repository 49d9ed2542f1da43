"""The event log of one worker: what the request path appends, and the thread that writes it.

Responsible for: never making an exchange wait for the disk, bounding what waits to be written, counting what is lost.
Does not know: what decides whether an exchange is logged, who reads the segments, retention.

Rules:

- ``append`` puts a reference into a deque, without a lock. Each ``SLICE`` events it encodes them at once, while the
  processor's cache has them: 1.2 µs an event with the thread's share. Encoding all of them in the thread was measured
  too: they come from memory then, and the pauses to let the event loop have the interpreter make it 1.8 µs.
- The thread encodes what is left of a slice when it writes. A lock around encoding keeps events in order; it is never
  held while the disk is waited for.
- The thread sleeps while there is nothing to write, then gathers for ``GATHER_S`` or until half the room is taken.
- Beyond ``LIMIT`` waiting events, slices are dropped; on ENOSPC, EIO and the like the batch is. Either is counted, and
  the next batch is tried as usual, so writing resumes by itself.
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
from router.events.model import Event
from router.events.segment import SegmentWriter, create_file

GATHER_S: Final = 0.2
LIMIT: Final = 32_768  # events; about 16 MB when the disk hangs
SLICE: Final = 64  # events, 40 µs
BATCH_BYTES: Final = 256 * 1024  # joined while holding the interpreter's lock, 50 µs; one write

logger = logging.getLogger(__name__)


class EventLog:
    """Takes events from one thread (the event loop's) and writes them from another, until closed."""

    __slots__ = (
        "_awake", "_closing", "_dropped", "_encode_lines", "_encoded", "_encoding", "_events", "_fresh", "_hurry",
        "_lost", "_settled", "_some", "_synced", "_taken", "_thread", "_writer", "_written",
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
        self._fresh: deque[Event] = deque()  # to encode: less than a slice
        self._encoded: deque[bytes] = deque()  # to write: a slice each, or less
        self._encoding = threading.Lock()  # held to move events from the one to the other, and for the next two
        self._encode_lines = json.Encoder().encode_lines
        self._lost = 0  # events that nobody was told of yet
        self._closing = False
        self._awake = False  # whether the thread will look at the deque again before it sleeps
        self._some = threading.Event()  # there is something to do
        self._hurry = threading.Event()  # and it should not wait for more
        self._settled = threading.Condition()  # guards the next two
        self._taken = 0  # rounds that the thread began
        self._written = 0  # rounds that it finished
        self._writer = SegmentWriter(folder, worker, create)  # the thread's, like all that follows
        self._synced = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"events-{worker}", daemon=True)
        self._thread.start()

    def append(self, event: Event) -> None:
        """Take an event without waiting; drop and count it when too many wait already."""
        fresh = self._fresh
        fresh.append(event)
        if len(fresh) >= SLICE:
            self._encode_fresh()
        # The thread clears the flag before it looks at the deques for the last time, so one of the two sees the other.
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
            lost = self._write()
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
        if not self._fresh and not self._encoded and not self._closing:
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

    def _encode_fresh(self) -> None:
        """Encode the events that came since, unless too many wait already."""
        with self._encoding:
            fresh = self._fresh
            events = [fresh.popleft() for _ in range(len(fresh))]
            waiting = SLICE * len(self._encoded)
            if waiting >= LIMIT // 2:
                self._hurry.set()
            if waiting >= LIMIT:
                self._lost += len(events)
            elif events:
                self._encoded.append(self._lines(events))

    def _lines(self, events: list[Event]) -> bytes:
        """Return events as lines, leaving out those that are not text, having a lone surrogate somewhere."""
        try:
            return self._encode_lines(events)
        except UnicodeEncodeError:
            if len(events) == 1:
                self._lost += 1
                return b""
            return b"".join(self._lines([event]) for event in events)

    def _write(self) -> int:
        """Write what waits now, sync and rotate as far as due; return how many events were lost."""
        self._encode_fresh()
        lost = 0
        count = len(self._encoded)
        while count:
            batch = bytearray()
            while count and len(batch) < BATCH_BYTES:
                batch += self._encoded.popleft()
                count -= 1
            lost += self._put(batch)
        with self._encoding:
            lost += self._lost
            self._lost = 0
        now = time.monotonic()
        if now - self._synced >= self._events.fsync:
            self._writer.sync()
            self._synced = now
        self._writer.rotate(now, self._events.rotate)
        return lost

    def _put(self, batch: bytearray) -> int:
        writer = self._writer
        failing = writer.failure is not None
        lost = writer.write(batch, time.monotonic())
        if writer.failure is not None and not failing:
            logger.error("events: cannot write, dropping and counting them: %s", writer.failure)
        elif failing and writer.failure is None:
            logger.warning("events: can be written again")
        return lost
