"""Linear policies: from observations with their attributes to the model that workers score.

Responsible for: the vocabulary of features, sums over observations, their age, and the published numbers.
Does not know: how workers score (``router.routing.linear``), where observations come from, when models are published.

Rules: pure, with a generator for draws. Learning from rows at once or in parts, in the same order, gives the same. A
category knows the values that were declared; without any, the first that came, up to ``MOST_VALUES``, and later ones
are others. Numbers are summed as they are and standardised when published, so their scale may change. All is bounded
by ``MOST_COLUMNS``, whatever callers send.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final, Literal

import numpy as np
from msgspec import Struct

from router.bandit.ridge import Floats, Ridge, draw, posterior
from router.events.policy import MOST_COLUMNS, Feature, LinearModel, width_of
from router.routing.linear import lay_out, row_of

MOST_VALUES: Final = 20


class Wanted(Struct, frozen=True):
    """An attribute that a policy is to look at.

    Attributes:
        name: Name of the attribute.
        number: Whether it is a number.
        values: The values of a category that are told apart; empty learns them.
    """

    name: str
    number: bool = False
    values: tuple[str, ...] = ()


class Terms(Struct, frozen=True, kw_only=True):
    """What a policy is to be.

    Attributes:
        use: Which policy.
        wanted: Its features.
        floor: Least probability of each arm.
        draws: Draws that are published; of ``linear_thompson``.
        ridge: What the belief that features do not matter weighs, in observations.
        alpha: Standard errors of an upper bound, in units of the reward; of ``lin_ucb``.
        half_life: After how many seconds an observation counts half; None never.
        warm_up: Observations that each arm needs before there is a policy.
    """

    use: Literal["linear_thompson", "lin_ucb"]
    wanted: tuple[Wanted, ...]
    floor: float = 0.01
    draws: int = 128
    ridge: float = 1.0
    alpha: float = 1.0
    half_life: float | None = None
    warm_up: int = 1


@dataclass(frozen=True, slots=True)
class Seen:
    """One observation.

    Attributes:
        arm: Name of the arm.
        reward: More is better.
        attributes: Of the request.
        time: When it was known, in unix seconds.
    """

    arm: str
    reward: float
    attributes: Mapping[str, str]
    time: float


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """What was learned.

    Attributes:
        arms: Names of the arms.
        features: With the values known so far; numbers as they are.
        sums: Over the columns of these features.
        counts: Observations of each arm, whatever their age.
        time: Moment that ages are counted to.
    """

    arms: tuple[str, ...]
    features: tuple[Feature, ...]
    sums: Ridge
    counts: tuple[int, ...]
    time: float


def nothing_learned(arms: Sequence[str], wanted: Sequence[Wanted]) -> Learned:
    """Return what is known before any observation."""
    features = tuple(Feature(each.name, each.values, each.number) for each in wanted)
    return Learned(tuple(arms), features, Ridge.empty(len(arms), width_of(features)), (0,) * len(arms), 0.0)


def learn(known: Learned, rows: Sequence[Seen], terms: Terms, now: float) -> Learned:
    """Return what is known after further observations.

    Args:
        known: What was known before.
        rows: The observations; those of arms that there are not are passed over.
        terms: What the policy is to be.
        now: Unix seconds; rows that are known later count as new.
    """
    ours = [row for row in rows if row.arm in known.arms and np.isfinite(row.reward)]
    features = _grown(known.features, ours, terms)
    sums = known.sums if features == known.features else known.sums.project(_embedding(known.features, features))
    age = max(0.0, now - known.time) if known.time else 0.0
    sums = sums.decay(_left(age, terms.half_life))
    counts = list(known.counts)
    if ours:
        columns, width = lay_out(features)
        texts = [[row.attributes.get(feature.name) for feature in features] for row in ours]
        context = np.array([row_of(columns, width, each) for each in texts])
        arm = np.array([known.arms.index(row.arm) for row in ours], dtype=np.int64)
        share = np.array([_left(max(0.0, now - row.time), terms.half_life) for row in ours])
        sums = sums.add(arm, np.array([row.reward for row in ours]), context, share)
        counts = [count + int((arm == place).sum()) for place, count in enumerate(counts)]
    return Learned(known.arms, features, sums, tuple(counts), now)


def publish(
    known: Learned, arms: Sequence[str], terms: Terms, run: int, rng: np.random.Generator
) -> LinearModel | None:
    """Return the model for workers; None while an arm has too few observations.

    Args:
        known: What was learned.
        arms: The arms that run; at least two.
        terms: What the policy is to be.
        run: Run of the experiment.
        rng: For draws.
    """
    places = [known.arms.index(arm) for arm in arms]
    if len(places) < 2 or any(known.counts[place] < max(1, terms.warm_up) for place in places):
        return None
    ours = Ridge(known.sums.matrix[places], known.sums.moment[places], known.sums.squares[places])
    features, change = _standard(known.features, ours)
    found = posterior(ours.project(change), terms.ridge)
    if terms.use == "linear_thompson":
        numbers: Floats = draw(found, terms.draws, rng)
    else:
        numbers = np.concatenate([found.coefficients[:, None, :], terms.alpha * found.root.transpose(0, 2, 1)], axis=1)
    return LinearModel(
        use=terms.use,
        run=run,
        features=features,
        arms=tuple(arms),
        floor=terms.floor,
        numbers=np.ascontiguousarray(numbers, dtype="<f4").tobytes(),
        seen=sum(known.counts[place] for place in places),
    )


def _left(age_s: float, half_life: float | None) -> float:
    return 1.0 if half_life is None else float(0.5 ** (age_s / half_life))


def _grown(features: tuple[Feature, ...], rows: Sequence[Seen], terms: Terms) -> tuple[Feature, ...]:
    """Add values that were not seen before, in the order in which they came, while there is room."""
    learning = tuple(each.name for each in terms.wanted if not each.number and not each.values)
    values: dict[str, dict[str, None]] = {feature.name: dict.fromkeys(feature.values) for feature in features}
    room = MOST_COLUMNS - width_of(features)
    for row in rows:
        for name in learning:
            text, known = row.attributes.get(name), values[name]
            if text is not None and text not in known and len(known) < MOST_VALUES and room > 0:
                known[text] = None
                room -= 1
    return tuple(
        Feature(feature.name, tuple(values[feature.name]), feature.number) if feature.name in learning else feature
        for feature in features
    )


def _embedding(before: tuple[Feature, ...], after: tuple[Feature, ...]) -> Floats:
    """Return the matrix that moves columns of features to where they are with more values."""
    change = np.zeros((width_of(after), width_of(before)))
    change[0, 0] = 1.0
    start, later = 1, 1
    for old, new in zip(before, after, strict=True):
        kept = old.width if old.number else len(old.values)
        change[range(later, later + kept), range(start, start + kept)] = 1.0
        if not old.number:
            for back in (2, 1):  # others, absence
                change[later + new.width - back, start + old.width - back] = 1.0
        start, later = start + old.width, later + new.width
    return change


def _standard(features: tuple[Feature, ...], sums: Ridge) -> tuple[tuple[Feature, ...], Floats]:
    """Return features with mean and scale, and the matrix from columns as they are to standardised ones."""
    whole = sums.matrix.sum(axis=0)
    change = np.eye(len(whole))
    found, start = [], 1
    for feature in features:
        if feature.number:
            there = whole[0, 0] - whole[0, start + 1]
            mean = float(whole[0, start] / there) if there > 0 else 0.0
            variance = float(whole[start, start] / there) - mean * mean if there > 0 else 0.0
            # Of what hardly varies nothing can be learned; dividing by rounding errors would make noise of it.
            scale = sqrt(variance) if variance > 1e-12 * max(1.0, mean * mean) else 1.0
            change[start, [0, start, start + 1]] = (-mean / scale, 1 / scale, mean / scale)
            found.append(Feature(feature.name, (), number=True, mean=mean, scale=scale))
        else:
            found.append(feature)
        start += feature.width
    return tuple(found), change
