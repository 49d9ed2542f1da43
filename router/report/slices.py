"""The primary effect in slices of the units: where it differs, and whether the slices say what the whole says.

Responsible for: effects by slice corrected together, gaps between slices, Simpson's paradox.
Does not know: methods (``compare``), what follows from a slice.

Slices are looked at after the whole, so they warn and never ship anything. A *gap* is the widest of all pairs, its
interval corrected for their number: of two estimates a and b of different units with intervals [la, ua] and [lb, ub] it
is (Zou and Donner, Statistics in Medicine 2008)

    a - b - sqrt((a - la)^2 + (ub - b)^2)   to   a - b + sqrt((ua - a)^2 + (b - lb)^2)

at a fixed horizon, and la - ub to ua - lb at any time.

*Reversed*: the effect as if both arms had the same mix of slices, or that of every slice, has the other sign than the
whole, and the former is more than ``FAR`` standard errors from it. Under randomisation arms have the same mix, so a
reversal says that something tells the arms apart besides the arm.

Rules: pure. A slice that the arm itself may have made (``POST_TREATMENT``) is described, and left out of corrections,
gaps and reversals. Cells of a slicing are those of the largest ``MOST`` slices.
"""

from collections.abc import Mapping, Sequence
from math import hypot
from typing import Final, NamedTuple

from msgspec import structs

from router.analysis.aggregates import Aggregate, Cell, Place
from router.analysis.estimate import Estimate, estimate
from router.config.metric import POST_TREATMENT
from router.config.schema import Decide, Metric
from router.inference import fixed
from router.inference.effect import Asked, Effect, Interval
from router.report.compare import Answer, Compare, Question, family, quick
from router.report.guardrail import known
from router.report.report import Gap, Level, Sliced

MOST: Final = 20
"""Slices of one slicing that are compared, the largest; the tables have all of them."""
LEAST_UNITS: Final = 2
FAR: Final = 2.0

Values = tuple[str, ...]


class Pair(NamedTuple):
    """What is known of an arm, and of control, in one slice."""

    values: Values
    treatment: Aggregate
    control: Aggregate

    @property
    def units(self) -> int:
        """Units of both that have a value."""
        return self.treatment.units.n + self.control.units.n


class Grouping(NamedTuple):
    """One arm by one slicing."""

    slicing: tuple[str, ...]
    arm: str
    pairs: tuple[Pair, ...]

    @property
    def descriptive(self) -> bool:
        """Whether the arm may have made the slices."""
        return bool(POST_TREATMENT & set(self.slicing))


class Asking(NamedTuple):
    """What slices are asked about, and how."""

    metric: Metric
    compare: Compare
    decide: Decide

    @property
    def fixed(self) -> bool:
        """Whether effects are of a fixed horizon."""
        return self.compare is fixed.compare


def groupings(cells: Mapping[Place, Cell], metric: Metric, arms: Sequence[str], control: str) -> tuple[Grouping, ...]:
    """Return each arm by each slicing, the largest slices first.

    Args:
        cells: Of one phase.
        metric: The primary metric.
        arms: The arms besides control.
        control: The control arm.
    """
    by_slicing: dict[tuple[str, ...], dict[Values, dict[str, Aggregate]]] = {}
    for place, cell in cells.items():
        if place.slicing:
            found = by_slicing.setdefault(place.slicing, {}).setdefault(place.values, {})
            found[place.arm] = known(cell, metric)
    out: list[Grouping] = []
    for slicing, levels in sorted(by_slicing.items()):
        for arm in arms:
            pairs = [
                Pair(values, each.get(arm, Aggregate()), each.get(control, Aggregate()))
                for values, each in levels.items()
            ]
            pairs.sort(key=lambda pair: (-pair.units, pair.values))
            out.append(Grouping(slicing, arm, tuple(pairs[:MOST])))
    return tuple(out)


def sliced(
    groups: Sequence[Grouping], asking: Asking, wholes: Mapping[str, Effect], *, hidden: bool
) -> tuple[Sliced, ...]:
    """Return the primary effect in slices.

    Args:
        groups: Each arm by each slicing.
        asking: The metric, and how slices are compared.
        wholes: Arm to its effect over all units; arms without one are left out.
        hidden: Whether effects may not be read yet.
    """
    tested = [group for group in groups if not group.descriptive]
    others = [group for group in groups if group.descriptive]
    questions = [Question(asking.metric, pair.treatment, pair.control) for group in tested for pair in group.pairs]
    answers = iter(family(questions, asking.compare, asking.decide) if questions and not hidden else ())
    out: list[Sliced] = []
    for group in tested:
        told = [None if hidden else next(answers) for _ in group.pairs]
        made = Sliced(slicing=group.slicing, arm=group.arm, descriptive=False, levels=_levels(group.pairs, told))
        whole = wholes.get(group.arm)
        if whole is not None and not hidden:
            made = _examined(made, group, asking, whole)
        out.append(made)
    for group in others:
        single = [_alone(pair, asking) if not hidden else None for pair in group.pairs]
        out.append(Sliced(slicing=group.slicing, arm=group.arm, descriptive=True, levels=_levels(group.pairs, single)))
    return tuple(out)


def _alone(pair: Pair, asking: Asking) -> Answer:
    (answer,) = family([Question(asking.metric, pair.treatment, pair.control)], asking.compare, asking.decide)
    return Answer(answer.effect, None, "not shown")


def _levels(pairs: Sequence[Pair], answers: Sequence[Answer | None]) -> tuple[Level, ...]:
    return tuple(
        Level(values=pair.values, units=pair.units, effect=None)
        if answer is None
        else Level(values=pair.values, units=pair.units, effect=answer.effect, p=answer.p, direction=answer.direction)
        for pair, answer in zip(pairs, answers, strict=True)
    )


def _examined(made: Sliced, group: Grouping, asking: Asking, whole: Effect) -> Sliced:
    adjusted = standardised(asking.metric, group.pairs)
    effects = [level.effect for level in made.levels if isinstance(level.effect, Effect)]
    return structs.replace(
        made,
        adjusted=adjusted,
        gaps=_gaps(group, asking),
        reversed=is_reversed(whole, [effect.value for effect in effects], adjusted),
    )


def standardised(metric: Metric, pairs: Sequence[Pair]) -> float | None:
    """Return the effect as if both arms had the mix of slices of both together; None where a slice lacks an arm.

    Args:
        metric: The metric; a ratio is standardised as the mean of the slices' ratios.
        pairs: The slices.
    """
    whole = sum(pair.units for pair in pairs)
    total = 0.0
    for pair in pairs:
        if not pair.units:
            continue
        one, other = estimate(metric, pair.treatment), estimate(metric, pair.control)
        if not isinstance(one, Estimate) or not isinstance(other, Estimate):
            return None
        total += pair.units / whole * (one.value - other.value)
    return total if whole else None


def is_reversed(whole: Effect, effects: Sequence[float], adjusted: float | None) -> bool:
    """Say whether slices say the opposite of the whole (Simpson's paradox).

    Args:
        whole: The effect over all units.
        effects: The effects of the slices.
        adjusted: The effect as if both arms had the same mix.
    """
    if whole.value == 0 or adjusted is None or len(effects) < 2:
        return False
    turned = adjusted * whole.value < 0 or all(effect * whole.value < 0 for effect in effects)
    error = whole.standard_error
    if error is None:
        error = hypot(whole.treatment.standard_error or 0.0, whole.control.standard_error or 0.0)
    return turned and abs(adjusted - whole.value) > FAR * error


def _gaps(group: Grouping, asking: Asking) -> tuple[Gap, ...]:
    """Return how far slices are apart: in the effect, and in each arm by itself."""
    pairs = [pair for pair in group.pairs if min(pair.treatment.units.n, pair.control.units.n) >= LEAST_UNITS]
    many = len(pairs) * (len(pairs) - 1) // 2
    if not many:
        return ()
    alpha = asking.decide.alpha / many
    found = [
        _of_effects(pairs, asking, alpha),
        _between("control", [(pair.values, pair.control) for pair in pairs], asking, alpha),
        _between(group.arm, [(pair.values, pair.treatment) for pair in pairs], asking, alpha),
    ]
    return tuple(gap for gap in found if gap is not None)


def _of_effects(pairs: Sequence[Pair], asking: Asking, alpha: float) -> Gap | None:
    """Return how far effects are apart."""
    known_of = []
    for pair in pairs:
        one, other = estimate(asking.metric, pair.treatment), estimate(asking.metric, pair.control)
        if isinstance(one, Estimate) and isinstance(other, Estimate):
            known_of.append((one.value - other.value, pair))
    if len(known_of) < 2:
        return None
    (least, low), (most, high) = (end(known_of, key=lambda each: each[0]) for end in (min, max))
    spent = Asked(alpha if asking.fixed else alpha / 2)
    both = [quick(asking.compare)(asking.metric, pair.treatment, pair.control, spent) for pair in (high, low)]
    interval = Interval(None, None)
    if isinstance(both[0], Effect) and isinstance(both[1], Effect):
        interval = _apart(both[0], both[1], fixed=asking.fixed)
    return Gap(of="effect", high=high.values, low=low.values, value=most - least, interval=interval)


def _between(name: str, levels: Sequence[tuple[Values, Aggregate]], asking: Asking, alpha: float) -> Gap | None:
    """Return how far slices of one arm are apart in the metric itself: one slice compared with another."""
    located = [(values, known_of, estimate(asking.metric, known_of)) for values, known_of in levels]
    said = [(values, known_of, found) for values, known_of, found in located if isinstance(found, Estimate)]
    if len(said) < 2:
        return None
    low, high = min(said, key=lambda each: each[2].value), max(said, key=lambda each: each[2].value)
    effect = quick(asking.compare)(asking.metric, high[1], low[1], Asked(alpha))
    interval = effect.interval if isinstance(effect, Effect) else Interval(None, None)
    return Gap(of=name, high=high[0], low=low[0], value=high[2].value - low[2].value, interval=interval)


def _apart(one: Effect, other: Effect, *, fixed: bool) -> Interval:
    """Return the interval of the difference of two independent estimates."""
    ends = (one.interval.low, one.interval.high, other.interval.low, other.interval.high)
    low_1, high_1, low_2, high_2 = ends
    if low_1 is None or high_1 is None or low_2 is None or high_2 is None:
        return Interval(None, None)
    if not fixed:
        return Interval(low_1 - high_2, high_1 - low_2)
    value = one.value - other.value
    return Interval(
        value - hypot(one.value - low_1, high_2 - other.value), value + hypot(high_1 - one.value, other.value - low_2)
    )
