"""The steps of a staged rollout, and the way back."""

import pytest

from router.events.rollout import Found
from router.rollout import machine
from router.rollout.effect import Record, Shift
from router.rollout.observed import Asked, Observed
from router.rollout.turn import Refused
from tests.rollout.build import NOW, begun, climbed, experiment, fine, guardrail, kinds


def test_a_rollout_takes_its_stages_in_order_and_keeps_some_control_until_the_bake_is_over() -> None:
    """Shares are those of the stages, full share leaves 5 % to control, and only the end has everybody."""
    ramp = experiment()
    shares = [climbed(ramp, steps).share for steps in range(5)]
    assert shares == [0.05, 0.5, 0.95, 0.95, 1.0]
    assert climbed(ramp, 4).step == "done"


def test_nobody_is_on_the_new_version_before_its_first_step() -> None:
    """A run begins with everybody on control, and has a line in the decision log."""
    progress, effects = machine.begin(experiment(), 3, NOW)
    assert (progress.run, progress.step, progress.share) == (3, "stage", 0.0)
    assert kinds(effects) == ["Shift", "Record"]


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"step_s": 59.0}, "time"),
        ({"found": (guardrail("inconclusive"),)}, "guardrails"),
        ({"found": (guardrail("error"),)}, "measurement"),
        ({"found": ()}, "guardrails"),
        ({"sample_ratio": "unknown"}, "sample ratio"),
        ({"sample_ratio": "broken"}, "data"),
        ({"acknowledged": False}, "workers"),
    ],
)
def test_what_is_not_shown_holds(changes: dict[str, object], kind: str) -> None:
    """Neither too little time or data, nor a failed measurement, nor broken data lets a stage pass."""
    ramp = experiment()
    progress = begun(ramp)
    held, effects = machine.step(ramp, progress, fine(**{"step_s": 60.0, **changes}), NOW)  # type: ignore[arg-type]
    assert (held.share, held.holding) == (progress.share, kind)
    assert kinds(effects) == (["Record", "Say"] if kind in ("data", "measurement") else ["Record"])
    again, effects = machine.step(ramp, held, fine(**{"step_s": 60.0, **changes}), NOW + 1)  # type: ignore[arg-type]
    assert (again, effects) == (held, ())


@pytest.mark.parametrize("status", ["running", "waiting", "paused"])
def test_a_hard_failure_leads_back_at_once_whatever_the_release_waits_for(status: str) -> None:
    """Guards keep guarding while a release runs, waits for a person, or is paused; traffic moves first."""
    ramp = experiment(f"stages: [{{share: 5%, hold: 60s, approve: {'true' if status == 'waiting' else 'false'}}}]")
    progress = begun(ramp)
    if status == "waiting":
        progress, _ = machine.step(ramp, progress, fine(), NOW)
    if status == "paused":
        turn = machine.act(ramp, progress, Asked(what="pause", by="ann"), fine(), NOW)
        assert not isinstance(turn, Refused)
        progress = turn[0]
    assert progress.status == status
    back, effects = machine.step(ramp, progress, fine(found=(guardrail("fail"),)), NOW)
    assert (back.step, back.status, back.share) == ("rolled_back", "over", 0.0)
    assert kinds(effects) == ["Shift", "Record", "Say", "PostMortem"]
    assert isinstance(effects[0], Shift)
    assert effects[0].urgent


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_guards_keep_guarding_in_every_stage_and_through_the_bake(steps: int) -> None:
    """Whatever stage it is in, the bake included, a hard failure leads back."""
    ramp = experiment()
    back, _ = machine.step(ramp, climbed(ramp, steps), fine(found=(guardrail("fail"),)), NOW)
    assert (back.step, back.share) == ("rolled_back", 0.0)


def test_nothing_leads_back_to_a_control_that_is_worse() -> None:
    """The release stays where it is and calls a person, once; as soon as control is fine, it goes back."""
    ramp = experiment()
    progress = climbed(ramp, 1)
    bad = fine(found=(guardrail("fail"),), control=guardrail("fail"))
    stuck, effects = machine.step(ramp, progress, bad, NOW)
    assert (stuck.share, stuck.status, stuck.holding) == (progress.share, "waiting", "stuck")
    assert kinds(effects) == ["Shift", "Record", "Say"]
    assert machine.step(ramp, stuck, bad, NOW)[1] == ()
    assert isinstance(machine.act(ramp, stuck, Asked(what="approve", by="ann"), bad, NOW), Refused)
    back, _ = machine.step(ramp, stuck, fine(found=(guardrail("fail"),)), NOW)
    assert (back.step, back.share) == ("rolled_back", 0.0)


def test_a_guardrail_on_trial_changes_nothing() -> None:
    """With ``dry_run`` a failure neither holds nor leads back."""
    ramp = experiment()
    found = (guardrail(), guardrail("fail", dry_run=True))
    assert machine.step(ramp, begun(ramp), fine(found=found), NOW)[0].share == 0.5


def test_a_stage_with_approval_waits_for_a_person_and_goes_on_with_one() -> None:
    """Approval is asked for once, kept with who and why, and lets the next look go on."""
    ramp = experiment("stages: [{share: 5%, hold: 60s, approve: true}, {share: 50%, hold: 60s}]")
    waiting, effects = machine.step(ramp, begun(ramp), fine(), NOW)
    assert (waiting.status, kinds(effects)) == ("waiting", ["Shift", "Record", "Say"])
    assert machine.step(ramp, waiting, fine(), NOW) == (waiting, ())
    turn = machine.act(ramp, waiting, Asked(what="approve", by="ann", reason="looks well"), fine(), NOW)
    assert not isinstance(turn, Refused)
    approved, _ = turn
    assert [(each.by, each.reason) for each in approved.approvals] == [("ann", "looks well")]
    assert machine.step(ramp, approved, fine(), NOW)[0].share == 0.5


@pytest.mark.parametrize(("follows", "step"), [("hold", "stage"), ("abort", "aborted"), ("rollback", "rolled_back")])
def test_a_deadline_alerts_or_ends_it_as_configured(follows: str, step: str) -> None:
    """Past the deadline an inconclusive stage is told of once, or everybody goes back to control."""
    ramp = experiment(f"stages: [{{share: 5%, hold: 60s, deadline: 120s, on_deadline: {follows}}}]")
    open_ = fine(120.0, found=(guardrail("inconclusive"),))
    late, effects = machine.step(ramp, begun(ramp), open_, NOW)
    assert late.step == step
    assert "Say" in kinds(effects)
    if follows == "hold":
        late, _ = machine.step(ramp, late, open_, NOW)
        assert machine.step(ramp, late, open_, NOW)[1] == ()


def test_a_killed_release_waits_where_it_is() -> None:
    """As long as it is killed, nothing moves it, not even what would lead back."""
    ramp = experiment()
    progress = climbed(ramp, 1)
    assert machine.step(ramp, progress, fine(found=(guardrail("fail"),), killed=True), NOW) == (progress, ())


def test_a_person_promotes_only_what_does_not_fail() -> None:
    """Promoting takes one step whatever is open, and is refused while a guardrail fails."""
    ramp = experiment()
    progress = begun(ramp)
    open_ = fine(0.0, found=(guardrail("inconclusive"),))
    turn = machine.act(ramp, progress, Asked(what="promote", by="ann"), open_, NOW)
    assert not isinstance(turn, Refused)
    assert (turn[0].share, turn[0].by) == (0.5, "ann")
    assert isinstance(turn[1][1], Record)
    assert turn[1][1].decided.action == "promote"
    failing = fine(found=(guardrail("fail"),))
    assert isinstance(machine.act(ramp, progress, Asked(what="promote", by="ann"), failing, NOW), Refused)


def test_a_pause_stops_the_steps_until_it_is_resumed() -> None:
    """What is paused takes no step; resuming says for how long it was."""
    ramp = experiment()
    turn = machine.act(ramp, begun(ramp), Asked(what="pause", by="ann"), fine(), NOW)
    assert not isinstance(turn, Refused)
    assert machine.step(ramp, turn[0], fine(), NOW) == (turn[0], ())
    turn = machine.act(ramp, turn[0], Asked(what="resume", by="bob"), fine(), NOW + 30)
    assert not isinstance(turn, Refused)
    assert (turn[0].status, turn[0].paused_s) == ("running", 30.0)
    assert machine.step(ramp, turn[0], fine(), NOW)[0].share == 0.5


def test_a_release_that_was_rolled_back_begins_again_only_when_a_person_says_so() -> None:
    """After the end nothing moves by itself; ``resume`` begins at the first step with nobody on the new version."""
    ramp = experiment()
    over, _ = machine.step(ramp, climbed(ramp, 1), fine(found=(guardrail("fail"),)), NOW)
    assert machine.step(ramp, over, fine(), NOW) == (over, ())
    assert isinstance(machine.act(ramp, over, Asked(what="promote", by="ann"), fine(), NOW), Refused)
    turn = machine.act(ramp, over, Asked(what="resume", by="ann"), fine(), NOW)
    assert not isinstance(turn, Refused)
    assert (turn[0].step, turn[0].stage, turn[0].share) == ("stage", 0, 0.0)


def test_a_shadow_step_waits_for_what_the_copies_say() -> None:
    """The default recipe copies requests first: without a verdict on them nobody is moved, and a bad one ends it."""
    ramp = experiment("bake: 1m")
    progress, effects = machine.begin(ramp, 1, NOW)
    assert (progress.step, effects[0]) == ("shadow", Shift(cause="begin", mirror=0.1))
    held, _ = machine.step(ramp, progress, fine(3600.0), NOW)
    assert (held.step, held.holding) == ("shadow", "shadow")
    passed, effects = machine.step(ramp, progress, fine(3600.0, shadow=guardrail()), NOW)
    assert (passed.step, passed.share, effects[0]) == ("stage", 0.01, Shift(cause="stage", mirror=0.0))
    failed, _ = machine.step(ramp, progress, fine(3600.0, shadow=guardrail("fail")), NOW)
    assert failed.step == "rolled_back"


def test_a_soft_failure_that_asks_waits_for_a_person() -> None:
    """A guardrail with action pause stops the release until somebody lets it go on."""
    ramp = experiment()
    soft = fine(found=(guardrail(), guardrail("fail", "pause")))
    waiting, _ = machine.step(ramp, begun(ramp), soft, NOW)
    assert (waiting.status, waiting.holding) == ("waiting", "asked")
    turn = machine.act(ramp, waiting, Asked(what="approve", by="ann"), soft, NOW)
    assert not isinstance(turn, Refused)
    assert machine.step(ramp, turn[0], soft, NOW)[0].share == 0.5


def test_an_edited_share_comes_into_force_within_its_stage() -> None:
    """A stage that got another share in the file has it at the next look, and its hold begins anew."""
    progress = begun(experiment())
    edited = experiment("stages: [{share: 2%, hold: 60s}, {share: 50%, hold: 60s}]")
    moved, _ = machine.step(edited, progress, Observed(phase=1), NOW + 5)
    assert (moved.share, moved.stage, moved.since) == (0.02, 0, NOW + 5)


def test_a_version_that_can_no_longer_serve_is_taken_back() -> None:
    """A target that vanishes: no share is added at once, and after 10 s everybody is on control."""
    ramp = experiment()
    gone = fine(smoke=guardrail("fail"), unready_s=9.0)
    held, _ = machine.step(ramp, begun(ramp), gone, NOW)
    assert (held.share, held.holding) == (0.05, "not ready")
    back, _ = machine.step(ramp, held, fine(smoke=guardrail("fail"), unready_s=10.0), NOW)
    assert (back.step, back.share) == ("rolled_back", 0.0)


def test_nobody_is_put_on_a_version_that_is_not_ready() -> None:
    """Before its first share a version that is not ready waits, for as long as it takes."""
    ramp = experiment()
    progress, _ = machine.begin(ramp, 1, NOW)
    held, _ = machine.step(ramp, progress, fine(smoke=guardrail("fail"), unready_s=3600.0), NOW)
    assert (held.share, held.step, held.holding) == (0.0, "stage", "not ready")


@pytest.mark.parametrize("found", [(guardrail("error"),), ()])
def test_a_stage_by_time_alone_still_needs_somebody_who_watches(found: tuple[Found, ...]) -> None:
    """What cannot be measured cannot lead back, so it lets nobody on either; too little data does."""
    ramp = experiment("stages: [{share: 5%, hold: 60s, require: []}, {share: 50%, hold: 60s}]")
    held, _ = machine.step(ramp, begun(ramp), fine(found=found), NOW)
    assert held.share == 0.05
    assert machine.step(ramp, begun(ramp), fine(found=(guardrail("inconclusive"),)), NOW)[0].share == 0.5


def test_outcomes_that_stop_arriving_hold_the_stage_that_waits_for_them() -> None:
    """Without values the primary stays inconclusive: the stage holds, and is told of when it is late."""
    ramp = experiment("stages: [{share: 50%, hold: 1h, require: [primary], deadline: 2h}]")
    held, _ = machine.step(ramp, begun(ramp), fine(3600.0), NOW)
    assert held.holding == "primary"
    late, effects = machine.step(ramp, held, fine(7200.0), NOW)
    assert late.past_deadline
    assert "Say" in kinds(effects)
    assert machine.step(ramp, late, fine(7201.0, primary="better"), NOW)[0].step == "bake"


def test_a_primary_that_is_worse_ends_the_stage_that_waits_for_it() -> None:
    """The A/B stage is decided against the new version: everybody is back on control."""
    ramp = experiment("stages: [{share: 50%, hold: 1h, require: [primary]}]")
    assert machine.step(ramp, begun(ramp), fine(10.0, primary="worse"), NOW)[0].step == "rolled_back"


def test_reasons_that_alternate_fill_no_log() -> None:
    """Each kind of reason is written down at most once in ten minutes."""
    ramp = experiment()
    progress, written = begun(ramp), 0
    for second in range(600):
        status = "inconclusive" if second % 2 else "error"
        progress, effects = machine.step(ramp, progress, fine(found=(guardrail(status),)), NOW + second)
        written += kinds(effects).count("Record")
    assert written == 2


def test_a_trusted_version_begins_at_the_last_stage() -> None:
    """Fast re-promotion skips stages, not guardrails, and says so."""
    ramp = experiment()
    progress, _ = machine.begin(ramp, 2, NOW, trusted=True)
    assert (progress.stage, progress.share, progress.trusted) == (2, 0.0, True)
    progress, _ = machine.step(ramp, progress, fine(0.0), NOW)
    assert progress.share == 0.95
    assert machine.step(ramp, progress, fine(found=(guardrail("fail"),)), NOW)[0].step == "rolled_back"


def test_after_the_end_a_holdout_stays_on_control_and_a_person_may_still_go_back() -> None:
    """The long-term holdout keeps its share; `rollback` works after `done` as well."""
    ramp = experiment("stages: [{share: 100%, hold: 1s}], holdout: 2%")
    done = climbed(ramp, 2)
    assert (done.step, done.status, done.share) == ("done", "over", 0.98)
    turn = machine.act(ramp, done, Asked(what="rollback", by="ann", reason="complaints"), fine(), NOW)
    assert not isinstance(turn, Refused)
    assert (turn[0].step, turn[0].share, turn[0].by) == ("rolled_back", 0.0, "ann")
