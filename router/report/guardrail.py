"""Whether an arm keeps within a guardrail: non-inferiority by its margin.

Responsible for: a guardrail's margin as what the interval of an effect is held against.
Does not know: what follows from a broken guardrail; formulas (``router.inference.margins``).

A guardrail *passes* when all of the interval is within the margin, *fails* when all of it is beyond, and says nothing
until then; too little data never passes. ``ratio: 1.5`` is a margin of 50 % of control's value.

Rules: pure. Where control is 0, any multiple of it is 0, too: such a guardrail never passes, and it fails as soon as
the arm is shown to be worse.
"""

from collections.abc import Mapping
from typing import Literal

from router.analysis.aggregates import Aggregate, Cell, Place
from router.analysis.estimate import NotEnough
from router.analysis.result import Result
from router.config.scalars import format_share
from router.config.schema import Experiment, Guardrail, Metric
from router.inference.effect import Effect
from router.inference.margins import Margin, non_inferior
from router.report.compare import Compare, Question, asked, sequential, side
from router.report.digits import absolute_in_words, effect_in_words, value_in_words
from router.report.report import Guarded


def judge_guardrail(guardrail: Guardrail, metric: Metric, effect: Effect | NotEnough) -> Guarded:
    """Judge one guardrail.

    Args:
        guardrail: The guardrail.
        metric: Its metric.
        effect: The arm against control.
    """
    if isinstance(effect, NotEnough):
        return _guarded(guardrail, "unknown", effect, f"not enough data: {effect.reason}")
    margin = margin_of(guardrail)
    if margin.relative and effect.control.value == 0:
        worse = side(effect.interval) == (1 if metric.goal == "down" else -1)
        reason = "control is 0, and the arm is worse" if worse else "control is 0, so no multiple of it can be held"
        return _guarded(guardrail, "fail" if worse else "unknown", effect, reason)
    judged = non_inferior(effect, margin, metric.goal)
    if isinstance(judged, NotEnough):
        return _guarded(guardrail, "unknown", effect, judged.reason)
    status: Literal["pass", "fail", "unknown"] = "unknown" if judged.verdict == "inconclusive" else judged.verdict
    said = {"pass": "within the margin", "fail": "beyond the margin", "unknown": "not shown to be within the margin"}[
        status
    ]
    found = effect_in_words(metric, effect) if margin.relative else absolute_in_words(metric, effect)
    return _guarded(guardrail, status, effect, f"{found}, {said} of {_margin_in_words(guardrail, metric)}")


def margin_of(guardrail: Guardrail) -> Margin:
    """Return how much worse is allowed."""
    if guardrail.ratio is not None:
        return Margin(abs(guardrail.ratio - 1), relative=True)
    if guardrail.relative is not None:
        return Margin(abs(guardrail.relative), relative=True)
    return Margin(abs(guardrail.absolute or 0.0))


def _margin_in_words(guardrail: Guardrail, metric: Metric) -> str:
    if guardrail.ratio is not None:
        return f"{guardrail.ratio:g} times control's"
    if guardrail.relative is not None:
        return f"{format_share(guardrail.relative)} of control's"
    return value_in_words(metric, guardrail.absolute or 0.0)


def judge_arm(
    experiment: Experiment, metrics: Mapping[str, Metric], cells: tuple[Cell, Cell], compare: Compare
) -> tuple[Guarded, ...]:
    """Judge all guardrails of one arm that compare it with control.

    Args:
        experiment: The experiment.
        metrics: Its metrics by name.
        cells: What is known of the arm, and of control.
        compare: The method of the intervals.
    """
    if experiment.metrics is None:
        return ()
    treatment, control = cells
    judged: list[Guarded] = []
    for guardrail in experiment.metrics.guardrails:
        if not guardrail.compared or guardrail.metric is None:
            continue
        metric = metrics[guardrail.metric]
        question = Question(metric, known(treatment, metric), known(control, metric))
        effect = compare(*question, asked(question, experiment.decide, experiment.decide.alpha))
        judged.append(judge_guardrail(guardrail, metric, effect))
    return tuple(judged)


def broken_arms(experiment: Experiment, result: Result) -> dict[str, str]:
    """Return the arms of the latest phase that break a hard guardrail, with the reason; may be asked at any time.

    Args:
        experiment: The experiment.
        result: What is known of it.
    """
    if not result.stages or experiment.metrics is None:
        return {}
    run, phase = result.stages[-1].phase.place
    metrics = {metric.name: metric for metric in result.plan.metrics}
    control = experiment.control or experiment.arms[0].name
    broken: dict[str, str] = {}
    for arm in experiment.arms:
        if arm.name == control:
            continue
        pair = tuple(result.cells.get(Place(run, phase, name), Cell()) for name in (arm.name, control))
        judged = judge_arm(experiment, metrics, (pair[0], pair[1]), sequential(experiment))
        failed = next((each for each in judged if each.status == "fail" and hard(each.guardrail)), None)
        if failed is not None:
            broken[arm.name] = f"{failed.guardrail.metric}: {failed.reason}"
    return broken


def hard(guardrail: Guardrail) -> bool:
    """Return whether an arm that breaks it has to go."""
    return guardrail.action == "rollback" and not guardrail.dry_run


def known(cell: Cell, metric: Metric) -> Aggregate:
    """Return what is known of a metric in a cell."""
    return cell.metrics.get(metric.name, Aggregate())


def _guarded(
    guardrail: Guardrail, status: Literal["pass", "fail", "unknown"], effect: Effect | NotEnough, reason: str
) -> Guarded:
    return Guarded(guardrail=guardrail, status=status, effect=effect, reason=reason)
