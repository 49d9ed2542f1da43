"""What becomes of an exchange whose attempt failed, as data."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import counters
from router.config.schema import Retry
from router.routing.recover import (
    CAUSE,
    MIN_RETRIES,
    RETRIED,
    affordable,
    backoff_s,
    may_run_again,
    next_step,
)
from router.routing.steps import CachedStep, Step, TargetStep

ALL = counters.CAUSES


def target(name: str, *causes: str) -> TargetStep:
    """Make a step to a target."""
    return TargetStep(name, frozenset(causes or ALL), 0, 0)


LAST = CachedStep("cached", frozenset(ALL), 0, 0)


def test_every_fault_has_a_cause_that_fallbacks_can_name() -> None:
    """No fault of a target is left without a cause."""
    assert set(CAUSE) == set(counters.FAULTS)
    assert set(CAUSE.values()) == set(counters.CAUSES)
    assert set(counters.FAULTS) >= RETRIED


def test_steps_are_taken_in_order_and_for_their_causes() -> None:
    """The first step that is for the cause answers; a step for other causes is passed over."""
    steps: tuple[Step, ...] = (target("fast", "timeout"), target("old"), LAST)
    assert next_step(steps, 0, ("timeout",), ()) == 0
    assert next_step(steps, 0, ("5xx",), ()) == 1
    assert next_step(steps, 2, ("5xx",), ()) == 2
    assert next_step(steps, 3, ("5xx",), ()) is None


def test_the_chain_goes_on_for_its_first_cause() -> None:
    """A step that is for the cause that began the chain answers too when another fallback failed differently."""
    steps: tuple[Step, ...] = (target("old"), CachedStep("cached", frozenset({"timeout"}), 0, 0))
    assert next_step(steps, 1, ("timeout", "unavailable"), ("old",)) == 1
    assert next_step(steps, 1, ("unavailable", "unavailable"), ("old",)) is None


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sets(st.sampled_from(ALL), min_size=1)), max_size=6),
    st.sets(st.sampled_from(ALL), min_size=1, max_size=2),
)
def test_a_chain_ends_and_asks_no_target_twice(items: list[tuple[str, set[str]]], causes: set[str]) -> None:
    """Whatever the steps are, following them ends, in their order, and no target is asked twice."""
    steps = [TargetStep(name, frozenset(of), 0, 0) for name, of in items]
    passed = ["a"]
    index = 0
    while (found := next_step(steps, index, causes, passed)) is not None:
        assert found >= index
        assert not steps[found].causes.isdisjoint(causes)
        assert steps[found].name not in passed
        passed.append(steps[found].name)
        index = found + 1
    assert index <= len(steps)


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS"])
def test_idempotent_methods_may_run_again(method: bytes) -> None:
    """A request that may have run is repeated when its method is idempotent (RFC 9110 9.2.2)."""
    assert may_run_again(method, {}, None)


@pytest.mark.parametrize("method", [b"POST", b"PATCH"])
def test_others_run_again_only_when_somebody_says_so(method: bytes) -> None:
    """Another request is repeated when it carries an idempotency key or the target names its method."""
    assert not may_run_again(method, {}, None)
    assert not may_run_again(method, {}, Retry())
    assert may_run_again(method, {b"idempotency-key": b"1"}, None)
    assert may_run_again(method, {}, Retry(methods=(method.decode(),)))


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_the_budget_is_a_share_of_what_is_live(live: int, share: float) -> None:
    """Further attempts are at most their share of the live requests, or the few that always may."""
    retry = Retry(budget=share)
    retrying = 0
    while affordable(retry, live, retrying) and retrying <= live + MIN_RETRIES:
        retrying += 1
    assert retrying <= max(MIN_RETRIES, share * live + 1)
    assert retrying >= MIN_RETRIES


def test_backoff_grows_and_is_spread() -> None:
    """The wait is anywhere up to a bound that doubles, so that those who failed together do not return together."""
    retry = Retry(backoff=0.025)
    assert [backoff_s(retry, attempt, 1.0) for attempt in (1, 2, 3)] == [0.025, 0.05, 0.1]
    assert backoff_s(retry, 3, 0.0) == 0.0
