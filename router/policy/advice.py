"""Which of several estimates of a policy to believe, and whether any.

Responsible for: one method, or none, with the reason; and sentences about what the log cannot say.
Does not know: how estimates are made.

Rules: pure; nothing is estimated here. A policy about which the log has too little to say is believed by no method: the
direct method has a number all the same, which is why its number alone is never the answer.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from router.analysis.estimate import NotEnough
from router.policy.overlap import Overlap
from router.policy.value import NAMES, Estimates, Method, Value

FEWEST: Final = 100.0
"""Effective clusters below which no interval is believed: weights are skewed, and Student's t is not made for that."""
DOMINATES: Final = 0.1
DEVIATIONS: Final = 4.0


class Advice(Struct, frozen=True):
    """Which estimate to believe.

    Attributes:
        method: The method; None when none is believed.
        reason: Why.
        notes: What else a reader has to know, one sentence each.
    """

    method: Method | None
    reason: str
    notes: tuple[str, ...] = ()


def advise(found: Estimates, replayed: Value | NotEnough | None = None) -> Advice:
    """Say which estimate to believe.

    Args:
        found: The estimates.
        replayed: What a replay of a policy that learns gave; None for one that does not.
    """
    known = found.overlap
    notes = tuple(_notes(found))
    if isinstance(replayed, Value):
        return Advice(
            "replay",
            "a policy that learns goes by what it has itself chosen, and only a replay is its own history; the other "
            "methods say what it would earn having learned from everything that was logged",
            notes,
        )
    usable = [method for method, value in found.values.items() if isinstance(value, Value)]
    if not usable:
        first = next(iter(found.values.values()))
        return Advice(None, first.reason if isinstance(first, NotEnough) else "there is no estimate", notes)
    if missing := _unsupported(known):
        return Advice(None, missing, notes)
    if known.effective < FEWEST:
        return Advice(
            None,
            f"{known.clusters} units speak about this policy as {known.effective:.0f} would that followed it; "
            f"fewer than {FEWEST:.0f} are too few; give its arms a larger weight in the experiment, or wait",
            notes,
        )
    if known.clipped > 0 and "switch" in usable:
        return Advice("switch", f"some weights are above {known.clip:.3g}, where switch goes by its model", notes)
    if "doubly_robust" in usable:
        return Advice("doubly_robust", "it is right if either the propensities or the model of rewards are", notes)
    return Advice(usable[0], "the others have no value", notes)


def _unsupported(known: Overlap) -> str | None:
    """Say that a policy takes what could not be taken: the weights' mean is then below 1."""
    short = 1 - known.mean
    if known.mean_error > 0 and short > DEVIATIONS * known.mean_error and short > 0.01:
        return (
            f"the weights have a mean of {known.mean:.3f} where 1 is expected: in part of the traffic this policy "
            "would take arms that could not be taken then (weight 0), and of that nothing is known"
        )
    if known.mean == 0:
        return "the log has no observation of an arm that this policy would take"
    return None


def _notes(found: Estimates) -> Iterable[str]:
    known = found.overlap
    total = known.mean * known.n
    if total > 0 and known.largest > DOMINATES * total:
        yield f"one observation has {known.largest / total:.0%} of all weight"
    if known.lost > 0:
        yield f"clipping takes away {known.lost:.1%} of the weight, so clipped IPS is biased towards 0"
    direct, robust = found.values.get("direct"), found.values.get("doubly_robust")
    if isinstance(direct, Value) and isinstance(robust, Value) and not robust.interval.holds(direct.value):
        yield (
            f"the {NAMES['direct']} lies outside of the interval of the {NAMES['doubly_robust']} estimate: the linear "
            "model of rewards does not fit"
        )
