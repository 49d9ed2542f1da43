"""The slices of the router's own: what is known of a unit beside the attributes of its route."""

from typing import Any

import pytest

from router.analysis.aggregates import Place
from router.analysis.fold import fold_one
from router.analysis.history import History
from router.analysis.plan import MOST_DAYS, Plan
from router.analysis.result import Result
from router.config.schema import Metric
from tests.analysis import logs

ERRORS = Metric(name="errors", kind="ratio", exchange="failed", goal="down")
CLICKS = Metric(name="clicks", kind="count", outcome="click", goal="up")
DAY = 86400.0


def folded(exposures: list[logs.Row], outcomes: list[logs.Row], *names: str, now: float = 1e6) -> Result:
    """Fold with slices."""
    plan = Plan("e", (ERRORS, CLICKS), slices=names)
    return fold_one(logs.engine(exposures, outcomes), plan, History(), now)


def units(found: Result, name: str) -> dict[tuple[str, str], int]:
    """Return, by arm and value, the units of a slice."""
    return {(place.arm, place.values[0]): cell.units for place, cell in found.cells.items() if place.slicing == (name,)}


@pytest.mark.parametrize(
    ("day", "name"), [(0, "thursday"), (3, "sunday"), (4, "monday"), (20779, "sunday"), (20780, "monday")]
)
def test_weekdays_are_those_of_utc(day: int, name: str) -> None:
    """1970-01-01 was a Thursday, 2026-11-22 a Sunday; days begin at midnight."""
    first, last = (
        logs.exposure(number, unit=f"u{number}", time=day * DAY + at) for number, at in enumerate((0, DAY - 1))
    )
    assert units(folded([first, last], [], "weekday", now=1e10), "weekday") == {("a", name): 2}


def test_heads_are_the_most_active_fifth_before_exposure() -> None:
    """Exchanges in any experiment and own outcomes count, before the first exposure in the run only, over all arms."""
    exposures, outcomes = [], []
    for who in range(10):
        arm = "ab"[who % 2]
        exposures.append(logs.exposure(who, unit=f"u{who}", time=100.0, arm=arm))
        for number in range(who):
            extra = {"unit": f"u{who}", "time": 10.0 + number}
            if number % 2:
                outcomes.append(logs.outcome(who * 100 + number, **extra))
            else:
                exposures.append(logs.exposure(who * 100 + number, experiment="other", arm="z", **extra))
        exposures += [logs.exposure(5000 + who * 50 + n, unit=f"u{who}", time=200.0, arm=arm) for n in range(9 - who)]
    found = units(folded(exposures, outcomes, "volume"), "volume")
    assert found == {("a", "head"): 1, ("a", "tail"): 4, ("b", "head"): 1, ("b", "tail"): 4}


def test_caches_are_warm_for_an_hour() -> None:
    """Whoever had an exchange in the hour before the first exposure is warm; who had one earlier, or none, is cold."""
    times: dict[str, Any] = {
        "hot": [5000.0, 8000.0],
        "old": [4000.0, 8000.0],
        "new": [8000.0],
        "later": [8000.0, 8100.0],
    }
    exposures = [
        logs.exposure(place * 10 + number, unit=unit, time=time, experiment="e" if time >= 8000.0 else "other")
        for place, (unit, known) in enumerate(times.items())
        for number, time in enumerate(known)
    ]
    assert units(folded(exposures, [], "cache"), "cache") == {("a", "warm"): 1, ("a", "cold"): 3}


def test_quarters_of_latency_are_those_of_both_arms() -> None:
    """The duration of the first exchange decides; a slow arm fills the slow quarters, and compares nothing."""
    exposures = [
        logs.exposure(number, unit=f"u{number}", arm="ab"[number >= 20], duration=float(number + 1), time=float(number))
        for number in range(40)
    ]
    exposures += [logs.exposure(99, unit="u0", duration=1e4, time=500.0)]
    found = units(folded(exposures, [], "latency"), "latency")
    assert found == {("a", "q1"): 10, ("a", "q2"): 10, ("b", "q3"): 10, ("b", "q4"): 10}


def test_days_are_bounded() -> None:
    """The latest 400 days are told apart; what is older is of the first of them."""
    exposures = [logs.exposure(number, unit=f"u{number}", time=number * DAY) for number in range(500)]
    found = units(folded(exposures, [], "day", now=500 * DAY - 1), "day")
    assert len(found) == MOST_DAYS
    assert found["a", "100"] == 101
    assert found["a", "499"] == 1


def test_slices_add_up_to_everybody() -> None:
    """Every unit is in one value of each slice, with the same sums."""
    exposures = [
        logs.exposure(number, unit=f"u{number % 17}", time=number * 9000.0, duration=0.01 * (number % 7 + 1))
        for number in range(60)
    ]
    outcomes = [logs.outcome(number, unit=f"u{number}", time=number * 8000.0) for number in range(30)]
    names = ("new_unit", "day", "weekday", "volume", "cache", "latency")
    found = folded(exposures, outcomes, *names)
    whole = found.cells[Place(1, 1, "a")]
    for name in names:
        parts = [cell for place, cell in found.cells.items() if place.slicing == (name,)]
        assert sum(part.units for part in parts) == whole.units
        assert sum(part.metrics["clicks"].units.y for part in parts) == whole.metrics["clicks"].units.y
