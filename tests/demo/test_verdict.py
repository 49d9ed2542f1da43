"""Which tallies pass, and which do not."""

from router.demo.tally import Seen, SplitTally, Tally
from router.demo.verdict import (
    Check,
    describe,
    every_request_succeeded,
    judge,
    nobody_left_a_raised_arm,
    one_arm_per_user,
    shares_agree,
)


def split(simple: float, better: float, on_better: int, users: int = 300) -> SplitTally:
    """Make a split with the first so many users on the better arm."""
    tally = Tally()
    tally.begin({"simple": simple, "better": better}, revision=1)
    for number in range(users):
        arm = "better" if number < on_better else "simple"
        tally.record(Seen(f"user-{number:04}", arm, 0.001, right=True), 0)
    return tally.splits[0]


def _show(*splits: SplitTally) -> Tally:
    tally = Tally()
    tally.splits = list(splits)
    tally.requests = sum(one.requests() for one in splits)
    return tally


def _broken(checks: tuple[Check, ...]) -> list[str]:
    return [check.promise for check in checks if not check.kept]


def test_a_faultless_show_keeps_every_promise() -> None:
    """Nothing is broken when users are sticky, shares agree and nothing failed."""
    checks = judge(_show(split(95, 5, 14), split(50, 50, 151)), users=300, splits=2)

    assert _broken(checks) == []
    assert len(checks) == 7


def test_a_show_without_requests_proves_nothing() -> None:
    """An empty tally fails instead of passing for want of errors."""
    assert not every_request_succeeded(Tally()).kept
    assert _broken(judge(Tally(), users=300, splits=2))


def test_one_failed_request_breaks_the_show() -> None:
    """A single error is shown and breaks the promise."""
    tally = _show(split(95, 5, 14), split(50, 50, 151))
    tally.record(Seen("user-0001", "simple", 0.1, right=False, error="status 502"), None)

    assert _broken(judge(tally, users=300, splits=2)) == ["every request succeeded"]
    assert "user-0001: status 502" in every_request_succeeded(tally).evidence


def test_a_split_that_was_never_reached_breaks_the_show() -> None:
    """A show that ended before the change does not pass for a whole one."""
    checks = judge(_show(split(95, 5, 14)), users=300, splits=2)

    assert _broken(checks) == ["every user was served under each split"]


def test_a_user_who_met_two_arms_is_found() -> None:
    """One torn user among hundreds breaks stickiness and is named."""
    torn = split(50, 50, 151)
    torn.arms_of_user["user-0007"] = {"simple", "better"}
    check = one_arm_per_user(torn)

    assert not check.kept
    assert "user-0007" in check.evidence


def test_users_may_move_into_the_raised_arm_only() -> None:
    """A user who leaves the arm that was raised breaks the promise of a ramp."""
    before, after = split(95, 5, 14), split(50, 50, 151)
    assert nobody_left_a_raised_arm(before, after).kept

    after.arms_of_user["user-0000"] = {"simple"}
    assert not nobody_left_a_raised_arm(before, after).kept


def test_a_wrong_share_is_found() -> None:
    """Users in the old proportion do not agree with the new split."""
    assert shares_agree(split(50, 50, 151)).kept
    assert not shares_agree(split(50, 50, 14)).kept
    assert not shares_agree(split(95, 5, 40)).kept


def test_too_few_users_to_say_is_not_agreement() -> None:
    """Below five expected users the chi-square is no evidence, so the check fails and says why."""
    check = shares_agree(split(95, 5, 4, users=80))

    assert not check.kept
    assert "too few users to say" in check.evidence


def test_a_split_is_named_as_people_say_it() -> None:
    """Weights are relative; the name is in percent."""
    assert describe(split(19, 1, 14)) == "95/5"
    assert describe(split(9999, 1, 0)) == "99.99/0.01"
