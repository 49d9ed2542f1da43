"""Trends: what creeps is seen, what jumps once or swings with control is not, and chance seldom is."""

import numpy as np
import pytest
from scipy import stats

from router.config.schema import Guardrail
from router.guardrail.trend import LOOKS, MOST, autocorrelation, slope_of, windows_of
from router.guardrail.windows import LEVELS
from tests.guardrail.looks import Release

HOUR = Guardrail(metric="p99", trend=0.2, over=3600.0, action="warn")


def creeping(release: Release, seconds: int, ms: float, *, control: float | None = None) -> list[str]:
    """Serve a latency that grows by so many ms a minute, and give the status of each look."""
    found: list[str] = []
    for minute in range(seconds // 60):
        of_control = 100.0 + minute * (0.0 if control is None else control)
        looks = release.run(60, every=60, control=(30, 0, of_control), treatment=(30, 0, 100.0 + minute * ms))
        found.append(looks[-1][0].status)
    return found


def test_a_latency_that_creeps_fails() -> None:
    """Twice as slow within an hour is beyond 20 % and no chance; before the hour is over nothing is said."""
    release = Release((HOUR,))
    found = creeping(release, 3720, 1.7)
    assert set(found[:59]) == {"inconclusive"}
    assert found[-1] == "fail"
    said = release.look()[0]
    assert (said.name, said.action, said.margin) == ("p99 trend 20%", "warn", 0.2)
    assert said.low is not None
    assert said.estimate is not None
    assert 0 < said.low < said.estimate
    assert "relative to control's" in said.reason


def test_what_both_arms_do_is_no_trend() -> None:
    """The afternoon's load slows both."""
    assert creeping(Release((HOUR,)), 3720, 1.7, control=1.7)[-1] == "pass"


def test_a_steady_latency_passes() -> None:
    """Its slope is 0, for sure less than the margin."""
    assert creeping(Release((HOUR,)), 3720, 0.0)[-1] == "pass"


def test_without_control_the_arm_is_alone() -> None:
    """A full share has nothing to compare with."""
    release = Release((HOUR,))
    for minute in range(62):
        release.run(60, every=60, treatment=(30, 0, 100.0 + 1.7 * minute))
    said = release.look()[0]
    assert said.status == "fail"
    assert "relative" not in said.reason


def test_a_gap_is_inconclusive() -> None:
    """A part of the time without exchanges has no value."""
    release = Release((HOUR,))
    creeping(release, 1800, 1.7)
    release.run(900, every=60, control=(30, 0, 100.0))
    assert creeping(release, 1200, 1.7)[-1] == "inconclusive"


def test_the_slope_is_theil_and_sen_s() -> None:
    """Along all windows, as scipy computes it; the interval is scipy's where neighbours are not alike."""
    values = np.random.default_rng(3).normal(size=MOST)
    slope, low, high = slope_of(values, 0.05)
    theirs = stats.theilslopes(values, np.arange(MOST), alpha=0.9)
    assert slope == pytest.approx(theirs.slope * MOST)
    assert low < slope < high
    assert autocorrelation(values - theirs.slope * np.arange(MOST)) == 0
    assert (low, high) == pytest.approx((theirs.low_slope * MOST, theirs.high_slope * MOST), rel=0.1)


@pytest.mark.parametrize(("alike", "most"), [(0.0, 0.05), (0.4, 0.08), (0.8, 0.11)])
def test_neighbours_that_are_alike_are_no_trend(alike: float, most: float) -> None:
    """Of 1,000 series of 36 windows without a trend, whose neighbours are alike, about 5 % are called one at 5 %."""
    generator, runs = np.random.default_rng(5), 1000
    shocks = generator.normal(size=(runs, MOST + 40))
    values = shocks.copy()
    for step in range(1, MOST + 40):
        values[:, step] = alike * values[:, step - 1] + shocks[:, step]
    wrong = np.mean([slope_of(row, 0.05)[1] > 0 for row in values[:, 40:]])
    assert wrong < most + 3 * (most * (1 - most) / runs) ** 0.5


def test_a_few_wild_windows_change_little() -> None:
    """Nine of 36 may be anything."""
    values = np.ones(MOST)
    values[::4] = 1e9
    assert slope_of(values, 0.01)[0] == 0


@pytest.mark.parametrize("over", [600.0, 1200.0, 3600.0, 7200.0, 6 * 3600.0, 12 * 3600.0, 3 * 86400.0])
def test_windows_are_no_shorter_than_marks_are_apart(over: float) -> None:
    """12 to 36 of them, whatever the time."""
    step = next(step for step, age in LEVELS if over <= age)
    assert LOOKS <= windows_of(over) <= MOST
    assert over / windows_of(over) >= step
