"""What the log says of single metrics of a release, for conditions of guardrails that name them.

Responsible for: the new arm's value, control's, the change, with intervals that are valid at any time.
Does not know: conditions (``router.guardrail``), when they are asked.

Rules: pure. What was not read, and too little data, is a sentence and never a number. A share has the exact bounds of a
coin (``router.guardrail.likelihood``), everything else an asymptotic sequence, from its burn-in on.
"""

from math import log

from msgspec import structs

from router.analysis.aggregates import Aggregate, Cell, Place
from router.analysis.estimate import Estimate, NotEnough, estimate
from router.analysis.result import Result
from router.config.schema import Experiment, Metric
from router.guardrail.likelihood import bound
from router.guardrail.seen import Business, Known
from router.inference.confidence_sequence import around
from router.inference.effect import Asked, Effect
from router.report.compare import Question, asked, sequential
from router.report.guardrail import known

_SHARES = ("proportion", "retention", "funnel")

Ends = tuple[float | None, float | None]


def business(experiment: Experiment, result: Result | None, place: tuple[int, int]) -> Business:
    """Return what says of a metric what is known of it in a phase.

    Args:
        experiment: The experiment, of two arms.
        result: What was computed from the log; None when nothing was.
        place: Run and phase in which the experiment is.
    """
    said: dict[tuple[str, float], Known | str] = {}  # conditions ask the same few questions at every look

    def ask(name: str, alpha: float) -> Known | str:
        if (name, alpha) not in said:
            said[name, alpha] = _known(experiment, result, place, (name, alpha))
        return said[name, alpha]

    return ask


def _known(
    experiment: Experiment, result: Result | None, place: tuple[int, int], question: tuple[str, float]
) -> Known | str:
    name, alpha = question
    if result is None or not result.stages or result.stages[-1].phase.place != place:
        return "the log of this phase was not read yet"
    metric = next((each for each in result.plan.metrics if each.name == name), None)
    if metric is None:
        return "it is not measured"
    control = experiment.control or experiment.arms[0].name
    new = next(arm.name for arm in experiment.arms if arm.name != control)
    cells = [result.cells.get(Place(*place, arm), Cell()) for arm in (new, control)]
    return known_of(experiment, metric, (cells[0], cells[1]), alpha)


def known_of(experiment: Experiment, metric: Metric, cells: tuple[Cell, Cell], alpha: float) -> Known | str:
    """Return what is known of a metric, or why nothing is.

    Args:
        experiment: The experiment.
        metric: The metric.
        cells: What is known of the arm, and of control.
        alpha: Of each interval.
    """
    one, two = (known(cell, metric) for cell in cells)
    ours, theirs = estimate(metric, one), estimate(metric, two)
    if isinstance(ours, NotEnough):
        return f"not enough data: {ours.reason}"
    low, high = _ends(experiment, metric, one, ours, alpha)
    base = theirs.value if isinstance(theirs, Estimate) else None
    units = one.units.n, two.units.n
    compared = Question(metric, one, two)
    effect = sequential(experiment)(*compared, asked(compared, experiment.decide, alpha))
    found = Known(value=ours.value, low=low, high=high, control=base, units=units)
    if not isinstance(effect, Effect):
        return found
    between = effect.interval
    found = structs.replace(found, difference=effect.value, difference_low=between.low, difference_high=between.high)
    if isinstance(effect.relative, NotEnough):
        return found
    ends = effect.relative.interval
    return structs.replace(found, change=effect.relative.value, change_low=ends.low, change_high=ends.high)


def _ends(experiment: Experiment, metric: Metric, found: Aggregate, value: Estimate, alpha: float) -> Ends:
    """Return the interval of one arm's value at any time."""
    if metric.kind in _SHARES and found.clusters is None:
        enough = -log(alpha / 2)
        return bound(found.units.y, found.units.n, enough, "above"), bound(
            found.units.y, found.units.n, enough, "below"
        )
    if value.standard_error is None:
        return None, None
    plain = Question(metric, found, found)
    level: Asked = asked(plain, experiment.decide, alpha)
    interval = around(value.value, value.standard_error, value.n, level)
    return (None, None) if isinstance(interval, NotEnough) else (interval.interval.low, interval.interval.high)
