"""From one value for each metric and observation to cells: in which order, and what is added up at once.

Responsible for: caps, thresholds, sketches and sums of every slicing, with as few passes over the observations as
memory allows.
Does not know: values (``measure``), the expressions (``tabulate``), events.

Rules: slicings whose values have few combinations are added up together, by combination, and each of them is read from
that; the others by themselves. What comes back is bounded by phases, arms, values of slices and metrics.
"""

from collections.abc import Iterable, Mapping

from ibis.expr import types as ir
from msgspec import Struct, structs

from router.analysis import tabulate
from router.analysis.aggregates import Cell, Place, Sketch
from router.analysis.collect import Facts, as_cells, as_products, as_sketches, pooled, with_sketch
from router.analysis.engine import Engine
from router.analysis.plan import Plan, Slicing, measure_of

MOST_COMBINATIONS = 4_000
"""Combinations of values, in each arm, that are added up at once: more of them take longer than another pass."""


class Bundle(Struct, frozen=True):
    """Slicings that are added up together.

    Attributes:
        names: All attributes that they read.
        slicings: The slicings.
    """

    names: tuple[str, ...]
    slicings: tuple[Slicing, ...]


def bundles(slicings: Iterable[Slicing], values: Mapping[str, int]) -> tuple[Bundle, ...]:
    """Put slicings together while their attributes have few combinations of values.

    Args:
        slicings: The slicings.
        values: Attribute to how many values it has at most.
    """
    found: list[Bundle] = []
    for by in slicings:
        last = found[-1] if found else Bundle((), ())
        names = tuple(dict.fromkeys((*last.names, *by)))
        combinations = 1
        for name in names:
            combinations *= values[name]
        if found and combinations <= MOST_COMBINATIONS:
            found[-1] = Bundle(names, (*last.slicings, by))
        else:
            found.append(Bundle(by, (by,)))
    return tuple(found)


class Summing(Struct, frozen=True):
    """What is needed to add up.

    Attributes:
        engine: Runs queries.
        made: What is to be computed.
        bundles: The slicings.
        clustered: Whether units are clusters.
    """

    engine: Engine
    made: Plan
    bundles: tuple[Bundle, ...]
    clustered: bool

    def cells(self, completed: ir.Table, facts: Facts) -> dict[Place, Cell]:
        """Return the cells of all slicings.

        Args:
            completed: What ``tabulate.sliced`` returns.
            facts: What is the same for all units of a phase; caps and thresholds are found here.
        """
        caps = self._caps(completed)
        limited = tabulate.capped(completed, self.made, caps)
        sketches = self._sketches(limited)
        thresholds = self._thresholds(sketches)
        counted = tabulate.below(limited, self.made, thresholds)
        known = structs.replace(facts, caps=caps, thresholds=thresholds)
        cells = self._sums(counted, known)
        for row in self.engine.rows(tabulate.pairs(counted, self.made)) if len(self.made.metrics) > 1 else []:
            place = Place(row["run"], row["phase"], row["arm"])
            cells[place] = structs.replace(cells[place], products=as_products(row, self.made))
        for name, found in sketches.items():
            cells = {place: with_sketch(cell, name, found.get(place, Sketch())) for place, cell in cells.items()}
        return cells

    def limited(self, completed: ir.Table) -> ir.Table:
        """Return the observations with their values capped."""
        return tabulate.capped(completed, self.made, self._caps(completed))

    def _sums(self, completed: ir.Table, facts: Facts) -> dict[Place, Cell]:
        cells: dict[Place, Cell] = {}
        for number, bundle in enumerate(self.bundles):
            finest = tabulate.cells(completed, self.made, bundle.names)
            if len(bundle.slicings) > 1:
                finest = self.engine.keep(f"finest{number}", finest)
            for by in bundle.slicings:
                found = tabulate.coarser(finest, by) if len(bundle.slicings) > 1 else finest
                grouped = tabulate.clusters(completed, self.made, by) if self.clustered else None
                groups = self.engine.rows(grouped) if grouped is not None else []
                cells |= as_cells(self.engine.rows(found), groups, self.made, by, facts)
        return cells

    def _caps(self, completed: ir.Table) -> tabulate.Caps:
        """Return where each metric is capped: at a quantile of the values of all arms of a phase, from a sketch."""
        caps: tabulate.Caps = {}
        for index, metric in enumerate(self.made.metrics):
            if metric.cap is None:
                continue
            found = as_sketches(self.engine.rows(tabulate.sketch(completed, index, ())), ())
            for (run, phase), values in pooled(found).items():
                cap = values.quantile(metric.cap)
                if cap is not None:
                    caps[run, phase, index] = cap
        return caps

    def _thresholds(self, sketches: Mapping[str, Mapping[Place, Sketch]]) -> dict[tuple[int, int, int], int]:
        """Return the bucket that the quantile of all arms of a phase lies in, for metrics of exchanges."""
        out: dict[tuple[int, int, int], int] = {}
        for index, metric in enumerate(self.made.metrics):
            if metric.kind == "quantile" and metric.exchange is not None and metric.q is not None:
                everybody = {place: found for place, found in sketches[metric.name].items() if not place.slicing}
                for (run, phase), values in pooled(everybody).items():
                    last = values.bucket_at(metric.q)
                    if last is not None:
                        out[run, phase, index] = last
        return out

    def _sketches(self, completed: ir.Table) -> dict[str, dict[Place, Sketch]]:
        """Return the distributions that quantiles are read from, by metric."""
        out: dict[str, dict[Place, Sketch]] = {}
        kept: dict[tuple[object, int], ir.Table] = {}
        for index, metric in enumerate(self.made.metrics):
            if metric.kind != "quantile":
                continue
            out[metric.name] = {}
            source = measure_of(metric)
            for number, bundle in enumerate(self.bundles):
                key = (source or metric.name, number)
                if key not in kept:
                    table = tabulate.sketch(completed, index, bundle.names)
                    if source is not None:
                        table = tabulate.buckets(completed, source, self.made, bundle.names)
                    kept[key] = self.engine.keep(f"buckets{len(kept)}", table)
                for by in bundle.slicings:
                    out[metric.name] |= as_sketches(self.engine.rows(tabulate.sketch_of(kept[key], by)), by)
        return out
