"""Staying where a release is: holding, waiting for a person, pausing, and going on again.

Responsible for: what stays and what is told when a release does not take its next step, and what people may ask about
that; the same for every kind of release.
Does not know: what the next step is, or when it may be taken.

Rules: pure. Something is told when the kind of reason is another one, not each time that somebody looks.
"""

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from router.config.schema import Experiment
from router.events.rollout import Approval, Progress
from router.rollout.effect import Effect, Say, Shift
from router.rollout.hold import Hold, hard
from router.rollout.observed import Asked, Observed
from router.rollout.turn import APPROVALS, TRAIL, Case, Refused, Turn, place, record

ROUTER: Final = "router"
AGAIN_S: Final = 600.0
"""How often at most a reason of one kind is written down in one step."""
HOLDS: Final = 16
TELLING: Final = frozenset({"data", "silence", "measurement", "not ready"})
"""Kinds of reasons that people are told of at once: waiting alone does not end them."""


def hold(case: Case, why: Hold) -> Turn:
    """Stay; it is written down when the kind of reason is another one, and not again within ``AGAIN_S``."""
    progress, name = case.progress, case.experiment.name
    if (progress.holding, progress.status) == (why.kind, "running"):
        return replace(progress, reason=why.reason), ()
    waited = progress.status == "waiting"
    held = replace(progress, status="running", holding=why.kind, reason=why.reason, by=ROUTER)
    written = dict(progress.holds)
    if not waited and case.now - written.get(why.kind, float("-inf")) < AGAIN_S:
        return held, ()
    others = tuple(each for each in progress.holds if each[0] != why.kind)
    held = replace(held, holds=(*others, (why.kind, case.now))[-HOLDS:])
    effects: list[Effect] = [Shift(cause="hold")] if waited else []
    effects.append(record(case, held, "hold", "would take the next step without this"))
    if why.kind in TELLING:
        key = f"{name}-{progress.run}-{place(progress)}-{why.kind}"
        effects.append(Say(event="verdict", severity="warning", text=f"{name}: {why.reason}", key=key))
    return held, tuple(effects)


def wait(case: Case, why: Hold) -> Turn:
    """Ask a person, once."""
    progress = case.progress
    if (progress.holding, progress.status) == (why.kind, "waiting"):
        return progress, ()
    waiting = replace(progress, status="waiting", holding=why.kind, reason=why.reason, by=ROUTER)
    return waiting, (
        Shift(cause="wait"),
        record(case, waiting, "ask", "would go on if somebody approves"),
        Say(
            event="approval",
            severity="warning",
            text=f"{case.experiment.name}: {why.reason}",
            key=f"{case.experiment.name}-{progress.run}-{place(progress)}-{why.kind}",
        ),
    )


def unproven(experiment: Experiment, observed: Observed, *, sure: bool) -> Hold | None:
    """Return which hard guardrail has no answer that lets a release go on; None when all have.

    Args:
        experiment: The experiment.
        observed: What is known.
        sure: Whether too little data is no answer; a failed measurement never is one.
    """
    found = [each for each in observed.found if each.action == "rollback" and not each.dry_run]
    silent = sorted(hard(experiment) - {each.name for each in found})
    if silent:
        return Hold("guardrails", f"nothing is known of guardrail {silent[0]!r} yet")
    for status, kind in (("error", "measurement"), ("inconclusive", "guardrails")):
        open_ = [each for each in found if each.status == status]
        if open_ and (sure or status == "error"):
            more = f", and {len(open_) - 1} more" if len(open_) > 1 else ""
            return Hold(kind, f"guardrail {open_[0].name} is {status}{more}: {open_[0].reason}")
    return None


def approve(case: Case, asked: Asked) -> Turn:
    """Keep that somebody lets the release go on."""
    progress = case.progress
    given = Approval(step=progress.step, stage=progress.stage, by=asked.by, time=case.now, reason=asked.reason)
    let = replace(
        progress,
        status=progress.status if progress.status == "paused" else "running",
        approvals=(*progress.approvals, given)[-APPROVALS:],
        holding="",
        reason=said("approved", asked),
        by=asked.by,
    )
    return let, (Shift(cause="approve"), record(case, let, "approve"))


def approved(progress: Progress) -> bool:
    """Say whether somebody let the present step go on."""
    return any((each.step, each.stage) == (progress.step, progress.stage) for each in progress.approvals)


def pause(case: Case, asked: Asked) -> Turn:
    """Stay until somebody resumes; guardrails go on guarding."""
    progress = case.progress
    if progress.status == "paused":
        return progress, ()
    held = replace(progress, status="paused", paused_at=case.now, reason=said("paused", asked), by=asked.by)
    return held, (Shift(cause="pause"), record(case, held, "pause"))


def resume(case: Case, asked: Asked, begin: Callable[[], Turn]) -> Turn | Refused:
    """End a pause; or begin again what was rolled back or given up.

    Args:
        case: What is known.
        asked: Who asks.
        begin: Begins the run anew.
    """
    progress = case.progress
    if progress.step in ("rolled_back", "aborted"):
        again, effects = begin()
        trail = (*progress.trail, *again.trail)[-TRAIL:]
        again = replace(again, trail=trail, reason=said("begun again", asked), by=asked.by)
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
        reason=said("resumed", asked),
        by=asked.by,
    )
    return on, (Shift(cause="resume"), record(case, on, "resume"))


def compared(observed: Observed) -> str:
    """Say what failed before and after everybody was switched, as what it is; empty when that is not known."""
    known = observed.pre_post
    if not known:
        return ""
    shares = [known[f"{side}_failures"] / known[f"{side}_exchanges"] for side in ("pre", "post")]
    return (
        f"; pre/post, so not at the same time: {100 * shares[0]:.3g}% of {known['pre_exchanges']:.0f} exchanges failed "
        f"before, {100 * shares[1]:.3g}% of {known['post_exchanges']:.0f} since"
    )


def said(what: str, asked: Asked) -> str:
    """Say who asked for something, and why."""
    return f"{what} by {asked.by}: {asked.reason}" if asked.reason else f"{what} by {asked.by}"
