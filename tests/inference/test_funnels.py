"""Funnels: every step as a share of all units, and of those before."""

import pytest
from msgspec import structs

from router.analysis.aggregates import Aggregate, Moments
from router.analysis.estimate import NotEnough
from router.config.schema import Metric
from router.inference import fixed, funnels
from router.inference.effect import Asked, Effect
from tests.inference.arms import MEAN

ASKED = Asked()
FUNNEL = Metric(name="f", kind="funnel", steps=("view", "cart", "buy"), goal="up")


def came(units: int, *steps: int) -> Aggregate:
    """Return an arm whose units came so far."""
    return Aggregate(units=Moments(units, float(steps[-1]), float(steps[-1])), steps=steps)


def test_steps_are_shares_of_all_and_of_those_before() -> None:
    """The last step of all units is the metric itself; shares of those before say that they are selected."""
    one, two = came(1000, 600, 300, 90), came(1100, 650, 310, 70)
    found = funnels.steps(FUNNEL, one, two, ASKED)
    assert [step.name for step in found] == ["view", "cart", "buy"]
    assert found[-1].of_all == fixed.compare(FUNNEL, one, two, ASKED)
    last = found[-1].of_previous
    assert isinstance(last, Effect)
    assert last.value == pytest.approx(90 / 300 - 70 / 310)
    assert funnels.SELECTED in last.notes
    assert found[0].of_all == found[0].of_previous


def test_a_step_that_nobody_came_to_ends_what_can_be_said() -> None:
    """Shares of nobody are none, and neither are sums that contradict each other."""
    found = funnels.steps(FUNNEL, came(100, 50, 0, 0), came(100, 60, 0, 0), ASKED)
    assert isinstance(found[1].of_all, NotEnough)
    assert isinstance(found[2].of_previous, NotEnough)
    wrong = funnels.steps(FUNNEL, came(100, 50, 60, 0), came(100, 60, 1, 0), ASKED)
    assert isinstance(wrong[1].of_previous, NotEnough)
    assert isinstance(funnels.steps(FUNNEL, Aggregate(), Aggregate(), ASKED)[0].of_all, NotEnough)


def test_steps_are_not_counted_by_cluster() -> None:
    """Where units hold several users, only the whole funnel has a test; other kinds have no steps."""
    grouped = structs.replace(came(100, 50, 20, 5), clusters=Moments(5, 5.0, 5.0, 100.0, 2000.0, 100.0))
    assert all(isinstance(step.of_all, NotEnough) for step in funnels.steps(FUNNEL, grouped, grouped, ASKED))
    with pytest.raises(ValueError, match="no funnel"):
        funnels.steps(MEAN, came(100, 50), came(100, 50), ASKED)
