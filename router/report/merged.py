"""What is said of arms whose answers are merged into one: which ranker is preferred, and nothing of metrics by arm.

Responsible for: putting the preference of interleaved rankers in the place of the primary metric's effect, and a reason
in that of every effect that would compare two halves of one mixture.
Does not know: how credit is given, how sure a preference is (``router.inference.preference``).

Every unit of such an experiment sees both rankers, or all models; the arm of a unit says whose answer the rest is. So
a metric by arm compares nothing, but for the failures of each arm's own target. What speaks for one ranker or the other
is the primary metric's outcome, about items.

Rules: pure. What may not be read yet is not shown: the sign test once, as ``readable`` says, its form for any time
always.
"""

from typing import Final

from msgspec import structs

from router.analysis.estimate import NotEnough
from router.config.schema import Metric
from router.counters import FANS
from router.inference.effect import Asked
from router.inference.preference import Chance, Preference, preference
from router.report.report import Direction, Measure
from router.report.scene import Scene

SAME: Final = "every unit is answered by all arms together, so that its arm says nothing of this metric"


def is_merged(scene: Scene) -> bool:
    """Return whether answers of several arms are merged."""
    return scene.experiment.allocate.use in FANS


def preferences(scene: Scene) -> dict[str, Preference | NotEnough]:
    """Return what outcomes about items say of the rankers, by outcome."""
    place = scene.stage.phase.place
    alpha = scene.experiment.decide.alpha
    found = scene.evidence.result.credits
    return {name: preference(known, Asked(alpha)) for (phase, name), known in found.items() if phase == place}


def merged(scene: Scene, said: dict[str, tuple[Measure, ...]]) -> dict[str, tuple[Measure, ...]]:
    """Return what is said of each metric, by arm, where answers are merged.

    Args:
        scene: The phase.
        said: What would be said of separate arms.
    """
    if not is_merged(scene):
        return said
    by_name = {metric.name: metric for metric in scene.metrics}
    known = preferences(scene)
    return {arm: tuple(_measure(scene, arm, each, by_name, known) for each in found) for arm, found in said.items()}


def _measure(
    scene: Scene,
    arm: str,
    measure: Measure,
    by_name: dict[str, Metric],
    known: dict[str, Preference | NotEnough],
) -> Measure:
    metric = by_name[measure.metric]
    if metric.exchange == "failed":  # of the target of the unit's arm
        return measure
    bare = Measure(metric=measure.metric, role=measure.role, goal=measure.goal, effect=None)
    if measure.role != "primary" or scene.experiment.allocate.use != "interleave" or metric.outcome is None:
        return structs.replace(bare, effect=NotEnough(SAME, 0))
    found = known.get(metric.outcome, NotEnough(f"no {metric.outcome} is about an item of a merged list yet", 0))
    if isinstance(found, NotEnough):
        return structs.replace(bare, effect=found)
    chance = found.once if scene.experiment.decide.method == "fixed" else found.any_time
    if isinstance(chance, NotEnough) or not scene.end.readable.now:
        return structs.replace(bare, effect=chance if isinstance(chance, NotEnough) else None)
    turned = found.treatment != arm
    direction: Direction = "not shown"
    if chance.p <= scene.experiment.decide.alpha:
        better = (chance.value > 0.5) != turned
        direction = "better" if better == (measure.goal == "up") else "worse"
    return structs.replace(bare, effect=_turned(found, chance) if turned else found, p=chance.p, direction=direction)


def _turned(found: Preference, chance: Chance) -> Preference | NotEnough:
    """Return a preference of rankers in the other order, where control is another arm than it was counted with."""
    return NotEnough(f"the preference is counted against {found.control}, which is control no more", chance.n)
