"""Before and after a phase began: how a route's exchanges changed, where nothing was randomised.

Responsible for: which hours or days are a series, and the pre/post effect on the share of failures and the duration.
Does not know: formulas (``router.inference.pre_post``), events.

Hours are counted from the moment of the change, so that no point lies on both sides of it. Days with a weekly season
where there are two weeks before and a week after, else hours with a daily one.

Rules: pure; always labelled pre/post. A series with a gap has no answer.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from router.analysis.estimate import NotEnough
from router.inference.effect import Asked, Effect

HOUR_S: Final = 3600.0
MOST_HOURS: Final = 400 * 24
"""Hours on each side of the change that are looked at."""
_FEW_HOURS: Final = 60 * 24  # on each side, where points are hours
_DAY: Final = 24
_WEEK: Final = 7


class Hour(Struct, frozen=True):
    """The exchanges of an hour.

    Attributes:
        place: Which hour: 0 is the first after the change, -1 the last before it.
        exchanges: How many began in it.
        failed: Of them, those that failed.
        seconds: Sum of their durations.
    """

    place: int
    exchanges: int
    failed: int
    seconds: float


class PrePost(Struct, frozen=True, kw_only=True):
    """What changed when a phase began.

    Attributes:
        label: ``pre/post``: nothing was randomised.
        route: The route whose exchanges these are.
        change: When the phase began, in unix seconds.
        width: Seconds of a point of the series.
        before: Points before the change.
        after: Points after it.
        effects: ``failed`` (share of exchanges) and ``duration`` (mean, in seconds) to how far they lie from what they
            would have been.
    """

    label: str
    route: str
    change: float
    width: float
    before: int
    after: int
    effects: Mapping[str, Effect | NotEnough]


def before_after(route: str, change: float, hours: Sequence[Hour], asked: Asked) -> PrePost:
    """Compare the exchanges after a change with what those before it promised.

    Args:
        route: Name of the route.
        change: When the change was, in unix seconds.
        hours: Whole hours, each once, in order; those without exchanges are left out.
        asked: Level of the intervals.
    """
    from router.inference.pre_post import Series, pre_post  # noqa: PLC0415 - it loads statsmodels: a second

    places = [hour.place for hour in hours]
    first, last = (places[0], places[-1]) if places else (0, -1)
    by_day = -first >= 2 * _WEEK * _DAY and last + 1 >= _WEEK * _DAY
    size = _DAY if by_day else 1
    most = MOST_HOURS if by_day else _FEW_HOURS
    low, high = -(min(-first, most) // size) if first < 0 else 0, min(last + 1, most) // size
    sums = [[0, 0, 0.0] for _ in range(low, high)]
    for hour in hours:
        if low <= hour.place // size < high:
            point = sums[hour.place // size - low]
            point[0], point[1], point[2] = (
                point[0] + hour.exchanges,
                point[1] + hour.failed,
                point[2] + hour.seconds,
            )
    effects: dict[str, Effect | NotEnough] = {}
    for name, column in (("failed", 1), ("duration", 2)):
        if any(not point[0] for point in sums):
            unit = "a day" if by_day else "an hour"
            effects[name] = NotEnough(f"pre/post: {unit} had no exchanges", len(sums))
            continue
        values = [point[column] / point[0] for point in sums]
        effects[name] = _labelled(pre_post(Series(values, max(0, -low), _WEEK if by_day else _DAY), asked))
    return PrePost(
        label="pre/post",
        route=route,
        change=change,
        width=size * HOUR_S,
        before=max(0, -low),
        after=max(0, high),
        effects=effects,
    )


def _labelled(found: Effect | NotEnough) -> Effect | NotEnough:
    return NotEnough(f"pre/post: {found.reason}", found.n) if isinstance(found, NotEnough) else found
