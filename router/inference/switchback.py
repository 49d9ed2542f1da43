"""Switchback experiments: the same units, another arm from slot to slot.

Responsible for: the effect over slots, adjusted for the hour of the day or the weekday, and what a slot leaves to the
next.
Does not know: how slots were assigned, how sums over them were made.

Rules: pure. A slot is a cluster. Slots are assigned one by one, so that errors need no model of how they resemble their
neighbours; but a slot that changes what happens in the next one biases the effect (Bojinov, Simchi-Levi and Zhao 2023).
Leave a burn-in at the start of each slot out of its sums; what is left over then is estimated beside the effect.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import isfinite
from typing import Final, Literal

import numpy as np
from msgspec import Struct, structs

from router.analysis.estimate import NotEnough
from router.inference.clusters import Cluster, arms_of, compare, effect_of, fit, usable
from router.inference.effect import Asked, Effect

Season = Literal["hour", "weekday", "none"]

_HOUR_S: Final = 3600.0
_DAY_S: Final = 86_400.0
_METHOD: Final = "switchback, CR2 over slots"


class Slot(Struct, frozen=True):
    """Sums over one slot.

    Attributes:
        start: When it began, unix seconds.
        treated: Whether it had the treatment.
        y: Sum of the metric, or of a ratio's numerator, without the burn-in.
        x: Observations, or the sum of a ratio's denominator.
        of: Whose slot it is, where each tenant or user has slots of its own.
    """

    start: float
    treated: bool
    y: float
    x: float
    of: str = ""


class Design(Struct, frozen=True):
    """How the slots were made.

    Attributes:
        slot_s: Length of a slot, seconds.
        burn_in_s: Seconds at the start of each slot that are not in its sums.
        season: What slots are compared within, in UTC: the hour of the day, the weekday, or nothing.
    """

    slot_s: float
    burn_in_s: float = 0.0
    season: Season = "hour"

    def __post_init__(self) -> None:
        """Refuse what are no slots.

        Raises:
            ValueError: If the lengths are out of range.
        """
        if not 0 < self.slot_s < float("inf"):
            raise ValueError(f"a slot lasts more than 0 seconds, not {self.slot_s:g}")
        if not 0 <= self.burn_in_s < self.slot_s:
            raise ValueError(f"a burn-in of {self.burn_in_s:g} s leaves nothing of slots of {self.slot_s:g} s")


class Switchback(Struct, frozen=True):
    """What a switchback experiment shows.

    Attributes:
        effect: Treatment less control.
        carry_over: What a treated slot adds to the slot after it, whichever arm that one has; other than 0 means that
            the effect is biased, and that slots or burn-in are too short.
    """

    effect: Effect | NotEnough
    carry_over: Effect | NotEnough


def analyse(slots: Sequence[Slot], design: Design, asked: Asked) -> Switchback:
    """Compare the slots of two arms.

    Args:
        slots: The slots, in any order, each once.
        design: How they were made.
        asked: Level of the intervals.

    Raises:
        ValueError: If a start is not finite, two slots of one begin at the same time, or a denominator is below 0.
    """
    if not all(isfinite(slot.start) for slot in slots):
        raise ValueError("a slot begins at a finite time")
    ordered = sorted(slots, key=lambda slot: (slot.of, slot.start))
    if any((one.of, one.start) == (two.of, two.start) for one, two in pairwise(ordered)):
        raise ValueError("two slots begin at the same time; merge their sums")
    clusters = [Cluster(slot.treated, slot.y, slot.x, _period(slot.start, design)) for slot in ordered]
    found, adjusted = compare(clusters, asked, _METHOD), True
    if isinstance(found, NotEnough) and design.season != "none":
        found, adjusted = compare([structs.replace(each, period=None) for each in clusters], asked, _METHOD), False
    if isinstance(found, Effect):
        found = structs.replace(found, notes=(*found.notes, *_notes(design, adjusted=adjusted)))
    return Switchback(found, _carry_over(ordered, design, asked))


def _carry_over(ordered: Sequence[Slot], design: Design, asked: Asked) -> Effect | NotEnough:
    """Regress slots on the arm of the slot that ended when they began, beside their own."""
    following = [
        (before.treated, Cluster(after.treated, after.y, after.x))
        for before, after in pairwise(ordered)
        if before.of == after.of
        and abs(after.start - before.start - design.slot_s) <= 0.01 * design.slot_s
        and after.x > 0
    ]
    kept, _ = usable([cluster for _, cluster in following])
    if isinstance(kept, NotEnough):
        return NotEnough(f"slots that follow another: {kept.reason}", kept.n)
    previous = np.array([[float(treated)] for treated, _ in following])
    found = fit(kept, previous, 2)
    if isinstance(found, NotEnough):
        return NotEnough(f"slots that follow another: {found.reason}", found.n)
    notes = ("What a treated slot adds to the one after it.",)
    return effect_of(found, arms_of(kept, found), asked, ("carry-over of slots, CR2", notes))


def _period(start: float, design: Design) -> int | None:
    if design.season == "hour" and design.slot_s < _DAY_S:
        return int(start % _DAY_S // max(_HOUR_S, design.slot_s))
    if design.season == "weekday":
        return int(start // _DAY_S + 3) % 7  # the epoch began on a Thursday
    return None


def _notes(design: Design, *, adjusted: bool) -> tuple[str, ...]:
    notes = []
    if design.burn_in_s == 0:
        notes.append("There was no burn-in: what a slot still owes to the one before it is in the effect.")
    if design.season != "none":
        within = "hours of the day" if design.season == "hour" else "weekdays"
        notes.append(
            f"Slots were compared within {within}." if adjusted else f"Too few slots to compare within {within}."
        )
    return tuple(notes)
