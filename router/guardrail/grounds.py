"""The grounds on which a comparison of failures or durations is shown: what is counted, and what it is held against.

Responsible for: turning a comparison into a share of events and the value that it may not exceed, over any stretch.
Does not know: from when stretches begin and how shares are tested (``stretch``, ``likelihood``), what follows.

- failures against a share: failures among the arm's exchanges, held against the share
- a quantile against a duration: exchanges above it, held against 1 - q; a bucket that the duration lies in counts on
  the side that claims less
- failures against a multiple m of control's: the new arm's failures among both arms', held against
  m n/(m n + n_c) of n and n_c exchanges: the conditional binomial, to which no failures in control is nothing special
- a quantile against control's: exchanges above control's, as failures are; against m times
  control's: exchanges above m times a bound of control's quantile, held against 1 - q

Rules: pure.
"""

from collections.abc import Callable, Iterator
from math import log
from typing import Final, NamedTuple

import numpy as np

from router.config.condition import Comparison
from router.guardrail import stretch
from router.guardrail.likelihood import Side, bound
from router.guardrail.seen import Seen
from router.guardrail.stretch import Design, Share, Start
from router.guardrail.windows import Span
from router.histogram import bounds_us, quantile

LAST_S: Final = 60.0
"""What is looked at without ``for``."""

Counted = Callable[[Span], tuple[Share, float]]
Stretches = Iterator[tuple[Start, Span, Share, float]]


class Grounds(NamedTuple):
    """What evidence takes: each beginning with its counts and the value they are held against, and the scatter."""

    found: Stretches
    design: Design


def grounds(asked: Comparison, seen: Seen, side: Side, *, claim: bool) -> Grounds:
    """Return what evidence is taken from: for the comparison (claim), or against it.

    With a multiple of control's value, the claim is shown by being worse than control at all, unless a confidence is
    asked; its opposite is about the multiple.

    Args:
        asked: The comparison, of failures or of a quantile.
        seen: What is known.
        side: On which side of the value the share is to be shown.
        claim: Whether it is the comparison that is to be shown, or its opposite.
    """
    factor = 1.0 if claim and asked.confidence is None else asked.limit.value
    of_errors = asked.quantity.kind == "error_rate"
    if not asked.limit.of_control:
        return _failing(asked, seen) if of_errors else _slow(asked, seen, side)
    if of_errors:
        return _failing_more(asked, seen, factor)
    return _slower_at_all(asked, seen) if factor == 1 else _slower_by(asked, seen, side)


def arm_of(asked: Comparison, seen: Seen) -> str:
    """Return the arm whose quantity is compared."""
    return seen.control if asked.quantity.of_control else seen.new


def _failing(asked: Comparison, seen: Seen) -> Grounds:
    """Return an arm's failures, held against a share."""
    arm = arm_of(asked, seen)
    design = stretch.failure_design(seen.arm(control=asked.quantity.of_control))

    def counted(span: Span) -> tuple[Share, float]:
        return stretch.failures(span, arm), asked.limit.value

    return Grounds(_each(asked, seen, counted), design)


def _slow(asked: Comparison, seen: Seen, side: Side) -> Grounds:
    """Return an arm's exchanges above a duration, held against the share that may be above it."""
    arm, limit = arm_of(asked, seen), asked.limit.value
    design = stretch.slow_design(seen.arm(control=asked.quantity.of_control), limit)

    def counted(span: Span) -> tuple[Share, float]:
        share = stretch.slower(span, arm, limit, surely=side == "above")
        return share, 1 - asked.quantity.percent / 100

    return Grounds(_each(asked, seen, counted), design)


def _failing_more(asked: Comparison, seen: Seen, factor: float) -> Grounds:
    """Return the new arm's failures among both arms', held against its share of exchanges times a factor."""
    design = stretch.both_failures(seen.arm(), seen.arm(control=True))

    def counted(span: Span) -> tuple[Share, float]:
        one, two = stretch.failures(span, seen.new), stretch.failures(span, seen.control)
        return _among(one, two, factor)

    return Grounds(_each(asked, seen, counted), design)


def _slower_at_all(asked: Comparison, seen: Seen) -> Grounds:
    """Return the new arm's exchanges among all above control's quantile."""
    at = _quantile_of_control(seen, asked.quantity.percent / 100)
    design = stretch.both_slow(seen.arm(), seen.arm(control=True), at)

    def counted(span: Span) -> tuple[Share, float]:
        one, two = (stretch.slower(span, arm, at, surely=True) for arm in (seen.new, seen.control))
        return _among(one, two, 1.0)

    return Grounds(_each(asked, seen, counted), design)


def _slower_by(asked: Comparison, seen: Seen, side: Side) -> Grounds:
    """Return the new arm's exchanges above a multiple of the bound of control's quantile that is in its favour."""
    share = 1 - asked.quantity.percent / 100
    at = _controls(asked, seen, side) * asked.limit.value
    design = stretch.slow_design(seen.arm(), at)

    def counted(span: Span) -> tuple[Share, float]:
        return stretch.slower(span, seen.new, at, surely=side == "above"), share

    return Grounds(_each(asked, seen, counted), design)


def _each(asked: Comparison, seen: Seen, counted: Counted) -> Stretches:
    for start in stretch.starts(
        seen.windows, LAST_S if asked.for_s is None else asked.for_s, within_phase=asked.limit.of_control
    ):
        span = seen.windows.since(start.mark)
        yield start, span, *counted(span)


def _among(one: Share, two: Share, factor: float) -> tuple[Share, float]:
    """Return the new arm's events among both arms', and its share of them if its rate were control's times a factor."""
    if not one.exchanges or not two.exchanges:
        return Share(0, 0), 0.5
    return Share(one.events, one.events + two.events), factor * one.exchanges / (factor * one.exchanges + two.exchanges)


def _quantile_of_control(seen: Seen, q: float) -> float:
    """Return control's quantile in the present phase.

    From the slowest exchange down, whose an exchange is is a coin if nothing differs, and stopping where control has
    had its share is a stopping time of that coin: so to take the line from control's own data costs nothing.
    """
    entered = seen.windows.entered
    if entered is None:
        return 0.0
    span = seen.windows.since(entered)
    found = quantile(span.latency(seen.control).tolist(), q)
    return 0.0 if found is None else found / 1e6


def _controls(asked: Comparison, seen: Seen, side: Side) -> float:
    """Return the duration that control's quantile does not exceed (above), or does not fall short of, for sure."""
    entered, worst = seen.windows.entered, bounds_us[-1] / 1e6 if side == "above" else 0.0
    if entered is None:
        return worst
    buckets, share = seen.windows.since(entered).latency(seen.control), 1 - asked.quantity.percent / 100
    total = float(buckets.sum())
    above = total - np.cumsum(buckets)
    design = stretch.slow_design(seen.arm(control=True), _quantile_of_control(seen, 1 - share)).effect
    if total == 0 or not np.isfinite(design):
        return worst
    enough = -log(_alpha(asked))
    # Few values are asked: bounds are monotone, so the first bucket is found by halving.
    low, high = 0, len(buckets) - 1
    while low < high:
        middle = (low + high) // 2
        events = float(above[middle])
        if side == "above":
            found = bound(events / design, total / design, enough, "below")
            past = found is not None and found <= share  # surely no more than the share lies above
        else:
            found = bound(events / design, total / design, enough, "above")
            past = found is None or found <= share  # not surely more than it
        low, high = (low, middle) if past else (middle + 1, high)
    return bounds_us[low] / 1e6 if side == "above" else (bounds_us[low - 1] / 1e6 if low else 0.0)


def _alpha(asked: Comparison) -> float:
    return 0.005 if asked.confidence is None else (1 - asked.confidence) / 2
