"""The slices of the router's own, as Ibis expressions: by what is known of a unit beside its attributes.

Responsible for: new and returning units, day and weekday, heavy and light users, warm and cold caches, slow and fast
first exchanges.
Does not know: attributes of routes (``tabulate.sliced``), metrics.

Rules: pure. All but ``latency`` are of the time before the first exposure, or of its clock, so an arm cannot change
them; what one arm changes must not be compared within (``config.metric.POST_TREATMENT``). Bounds between slices are
those of all arms of a phase together.
"""

from collections.abc import Mapping
from typing import Final

import ibis
from ibis.expr import types as ir

from router.analysis.exchanges import bucket
from router.analysis.plan import CACHE, LATENCY, MOST_DAYS, NEW_UNIT, ONE_DAY, VOLUME, WEEKDAY, Plan

DAY_S: Final = 86400.0
WARM_S: Final = 3600.0
"""How long after an exchange caches are taken to hold what they have of its unit."""
HEAD: Final = 0.8
"""Share of the units that are less active than the head."""
WEEKDAYS: Final = ("thursday", "friday", "saturday", "sunday", "monday", "tuesday", "wednesday")
QUARTERS: Final = ("q1", "q2", "q3", "q4")
LEVELS: Final[Mapping[str, tuple[float, ...]]] = {VOLUME: (HEAD,), LATENCY: (0.25, 0.5, 0.75)}
"""Slices whose bounds are quantiles of all units of a phase; ``#name`` is the column of their buckets."""
VALUES: Final = {NEW_UNIT: 2, ONE_DAY: MOST_DAYS, WEEKDAY: 7, VOLUME: 2, CACHE: 2, LATENCY: 5}
"""How many values each slice has at most."""
ABSENT: Final = "(absent)"

Bounds = Mapping[str, Mapping[tuple[int, int], tuple[int, ...]]]
"""Slice, run and phase to the last bucket of each part but the last."""


def observed(exposures: ir.Table, plan: Plan) -> dict[str, ir.Value]:
    """Return the columns that slices need of an observation's exposures."""
    return {"lasted": exposures.duration.argmin(exposures.time)} if LATENCY in plan.slices else {}


def before(every: ir.Table, observations: ir.Table, plan: Plan) -> ir.Table | None:
    """Return what users did before their first exposure in the run, by observation; None when no slice asks.

    Args:
        every: The exposures of all experiments until now: the exchanges of users that the log has.
        observations: What ``attribute.placed`` returns.
        plan: What is to be computed.

    Returns:
        Columns ``observation``, ``exchanges_before`` and ``latest`` (unix seconds).
    """
    if not {VOLUME, CACHE} & set(plan.slices):
        return None
    entries = observations.group_by("run", "user").aggregate(entered=observations.entered.min())
    named = every.select("exchange", "time", user=ibis.coalesce(every.user, every.unit))
    earlier = named.join(entries, "user")
    earlier = earlier.filter(earlier.time < earlier.entered)
    known = earlier.group_by("run", "user").aggregate(
        exchanges_before=earlier.exchange.nunique(), latest=earlier.time.max()
    )
    return known.join(observations.select("observation", "run", "user"), ["run", "user"]).select(
        "observation", "exchanges_before", "latest"
    )


def columns(whole: ir.Table, plan: Plan) -> dict[str, ir.Value]:
    """Return the slices that follow from a row, and the buckets of the others (``#name``).

    Args:
        whole: Observations with what ``observed``, ``before`` and ``measure.values`` give.
        plan: What is to be computed.
    """
    days = (whole.first / DAY_S).floor().cast("int64")
    # Beyond as many days as are told apart, the oldest are one.
    least = ((whole.first + whole.since) / DAY_S).floor().cast("int64") - ibis.literal(MOST_DAYS - 1, "int64")
    found: dict[str, ir.Value] = {f"@{ONE_DAY}": ibis.greatest(days, least).cast("string")}
    if NEW_UNIT in plan.slices:
        early = _number(whole, "early")
        found[f"@{NEW_UNIT}"] = ibis.ifelse((whole.seen < whole.first) | (early > 0), "returning", "new")
    if WEEKDAY in plan.slices:
        found[f"@{WEEKDAY}"] = (days % 7).cases(*enumerate(WEEKDAYS[:-1]), else_=WEEKDAYS[-1])
    if CACHE in plan.slices:
        warm = whole.entered - whole.latest <= WARM_S
        found[f"@{CACHE}"] = ibis.ifelse(ibis.coalesce(warm, ibis.literal(value=False)), "warm", "cold")
    if VOLUME in plan.slices:
        found[f"#{VOLUME}"] = bucket((_number(whole, "exchanges_before") + _number(whole, "early")).cast("float64"))
    if LATENCY in plan.slices:
        known = ibis.ifelse(whole.lasted.notnull(), bucket(whole.lasted), ibis.null("int32"))
        found[f"#{LATENCY}"] = known
    return found


def _number(whole: ir.Table, name: str) -> ir.Value:
    return whole[name].fill_null(0) if name in whole.columns else ibis.literal(0)


def told_apart(completed: ir.Table, bounds: Bounds) -> ir.Table:
    """Add the slices whose bounds are quantiles.

    Args:
        completed: Has the columns of ``columns``.
        bounds: Where the parts end.
    """
    added: dict[str, ir.Value] = {}
    for name, by_phase in bounds.items():
        labels = ("tail", "head") if name == VOLUME else QUARTERS
        column = completed[f"#{name}"]
        cases = [
            ((completed.run == run) & (completed.phase == phase) & (column <= last), label)
            for (run, phase), lasts in by_phase.items()
            for last, label in zip(lasts, labels, strict=False)
        ]
        known = ibis.cases((column.isnull(), ABSENT), *cases, else_=labels[-1])
        added[f"@{name}"] = known
    return completed.mutate(**added) if added else completed
