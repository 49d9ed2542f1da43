"""Whether a quantity creeps up: a robust slope over windows, as of a latency that grows or a memory that leaks.

Responsible for: the series, its slope with an interval, the verdict.
Does not know: how counts are kept (``windows``), what follows.

The last ``over`` is cut into ``PARTS`` windows. Where control has a value in each, the series is the new arm's value
divided by it, or less it where control's is 0 somewhere, so that the hour of the day and the load of both are not taken
for a trend; without control it is the new arm's own. The slope is the median of those between all pairs (Theil 1950,
Sen 1968), so a third of the windows may be wild; its interval comes from Kendall's exact distribution (Sen; Hollander
and Wolfe, section 9.4). It *fails* when the change along ``over`` is beyond the margin and the interval excludes none,
and *passes* when the interval ends below the margin.

The level is alpha / ``PARTS``: within one ``over`` there are about as many series that differ by more than a window. So
at most alpha per ``over`` is wrong where windows are independent; where neighbouring ones are alike more is, which
``docs/rollouts.md`` has in numbers. It is the one guardrail that is not valid over all looks of a run.

Rules: pure. A window without exchanges, a gap, and a run younger than ``over`` are inconclusive.
"""

from math import inf
from typing import Final, Literal

import numpy as np

from router.config.condition import Quantity
from router.config.guardrail import Guardrail
from router.config.scalars import format_duration
from router.events.rollout import Found
from router.guardrail.seen import Seen
from router.guardrail.windows import Span
from router.histogram import quantile

PARTS: Final = 12
OVER_S: Final = 6 * 3600.0


def judge_trend(guardrail: Guardrail, quantity: Quantity, seen: Seen, alpha: float) -> Found:
    """Judge a guardrail with ``trend``.

    Args:
        guardrail: The guardrail.
        quantity: What its metric is: failures, or a quantile of durations.
        seen: What is known.
        alpha: Chance of a wrong failure within the time of one slope.
    """
    over, margin = guardrail.over or OVER_S, guardrail.trend or 0.0
    series = _series(quantity, seen, over)
    if isinstance(series, str):
        return _found(guardrail, "inconclusive", series)
    values, relative_to = series
    level = float(np.median(np.abs(values)))
    if level == 0:
        return _found(guardrail, "inconclusive", "it is 0 most of the time, and nothing is a share of that")
    worse = 1.0 if margin > 0 else -1.0
    slope, low, high = slope_of(worse * np.asarray(values) / level, alpha / PARTS)
    most = abs(margin)
    status: Literal["pass", "fail", "inconclusive"] = "inconclusive"
    if slope > most and low > 0:
        status = "fail"
    elif high < most:
        status = "pass"
    said = {"fail": "it creeps", "pass": "it does not creep so fast", "inconclusive": "not shown either way"}[status]
    shown = [_percent(worse * end) for end in (slope, low, high)]
    first, last = shown[1:] if worse > 0 else reversed(shown[1:])
    reason = (
        f"{guardrail.metric}{relative_to} changed by {shown[0]} of its level over {format_duration(over)} (bounds "
        f"{first} to {last}), {_percent(margin)} is too much; {said}"
    )
    ends = sorted(worse * end for end in (low, high))
    return _found(
        guardrail, status, reason, (worse * slope, ends[0], ends[1]), {"first": values[0], "last": values[-1]}
    )


def slope_of(values: np.ndarray, alpha: float) -> tuple[float, float, float]:
    """Return the change along all windows, and the interval that misses on each side with at most alpha.

    Args:
        values: One for each window, in order, at equal distances.
        alpha: Of each side.

    Returns:
        The change, its lower and its upper end, infinite where there are too few windows for the level.
    """
    n = len(values)
    rows, columns = np.triu_indices(n, 1)
    slopes = np.sort((values[columns] - values[rows]) / (columns - rows)) * n
    pairs = len(slopes)
    critical = _critical(n, alpha)
    if critical is None:
        return float(np.median(slopes)), -inf, inf
    # Hollander and Wolfe: the M-th smallest and the (N + 1 - M)-th, with M = (N - C)/2, are the ends.
    index = (pairs - critical) // 2
    return float(np.median(slopes)), float(slopes[index]), float(slopes[pairs - 1 - index])


def _critical(n: int, alpha: float) -> int | None:
    """Return the largest statistic of Kendall that slopes of no trend exceed with more than alpha; None if all do.

    The number of permutations of n with k inversions follows from that of n - 1 (MacMahon 1916).
    """
    counts = np.array([1.0])
    for size in range(2, n + 1):
        counts = np.convolve(counts, np.ones(size) / size)
    pairs = n * (n - 1) // 2
    reached = np.cumsum(counts)  # P(inversions <= k) = P(S >= N - 2k)
    allowed = int(np.searchsorted(reached, alpha, side="right"))  # how many of the k have at most alpha
    return None if allowed == 0 else pairs - 2 * allowed


def _series(quantity: Quantity, seen: Seen, over: float) -> tuple[list[float], str] | str:
    pieces = seen.windows.pieces(over, PARTS)
    if pieces is None:
        known = seen.windows.age
        why = "there is a gap in it" if known >= over else f"{format_duration(float(round(known)))} are known"
        return f"the last {format_duration(over)} are not known, {why}"
    ours = [_value(quantity, piece, seen.new) for piece in pieces]
    theirs = [_value(quantity, piece, seen.control) for piece in pieces]
    values = [value for value in ours if value is not None]
    if len(values) < len(ours):
        return f"a part of the last {format_duration(over)} has no exchanges"
    base = [value for value in theirs if value is not None]
    if len(base) < len(theirs):
        return values, ""
    if all(base):
        return [one / two for one, two in zip(values, base, strict=True)], " relative to control's"
    level = float(np.mean(values)) or 1.0
    return [1 + (one - two) / level for one, two in zip(values, base, strict=True)], " less control's"


def _value(quantity: Quantity, piece: Span, arm: str) -> float | None:
    if arm not in piece.names:
        return None
    if quantity.kind == "error_rate":
        return piece.failures(arm) / piece.exchanges(arm) if piece.exchanges(arm) else None
    return quantile(piece.latency(arm).tolist(), quantity.percent / 100)


def _percent(value: float) -> str:
    return f"{100 * value:+.3g}%" if abs(value) < inf else "unbounded"


def _found(
    guardrail: Guardrail,
    status: Literal["pass", "fail", "inconclusive"],
    reason: str,
    estimate: tuple[float, float, float] | None = None,
    counts: dict[str, float] | None = None,
) -> Found:
    value, low, high = (None, None, None) if estimate is None else estimate
    return Found(
        name=guardrail.title,
        status=status,
        action=guardrail.action,
        reason=reason,
        dry_run=guardrail.dry_run,
        estimate=value,
        low=low if low is not None and abs(low) < inf else None,
        high=high if high is not None and abs(high) < inf else None,
        margin=guardrail.trend,
        counts=counts or {},
    )
