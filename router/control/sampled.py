"""Streams from sampled bodies: values that exchanges logged, as they come.

Responsible for: following the event log, and values by experiment, run, arm and place.
Does not know: how bodies are sampled (``router.proxy.reward``), detectors, when a point is due.

Rules: reads at most ``LOOK_BYTES`` of the log at a look; of what piles up beyond ``BEHIND_BYTES`` the oldest is passed
over and counted: a sample of a sample will do. Values that nobody takes are bounded by ``WAITING`` for each place. It
begins with what is written from now on, and after a restart goes on where it was. Lines without a sampled body are not
decoded.
"""

from collections import defaultdict, deque
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

import msgspec
from msgspec import Struct

from router.archive.tail import Tail
from router.detect.drift import Value
from router.routing.reward import REQUESTED, SAMPLED

LOOK_BYTES: Final = 32 * 1024 * 1024
BEHIND_BYTES: Final = 64 * 1024 * 1024
WAITING: Final = 5000
PLACES: Final = 1024
_MARKS: Final = (f'"{SAMPLED}":'.encode(), f'"{REQUESTED}":'.encode())


class Place(NamedTuple):
    """Where a value comes from.

    Attributes:
        experiment: The experiment.
        run: Its run.
        arm: The arm.
        source: ``response:/POINTER`` or ``request:/POINTER``.
    """

    experiment: str
    run: int
    arm: str
    source: str


class _Enrolled(Struct, frozen=True):
    experiment: str
    arm: str
    run: int
    override: bool = False


class _Seen(Struct, frozen=True):
    id: str
    unit: str | None = None
    experiments: tuple[_Enrolled, ...] = ()
    rewards: dict[str, float | str] = {}
    bot: bool = False


class Sampled:
    """What was logged and not taken yet.

    Attributes:
        skipped: Lines of the log that were passed over, because there were too many.
        lost: Values that were let go, because nobody took them.
    """

    def __init__(self, folder: Path, file: Path) -> None:
        """Begin.

        Args:
            folder: ``events.dir``.
            file: Where it is written down how far the log was read.
        """
        # Per process
        self.skipped = 0
        self.lost = 0
        self._tail = Tail(folder, file)
        self._values: dict[Place, deque[tuple[int, Value]]] = {}
        self._decode = msgspec.json.Decoder(_Seen).decode

    def look(self, wanted: frozenset[Place]) -> None:
        """Read what was logged since the last look.

        Args:
            wanted: Places that are watched; what is not among them is let go.

        Raises:
            OSError: If it cannot be written down how far that is.
        """
        wanted = frozenset(sorted(wanted)[:PLACES])
        self._values = {place: self._values.get(place, deque(maxlen=WAITING)) for place in wanted}
        self.skipped += self._tail.shed(BEHIND_BYTES)
        by_arm: dict[tuple[str, int, str], list[Place]] = defaultdict(list)
        for place in wanted:
            by_arm[place[:3]].append(place)
        read = 0
        while read < LOOK_BYTES:
            batch = self._tail.read()
            if not batch.ends:
                break
            for line in batch.lines:
                read += len(line)
                if any(mark in line for mark in _MARKS):
                    self._take(line, by_arm)
            self._tail.done(batch)
        self._tail.save()

    def take(self, place: Place) -> tuple[tuple[int, Value], ...]:
        """Return the values of a place since the last time, oldest first: hash of the unit, and value."""
        waiting = self._values.get(place)
        if waiting is None:
            return ()
        found = tuple(waiting)
        waiting.clear()
        return found

    def waiting(self, place: Place) -> int:
        """Return how many values of a place there are to take."""
        return len(self._values.get(place, ()))

    def _take(self, line: bytes, by_arm: dict[tuple[str, int, str], list[Place]]) -> None:
        try:
            seen = self._decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return
        if seen.bot:
            return
        unit = crc32((seen.unit if seen.unit is not None else seen.id).encode())
        for enrolled in seen.experiments:
            if enrolled.override:
                continue
            for place in by_arm.get((enrolled.experiment, enrolled.run, enrolled.arm), ()):
                mark = REQUESTED if place.source.startswith("request:") else SAMPLED
                if mark not in seen.rewards:
                    continue
                waiting = self._values[place]
                self.lost += len(waiting) == WAITING
                waiting.append((unit, seen.rewards.get(place.source)))
