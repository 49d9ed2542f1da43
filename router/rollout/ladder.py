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
from router.events.rollout import Progress
from router.rollout import stand
from router.rollout.effect import Say, Shift
from router.rollout.hold import Hold, barred, blocked
from router.rollout.observed import Asked, Observed
from router.rollout.retreat import End, back, worse
from router.rollout.rung import Rung, following, rung_of, rungs
from router.rollout.turn import Case, Refused, Turn, entered, failing, place, record

LATE_S: Final = 86_400.0
LATE: Final = 4.0
"""A step without a deadline is told of when it takes a day, or four times its hold."""


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
            return stand.pause(case, asked)
        case "resume":
            return stand.resume(case, asked, lambda: begin(experiment, progress.run, now))
        case "promote":
            return _promote(case, asked)
        case "rollback" | "abort":
            return _retreat(case, asked)


# --- By itself ------------------------------------------------------------------------------------------------------


def _climb(case: Case, rung: Rung) -> Turn:
    """Go on, or stay: nothing is known against the new arm, and nobody paused it."""
    progress, observed = case.progress, case.observed
    asking = failing(observed.found, "pause")
    if asking is not None and not stand.approved(progress):
        return stand.wait(case, Hold("asked", asking.reason))
    if (progress.status, progress.holding) == ("waiting", "asked"):
        return progress, ()  # what asked has passed, and a person is to say so
    if progress.share != rung.share:
        return _settle(case, rung)
    open_ = rung.approve and not stand.approved(progress)
    asked = open_ and progress.status == "waiting" and progress.holding == "approval"
    why = None if asked else blocked(case.experiment, rung, following(case.experiment.allocate, progress), observed)
    if why is None and open_:
        why, asked = Hold("approval", f"{place(progress)} waits for approval"), True
    if why is None:
        return _advance(case, (stand.ROUTER, "everything that the step requires holds"))
    if observed.step_s >= _limit(rung) and not progress.past_deadline:
        return _overdue(case, rung, why)
    return stand.wait(case, why) if asked else stand.hold(case, why)


def _settle(case: Case, rung: Rung) -> Turn:
    """Bring the share of a step into force: when a run begins, or when the file has another one for it."""
    if (hold := barred(case.experiment, rung, case.progress.share, case.observed)) is not None:
        return stand.hold(case, hold)
    return _enforce(case, rung, stand.ROUTER, "stage")


def _enforce(case: Case, rung: Rung, by: str, cause: str) -> Turn:
    progress = case.progress
    reason = f"{place(progress)} with {rung.share:.4g} of units on the new arm"
    moved = replace(progress, share=rung.share, since=case.now, past_deadline=False, holding="", reason=reason, by=by)
    said = record(case, moved, "advance" if rung.share > progress.share else "lower")
    return moved, (Shift(cause=cause, mirror=rung.mirror), said)


def _overdue(case: Case, rung: Rung, open_: Hold) -> Turn:
    """Do what the configuration says of a step that takes too long."""
    progress = case.progress
    took = f"{place(progress)} has taken {case.observed.step_s:.0f} s, longer than {_limit(rung):g} s"
    why = f"{took}: {open_.reason}"
    if rung.on_deadline != "hold":
        return back(case, why, end="aborted" if rung.on_deadline == "abort" else "rolled_back")
    late = replace(progress, past_deadline=True, reason=why, by=stand.ROUTER)
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
    action = "advance" if by == stand.ROUTER else "promote"
    effects = (
        Shift(cause="done" if done else "stage" if by == stand.ROUTER else "promote", mirror=rung.mirror),
        record(case, ahead, action, "would have held if something were open"),
        Say(
            event="done" if done else "stage",
            severity="info",
            text=f"{case.experiment.name}: {place(ahead)}, share {ahead.share:.4g}. {ahead.reason}",
            key=f"{case.experiment.name}-{progress.run}-{place(ahead)}",
        ),
    )
    return ahead, effects


def _limit(rung: Rung) -> float:
    """Return how long a step may take before people are told, in seconds."""
    return rung.deadline if rung.deadline is not None else max(LATE_S, LATE * rung.hold)


# --- As people ask --------------------------------------------------------------------------------------------------


def _approve(case: Case, asked: Asked) -> Turn | Refused:
    progress = case.progress
    if progress.holding == "stuck":
        return Refused("the new arm fails; approving it would keep it. Mend control, or use rollback or kill")
    if progress.status != "waiting" and not rung_of(case.experiment.allocate, progress).approve:
        return Refused(f"{place(progress)} waits for no approval")
    return stand.approve(case, asked)


def _promote(case: Case, asked: Asked) -> Turn | Refused:
    progress = case.progress
    found = worse(progress, case.observed)
    if found is not None:
        return Refused(f"the new arm fails, so it gets no more traffic: {found.name}: {found.reason}")
    if case.observed.smoke is not None and case.observed.smoke.status == "fail":
        return Refused(f"the new arm is not ready: {case.observed.smoke.reason}")
    rung = rung_of(case.experiment.allocate, progress)
    if rung.share > progress.share:  # the step itself is not in force yet
        return _enforce(case, rung, asked.by, "promote")
    return _advance(case, (asked.by, stand.said("promoted", asked)))


def _retreat(case: Case, asked: Asked) -> Turn | Refused:
    progress = case.progress
    if progress.step in ("rolled_back", "aborted"):
        return progress, ()
    known = case.observed.control
    if known is not None and known.status == "fail" and progress.share > 0:
        return Refused(f"control is not fit for it: {known.reason}. `kill` does it all the same")
    end: End = "rolled_back" if asked.what == "rollback" else "aborted"
    return back(case, stand.said(asked.what, asked), by=asked.by, end=end)
