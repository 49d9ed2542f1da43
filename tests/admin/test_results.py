"""Metrics of an experiment as the report shows them."""

import msgspec
import pytest

from router.admin.results import results_view
from router.analysis.aggregates import Aggregate, Cell, Moments, Place
from router.analysis.plan import Plan
from router.analysis.result import Result
from router.config.schema import Metric

METRICS = (
    Metric(name="ctr", kind="proportion", outcome="click", goal="up"),
    Metric(name="errors", kind="ratio", exchange="failed", goal="down"),
    Metric(name="p99", kind="quantile", exchange="duration", q=0.99, goal="down"),
)


def _result(n: int) -> Result:
    sums = Aggregate(units=Moments(n=n, y=2.0 * n, yy=4.0 * n, x=8.0 * n), immature=3)
    metrics = {metric.name: sums for metric in METRICS}
    gold = Place(1, 2, "a", ("tier",), ("gold",))
    cells = {gold: Cell(units=n, exchanges=2 * n, failures=1, metrics=metrics), Place(1, 1, "b"): Cell()}
    return Result(Plan(experiment="e", metrics=METRICS), (), cells)


def test_cells_are_shown_in_order_with_their_sums_and_means() -> None:
    """A ratio is over its denominator, others over units; a quantile has no mean."""
    first, second = results_view(_result(10))
    assert (first["phase"], first["arm"], first["slice"], first["metrics"]) == (1, "b", {}, {})
    assert (second["phase"], second["slice"], second["units"], second["failures"]) == (2, {"tier": "gold"}, 10, 1)
    means = {name: shown["mean"] for name, shown in second["metrics"].items()}
    assert means == {"ctr": pytest.approx(2.0), "errors": pytest.approx(0.25), "p99": None}
    assert second["metrics"]["ctr"]["sums"]["yy"] == 40.0
    assert second["metrics"]["ctr"]["immature"] == 3


def test_no_units_have_no_mean() -> None:
    """Rather than 0; and all of it is JSON."""
    (_, cell) = results_view(_result(0))
    assert {shown["mean"] for shown in cell["metrics"].values()} == {None}
    assert msgspec.json.decode(msgspec.json.encode(cell)) == cell
