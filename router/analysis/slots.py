"""Sums of each slot of a switchback: what its effect is computed from.

Responsible for: the primary metric added up by slot, of the latest slots that memory has room for.
Does not know: how slots are compared (``router.inference.switchback``).

A slot is a unit of the experiment: ``BEGIN`` where everybody has the same, ``OF@BEGIN`` where each tenant or user has
slots of its own. Quantiles have no sums, so that such a metric has no slots.

Rules: pure; bounded by ``MOST``: older slots are left out and counted. Observations without a value are in no sum.
"""

from collections.abc import Mapping
from typing import Final

import ibis
from ibis.expr import types as ir
from msgspec import Struct

from router.analysis import tabulate
from router.analysis.engine import Engine
from router.analysis.plan import Plan

MOST: Final = 5_000


class SlotSums(Struct, frozen=True):
    """Sums over one slot.

    Attributes:
        arm: Its arm.
        begin: When it began, in unix seconds.
        of: Whose slot it is; empty where everybody has the same.
        y: Sum of the primary metric, or of its numerator.
        x: Observations with a value, or the sum of a ratio's denominator.
    """

    arm: str
    begin: int
    of: str
    y: float
    x: float


class Slots(Struct, frozen=True):
    """The slots of one phase.

    Attributes:
        length: Of a slot, in seconds.
        found: The slots, in order.
        left_out: Older ones with a value that are not among them.
    """

    length: float
    found: tuple[SlotSums, ...]
    left_out: int = 0


Phase = tuple[int, int]


def slots_of(engine: Engine, made: Plan, completed: ir.Table) -> Mapping[Phase, Slots]:
    """Return the slots of each phase; nothing for other experiments, or for a metric without sums.

    Args:
        engine: Runs queries.
        made: What is computed.
        completed: What ``measure.completed`` returns, with ``first``; values that are capped are so already.
    """
    if made.slot is None or not made.metrics or made.metrics[0].kind == "quantile":
        return {}
    y = completed.y0
    size = completed.x0 if tabulate.sized(made.metrics[0]) else ibis.ifelse(y.notnull(), 1.0, ibis.null("float64"))
    valued = completed.mutate(size_=size).filter(y.notnull())
    whole = valued.group_by("run", "phase", "arm", "unit").aggregate(
        y=valued.y0.sum(), x=valued.size_.sum(), at=valued["first"].min()
    )
    counts = engine.rows(whole.group_by("run", "phase").aggregate(number=whole.count()))
    known: dict[Phase, list[SlotSums]] = {(row["run"], row["phase"]): [] for row in counts}
    for row in engine.rows(whole.order_by(whole["at"].desc(), whole.unit).limit(MOST)):
        slot = _slot(row["unit"], row["arm"], row["y"], row["x"])
        if slot is not None:
            known[row["run"], row["phase"]].append(slot)
    return {
        (row["run"], row["phase"]): Slots(
            made.slot,
            tuple(sorted(known[row["run"], row["phase"]], key=lambda slot: (slot.of, slot.begin))),
            row["number"] - len(known[row["run"], row["phase"]]),
        )
        for row in sorted(counts, key=lambda row: (row["run"], row["phase"]))
    }


def _slot(unit: str, arm: str, y: float, x: float | None) -> SlotSums | None:
    """Return the slot that a unit names; None for a unit of before the experiment had slots."""
    of, _, begin = unit.rpartition("@")
    if not (begin.isascii() and begin.isdigit()):
        return None
    return SlotSums(arm, int(begin), of, y, x or 0.0)
