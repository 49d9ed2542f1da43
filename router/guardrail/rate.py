"""A guardrail on a rate of events: the verdict, from what both arms counted.

Responsible for: pass, fail or inconclusive by the rule below, with counts and bounds for people.
Does not know: which events (failures, slow exchanges), how evidence is gathered.

*Fail* when the estimate is beyond the margin and the bound, valid at any time, excludes no degradation: over the
stretch that speaks loudest, so that hours of health do not hide an hour of illness. *Pass* when the upper bound is
below the margin, or that of the difference is negligible, and nothing speaks loudly for a degradation: the root of the
e-value that fails. Else *inconclusive*; without a concurrent control always.

Rules: pure.
"""

from math import exp, inf, log
from typing import Final, Literal, NamedTuple

from msgspec import Struct, structs

from router.events.rollout import Found
from router.guardrail.compare import (
    LEAST_CLUSTERS,
    Compared,
    Stretch,
    compare,
    difference_excluded,
    ladder,
    ratio_bounds,
)
from router.guardrail.limit import Limit
from router.guardrail.track import Sample, Track, begin, fold

_USUAL: Final = 2.0  # the ratio that tests of a difference are tuned to
_LARGEST: Final = 700.0  # of a logarithm whose exponential is a finite number


class Levels(NamedTuple):
    """Chances of a wrong failure, over the release, and of a wrong pass."""

    fail: float
    passing: float


class Guard(Struct, frozen=True, kw_only=True):
    """What is guarded.

    Attributes:
        name: The guardrail as people know it.
        limit: Its margin.
        negligible: A difference that is none, whatever the ratio; None when there is no such.
        action: What follows from a failure.
        dry_run: Whether a failure is only told.
        levels: Chances of error.
        event: What an exchange with the event is said to have done: ``failed``.
        arms: Names of treatment and control.
    """

    name: str
    limit: Limit
    negligible: float | None
    action: Literal["rollback", "warn", "pause"]
    dry_run: bool
    levels: Levels
    event: str
    arms: tuple[str, str]


class Place(NamedTuple):
    """Where and when a look is."""

    phase: int
    now: float


def judge_rate(guard: Guard, track: Track | None, sample: Sample, place: Place) -> tuple[Found, Track]:
    """Judge one guardrail.

    Args:
        guard: The guardrail.
        track: What is known of the run; None at its first look.
        sample: Counts since the phase began.
        place: The present phase, and unix seconds.

    Returns:
        What is said, and what is known then.

    Raises:
        ValueError: If counts fell within the phase.
    """
    asked = ladder(_USUAL if guard.limit.ratio is None else guard.limit.ratio)
    if track is None or track.nodes != asked.nodes:
        track = begin(asked.nodes, place.phase, place.now)
    track = fold(track, sample, place.phase, place.now)
    found = compare(track, sample, asked)
    margin = guard.limit.difference if guard.limit.ratio is None else guard.negligible
    if margin is not None:
        track = structs.replace(track, apart=difference_excluded(found, min(max(margin, 1e-9), 1 - 1e-9)))
    return _verdict(guard, found, track), track


def _verdict(guard: Guard, found: Compared, track: Track) -> Found:
    alarm, enough = -log(guard.levels.fail), -log(guard.levels.passing)
    apart = track.apart + track.carried
    status: Literal["pass", "fail", "inconclusive"] = "inconclusive"
    estimate = _estimate(guard, found.loudest)
    if not all(found.phase.exchanges):
        shown, said = found.phase, "an arm has no exchanges in this phase, so nothing is compared"
    elif found.against_none >= alarm and found.loudest.clusters >= LEAST_CLUSTERS and _beyond(guard, estimate):
        status, shown, said = "fail", found.loudest, "worse at any look"
    else:
        shown, said = found.phase, "not shown to be within the margin, nor beyond"
        by_ratio = guard.limit.ratio is not None and found.against_margin >= enough
        if (by_ratio or apart >= enough) and found.against_none < alarm / 2:
            status = "pass"
            said = "within the margin" if by_ratio or guard.limit.ratio is None else "a negligible difference"
    low, high = _bounds(guard, found, shown, (alarm, enough))
    return _found(guard, shown, (status, said), (low, high), found.against_none)


def _estimate(guard: Guard, stretch: Stretch) -> float | None:
    return stretch.difference if guard.limit.ratio is None else stretch.ratio


def _limit(guard: Guard) -> float:
    return guard.limit.ratio if guard.limit.ratio is not None else guard.limit.difference or 0.0


def _beyond(guard: Guard, estimate: float | None) -> bool:
    return estimate is not None and estimate > _limit(guard)


def _bounds(
    guard: Guard, found: Compared, shown: Stretch, budgets: tuple[float, float]
) -> tuple[float | None, float | None]:
    """Return the bounds that go with the verdict; they agree with it."""
    alarm, enough = budgets
    worse = found.against_none >= alarm
    if guard.limit.ratio is None:
        return (0.0 if worse and shown is found.loudest else None), None
    low, high = ratio_bounds(shown, (alarm - found.weight, enough))
    if low is not None and shown is found.loudest:
        low = max(low, 1.0) if worse else min(low, 1.0)
    if high is not None and found.against_margin >= enough:
        high = min(high, guard.limit.ratio)
    return low, high


def _found(
    guard: Guard,
    shown: Stretch,
    said: tuple[Literal["pass", "fail", "inconclusive"], str],
    bounds: tuple[float | None, float | None],
    log_e: float,
) -> Found:
    estimate = _estimate(guard, shown)
    status, words = said
    (x, c), (n, m) = shown.events, shown.exchanges
    treatment, control = guard.arms
    reason = (
        f"{x:.0f} of {n:.0f} exchanges {guard.event} in {treatment}, {c:.0f} of {m:.0f} in {control}: "
        f"{_in_words(guard, estimate, bounds)}, {guard.limit.words} allowed; {words}"
    )
    return Found(
        name=guard.name,
        status=status,
        action=guard.action,
        reason=reason,
        dry_run=guard.dry_run,
        estimate=estimate if estimate is not None and estimate < inf else None,
        low=bounds[0],
        high=bounds[1],
        margin=_limit(guard),
        statistic=exp(min(_LARGEST, log_e)),
        threshold=1 / guard.levels.fail,
        alpha=guard.levels.fail,
        counts={
            "treatment_failures": x,
            "treatment_exchanges": n,
            "control_failures": c,
            "control_exchanges": m,
            "since": shown.since,
            "clusters": float(shown.clusters),
            **({"design_effect": shown.design} if shown.design < inf else {}),
        },
    )


def _in_words(guard: Guard, estimate: float | None, bounds: tuple[float | None, float | None]) -> str:
    if estimate is None:
        return "no estimate"
    if guard.limit.ratio is None:
        return f"a difference of {estimate * 100:.3g} percentage points"
    low, high = ("?" if end is None else f"{end:.3g}" for end in bounds)
    value = "only treatment's" if estimate == inf else f"{estimate:.3g} times control's"
    return f"{value} (bounds {low} to {high})"
