"""What was counted over any recent span of time, at a bounded price.

Responsible for: marks of cumulative counts, which of them are kept, the counts between two of them.
Does not know: what is concluded from them (``condition``, ``burn``, ``trend``), where counts come from.

A mark is what had been counted at a moment, so a span is one subtraction and exact; only where it begins is rounded:
marks are kept every 10 s for 15 minutes, every minute for an hour, every 5 minutes for 6 hours, every half hour for 3
days, at most ``MOST_MARKS``. A mark takes some 400 bytes, and where latency is kept up to 2 kB an arm and usually half
of that: at most 1.5 MB for an experiment of two arms.

Rules: pure and frozen. Counts go on over phases of a run, whose own counts begin at 0; another run begins anew. Counts
that fell were lost with a segment, and go on from what was known. A clock that is put back moves all marks with it, so
that no time passed; one that is put forward, or looks that failed, leave a gap, and a span that begins in a gap is not
known. Nothing is taken for 0.
"""

from bisect import bisect_right
from typing import Final

import numpy as np
import numpy.typing as npt
from msgspec import Struct, structs

from router.guardrail.evidence import ArmEvidence, Evidence
from router.histogram import BUCKETS

Counts = npt.NDArray[np.int64]

LEVELS: Final = ((10.0, 960.0), (60.0, 3960.0), (300.0, 23_400.0), (1800.0, 262_800.0))
"""Seconds between marks, and up to which age they are kept so: some steps more than 15 m, 1 h, 6 h and 3 d."""
MOST_MARKS: Final = 356
"""The levels have 96 + 50 + 65 + 133; each step between them one more, and the latest look."""
_LONGEST: Final = LEVELS[-1][1]
_BEATS: Final = 2.0  # steps between marks by which a span may begin too early


class Totals(Struct, frozen=True, array_like=True):
    """What an arm had counted.

    Attributes:
        exchanges: Exchanges.
        failures: Those whose first attempt failed.
        first: The first bucket of ``latency``.
        latency: Counts of buckets of ``router.histogram``, as unsigned 64-bit integers; empty where it is not kept.
        inflight: Exchanges under way then; None where it is not known.
    """

    exchanges: int = 0
    failures: int = 0
    first: int = 0
    latency: bytes = b""
    inflight: int | None = None

    def buckets(self) -> Counts:
        """Return all buckets."""
        filled = np.zeros(BUCKETS, dtype=np.int64)
        held = np.frombuffer(self.latency, dtype="<u8").astype(np.int64)
        filled[self.first : self.first + len(held)] = held
        return filled


class Mark(Struct, frozen=True, array_like=True):
    """What both arms had counted at a moment.

    Attributes:
        time: The moment.
        phase: How many phases the run had begun by then.
        arms: What each arm had counted, in the order of ``Windows.names``.
    """

    time: float
    phase: int
    arms: tuple[Totals, ...]


class Span(Struct, frozen=True):
    """What was counted between two marks.

    Attributes:
        begin: The earlier mark.
        end: The later one.
        names: The arms.
    """

    begin: Mark
    end: Mark
    names: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end.time - self.begin.time

    def exchanges(self, arm: str) -> int:
        """Return an arm's exchanges."""
        begin, end = self._of(arm)
        return end.exchanges - begin.exchanges

    def failures(self, arm: str) -> int:
        """Return an arm's failures."""
        begin, end = self._of(arm)
        return end.failures - begin.failures

    def latency(self, arm: str) -> Counts:
        """Return an arm's buckets of durations."""
        begin, end = self._of(arm)
        return np.asarray(np.maximum(end.buckets() - begin.buckets(), 0))

    def inflight(self, arm: str) -> int | None:
        """Return an arm's exchanges under way at the end."""
        return self._of(arm)[1].inflight

    def _of(self, arm: str) -> tuple[Totals, Totals]:
        index = self.names.index(arm)
        return self.begin.arms[index], self.end.arms[index]


class Windows(Struct, frozen=True, omit_defaults=True):
    """The marks of a run.

    Attributes:
        run: The run.
        names: Its arms.
        phase: The phase that evidence was last of.
        base: What each arm had counted before that phase, or before counts fell.
        marks: Marks, the oldest first; the last is the latest look.
        start: Where the run began, as far as it is known.
        entered: Where the phase began.
    """

    run: int = 0
    names: tuple[str, ...] = ()
    phase: int = 0
    base: tuple[Totals, ...] = ()
    marks: tuple[Mark, ...] = ()
    start: Mark | None = None
    entered: Mark | None = None

    def add(self, evidence: Evidence, *, latency: bool) -> "Windows":
        """Return the marks with one more look; without it when the look failed.

        Args:
            evidence: What was counted in the present phase.
            latency: Whether durations are kept.
        """
        names = tuple(sorted(evidence.arms))
        if evidence.problem is not None or not names:
            return self
        counted = tuple(_totals(evidence.arms[name], latency=latency) for name in names)
        if self.start is None or (evidence.run, names) != (self.run, self.names) or self._lacks(counted):
            # What was counted before the first look was counted at no time that is known.
            first = Mark(evidence.time, 1, counted)
            zero = tuple(Totals() for _ in names)
            return Windows(evidence.run, names, evidence.phase, zero, (first,), first, first)
        kept = self._moved(evidence.time)
        last = kept.marks[-1]
        if evidence.phase != kept.phase:
            entered = structs.replace(last, time=evidence.time, phase=last.phase + 1)
            kept = structs.replace(kept, phase=evidence.phase, base=last.arms, entered=entered)
        present = tuple(map(_sum, kept.base, counted))
        if any(_fell(old, new) for old, new in zip(last.arms, present, strict=True)):
            kept = structs.replace(kept, base=last.arms)
            present = tuple(map(_sum, kept.base, counted))
        phase = kept.entered.phase if kept.entered is not None else 1
        return structs.replace(kept, marks=_thinned(kept.marks, Mark(evidence.time, phase, present)))

    def over(self, seconds: float) -> Span | None:
        """Return what was counted in the last seconds; up to two steps between marks of that age more.

        Returns:
            None when that is not known: the run is younger, or a gap is there.
        """
        return self._between(self.before(seconds), self.marks[-1] if self.marks else None, seconds)

    def pieces(self, seconds: float, number: int) -> tuple[Span, ...] | None:
        """Return the last seconds in pieces of equal length, the oldest first; None when one is not known."""
        marks = [self.before(seconds * (number - index) / number) for index in range(number)]
        ends = [*marks[1:], self.marks[-1] if self.marks else None]
        if any(mark is None or mark is end for mark, end in zip(marks, ends, strict=True)):
            return None
        pieces = [self._between(mark, end, seconds / number) for mark, end in zip(marks, ends, strict=True)]
        return tuple(each for each in pieces if each is not None) if None not in pieces else None

    def sliding(self, seconds: float, length: float) -> tuple[Span, ...] | None:
        """Return every span of a length that lies in the last seconds and ends at a mark; None when one is not known.

        Args:
            seconds: How far back they begin.
            length: Of each, at most ``seconds``.
        """
        if not self.marks or self.age < seconds - 1e-6:
            return None
        now = self.marks[-1].time
        ends = [mark for mark in self.marks[:-1] if now - mark.time <= seconds - length + 1e-6]
        spans: list[Span] = []
        for end in (*ends, self.marks[-1]):
            span = self._between(self.before(now - end.time + length), end, length)
            if span is None:
                return None
            spans.append(span)
        return tuple(spans)

    def since(self, mark: Mark) -> Span:
        """Return what was counted since a mark."""
        return Span(mark, self.marks[-1], self.names)

    @property
    def age(self) -> float:
        """How long the run has been known, in seconds."""
        return self.marks[-1].time - self.start.time if self.start is not None else 0.0

    def before(self, seconds: float) -> Mark | None:
        """Return the latest mark that is at least so old."""
        if not self.marks:
            return None
        at = self.marks[-1].time - seconds
        index = bisect_right(self.marks, at + 1e-6, key=lambda mark: mark.time)
        if index:
            return self.marks[index - 1]
        return self.start if self.start is not None and self.start.time <= at + 1e-6 else None

    def _between(self, begin: Mark | None, end: Mark | None, seconds: float) -> Span | None:
        if begin is None or end is None:
            return None
        step = next((step for step, age in LEVELS if self.marks[-1].time - begin.time <= age), LEVELS[-1][0])
        span = Span(begin, end, self.names)
        return span if span.seconds <= seconds + _BEATS * step else None

    def _lacks(self, counted: tuple[Totals, ...]) -> bool:
        """Return whether durations are there that earlier marks were not asked for: no span could be told from them."""
        return any(
            new.latency and old.exchanges and not old.latency
            for old, new in zip(self.marks[-1].arms, counted, strict=True)
        )

    def _moved(self, time: float) -> "Windows":
        """Return the marks by a clock that was put back: the latest is never later than now."""
        behind = self.marks[-1].time - time
        if behind <= 0:
            return self
        marks = tuple(structs.replace(mark, time=mark.time - behind) for mark in self.marks)
        start, entered = (
            None if mark is None else structs.replace(mark, time=mark.time - behind)
            for mark in (self.start, self.entered)
        )
        return structs.replace(self, marks=marks, start=start, entered=entered)


def _thinned(marks: tuple[Mark, ...], latest: Mark) -> tuple[Mark, ...]:
    """Return the marks that are kept beside the latest: of each step between marks the first."""
    if len(marks) > 1 and marks[-1].time // LEVELS[0][0] == marks[-2].time // LEVELS[0][0]:
        return (*marks[:-1], latest)  # the look before was no first of its step; everything else is as it was
    kept: list[Mark] = []
    slot: tuple[float, float] | None = None
    for mark in marks:
        age = latest.time - mark.time
        if age > _LONGEST + LEVELS[-1][0]:
            continue
        step = next((step for step, most in LEVELS if age <= most), LEVELS[-1][0])
        place = (step, mark.time // step)
        if place != slot:
            kept.append(mark)
        slot = place
    return (*kept[-(MOST_MARKS - 1) :], latest)


def _totals(arm: ArmEvidence, *, latency: bool) -> Totals:
    first, held = 0, b""
    if latency and len(arm.latency):
        buckets = np.asarray(arm.latency, dtype=np.int64).sum(axis=0)
        first, held = _packed(buckets)
    return Totals(int(sum(arm.exchanges)), int(sum(arm.failures)), first, held, arm.inflight)


def _packed(buckets: Counts) -> tuple[int, bytes]:
    filled = np.flatnonzero(buckets)
    if not len(filled):
        return 0, b""
    return int(filled[0]), buckets[filled[0] : filled[-1] + 1].astype("<u8").tobytes()


def _sum(base: Totals, counted: Totals) -> Totals:
    first, held = counted.first, counted.latency
    if base.latency:
        first, held = _packed(base.buckets() + counted.buckets())
    both = base.exchanges + counted.exchanges, base.failures + counted.failures
    return Totals(*both, first, held, counted.inflight)


def _fell(old: Totals, new: Totals) -> bool:
    return new.exchanges < old.exchanges or new.failures < old.failures
