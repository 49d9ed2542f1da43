"""A rolling replacement: the endpoints of the old target give way to those of the new one, batch by batch.

Responsible for: what a batch has to show before it is moved and before the next, when everything is put back.
Does not know: how anything is tested or measured, how workers use endpoints, files, clocks.

Rules: pure. At any time as many endpoints are in use as each side has (``batches``). A batch has two parts: its
endpoints are warmed (they can all be used, and their smoke tests pass), then they are in use and are watched for
``hold``. The first question of ``step`` that has an answer decides:

1. what is over stays over; a killed experiment waits for the end of its kill
2. some of the new endpoints are in use, and a hard guardrail fails or they cannot serve: all old endpoints are back in
   use, whether running, waiting or paused. Never onto an old side that cannot serve
3. paused: nothing else
4. a guardrail that asks a person fails: it waits for one
5. the batch is not moved yet: it is, once its endpoints are ready; not within ``ready_within``, and everything is put
   back
6. it is watched for ``hold``, and holds until all its endpoints can be used and every hard guardrail has passed. After
   the last one there is no control any more: then too little data is said, and is no pass
7. the next batch, or done
"""

from msgspec.structs import replace

from router.config.schema import Experiment
from router.events.rollout import Progress
from router.rollout import stand
from router.rollout.batches import Split, in_use, sizes, split
from router.rollout.effect import Say, Shift
from router.rollout.fitness import EndpointNow, ready, serving, sides
from router.rollout.hold import Hold
from router.rollout.observed import Asked, Observed
from router.rollout.retreat import End, back
from router.rollout.stand import ROUTER, approved, said
from router.rollout.turn import Case, Refused, Turn, entered, failing, place, record


def begin(experiment: Experiment, run: int, now: float, *, trusted: bool = False) -> Turn:
    """Begin a run: no new endpoint is in use.

    Args:
        experiment: The experiment.
        run: Its run.
        now: Unix seconds.
        trusted: Whether the version served before, so that batches need not hold.
    """
    reason = "the version served before, so batches need not hold" if trusted else "a new run begins"
    progress = Progress(
        kind="rolling", run=run, step="batch", since=now, began=now, reason=reason, trusted=trusted,
        trail=(("batch 1", now),),
    )  # fmt: skip
    said_ = record(Case(experiment, progress, Observed(phase=1), now), progress, "begin")
    # Which endpoints the old side has is not known here: those that are not named are all in use.
    return progress, (Shift(cause="begin", endpoints={sides(experiment)[1].target or "": ()}), said_)


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
        return _put_back(case, why)
    if progress.status == "paused":
        return progress, ()
    asking = failing(observed.found, "pause")
    if asking is not None and not approved(progress):
        return stand.wait(case, Hold("asked", f"{asking.name}: {asking.reason}"))
    return _go_on(case)


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
            if progress.status != "waiting" or progress.holding == "stuck":
                return Refused(f"{place(progress)} waits for no approval")
            return stand.approve(case, asked)
        case "pause":
            return stand.pause(case, asked)
        case "resume":
            return stand.resume(case, asked, lambda: begin(experiment, progress.run, now))
        case "promote":
            return _promote(case, asked)
        case "rollback" | "abort":
            return _retreat(case, asked)


# --- Forwards -------------------------------------------------------------------------------------------------------


def _go_on(case: Case) -> Turn:
    """Move the batch, watch it, or begin the next."""
    endpoints = _endpoints(case)
    if isinstance(endpoints, Hold):
        return stand.hold(case, endpoints)
    planned = _planned(case, *endpoints)
    old, new = endpoints
    if (in_use(old), in_use(new), case.progress.share) != (planned.old, planned.new, planned.share):
        return _move(case, planned, new)
    progress, observed = case.progress, case.observed
    if not progress.trusted and observed.step_s < case.experiment.allocate.hold_s:
        return stand.hold(case, Hold("time", f"{place(progress)} holds for {case.experiment.allocate.hold_s:g} s"))
    why = _unshown(case, planned, new)
    if why is not None:
        return stand.hold(case, why)
    return _next(case, planned, ROUTER, "everything that the batch requires holds")


def _move(case: Case, planned: Split, new: tuple[EndpointNow, ...]) -> Turn:
    """Bring the endpoints of the present batch into use, once they are ready."""
    progress, allocate = case.progress, case.experiment.allocate
    why = _unready(case, [each for each in new if each.url in planned.new and not each.in_use])
    if why is not None:
        if case.observed.step_s >= allocate.ready_within:
            return _put_back(case, f"{place(progress)} was not ready within {allocate.ready_within:g} s: {why.reason}")
        return stand.hold(case, why)
    count = len(planned.new) + len(planned.old)
    reason = f"{place(progress)}: {len(planned.new)} of {count} endpoints are new, with {planned.share:.4g} of units"
    ahead = replace(
        progress, share=planned.share, since=case.now, status="running", holding="", reason=reason, by=ROUTER
    )
    shift = Shift(cause="batch", endpoints=_targets(case, planned))
    return ahead, (shift, record(case, ahead, "advance", "would have waited for the endpoints to be ready"))


def _unready(case: Case, coming: list[EndpointNow]) -> Hold | None:
    """Return what stands against bringing endpoints into use."""
    found = ready(coming, "the batch")
    if found is not None and found.status != "pass":
        return Hold("warming", found.reason)
    tests = case.observed.tests
    if coming and case.experiment.allocate.tests and (tests is None or tests.status != "pass"):
        return Hold("tests", f"smoke tests: {tests.reason if tests is not None else 'they run for the first time'}")
    return None


def _unshown(case: Case, planned: Split, new: tuple[EndpointNow, ...]) -> Hold | None:
    """Return what the present batch has not shown yet."""
    if not case.observed.acknowledged:
        return Hold("workers", "not all workers serve the present revision yet")
    found = ready([each for each in new if each.url in planned.new], "what is in use of the new side")
    if found is not None and found.status != "pass":
        return Hold("not ready", found.reason)
    return stand.unproven(case.experiment, case.observed, sure=bool(planned.old))


def _next(case: Case, planned: Split, by: str, reason: str) -> Turn:
    """Begin the next batch, or be done after the last."""
    progress, name = case.progress, case.experiment.name
    action = "advance" if by == ROUTER else "promote"
    if planned.old:
        ahead = entered(
            progress, case.now, stage=progress.stage + 1, status="running", by=by,
            reason=f"{place(progress)} is passed: {reason}",
        )  # fmt: skip
        cause = "batch" if by == ROUTER else "promote"
        return ahead, (Shift(cause=cause), record(case, ahead, action, "would have held if something were open"))
    unsure = stand.unproven(case.experiment, case.observed, sure=True)
    ahead = entered(
        progress, case.now, step="done", stage=0, status="over", by=by,
        reason="all endpoints are replaced"
        + (f", but {unsure.reason}" if unsure is not None else "")
        + stand.compared(case.observed),
    )  # fmt: skip
    return ahead, (
        Shift(cause="done"),
        record(case, ahead, action, "would have held if something were open"),
        Say(event="done", severity="info", text=f"{name}: done. {ahead.reason}", key=f"{name}-{ahead.run}-done"),
    )


# --- Backwards ------------------------------------------------------------------------------------------------------


def _worse(case: Case) -> str | None:
    """Return why the new endpoints may not stay in use; None when nothing is known against them."""
    found = failing(case.observed.found, "rollback")
    if found is not None:
        return f"{found.name}: {found.reason}"
    new = case.observed.endpoints.get(sides(case.experiment)[1].name, ())
    serves = serving([each for each in new if each.in_use], "what is in use of the new side")
    return serves.reason if serves is not None and serves.status == "fail" else None


def _put_back(case: Case, why: str, *, by: str = ROUTER, end: End = "rolled_back") -> Turn:
    """Bring all old endpoints back into use, and leave all new ones out, with the traffic."""
    following, effects = back(case, why, by=by, end=end)
    if following.share > 0 or case.progress.step in ("rolled_back", "aborted"):
        return following, effects
    old, new = sides(case.experiment)
    before = case.observed.endpoints.get(old.name, ())
    used = {new.target or "": (), **({old.target or "": tuple(each.url for each in before)} if before else {})}
    return following, tuple(replace(each, endpoints=used) if isinstance(each, Shift) else each for each in effects)


def _promote(case: Case, asked: Asked) -> Turn | Refused:
    """Skip what is waited for, never what is tested."""
    endpoints = _endpoints(case)
    if isinstance(endpoints, Hold):
        return Refused(endpoints.reason)
    worse = _worse(case) if case.progress.share > 0 else None
    if worse is not None:
        return Refused(f"the new side fails: {worse}")
    planned, new = _planned(case, *endpoints), endpoints[1]
    if planned.share != case.progress.share:
        why = _unready(case, [each for each in new if each.url in planned.new and not each.in_use])
        return Refused(why.reason) if why is not None else _move(case, planned, new)
    return _next(case, planned, asked.by, said("promoted", asked))


def _retreat(case: Case, asked: Asked) -> Turn | Refused:
    progress = case.progress
    if progress.step in ("rolled_back", "aborted"):
        return progress, ()
    known = case.observed.control
    if known is not None and known.status == "fail" and progress.share > 0:
        return Refused(f"the old side is not fit for it: {known.reason}. `kill` does it all the same")
    running = progress if progress.status != "over" else replace(progress, status="running")
    end: End = "rolled_back" if asked.what == "rollback" else "aborted"
    return _put_back(case._replace(progress=running), said(asked.what, asked), by=asked.by, end=end)


# --- Endpoints ------------------------------------------------------------------------------------------------------


def _endpoints(case: Case) -> tuple[tuple[EndpointNow, ...], tuple[EndpointNow, ...]] | Hold:
    """Return those of both sides; or why that cannot be."""
    old, new = (case.observed.endpoints.get(arm.name, ()) for arm in sides(case.experiment))
    if not old or not new:
        return Hold("endpoints", "nothing is known of the endpoints yet")
    if len(old) != len(new):
        return Hold("endpoints", f"the old side has {len(old)} endpoints and the new one {len(new)}: give them as many")
    return old, new


def _planned(case: Case, old: tuple[EndpointNow, ...], new: tuple[EndpointNow, ...]) -> Split:
    """Return what is to be in use in the present batch."""
    steps = sizes(len(old), case.experiment.allocate.batch)
    return split(old, new, steps[min(case.progress.stage, len(steps) - 1)])


def _targets(case: Case, planned: Split) -> dict[str, tuple[str, ...]]:
    old, new = sides(case.experiment)
    return {old.target or "": planned.old, new.target or "": planned.new}
