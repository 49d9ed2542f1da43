"""Numbers and effects in words for people.

Responsible for: digits, units, signs, intervals, in tables of a terminal and of a page alike.
Does not know: tables, markup.

Rules: pure. An interval has two digits of its half-width and no more, and the value as many decimals as the interval:
digits beyond that are noise.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from math import floor, isfinite, log10
from typing import Final

from router.analysis.estimate import NotEnough
from router.analysis.plan import ONE_DAY
from router.config.schema import Metric
from router.inference.effect import Effect, Interval
from router.inference.preference import Chance, Preference
from router.report.report import Overall, Switched

_MOST_DECIMALS: Final = 12
VAST: Final = 10.0
"""Relative change, of control, from which on a difference is shown instead."""
LONGEST_DAY: Final = 6
"""Digits of a day that a calendar has."""
_LARGE: Final = 1e15


def effect_in_words(metric: Metric, found: Effect | NotEnough | Preference | None) -> str:
    """Say an effect: relative where that is known, else in the metric's unit.

    Args:
        metric: The metric.
        found: The effect, or which ranker is preferred; None while it may not be read.
    """
    if isinstance(found, Preference):
        return preference_in_words(found)
    if found is None:
        return "may not be read yet"
    if isinstance(found, NotEnough):
        return f"not enough data: {found.reason}"
    relative = found.relative
    if isinstance(relative, NotEnough) or _vast(relative.interval):
        return absolute_in_words(metric, found)
    return percent_with(relative.value, relative.interval)


def _vast(interval: Interval) -> bool:
    """Say whether a relative interval is so wide that it says less than the absolute one."""
    return any(end is not None and abs(end) > VAST for end in (interval.low, interval.high))


def slice_in_words(slicing: Sequence[str], values: Sequence[str]) -> str:
    """Say which slice it is; days are dates."""
    return " · ".join(level_in_words(name, value) for name, value in zip(slicing, values, strict=True))


def level_in_words(name: str, value: str) -> str:
    """Say one value of an attribute: of ``day``, which is in days since 1970, the date."""
    if name != ONE_DAY or not value.isdecimal() or len(value) > LONGEST_DAY:
        return value
    return datetime.fromtimestamp(int(value) * 86400, UTC).strftime("%Y-%m-%d")


def absolute_in_words(metric: Metric, found: Effect) -> str:
    """Say an effect in the metric's unit: percentage points of a share, seconds of a duration."""
    if is_share(metric):
        return with_interval(100 * found.value, _scaled(found.interval, 100), " pp")
    return with_interval(found.value, found.interval, f" {unit(metric)}" if unit(metric) else "")


def value_in_words(metric: Metric, value: float, error: float | None = None) -> str:
    """Say one arm's value, to the digits that its standard error leaves."""
    scale, mark = (100, " %") if is_share(metric) else (1, f" {unit(metric)}" if unit(metric) else "")
    places = decimals(error * scale) if error else decimals(abs(value) * scale / 100)
    return f"{_written(value * scale, places)}{mark}"


def is_share(metric: Metric) -> bool:
    """Say whether a metric is a share of units, or of exchanges."""
    return metric.kind in ("proportion", "retention", "funnel") or (
        metric.kind == "ratio" and metric.exchange == "failed"
    )


def unit(metric: Metric) -> str:
    """Return the unit of a metric; empty where it has none that is known."""
    return "s" if metric.exchange in ("duration", "first_byte") else ""


def overall_in_words(found: Overall | NotEnough) -> str:
    """Say the overall criterion."""
    if isinstance(found, NotEnough):
        return f"not enough data: {found.reason}"
    return percent_with(found.value, found.interval)


def percent_with(value: float, interval: Interval) -> str:
    """Say a share with its sign and interval: ``+1.2 % [-0.3 %, +2.7 %]``."""
    return with_interval(100 * value, _scaled(interval, 100), " %")


def with_interval(value: float, interval: Interval, mark: str) -> str:
    """Say a number with its sign, its interval and its unit, with the digits that the interval leaves."""
    ends = [end for end in (interval.low, interval.high) if end is not None]
    half = (interval.high - interval.low) / 2 if interval.low is not None and interval.high is not None else None
    if half is None:
        half = max((abs(end - value) for end in ends), default=abs(value))
    places = decimals(half) if half else decimals(abs(value))
    low = "\N{MINUS SIGN}∞" if interval.low is None else f"{_signed(interval.low, places)}{mark}"
    high = "+∞" if interval.high is None else f"{_signed(interval.high, places)}{mark}"
    return f"{_signed(value, places)}{mark} [{low}, {high}]"


def decimals(spread: float) -> int:
    """Return how many decimals leave two digits of a spread; fewer than 0 round before the point."""
    if not isfinite(spread) or spread <= 0:
        return 2
    return max(-int(log10(_LARGE)), min(_MOST_DECIMALS, 1 - floor(log10(spread))))


def _signed(value: float, places: int) -> str:
    text = _written(value, places)
    if text.startswith("-"):
        return f"\N{MINUS SIGN}{text[1:]}" if any(digit in text for digit in "123456789") else text[1:]
    return f"+{text}" if any(digit in text for digit in "123456789") else text


def _written(value: float, places: int) -> str:
    rounded = round(value, places)
    return f"{rounded:,.{max(0, places)}f}"


def _scaled(interval: Interval, factor: float) -> Interval:
    low = None if interval.low is None else factor * interval.low
    return Interval(low, None if interval.high is None else factor * interval.high)


def number(value: float) -> str:
    """Write a number with three significant digits."""
    return f"{value:,.3g}" if abs(value) < 1e4 else f"{value:,.0f}"


def moment(at: float) -> str:
    """Write a time in UTC, to the minute."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def slots_in_words(metric: Metric, found: Switched) -> str:
    """Say what a switchback shows over its slots, and what slots leave to the next."""
    said = effect_in_words(metric, found.effect)
    if isinstance(found.effect, Effect):
        p = "" if found.effect.p is None else f", p {found.effect.p:.2g}"
        said += f"{p}, {found.effect.method}, {found.effect.basis}. " + " ".join(found.effect.notes)
    return f"{said} [{found.slots:,} slots]"


def preference_in_words(found: Preference) -> str:
    """Say which ranker is preferred, by how many units, and how surely."""
    once, later = found.once, found.any_time
    text = f"of {once.n:,} units that prefer a ranker {_share(once.value)} prefer {found.treatment}"
    text += f" {_interval(once.interval)} (p {once.p:.2g} if read once"
    return text + (f", {later.p:.2g} at any time)" if isinstance(later, Chance) else ")")


def _share(value: float) -> str:
    return f"{100 * value:.3g} %"


def _interval(found: Interval) -> str:
    low, high = (0.0 if found.low is None else found.low), (1.0 if found.high is None else found.high)
    return f"[{_share(low)}, {_share(high)}]"
