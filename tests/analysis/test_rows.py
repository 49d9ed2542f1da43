"""Rows for policies: what became final in a span of time, each observation in one span only."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.analysis.history import History, Phase
from router.analysis.plan import Plan
from router.analysis.rows import SCHEMA, Span, matured
from router.config.schema import Metric
from tests.analysis import logs, oracle
from tests.analysis.test_attribution import METRICS

CTR = Metric(name="ctr", kind="proportion", outcome="click", window=5.0, grace=1.0, goal="up")
FINAL = [metric for metric in METRICS if metric.window is not None and metric.kind != "quantile"]
HISTORY = History({"e": logs.PHASES})


@pytest.mark.fuzz
@settings(max_examples=4)
@given(st.data(), st.booleans(), st.sampled_from(FINAL), st.sampled_from([7, 1000]))
def test_every_final_value_is_in_one_span(data: st.DataObject, clustered: bool, metric: Metric, limit: int) -> None:  # noqa: FBT001
    """Asked again and again for what is new, rows come to what the rules say of all of it, each once."""
    exposures = data.draw(logs.exposures(clustered=clustered))
    outcomes = data.draw(logs.outcomes(clustered=clustered))
    made = Plan("e", (metric,), ("country",), ("tier",), clustered=clustered)
    found: dict[oracle.Who, Any] = {}
    for after, until in ((-1.0, 12.0), (12.0, 40.5), (40.5, 90.0)):
        at, more = after, True
        while more:
            engine = logs.engine(exposures, outcomes)
            batch = matured(engine, made, HISTORY, metric.name, Span(at, until, limit))
            engine.forget()
            rows = batch.table.to_pylist()
            assert all(at < row["matured"] <= batch.until for row in rows)
            for row in rows:
                who = (row["run"], row["phase"], row["unit"], row["user"])
                assert who not in found
                found[who] = row
            at, more = batch.until, batch.more
        assert at == until
    _same(found, oracle.attribute(exposures, outcomes, made, logs.PHASES, 90.0), metric)


def _same(found: dict[oracle.Who, Any], expected: oracle.Found, metric: Metric) -> None:
    for who, observation in expected.observations.items():
        if observation.crossed:
            continue
        state, y, x = expected.values[who, metric.name]
        assert (who in found) == (state != "immature")
        if who in found:
            row, first = found[who], observation.exposures[0]
            assert (row["y"], row["arm"], row["first"]) == (y, first["arm"], first["time"])
            assert (row["propensity"], row["site"]) == (first["propensity"], first.get("site"))
            if metric.kind == "ratio":
                assert row["x"] == (x if y is not None else None)


def test_older_events_are_not_read_where_units_last_a_period() -> None:
    """A tick reads the events of its own periods, and finds what it finds in all of them."""
    exposures = [
        logs.exposure(number, unit=f"u{number % 3}@{number // 3 * 10}", user=f"u{number % 3}", time=number // 3 * 10.0)
        for number in range(30)
    ]
    outcomes = [logs.outcome(number, unit=f"u{number % 3}", time=number * 3.0) for number in range(30)]
    made = Plan("e", (CTR,), clustered=True)
    history = History({"e": (Phase(1, 1, 0.0, None, clustered=True),)})
    engine = logs.engine(exposures, outcomes)
    whole = matured(engine, made, history, "ctr", Span(60.0, 80.0)).table
    engine.forget()
    near = logs.engine([row for row in exposures if row["time"] >= 44.0], outcomes)
    assert matured(near, made, history, "ctr", Span(60.0, 80.0, period=10.0)).table == whole
    assert whole["matured"].to_pylist() == [66.0] * 3 + [76.0] * 3
    assert whole.schema == SCHEMA


@pytest.mark.parametrize(
    ("metric", "span", "said"),
    [
        ("ctr", Span(5.0, 4.0), "no rows can be asked for"),
        ("ctr", Span(0.0, 4.0, 0), "no rows can be asked for"),
        ("none", Span(0.0, 4.0), "has no metric"),
        ("buys", Span(0.0, 4.0), "give it a window"),
        ("early-cost", Span(0.0, 4.0), "is a quantile"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(metric: str, span: Span, said: str) -> None:
    """A metric whose values are never final has no rows, nor has one that observations do not have."""
    with pytest.raises(ValueError, match=said):
        matured(logs.engine([], []), Plan("e", (CTR, *METRICS[2:])), HISTORY, metric, span)


def test_no_exposures_are_no_rows() -> None:
    """An experiment that nobody saw yet has an empty table."""
    batch = matured(logs.engine([], []), Plan("e", (CTR,)), HISTORY, "ctr", Span(0.0, 9.0))
    assert (batch.table.num_rows, batch.until, batch.more) == (0, 9.0, False)
