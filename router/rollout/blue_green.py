"""A blue-green switch: nobody, then everybody on the new arm (green) at once, and back to the old one (blue) at once.

Responsible for: what green has to show before the switch, when everybody goes back, when it is done.
Does not know: how anything is tested or measured, how weights reach workers, files, clocks.

Rules: pure. The order of questions is the order of ``step``; the first that has an answer decides:

1. what is over stays over; a killed experiment waits for the end of its kill
2. after the switch, a hard guardrail fails or green cannot serve: back to blue, whether running, waiting or paused.
   Never onto a blue that cannot serve: then everybody stays, a person is called, and it goes back once blue is fit
3. paused: nothing else
4. before the switch, it holds until all endpoints of green can be used, their smoke tests pass, no guardrail fails,
   ``hold`` is over and, where configured, somebody approves. If green was never ready within ``ready_within``, it is
   given up. Tests go on until the switch: what fails later holds again
5. after the switch, blue is kept warm for ``keep_warm``; that blue could no longer take the traffic back is told
6. done, once every hard guardrail could be measured: what had too little data by then is said, and is no pass

There is no control beside green after the switch: what compares the arms compares before and after.
"""

from typing import Final

from msgspec.structs import replace

from router.config.schema import Experiment
from router.events.rollout import Progress
from router.rollout import stand
from router.rollout.effect import Say, Shift
from router.rollout.fitness import ready, serving, sides
from router.rollout.hold import Hold
from router.rollout.observed import Asked, Observed
from router.rollout.retreat import End, back
from router.rollout.stand import ROUTER, approved, said
from router.rollout.turn import Case, Refused, Turn, entered, failing, place, record

READY: Final = 1  # the stage of ``preview`` since green was ready once
NEVER: Final = frozenset({"warming", "tests"})  # kinds of reasons for which a release is given up in the end


def begin(experiment: Experiment, run: int, now: float, *, trusted: bool = False) -> Turn:
    """Begin a run: green is tested, and has no traffic.

    Args:
        experiment: The experiment.
        run: Its run.
        now: Unix seconds.
        trusted: Whether the version served before, so that it need not hold.
    """
    reason = "the version served before, so it need not hold" if trusted else "a new run begins"
    progress = Progress(
        kind="blue_green", run=run, step="preview", since=now, began=now, reason=reason, trusted=trusted,
        trail=(("preview", now),),
    )  # fmt: skip
    said_ = record(Case(experiment, progress, Observed(phase=1), now), progress, "begin")
    return progress, (Shift(cause="begin"), said_)


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
    if progress.share > 0 and (why := _worse(case)) is not None:
        return back(case, why)
    if progress.status == "paused":
        return progress, ()
    return _warm(case) if progress.share > 0 else _preview(case)


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


# --- Before the switch ----------------------------------------------------------------------------------------------


def _preview(case: Case) -> Turn:
    """Wait until green may get everybody."""
    progress, allocate = case.progress, case.experiment.allocate
    why = _unready(case)
    if why is not None:
        late = progress.stage != READY and case.observed.step_s >= allocate.ready_within
        if late and why.kind in NEVER:
            return back(case, f"green was not ready within {allocate.ready_within:g} s: {why.reason}", end="aborted")
        return stand.hold(case, why)
    if progress.stage != READY:
        shown = entered(progress, case.now, stage=READY, status="running", reason="green is ready", by=ROUTER)
        return shown, (Shift(cause="ready"), record(case, shown, "ready", "would hold without this"))
    if not progress.trusted and case.observed.step_s < allocate.hold_s:
        return stand.hold(case, Hold("time", f"green is ready, and holds for {allocate.hold_s:g} s"))
    if allocate.approve and not approved(progress):
        return stand.wait(case, Hold("approval", "green is ready and waits for approval"))
    return _switch(case, ROUTER, "green is ready" if not allocate.approve else "green is ready and approved")


def _unready(case: Case) -> Hold | None:
    """Return what stands against giving green everybody; None when nothing does."""
    experiment, observed = case.experiment, case.observed
    green = ready(observed.endpoints.get(sides(experiment)[1].name, ()), "green")
    if green is None or green.status != "pass":
        return Hold("warming", green.reason if green is not None else "nothing is known of green's endpoints yet")
    if experiment.allocate.tests and (observed.tests is None or observed.tests.status != "pass"):
        told = observed.tests.reason if observed.tests is not None else "they run for the first time"
        return Hold("tests", f"smoke tests: {told}")
    for action in ("rollback", "pause"):
        found = failing(observed.found, action)
        if found is not None:
            return Hold("guardrails", f"guardrail {found.name} fails: {found.reason}")
    if not observed.acknowledged:
        return Hold("workers", "not all workers serve the present revision yet")
    return None


def _switch(case: Case, by: str, reason: str) -> Turn:
    """Give green everybody."""
    name = case.experiment.name
    ahead = entered(
        case.progress, case.now, step="bake", stage=0, share=1.0, status="running", by=by,
        reason=f"switched to green: {reason}",
    )  # fmt: skip
    return ahead, (
        Shift(cause="switch"),
        record(case, ahead, "switch", "would have waited if something stood against it"),
        Say(
            event="verdict",
            severity="info",
            text=f"{name}: everybody is on green. {ahead.reason}",
            key=f"{name}-{ahead.run}-switch-{case.now:.0f}",
        ),
    )


# --- After it -------------------------------------------------------------------------------------------------------


def _worse(case: Case) -> str | None:
    """Return why green may not keep everybody; None when nothing is known against it."""
    found = failing(case.observed.found, "rollback")
    if found is not None:
        return f"{found.name}: {found.reason}"
    green = serving(case.observed.endpoints.get(sides(case.experiment)[1].name, ()), "green")
    return green.reason if green is not None and green.status == "fail" else None


def _warm(case: Case) -> Turn:
    """Keep blue warm, then be done."""
    progress, observed, allocate = case.progress, case.observed, case.experiment.allocate
    asking = failing(observed.found, "pause")
    if asking is not None and not approved(progress):
        return stand.wait(case, Hold("asked", f"{asking.name}: {asking.reason}"))
    if observed.control is not None and observed.control.status == "fail":
        return _no_way_back(case, observed.control.reason)
    if observed.step_s < allocate.keep_warm:
        return stand.hold(case, Hold("time", f"blue is kept warm for {allocate.keep_warm:g} s"))
    why = stand.unproven(case.experiment, observed, sure=False)
    if why is not None:
        return stand.hold(case, why)
    unsure = stand.unproven(case.experiment, observed, sure=True)
    return _done(case, ROUTER, f"no guardrail failed, but {unsure.reason}" if unsure else "no guardrail failed")


def _no_way_back(case: Case, reason: str) -> Turn:
    """Tell once that blue could not take the traffic back; green serves on."""
    progress, name = case.progress, case.experiment.name
    why = Hold("no way back", f"blue could not take the traffic back: {reason}")
    following, effects = stand.hold(case, why)
    if progress.holding == why.kind:
        return following, effects
    told = Say(
        event="switch",
        severity="warning",
        text=f"{name}: {why.reason}. Green serves on; a rollback is refused until blue is fit",
        key=f"{name}-{progress.run}-no-way-back",
    )
    return following, (*effects, told)


def _done(case: Case, by: str, reason: str) -> Turn:
    name = case.experiment.name
    ahead = entered(
        case.progress, case.now, step="done", status="over", by=by,
        reason=f"blue need not be kept any longer: {reason}{stand.compared(case.observed)}",
    )  # fmt: skip
    return ahead, (
        Shift(cause="done"),
        record(case, ahead, "advance" if by == ROUTER else "promote", "would have held if something were open"),
        Say(event="done", severity="info", text=f"{name}: done. {ahead.reason}", key=f"{name}-{ahead.run}-done"),
    )


# --- As people ask --------------------------------------------------------------------------------------------------


def _approve(case: Case, asked: Asked) -> Turn | Refused:
    progress = case.progress
    if progress.share > 0:
        if progress.status != "waiting" or progress.holding == "stuck":
            return Refused(f"{place(progress)} waits for no approval")
        return stand.approve(case, asked)
    why = _unready(case)
    if why is not None:
        return Refused(f"green may not have traffic yet: {why.reason}")
    if progress.stage != READY:
        return Refused("green has been ready for less than a moment; ask again")
    return stand.approve(case, asked)


def _promote(case: Case, asked: Asked) -> Turn | Refused:
    """Skip what is waited for, never what is tested."""
    if case.progress.share > 0:
        why = _worse(case)
        if why is not None:
            return Refused(f"green fails: {why}")
        return _done(case, asked.by, said("promoted", asked))
    unready = _unready(case)
    if unready is not None:
        return Refused(f"green may not have traffic yet: {unready.reason}")
    return _switch(case, asked.by, said("promoted", asked))


def _retreat(case: Case, asked: Asked) -> Turn | Refused:
    progress = case.progress
    if progress.step in ("rolled_back", "aborted"):
        return progress, ()
    known = case.observed.control
    if known is not None and known.status == "fail" and progress.share > 0:
        return Refused(f"blue is not fit for it: {known.reason}. `kill` does it all the same")
    running = progress if progress.status != "over" else replace(progress, status="running")
    end: End = "rolled_back" if asked.what == "rollback" else "aborted"
    return back(case._replace(progress=running), said(asked.what, asked), by=asked.by, end=end)
