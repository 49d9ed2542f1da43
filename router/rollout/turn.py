"""The shape of a decision about a release, and the words in which it is kept.

Responsible for: ``Turn`` and ``Refused``, and making the line of the decision log from what was looked at.
Does not know: when to decide what (``ladder`` and its siblings).

Rules: pure.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from router.config.schema import Experiment
from router.events.rollout import Decided, Found, Progress
from router.rollout.effect import Effect, Record
from router.rollout.observed import Observed

TRAIL: Final = 64
APPROVALS: Final = 32

_INSTEAD: Final = {
    "begin": "nobody would have the new version",
    "lower": "the share stays where the file leaves it",
    "rollback": "would have gone on without this",
    "abort": "would have gone on without this",
    "approve": "would have waited on",
    "pause": "would have gone on by itself",
    "resume": "would have stayed paused",
    "advance": "would have held if something were open",
}
"""What would have been done otherwise, for actions whose answer is always the same."""

Turn = tuple[Progress, tuple[Effect, ...]]
"""Where a release is next, and what that asks of the world; the same progress and nothing when nothing happens."""


class Case(NamedTuple):
    """What a decision is made from.

    Attributes:
        experiment: The experiment.
        progress: Where its release is.
        observed: What is known of it.
        now: Unix seconds.
    """

    experiment: Experiment
    progress: Progress
    observed: Observed
    now: float


class Refused(Struct, frozen=True):
    """Why what a person asked for is not done.

    Attributes:
        reason: Why, and what could be done instead.
    """

    reason: str


def record(case: Case, ahead: Progress, action: str, instead: str = "") -> Record:
    """Make the line of the decision log that says where a release is now.

    Args:
        case: What the decision was made from.
        ahead: Where the release is after it.
        action: What was done.
        instead: What would have been done otherwise, and what it would have taken.
    """
    observed = case.observed
    numbers = {
        **observed.risk,
        **observed.pre_post,
        "step_s": observed.step_s,
        **{f"exchanges_{arm}": float(count) for arm, count in observed.exchanges.items()},
        **{f"units_{arm}": float(count) for arm, count in (observed.units or {}).items()},
    }
    return Record(
        decided=Decided(
            id="",
            time=case.now,
            experiment=case.experiment.name,
            run=ahead.run,
            phase=observed.phase,
            revision=observed.revision,
            step=ahead.step,
            stage=ahead.stage,
            share=ahead.share,
            action=action,
            alternative=instead or _INSTEAD.get(action, ""),
            by=ahead.by,
            reason=ahead.reason,
            found=observed.found,
            numbers=numbers,
        )
    )


def entered(progress: Progress, now: float, **changes: object) -> Progress:
    """Return a progress that has just entered another step: its clock begins, and the trail has it."""
    following = replace(
        progress, since=now, paused_at=None, paused_s=0.0, past_deadline=False, holding="", holds=(), **changes
    )
    return replace(following, trail=(*progress.trail, (place(following), now))[-TRAIL:])


def place(progress: Progress) -> str:
    """Say where a release is, in a word or two; stages and batches are counted from 1."""
    if progress.step in ("stage", "batch"):
        return f"{progress.step} {progress.stage + 1}"
    return progress.step.replace("_", " ")


def failing(found: Iterable[Found], action: str) -> Found | None:
    """Return the first guardrail that fails with an action, and is more than a trial."""
    return next((each for each in found if each.status == "fail" and each.action == action and not each.dry_run), None)
