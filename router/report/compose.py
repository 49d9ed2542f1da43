"""A report from all that is known of an experiment.

Responsible for: which questions are asked of which phase, in which families they are corrected, and putting answers in
their places.
Does not know: formulas, thresholds, how a report is shown.

Families, each corrected by itself: the primary metric over arms; secondary metrics over arms; slices of the primary
metric. Guardrails are each judged at alpha, since all of them have to hold. Phases are never pooled: a ramp moves units
between arms, so that the mix of times differs between them. The decision is about the latest phase; the ones before it
have their effects, and nothing more.

Rules: pure; the same evidence and moment give the same report. Nothing in it is nan or infinite.
"""

from collections.abc import Mapping
from typing import Final

from router.config.schema import Experiment
from router.inference.effect import Asked, Effect
from router.report import checks, looks, slices, verdict
from router.report.compare import is_adaptive, quick, sequential
from router.report.covariance import correlations
from router.report.effects import criterion, measures, method
from router.report.formed import judge_formed
from router.report.guardrail import judge_arm
from router.report.merged import is_merged, merged, preferences
from router.report.progress import End, change, days, lines, slopes
from router.report.report import Check, Compared, Day, Measure, Report, Sliced, Studied, Switched
from router.report.scene import Evidence, Scene, scene_of
from router.report.slotted import carried_over, over_slots, switched

MOST_PHASES: Final = 20


def compose(experiment: Experiment, evidence: Evidence, now: float) -> Report:
    """Return the report of an experiment.

    Args:
        experiment: The experiment.
        evidence: All that is known of it.
        now: The moment that it is about, in unix seconds.
    """
    stages = evidence.result.stages[::-1][:MOST_PHASES]
    metrics = evidence.result.plan.metrics
    phases = tuple(
        _studied(scene_of(experiment, evidence, stage, now), latest=not index) for index, stage in enumerate(stages)
    )
    if not metrics:
        decision = verdict.nothing("the experiment has no metrics")
    elif not phases:
        decision = verdict.nothing("nobody was exposed yet")
    else:
        decision = verdict.decide(phases[0].arms, change(phases[0], metrics[0]))
    return Report(
        experiment=experiment.name,
        time=now,
        control=experiment.control or experiment.arms[0].name,
        primary=metrics[0].name if metrics else None,
        decide=experiment.decide,
        adaptive=is_adaptive(experiment),
        hypothesis=experiment.hypothesis,
        owner=experiment.owner,
        notes=experiment.notes,
        decision=decision,
        phases=phases,
    )


def _studied(scene: Scene, *, latest: bool) -> Studied:
    quality = scene.quality
    known = switched(scene)
    said = over_slots(scene, merged(scene, measures(scene)), known) if scene.metrics else {}
    found = _slices(scene, said) if latest and scene.metrics and not is_merged(scene) else ()
    arms = tuple(
        _compared(scene, arm, said.get(arm, ()), found if latest else None, known.get(arm)) for arm in scene.arms
    )
    validity = checks.valid(quality, scene.marked)
    cells = [scene.cell(arm) for arm in (scene.control, *scene.arms)]
    return Studied(
        run=scene.stage.phase.run,
        phase=scene.stage.phase.phase,
        start=scene.stage.phase.start,
        end=scene.stage.phase.end,
        units={arm: scene.cell(arm).units for arm in (scene.control, *scene.arms)},
        expected=dict(quality.sample_ratio.expected) if quality is not None else {},
        valid={"pass": True, "fail": False}.get(validity.status),
        readable=scene.end.readable,
        arms=arms,
        slices=found,
        correlations=correlations(scene.metrics, cells) if latest else {},
        checks=_whole(scene) if latest else (validity,),
        days=_days(scene) if latest and scene.metrics else (),
        preferences=preferences(scene),
        switchbacks=known,
    )


def _whole(scene: Scene) -> tuple[Check, ...]:
    """Return what was found of the phase as a whole."""
    result = scene.evidence.result
    return (
        checks.valid(scene.quality, scene.marked),
        checks.whole_weeks(scene.stage, scene.now),
        checks.as_planned(scene.stage),
        *((checks.rehearsed(scene.evidence.drill),) if scene.experiment.allocate.driven else ()),
        *checks.told(scene.quality),
        checks.missing(tuple(result.strays.items()), scene.evidence.log, scene.evidence.unread, scene.stage.fates),
    )


def _slices(scene: Scene, said: Mapping[str, tuple[Measure, ...]]) -> tuple[Sliced, ...]:
    primary = scene.metrics[0]
    groups = slices.groupings(scene.cells, primary, scene.arms, scene.control)
    wholes = {arm: found[0].effect for arm, found in said.items()}
    known_of = {arm: effect for arm, effect in wholes.items() if isinstance(effect, Effect)}
    asking = slices.Asking(primary, method(scene), scene.experiment.decide)
    return slices.sliced(groups, asking, known_of, hidden=not scene.end.readable.now)


def _days(scene: Scene) -> tuple[Day, ...]:
    """Return how the primary metric went; while effects may not be read, without them."""
    result, arms = scene.evidence.result, (scene.control, *scene.arms)
    hidden = is_merged(scene) or not scene.end.readable.now or scene.experiment.decide.method == "group_sequential"
    compare = None if hidden else quick(sequential(scene.experiment))
    alpha = scene.experiment.decide.alpha / max(1, len(scene.arms))
    return days(result, scene.stage, arms, compare, Asked(alpha))


def _compared(
    scene: Scene,
    arm: str,
    said: tuple[Measure, ...],
    found: tuple[Sliced, ...] | None,
    slots: Switched | None = None,
) -> Compared:
    if found is None or not said:
        return Compared(arm=arm, measures=said)
    by_name = {metric.name: metric for metric in scene.metrics}
    pair = scene.pair(arm)
    compared = judge_arm(scene.experiment, by_name, pair, method(scene))
    guardrails = (*compared, *judge_formed(scene.experiment, by_name, pair))
    whole = criterion(scene, arm) if scene.end.readable.now and not is_merged(scene) else None
    trends = slopes(scene.evidence.result, scene.stage, arm, scene.control)
    end = scene.end
    if looks.is_planned(scene):
        found_at = looks.standing(scene, arm)
        end = End(found_at.readable, found_at.ended)
    judged = verdict.judge(
        verdict.Case(
            metric=scene.metrics[0],
            primary=said[0],
            guardrails=guardrails,
            overall=whole,
            lines=(
                *lines(scene.experiment, scene.stage, pair, scene.now, end),
                *_lines(scene, arm),
                checks.settled(said[0].effect, trends),
                checks.sliced(arm, found),
                *((carried_over(slots),) if slots is not None else ()),
            ),
            ended=end.ended,
            decide=scene.experiment.decide,
        )
    )
    return Compared(
        arm=arm,
        measures=said,
        guardrails=guardrails,
        overall=whole,
        slopes=trends,
        verdict=judged.verdict,
        reason=judged.reason,
        checklist=judged.checklist,
    )


def _lines(scene: Scene, arm: str) -> tuple[Check, ...]:
    """Return the lines of the checklist that are about the data, not about an effect."""
    before = checks.before_exposure(scene.metrics, *scene.pair(arm))
    lost = checks.attrition(scene.metrics, *scene.pair(arm))
    return (*_whole(scene), *((before,) if before is not None else ()), lost)
