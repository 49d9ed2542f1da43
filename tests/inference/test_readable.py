"""When a fixed-horizon result may be read: at what was planned, not before."""

import pytest

from router.inference.readable import Planned, readable

DAY = 86400.0


@pytest.mark.parametrize(
    ("planned", "units", "days", "expected", "at"),
    [
        (Planned(units_per_arm=100), 99, 5, False, None),
        (Planned(units_per_arm=100), 100, 5, True, None),
        (Planned(duration=7 * DAY), 0, 6.99, False, 1000 + 7 * DAY),
        (Planned(duration=7 * DAY), 0, 7, True, 1000 + 7 * DAY),
        (Planned(100, 7 * DAY), 100, 6, False, 1000 + 7 * DAY),
        (Planned(100, 7 * DAY), 99, 8, False, 1000 + 7 * DAY),
        (Planned(100, 7 * DAY), 100, 7, True, 1000 + 7 * DAY),
        (Planned(), 10**9, 999, False, None),
    ],
)
def test_it_may_be_read_when_all_that_was_planned_is_reached(
    planned: Planned, units: int, days: float, *, expected: bool, at: float | None
) -> None:
    """Size and time both; without a plan, never."""
    found = readable(planned, units, 1000.0, 1000.0 + days * DAY)
    assert (found.readable, found.at) == (expected, at)
    assert found.reason


@pytest.mark.parametrize("wrong", [{"units_per_arm": 0}, {"duration": 0.0}, {"duration": float("inf")}])
def test_plans_that_cannot_be_reached_are_refused(wrong: dict[str, float]) -> None:
    """No size, no time and no end are mistakes."""
    with pytest.raises(ValueError, match="planned"):
        Planned(**wrong)  # type: ignore[arg-type]
