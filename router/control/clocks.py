"""The clocks of releases, and the file that they survive a restart in.

Responsible for: one clock for each release, written down now and then, read at the start.
Does not know: which time counts (``router.rollout.clock``), what follows from it.

Rules: a file that cannot be read or written costs at most the time that a step has lasted: it lasts longer then, never
shorter. It is replaced as a whole, so half of one is never seen. Across processes the time is that of the day; a clock
that was set back or forward in between counts as little as any other gap.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Final

import msgspec

from router.control.checkpoint import Checkpoint
from router.events.rollout import Progress
from router.rollout.clock import Clock, looked

EVERY_S: Final = 5.0
NAME: Final = "clocks.json"


class Kept(msgspec.Struct, frozen=True):
    """What the file says.

    Attributes:
        time: When it was written, in unix seconds.
        clocks: Experiment to its clock.
    """

    time: float
    clocks: dict[str, Clock]


class Clocks:
    """The clocks of all releases."""

    def __init__(self, folder: Path) -> None:
        """Read what was written down.

        Args:
            folder: Where the file is.
        """
        # Per process
        self._file = Checkpoint(folder / NAME, Kept, EVERY_S)
        self._past: Kept | None = self._file.read()
        self._clocks: dict[str, Clock] = {}

    def look(self, name: str, progress: Progress, now: tuple[float, float], *, counts: bool) -> float:
        """Look at the clock of a release; return how long its step has lasted, in seconds that count.

        Args:
            name: Its experiment.
            progress: Where it is.
            now: Unix seconds, and seconds of the monotonic clock.
            counts: Whether the time since the last look counts.
        """
        time, monotonic = now
        before = self._clocks.get(name)
        if before is None and self._past is not None and name in self._past.clocks:
            # The gap since the file was written, on this process's clock.
            seen = monotonic - max(time - self._past.time, 0.0)
            before = msgspec.structs.replace(self._past.clocks[name], seen=seen)
        clock = self._clocks[name] = looked(before, progress, monotonic, counts=counts)
        return clock.counted_s

    def forget(self, known: Collection[str]) -> None:
        """Let go of releases that are no more."""
        for name in self._clocks.keys() - set(known):
            del self._clocks[name]

    def due(self, now: tuple[float, float]) -> Kept | None:
        """Return what is to be written down now; None when it is not time yet."""
        if not self._clocks or not self._file.due(now[1]):
            return None
        return Kept(now[0], dict(self._clocks))

    def write(self, kept: Kept) -> None:
        """Write clocks down; for a thread."""
        self._file.write(kept)
