"""Rows of a fold's queries to frozen data.

Responsible for: which column is which field.
Does not know: queries (``tabulate``, ``measure``), engines.

Rules: pure. A sum over nothing is NULL in a database and 0 here; the number of values beside it says so.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import structs

from router.analysis.aggregates import Aggregate, Cell, Fates, Moments, Place, Product, Sketch
from router.analysis.plan import Plan, Slicing

Row = Mapping[str, Any]


def place_of(row: Row, by: Slicing) -> Place:
    """Return where a row is about."""
    return Place(row["run"], row["phase"], row["arm"], by, tuple(row[f"@{name}"] for name in by))


def as_cells(
    rows: Iterable[Row], grouped: Iterable[Row], plan: Plan, by: Slicing, caps: Mapping[tuple[int, int, int], float]
) -> dict[Place, Cell]:
    """Return the cells of one slicing.

    Args:
        rows: Of ``tabulate.cells``.
        grouped: Of ``tabulate.clusters``; none where each unit is one observation.
        plan: What was computed.
        by: The slicing.
        caps: Run, phase and place of a metric to its cap.
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
            metrics={
                metric.name: _aggregate(row, group, index, len(metric.steps), caps.get((place.run, place.phase, index)))
                for index, metric in enumerate(plan.metrics)
            },
        )
    return cells


def _aggregate(row: Row, group: Row | None, index: int, steps: int, cap: float | None) -> Aggregate:
    units = _moments(row, f"_{index}")
    immature = row[f"immature_{index}"]
    return Aggregate(
        units=units,
        clusters=None if group is None else _moments(group, f"_{index}"),
        immature=immature,
        missing=row["units"] - immature - units.n,
        cut=row[f"cut_{index}"],
        cap=cap,
        steps=tuple(row[f"step_{index}_{number}"] or 0 for number in range(1, steps + 1)),
    )


def _moments(row: Row, suffix: str) -> Moments:
    sums = (row[f"{name}{suffix}"] for name in ("y", "yy", "x", "xx", "xy"))
    return Moments(row[f"n{suffix}"], *(float(value or 0.0) for value in sums))


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
