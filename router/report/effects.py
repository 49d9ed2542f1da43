"""Effects of one phase: which metrics are asked about, in which families, by which method.

Responsible for: roles of metrics, families, Bayesian numbers beside, the overall criterion's method.
Does not know: formulas, guardrails, slices.

Rules: pure. What may not be read yet is not computed.
"""

from typing import Final

from msgspec import structs

from router.analysis.estimate import NotEnough
from router.config.schema import Experiment, Metric
from router.inference import bayes, fixed
from router.inference.effect import Asked, Effect
from router.report import looks, within
from router.report.compare import Answer, Compare, Question, family, is_adaptive, sequential
from router.report.overall import overall, weighted_overall
from router.report.report import Measure, Overall, Role
from router.report.scene import Scene

COUNTS: Final = 100
"""Successes and failures of an arm from which on a beta distribution is normal to the digits that are shown."""


def method(scene: Scene) -> Compare:
    """Return how effects are compared: as planned where that may be read, else in the way that always may."""
    if scene.experiment.decide.method == "fixed" and not is_adaptive(scene.experiment) and scene.end.readable.now:
        return fixed.compare
    return sequential(scene.experiment)


def measures(scene: Scene) -> dict[str, tuple[Measure, ...]]:
    """Return what is said of each metric, by arm: the primary in one family, the others in another."""
    roles = _roles(scene.experiment, scene.metrics)
    out: dict[str, list[Measure]] = {arm: [] for arm in scene.arms}
    for primary in (True, False):
        asked = [
            (arm, metric)
            for metric in scene.metrics
            for arm in scene.arms
            if (roles[metric.name] == "primary") == primary
        ]
        questions = [scene.question(arm, metric) for arm, metric in asked]
        told: tuple[Answer | None, ...] = (None,) * len(asked)
        if scene.end.readable.now and questions:
            told = family(questions, method(scene), scene.experiment.decide)
        if primary and looks.is_planned(scene):
            told = tuple(_at_looks(looks.standing(scene, arm)) for arm, _ in asked)
        for (arm, metric), question, answer in zip(asked, questions, told, strict=True):
            made = _measure(question, roles[metric.name], answer, adaptive=is_adaptive(scene.experiment))
            if method(scene) is fixed.compare:
                closer = within.within_strata(scene, arm, metric), within.steps(scene, arm, metric)
                made = structs.replace(made, within_strata=closer[0], steps=closer[1])
            out[arm].append(made)
    return {arm: tuple(found) for arm, found in out.items()}


def _at_looks(found: looks.Standing) -> Answer | None:
    """Return what looks say; None before the first."""
    return None if found.effect is None else Answer(found.effect, found.p, found.direction)


def _roles(experiment: Experiment, metrics: tuple[Metric, ...]) -> dict[str, Role]:
    measured = experiment.metrics
    roles: dict[str, Role] = {}
    for metric in metrics:
        roles[metric.name] = "criterion"
        if measured is not None and any(metric.name in guardrail.metrics() for guardrail in measured.guardrails):
            roles[metric.name] = "guardrail"
        if measured is not None and metric.name in measured.secondary:
            roles[metric.name] = "secondary"
        if measured is not None and metric.name == measured.primary:
            roles[metric.name] = "primary"
    return roles


def _measure(question: Question, role: Role, answer: Answer | None, *, adaptive: bool) -> Measure:
    metric = question.metric
    if answer is None:
        return Measure(metric=metric.name, role=role, goal=metric.goal, effect=None)
    made = Measure(
        metric=metric.name, role=role, goal=metric.goal, effect=answer.effect, p=answer.p, direction=answer.direction
    )
    believed = None if adaptive else _believed(question)
    if believed is None or isinstance(believed, NotEnough) or not isinstance(answer.effect, Effect):
        return made
    return structs.replace(made, chance_to_win=believed.chance_to_win, expected_loss=believed.expected_loss)


def _believed(question: Question) -> bayes.Posterior | NotEnough:
    """Return what is believed of an effect: exactly where counts are small, else by the normal distribution."""
    few = min(min(known.units.y, known.units.n - known.units.y) for known in (question.treatment, question.control))
    if few < COUNTS:
        return bayes.beside(*question, Asked())
    found = fixed.compare(*question, Asked())
    return found if isinstance(found, NotEnough) else bayes.of_effect(found, question.metric.goal, Asked())


def criterion(scene: Scene, arm: str) -> Overall | NotEnough | None:
    """Return the overall criterion of an arm; None where none is declared."""
    measured = scene.experiment.metrics
    if measured is None or not measured.oec:
        return None
    by_name = {metric.name: metric for metric in scene.metrics}
    decide = scene.experiment.decide
    if not is_adaptive(scene.experiment):
        fixed_now = method(scene) is fixed.compare
        return overall(measured.oec, by_name, scene.pair(arm), decide, "fixed horizon" if fixed_now else "always valid")
    found: dict[str, tuple[Metric, Effect]] = {}
    for name in measured.oec:
        metric = by_name[name]
        effect = sequential(scene.experiment)(*scene.question(arm, metric), Asked(decide.alpha / len(measured.oec)))
        if isinstance(effect, NotEnough):
            return NotEnough(f"{name}: {effect.reason}", effect.n)
        found[name] = metric, effect
    return weighted_overall(measured.oec, found)
