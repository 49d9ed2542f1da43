"""How long an experiment has to run."""

import pytest

from router.design.duration import Arrivals, Duration, duration


def test_units_that_are_always_new_come_evenly() -> None:
    """10 000 units at 1 000 a day, of which a fifth is enrolled, take 50 days, or 8 weeks."""
    assert duration(10_000, Arrivals(1_000, 0.2)) == Duration(50, 56, 56)


def test_units_that_return_take_longer() -> None:
    """With an exponent of one half it takes the square of the days."""
    assert duration(3_000, Arrivals(1_000, novelty=0.5)).days == 9
    assert Arrivals(1_000, novelty=0.5).units(9) == pytest.approx(3_000)


def test_the_last_unit_has_its_window() -> None:
    """Results are read when the outcomes of the last day have come."""
    assert duration(700, Arrivals(100), window_days=2.5) == Duration(7, 7, 10)


def test_less_than_a_day_is_a_week() -> None:
    """Every weekday is seen, however many units there are."""
    assert duration(10, Arrivals(1e6)) == Duration(1, 7, 7)


@pytest.mark.parametrize(
    ("per_day", "share", "novelty"),
    [(0, 1, 1), (float("nan"), 1, 1), (1, 0, 1), (1, 1.1, 1), (1, 1, 0.01), (1, 1, 1.1)],
)
def test_what_are_no_arrivals_is_refused(per_day: float, share: float, novelty: float) -> None:
    """Nobody, more than everybody, and a growing stream of new units are mistakes."""
    with pytest.raises(ValueError, match=r"per day|share|novelty"):
        Arrivals(per_day, share, novelty)


def test_centuries_and_negative_windows_are_refused() -> None:
    """What takes a century is no experiment."""
    with pytest.raises(ValueError, match="century"):
        duration(1e9, Arrivals(1))
    with pytest.raises(ValueError, match="window"):
        duration(1, Arrivals(1), -1.0)
