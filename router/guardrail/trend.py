"""Whether a quantity creeps up: a robust slope over windows, as of a latency that grows or a memory that leaks.

Responsible for: the series, its slope with an interval, the verdict.
Does not know: how counts are kept (``windows``), what follows.

The last ``over`` is cut into 12 to 36 windows, as marks allow. Where control has a value in each, the series is the new
arm's value divided by it, or less it where control's is 0 somewhere, so that the hour of the day and the load of both
are not taken for a trend; without control it is the new arm's own. The slope is the median of those between all pairs
(Theil 1950, Sen 1968), so a quarter of the windows may be wild; its interval comes from Kendall's exact distribution
(Sen; Hollander and Wolfe, section 9.4). It *fails* when the change along ``over`` is beyond the margin and the interval
excludes none, and *passes* when the interval ends below the margin.

Neighbouring windows are alike: caches, batches and callers last longer than a window. So Kendall's statistic has to be
sqrt((1 + r)/(1 - r)) times as large, r being the first autocorrelation of what the slope leaves, corrected for its bias
of about (2 + 4 r)/n in short series without their line (Kendall 1954; Hamed and Rao, Journal of Hydrology 1998, widen
the variance likewise). The level is alpha / ``LOOKS``, because so many nearly separate series are seen within one
``over``. What is wrong then, by simulation, is in docs/rollouts.md. It is the one guardrail that is not valid over all
looks of a run, but per ``over``.

Rules: pure. A window without exchanges, a gap, and a run younger than ``over`` are inconclusive.
"""

from math import inf, sqrt
from typing import Final, Literal

import numpy as np

from router.config.condition import Quantity
from router.config.guardrail import Guardrail
from router.config.scalars import format_duration
from router.events.rollout import Found
from router.guardrail.seen import Seen
from router.guardrail.windows import LEVELS, Span
from router.histogram import quantile

MOST: Final = 36
"""Windows that a series has at most."""
LOOKS: Final = 12
"""Series within one ``over`` that differ by enough to be looks of their own."""
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
    slope, low, high = slope_of(worse * np.asarray(values) / level, alpha / LOOKS)
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
    """Return the change along all windows, and the interval that misses on each side with about alpha.

    Args:
        values: One for each window, in order, at equal distances; at least 5.
        alpha: Of each side.

    Returns:
        The change, its lower and its upper end, infinite where there are too few windows for the level.
    """
    n = len(values)
    rows, columns = np.triu_indices(n, 1)
    slopes = np.sort((values[columns] - values[rows]) / (columns - rows))
    slope, pairs = float(np.median(slopes)), len(slopes)
    critical = _critical(n, alpha)
    if critical is None:
        return slope * n, -inf, inf
    alike = autocorrelation(values - slope * np.arange(n))
    # Hollander and Wolfe: the M-th smallest and the (N + 1 - M)-th, with M = (N - C)/2, are the ends.
    index = int((pairs - critical * sqrt((1 + alike) / (1 - alike))) // 2)
    if index < 0:
        return slope * n, -inf, inf
    return slope * n, float(slopes[index]) * n, float(slopes[pairs - 1 - index]) * n


def autocorrelation(residuals: np.ndarray) -> float:
    """Return how alike neighbours are that are left by a line: 0 to 0.95, corrected for the bias of short series."""
    n = len(residuals)
    around = residuals - np.median(residuals)
    whole = float(around @ around)
    if whole == 0:
        return 0.0
    found = (n * float(around[1:] @ around[:-1]) / whole + 2) / (n - 4)
    return min(max(found, 0.0), 0.95)


def windows_of(over: float) -> int:
    """Return into how many windows a time is cut: none is shorter than the step between marks of that age."""
    step = next((step for step, age in LEVELS if over <= age), LEVELS[-1][0])
    return max(LOOKS, min(MOST, int(over // step)))


def _critical(n: int, alpha: float) -> int | None:
    """Return the smallest statistic of Kendall that chance reaches with at most alpha; None if there is none.

    The number of permutations of n with k inversions follows from that of n - 1 (MacMahon 1916).
    """
    counts = np.array([1.0])
    for size in range(2, n + 1):
        counts = np.convolve(counts, np.ones(size) / size)
    pairs = n * (n - 1) // 2
    reached = np.cumsum(counts)  # P(inversions <= k) = P(S >= N - 2k)
    allowed = int(np.searchsorted(reached, alpha, side="right"))  # how many of the k have at most alpha
    return None if allowed == 0 else pairs - 2 * (allowed - 1)


def _series(quantity: Quantity, seen: Seen, over: float) -> tuple[list[float], str] | str:
    pieces = seen.windows.pieces(over, windows_of(over))
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
