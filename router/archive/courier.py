"""One sink at work: a thread that reads the event log and sends, at its own pace.

Responsible for: sending at least once, trying again, dropping what waits too long and counting it.
Does not know: what a sink is for, who seals segments or deletes them.

Rules: nothing waits for a sink but its own thread. What waits is what is in the segments and was not sent yet: no copy
of it is in memory but one batch. Beyond ``backlog`` the oldest segments are skipped and their lines counted, also while
the sink hangs; a segment that waits is not sealed until then (``held``).
"""

import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from router.archive.sink import Outlet, Sink, backlog_bytes
from router.archive.tail import Batch, Tail
from router.config.sink_references import make_sinks

_IDLE_S: Final = 0.5  # between looks at the log while nothing comes
_FIRST_PAUSE_S: Final = 0.5  # after a failure; doubled up to the next
_LONGEST_PAUSE_S: Final = 30.0
_STOP_S: Final = 5.0  # for a sink to end when the configuration has another

logger = logging.getLogger(__name__)


class Sent(Struct, frozen=True):
    """What a sink has done since the start.

    Attributes:
        sent: Events that it took.
        dropped: Events that it never got.
        waiting_bytes: Events that wait for it.
    """

    sent: int
    dropped: int
    waiting_bytes: int


class Courier:
    """Brings events to one sink, from ``start`` to ``stop``."""

    def __init__(self, name: str, sink: Sink, folder: Path) -> None:
        """Do nothing yet.

        Args:
            name: What the log and metrics call it.
            sink: Where to.
            folder: ``events.dir``.
        """
        # Per process
        self.name = name
        self._sink = sink
        self._most_bytes = backlog_bytes(sink)
        self._lock = threading.Lock()  # around the tail and the counts
        self._tail = Tail(folder, folder / "sinks" / f"{name}.json")
        self._sent = 0
        self._dropped = 0
        self._waiting_bytes = 0
        self._failing = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sink-{name}", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        with self._lock:
            self._save()  # else a crash before the first batch would make it begin later
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """End, after the batch that is under way; False when the sink does not let it end in time."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        with self._lock:
            self._save()
        return not self._thread.is_alive()

    def held(self) -> set[Path]:
        """Skip what is too much, and return the segments that are still to be read."""
        with self._lock:
            self._shed()
            return {path for path, _ in self._look()}

    def leave(self, path: Path) -> None:
        """Count what a segment that is about to be deleted still had for the sink."""
        with self._lock:
            self._dropped += self._tail.skip(path)

    def done(self) -> Sent:
        """Return what was done; without waiting for anything."""
        return Sent(self._sent, self._dropped, self._waiting_bytes)

    def _run(self) -> None:
        outlet: Outlet | None = None
        pause_s = _FIRST_PAUSE_S
        while not self._stopping.is_set():
            with self._lock:
                self._shed()
                self._look()
                batch = self._tail.read()
            if not batch.lines:
                self._settle(batch)
                if not batch.ends:
                    self._stopping.wait(_IDLE_S)
                continue
            try:
                outlet = self._sink.open() if outlet is None else outlet
                outlet.send(batch.lines)
            except Exception as error:  # noqa: BLE001 - whatever a sink does, it may be better later
                self._say(error)
                self._close(outlet)
                outlet = None
                self._stopping.wait(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            else:
                self._say(None)
                self._settle(batch)
                pause_s = _FIRST_PAUSE_S
        self._close(outlet)

    def _settle(self, batch: Batch) -> None:
        with self._lock:
            self._tail.done(batch)
            self._sent += len(batch.lines)
            self._save()

    def _shed(self) -> None:
        skipped = self._tail.shed(self._most_bytes)
        if skipped:
            logger.warning("events: sink %s is too slow, events were dropped count=%d", self.name, skipped)
        self._dropped += skipped

    def _look(self) -> list[tuple[Path, int]]:
        waiting = self._tail.waiting()
        self._waiting_bytes = sum(unread for _, unread in waiting)
        return waiting

    def _save(self) -> None:
        try:
            self._tail.save()
        except OSError as error:  # a restart would send more than once; this process goes on
            logger.warning("events: the position of sink %s cannot be written: %s", self.name, error)

    def _close(self, outlet: Outlet | None) -> None:
        if outlet is None:
            return
        try:
            outlet.close()
        except Exception as error:  # noqa: BLE001 - it is given up in any case
            logger.warning("events: sink %s cannot be closed: %r", self.name, error)

    def _say(self, error: Exception | None) -> None:
        """Say what failed, once while it lasts."""
        if error is not None and not self._failing:
            logger.error("events: sink %s failed and is tried again: %s", self.name, error)
        elif error is None and self._failing:
            logger.info("events: sink %s works again", self.name)
        self._failing = error is not None


class Couriers:
    """The couriers of all sinks of a configuration. ``follow`` and ``stop`` are for one thread, the rest for any."""

    def __init__(self, folder: Path) -> None:
        """Have none yet; ``folder`` is ``events.dir``."""
        # Per process
        self._folder = folder
        self._entries: tuple[Mapping[str, Any], ...] = ()
        self._couriers: tuple[Courier, ...] = ()

    def follow(self, entries: tuple[Mapping[str, Any], ...]) -> None:
        """Have a courier for each sink of ``events.sinks``; it begins where one of the same name was."""
        if entries == self._entries:
            return
        self.stop(_STOP_S)
        self._entries = entries
        try:
            sinks = make_sinks(entries, Path())
        except ValueError as error:
            logger.error("events: the sinks cannot be made: %s", error)  # noqa: TRY400 - the reason is in the text
            return
        self._couriers = tuple(Courier(name, sink, self._folder) for name, sink in sinks.items())
        for courier in self._couriers:
            courier.start()

    def stop(self, timeout_s: float) -> None:
        """End all of them."""
        couriers, self._couriers, self._entries = self._couriers, (), ()
        for courier in couriers:
            if not courier.stop(timeout_s):
                logger.warning("events: sink %s does not end; what it is sending may come twice", courier.name)

    def held(self) -> set[Path]:
        """Return the segments that any sink has still to read."""
        return {path for courier in self._couriers for path in courier.held()}

    def leave(self, path: Path) -> None:
        """Take note that a file is about to be deleted."""
        for courier in self._couriers:
            courier.leave(path)

    def done(self) -> dict[str, Sent]:
        """Return what each sink has done."""
        return {courier.name: courier.done() for courier in self._couriers}
