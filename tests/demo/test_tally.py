"""What is counted for which split, arm and user."""

import pytest

from router.demo.tally import ERRORS_KEPT, Seen, Tally

FIRST = {"digits": {"simple": 95.0, "better": 5.0}, "pilot": {"plain": 50.0, "vectors": 50.0}}
SECOND = {**FIRST, "digits": {"simple": 50.0, "better": 50.0}}


def _seen(user: str = "user-0001", arm: str | None = "simple", *, right: bool = True, error: str | None = None) -> Seen:
    return Seen(user=user, arm=arm, seconds=0.002, right=right, error=error)


def _begun() -> Tally:
    tally = Tally()
    tally.begin(FIRST, revision=1)
    return tally


def test_a_request_counts_for_the_split_that_was_in_force_from_its_start_to_its_end() -> None:
    """Arm, user, answer and latency of a settled request are counted, and its label has a place."""
    tally = _begun()
    assert tally.record(_seen(), tally.epoch()) is tally.splits[0].arms["simple"]
    tally.record(_seen(right=False), tally.epoch())

    arm = tally.splits[0].arms["simple"]
    assert (arm.requests, arm.right, arm.errors, arm.accuracy()) == (2, 1, 0, 0.5)
    assert {"user-0001": {"simple"}} == tally.splits[0].arms_of_user
    assert arm.quantile_ms(0.5) == pytest.approx(2.0, rel=0.125)


def test_a_request_that_began_before_a_change_says_nothing_about_either_split() -> None:
    """A request in flight during a change is counted in the total only, and its label is left out."""
    tally = _begun()
    began_in = tally.epoch()
    tally.unsettle()
    assert tally.record(_seen(), began_in) is None
    tally.begin(SECOND, revision=2)
    assert tally.record(_seen(), began_in) is None

    assert tally.requests == 2
    assert [split.requests() for split in tally.splits] == [0, 0, 0]


def test_a_request_that_began_within_a_change_says_nothing_about_the_new_split() -> None:
    """Workers may differ until all have acknowledged, so such a request is in the total only."""
    tally = _begun()
    tally.unsettle()
    began_in = tally.epoch()
    tally.begin(SECOND, revision=2)
    tally.record(_seen(), began_in)

    assert (tally.requests, tally.splits[2].requests()) == (1, 0)


def test_an_experiment_whose_split_does_not_change_goes_on() -> None:
    """Another split opens a phase of its own experiment; the other's counts are of one phase throughout."""
    tally = _begun()
    tally.record(_seen(arm="plain"), tally.epoch())
    tally.unsettle()
    tally.begin(SECOND, revision=2)
    tally.record(_seen(arm="plain"), tally.epoch())

    assert [(split.experiment, split.revision, tally.phase(split)) for split in tally.splits] == [
        ("digits", 1, 1),
        ("pilot", 1, 1),
        ("digits", 2, 2),
    ]
    assert tally.splits[1].arms["plain"].requests == 2


def test_a_user_outside_all_experiments_is_counted_apart() -> None:
    """An answer without an arm is no error: the layer has room that no experiment takes."""
    tally = _begun()
    assert tally.record(_seen(arm=None), tally.epoch()) is None

    assert (tally.errors, tally.outside.requests, tally.homes) == (0, 1, {"user-0001": {None}})
    assert [split.requests() for split in tally.splits] == [0, 0]


def test_a_user_who_meets_two_experiments_has_two_homes() -> None:
    """Whoever is in two experiments of the layer, or in one and in none, is found."""
    tally = _begun()
    for arm in ("simple", "plain", None):
        tally.record(_seen(arm=arm), tally.epoch())

    assert tally.homes == {"user-0001": {"digits", "pilot", None}}


def test_an_error_within_a_change_is_an_error_of_the_show() -> None:
    """No failure is left out because the split was changing."""
    tally = _begun()
    tally.unsettle()
    tally.record(_seen(arm=None, error="refused"), tally.epoch())

    assert tally.errors == 1
    assert tally.first_errors == ["user-0001: refused"]


def test_an_error_is_no_answer() -> None:
    """Failed requests count for their arm, but neither for its accuracy nor its latency, and have no label."""
    tally = _begun()
    assert tally.record(_seen(error="status 502"), tally.epoch()) is None

    arm = tally.splits[0].arms["simple"]
    assert (arm.requests, arm.errors, arm.accuracy(), arm.quantile_ms(0.99)) == (1, 1, None, None)


def test_only_the_first_errors_are_kept() -> None:
    """A show of any length that fails all the time does not grow."""
    tally = _begun()
    for _ in range(10 * ERRORS_KEPT):
        tally.record(_seen(error="refused"), tally.epoch())

    assert (tally.errors, len(tally.first_errors)) == (10 * ERRORS_KEPT, ERRORS_KEPT)


def test_an_arm_that_nobody_configured_is_an_error() -> None:
    """An unexpected arm shows up in the verdict."""
    tally = _begun()
    tally.record(_seen(arm="other"), tally.epoch())

    assert tally.first_errors == ["user-0001: no experiment has an arm 'other'"]
