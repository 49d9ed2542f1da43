"""What is said of a switchback: slots of time are what was assigned, so that slots are what is compared.

Responsible for: the effect of the primary metric over slots, in the place of that over units where a fixed horizon may
be read, beside it where the experiment is decided at any time; and carry-over as a line of the checklist.
Does not know: formulas (``router.inference.switchback``), how slots were added up.

The analysis over slots is one of a fixed horizon. Where the experiment is decided by another method, it stands beside,
says so, and decides nothing.

Rules: pure. What may not be read yet is not shown; carry-over is a check, and always is.
"""

from typing import TYPE_CHECKING, Final

from msgspec import structs

from router.analysis.estimate import NotEnough
from router.analysis.slots import Slots
from router.inference.effect import Asked, Effect
from router.report.compare import shown
from router.report.report import Check, Measure, Status, Switched
from router.report.scene import Scene

if TYPE_CHECKING:
    from router.inference.switchback import Switchback

ONCE: Final = "Over slots, at a fixed horizon: to be read once, when the phase is over; it decides nothing here."
NAME: Final = "slots leave nothing to the next"
P: Final = 0.01
"""Below it carry-over is a warning; a report is read often, so it is well below 0.05."""


def switched(scene: Scene) -> dict[str, Switched]:
    """Return the analysis over slots of each arm against control; nothing for what is no switchback."""
    slots = scene.evidence.result.slots.get(scene.stage.phase.place)
    if slots is None:
        return {}
    return {arm: _switched(scene, arm, slots) for arm in scene.arms}


def _switched(scene: Scene, arm: str, slots: Slots) -> Switched:
    kept = [slot for slot in slots.found if slot.arm in (arm, scene.control)]
    found = _analysed(scene, arm, slots, Asked(scene.experiment.decide.alpha / max(1, len(scene.arms))))
    effect: Effect | NotEnough | None = found.effect if scene.end.readable.now else None
    if isinstance(effect, Effect) and scene.experiment.decide.method != "fixed":
        effect = structs.replace(effect, notes=(ONCE, *effect.notes))
    return Switched(effect=effect, carry_over=found.carry_over, slots=len(kept), left_out=slots.left_out)


def _analysed(scene: Scene, arm: str, slots: Slots, asked: Asked) -> "Switchback":
    from router.inference.switchback import Design, Slot, analyse  # noqa: PLC0415 - it loads statsmodels: a second

    kept = [slot for slot in slots.found if slot.arm in (arm, scene.control)]
    turned = [Slot(float(slot.begin), slot.arm == arm, slot.y, slot.x, slot.of) for slot in kept]
    return analyse(turned, Design(slots.length), asked)


def over_every_slot(scene: Scene, arm: str, asked: Asked) -> Effect | NotEnough | None:
    """Return the effect over slots, whether or not it may be read yet; None of what is no switchback."""
    slots = scene.evidence.result.slots.get(scene.stage.phase.place)
    return None if slots is None else _analysed(scene, arm, slots, asked).effect


def over_slots(
    scene: Scene, said: dict[str, tuple[Measure, ...]], known: dict[str, Switched]
) -> dict[str, tuple[Measure, ...]]:
    """Put the effect over slots in the place of the primary metric's, where that is read at a fixed horizon.

    Args:
        scene: The phase.
        said: What is said of each metric, by arm, the primary first.
        known: What ``switched`` returns; its intervals and p are Bonferroni's over arms.
    """
    if scene.experiment.decide.method != "fixed" or not scene.end.readable.now:
        return said
    return {
        arm: (_measure(scene, found[0], known[arm].effect), *found[1:]) if arm in known and found else found
        for arm, found in said.items()
    }


def _measure(scene: Scene, measure: Measure, effect: Effect | NotEnough | None) -> Measure:
    p = effect.p if isinstance(effect, Effect) else None
    corrected = None if p is None else min(1.0, p * len(scene.arms))
    rejected = corrected is not None and corrected <= scene.experiment.decide.alpha
    direction = "not shown" if effect is None else shown(scene.metrics[0], effect, rejected=rejected)
    return Measure(
        metric=measure.metric, role=measure.role, goal=measure.goal, effect=effect, p=corrected, direction=direction
    )


def carried_over(found: Switched) -> Check:
    """Say whether a slot changes what happens in the next one, which would bias the effect."""
    known = found.carry_over
    if isinstance(known, NotEnough):
        return Check(name=NAME, status="unknown", hard=False, evidence=known.reason)
    less = "" if not found.left_out else f"; {found.left_out:,} older slots were left out"
    p = known.p if known.p is not None else 1.0
    status: Status = "warn" if p < P else "pass"
    evidence = f"after a treated slot {known.value:+.3g}, p {p:.2g}, over {found.slots:,} slots{less}"
    if status == "warn":
        evidence += ": the effect is biased; make slots longer"
    return Check(name=NAME, status=status, hard=False, evidence=evidence)
