"""When a dead child is replaced, and when it is given up."""

from hypothesis import given
from hypothesis import strategies as st

from router.supervisor.restart import Policy, Restarts

POLICY = Policy(settled_s=10.0, free=3, first_s=0.2, cap_s=1.0, limit=7)


def test_a_crash_is_replaced_at_once() -> None:
    """The first deaths cost no wait."""
    restarts = Restarts(POLICY)
    assert [restarts.died(0.0) for _ in range(3)] == [0.0, 0.0, 0.0]


def test_a_crash_loop_waits_longer_each_time_and_is_given_up() -> None:
    """Waits double up to the cap; the last death allowed ends it."""
    restarts = Restarts(POLICY)
    assert [restarts.died(1.0) for _ in range(7)] == [0.0, 0.0, 0.0, 0.2, 0.4, 0.8, None]


def test_a_long_life_settles_everything() -> None:
    """A worker that crashes once an hour is replaced at once, for ever."""
    restarts = Restarts(POLICY)
    for _ in range(5):
        restarts.died(0.0)
    assert [restarts.died(10.0) for _ in range(20)] == [0.0] * 20


@given(st.lists(st.floats(0, 100), max_size=200))
def test_without_a_limit_nothing_is_given_up_and_waits_stay_bounded(lives: list[float]) -> None:
    """The control process is restarted as long as it takes."""
    restarts = Restarts(Policy(limit=None, cap_s=30.0))
    for lived in lives:
        wait = restarts.died(lived)
        assert wait is not None
        assert 0.0 <= wait <= 30.0


def test_very_many_deaths_do_not_overflow() -> None:
    """A crash loop of days still waits the cap."""
    restarts = Restarts(Policy(limit=None, cap_s=30.0))
    assert [restarts.died(0.0) for _ in range(5000)][-1] == 30.0
