"""A staged rollout: from nobody to everybody in steps, and back to nobody at once.

Responsible for: the steps, what has to hold before the next, when to go back, what people may ask for.
Does not know: how anything is measured, how weights reach workers, files, clocks.

Rules: pure. The order of questions is the order of ``step``; the first that has an answer decides:

1. what is over stays over; a killed experiment waits for the end of its kill
2. a hard guardrail fails, or the new arm cannot serve: back to nobody, whether running, waiting or paused. Never onto a
   control that is known to be worse or cannot serve: then it stays where it is and a person is called
3. paused: nothing else
4. a failing guardrail that asks a person: it waits for one
5. the deadline has passed: as configured
6. the step's share is not in force yet: it is now
7. something that the step requires is not shown: it holds, and says what
8. a person's approval is required: it waits
9. the next step

A step up is one step. What has to survive a restart comes with a ``Shift``, so that it is in the journal.
"""

from typing import Final

from msgspec.structs import replace

from router.config.schema import Experiment
from router.events.rollout import Approval, Progress
from router.rollout.effect import Say, Shift
from router.rollout.hold import Hold, blocked
from router.rollout.observed import Asked, Observed
from router.rollout.retreat import End, back, worse
from router.rollout.rung import Rung, following, rung_of, rungs
from router.rollout.turn import APPROVALS, Case, Refused, Turn, entered, failing, place, record

ROUTER: Final = "router"


def begin(experiment: Experiment, run: int, now: float, *, trusted: bool = False) -> Turn:
    """Begin a run: at its first step, with nobody on the new arm yet.

    Args:
        experiment: The experiment.
        run: Its run.
        now: Unix seconds.
        trusted: Whether the version served before, so that it begins at the last stage.
    """
    steps = rungs(experiment.allocate)
    first = next((rung for rung in reversed(steps) if rung.step == "stage"), steps[0]) if trusted else steps[0]
    reason = "the version served before, so it begins at the last stage" if trusted else "a new run begins"
    progress = Progress(
        kind="rollout",
        run=run,
        step=first.step,
        stage=first.stage,
        since=now,
        began=now,
        reason=reason,
        trusted=trusted,
    )
    progress = replace(progress, trail=((place(progress), now),))
    said = record(Case(experiment, progress, Observed(phase=1), now), progress, "begin")
    return progress, (Shift(cause="begin", mirror=first.mirror), said)


def step(experiment: Experiment, progress: Progress, observed: Observed, now: float) -> Turn:
    """Decide what happens next.

    Args:
        experiment: The experiment.
        progress: Where it is.
        observed: What is known.
        now: Unix seconds.
    """
    if progress.status == "over" or observed.killed:
        return progress, ()
    case = Case(experiment, progress, observed, now)
    rung = rung_of(experiment.allocate, progress)
    if (found := worse(progress, observed)) is not None:
        return back(case, f"{found.name}: {found.reason}")
    if "primary" in rung.require and observed.primary == "worse":
        return back(case, "the primary metric is worse")
    return (progress, ()) if progress.status == "paused" else _climb(case, rung)


def act(experiment: Experiment, progress: Progress, asked: Asked, observed: Observed, now: float) -> Turn | Refused:
    """Do what a person asks for.

    Args:
        experiment: The experiment.
        progress: Where it is.
        asked: What is asked for, by whom and why.
        observed: What is known.
        now: Unix seconds.
    """
    if progress.status == "over" and asked.what not in ("resume", "rollback"):
        return Refused(f"the release is over ({place(progress)}); only a new version or `resume` begins again")
    case = Case(experiment, progress, observed, now)
    match asked.what:
        case "approve":
            return _approve(case, asked)
        case "pause":
            return _pause(case, asked)
        case "resume":
            return _resume(case, asked)
        case "promote":
            return _promote(case, asked)
        case "rollback" | "abort":
            return _retreat(case, asked)


# --- By itself ------------------------------------------------------------------------------------------------------


def _climb(case: Case, rung: Rung) -> Turn:
    """Go on, or stay: nothing is known against the new arm, and nobody paused it."""
    progress, observed = case.progress, case.observed
    asking = failing(observed.found, "pause")
    if asking is not None and not _approved(progress):
        return _wait(case, Hold("asked", asking.reason))
    if progress.status == "waiting" and progress.holding == "approval":
        return progress, ()
    if rung.deadline is not None and observed.step_s >= rung.deadline and not progress.past_deadline:
        return _overdue(case, rung)
    if progress.share != rung.share:
        return _settle(case, rung)
    hold = blocked(case.experiment, rung, observed)
    if hold is not None:
        return _hold(case, hold)
    if rung.approve and not _approved(progress):
        return _wait(case, Hold("approval", f"{place(progress)} waits for approval"))
    return _advance(case, (ROUTER, "everything that the step requires holds"))


def _settle(case: Case, rung: Rung) -> Turn:
    """Bring the share of a step into force: when a run begins, or when the file has another one for it."""
    progress = case.progress
    if rung.share > progress.share and case.observed.smoke is not None and case.observed.smoke.status == "fail":
        return _hold(case, Hold("not ready", case.observed.smoke.reason))
    reason = f"{place(progress)} with {rung.share:.4g} of units on the new arm"
    following_ = replace(progress, share=rung.share, since=case.now, holding="", reason=reason, by=ROUTER)
    said = record(case, following_, "advance" if rung.share > progress.share else "lower")
    return following_, (Shift(cause="stage", mirror=rung.mirror), said)


def _hold(case: Case, hold: Hold) -> Turn:
    """Stay; it is told when the kind of reason is another one."""
    progress = case.progress
    if (progress.holding, progress.status) == (hold.kind, "running"):
        return replace(progress, reason=hold.reason), ()
    waited = progress.status == "waiting"
    held = replace(progress, status="running", holding=hold.kind, reason=hold.reason, by=ROUTER)
    said = record(case, held, "hold", "would take the next step without this")
    return held, ((Shift(cause="hold"), said) if waited else (said,))


def _wait(case: Case, hold: Hold) -> Turn:
    """Ask a person, once."""
    progress = case.progress
    if (progress.holding, progress.status) == (hold.kind, "waiting"):
        return progress, ()
    waiting = replace(progress, status="waiting", holding=hold.kind, reason=hold.reason, by=ROUTER)
    return waiting, (
        Shift(cause="wait"),
        record(case, waiting, "ask", "would go on if somebody approves"),
        Say(
            event="approval",
            severity="warning",
            text=f"{case.experiment.name}: {hold.reason}",
            key=f"{case.experiment.name}-{progress.run}-{place(progress)}-{hold.kind}",
        ),
    )


def _overdue(case: Case, rung: Rung) -> Turn:
    """Do what the configuration says of a step that takes too long."""
    progress = case.progress
    hold = blocked(case.experiment, rung, case.observed)
    why = f"{place(progress)} is past its deadline of {rung.deadline:g} s"
    why = f"{why}: {hold.reason}" if hold is not None else why
    if rung.on_deadline != "hold":
        return back(case, why, end="aborted" if rung.on_deadline == "abort" else "rolled_back")
    late = replace(progress, past_deadline=True, reason=why, by=ROUTER)
    return late, (
        Shift(cause="deadline"),
        record(case, late, "hold", "would abort with `on_deadline: abort`"),
        Say(
            event="deadline",
            severity="warning",
            text=f"{case.experiment.name}: {why}",
            key=f"{case.experiment.name}-{progress.run}-{place(progress)}-deadline",
        ),
    )


def _advance(case: Case, why: tuple[str, str]) -> Turn:
    """Take the next step."""
    progress = case.progress
    by, reason = why
    rung = following(case.experiment.allocate, progress)
    done = rung.step == "done"
    ahead = entered(
        progress,
        case.now,
        step=rung.step,
        stage=rung.stage,
        share=rung.share,
        status="over" if done else "running",
        reason=f"{place(progress)} is passed: {reason}",
        by=by,
    )
    action = "advance" if by == ROUTER else "promote"
    effects = (
        Shift(cause="done" if done else "stage" if by == ROUTER else "promote", mirror=rung.mirror),
        record(case, ahead, action, "would have held if something were open"),
        Say(
            event="done" if done else "verdict",
            severity="info",
            text=f"{case.experiment.name}: {place(ahead)}, share {ahead.share:.4g}. {ahead.reason}",
            key=f"{case.experiment.name}-{progress.run}-{place(ahead)}",
        ),
    )
    return ahead, effects


def _approved(progress: Progress) -> bool:
    return any((each.step, each.stage) == (progress.step, progress.stage) for each in progress.approvals)


# --- As people ask --------------------------------------------------------------------------------------------------


def _approve(case: Case, asked: Asked) -> Turn | Refused:
    progress = case.progress
    rung = rung_of(case.experiment.allocate, progress)
    if progress.holding == "stuck":
        return Refused("the new arm fails; approving it would keep it. Mend control, or use rollback or kill")
    if progress.status != "waiting" and not rung.approve:
        return Refused(f"{place(progress)} waits for no approval")
    given = Approval(step=progress.step, stage=progress.stage, by=asked.by, time=case.now, reason=asked.reason)
    status = progress.status if progress.status == "paused" else "running"
    let = replace(
        progress,
        status=status,
        approvals=(*progress.approvals, given)[-APPROVALS:],
        holding="",
        reason=_said("approved", asked),
        by=asked.by,
    )
    return let, (Shift(cause="approve"), record(case, let, "approve"))


def _pause(case: Case, asked: Asked) -> Turn | Refused:
    progress = case.progress
    if progress.status == "paused":
        return progress, ()
    held = replace(progress, status="paused", paused_at=case.now, reason=_said("paused", asked), by=asked.by)
    return held, (Shift(cause="pause"), record(case, held, "pause"))


def _resume(case: Case, asked: Asked) -> Turn | Refused:
    progress = case.progress
    if progress.step in ("rolled_back", "aborted"):
        again, effects = begin(case.experiment, progress.run, case.now)
        again = replace(
            again, trail=(*progress.trail, *again.trail)[-64:], reason=_said("begun again", asked), by=asked.by
        )
        return again, (effects[0], record(case, again, "begin"))
    if progress.status != "paused":
        return Refused(f"the release is not paused ({place(progress)}, {progress.status})")
    paused = max(case.now - (progress.paused_at if progress.paused_at is not None else case.now), 0.0)
    on = replace(
        progress,
        status="running",
        paused_at=None,
        paused_s=progress.paused_s + paused,
        holding="",
        reason=_said("resumed", asked),
        by=asked.by,
    )
    return on, (Shift(cause="resume"), record(case, on, "resume"))


def _promote(case: Case, asked: Asked) -> Turn | Refused:
    progress = case.progress
    found = worse(progress, case.observed)
    if found is not None:
        return Refused(f"the new arm fails, so it gets no more traffic: {found.name}: {found.reason}")
    if case.observed.smoke is not None and case.observed.smoke.status == "fail":
        return Refused(f"the new arm is not ready: {case.observed.smoke.reason}")
    return _advance(case, (asked.by, _said("promoted", asked)))


def _retreat(case: Case, asked: Asked) -> Turn | Refused:
    progress = case.progress
    if progress.step in ("rolled_back", "aborted"):
        return progress, ()
    known = case.observed.control
    if known is not None and known.status == "fail" and progress.share > 0:
        return Refused(f"control is not fit for it: {known.reason}. `kill` does it all the same")
    end: End = "rolled_back" if asked.what == "rollback" else "aborted"
    return back(case, _said(asked.what, asked), by=asked.by, end=end)


def _said(what: str, asked: Asked) -> str:
    return f"{what} by {asked.by}: {asked.reason}" if asked.reason else f"{what} by {asked.by}"
