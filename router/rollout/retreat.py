"""The way back: everybody on control again, or why not.

Responsible for: when the new arm is too bad to stay, and what going back asks of the world.
Does not know: steps forward.

Rules: pure. Traffic first. Never onto a control that is known to be worse or cannot serve: then the release stays where
it is, and a person is called; as soon as control is fine, it goes back.
"""

from typing import Final, Literal

from msgspec.structs import replace

from router.events.rollout import Found, Progress
from router.rollout.effect import PostMortem, Say, Shift
from router.rollout.observed import Observed
from router.rollout.turn import Case, Turn, entered, failing, place, record

UNREADY_S: Final = 10.0
"""How long a version may be unable to serve: a restart takes less, a target that vanished stays away."""

End = Literal["rolled_back", "aborted"]


def worse(progress: Progress, observed: Observed) -> Found | None:
    """Return why the new arm may not keep what it has; None when nothing is known against it."""
    found = failing(observed.found, "rollback")
    if found is not None:
        return found
    ill = observed.smoke is not None and observed.smoke.status == "fail"
    if ill and progress.share > 0 and observed.unready_s >= UNREADY_S:
        return observed.smoke
    checks = {"shadow": observed.shadow, "offline": observed.offline, "preview": observed.smoke}
    check = checks.get(progress.step)
    if check is not None and check.status == "fail" and check.action == "rollback" and not check.dry_run:
        return check
    return None


def back(case: Case, why: str, *, by: str = "router", end: End = "rolled_back") -> Turn:
    """Put everybody on control; or stay, where control is known to be worse or cannot serve.

    Args:
        case: What is known.
        why: What fired.
        by: Who or what decided.
        end: Whether the version failed, or was only given up.
    """
    progress, known = case.progress, case.observed.control
    if known is not None and known.status == "fail" and progress.share > 0:
        return _stay(case, f"{why}; but it cannot go back: {known.reason}")
    name = case.experiment.name
    was = place(progress)
    following = entered(progress, case.now, step=end, status="over", share=0.0, reason=f"in {was}: {why}", by=by)
    cause = "rollback" if end == "rolled_back" else "abort"
    return following, (
        Shift(mirror=0.0, cause=cause, urgent=True),
        record(case, following, cause),
        Say(
            event="rollback",
            severity="critical" if end == "rolled_back" else "warning",
            text=f"{name}: everybody is back on control. {following.reason}",
            key=f"{name}-{progress.run}-{cause}",
        ),
        PostMortem(cause=why),
    )


def _stay(case: Case, reason: str) -> Turn:
    """Call a person, because neither side is fit."""
    progress, name = case.progress, case.experiment.name
    if progress.holding == "stuck":
        return replace(progress, reason=reason), ()
    status = progress.status if progress.status == "paused" else "waiting"
    following = replace(progress, status=status, holding="stuck", reason=reason, by="router")
    return following, (
        Shift(cause="wait"),
        record(case, following, "ask", "would roll back if control were fit for it"),
        Say(
            event="approval",
            severity="critical",
            text=f"{name}: the new arm fails, and control is no better. {reason}",
            key=f"{name}-{progress.run}-{place(progress)}-stuck",
        ),
    )
