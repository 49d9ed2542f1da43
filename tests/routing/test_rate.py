"""Token buckets: never more than the rate allows, in one worker or in many, and never less for no reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.routing.rate import Buckets, Rate

rates = st.builds(
    Rate, per_second=st.sampled_from([0.5, 1.0, 7.0, 10 / 60, 1000.0]), burst=st.sampled_from([1, 2, 5, 200])
)
gaps = st.lists(st.sampled_from([0.0, 1e-6, 0.001, 0.01, 0.1, 1.0, 30.0]), min_size=1, max_size=120)
EPSILON = 1e-6  # sums of times are rounded


def most(times: list[float], rate: Rate, *, grace: float = 0.0, more: float = 0.0, bursts: int = 1) -> None:
    """Assert the bound for every interval that begins and ends with an admission; others hold no more."""
    for first, begin in enumerate(times):
        for last in range(first, len(times)):
            bound = bursts * rate.burst + rate.per_second * (times[last] - begin + grace) + more
            assert last - first + 1 <= bound + EPSILON


@given(rates, gaps)
def test_one_worker_never_admits_more_than_burst_and_rate(rate: Rate, waits: list[float]) -> None:
    """In any interval of t seconds at most burst + rate x t requests are admitted."""
    buckets = Buckets(rate, 1, 0.0, late=False)
    now = 0.0
    admitted: list[float] = []
    for wait in waits:
        now += wait
        if buckets.take(0, now, len(admitted)) == 0.0:
            admitted.append(now)
    most(admitted, rate)


@given(rates, gaps)
def test_a_refusal_says_when_there_is_a_token(rate: Rate, waits: list[float]) -> None:
    """Whoever waits as long as it was told, and comes alone, is admitted; and who comes earlier is not."""
    buckets = Buckets(rate, 1, 0.0, late=False)
    now, admitted = 0.0, 0
    for wait in waits:
        now += wait
        left = buckets.take(0, now, admitted)
        if left == 0.0:
            admitted += 1
        else:
            if left > 1e-9:  # below that, sums of floats say nothing
                assert buckets.look(0, now + left * 0.99, admitted) < 1.0
            assert buckets.look(0, now + left * 1.000001 + 1e-9, admitted) >= 1.0 - EPSILON
            now += left * 1.000001 + 1e-9


steps = st.lists(
    st.tuples(st.integers(0, 2), st.booleans(), st.sampled_from([0.0, 1e-6, 0.001, 0.01, 0.04])), max_size=150
)


@given(rates, steps)
def test_workers_together_keep_the_documented_bound(rate: Rate, script: list[tuple[int, bool, float]]) -> None:
    """Three workers that look every p seconds admit at most burst + rate x (t + p) + 2, with stale sums of each other.

    A step is a worker that reads the sum, and decides; whether it has written its admission before the next step, or
    only before its own next one, is the race.
    """
    period = 0.05
    views = [Buckets(rate, 1, 0.0, late=False) for _ in range(3)]
    written, unwritten = [0, 0, 0], [0, 0, 0]
    looked = 0.0
    now = 0.0
    admitted: list[float] = []
    for worker, at_once, wait in script:
        now += wait
        if now - looked >= period - 0.04:  # all look, as on their ticks
            for index, view in enumerate(views):
                written[index] += unwritten[index]
                unwritten[index] = 0
                view.look(0, now, sum(written))
            looked = now
        written[worker] += unwritten[worker]
        unwritten[worker] = 0
        if views[worker].take(0, now, sum(written)) == 0.0:
            admitted.append(now)
            (written if at_once else unwritten)[worker] += 1
    most(admitted, rate, grace=period, more=2)


@given(rates, steps)
def test_workers_that_never_look_in_between_have_a_burst_each(
    rate: Rate, script: list[tuple[int, bool, float]]
) -> None:
    """Without ticks, as with a table of units, three workers admit at most 3 bursts + rate x t + 2."""
    views = [Buckets(rate, 1, 0.0, late=False) for _ in range(3)]
    now = 0.0
    admitted: list[float] = []
    for worker, _, wait in script:
        now += wait * 100
        if views[worker].take(0, now, len(admitted)) == 0.0:
            admitted.append(now)
    most(admitted, rate, bursts=3, more=2)


@given(st.sampled_from([2.0, 10.0, 1000.0]), st.integers(1, 5), st.floats(0.1, 0.9))
def test_what_is_within_the_rate_is_admitted(per_second: float, burst: int, part: float) -> None:
    """A steady flow below the rate is never refused, also by a worker that gets one request in eight."""
    rate = Rate(per_second, burst)
    views = [Buckets(rate, 1, 0.0, late=False) for _ in range(2)]
    for count in range(200):
        now = count / (per_second * part)
        assert views[count % 8 == 7].take(0, now, count) == 0.0


def test_a_late_view_begins_with_one_token() -> None:
    """The view of a worker that replaces another is not worth a burst, and locks nobody out."""
    buckets = Buckets(Rate(1.0, 100), 2, 50.0, late=True)
    assert buckets.take(0, 50.0, 1000) == 0.0
    assert buckets.take(0, 50.0, 1001) == pytest.approx(1.0)
    assert buckets.take(1, 50.0, 0) == 0.0


def test_buckets_are_independent() -> None:
    """What is taken from one bucket is there in the next."""
    buckets = Buckets(Rate(1.0, 1), 2, 0.0, late=False)
    assert buckets.take(0, 0.0, 0) == 0.0
    assert buckets.take(0, 0.0, 1) == 1.0
    assert buckets.take(1, 0.0, 0) == 0.0


def test_a_changed_rate_goes_on_with_what_is_left() -> None:
    """A reload does not refill a bucket, and a smaller burst cuts what is there."""
    buckets = Buckets(Rate(1.0, 10), 1, 0.0, late=False)
    for count in range(10):
        assert buckets.take(0, 0.0, count) == 0.0
    buckets.change(Rate(100.0, 50))
    assert buckets.take(0, 0.0, 10) == pytest.approx(0.01)
    assert buckets.look(0, 100.0, 10) == 50.0
    buckets.change(Rate(1.0, 2))
    assert buckets.look(0, 100.0, 10) == 2.0


def test_a_clock_that_stands_still_refills_nothing() -> None:
    """Time that goes back counts as none."""
    buckets = Buckets(Rate(1.0, 1), 1, 10.0, late=False)
    assert buckets.take(0, 10.0, 0) == 0.0
    assert buckets.take(0, 5.0, 1) == 1.0
