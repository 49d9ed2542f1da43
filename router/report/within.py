"""Closer looks at one metric, beside its effect: within strata, and step by step of a funnel.

Responsible for: when there is something to look at, and which cells it is made of.
Does not know: formulas (``router.inference.strata``, ``router.inference.funnels``), when a fixed horizon may be read.

Rules: pure. Descriptive: no verdict reads them, and intervals are at the experiment's level, not corrected.
"""

from collections.abc import Mapping

from router.analysis.aggregates import Aggregate
from router.analysis.estimate import NotEnough
from router.config.schema import Metric
from router.inference import funnels, strata
from router.inference.effect import Asked, Effect
from router.report.scene import Scene


def within_strata(scene: Scene, arm: str, metric: Metric) -> Effect | NotEnough | None:
    """Return the post-stratified effect of an arm; None where the experiment has no strata.

    Args:
        scene: The phase.
        arm: The arm.
        metric: The metric.
    """
    if not scene.evidence.result.plan.strata:
        return None
    levels = _levels(scene, metric)
    sizes = {level: 0 for of in levels.values() for level in of}
    for of in levels.values():
        for level, known in of.items():
            sizes[level] += known.units.n
    alpha = scene.experiment.decide.alpha
    return strata.compare(metric, levels.get(arm, {}), levels.get(scene.control, {}), Asked(alpha), sizes)


def _levels(scene: Scene, metric: Metric) -> Mapping[str, Mapping[strata.Level, Aggregate]]:
    """Return what is known of a metric by arm and stratum, in order."""
    out: dict[str, dict[strata.Level, Aggregate]] = {}
    for place, cell in sorted(scene.cells.items()):
        if place.slicing == scene.evidence.result.plan.strata and metric.name in cell.metrics:
            out.setdefault(place.arm, {})[place.values] = cell.metrics[metric.name]
    return out


def steps(scene: Scene, arm: str, metric: Metric) -> tuple[funnels.Step, ...]:
    """Return a funnel's steps; nothing of other kinds of metrics."""
    if metric.kind != "funnel":
        return ()
    _, treatment, control = scene.question(arm, metric)
    return funnels.steps(metric, treatment, control, Asked(scene.experiment.decide.alpha))
