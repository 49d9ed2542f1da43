"""How effects and traffic go over time, as Ibis expressions and as data.

Responsible for: exchanges by day and arm, and what units do in each day of their tenure, that is since their first
exposure.
Does not know: sums by day of first exposure, which are cells like any other (``sums``); what a trend means.

Rules: what a unit does in a day of tenure is looked at whatever its window, of units whose day is over, so that all of
them count, also those that did nothing. It is not frozen, and describes: novelty that wears off, learning that comes.
At most ``MOST_DAYS`` days.
"""

from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Any, Final

import ibis
from ibis.expr import types as ir

from router.analysis import exchanges, measure
from router.analysis.aggregates import Moments, Place
from router.analysis.engine import Engine
from router.analysis.plan import MOST_DAYS, ONE_DAY, Plan, measure_of
from router.analysis.result import TenurePlace
from router.analysis.slices import DAY_S
from router.config.schema import Metric

KINDS: Final = frozenset({"proportion", "mean", "count", "ratio"})
"""Kinds of metrics that mean something of one day of a unit."""
_BY: Final = ("run", "phase", "arm", "tenure")


def traffic(exposures: ir.Table) -> ir.Table:
    """Return the exchanges of each arm and day: columns ``run``, ``phase``, ``arm``, ``day`` and ``exchanges``."""
    day = (exposures.time / DAY_S).floor().cast("int64")
    return exposures.group_by("run", "phase", "arm", day=day).aggregate(exchanges=exposures.count())


def as_traffic(rows: Iterable[Mapping[str, Any]], now: float) -> dict[Place, int]:
    """Return the exchanges by place; of the latest days, the older ones being of the first of them."""
    least = int(now // DAY_S) - (MOST_DAYS - 1)
    found: dict[Place, int] = {}
    for row in rows:
        day = str(max(row["day"], least))
        place = Place(row["run"], row["phase"], row["arm"], (ONE_DAY,), (day,))
        found[place] = found.get(place, 0) + row["exchanges"]
    return dict(sorted(found.items()))


def lasted(observed: ir.Table) -> ir.Table:
    """Return how many days units were looked at: columns ``run``, ``phase``, ``arm``, ``tenure`` and ``units``.

    Args:
        observed: What ``attribute.placed`` returns.
    """
    kept = observed.filter(~observed.crossed)
    return kept.group_by("run", "phase", "arm", tenure=_days(kept)).aggregate(units=kept.count())


def _days(observed: ir.Table) -> ir.IntegerValue:
    """Return the days since the first exposure that are over, as far as they lie in the phase."""
    whole = (ibis.least(observed.since, observed.room) / DAY_S).floor().cast("int64")
    return ibis.least(whole, ibis.literal(MOST_DAYS, "int64"))


def done(
    observed: ir.Table, found: ir.Table | None, exposures: ir.Table | None, metric: Metric, plan: Plan
) -> ir.Table:
    """Return the sums over units of what they did in each day of tenure.

    Args:
        observed: What ``attribute.placed`` returns.
        found: What ``measure.aged`` returns; for a metric of outcomes.
        exposures: Columns ``observation``, ``time`` and ``value``; for a metric of exchanges.
        metric: One of ``KINDS``.
        plan: What is computed.

    Returns:
        Columns ``run``, ``phase``, ``arm``, ``tenure`` (0 is the first day), and the sums ``y`` to ``xy``.
    """
    who = observed.filter(~observed.crossed).select("observation", "run", "phase", "arm", "first", over=_days(observed))
    if exposures is not None:
        seen = exposures.join(who.select("observation", "first"), "observation")
        events = seen.select("observation", age=seen.time - seen.first, y=seen.value)
        events = events.mutate(x=events.y.notnull().cast("float64"))
    elif found is not None:
        kept = found.filter(found.chosen)
        top, bottom = (measure.named(kept, names, plan) for names in _names(metric))
        value = ibis.literal(1.0) if metric.kind in ("proportion", "count") else kept.value
        y, x = ibis.ifelse(top, value, 0.0), ibis.ifelse(bottom, kept.value, 0.0)
        events = kept.filter(top | bottom).select("observation", age=kept.age, y=y, x=x)
    else:
        raise ValueError(f"nothing is known of metric {metric.name!r}")
    days = events.filter(events.age >= 0)
    y = (days.y != 0).cast("float64").max() if metric.kind == "proportion" else days.y.sum()
    tenure = (days.age / DAY_S).floor().cast("int64")
    each = days.group_by("observation", tenure=tenure).aggregate(y=y, x=days.x.sum())
    each = each.join(who.drop("first"), "observation")
    each = each.filter(each.tenure < each.over)
    return each.group_by(*_BY).aggregate(
        y=each.y.sum(),
        yy=(each.y * each.y).sum(),
        x=each.x.sum(),
        xx=(each.x * each.x).sum(),
        xy=(each.x * each.y).sum(),
    )


def _names(metric: Metric) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the outcomes that are the value, and those that are the denominator."""
    if metric.kind == "ratio":
        return (metric.numerator or "",), (metric.denominator or "",)
    return metric.outcomes(), ()


def valued(exposures: ir.Table, observed: ir.Table, metric: Metric, engine: Engine, by: list[str]) -> ir.Table | None:
    """Return the exchanges of observations with what a metric measures on them; None for one of outcomes."""
    wanted = measure_of(metric)
    if wanted is None:
        return None
    seen = exposures.join(observed.select("observation", *by), by)
    return seen.select("observation", "time", value=exchanges.measure(seen, wanted.source, engine))


def as_tenure(
    units: Iterable[Mapping[str, Any]], sums: Iterable[Mapping[str, Any]], metric: Metric
) -> dict[TenurePlace, Moments]:
    """Return the sums of each day of tenure, over the units whose day is over.

    Args:
        units: Rows of ``lasted``.
        sums: Rows of ``done``.
        metric: The metric.
    """
    known: dict[tuple[int, int, str], dict[int, int]] = {}
    for row in units:
        known.setdefault((row["run"], row["phase"], row["arm"]), {})[row["tenure"]] = row["units"]
    done_by = {tuple(row[name] for name in _BY): row for row in sums}
    found: dict[TenurePlace, Moments] = {}
    for place, by_days in sorted(known.items()):
        longest = max(by_days)
        at_least = list(accumulate(by_days.get(days, 0) for days in range(longest, -1, -1)))[::-1]
        for day in range(longest):
            row = done_by.get((*place, day), {})
            y, yy, x, xx, xy = (float(row.get(name) or 0.0) for name in ("y", "yy", "x", "xx", "xy"))
            sized = (x, xx, xy) if metric.kind == "ratio" else (0.0, 0.0, 0.0)
            found[TenurePlace(*place, day)] = Moments(at_least[day + 1], y, yy, *sized)
    return found
