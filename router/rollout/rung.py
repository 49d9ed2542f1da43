"""The steps of a staged rollout, as one list.

Responsible for: which steps there are, in order, with the share and the requirements of each.
Does not know: where a release is, what was observed.

Rules: pure. Shares never shrink from step to step. Full share leaves ``keep_control`` to control, to compare with until
the bake is over. A configuration that was edited since may have fewer stages than a release has passed: then the last
one is where it is.
"""

from typing import Final, Literal

from msgspec import Struct

from router.config.schema import Allocate
from router.events.rollout import Progress, Step

ALL: Final = 1.0


class Rung(Struct, frozen=True, kw_only=True):
    """A step, and what has to hold before the next.

    Attributes:
        step: What it is.
        stage: Which of several.
        share: Share of units that the new arm has in it.
        mirror: Share of units whose requests are copied to the new arm's target.
        hold: How long it lasts at least, in seconds that count.
        min_units: Units that each arm needs.
        require: What has to be shown.
        deadline: How long it may last, in seconds that count; None is unbounded.
        on_deadline: What follows then.
        approve: Whether a person has to let it go on.
    """

    step: Step
    stage: int = 0
    share: float = 0.0
    mirror: float = 0.0
    hold: float = 0.0
    min_units: int = 0
    require: tuple[Literal["guardrails", "primary"], ...] = ()
    deadline: float | None = None
    on_deadline: Literal["hold", "abort", "rollback"] = "hold"
    approve: bool = False


def rungs(allocate: Allocate) -> tuple[Rung, ...]:
    """Return the steps of a staged rollout, ``done`` last."""
    full = ALL - allocate.keep_control
    found: list[Rung] = []
    if allocate.offline is not None:
        found.append(Rung(step="offline"))
    if (rehearsal := allocate.rehearsal) is not None:
        found.append(
            Rung(
                step="shadow",
                mirror=rehearsal.share,
                hold=rehearsal.hold,
                deadline=rehearsal.deadline,
                on_deadline=rehearsal.on_deadline,
            )
        )
    for index, stage in enumerate(allocate.ladder):
        found.append(
            Rung(
                step="stage",
                stage=index,
                share=min(stage.share, full),
                hold=stage.hold,
                min_units=stage.min_units,
                require=stage.require,
                deadline=stage.deadline,
                on_deadline=stage.on_deadline,
                approve=stage.approve,
            )
        )
    found.append(Rung(step="bake", share=full, hold=allocate.bake))
    found.append(Rung(step="done", share=ALL - allocate.holdout))
    return tuple(found)


def rung_of(allocate: Allocate, progress: Progress) -> Rung:
    """Return the step in which a release is, as the configuration has it now."""
    return rungs(allocate)[_index(rungs(allocate), progress)]


def following(allocate: Allocate, progress: Progress) -> Rung:
    """Return the step after that in which a release is; ``done`` has none after it and is returned itself."""
    steps = rungs(allocate)
    return steps[min(_index(steps, progress) + 1, len(steps) - 1)]


def _index(steps: tuple[Rung, ...], progress: Progress) -> int:
    """Find the step; one that the configuration no longer has is the last before it that it has."""
    order = [(_ORDER[rung.step], rung.stage) for rung in steps]
    here = (_ORDER.get(progress.step, 0), progress.stage)
    return max((index for index, each in enumerate(order) if each <= here), default=0)


_ORDER: Final[dict[Step, int]] = {"offline": 0, "shadow": 1, "stage": 2, "bake": 3, "done": 4}
