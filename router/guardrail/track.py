"""How two arms' events run through a run: blocks of exchanges, and marks to look back to.

Responsible for: sums over blocks that tests of a ratio of two rates are made of (``compare``), and past moments (marks)
from which those tests begin again, so that a version that turns bad after hours of health is found about as fast as one
that was bad from the start.
Does not know: what an event is (a failure, an exchange slower than a threshold), margins' meaning, alpha.

A *block* is a stretch of exchanges of both arms within a phase. Given its exchanges and its events F, and no difference
between the arms, the events of treatment are hypergeometric, whatever the rate is and however it drifts from block to
block, or the shares from phase to phase. It is closed by the clock, by its number of exchanges and by whether there was
any event, never by whose event it was, so closing says nothing about the arms. With s treatment's share of the block's
exchanges, the likelihood ratio of a ratio r of rates is

    r^x / (1 + s (r - 1))^F

whose mean is at most 1 under no difference: it is exp of a linear function of x, thus convex, and a hypergeometric
number lies below the binomial one in convex order (Hoeffding, JASA 1963, Theorem 4). Sums of ``x`` and of
``F ln(1 + s (r - 1))`` at fixed r (``nodes``) are what is kept, and those of Mantel and Haenszel's estimates.

Rules: pure, frozen, bounded: at most ``MOST`` marks. Marks have weights that add up to at most 1 over an endless run,
whatever happens: this is how alpha is shared over stages. The run's start has ``FIRST``, the k-th phase after the first
``PHASES``/(k (k + 1)), the i-th other mark a/((a + i)(a + i - 1)) of what is left, with a = 64.
"""

from math import log
from typing import Final, Self

import numpy as np
import numpy.typing as npt
from msgspec import Struct, structs

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

FIRST: Final = 0.75
PHASES: Final = 0.08
MOST: Final = 64
CLUSTERS: Final = 64
"""Clusters of units that a mark keeps counts of: bucket modulo this."""

_HALF: Final = 64
_SPACING_S: Final = 300.0
_GROWTH: Final = 0.05  # marks are as far apart as this share of the run so far, or ``_SPACING_S``
_LEAST_BLOCK: Final = 16
_LARGEST_BLOCK: Final = 128
_WANTED: Final = 8  # exchanges of the smaller arm that a block waits for, within those bounds
# A short block knows whose exchange failed, which costs a little: where traffic is fast they are longer.
_FULL: Final = 8
_PATIENT_S: Final = 30.0
_START, _PHASE, _OTHER = 0.0, 1.0, 2.0

# Columns of a row of sums; drifts at the nodes follow.
TIME: Final = 0
WEIGHT: Final = 1  # logarithm; of a mark
KIND: Final = 2
EVENTS: Final = 3  # of treatment, then of control
EXCHANGES: Final = 5  # likewise
WORSE: Final = 7  # Mantel-Haenszel: sum of x m/(n + m), of n exchanges of treatment and m of control
BETTER: Final = 8  # of c n/(n + m)
BOTH: Final = 9  # of n m/(n + m)
EXPECTED: Final = 10  # events of treatment if there were no difference: sum of F s
DRIFT: Final = 11


class Sample(Struct, frozen=True):
    """Counts of both arms since the phase began.

    Attributes:
        exchanges: Of treatment and control (first axis) in each bucket of units (second).
        events: Those of them with the event, likewise.
    """

    exchanges: Counts
    events: Counts

    @classmethod
    def of(cls, exchanges: tuple[object, object], events: tuple[object, object]) -> Self:
        """Make one of two sequences of counts each.

        Raises:
            ValueError: If a count is below 0, there are more events than exchanges, or lengths differ.
        """
        made = cls(np.array(exchanges, dtype=np.int64), np.array(events, dtype=np.int64))
        if made.exchanges.shape != made.events.shape or made.exchanges.ndim != 2:
            raise ValueError(f"counts of shapes {made.exchanges.shape} and {made.events.shape}")
        if (made.events < 0).any() or (made.events > made.exchanges).any():
            raise ValueError("more events than exchanges, or fewer than none")
        return made

    def totals(self) -> Floats:
        """Return events of treatment and control, then exchanges of both."""
        return np.concatenate([self.events.sum(axis=1), self.exchanges.sum(axis=1)]).astype(np.float64)

    def clusters(self) -> Counts:
        """Return exchanges and events of both arms by cluster: 2 x 2 x ``CLUSTERS``."""
        both = np.stack([self.exchanges, self.events])
        beyond = -both.shape[2] % CLUSTERS
        padded = np.pad(both, ((0, 0), (0, 0), (0, beyond))) if beyond else both
        return np.asarray(padded.reshape(2, 2, -1, CLUSTERS).sum(axis=2))


class Track(Struct, frozen=True):
    """The sums of a run, and its marks. Arrays are bytes of this machine's doubles and integers, for copies of memory.

    Attributes:
        nodes: Ratios of rates at which drifts are kept.
        phase: The present phase.
        closed: A row of sums (see the columns above) over all closed blocks.
        began: That row when the phase began.
        before: Exchanges and events by cluster in the phases before, up to their last closed blocks.
        now: Those of the present phase, up to its last closed block.
        marks: Rows of sums as they were at each mark, oldest first.
        clusters: Exchanges and events by cluster at each mark, since the run began.
        phases: Phases after the first.
        placed: Marks ever made, but for those of phases.
        due: When the next is made, in unix seconds.
        apart: Logarithm of the e-value, of the present phase, against a difference that is too much.
        carried: That of the phases before, multiplied: each phase is compared within itself.
    """

    nodes: tuple[float, ...]
    phase: int
    closed: bytes
    began: bytes
    before: bytes
    now: bytes
    marks: bytes
    clusters: bytes
    phases: int = 0
    placed: int = 0
    due: float = 0.0
    apart: float = 0.0
    carried: float = 0.0

    def row(self) -> Floats:
        """Return the sums over closed blocks."""
        return np.frombuffer(self.closed)

    def rows(self) -> Floats:
        """Return the sums at each mark, by row."""
        return np.frombuffer(self.marks).reshape(-1, DRIFT + len(self.nodes))

    def in_phase(self) -> Floats:
        """Return the sums over the closed blocks of the present phase."""
        return np.asarray(np.frombuffer(self.closed) - np.frombuffer(self.began))

    def since(self, sample: Sample) -> Counts:
        """Return exchanges and events of both arms by cluster since each mark: marks x 2 x 2 x ``CLUSTERS``."""
        return np.asarray(_counts(self.before)[0] + sample.clusters() - _counts(self.clusters))


def begin(nodes: tuple[float, ...], phase: int, now: float) -> Track:
    """Return the track of a run in which nothing has been counted yet.

    Args:
        nodes: Ratios of rates that tests will ask for, each above 0.
        phase: Its present phase.
        now: Unix seconds.
    """
    row = np.zeros(DRIFT + len(nodes))
    row[TIME], row[WEIGHT], row[KIND] = now, log(FIRST), _START
    made, none = row.tobytes(), np.zeros((2, 2, CLUSTERS), dtype=np.int64).tobytes()
    return Track(nodes, phase, made, made, none, none, made, none, due=now + _SPACING_S)


def fold(track: Track, sample: Sample, phase: int, now: float) -> Track:
    """Add what was counted since the last closed block, if that is a block by now.

    Args:
        track: What is known; its marks' times are of the clock of ``now``, which may jump.
        sample: Counts since the phase began.
        phase: The present phase.
        now: Unix seconds.

    Returns:
        The same object when no block was closed.

    Raises:
        ValueError: If counts fell.
    """
    if phase != track.phase:
        track = _enter(track, phase, now)
    totals, row = sample.totals(), track.row()
    new = totals - track.in_phase()[EVENTS:WORSE]
    if (new < 0).any():
        raise ValueError("counts fell within a phase")
    exchanges, events = float(new[2:].sum()), float(new[:2].sum())
    least = _least_block(totals)
    waits = exchanges < _FULL * least and (not events or 0 <= now - row[TIME] < _PATIENT_S)
    if exchanges < least or waits:
        return track
    closed = row.copy()
    closed[TIME] = now
    closed[EVENTS:WORSE] += new
    x, c, n, m = new
    closed[WORSE:DRIFT] += np.array([x * m, c * n, n * m, events * n]) / exchanges
    if events:
        closed[DRIFT:] += events * np.log1p(n / exchanges * (np.array(track.nodes) - 1))
    track = structs.replace(track, closed=closed.tobytes(), now=sample.clusters().tobytes())
    return _mark(track, closed, now)


def _least_block(totals: Floats) -> float:
    """Return how many exchanges a block takes: enough that each arm has some, as far as that is soon."""
    smaller = float(totals[2:].min())
    if smaller <= 0:
        return _LARGEST_BLOCK
    return float(min(_LARGEST_BLOCK, max(_LEAST_BLOCK, _WANTED * totals[2:].sum() / smaller)))


def _enter(track: Track, phase: int, now: float) -> Track:
    """Begin another phase; exchanges after the last closed block of the one before are passed over."""
    row = track.row().copy()
    if not row[EXCHANGES]:
        # The new arm had nothing yet, as before the first stage: what is known is that nothing is known.
        return begin(track.nodes, phase, now)
    row[TIME] = now
    before = _counts(track.before) + _counts(track.now)
    phases = track.phases + 1
    mark = row.copy()
    mark[WEIGHT], mark[KIND] = log(PHASES / (phases * (phases + 1))), _PHASE
    track = structs.replace(
        track, phase=phase, closed=row.tobytes(), began=row.tobytes(), before=before.tobytes(), phases=phases,
        now=np.zeros_like(before).tobytes(), apart=0.0, carried=track.carried + track.apart,
    )  # fmt: skip
    return _placed(track, mark, before)


def _mark(track: Track, closed: Floats, now: float) -> Track:
    """Place a mark when one is due."""
    spacing = max(_SPACING_S, _GROWTH * (now - float(track.rows()[0][TIME])))
    if now < track.due:
        # A clock that was put back: the next mark is never further away than its spacing.
        return track if track.due - now <= spacing else structs.replace(track, due=now + spacing)
    placed = track.placed + 1
    row = closed.copy()
    row[WEIGHT] = log((1 - FIRST - PHASES) * _HALF / ((_HALF + placed) * (_HALF + placed - 1)))
    row[KIND] = _OTHER
    counted = _counts(track.before) + _counts(track.now)
    return _placed(structs.replace(track, placed=placed, due=now + spacing), row, counted)


def _placed(track: Track, row: Floats, counted: Counts) -> Track:
    """Add a mark, and drop the least useful when there are too many."""
    rows, clusters = np.vstack([track.rows(), row]), np.concatenate([_counts(track.clusters), counted])
    if len(rows) > MOST:
        ages = np.maximum(row[TIME] - rows[:, TIME], 0.0) + 1.0
        # The one whose neighbours are closest to each other, by age; never the run's start, nor the latest.
        gaps = np.log(ages[:-2] / ages[2:]) + np.where(rows[1:-1, KIND] == _PHASE, 1.0, 0.0)
        dropped = 1 + int(np.argmin(gaps))
        rows, clusters = np.delete(rows, dropped, axis=0), np.delete(clusters, dropped, axis=0)
    return structs.replace(track, marks=rows.tobytes(), clusters=clusters.tobytes())


def _counts(stored: bytes) -> Counts:
    return np.frombuffer(stored, dtype=np.int64).reshape(-1, 2, 2, CLUSTERS)
