"""One watched stream: what it is like, whether it has left control, and the episode that begins then.

Responsible for: learning, judging each point, and telling a departure once, from its beginning to its end.
Does not know: what is measured, where, and what follows.

Rules: state and point in, state and what is said out; nothing else is remembered, and all of it can be written down.
While it learns a stream says nothing. What is beyond the limit is not learned. An episode ends when the chart has been
below ``ENDS`` of its limit for ``calm`` points in a row; when it has lasted ``adopt`` points, what was a departure is
the new usual, and everything is learned anew. A missing point changes nothing but that the next is not compared with
its neighbour.
"""

from math import exp, log
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from router.detect.baseline import Baseline, measured
from router.detect.change_point import ChangePoint, look, still
from router.detect.chart import Chart, Direction, Level, Sums, step
from router.detect.share import Usual

ENDS: Final = 0.5
_WIDEST: Final = 1.0  # scores of counts are never taken for narrower than binomial ones

Kind = Literal["value", "log", "share", "score"]
Count = Annotated[int, Meta(ge=1, le=100_000)]


class Plan(Struct, frozen=True, kw_only=True):
    """How a stream is watched.

    Attributes:
        chart: By what.
        kind: What a point is: a ``value``, a positive value whose ``log`` counts, a ``share`` (failures of exchanges),
            or a ``score`` that is standard normal already.
        direction: Where changes matter.
        learn: Points before anything is said; at least 10.
        calm: Points below half of the limit that end an episode.
        adopt: Points after which a departure is the new usual.
    """

    chart: Chart | ChangePoint
    kind: Kind = "value"
    direction: Direction = "both"
    learn: Annotated[int, Meta(ge=10, le=10_000)] = 60
    calm: Count = 5
    adopt: Count = 1440


class Point(Struct, frozen=True):
    """One measurement.

    Attributes:
        value: The value; of a share, failures over exchanges. None when it is missing.
        failures: Of a share: failures.
        exchanges: Of a share: exchanges.
    """

    value: float | None = None
    failures: int = 0
    exchanges: int = 0

    @classmethod
    def of_share(cls, failures: int, exchanges: int) -> "Point":
        """Return the point of a share; missing without exchanges."""
        return cls(failures / exchanges if exchanges > 0 else None, failures, exchanges)


class State(Struct, frozen=True, omit_defaults=True):
    """What is remembered of a stream.

    Attributes:
        seen: Points that were measured since it began to learn.
        baseline: What is usual.
        usual: Of shares, before they are scores.
        sums: Of the chart.
        recent: Latest scores, of a change point detector.
        since: Points since the episode began; None outside of one.
        calm: Points in a row below half of the limit, within an episode.
    """

    seen: int = 0
    baseline: Baseline = Baseline()
    usual: Usual = Usual()
    sums: Sums = Sums()
    recent: tuple[float, ...] = ()
    since: int | None = None
    calm: int = 0


class Said(Struct, frozen=True, kw_only=True):
    """What is said of a point.

    Attributes:
        status: ``alarm`` within an episode.
        change: That an episode began, ended, or became the usual, with this point.
        value: The measurement; None when it was missing.
        expected: What was usual.
        score: How unusual it is, in standard deviations; None where that cannot be said.
        level: The chart's statistic over its limit.
        side: Where it went.
    """

    status: Literal["missing", "learning", "quiet", "alarm"]
    change: Literal["begun", "ended", "adopted"] | None = None
    value: float | None = None
    expected: float | None = None
    score: float | None = None
    level: float | None = None
    side: Literal["up", "down"] | None = None


def take(plan: Plan, state: State, point: Point) -> tuple[State, Said]:
    """Take one point of a stream.

    Args:
        plan: How it is watched.
        state: What is remembered of it; ``State()`` begins.
        point: The measurement.

    Raises:
        ImportError: If a change point detector's library is not installed.
    """
    value = _transformed(plan, state, point)
    if value is None:
        gone = replace(state, baseline=state.baseline.seen(None))
        return gone, Said(status="missing" if state.since is None else "alarm")
    score = value if plan.kind == "score" else state.baseline.score(value, _WIDEST if plan.kind == "share" else 0.0)
    expected = _expected(plan, state)
    if state.seen < plan.learn or score is None:
        return _learned(plan, state, point, value), Said(
            status="learning" if state.since is None else "alarm", value=point.value, expected=expected, score=score
        )
    state, level = _chart(plan, state, score)
    state, status, change = _episode(plan, state, level)
    if status == "quiet":
        state = _learned(plan, state, point, value)
    elif change != "adopted":
        state = replace(state, baseline=state.baseline.seen(value))
    said = Said(
        status=status,
        change=change,
        value=point.value,
        expected=expected,
        score=score,
        level=level.share,
        side=level.side,
    )
    return state, said


def _transformed(plan: Plan, state: State, point: Point) -> float | None:
    """Return what the baseline learns: a value, its logarithm, or the score of a share."""
    if plan.kind == "share":
        if point.exchanges < 1 or not 0 <= point.failures <= point.exchanges:
            return None
        score = state.usual.score(point.failures, point.exchanges)
        return 0.0 if score is None else score
    value = measured(point.value)
    if plan.kind == "log":
        return log(value) if value is not None and value > 0 else None
    return value


def _expected(plan: Plan, state: State) -> float | None:
    """Return what is usual, in the unit of the measurement."""
    if plan.kind == "share":
        return state.usual.failures / state.usual.exchanges if state.usual.exchanges else None
    if plan.kind == "score" or not state.baseline.count:
        return None
    return exp(min(state.baseline.mean, 700.0)) if plan.kind == "log" else state.baseline.mean


def _chart(plan: Plan, state: State, score: float) -> tuple[State, Level]:
    chart = plan.chart
    if not isinstance(chart, ChangePoint):
        sums, level = step(chart, state.sums, score, plan.direction)
        return replace(state, sums=sums), level
    recent = (*state.recent, score)[-chart.window :]
    state = replace(state, recent=recent)
    if state.since is not None:
        return state, still(recent, chart.least)
    if state.seen % chart.stride:
        return state, Level(0.0, "up")
    return state, look(chart, recent, plan.direction)


def _episode(
    plan: Plan, state: State, level: Level
) -> tuple[State, Literal["quiet", "alarm"], Literal["begun", "ended", "adopted"] | None]:
    """Begin, go on with, or end an episode."""
    if state.since is None:
        if not level.beyond:
            return state, "quiet", None
        return replace(state, since=0, calm=0, seen=state.seen + 1), "alarm", "begun"
    since = state.since + 1
    calm = state.calm + 1 if level.share < ENDS else 0
    if calm >= plan.calm:
        return replace(state, since=None, calm=0, sums=Sums(), recent=()), "quiet", "ended"
    if since >= plan.adopt:
        return State(), "quiet", "adopted"
    return replace(state, since=since, calm=calm, seen=state.seen + 1), "alarm", None


def _learned(plan: Plan, state: State, point: Point, value: float) -> State:
    usual = state.usual.learn(point.failures, point.exchanges) if plan.kind == "share" else state.usual
    baseline = state.baseline
    # The first count of all has nothing to be compared with.
    if plan.kind in {"value", "log"} or (plan.kind == "share" and state.usual.exchanges):
        baseline = baseline.learn(value)
    return replace(state, seen=min(state.seen + 1, 1 << 40), usual=usual, baseline=baseline)
