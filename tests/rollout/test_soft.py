"""Soft guardrails and trials are told, once, and change nothing."""

from router.events.rollout import Found, Progress
from router.rollout.effect import Record, Say
from router.rollout.observed import Observed
from router.rollout.soft import Told, soft
from router.rollout.turn import Case
from tests.rollout.build import experiment

SOFT = Found(name="revenue -5%", status="fail", action="warn", reason="down 7 %")
TRIAL = Found(name="p99 ratio 1.5", status="fail", action="rollback", reason="slow", dry_run=True)
OTHERS = (
    Found(name="errors", status="fail", action="rollback", reason="hard: the ladder's"),
    Found(name="asks", status="fail", action="pause", reason="the ladder's, too"),
    Found(name="ctr", status="inconclusive", action="warn", reason="few"),
    Found(name="watch p99", status="fail", action="warn", reason="told as an anomaly"),
)


def case(*found: Found, phase: int = 2) -> Case:
    """Make what was looked at in a stage."""
    progress = Progress(kind="rollout", run=1, step="stage", since=0.0, began=0.0, share=0.05, reason="holds")
    return Case(experiment(), progress, Observed(phase=phase, found=found), 60.0)


def test_what_fails_is_told_once_in_a_phase() -> None:
    """In the decision log with what would have followed, and to people; again in the next phase."""
    effects, told = soft(case(SOFT, TRIAL, *OTHERS), Told())
    records = [each.decided for each in effects if isinstance(each, Record)]
    says = [each for each in effects if isinstance(each, Say)]
    assert [(each.action, each.alternative) for each in records] == [
        ("warn", "rolls back with `action: rollback`"),
        ("warn", "would have rolled back were it no trial"),
    ]
    assert [each.reason for each in records] == [
        "revenue -5%: down 7 %", "p99 ratio 1.5: slow (a trial, which changes nothing)",
    ]  # fmt: skip
    assert [(each.event, each.severity) for each in says] == [("verdict", "warning"), ("verdict", "info")]
    assert soft(case(SOFT, TRIAL), told) == ((), told)
    assert soft(case(), told) == ((), told)
    again, _ = soft(case(SOFT, phase=3), told)
    assert len(again) == 2
    assert len({each.key for each in (*says, *again) if isinstance(each, Say)}) == 3


def test_nothing_moves() -> None:
    """A line of the log and a sentence are all that follows; the progress is as it was."""
    effects, _ = soft(case(SOFT), Told())
    assert {type(each) for each in effects} == {Record, Say}
    assert [each.decided.share for each in effects if isinstance(each, Record)] == [0.05]
