"""What happens to new versions, and what ought to follow.

Responsible for: for each scenario the traffic, both versions over time, and when measurements fail.
Does not know: controllers, seeds.

Rules: a request fails with a probability of 0.1 % unless a scenario says otherwise; requests a minute are those of both
versions together. ``stop`` is wanted where the new version is worse by more than anybody wants, ``ship`` where it is
not.
"""

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

import numpy as np

from benchmarks.rollouts.traffic import Crowd, Floats
from benchmarks.rollouts.versions import Curve, Version, steady

MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 86_400.0
USUAL: Final = 0.001
GOOD: Final = Version(steady(USUAL))
Recipe = Literal["fast", "halves", "patient", "slow", "judged"]


class Scenario(NamedTuple):
    """What happens.

    Attributes:
        name: Its name.
        text: One sentence.
        wanted: What ought to follow.
        new: The new version.
        old: The old one.
        rate: Seconds since the release began to requests a minute, of both together.
        crowd: The users.
        horizon_s: When nobody waits any longer.
        recipe: How this router is told to release it (``recipes``).
        broken: From when to when measurements fail, in seconds.
        loaded: A share of the traffic, and the new version as it is for good once it has had that; None for the same.
        look_s: How often this router looks at least in the first quarter of an hour of a phase, in seconds.
        ours: Whether only this router has the recipe, so that others would do what they did in another scenario.
    """

    name: str
    text: str
    wanted: Literal["stop", "ship"]
    new: Version = GOOD
    old: Version = GOOD
    rate: Callable[[float], float] = lambda _: 200.0
    crowd: Crowd = Crowd(4000)
    horizon_s: float = DAY
    recipe: Recipe = "fast"
    broken: tuple[tuple[float, float], ...] = ()
    loaded: tuple[float, Version] | None = None
    look_s: float = 0.0
    ours: bool = False


def _grows(at: float, value: float, doubling_s: float, most: float) -> Curve:
    return lambda time: np.minimum(value * np.exp2(np.maximum(time - at, 0.0) / doubling_s), most)


def _flaps(every: float, bad: tuple[float, float], value: float) -> Curve:
    return lambda time: np.where((time % every >= bad[0]) & (time % every < bad[1]), value, USUAL)


def _working(time: float) -> bool:
    """Say whether it is 8 to 20 o'clock from Monday to Friday, of a release that began on a Friday at noon."""
    hour = 12 + time / HOUR
    return int(hour // 24) % 7 not in (1, 2) and 8 <= hour % 24 < 20


def _week(time: Floats) -> Floats:
    """Return a share of failures that is three times as high out of hours, when batch jobs run."""
    return np.array([USUAL if _working(moment) else 3 * USUAL for moment in time.tolist()], dtype=np.float64)


def _fades(time: Floats) -> Floats:
    return 0.1 + 0.05 * np.exp2(-time / HOUR)


def _few(rate: float, recipe: Recipe = "fast") -> Scenario:
    by_time = recipe == "patient"
    return Scenario(
        f"low traffic, {rate:g}/min" + (", by time" if by_time else ""),
        "identical versions" + (" and stages that ask for no evidence" if by_time else ""),
        "ship",
        rate=lambda _: rate,
        crowd=Crowd(max(200, round(50 * rate))),
        recipe=recipe,
        ours=by_time,
    )


_OUTAGE: Final = Version(_flaps(100 * DAY, (2 * MINUTE, 12 * MINUTE), 0.2))

ALL: Final[tuple[Scenario, ...]] = (
    Scenario("healthy", "identical versions", "ship"),
    Scenario("healthy, halves", "identical versions, 100 requests a minute each", "ship", recipe="halves", ours=True),
    Scenario(
        "sparse errors, halves",
        "0.1 % of requests fail, 1 % with the new version; 100 requests a minute each",
        "stop",
        new=Version(steady(0.01)),
        recipe="halves",
        horizon_s=12 * HOUR,
        ours=True,
    ),
    Scenario("sparse errors", "0.1 %, 1 % with the new version", "stop", new=Version(steady(0.01))),
    Scenario("1 % errors", "none, 1 % with the new version", "stop", Version(steady(0.01)), Version(steady(0.0))),
    Scenario("1 % on both", "1 % with either version", "ship", Version(steady(0.01)), Version(steady(0.01))),
    Scenario(
        "latency creep",
        "the new version becomes twice as slow every 5 minutes, up to 4 times",
        "stop",
        new=Version(steady(USUAL), _grows(0.0, 1.0, 5 * MINUTE, 4.0)),
    ),
    Scenario(
        "memory leak",
        "for two hours all is well; then times grow by half each hour, and failures twice as fast",
        "stop",
        new=Version(_grows(2 * HOUR, USUAL, HOUR / 2, 0.5), _grows(2 * HOUR, 1.0, 1.7 * HOUR, 8.0)),
        recipe="slow",
        look_s=300.0,
        horizon_s=2 * DAY,
    ),
    Scenario(
        "bad half-way",
        "once the new version has had a quarter of the traffic, 5 % of its requests fail",
        "stop",
        loaded=(0.25, Version(steady(0.05))),
    ),
    Scenario(
        "flapping",
        "the new version fails in 5 % of requests for 2 of every 7 minutes, from the 3rd on",
        "stop",
        new=Version(_flaps(7 * MINUTE, (2 * MINUTE, 4 * MINUTE), 0.05)),
    ),
    Scenario(
        "outage of both",
        "identical versions; what both depend on is down from the 3rd to the 12th minute: 20 % of requests fail",
        "ship",
        new=_OUTAGE,
        old=_OUTAGE,
    ),
    Scenario(
        "broken metric",
        "identical versions; nothing can be measured from the 3rd to the 12th minute",
        "ship",
        broken=((2 * MINUTE, 12 * MINUTE),),
    ),
    Scenario(
        "one heavy user",
        "identical versions; a user who makes 3 % of requests fails in each, whoever answers",
        "ship",
        crowd=Crowd(4000, heavy=0.03),
    ),
    Scenario(
        "weekend",
        "identical versions from Friday noon on; out of hours a fifth of the requests, and three times the failures",
        "ship",
        new=Version(_week),
        old=Version(_week),
        rate=lambda time: 100.0 if _working(time) else 20.0,
        horizon_s=5 * DAY,
        recipe="slow",
        look_s=300.0,
    ),
    Scenario(
        "novelty",
        "the new version lifts the primary metric from 10 to 15 % at first; half of that is gone every hour",
        "ship",
        new=Version(steady(USUAL), converts=_fades),
        recipe="judged",
    ),
    _few(1.0),
    _few(1.0, "patient"),
    _few(5.0),
    _few(20.0),
)
