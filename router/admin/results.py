"""What is known of an experiment's metrics, as the admin API shows it.

Responsible for: the shape of cells and aggregates.
Does not know: how they are computed (``router.analysis.fold``), what they are evidence of.

Rules: pure. Sums are shown as they are, so that they can be merged with those of other routers; a mean only where there
is one.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from router.analysis.aggregates import Aggregate, Cell, Place
    from router.analysis.result import Result


def results_view(result: "Result") -> list[dict[str, Any]]:
    """Return what is known in each cell, in the order of runs, phases and arms."""
    kinds = {metric.name: metric.kind for metric in result.plan.metrics}
    return [_cell(place, cell, kinds) for place, cell in sorted(result.cells.items())]


def _cell(place: "Place", cell: "Cell", kinds: Mapping[str, str]) -> dict[str, Any]:
    return {
        "run": place.run,
        "phase": place.phase,
        "arm": place.arm,
        "slice": dict(zip(place.slicing, place.values, strict=True)),
        "units": cell.units,
        "exchanges": cell.exchanges,
        "failures": cell.failures,
        "unfinished": cell.unfinished,
        "metrics": {name: _aggregate(aggregate, kinds[name]) for name, aggregate in cell.metrics.items()},
    }


def _aggregate(found: "Aggregate", kind: str) -> dict[str, Any]:
    """Show sums and their mean: of a ratio y over x, its denominator, else y over the units; of a quantile none."""
    sums = found.units
    whole = {"ratio": sums.x, "quantile": 0.0}.get(kind, float(sums.n))
    return {
        "mean": sums.y / whole if whole else None,
        "sums": msgspec.to_builtins(sums),
        "clusters": msgspec.to_builtins(found.clusters),
        "immature": found.immature,
        "missing": found.missing,
        "cut": found.cut,
        "cap": found.cap,
        "steps": list(found.steps),
    }
