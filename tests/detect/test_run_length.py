"""Run lengths of charts against the published tables."""

import pytest

from router.detect.chart import Chart, Cusum, Direction, Ewma, PageHinkley, Shewhart
from router.detect.run_length import run_length, with_run_length

SHIFTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
# Lucas & Crosier 1982, as Montgomery (Introduction to Statistical Quality Control) prints it for k = 0.5, both sides.
CUSUM = {
    4.0: (168, 74.2, 26.6, 13.3, 8.38, 4.75, 3.34, 2.62, 2.19, 1.71),
    5.0: (465, 139, 38.0, 17.0, 10.4, 5.75, 4.01, 3.11, 2.57, 2.01),
}
# Lucas & Saccucci 1990, as Montgomery prints it: (lambda, L).
EWMA = {
    (0.4, 3.054): (500, 224, 71.2, 28.4, 14.3, 5.9, 3.5, 2.5, 2.0, 1.4),
    (0.25, 2.998): (500, 170, 48.2, 20.1, 11.1, 5.5, 3.6, 2.7, 2.3, 1.7),
    (0.2, 2.962): (500, 150, 41.8, 18.2, 10.5, 5.5, 3.7, 2.9, 2.4, 1.9),
    (0.1, 2.814): (500, 106, 31.3, 15.9, 10.3, 6.1, 4.4, 3.4, 2.9, 2.2),
    (0.05, 2.615): (500, 84.1, 28.8, 16.4, 11.4, 7.1, 5.2, 4.2, 3.5, 2.7),
}


@pytest.mark.parametrize("limit", CUSUM)
def test_cusum_has_the_run_lengths_of_lucas_and_crosier(limit: float) -> None:
    """The equation gives the published numbers, in control and for every published shift."""
    found = [run_length(Cusum(0.5, limit), shift) for shift in SHIFTS]
    assert found == pytest.approx(CUSUM[limit], rel=0.005)


@pytest.mark.parametrize(("weight", "limit"), EWMA)
def test_ewma_has_the_run_lengths_of_lucas_and_saccucci(weight: float, limit: float) -> None:
    """The equation gives the published numbers to the digits that are printed."""
    found = [run_length(Ewma(weight, limit), shift) for shift in SHIFTS]
    assert found == pytest.approx(EWMA[weight, limit], rel=0.005, abs=0.05)


@pytest.mark.parametrize(("slack", "limit"), [(0.25, 8.01), (0.5, 4.77), (0.75, 3.34), (1.0, 2.52), (1.25, 1.99)])
def test_slacks_and_limits_of_hawkins_are_wrong_once_in_370_points(slack: float, limit: float) -> None:
    """The pairs that Hawkins (1993) gives for a run length of 370 have it."""
    assert run_length(Cusum(slack, limit)) == pytest.approx(370, rel=0.01)


def test_three_sigma_is_wrong_once_in_370_points() -> None:
    """Shewhart's chart has its well-known run length, and one side of it twice that."""
    assert run_length(Shewhart()) == pytest.approx(370.4, abs=0.05)
    assert run_length(Shewhart(), direction="up") == pytest.approx(740.8, abs=0.1)
    assert run_length(Shewhart(), 1.0) == pytest.approx(43.9, abs=0.05)


@pytest.mark.parametrize("chart", [Shewhart(), Ewma(), Cusum(), PageHinkley()], ids=lambda chart: type(chart).__name__)
@pytest.mark.parametrize("direction", ["up", "down", "both"])
@pytest.mark.parametrize("points", [100.0, 5_256_000.0])
def test_a_limit_has_the_run_length_it_was_made_for(chart: Chart, direction: Direction, points: float) -> None:
    """Solving for the limit and asking for its run length agree."""
    assert run_length(with_run_length(chart, points, direction), 0.0, direction) == pytest.approx(points, rel=0.01)


def test_a_shift_is_found_sooner_where_it_matters_and_never_earlier_in_the_other_direction() -> None:
    """A one-sided chart finds its own shifts faster than chance, and is blind to those of the other side."""
    for chart in (Shewhart(), Ewma(), Cusum(), PageHinkley()):
        assert run_length(chart, 1.0, "up") < run_length(chart, 0.0, "up") / 10
        assert run_length(chart, -1.0, "up") > run_length(chart, 0.0, "up")
        assert run_length(chart, -1.0, "down") == pytest.approx(run_length(chart, 1.0, "up"), rel=1e-6)
