"""The clocks of releases, and the file that they survive a restart in.

Responsible for: one clock for each release, written down now and then, read at the start.
Does not know: which time counts (``router.rollout.clock``), what follows from it.

Rules: a file that cannot be read or written costs at most the time that a step has lasted: it lasts longer then, never
shorter. It is replaced as a whole, so half of one is never seen. Across processes the time is that of the day; a clock
that was set back or forward in between counts as little as any other gap.
"""

from collections.abc import Collection
from logging import getLogger
from pathlib import Path
from typing import Final

import msgspec

from router.events.rollout import Progress
from router.rollout.clock import Clock, looked

log = getLogger(__name__)

EVERY_S: Final = 5.0
NAME: Final = "clocks.json"
MOST_BYTES: Final = 1024 * 1024


class _Kept(msgspec.Struct, frozen=True):
    """What the file says.

    Attributes:
        time: When it was written, in unix seconds.
        clocks: Experiment to its clock.
    """

    time: float
    clocks: dict[str, Clock]


class Clocks:
    """The clocks of all releases.

    Attributes:
        problem: Why they cannot be written down; None when they can.
    """

    def __init__(self, folder: Path) -> None:
        """Read what was written down.

        Args:
            folder: Where the file is.
        """
        # Per process
        self.problem: str | None = None
        self._path = folder / NAME
        self._clocks: dict[str, Clock] = {}
        self._past: _Kept | None = _read(self._path)
        self._written = float("-inf")

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

    def due(self, monotonic: float) -> bytes | None:
        """Return what is to be written down now; None when it is not time yet."""
        if not self._clocks or monotonic - self._written < EVERY_S:
            return None
        self._written = monotonic
        return msgspec.json.encode(self._clocks)

    def write(self, clocks: bytes, time: float) -> None:
        """Write clocks down; for a thread.

        Args:
            clocks: What ``due`` gave.
            time: Unix seconds.
        """
        beside = self._path.with_suffix(".new")
        try:
            beside.write_bytes(msgspec.json.encode({"time": time, "clocks": msgspec.Raw(clocks)}))
            beside.replace(self._path)
        except OSError as error:
            if self.problem is None:
                log.warning("the clocks of releases cannot be written down: %s", error)
            self.problem = str(error)
        else:
            self.problem = None


def _read(path: Path) -> _Kept | None:
    """Read the file; None when there is none that can be read."""
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(MOST_BYTES), type=_Kept)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        log.warning("the clocks of releases cannot be read, so their present steps begin anew: %s", error)
        return None
