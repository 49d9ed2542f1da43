"""Whether something has been so for some stretch of time up to now, however often one looks.

Responsible for: from which moments on evidence is taken, what each costs, design effects, evidence about shares and
quantiles over a stretch.
Does not know: the language of conditions, what follows.

A fixed span that slides along would be wrong sooner or later. Here evidence up to now may begin at any mark that is at
least so old as is asked, each with its share of the chance of error, given when it begins: half to the run's beginning,
a quarter to beginnings of later phases, the k-th 1/(k(k + 1)) of that, and the rest to moments on the grids of 10 s, 1,
5 and 30 minutes, a quarter of it each and the j-th 1/(j(j + 1)) of that. So all of a run, with any looks, errs with a
probability of at most alpha, and hours of health do not hide minutes of illness (after the e-detectors of Shin, Ramdas
and Rinaldo, 2022). What lasts is seen from ever older beginnings, so little traffic is slow and not blind.

Exchanges of one unit are not independent: every logarithm is divided by a design effect, from the scatter between units
of the present phase (``compare.arm_design``).

Rules: pure. A comparison with control never begins in an earlier phase, whose shares were others.
"""

from collections.abc import Iterator
from math import inf, log
from typing import Final, Literal, NamedTuple

import numpy as np
from msgspec import Struct

from router.guardrail.compare import LEAST_CLUSTERS, arm_design, design_effect
from router.guardrail.evidence import ArmEvidence
from router.guardrail.likelihood import Side, bound, log_e
from router.guardrail.windows import LEVELS, Counts, Mark, Span, Windows
from router.histogram import bounds_us

_HALF: Final = log(0.5)
_QUARTER: Final = log(0.25)
_MOST_STARTS: Final = 24

Shared = Literal["failures", "slow"]


class Start(NamedTuple):
    """A moment from which evidence is taken, and the logarithm of its share of the chance of error."""

    mark: Mark
    weight: float


class Share(NamedTuple):
    """A share of exchanges as it was counted: so many of so many."""

    events: float
    exchanges: float

    @property
    def value(self) -> float | None:
        """The share; None of nothing."""
        return self.events / self.exchanges if self.exchanges > 0 else None


class Design(Struct, frozen=True):
    """How exchanges scatter between units.

    Attributes:
        effect: Design effect, at least 1; infinite where too few units are known.
        clusters: Clusters of units with an event.
    """

    effect: float
    clusters: int


class Proof(Struct, frozen=True):
    """The evidence of the stretch that speaks loudest.

    Attributes:
        log_e: Logarithm of its e-value times its share of the chance of error.
        weight: Logarithm of that share.
        span: The stretch.
        share: What was counted in it.
        design: By what its counts were divided.
    """

    log_e: float
    weight: float
    span: Span
    share: Share
    design: float

    def bound(self, enough: float, side: Side) -> float | None:
        """Return the bound that goes with it; None where there is none."""
        if self.design == inf:
            return None
        return bound(self.share.events / self.design, self.share.exchanges / self.design, enough - self.weight, side)


def starts(windows: Windows, least_s: float, *, within_phase: bool) -> Iterator[Start]:
    """Give moments from which evidence is taken.

    Args:
        windows: What was counted.
        least_s: How old they are at least.
        within_phase: Whether only those of the present phase are wanted.
    """
    first, entered = windows.start, windows.entered
    if first is None or entered is None:
        return
    now = windows.marks[-1].time
    oldest = entered if within_phase else first
    if now - first.time >= least_s and not (within_phase and entered.phase > 1):
        yield Start(first, _HALF)
    if entered.phase > 1 and now - entered.time >= least_s:
        yield Start(entered, _QUARTER - log(entered.phase * (entered.phase - 1)))
    age, seen = max(least_s, LEVELS[0][0]), None
    for _ in range(_MOST_STARTS):
        mark = windows.before(age)
        if mark is None or mark.time <= oldest.time:
            return
        if mark is not seen:
            yield Start(mark, _weight(mark.time, first.time))
        seen, age = mark, max(age * 1.6, now - mark.time + LEVELS[0][0])


def _weight(time: float, first: float) -> float:
    """Return the logarithm of the share that a moment on the grids has."""
    step = next((step for step, _ in reversed(LEVELS) if time % step < LEVELS[0][0]), LEVELS[0][0])
    j = 1 + max(0, int((time - first) // step))
    return 2 * _QUARTER - log(j * (j + 1))


def failures(span: Span, arm: str) -> Share:
    """Return an arm's failures among its exchanges."""
    return Share(span.failures(arm), span.exchanges(arm))


def slower(span: Span, arm: str, seconds: float, *, surely: bool) -> Share:
    """Return an arm's exchanges that took longer than a time.

    Args:
        span: The stretch.
        arm: The arm.
        seconds: The time.
        surely: Whether a bucket that holds the time counts as not longer; otherwise as longer.
    """
    return slow_of(span.latency(arm), seconds, surely=surely)


def slow_of(buckets: Counts, seconds: float, *, surely: bool) -> Share:
    """Return the counts of a histogram above a time; see ``slower``."""
    index = first_above(seconds, surely=surely)
    return Share(float(buckets[index:].sum()), float(buckets.sum()))


def first_above(seconds: float, *, surely: bool) -> int:
    """Return the first bucket whose times are all above a time (surely), or some of whose are."""
    us = round(seconds * 1e6)
    index = int(np.searchsorted(_BOUNDS, us, side="left"))  # the bucket that holds it
    if us >= _BOUNDS[min(index, len(_BOUNDS) - 1)]:
        return index + 1
    return index + 1 if surely else index


def failure_design(arm: ArmEvidence) -> Design:
    """Return how an arm's failures scatter between units."""
    events = np.asarray(arm.failures, dtype=float)
    return Design(arm_design(np.asarray(arm.exchanges, dtype=float), events), int((events > 0).sum()))


def slow_design(arm: ArmEvidence, seconds: float) -> Design:
    """Return how an arm's exchanges above a time scatter between units."""
    exchanges, events = _slow(arm, seconds)
    return Design(arm_design(exchanges, events), int((events > 0).sum()))


def both_failures(new: ArmEvidence, control: ArmEvidence) -> Design:
    """Return how failures scatter between units where arms are compared."""
    exchanges, events = (
        np.asarray([getattr(arm, key) for arm in (new, control)], dtype=float) for key in ("exchanges", "failures")
    )
    return Design(design_effect(exchanges, events), int((events[0] > 0).sum()))


def both_slow(new: ArmEvidence, control: ArmEvidence, seconds: float) -> Design:
    """Return how exchanges above a time scatter between units where arms are compared."""
    pairs = [_slow(arm, seconds) for arm in (new, control)]
    exchanges, events = np.stack([each[0] for each in pairs]), np.stack([each[1] for each in pairs])
    return Design(design_effect(exchanges, events), int((events[0] > 0).sum()))


def proof(found: Iterator[tuple[Start, Span, Share, float]], design: Design, side: Side) -> Proof | None:
    """Return the loudest evidence that a share is above, or below, a value.

    Args:
        found: Start, stretch, what was counted in it, and the value.
        design: How exchanges scatter between units.
        side: Which is asked.

    Returns:
        None where nothing was counted, or where too few units were to say so.
    """
    best: Proof | None = None
    for start, span, share, value in found:
        if share.exchanges <= 0 or design.effect == inf or (side == "above" and design.clusters < LEAST_CLUSTERS):
            continue
        said = log_e(share.events / design.effect, share.exchanges / design.effect, value, side) + start.weight
        if best is None or said > best.log_e:
            best = Proof(said, start.weight, span, share, design.effect)
    return best


def _slow(arm: ArmEvidence, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    if not len(arm.latency):
        return np.zeros(1), np.zeros(1)
    buckets = np.asarray(arm.latency, dtype=float)
    return buckets.sum(axis=1), buckets[:, first_above(seconds, surely=True) :].sum(axis=1)


_BOUNDS: Final = np.asarray(bounds_us)
