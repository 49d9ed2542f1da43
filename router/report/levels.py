"""Two experiments of one treatment, by units and by clusters: do units influence each other?

Responsible for: which experiments can be compared so, and the comparison of their primary effects, arm by arm.
Does not know: formulas (``router.inference.interference``), events.

Rules: pure. Both effects are those of the latest phase at a fixed horizon, of all its units: the check is read once.
Whether both designs got their units at random, and no unit is in both, nobody can see from here.
"""

from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct

from router.analysis.estimate import NotEnough
from router.config.schema import Experiment
from router.counters import FANS
from router.inference import fixed
from router.inference.effect import Asked, Effect
from router.inference.interference import interference
from router.report.compare import is_adaptive
from router.report.scene import Evidence, Scene, scene_of
from router.report.slotted import over_every_slot


class Side(NamedTuple):
    """One of the experiments, with what is known of it."""

    experiment: Experiment
    evidence: Evidence


class Levels(Struct, frozen=True, kw_only=True):
    """The effect of one arm at two levels of randomisation.

    Attributes:
        unit: Where units were randomised one by one.
        cluster: Where clusters were.
        difference: The effect by clusters less that by units; other than 0 where units influence each other.
    """

    unit: Effect | NotEnough
    cluster: Effect | NotEnough
    difference: Effect | NotEnough


class TwoLevels(Struct, frozen=True, kw_only=True):
    """The check of two experiments.

    Attributes:
        metric: The metric that is compared.
        by_units: Name of the experiment that assigns units.
        by_clusters: Name of the one that assigns clusters.
        arms: Arm to its effects.
    """

    metric: str
    by_units: str
    by_clusters: str
    arms: Mapping[str, Levels]


def two_levels(one: Side, other: Side, now: float) -> TwoLevels:
    """Check whether an effect by clusters is that by units.

    Args:
        one: An experiment.
        other: Another of the same arms.
        now: The moment that it is about, in unix seconds.

    Raises:
        ValueError: If they are not two experiments of the same arms, targets and primary metric, one by units and one
            by clusters; the message is a sentence.
    """
    units, clusters = _in_order(one, other)
    metric = units.evidence.result.plan.metrics[0]
    unit_scene, cluster_scene = _latest(units, now), _latest(clusters, now)
    asked = Asked(units.experiment.decide.alpha / max(1, len(unit_scene.arms)))
    found: dict[str, Levels] = {}
    for arm in unit_scene.arms:
        if arm not in cluster_scene.arms:
            continue
        by_unit = fixed.compare(*unit_scene.question(arm, metric), asked)
        over_slots = over_every_slot(cluster_scene, arm, asked)
        by_cluster = fixed.compare(*cluster_scene.question(arm, metric), asked) if over_slots is None else over_slots
        found[arm] = Levels(unit=by_unit, cluster=by_cluster, difference=interference(by_unit, by_cluster, asked))
    return TwoLevels(
        metric=metric.name, by_units=units.experiment.name, by_clusters=clusters.experiment.name, arms=found
    )


def _in_order(one: Side, other: Side) -> tuple[Side, Side]:
    """Return the experiment by units and that by clusters."""
    names = f"{one.experiment.name} and {other.experiment.name}"
    if any("request" in side.experiment.unit for side in (one, other)):
        raise ValueError(f"of {names} one assigns requests, which are no clusters of units")
    if any(is_adaptive(side.experiment) for side in (one, other)):
        raise ValueError(f"of {names} one is a bandit, whose effects have no fixed horizon")
    if any(side.experiment.allocate.use in FANS for side in (one, other)):
        raise ValueError(f"of {names} one merges its arms' answers, so that it has no effect of an arm")
    if one.evidence.result.plan.clustered == other.evidence.result.plan.clustered:
        both = "clusters" if one.evidence.result.plan.clustered else "units"
        raise ValueError(f"{names} both assign {both}; the check needs one by units and one by clusters")
    arms = [
        ({arm.name: (arm.target, arm.value) for arm in side.experiment.arms}, side.evidence.result.plan.control)
        for side in (one, other)
    ]
    if arms[0] != arms[1]:
        raise ValueError(f"{names} have different arms, targets or control, so that their effects are not of one thing")
    first = [side.evidence.result.plan.metrics[:1] for side in (one, other)]
    if not first[0] or first[0] != first[1]:
        raise ValueError(f"{names} do not have the same primary metric, defined alike")
    if not all(side.evidence.result.stages for side in (one, other)):
        raise ValueError(f"of {names} one has exposed nobody yet")
    return (other, one) if one.evidence.result.plan.clustered else (one, other)


def _latest(side: Side, now: float) -> Scene:
    return scene_of(side.experiment, side.evidence, side.evidence.result.stages[-1], now)
