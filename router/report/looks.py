"""Looks that count: those of a group-sequential plan, and the one at which a probability ratio test decided.

Responsible for: when a look is due, what is remembered of it, and what the looks taken so far say.
Does not know: where looks are kept (``router.control.looks``), boundaries (``router.inference.monitor``), formulas.

A look is taken when the next planned share of the data is there, and then counts for good: alpha that was spent stays
spent, over restarts, too. Between looks the last one is shown, whatever came since. The share is the smallest arm's
units over ``units``, the time over ``duration``, or, with neither, information over that which ``power`` at ``mde``
takes: (d/(D SE))^2 with the effect d and the drift D of the boundaries (Jennison and Turnbull 2000, chapter 11).
Several arms share alpha equally.

Rules: pure. Nothing is looked at, and so nothing spent, while data are invalid, too few, or may still change.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from router.analysis.estimate import Estimate, NotEnough, estimate
from router.analysis.promotion import may_promote
from router.config.schema import Experiment
from router.inference import fixed, monitor, sprt
from router.inference.boundaries import Level, evenly, spending_boundaries
from router.inference.difference import fieller
from router.inference.effect import Asked, Effect, Relative
from router.inference.operating import drift_for
from router.inference.spending import Spending
from router.report.compare import Question, is_adaptive
from router.report.digits import moment
from router.report.progress import units_of
from router.report.report import Direction, Readable
from router.report.scene import Evidence, Scene, Taken, scene_of

LOOKS: Final = 5
PLANNED: Final = ("group_sequential", "sprt")


class Standing(NamedTuple):
    """What the looks so far say of one arm's primary metric.

    Attributes:
        effect: The effect at the last look that counted; None before the first.
        p: Once a group-sequential test has stopped, by the stage-wise ordering.
        direction: What is shown.
        ended: Whether the test is over.
        readable: Whether a look was taken, and when the next one is due.
    """

    effect: Effect | NotEnough | None
    p: float | None
    direction: Direction
    ended: bool
    readable: Readable


def is_planned(scene: Scene) -> bool:
    """Say whether the primary metric is read at looks that count."""
    return scene.experiment.decide.method in PLANNED and not is_adaptive(scene.experiment) and bool(scene.metrics)


def due_of(experiment: Experiment, evidence: Evidence, now: float) -> tuple[Taken, ...]:
    """Return the looks that are to be taken now, to be remembered before anybody sees what they found.

    Args:
        experiment: The experiment.
        evidence: All that is known of it, with the looks that counted.
        now: Unix seconds.
    """
    if not evidence.result.stages:
        return ()
    scene = scene_of(experiment, evidence, evidence.result.stages[-1], now)
    if not is_planned(scene) or not may_promote(scene.quality, scene.marked).allowed:
        return ()
    return tuple(look for look in (_due(scene, arm) for arm in scene.arms) if look is not None)


def standing(scene: Scene, arm: str) -> Standing:
    """Return what the looks so far say of an arm.

    Args:
        scene: The phase.
        arm: The arm.
    """
    taken = scene.looks(arm)
    if scene.experiment.decide.method == "sprt":
        return _tested(scene, arm, taken)
    return _monitored(scene, arm, taken)


def _due(scene: Scene, arm: str) -> Taken | None:
    question, taken = scene.question(arm, scene.metrics[0]), scene.looks(arm)
    decide = scene.experiment.decide
    units = [units_of(cell, scene.metrics[0].name) for cell in scene.pair(arm)]
    changing = question.treatment.provisional or question.control.provisional
    if min(units) < max(decide.min_units, 2) or changing:
        return None
    if decide.method == "sprt":
        return None if taken else _decided(scene, arm, question)
    now = _moment(scene, arm, question)
    if isinstance(now, NotEnough):
        return None
    look, effect = now
    before = [monitor.Look(each.share, each.effect.value, _error(each.effect), each.information) for each in taken]
    planned, ended = _plan(scene), scene.stage.phase.end is not None
    verdicts = monitor.judge(planned, before) if before else ()
    if any(verdict.decision not in ("continue", "ignored") for verdict in verdicts):
        return None
    if monitor.not_due(planned, before, look, ended=ended) is not None:
        return None
    return _taken(scene, arm, effect, (look.share, look.amount))


def _moment(scene: Scene, arm: str, question: Question) -> tuple[monitor.Look, Effect] | NotEnough:
    """Return what a look would find now."""
    effect = fixed.compare(*question, Asked(_alpha(scene)))
    if isinstance(effect, NotEnough):
        return effect
    share = _share(scene, arm, effect)
    if not share > 0:
        return NotEnough("nothing of the planned data is there yet", 0)
    information = float(effect.treatment.n + effect.control.n)
    look = monitor.look_at(effect, share, information)
    return look if isinstance(look, NotEnough) else (look, effect)


def _share(scene: Scene, arm: str, effect: Effect) -> float:
    """Return how much of the planned data is there."""
    decide = scene.experiment.decide
    if decide.units is not None:
        return min(units_of(cell, scene.metrics[0].name) for cell in scene.pair(arm)) / decide.units
    if decide.duration is not None:
        start = scene.stage.phase.start
        return 0.0 if start is None else max(0.0, scene.now - start) / decide.duration
    matters = (decide.mde or 0.0) * abs(effect.control.value)
    if effect.standard_error is None or not matters or not effect.standard_error:
        return 0.0
    planned = _plan(scene)
    drift = drift_for(spending_boundaries(planned.level, planned.spending, planned.information), decide.power)
    return (matters / (drift * effect.standard_error)) ** 2


def _plan(scene: Scene) -> monitor.Plan:
    decide = scene.experiment.decide
    return monitor.Plan(
        goal=scene.metrics[0].goal,
        level=Level(_alpha(scene), 2),
        spending=Spending(decide.spending or "obrien_fleming", decide.parameter),
        information=decide.information or evenly(decide.looks or LOOKS),
    )


def _alpha(scene: Scene) -> float:
    return scene.experiment.decide.alpha / max(1, len(scene.arms))


def _taken(
    scene: Scene, arm: str, effect: Effect, amounts: tuple[float, float], found: sprt.Verdict | None = None
) -> Taken:
    run, phase = scene.stage.phase.place
    return Taken(
        experiment=scene.experiment.name,
        run=run,
        phase=phase,
        arm=arm,
        time=scene.now,
        share=amounts[0],
        information=amounts[1],
        decision="" if found is None else found.decision,
        reason="" if found is None else found.reason,
        effect=effect,
    )


def _error(effect: Effect) -> float:
    return effect.standard_error if effect.standard_error is not None else float("nan")


def _monitored(scene: Scene, arm: str, taken: Sequence[Taken]) -> Standing:
    question = scene.question(arm, scene.metrics[0])
    planned = _plan(scene)
    looks = [monitor.Look(each.share, each.effect.value, _error(each.effect), each.information) for each in taken]
    now = _moment(scene, arm, question)
    awaited = now.reason if isinstance(now, NotEnough) else monitor.not_due(planned, looks, now[0])
    if not looks:
        reason = f"group sequential: {awaited or 'the first look is due'}"
        return Standing(None, None, "not shown", ended=False, readable=Readable(now=False, reason=reason))
    ended = scene.stage.phase.end is not None
    verdicts = monitor.judge(planned, looks, ended=ended)
    place, verdict = [(at, each) for at, each in enumerate(verdicts) if each.decision != "ignored"][-1]
    direction: Direction = {"efficacy": "better", "harm": "worse"}.get(verdict.decision, "not shown")  # type: ignore[assignment]
    stopped = verdict.decision != "continue"
    effect = _at_look(taken[place].effect, verdict)
    p = verdict.adjusted.p if verdict.adjusted is not None else None
    following = "" if stopped else f"; {awaited or 'the next look is due'}"
    reason = f"group sequential: look {verdict.number} of {len(planned.information)}: {verdict.reason}{following}"
    return Standing(effect, p, direction, ended=stopped, readable=Readable(now=True, reason=reason))


def _at_look(effect: Effect, verdict: monitor.Verdict) -> Effect:
    """Return the effect of a look with the repeated interval, which holds at all looks together."""
    notes = (f"Of look {verdict.number}, at {verdict.share:.1%} of the planned data.",)
    return Effect(
        value=effect.value,
        interval=verdict.repeated,
        level=effect.level,
        relative=_stretched(effect, verdict),
        p=verdict.adjusted.p if verdict.adjusted is not None else None,
        standard_error=effect.standard_error,
        treatment=effect.treatment,
        control=effect.control,
        method=f"group sequential, {effect.method}",
        basis="group sequential",
        notes=(*notes, *effect.notes),
    )


def _stretched(effect: Effect, verdict: monitor.Verdict) -> Relative | NotEnough:
    """Return the relative effect with an interval as wide as the repeated one."""
    units, error, base = effect.control.n, effect.standard_error, effect.control.standard_error
    if effect.unadjusted is not None:
        return NotEnough("relative effects with a covariate are not kept at looks", units)
    if verdict.upper is None or error is None or base is None:
        return NotEnough("the look may spend nothing, so its interval has no ends", units)
    return fieller(effect.value, effect.control, (error**2, base**2, -(base**2)), verdict.upper)


def _decided(scene: Scene, arm: str, question: Question) -> Taken | None:
    """Return the look at which a probability ratio test decides; None while it goes on."""
    found = _ratio(scene, question)
    if isinstance(found, NotEnough) or found.decision == "continue":
        return None
    return _taken(scene, arm, found.effect, (1.0, float(found.effect.treatment.n + found.effect.control.n)), found)


def _ratio(scene: Scene, question: Question) -> sprt.Verdict | NotEnough:
    """Return what the probability ratio test says now; its effect is a share of control's present value."""
    decide = scene.experiment.decide
    control = estimate(question.metric, question.control)
    share = decide.effect or decide.mde
    if question.metric.kind == "quantile":
        return NotEnough("there is no likelihood ratio of quantiles: use method sequential", 0)
    if not isinstance(control, Estimate) or not control.value or share is None:
        return NotEnough("control is 0, so an effect is no share of it", question.control.units.n)
    errors = sprt.Errors(_alpha(scene), 1 - decide.power)
    return sprt.compare(*question, errors, share * abs(control.value))


def _tested(scene: Scene, arm: str, taken: Sequence[Taken]) -> Standing:
    if taken:
        first = taken[0]
        direction: Direction = "better" if first.decision == "reject" else "not shown"
        reason = f"sequential probability ratio: decided at {moment(first.time)}: {first.reason}"
        return Standing(first.effect, None, direction, ended=True, readable=Readable(now=True, reason=reason))
    found = _ratio(scene, scene.question(arm, scene.metrics[0]))
    over = scene.stage.phase.end is not None
    effect = found if isinstance(found, NotEnough) else found.effect
    reason = f"sequential probability ratio: {found.reason}"
    return Standing(effect, None, "not shown", ended=over, readable=Readable(now=True, reason=reason))
