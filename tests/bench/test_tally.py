"""Promises of ``router.bench.tally``: what is counted, and when it may be believed."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.bench.schedule import Schedule
from router.bench.tally import Spread, Tally, Times, doubt

RATE = 1000.0
SERVICE_S = 0.0005


def stalling(at: float, length: float) -> Callable[[float], float]:
    """Return when a server is done that takes half a millisecond, but does nothing within one stall."""

    def done(begun: float) -> float:
        end = begun + SERVICE_S
        return end if end < at or begun >= at + length else at + length + SERVICE_S

    return done


def open_loop(server: Callable[[float], float], total: int) -> Tally:
    """Run an open loop with one connection on a fake clock that jumps from event to event."""
    schedule, tally = Schedule(RATE, total, 0.0), Tally()
    now = 0.0
    while not schedule.exhausted():
        waited = schedule.due(now) > 0
        if not waited:
            now = schedule.taken / RATE
        intended = schedule.take()
        tally.sent(intended, now, waited=waited and now > intended)
        now = server(now)
        tally.answered(intended, now, 200)
    return tally


def test_a_stall_is_felt_by_every_request_that_was_meant_to_be_sent_within_it() -> None:
    """A second of stall at 1,000/s is about a thousand slow answers of which the slowest took the whole second."""
    tally = open_loop(stalling(at=2.0, length=1.0), total=10_000)
    spread = tally.latency.spread()
    assert spread is not None
    # The stall itself, and as long again at half the service rate until the backlog is gone.
    assert tally.waited == pytest.approx(2000, abs=5)
    assert spread.largest == pytest.approx(1e6, rel=0.01)
    # 10 % of all requests come in the stall and the latencies fall evenly from a second to nothing, and then half as
    # steeply over the backlog: of 10,000 requests, 1,000 are slower than half a second.
    assert spread.quantiles["p90"] == pytest.approx(500_000, rel=0.05)
    assert spread.quantiles["p50"] == pytest.approx(SERVICE_S * 1e6, rel=0.125)


def test_a_closed_loop_would_have_shown_the_same_stall_as_one_slow_answer() -> None:
    """The measure of the difference: latency from the moment of sending hides the stall from every quantile."""
    server, closed = stalling(at=2.0, length=1.0), Times()
    now = 0.0
    for _ in range(10_000):
        done = server(now)
        closed.add(done - now)
        now = done
    spread = closed.spread()
    assert spread is not None
    assert spread.quantiles["p99.9"] < 2 * SERVICE_S * 1e6
    assert spread.largest == pytest.approx(1e6, rel=0.01)


def test_without_a_stall_latency_is_the_service_time() -> None:
    """The correction adds nothing to a server that keeps up."""
    spread = open_loop(stalling(at=1e9, length=0.0), total=1000).latency.spread()
    assert spread is not None
    assert spread.largest == pytest.approx(SERVICE_S * 1e6)


def test_waiting_for_a_connection_is_not_the_generators_own_lateness() -> None:
    """Late because no connection was free counts as waited; late with one free counts as the generator's fault."""
    tally = Tally()
    tally.sent(1.0, 1.5, waited=True)
    tally.sent(2.0, 2.25, waited=False)
    assert tally.waited == 1
    assert tally.lateness.count == 1
    assert tally.lateness.largest == pytest.approx(250_000)


def test_an_error_status_is_a_latency_and_a_failure() -> None:
    """Fast errors may not look like a fast service, and their times are not lost either."""
    tally = Tally()
    tally.answered(0.0, 0.001, 200)
    tally.answered(0.0, 0.002, 503)
    tally.answered(0.0, 0.002, 503)
    assert tally.failures == {"status 503": 2}
    assert tally.codes == {200: 1, 503: 2}
    assert tally.latency.count == 3


@given(st.lists(st.floats(min_value=1e-6, max_value=3600), min_size=1, max_size=300))
def test_quantiles_are_within_an_eighth_of_the_exact_ones(times: list[float]) -> None:
    """The histogram is at most one bucket off, and never outside the extremes."""
    counted = Times()
    for each in times:
        counted.add(each)
    spread = counted.spread()
    assert spread is not None
    assert spread.count == len(times)
    exact = sorted(each * 1e6 for each in times)
    assert (spread.smallest, spread.largest) == (exact[0], exact[-1])
    for name, value in spread.quantiles.items():
        rank = max(float(name[1:]) / 100 * len(exact), 1.0)
        low, high = exact[int(rank) - 1], exact[min(int(rank), len(exact) - 1)]
        assert low * 0.875 - 1 <= value <= high * 1.125 + 1


def test_quantiles_beyond_the_last_observation_are_left_out() -> None:
    """A hundred observations say nothing about the 99.9th percentile."""
    counted = Times()
    for number in range(100):
        counted.add(number / 1000)
    spread = counted.spread()
    assert spread is not None
    assert list(spread.quantiles) == ["p50", "p90", "p99"]


def test_nothing_counted_is_no_distribution() -> None:
    """Without observations there is no latency of 0."""
    assert Times().spread() is None


def spread_of(*milliseconds: float) -> Spread:
    """Return the distribution of some times."""
    counted = Times()
    for each in milliseconds:
        counted.add(each / 1000)
    spread = counted.spread()
    assert spread is not None
    return spread


def test_a_generator_that_was_late_itself_makes_the_run_doubtful() -> None:
    """Lateness of more than a millisecond and a tenth of the latency is a visible part of it."""
    slow = spread_of(*[20.0] * 200)
    said = doubt(slow, spread_of(*[5.0] * 200), busy=0.2)
    assert said is not None
    assert "late" in said


@pytest.mark.parametrize(("late", "latency"), [(0.9, 1.0), (1.5, 20.0), (0.0, 0.1)])
def test_lateness_that_cannot_be_seen_in_the_latency_is_no_doubt(late: float, latency: float) -> None:
    """A scheduler's usual delay, or a tenth of the latency, is accepted."""
    assert doubt(spread_of(*[latency] * 200), spread_of(*[late] * 200), busy=0.2) is None


def test_a_generator_without_a_core_to_spare_makes_the_run_doubtful() -> None:
    """Answers that wait in a busy generator would look like slowness of the target."""
    said = doubt(spread_of(1.0), spread_of(0.0), busy=0.97)
    assert said is not None
    assert "97%" in said


def test_a_run_without_answers_is_not_called_late() -> None:
    """Nothing answered is a failure of its own, not doubt about the generator."""
    assert doubt(None, spread_of(0.1), busy=0.1) is None
