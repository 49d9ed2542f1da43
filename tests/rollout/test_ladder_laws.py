"""What holds for every rollout, whatever is observed and whatever people ask for."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from router.config.schema import Experiment
from router.events.rollout import Found, Progress
from router.rollout import machine
from router.rollout.effect import Record, Shift
from router.rollout.observed import Asked, Observed
from router.rollout.rung import rung_of, rungs
from router.rollout.turn import Refused, Turn
from tests.rollout.build import NOW, experiment, fine, guardrail

RAMP = experiment(
    "stages: [{share: 5%, hold: 60s}, {share: 20%, hold: 60s, approve: true}, {share: 50%, hold: 60s, require: [], "
    "deadline: 90s, on_deadline: abort}, {share: 100%, hold: 60s, min_units: 500}]"
)
SHARES = (0.0, *(rung.share for rung in rungs(RAMP.allocate)))

STATUS = st.sampled_from(["pass", "fail", "inconclusive", "error"])
FOUND = st.builds(guardrail, STATUS, st.sampled_from(["rollback", "rollback", "pause", "warn"]), dry_run=st.booleans())
# Mostly fine, so that a release gets anywhere.
SEEN = st.one_of(
    st.builds(fine, st.sampled_from([0.0, 59.0, 60.0, 600.0])),
    st.builds(
        fine,
        st.sampled_from([0.0, 60.0, 95.0, 600.0, 1e6]),
        found=st.lists(FOUND, max_size=3).map(tuple),
        units=st.sampled_from([None, {"old": 1000, "new": 1000}, {"old": 1000, "new": 3}]),
        sample_ratio=st.sampled_from(["sound", "broken", "unknown"]),
        primary=st.sampled_from(["better", "worse", "inconclusive"]),
        control=st.sampled_from([None, guardrail("fail")]),
        smoke=st.sampled_from([None, guardrail("pass"), guardrail("fail")]),
        unready_s=st.sampled_from([0.0, 5.0, 30.0]),
        acknowledged=st.booleans(),
        killed=st.sampled_from([False, False, False, True]),
        silent_s=st.sampled_from([0.0, 1e4]),
    ),
)
ASKED = st.builds(
    Asked,
    what=st.sampled_from(["approve", "pause", "resume", "promote", "rollback", "abort"]),
    by=st.just("ann"),
)
HAPPENS = st.lists(st.one_of(SEEN, SEEN, SEEN, ASKED), max_size=60)


def hard(observed: Observed) -> list[Found]:
    """Return the guardrails that may lead back."""
    return [each for each in observed.found if each.action == "rollback" and not each.dry_run]


def played(ramp: Experiment, happens: list[Observed | Asked]) -> list[tuple[Progress, Observed | Asked, Turn]]:
    """Let a release meet what happens; return each decision with where it was before."""
    progress, _ = machine.begin(ramp, 1, NOW)
    found: list[tuple[Progress, Observed | Asked, Turn]] = []
    seen = fine(0.0)
    for second, each in enumerate(happens):
        now = NOW + second
        if isinstance(each, Observed):
            seen = each
            turn = machine.step(ramp, progress, seen, now)
        else:
            acted = machine.act(ramp, progress, each, seen, now)
            if isinstance(acted, Refused):
                continue
            turn = acted
        found.append((progress, each, turn))
        progress = turn[0]
    return found


@given(HAPPENS)
def test_the_share_never_rises_by_more_than_one_step(happens: list[Observed | Asked]) -> None:
    """Whatever happens, the next share is that of the next step at most."""
    for before, _, (after, _) in played(RAMP, happens):
        assert after.share in SHARES
        if after.share > before.share:
            assert not any(before.share < share < after.share for share in SHARES)


@given(HAPPENS)
def test_nothing_rises_by_itself_on_what_is_not_shown(happens: list[Observed | Asked]) -> None:
    """No step forward with a hard guardrail that fails or could not be measured, or that did not pass and has to."""
    for before, each, (after, _) in played(RAMP, happens):
        if not isinstance(each, Observed) or after.share <= before.share or before.share == 0.0:
            continue
        assert not any(found.status in ("fail", "error") for found in hard(each))
        if "guardrails" in rung_of(RAMP.allocate, before).require:
            assert hard(each)
            assert all(found.status == "pass" for found in hard(each))
            assert each.sample_ratio == "sound"
        assert not each.killed
        assert before.status != "paused"
        assert before.status == "running" or before.holding not in ("approval", "asked")


@given(HAPPENS, SEEN)
def test_a_hard_failure_ends_on_control_within_one_step(happens: list[Observed | Asked], last: Observed) -> None:
    """Running, waiting or paused: if control is fit for it, one look later nobody is on the new version."""
    moments = played(RAMP, happens)
    progress = moments[-1][2][0] if moments else machine.begin(RAMP, 1, NOW)[0]
    failing = replace(last, found=(guardrail("fail"),), control=None, killed=False)
    after, effects = machine.step(RAMP, progress, failing, NOW + 100)
    if progress.status == "over":
        assert (after, effects) == (progress, ())
    else:
        assert (after.step, after.share) == ("rolled_back", 0.0)
        assert isinstance(effects[0], Shift)
        assert effects[0].urgent


@given(HAPPENS)
def test_what_is_paused_takes_no_step_forward(happens: list[Observed | Asked]) -> None:
    """Only a person ends a pause; until then a release stays or goes back."""
    for before, each, (after, _) in played(RAMP, happens):
        if before.status == "paused" and isinstance(each, Observed):
            assert after.share in (0.0, before.share)
            assert after.step in (before.step, "rolled_back")


@given(HAPPENS)
def test_nothing_leads_by_itself_onto_a_control_that_is_not_fit(happens: list[Observed | Asked]) -> None:
    """With everything against control the share stays, whatever the guardrails say."""
    for before, each, (after, _) in played(RAMP, happens):
        if isinstance(each, Observed) and each.control is not None and after.step in ("rolled_back", "aborted"):
            assert before.step == after.step or before.share == 0.0


@given(HAPPENS)
def test_a_replayed_journal_gives_the_same_release(happens: list[Observed | Asked]) -> None:
    """What comes with a ``Shift`` is enough: who goes on from the journal decides as who never stopped."""
    progress, _ = machine.begin(RAMP, 1, NOW)
    journal = msgspec.json.encode(progress)
    seen = fine(0.0)
    for second, each in enumerate(happens):
        again = msgspec.json.decode(journal, type=Progress)
        if isinstance(each, Observed):
            seen = each
            turn, other = (machine.step(RAMP, one, seen, NOW + second) for one in (progress, again))
        else:
            acted, otherwise = (machine.act(RAMP, one, each, seen, NOW + second) for one in (progress, again))
            if isinstance(acted, Refused) or isinstance(otherwise, Refused):
                assert isinstance(acted, Refused) == isinstance(otherwise, Refused)
                continue
            turn, other = acted, otherwise
        assert _decided(turn[0]) == _decided(other[0])
        progress = turn[0]
        if any(isinstance(effect, Shift) for effect in turn[1]):
            journal = msgspec.json.encode(progress)


def _decided(progress: Progress) -> tuple[object, ...]:
    """Return what of a progress is more than a remark."""
    return (progress.step, progress.stage, progress.status, progress.share, progress.since, progress.approvals)


@given(HAPPENS)
def test_every_change_of_traffic_is_told(happens: list[Observed | Asked]) -> None:
    """A share or step that changes comes with a ``Shift`` and a line of the decision log that says the new one."""
    for before, _, (after, effects) in played(RAMP, happens):
        if (before.share, before.step, before.stage) == (after.share, after.step, after.stage):
            continue
        lines = [each.decided for each in effects if isinstance(each, Record)]
        assert isinstance(effects[0], Shift)
        assert [(line.share, line.step) for line in lines] == [(after.share, after.step)]
        assert msgspec.json.encode(after)


def test_a_rollout_of_days_is_replayed_decision_by_decision() -> None:
    """The recipe's days, looked at each ten seconds, are some 22,000 decisions without a clock, a file or a thread."""
    ramp = experiment("keep_control: 5%")
    progress, _ = machine.begin(ramp, 1, NOW)
    now, looks = NOW, 0
    while progress.status != "over":
        progress, _ = machine.step(ramp, progress, fine(now - progress.since, shadow=guardrail()), now)
        now, looks = now + 10.0, looks + 1
    assert progress.step == "done"
    assert (now - NOW) // 3600 == 62
    assert 22_000 < looks < 23_000
