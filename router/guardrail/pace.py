"""A guardrail on a quantile of times: the verdict, from both arms' histograms by cluster of units.

Responsible for: pass, fail or inconclusive, as ``rate`` says it of events, with slow exchanges as the events.
Does not know: how evidence is gathered, formulas (``latency``, ``compare``).

*Fail* when treatment has more exchanges beyond the margin of control's quantile than 1 - q, that is, when its quantile
is beyond the margin, and the bound excludes that it has no more of them than control; over the stretch that speaks
loudest. *Pass* when the e-value against a quantile beyond the margin says so and nothing speaks loudly for a
degradation.

Rules: pure. The threshold of what is slow moves with control's quantile, at most every ``SPACING_S``, and only for
exchanges that follow; so counts of slow exchanges are carried over, and no exchange is judged by a threshold that it
took part in choosing but as one of many of control's.
"""

from math import exp, inf, log
from typing import Final, Literal

import numpy as np
from msgspec import Struct, structs

from router.events.rollout import Found
from router.guardrail import latency
from router.guardrail.compare import LEAST_CLUSTERS, Compared, compare, ladder
from router.guardrail.latency import Counts
from router.guardrail.rate import Guard, Place
from router.guardrail.track import Sample, Track, begin, fold

SPACING_S: Final = 300.0
_TUNED: Final = 2.0  # ratio of slow exchanges that the test looks for first
_LARGEST: Final = 700.0


class Pace(Struct, frozen=True):
    """What is remembered of one such guardrail.

    Attributes:
        track: Sums over blocks, of slow exchanges.
        phase: The present phase.
        above: Bucket above which an exchange is slow.
        chosen: When that was chosen, in unix seconds.
        fixed: Exchanges by arm and cluster in the phase when counting began.
        base: Slow ones by the present threshold when it was chosen.
        carried: Slow ones counted by thresholds before.
        passed: Logarithm of the e-value of the phases before, multiplied; then that of the present one.
        present: The latter.
    """

    track: Track
    phase: int
    above: int
    chosen: float
    fixed: bytes
    base: bytes
    carried: bytes
    passed: float = 0.0
    present: float = 0.0


class Arms(Struct, frozen=True):
    """Histograms by cluster of treatment and control since the phase began: clusters x buckets each."""

    treatment: Counts
    control: Counts

    def both(self) -> tuple[Counts, Counts]:
        """Return treatment's, then control's."""
        return self.treatment, self.control

    def exchanges(self) -> Counts:
        """Return exchanges by arm and cluster."""
        return np.stack([arm.sum(axis=1) for arm in self.both()])

    def slow(self, above: int) -> Counts:
        """Return slow exchanges by arm and cluster."""
        return np.stack([latency.slow(arm, above) for arm in self.both()])


def judge_pace(guard: Guard, q: float, pace: Pace | None, arms: Arms, place: Place) -> tuple[Found, Pace | None]:
    """Judge one guardrail.

    Args:
        guard: The guardrail.
        q: Of the quantile.
        pace: What is known of the run; None at its first look.
        arms: Histograms since the phase began.
        place: The present phase, and unix seconds.

    Returns:
        What is said, and what is known then.

    Raises:
        ValueError: If counts fell within the phase.
    """
    if not arms.treatment.size or not arms.control.size:
        return _found(guard, q, arms, ("inconclusive", "times are not counted"), None), pace
    above = latency.threshold(arms.control, q, guard.limit)
    pace = _aim(pace, above, arms, place)
    if pace is None:
        return _found(
            guard, q, arms, ("inconclusive", "control has too few exchanges to know its quantile"), None
        ), pace
    exchanges = arms.exchanges() - _read(pace.fixed)
    events = arms.slow(pace.above) - _read(pace.base) + _read(pace.carried)
    sample = Sample.of((exchanges[0], exchanges[1]), (events[0], events[1]))
    track = fold(pace.track, sample, place.phase, place.now)
    found = compare(track, sample, ladder(_TUNED))
    within = latency.excluded(arms.treatment, arms.control, q, guard.limit)
    pace = structs.replace(pace, track=track, present=within)
    return _found(guard, q, arms, _verdict(guard, q, found, pace, arms), found), pace


def _aim(pace: Pace | None, above: int | None, arms: Arms, place: Place) -> Pace | None:
    """Choose what is slow, at first, in a new phase, and when control's quantile has moved."""
    none = np.zeros_like(arms.exchanges())
    if pace is None:
        if above is None:
            return None
        track = begin(ladder(_TUNED).nodes, place.phase, place.now)
        fixed, base = arms.exchanges(), arms.slow(above)
        return Pace(track, place.phase, above, place.now, fixed.tobytes(), base.tobytes(), none.tobytes())
    if pace.phase != place.phase:
        passed = pace.passed + pace.present
        pace = structs.replace(
            pace, phase=place.phase, fixed=none.tobytes(), base=none.tobytes(), carried=none.tobytes(),
            passed=passed, present=0.0,
        )  # fmt: skip
    if above is None or above == pace.above or 0 <= place.now - pace.chosen < SPACING_S:
        return pace
    carried = _read(pace.carried) + arms.slow(pace.above) - _read(pace.base)
    return structs.replace(
        pace, above=above, chosen=place.now, base=arms.slow(above).tobytes(), carried=carried.tobytes()
    )


def _read(stored: bytes) -> Counts:
    return np.frombuffer(stored, dtype=np.int64).reshape(2, -1)


def _verdict(
    guard: Guard, q: float, found: Compared, pace: Pace, arms: Arms
) -> tuple[Literal["pass", "fail", "inconclusive"], str]:
    alarm, enough = -log(guard.levels.fail), -log(guard.levels.passing)
    loudest = found.loudest
    (x, c), (n, m) = loudest.events, loudest.exchanges
    shares = f"{x:.0f} of {n:.0f} exchanges are slower than that in the new arm, {c:.0f} of {m:.0f} in control"
    if not (arms.treatment.any() and arms.control.any()):
        return "inconclusive", "an arm has no exchanges in this phase, so nothing is compared"
    if found.against_none >= alarm and loudest.clusters >= LEAST_CLUSTERS and n and x / n > 1 - q:
        return "fail", f"{shares}: worse at any look"
    if pace.present + pace.passed >= enough and found.against_none < alarm / 2:
        return "pass", "within the margin"
    return "inconclusive", "not shown to be within the margin, nor beyond"


def _found(
    guard: Guard,
    q: float,
    arms: Arms,
    said: tuple[Literal["pass", "fail", "inconclusive"], str],
    found: Compared | None,
) -> Found:
    ours, theirs = latency.quantiles(arms.treatment, arms.control, q)
    by_ratio = guard.limit.ratio is not None
    estimate = None
    if ours is not None and theirs is not None and (theirs or not by_ratio):
        estimate = ours / theirs if by_ratio else ours - theirs
    limit = guard.limit.ratio if guard.limit.ratio is not None else guard.limit.difference or 0.0
    status, words = said
    known = " and ".join(
        f"{name} {'unknown' if value is None else f'{value * 1000:.4g} ms'}"
        for name, value in zip(guard.arms, (ours, theirs), strict=True)
    )
    counts = {"treatment_exchanges": float(arms.treatment.sum()), "control_exchanges": float(arms.control.sum())}
    if found is not None:
        loudest = found.loudest
        counts |= {"treatment_slow": loudest.events[0], "control_slow": loudest.events[1], "since": loudest.since}
        counts |= {"design_effect": loudest.design} if loudest.design < inf else {}
    return Found(
        name=guard.name,
        status=status,
        action=guard.action,
        reason=f"p{q * 100:.6g} of {guard.event}: {known}, {guard.limit.words} allowed; {words}",
        dry_run=guard.dry_run,
        # Hours of health may hide what the stretch shows.
        estimate=None if status == "fail" and estimate is not None and estimate <= limit else estimate,
        high=limit if status == "pass" else None,
        margin=limit,
        statistic=None if found is None else exp(min(_LARGEST, found.against_none)),
        threshold=1 / guard.levels.fail,
        alpha=guard.levels.fail,
        counts=counts,
    )
