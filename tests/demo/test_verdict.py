"""Which tallies pass, and which do not."""

from router.demo.agree import Analysed, Known, Place
from router.demo.tally import LabelTally, Seen, SplitTally, Tally
from router.demo.verdict import (
    Check,
    Design,
    analysis_agrees,
    describe,
    every_request_succeeded,
    judge,
    labels_agree,
    nobody_left_a_raised_arm,
    one_arm_per_user,
    one_experiment_per_user,
    parts_agree,
    shares_agree,
)

DESIGN = Design(users=360, splits={"digits": 2, "pilot": 1}, parts={"digits": 0.8, "pilot": 0.15})


def split(simple: float, better: float, on_better: int, users: int = 288) -> SplitTally:
    """Make a split of the experiment ``digits`` with the first so many users on the better arm."""
    tally = Tally()
    _fill(tally, "digits", {"simple": simple, "better": better}, on_better, range(users))
    return tally.splits[0]


def _fill(tally: Tally, experiment: str, weights: dict[str, float], on_second: int, users: range) -> None:
    tally.begin({experiment: weights}, revision=tally.began + 1)
    first, second = weights
    for number in users:
        arm = second if number - users.start < on_second else first
        tally.record(Seen(f"user-{number:04}", arm, 0.001, right=True), tally.epoch())


def _show(*, changed: bool = True) -> Tally:
    """Make a show with 288 users in ``digits``, 54 in ``pilot`` and 18 outside."""
    tally = Tally()
    _fill(tally, "digits", {"simple": 95.0, "better": 5.0}, 14, range(288))
    _fill(tally, "pilot", {"plain": 50.0, "vectors": 50.0}, 27, range(288, 342))
    for number in range(342, 360):
        tally.record(Seen(f"user-{number:04}", None, 0.001, right=True), tally.epoch())
    if changed:
        _fill(tally, "digits", {"simple": 50.0, "better": 50.0}, 145, range(288))
    return tally


def _broken(checks: tuple[Check, ...]) -> list[str]:
    return [check.promise for check in checks if not check.kept]


def test_a_faultless_show_keeps_every_promise() -> None:
    """Nothing is broken when users are sticky, shares agree and nothing failed."""
    checks = judge(_show(), DESIGN)

    assert _broken(checks) == []
    assert len(checks) == 11


def test_a_show_without_requests_proves_nothing() -> None:
    """An empty tally fails instead of passing for want of errors, and is known to say nothing."""
    assert not every_request_succeeded(Tally()).kept
    checks = judge(Tally(), DESIGN)
    assert all(not check.kept and not check.enough for check in checks)


def test_one_failed_request_breaks_the_show() -> None:
    """A single error is shown and breaks the promise."""
    tally = _show()
    tally.record(Seen("user-0001", "simple", 0.1, right=False, error="status 502"), None)

    assert _broken(judge(tally, DESIGN)) == ["every request succeeded"]
    assert "user-0001: status 502" in every_request_succeeded(tally).evidence


def test_a_split_that_was_never_reached_breaks_the_show() -> None:
    """A show that ended before the change does not pass for a whole one; what is missing is no evidence of a fault."""
    checks = judge(_show(changed=False), DESIGN)

    assert _broken(checks) == ["every user was served under each split"]
    assert [check.promise for check in checks if not check.enough] == _broken(checks)


def test_a_user_of_two_experiments_is_found() -> None:
    """The layer's experiments share no user; one who met both is named."""
    tally = _show()
    assert one_experiment_per_user(tally, DESIGN).kept
    tally.record(Seen("user-0007", "plain", 0.001, right=True), tally.epoch())

    check = one_experiment_per_user(tally, DESIGN)
    assert not check.kept
    assert "user-0007" in check.evidence


def test_segments_of_another_size_are_found() -> None:
    """As many users as segments say are in each experiment, and in none."""
    assert parts_agree(_show(), DESIGN).kept
    assert not parts_agree(_show(), Design(360, DESIGN.splits, {"digits": 0.5, "pilot": 0.45})).kept


def _labelled(**numbers: int) -> Tally:
    tally = _show()
    tally.splits[0].arms["simple"].labels = LabelTally(**numbers)
    return tally


def test_repeats_are_duplicates_and_nothing_else_is() -> None:
    """What the API accepted and knew agrees with what was sent, arm by arm; nothing is refused."""
    assert labels_agree(_labelled(sent=11, repeated=1, accepted=10, duplicates=1, never=1), ()).kept
    for wrong in (
        {"accepted": 11, "duplicates": 0},
        {"accepted": 9, "duplicates": 2},
        {"accepted": 10, "duplicates": 0, "refused": 1},
    ):
        check = labels_agree(_labelled(sent=11, repeated=1, never=1, **wrong), ())
        assert (check.kept, check.enough) == (False, True)


def test_labels_that_were_not_taken_break_the_show() -> None:
    """A batch that was given up is named."""
    check = labels_agree(_labelled(sent=11, repeated=1, accepted=10, duplicates=1, never=1), ("7 labels: status 503",))
    assert not check.kept
    assert "7 labels: status 503" in check.evidence


def test_no_repeat_is_no_evidence() -> None:
    """Without one label that came twice and one that never came there is nothing to say."""
    check = labels_agree(_labelled(sent=10, accepted=10), ())
    assert (check.kept, check.enough) == (False, False)


def test_the_analysis_has_to_agree_exactly() -> None:
    """Users, labels and right answers of each arm in each phase are the same in the log, and nobody is in two arms."""
    tally = _show()
    known = {
        Place("digits", 1, "simple"): Known(274, 0, 0),
        Place("digits", 1, "better"): Known(14, 0, 0),
        Place("digits", 2, "simple"): Known(143, 0, 0),
        Place("digits", 2, "better"): Known(145, 0, 0),
        Place("pilot", 1, "plain"): Known(27, 0, 0),
        Place("pilot", 1, "vectors"): Known(27, 0, 0),
    }
    assert analysis_agrees(tally, DESIGN, Analysed(1, known, crossed=0)).kept
    assert not analysis_agrees(tally, DESIGN, Analysed(1, known, crossed=1)).kept
    one_more = {**known, Place("pilot", 1, "plain"): Known(27, 1, 0)}
    check = analysis_agrees(tally, DESIGN, Analysed(1, one_more, crossed=0))
    assert not check.kept
    assert "pilot/plain, phase 1: 27 users, 1 labels, 0 right in the log, 27 users, 0 labels, 0 right seen" in (
        check.evidence
    )
    del known[Place("digits", 2, "better")]
    assert (
        "0 users, 0 labels, 0 right in the log"
        in analysis_agrees(tally, DESIGN, Analysed(1, known, crossed=0)).evidence
    )


def test_a_show_that_ended_within_a_change_is_compared_by_labels() -> None:
    """The log knows users that were only seen while the split changed; their answers have no label."""
    tally = _show(changed=False)
    tally.splits[0].arms["simple"].labels = LabelTally(sent=3, accepted=3, right=2)
    known = {Place("digits", 1, "simple"): Known(270, 3, 2), Place("digits", 2, "better"): Known(9, 0, 0)}
    check = analysis_agrees(tally, DESIGN, Analysed(1, known, crossed=0))
    assert check.kept, check.evidence
    wrong = {**known, Place("digits", 1, "simple"): Known(270, 4, 2)}
    assert not analysis_agrees(tally, DESIGN, Analysed(1, wrong, crossed=0)).kept


def test_a_user_who_met_two_arms_is_found() -> None:
    """One torn user among hundreds breaks stickiness and is named."""
    torn = split(50, 50, 145)
    torn.arms_of_user["user-0007"] = {"simple", "better"}
    check = one_arm_per_user(torn)

    assert not check.kept
    assert "user-0007" in check.evidence


def test_users_may_move_into_the_raised_arm_only() -> None:
    """A user who leaves the arm that was raised breaks the promise of a ramp."""
    before, after = split(95, 5, 14), split(50, 50, 145)
    assert nobody_left_a_raised_arm(before, after).kept

    after.arms_of_user["user-0000"] = {"simple"}
    assert not nobody_left_a_raised_arm(before, after).kept


def test_a_wrong_share_is_found() -> None:
    """Users in the old proportion do not agree with the new split."""
    assert shares_agree(split(50, 50, 145)).kept
    assert not shares_agree(split(50, 50, 14)).kept
    assert not shares_agree(split(95, 5, 40)).kept


def test_too_few_users_to_say_is_not_agreement() -> None:
    """Below five expected users the chi-square is no evidence, so the check fails and says why."""
    check = shares_agree(split(95, 5, 4, users=80))

    assert not check.kept
    assert "too few users to say" in check.evidence


def test_a_split_is_named_as_people_say_it() -> None:
    """Weights are relative; the name is in percent."""
    assert describe(split(19, 1, 14)) == "digits 95/5"
    assert describe(split(9999, 1, 0)) == "digits 99.99/0.01"
