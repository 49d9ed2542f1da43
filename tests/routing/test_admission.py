"""One more exchange at a target with a limit: now, later, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.routing.admission import Limit, Load, admit, expected_wait, hands_on, observe, retry_after

LIMIT = Limit(max=4, queue=8, queue_timeout=0.5)


@pytest.mark.parametrize(
    ("load", "remaining", "verdict"),
    [
        (Load(0, 0, 0, 0.0), 10.0, "admit"),
        (Load(3, 5, 0, 9.0), 10.0, "admit"),  # those that wait in other workers are not ahead here
        (Load(3, 1, 1, 0.0), 10.0, "wait"),  # first come, first served
        (Load(4, 0, 0, 0.0), 10.0, "wait"),
        (Load(4, 7, 7, 0.0), 10.0, "wait"),  # how long it takes is not known yet
        (Load(4, 8, 0, 0.0), 10.0, "queue_full"),
        (Load(4, 4, 4, 0.5), 10.0, "wait"),  # 4 x 0.5 s / 4 = 0.5 s
        (Load(4, 5, 5, 0.5), 10.0, "queue_timeout"),
        (Load(4, 4, 4, 0.5), 0.4, "deadline"),
        (Load(4, 5, 5, 0.5), 0.4, "deadline"),
        (Load(9, 0, 0, 0.0), 10.0, "wait"),  # workers that admitted at once
    ],
)
def test_verdicts(load: Load, remaining: float, verdict: str) -> None:
    """Each reason has its word, and who waits can expect to be served in time."""
    assert admit(LIMIT, load, remaining) == verdict


counts = st.integers(0, 50)
limits = st.builds(Limit, max=st.integers(1, 20), queue=st.integers(0, 20), queue_timeout=st.floats(0.001, 10))
loads = st.builds(Load, inflight=counts, queued=counts, ahead=counts, service=st.floats(0, 100))


@given(limits, loads, st.floats(0, 100))
def test_nobody_is_let_in_beyond_the_limits(limit: Limit, load: Load, remaining: float) -> None:
    """A verdict never exceeds what is allowed, and never makes anybody wait in vain as far as is known."""
    verdict = admit(limit, load, remaining)
    if verdict == "admit":
        assert load.inflight < limit.max
    if verdict == "wait":
        assert load.queued < limit.queue
        assert expected_wait(limit, load) <= min(remaining, limit.queue_timeout)


@given(limits, loads, st.floats(0, 100))
def test_less_to_do_is_never_worse(limit: Limit, load: Load, remaining: float) -> None:
    """Who would be let in or wait is not shed when fewer wait."""
    fewer = Load(load.inflight, max(0, load.queued - 1), load.ahead, load.service)
    if admit(limit, load, remaining) in {"admit", "wait"}:
        assert admit(limit, fewer, remaining) in {"admit", "wait"}


@pytest.mark.parametrize(
    ("own", "elsewhere", "workers", "leaves"),
    [(3, 0, 2, False), (3, 1, 2, True), (2, 1, 2, True), (1, 1, 2, False), (0, 1, 1, False), (0, 5, 8, True)],
)
def test_more_than_a_share_is_left_to_those_that_wait_elsewhere(
    own: int, elsewhere: int, workers: int, *, leaves: bool
) -> None:
    """A freed slot goes to another worker only if somebody waits there, and this one had more than its share of 4."""
    assert hands_on(LIMIT, own, elsewhere, workers) is leaves


def test_the_service_time_is_a_moving_average() -> None:
    """The first time is taken as it is, later ones by a tenth."""
    assert observe(0.0, 2.0) == 2.0
    assert observe(2.0, 12.0) == pytest.approx(3.0)


@pytest.mark.parametrize(("wait", "seconds"), [(0.0, 1), (0.2, 1), (1.0, 1), (1.1, 2), (1e9, 3600)])
def test_retry_after_is_whole_seconds(wait: float, seconds: int) -> None:
    """A wait is said in whole seconds, at least 1 and at most an hour (RFC 9110 10.2.3)."""
    assert retry_after(wait) == seconds
