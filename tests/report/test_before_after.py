"""A route's exchanges before and after a change."""

import numpy as np
import pytest

from router.analysis.estimate import NotEnough
from router.inference.effect import Asked, Effect
from router.report.before_after import Hour, before_after

ASKED = Asked(0.05)


def hours(before: int, after: int, effect: float = 0.0, seed: int = 1) -> list[Hour]:
    """Draw hours of a thousand exchanges, slower by day, that fail more often after the change."""
    rng = np.random.default_rng(seed)
    return [
        Hour(
            place,
            1000,
            int(rng.binomial(1000, 0.02 + (effect if place >= 0 else 0.0))),
            1000 * (0.2 + 0.05 * float(np.sin(place * np.pi / 12)) + 0.001 * float(rng.standard_normal())),
        )
        for place in range(-before, after)
    ]


@pytest.mark.parametrize(("before", "after", "width", "points"), [(100, 40, 3600.0, 140), (720, 240, 86400.0, 40)])
def test_a_change_is_found_and_labelled(before: int, after: int, width: float, points: int) -> None:
    """By the hour while there are few days, else by the day; in what changed, and not in what did not."""
    found = before_after("r", 1e9, hours(before, after, 0.02), ASKED)
    assert (found.label, found.width, found.before + found.after) == ("pre/post", width, points)
    failed, duration = found.effects["failed"], found.effects["duration"]
    assert isinstance(failed, Effect)
    assert isinstance(duration, Effect)
    assert failed.method == duration.method == "pre/post"
    assert failed.notes[0].startswith("pre/post: nothing was randomised")
    assert failed.interval.holds(0.02)
    assert not failed.interval.holds(0.0)
    assert abs(duration.value) < 0.001


def test_a_day_lies_on_one_side_of_the_change() -> None:
    """Days begin at the change; what is left of the oldest and the newest is no point."""
    found = before_after("r", 1e9, hours(20 * 24 + 5, 8 * 24 + 7), ASKED)
    assert (found.before, found.after) == (20, 8)


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ([], "0 points before"),
        (hours(0, 100), "0 points before the change, and it takes 48"),
        (hours(100, 0), "0 points after"),
        (hours(47, 10), "47 points before"),
        ([hour for hour in hours(100, 40) if hour.place != -7], "an hour had no exchanges"),
        ([hour for hour in hours(100, 40) if hour.place != 30], "an hour had no exchanges"),
        ([Hour(place, 10, 0, 1.0) for place in range(-100, 40)], "does not vary"),
    ],
    ids=range(7),
)
def test_a_short_history_is_not_enough(known: list[Hour], reason: str) -> None:
    """Nor are gaps, or a constant; the reason is labelled, too."""
    for effect in before_after("r", 1e9, known, ASKED).effects.values():
        assert isinstance(effect, NotEnough)
        assert effect.reason.startswith("pre/post: ")
        assert reason in effect.reason
