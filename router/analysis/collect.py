"""Rows of a fold's queries to frozen data.

Responsible for: which column is which field.
Does not know: queries (``tabulate``, ``measure``), engines.

Rules: pure. A sum over nothing is NULL in a database and 0 here; the number of values beside it says so.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct, structs

from router.analysis.aggregates import Aggregate, Cell, Fates, Moments, Place, Product, Sketch
from router.analysis.plan import Plan, Slicing
from router.analysis.sketch import bounds
from router.analysis.tabulate import binary, sized
from router.config.schema import Metric

Row = Mapping[str, Any]


def place_of(row: Row, by: Slicing) -> Place:
    """Return where a row is about."""
    return Place(row["run"], row["phase"], row["arm"], by, tuple(row[f"@{name}"] for name in by))


class Facts(Struct, frozen=True):
    """What is the same for all units of a phase.

    Attributes:
        caps: Run, phase and place of a metric to its cap.
        thresholds: The same to the bucket up to which exchanges are counted as below.
        propensities: Run, phase and arm to the propensity of all its units; None where units have weights of their own.
        provisional: Run, phase and place of metrics whose values may still change.
    """

    caps: Mapping[tuple[int, int, int], float] = {}
    thresholds: Mapping[tuple[int, int, int], int] = {}
    propensities: Mapping[tuple[int, int, str], float] | None = None
    provisional: frozenset[tuple[int, int, int]] = frozenset()


def as_cells(rows: Iterable[Row], grouped: Iterable[Row], plan: Plan, by: Slicing, facts: Facts) -> dict[Place, Cell]:
    """Return the cells of one slicing.

    Args:
        rows: Of ``tabulate.cells``.
        grouped: Of ``tabulate.clusters``; none where each unit is one observation.
        plan: What was computed.
        by: The slicing.
        facts: What is the same for all units of a phase.
    """
    clusters = {place_of(row, by): row for row in grouped}
    cells: dict[Place, Cell] = {}
    for row in rows:
        place = place_of(row, by)
        group = clusters.get(place)
        cells[place] = Cell(
            units=row["units"],
            clusters=None if group is None else group["clusters"],
            exchanges=row["exchanges"],
            failures=row["failures"],
            unfinished=row["unfinished"],
            without_propensity=row.get("without_propensity", 0),
            metrics={
                metric.name: _aggregate(row, group, (index, metric), facts, place)
                for index, metric in enumerate(plan.metrics)
            },
        )
    return cells


def _aggregate(row: Row, group: Row | None, measured: tuple[int, Metric], facts: Facts, place: Place) -> Aggregate:
    index, metric = measured
    here = place.run, place.phase, index
    units = _moments(row, f"_{index}", metric)
    clusters = None if group is None else _moments(group, f"_{index}")
    immature = row.get(f"immature_{index}", 0)
    known = Aggregate(
        immature=immature,
        missing=row["units"] - immature - units.n,
        cut=row.get(f"cut_{index}", 0),
        cap=facts.caps.get(here),
        provisional=here in facts.provisional,
    )
    if sized(metric) and metric.kind == "quantile":
        last = facts.thresholds.get(here)
        threshold = None if last is None else bounds(last)[1]
        return structs.replace(known, below=clusters or units, threshold=threshold)
    independent = clusters or structs.replace(units, **_sizes(metric, units))
    return structs.replace(
        known,
        units=units,
        clusters=clusters,
        steps=tuple(row[f"step_{index}_{number}"] or 0 for number in range(1, len(metric.steps) + 1)),
        weighted=_weighted(row if group is None else group, independent, index, facts, place),
    )


def _sizes(metric: Metric, units: Moments) -> dict[str, float]:
    """Return the sums of the sizes of observations: 1 each, or the denominators of a ratio."""
    return {} if metric.kind == "ratio" else {"x": float(units.n), "xx": float(units.n), "xy": units.y}


def _weighted(row: Row, independent: Moments, index: int, facts: Facts, place: Place) -> Moments:
    """Return the weighted sums: those of the database, or all of them times the same weight."""
    if facts.propensities is None:
        return _moments(row, f"_w{index}")
    w = 1 / facts.propensities[place.run, place.phase, place.arm]
    sums = structs.astuple(independent)[1:]
    return Moments(independent.n, *(w**power * value for power, value in zip((1, 2, 1, 2, 2), sums, strict=True)))


def _moments(row: Row, suffix: str, metric: Metric | None = None) -> Moments:
    """Return sums; those that a query leaves out follow from others."""
    sums = {name: float(row.get(f"{name}{suffix}") or 0.0) for name in ("y", "yy", "x", "xx", "xy")}
    if metric is not None and binary(metric):
        sums["yy"] = sums["y"]
    return Moments(row[f"n{suffix}"], **sums)


def as_products(row: Row, plan: Plan) -> dict[str, dict[str, Product]]:
    """Return the products of metrics from a row of ``tabulate.pairs``."""
    out: dict[str, dict[str, Product]] = {}
    names = [metric.name for metric in plan.metrics]
    for one, first in enumerate(names):
        for other, second in enumerate(names[one + 1 :], start=one + 1):
            suffix = f"_{one}_{other}"
            if f"n{suffix}" in row:
                out.setdefault(first, {})[second] = Product(
                    _moments(row, suffix),
                    *(float(row.get(f"{name}{suffix}") or 0.0) for name in ("xl_y", "y_xr", "xl_xr")),
                )
    return out


def as_sketches(rows: Iterable[Row], by: Slicing) -> dict[Place, Sketch]:
    """Return the distributions of one slicing from rows with ``bucket`` and ``number``."""
    counts: dict[Place, dict[int, int]] = {}
    for row in rows:
        counts.setdefault(place_of(row, by), {})[row["bucket"]] = row["number"]
    return {place: Sketch(buckets) for place, buckets in counts.items()}


def pooled(found: Mapping[Place, Sketch]) -> dict[tuple[int, int], Sketch]:
    """Merge the arms of each phase, by run and phase."""
    out: dict[tuple[int, int], Sketch] = {}
    for place, values in found.items():
        here = place.run, place.phase
        out[here] = out.get(here, Sketch()).merge(values)
    return out


def with_sketch(cell: Cell, metric: str, sketch: Sketch) -> Cell:
    """Return a cell that has the distribution of a metric."""
    known = cell.metrics.get(metric, Aggregate())
    return structs.replace(cell, metrics={**cell.metrics, metric: structs.replace(known, sketch=sketch)})


def as_fates(row: Row, plan: Plan) -> dict[str, Fates]:
    """Return the fates of each metric's outcomes from a row of ``measure.fates``."""
    names = Fates.__struct_fields__
    return {
        metric.name: Fates(*(row[f"{name}{index}"] for name in names))
        for index, metric in enumerate(plan.metrics)
        if f"attributed{index}" in row
    }
