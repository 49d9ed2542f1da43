"""Promises of ``router.bench.schedule``."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.bench.schedule import Schedule

RATES = st.floats(min_value=0.1, max_value=1e6, allow_nan=False)


def test_requests_are_meant_to_be_sent_at_even_intervals() -> None:
    """The intended time of request n is start + n / rate, whenever it is taken."""
    schedule = Schedule(rate=4.0, total=5, start=100.0)
    assert [schedule.take() for _ in range(5)] == [100.0, 100.25, 100.5, 100.75, 101.0]


def test_nothing_is_due_before_the_start_and_one_request_is_at_the_start() -> None:
    """The first request is due at the start, not an interval later."""
    schedule = Schedule(rate=10.0, total=5, start=100.0)
    assert [schedule.due(now) for now in (99.9, 100.0, 100.05, 100.1, 100.25)] == [0, 1, 1, 2, 3]


def test_a_late_look_finds_everything_that_became_due_meanwhile() -> None:
    """Requests that nobody looked for during a stall stay due; none is dropped or moved."""
    schedule = Schedule(rate=1000.0, total=5000, start=0.0)
    schedule.take()
    assert schedule.due(2.5) == 2500


@given(RATES, st.integers(min_value=1, max_value=500), st.floats(min_value=0, max_value=1e5))
def test_every_request_is_due_at_its_intended_time_and_not_an_interval_earlier(
    rate: float, total: int, start: float
) -> None:
    """Whatever the rate, due and intended time agree up to rounding, for every request."""
    schedule = Schedule(rate, total, start)
    for number in range(total):
        intended = Schedule(rate, total, start)
        intended.taken = number
        moment = intended.take()
        # Clocks of 1e5 s hold about 1e-11 s; that times the rate is the share of an interval that is lost to rounding.
        assert schedule.due(moment) + schedule.taken >= number + (1 if rate < 1e4 else 0)
        assert schedule.due(moment - 0.9 / rate) + schedule.taken <= number + (0 if number and rate < 1e4 else 1)


@given(RATES, st.integers(min_value=1, max_value=200), st.lists(st.floats(min_value=0, max_value=10), max_size=50))
def test_each_request_is_taken_once_however_irregular_the_looks_are(rate: float, total: int, gaps: list[float]) -> None:
    """Taking what is due at any moments gives the same intended times as taking them all at once."""
    schedule = Schedule(rate, total, 0.0)
    taken: list[float] = []
    now = 0.0
    for gap in gaps:
        now += gap
        taken += [schedule.take() for _ in range(schedule.due(now))]
        assert schedule.due(now) == 0
    taken += [schedule.take() for _ in range(schedule.due(now + total / rate))]
    assert taken == [number / rate for number in range(total)]
    assert schedule.exhausted()


def test_taking_more_than_there_are_is_an_error() -> None:
    """A schedule does not go on beyond its total."""
    schedule = Schedule(rate=1.0, total=1, start=0.0)
    schedule.take()
    assert schedule.due(1e9) == 0
    with pytest.raises(IndexError):
        schedule.take()
