"""Many questions of one family, compared by one method and corrected together.

Responsible for: the method of an experiment, the level of each interval, and what corrected results show.
Does not know: formulas (``router.inference``), which questions belong together.

A family is compared twice: at the family's alpha for its p-values, then each question at the alpha that the correction
leaves to its interval. An effect is shown when its corrected p-value is at most alpha and, at a fixed horizon, its
uncorrected interval excludes 0: where a test and an interval disagree, as exact and approximate ones may, nothing is
claimed. (Holm may so show an effect whose corrected interval, which is Bonferroni's, still holds 0.) At any time
p-value and interval are of one process and agree, so that each question is compared once.

Rules: pure. A question without a p-value (a quantile) is judged by its interval at the level that is left for it.
"""

from collections.abc import Callable, Sequence
from math import log2
from typing import NamedTuple

from router.analysis.aggregates import Aggregate
from router.analysis.estimate import Estimate, NotEnough, estimate
from router.config.allocate import BANDITS
from router.config.schema import Decide, Experiment, Metric
from router.inference import adaptive, always_valid, confidence_sequence, fixed
from router.inference.corrections import correct
from router.inference.effect import Asked, Effect, Interval
from router.report.report import Direction

Compare = Callable[[Metric, Aggregate, Aggregate, Asked], Effect | NotEnough]


class Question(NamedTuple):
    """One comparison.

    Attributes:
        metric: The metric.
        treatment: What is known of the arm.
        control: What is known of control.
    """

    metric: Metric
    treatment: Aggregate
    control: Aggregate


class Answer(NamedTuple):
    """What a comparison shows within its family.

    Attributes:
        effect: The effect at the corrected level.
        p: The corrected p-value; None where there is none.
        direction: What is shown.
    """

    effect: Effect | NotEnough
    p: float | None
    direction: Direction


def is_adaptive(experiment: Experiment) -> bool:
    """Say whether the weights of an experiment follow its outcomes."""
    return experiment.allocate.use in BANDITS


def sequential(experiment: Experiment) -> Compare:
    """Return the method whose results may be read at any time."""
    return adaptive.compare if is_adaptive(experiment) else always_valid.compare


def quick(compare: Compare) -> Compare:
    """Return the asymptotic form of a method, for what is drawn or described many times; itself where it has none."""
    return _asymptotic if compare is always_valid.compare else compare


def _asymptotic(metric: Metric, treatment: Aggregate, control: Aggregate, asked: Asked) -> Effect | NotEnough:
    if metric.kind == "quantile" or treatment.provisional or control.provisional:
        return always_valid.compare(metric, treatment, control, asked)
    return confidence_sequence.compare(metric, treatment, control, asked)


def family(questions: Sequence[Question], compare: Compare, decide: Decide) -> tuple[Answer, ...]:
    """Answer questions together.

    Args:
        questions: The questions; their number was fixed before the data.
        compare: The method.
        decide: Alpha and correction of the family.
    """
    if len(questions) == 1:
        (question,) = questions
        effect = compare(*question, asked(question, decide, decide.alpha))
        p = effect.p if isinstance(effect, Effect) else None
        return (Answer(effect, p, shown(question.metric, effect, rejected=p is None or p <= decide.alpha)),)
    # p-values and intervals of one process say the same at any level, so that one look does where both are of one.
    once = compare is not fixed.compare
    spent = decide.alpha / len(questions) if once else decide.alpha
    first = [compare(*question, asked(question, decide, spent)) for question in questions]
    found = correct(
        [effect.p if isinstance(effect, Effect) else None for effect in first], decide.correction, decide.alpha
    )
    answers: list[Answer] = []
    for index, (question, plain) in enumerate(zip(questions, first, strict=True)):
        alpha, effect = found.alphas[index], plain
        if isinstance(plain, Effect) and alpha != spent:
            effect = compare(*question, asked(question, decide, alpha))
        if isinstance(plain, Effect) and plain.p is None:
            answers.append(Answer(effect, None, shown(question.metric, effect, rejected=True)))
        elif once and isinstance(plain, Effect) and found.rejected[index]:
            answers.append(Answer(effect, found.p[index], _by_sign(question.metric, plain)))
        else:
            direction = "not shown" if once else shown(question.metric, plain, rejected=found.rejected[index])
            answers.append(Answer(effect, found.p[index], direction))
    return tuple(answers)


def _by_sign(metric: Metric, effect: Effect) -> Direction:
    """Say which direction a rejected question speaks for."""
    if effect.value == 0:
        return "not shown"
    return "better" if (effect.value > 0) == (metric.goal == "up") else "worse"


def asked(question: Question, decide: Decide, alpha: float) -> Asked:
    """Return what to ask of a method.

    The effect that matters is a share of control's value, and methods are tuned to it in the metric's unit. A tuning
    that followed the data would cost the methods their guarantee, so control's value enters as the nearest power of
    two: it settles after a few units and stays.

    Args:
        question: The comparison.
        decide: The effect that matters.
        alpha: Level of the interval.
    """
    if decide.mde is None:
        return Asked(alpha)
    known = estimate(question.metric, question.control)
    if not isinstance(known, Estimate) or known.value == 0:
        return Asked(alpha)
    return Asked(alpha, decide.mde * 2.0 ** round(log2(abs(known.value))))


def shown(metric: Metric, effect: Effect | NotEnough, *, rejected: bool) -> Direction:
    """Say what a corrected result shows."""
    if not isinstance(effect, Effect) or not rejected:
        return "not shown"
    sign = side(effect.interval)
    if sign == 0:
        return "not shown"
    return "better" if (sign > 0) == (metric.goal == "up") else "worse"


def side(interval: Interval) -> int:
    """Return 1 when all of an interval is above 0, -1 when all is below, else 0."""
    if interval.low is not None and interval.low > 0:
        return 1
    return -1 if interval.high is not None and interval.high < 0 else 0
