"""Seasons: whether a stream is not what its daily course lets expect.

Responsible for: the course of a period, from the last few of them by STL, and handing what is left of each point to the
charts of ``router.detect.stream``.
Does not know: what is measured; calendars.

STL (Cleveland et al. 1990, robust) splits the last periods in a course, a trend and a rest; ``statsmodels`` has it. The
forecast of a point is the course at its place of the period plus what the baseline, which follows trend and correlation
of neighbours, makes of the points before; its residual is charted.

Rules: nothing is said before two periods are whole. The course is computed anew each eighth of a period. What is
remembered is ``CYCLES`` periods. Needs statsmodels, which is imported then.
"""

from typing import Annotated, Final

import numpy as np
from msgspec import Meta, Struct
from msgspec.structs import replace

from router.detect.baseline import measured
from router.detect.stream import Plan, Point, Said, State, take

MISSING: Final = "seasonal forecasts need statsmodels: pip install router[watch]"
CYCLES: Final = 4
_FITS: Final = 8  # in a period


class SeasonPlan(Struct, frozen=True, kw_only=True):
    """How a stream is watched.

    Attributes:
        rest: How what the course leaves is watched.
        slots: Points in a period.
        positive: Whether the logarithm of a point counts.
    """

    rest: Plan
    slots: Annotated[int, Meta(ge=4, le=2016)]
    positive: bool = False


class SeasonState(Struct, frozen=True, omit_defaults=True):
    """What is remembered.

    Attributes:
        points: The last points, oldest first; None where one was missing.
        slot: Place of the last one on the time line, in points.
        course: What each place of a period differs by; empty before it is known.
        fitted: When it was computed, as ``slot``.
        rest: Of what the course leaves.
    """

    points: tuple[float | None, ...] = ()
    slot: int | None = None
    course: tuple[float, ...] = ()
    fitted: int = 0
    rest: State = State()


def take_slot(plan: SeasonPlan, state: SeasonState, slot: int, value: float | None) -> tuple[SeasonState, Said]:
    """Take one point.

    Args:
        plan: How the stream is watched.
        state: What is remembered; ``SeasonState()`` begins.
        slot: Its place on the time line: whole intervals since any moment, the same for all points.
        value: The measurement; None when it is missing.

    Raises:
        ImportError: If statsmodels is not installed.
    """
    value = measured(value)
    if plan.positive:
        value = float(np.log(value)) if value is not None and value > 0 else None
    gap = 0 if state.slot is None else slot - state.slot - 1
    if gap < 0 and state.slot is not None:  # the clock went back: places of the period are others now
        state, gap = SeasonState(), 0
    points = (*state.points, *([None] * min(gap, CYCLES * plan.slots)), value)[-CYCLES * plan.slots :]
    state = replace(state, points=points, slot=slot)
    if not state.course:
        if _whole(points, plan.slots):
            state = _fitted(plan, state, slot)
        return state, Said(status="learning" if value is not None else "missing", value=value)
    left = None if value is None else value - state.course[slot % plan.slots]
    rest, said = take(plan.rest, state.rest, Point(left))
    state = replace(state, rest=rest)
    if slot - state.fitted >= max(1, plan.slots // _FITS) and said.status == "quiet":
        state = _fitted(plan, state, slot)
    return state, said if said.status == "missing" else _in_unit(plan, said, value, left)


def _whole(points: tuple[float | None, ...], slots: int) -> bool:
    """Say whether two periods are there, and nearly all of their points."""
    recent = points[-2 * slots :]
    return len(recent) == 2 * slots and sum(each is None for each in recent) <= slots // 4


def _fitted(plan: SeasonPlan, state: SeasonState, slot: int) -> SeasonState:
    from statsmodels.tsa.seasonal import STL  # noqa: PLC0415 - see the module's rules

    known = np.array([np.nan if each is None else each for each in state.points])
    there = ~np.isnan(known)
    places = np.arange(len(known))
    filled = np.interp(places, places[there], known[there])
    jump = max(1, plan.slots // 10)  # LOESS at each tenth of a period and straight between: a tenth of the time
    smooth = STL(filled, period=plan.slots, robust=True, trend_jump=jump, low_pass_jump=jump)
    course = smooth.fit(inner_iter=1, outer_iter=3).seasonal
    # Each place of the period is told by its latest appearance, which STL has smoothed over the periods.
    latest = {int((slot - len(course) + 1 + at) % plan.slots): float(value) for at, value in enumerate(course)}
    return replace(state, course=tuple(latest[at] for at in range(plan.slots)), fitted=slot)


def _in_unit(plan: SeasonPlan, said: Said, value: float | None, left: float | None) -> Said:
    """Return what is said of the rest, in the unit of the measurement."""
    if value is None or left is None or said.expected is None:
        return replace(said, value=value)
    expected = said.expected + value - left
    unit = np.exp if plan.positive else float
    return replace(said, value=float(unit(min(value, 700.0))), expected=float(unit(min(expected, 700.0))))
