"""What is counted for which split, arm and user."""

import pytest

from router.demo.tally import ERRORS_KEPT, Seen, Tally


def _seen(user: str = "user-0001", arm: str | None = "simple", *, right: bool = True, error: str | None = None) -> Seen:
    return Seen(user=user, arm=arm, seconds=0.002, right=right, error=error)


def _begun() -> Tally:
    tally = Tally()
    tally.begin({"simple": 95.0, "better": 5.0}, revision=1)
    return tally


def test_a_request_counts_for_the_split_that_was_in_force_from_its_start_to_its_end() -> None:
    """Arm, user, answer and latency of a settled request are counted."""
    tally = _begun()
    tally.record(_seen(), tally.epoch())
    tally.record(_seen(right=False), tally.epoch())

    arm = tally.splits[0].arms["simple"]
    assert (arm.requests, arm.right, arm.errors, arm.accuracy()) == (2, 1, 0, 0.5)
    assert {"user-0001": {"simple"}} == tally.splits[0].arms_of_user
    assert arm.quantile_ms(0.5) == pytest.approx(2.0, rel=0.125)


def test_a_request_that_began_before_a_change_says_nothing_about_either_split() -> None:
    """A request in flight during a change is counted in the total only."""
    tally = _begun()
    began_in = tally.epoch()
    tally.unsettle()
    tally.record(_seen(), began_in)
    tally.begin({"simple": 50.0, "better": 50.0}, revision=2)
    tally.record(_seen(), began_in)

    assert tally.requests == 2
    assert [split.requests() for split in tally.splits] == [0, 0]


def test_a_request_that_began_within_a_change_says_nothing_about_the_new_split() -> None:
    """Workers may differ until all have acknowledged, so such a request is in the total only."""
    tally = _begun()
    tally.unsettle()
    began_in = tally.epoch()
    tally.begin({"simple": 50.0, "better": 50.0}, revision=2)
    tally.record(_seen(), began_in)

    assert (tally.requests, tally.splits[1].requests()) == (1, 0)


def test_an_error_within_a_change_is_an_error_of_the_show() -> None:
    """No failure is left out because the split was changing."""
    tally = _begun()
    tally.unsettle()
    tally.record(_seen(arm=None, error="refused"), tally.epoch())

    assert tally.errors == 1
    assert tally.first_errors == ["user-0001: refused"]


def test_an_error_is_no_answer() -> None:
    """Failed requests count for their arm, but neither for its accuracy nor for its latency."""
    tally = _begun()
    tally.record(_seen(error="status 502"), tally.epoch())

    arm = tally.splits[0].arms["simple"]
    assert (arm.requests, arm.errors, arm.accuracy(), arm.quantile_ms(0.99)) == (1, 1, None, None)


def test_only_the_first_errors_are_kept() -> None:
    """A show of any length that fails all the time does not grow."""
    tally = _begun()
    for _ in range(10 * ERRORS_KEPT):
        tally.record(_seen(error="refused"), tally.epoch())

    assert (tally.errors, len(tally.first_errors)) == (10 * ERRORS_KEPT, ERRORS_KEPT)


def test_an_arm_that_nobody_configured_is_counted_all_the_same() -> None:
    """An unexpected arm shows up, so that it can be judged."""
    tally = _begun()
    tally.record(_seen(arm="other"), tally.epoch())

    assert tally.splits[0].arms["other"].requests == 1
