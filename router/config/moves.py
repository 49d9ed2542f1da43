"""How many units a change of the configuration moves: between arms, into experiments and out of them.

Responsible for: the exact share of all units that has one arm before and another, or none, after.
Does not know: sentences (``router.config.diff``), or how a unit is hashed. It relies on two properties of the
assignment: arms race with independent exponential times, and a unit's points under two salts are independent and
uniform.

Rules: pure; nothing is simulated. A share is of all units of the route (or of the experiment's own ``unit``) for which
``eligible``, ``exclude``, ``prerequisites`` and ``active`` hold before and after: who these are no configuration says.
Overrides, kills and changes of a route's ``unit`` are not counted.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import inf, prod
from typing import Final

from router.config.scalars import format_share
from router.config.schema import Config, Experiment

OUTSIDE: Final = "not in it"  # no arm has this name: names have no spaces
_SHARE_DIGITS = 6

# Points of units, in 0..1, as ranges that do not overlap.
_Ranges = Sequence[tuple[Fraction, Fraction]]
_ALL: Final[_Ranges] = ((Fraction(0), Fraction(1)),)


@dataclass(frozen=True, slots=True)
class Move:
    """Units that change their arm: ``share`` (0 to 1) of all units go from one to the other.

    ``before`` is ``OUTSIDE`` for units that enter the experiment, ``after`` for those that leave it.
    """

    experiment: str
    before: str
    after: str
    share: float


def shares(experiment: Experiment) -> dict[str, float]:
    """Give the share of the experiment's units that each arm gets, 0 to 1; they add up to 1."""
    largest = max(arm.weight for arm in experiment.arms)
    parts = {arm.name: arm.weight / largest for arm in experiment.arms}  # so that a sum of huge weights stays finite
    total = sum(parts.values())
    return {name: part / total for name, part in parts.items()}


def percent(share: float) -> str:
    """Write a share in percent, with at most four decimals; a smaller one with three digits that count."""
    return format_share(round(share, _SHARE_DIGITS)) if round(share, _SHARE_DIGITS) else f"{100 * share:.3g}%"


def part(config: Config, experiment: Experiment) -> float:
    """Give the share of all units that are in an experiment, 0 to 1: by its segment, its coverage and holdouts."""
    return float(prod(map(_length, _cuts(config, experiment).values())))


def moves(old: Config, new: Config) -> tuple[Move, ...]:
    """Give, for each experiment in both, the share of all units that moves between each two arms, and in or out.

    The shares are exact in expectation over units. Pairs between which nobody moves are left out.
    """
    before = {experiment.name: experiment for experiment in old.experiments}
    return tuple(
        Move(experiment.name, left, right, share)
        for experiment in new.experiments
        if experiment.name in before
        for left, right, share in _between((old, before[experiment.name]), (new, experiment))
        if share > 0
    )


def _between(old: tuple[Config, Experiment], new: tuple[Config, Experiment]) -> Iterator[tuple[str, str, float]]:
    before, after = shares(old[1]), shares(new[1])
    cuts, later = _cuts(*old), _cuts(*new)
    was, will = (prod(map(_length, each.values())) for each in (cuts, later))
    stays = prod(_length(_both(cuts.get(key, _ALL), later.get(key, _ALL))) for key in {**cuts, **later})
    drawn_anew = _drawn_by(old[1]) != _drawn_by(new[1])
    for a in before:
        for b in after:
            if a != b:
                share = before[a] * after[b] if drawn_anew else moved(before, after, a, b)
                yield a, b, float(stays) * share
    for arm, share in after.items():
        yield OUTSIDE, arm, float(will - stays) * share
    for arm, share in before.items():
        yield arm, OUTSIDE, float(was - stays) * share


def _drawn_by(experiment: Experiment) -> tuple[object, ...]:
    """Give what a unit's arm is drawn by: what has another draws independently."""
    salt = experiment.name if experiment.salt is None else experiment.salt
    return salt, experiment.hash_version, _whose(experiment)


def _whose(experiment: Experiment) -> tuple[object, ...]:
    return experiment.unit, experiment.allocate.slot, experiment.allocate.period


def _cuts(config: Config, experiment: Experiment) -> dict[tuple[object, ...], _Ranges]:
    """Give which units are in an experiment: those whose point is in the ranges under each of these salts.

    Segment, coverage and holdouts all compare the point that one salt gives a unit, so that a salt that goes from one
    of them to another still means the same units.
    """
    unit = _whose(experiment)
    layer = next((item.salt for item in config.layers if item.name == experiment.layer), None)
    salt = layer or experiment.layer or experiment.name
    found: dict[tuple[object, ...], _Ranges] = {}
    for key, ranges in (
        ((salt, unit), _range(*experiment.segment) if experiment.segment else _ALL),
        ((experiment.salt or experiment.name, unit), _range(0.0, experiment.coverage)),
        *(
            ((item.salt or item.name, ((), None, None)), _outside(*item.segment))
            for item in config.holdouts
            if not item.layers or experiment.layer in item.layers
        ),
    ):
        found[key] = _both(found.get(key, _ALL), ranges)
    return found


def _range(start: float, end: float) -> _Ranges:
    return ((Fraction(start), Fraction(end)),)


def _outside(start: float, end: float) -> _Ranges:
    return ((Fraction(0), Fraction(start)), (Fraction(end), Fraction(1)))


def _both(one: _Ranges, other: _Ranges) -> _Ranges:
    found = ((max(a, c), min(b, d)) for a, b in one for c, d in other)
    return [(start, end) for start, end in found if start < end]


def _length(ranges: _Ranges) -> Fraction:
    return sum((end - start for start, end in ranges), Fraction(0))


def moved(before: Mapping[str, float], after: Mapping[str, float], a: str, b: str) -> float:
    r"""Give the probability that a unit has arm ``a`` under some weights and arm ``b`` under others, same salt.

    Weighted rendezvous gives arm k the time E_k / w_k with E_k = -ln(u_k) independent and exponential, and the smallest
    wins. Let v be the later weights. ``a`` wins before and ``b`` after exactly if, with x = E_a, y = E_b and r = y / x,

        w_b / w_a < r < v_b / v_a    and    E_k > x * max(w_k / w_a, r * v_k / v_b)  for every other arm k.

    Given r, integrating x from 0 to infinity over x * exp(-x * D(r)), where D(r) = 1 + r + sum over k of that maximum,
    leaves 1 / D(r)^2. D is linear between the points where a maximum changes sides, and there the integral of 1 / D^2
    from s to t is (t - s) / (D(s) * D(t)).

    Args:
        before: arm to weight; an absent arm weighs 0.
        after: arm to weight.
        a: an arm.
        b: another arm.
    """
    w, v = before.get, after.get
    w_a, v_b = w(a, 0.0), v(b, 0.0)
    if not w_a or not v_b:
        return 0.0
    low = w(b, 0.0) / w_a
    high = v_b / v(a, 0.0) if v(a, 0.0) else inf
    if not low < high:
        return 0.0
    others = [(w(k, 0.0) / w_a, v(k, 0.0) / v_b) for k in {**before, **after} if k not in (a, b)]
    turns = sorted({flat / slope for flat, slope in others if slope and low < flat / slope < high})
    ends = [low, *turns, high]
    return sum(_integral(start, end, others) for start, end in pairwise(ends))


def _integral(start: float, end: float, others: Sequence[tuple[float, float]]) -> float:
    """Integrate 1 / D^2 over a piece on which D is linear."""

    def at(r: float) -> float:
        return 1 + r + sum(max(flat, slope * r) for flat, slope in others)

    if end < inf:
        return (end - start) / (at(start) * at(end))
    rise = 1 + sum(slope for flat, slope in others if slope and flat / slope <= start)
    return 1 / (rise * at(start))
