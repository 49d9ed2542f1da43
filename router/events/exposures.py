"""Who had which arm of a run, and what became of it over time: from the live segments of the event log.

Responsible for: the shape of that answer, and one bounded reading of the segments.
Does not know: sealed events (``router.archive.exposures``), what the answer is for.

Rules: at most ``EVENTS`` lines and ``UNITS`` different units of an arm and phase are held; beyond them the answer says
that it is not whole. Units are told apart by a hash, so a count may be too small by one in billions.
"""

from collections import defaultdict
from pathlib import Path
from typing import Final, NamedTuple

from router import histogram
from router.events.model import Enrolment, Exchange
from router.events.read import read

EVENTS: Final = 2_000_000
UNITS: Final = 500_000


class Held(NamedTuple):
    """Who had an arm in one phase; times are unix seconds."""

    phase: int
    arm: str
    exchanges: int
    units: int | None
    failed: int
    first: float
    last: float


class Bucket(NamedTuple):
    """What an arm did within a short time; durations are seconds."""

    start: float
    arm: str
    exchanges: int
    failed: int
    p50: float
    p99: float


class Exposures(NamedTuple):
    """The answer.

    Attributes:
        held: By phase and arm.
        buckets: By time and arm, within the span that was asked for.
        missing: What is not in it, in a sentence; None when it is whole.
    """

    held: tuple[Held, ...] = ()
    buckets: tuple[Bucket, ...] = ()
    missing: str | None = None


class _Sum:
    """The exchanges of one arm in one phase."""

    __slots__ = ("count", "failed", "first", "last", "units")

    def __init__(self, time: float) -> None:
        self.count = self.failed = 0
        self.first = self.last = time
        self.units: set[int] = set()

    def add(self, exchange: Exchange, enrolment: Enrolment) -> None:
        self.count += 1
        self.failed += exchange.failed
        self.first, self.last = min(self.first, exchange.time), max(self.last, exchange.time)
        unit = enrolment.unit if enrolment.unit is not None else exchange.unit
        if unit is not None and len(self.units) <= UNITS:
            self.units.add(hash(unit))

    def held(self, phase: int, arm: str) -> Held:
        units = len(self.units) if len(self.units) <= UNITS else None
        return Held(phase, arm, self.count, units, self.failed, self.first, self.last)


def live_exposures(folder: Path, name: str, run: int, span: tuple[float, float], width_s: float) -> Exposures:
    """Return who had which arm of a run, as far as the live segments tell.

    Args:
        folder: ``events.dir``.
        name: The experiment.
        run: Its run.
        span: Begin and end of what is shown over time, in unix seconds.
        width_s: Width of a bucket of time, in seconds.

    Raises:
        OSError: If files cannot be read.
    """
    sums: dict[tuple[int, str], _Sum] = {}
    times: defaultdict[tuple[float, str], list[int]] = defaultdict(lambda: [0] * (histogram.BUCKETS + 1))
    seen = 0
    for exchange in read(folder):
        seen += 1
        if seen > EVENTS:
            break
        for enrolment in exchange.experiments:
            if enrolment.experiment != name or enrolment.run != run:
                continue
            place = (enrolment.phase, enrolment.arm)
            sums.setdefault(place, _Sum(exchange.time)).add(exchange, enrolment)
            if span[0] <= exchange.time <= span[1]:
                row = times[exchange.time // width_s * width_s, enrolment.arm]
                row[histogram.bucket(int(exchange.duration * 1e6))] += 1
                row[-1] += exchange.failed
    held = tuple(found.held(*place) for place, found in sorted(sums.items()))
    buckets = tuple(
        Bucket(start, arm, sum(row[:-1]), row[-1], _seconds(row[:-1], 0.5), _seconds(row[:-1], 0.99))
        for (start, arm), row in sorted(times.items())
    )
    return Exposures(held, buckets, f"only the first {EVENTS} events were read" if seen > EVENTS else None)


def _seconds(row: list[int], q: float) -> float:
    return (histogram.quantile(row, q) or 0.0) / 1e6
