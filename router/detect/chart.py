"""Control charts: whether a stream, in normal units, has left control.

Responsible for: the recursions of the charts, and how far each is from its limit.
Does not know: where the units come from (``router.detect.baseline``), how often a chart is wrong
(``router.detect.run_length``).

Rules: a step takes a frozen state and gives the next one. A measurement counts as at most ``FARTHEST``, so that a
chart that adds up needs more than one point, and as sums stop at ``MOST`` limits a chart notices the end of what it
noticed.
"""

from math import sqrt
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

FARTHEST: Final = 8.0
MOST: Final = 1.25  # limits

Direction = Literal["up", "down", "both"]
Positive = Annotated[float, Meta(gt=0, le=1000)]
Weight = Annotated[float, Meta(gt=0, le=1)]


class Shewhart(Struct, frozen=True, tag="shewhart"):
    """A point beyond the limit (Shewhart 1931). Sees spikes and large shifts at once, small ones late.

    Attributes:
        limit: In standard deviations; 3 is wrong once in 370 points.
    """

    limit: Positive = 3.0


class Ewma(Struct, frozen=True, tag="ewma"):
    """An exponentially weighted mean beyond its limit (Roberts 1959). Sees small lasting shifts.

    Attributes:
        weight: Of the newest point, lambda; small ones see smaller shifts, later.
        limit: In standard deviations of the mean, L; 2.814 with a weight of 0.1 is wrong once in 500 points.
    """

    weight: Weight = 0.1
    limit: Positive = 2.814

    @property
    def reach(self) -> float:
        """Return where the limit is, in the units of the stream, as after many points (Lucas & Saccucci 1990)."""
        return self.limit * sqrt(self.weight / (2 - self.weight))


class Cusum(Struct, frozen=True, tag="cusum"):
    """A cumulated sum of what exceeds a slack beyond its limit (Page 1954): quickest for shifts of twice the slack.

    Attributes:
        slack: In standard deviations, k.
        limit: Likewise, h; 5 with a slack of 0.5 is wrong once in 465 points where both directions count.
    """

    slack: Annotated[float, Meta(ge=0, le=1000)] = 0.5
    limit: Positive = 5.0


class PageHinkley(Struct, frozen=True, tag="page_hinkley"):
    """A cumulated sum far above its least value so far (Page 1954, Hinkley 1971), for slow drifts.

    How far a sum with steps x - delta is above its least value is the CUSUM with slack ``delta``: over the same stream
    both alarm at the same points, which a test holds. What differs is what is usual: a small delta.

    Attributes:
        delta: Change that is tolerated, in standard deviations.
        threshold: how far above its least value the sum may get; 8 with a delta of 0.25 is wrong once in 368 points.
    """

    delta: Annotated[float, Meta(ge=0, le=1000)] = 0.25
    threshold: Positive = 8.0


Chart = Shewhart | Ewma | Cusum | PageHinkley


class Sums(Struct, frozen=True):
    """What a chart remembers.

    Attributes:
        up: Its sum, or mean, for what goes up.
        down: For what goes down, with the other sign.
    """

    up: float = 0.0
    down: float = 0.0


class Level(Struct, frozen=True):
    """How far a chart is from its limit.

    Attributes:
        share: The statistic over its limit: above 1 it has left control.
        side: Where to.
    """

    share: float
    side: Literal["up", "down"]

    @property
    def beyond(self) -> bool:
        """Say whether the limit is passed."""
        return self.share > 1


def step(chart: Chart, sums: Sums, score: float, direction: Direction = "both") -> tuple[Sums, Level]:
    """Take one point.

    Args:
        chart: The chart.
        sums: What it remembers.
        score: The point, standard normal in control.
        direction: Where changes matter.
    """
    score = min(FARTHEST, max(-FARTHEST, score))
    following, limit = _next(chart, sums, score)
    up, down = following.up / limit, following.down / limit
    if direction == "up" or (direction == "both" and up >= down):
        return following, Level(up, "up")
    return following, Level(down, "down")


def _next(chart: Chart, sums: Sums, score: float) -> tuple[Sums, float]:
    """Return the sums with one more point, and the limit for both."""
    if isinstance(chart, Shewhart):
        return Sums(score, -score), chart.limit
    if isinstance(chart, Ewma):
        mean = chart.weight * score + (1 - chart.weight) * sums.up
        return Sums(mean, -mean), chart.reach
    slack, limit = (chart.slack, chart.limit) if isinstance(chart, Cusum) else (chart.delta, chart.threshold)
    most = MOST * limit
    up = min(most, max(0.0, sums.up + score - slack))
    return Sums(up, min(most, max(0.0, sums.down - score - slack))), limit
