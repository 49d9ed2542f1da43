"""What conditions are told of metrics of the log: values, changes and bounds, or why not."""

import pytest

from router.analysis.aggregates import Cell
from router.config.schema import Measured
from router.guardrail.seen import Known
from router.report.known import business
from tests.report.build import cell, counted, draw, evidence, experiment

HERE = (1, 1)
WORSE = {"control": draw(1, 20_000, 0.13), "treatment": draw(2, 20_000, 0.10)}


def told(name: str, alpha: float = 0.01, arms: dict = WORSE) -> Known | str:  # type: ignore[type-arg]
    """Give what is known of a metric."""
    made = experiment(Measured(primary="ctr", secondary=("revenue", "errors")))
    return business(made, evidence(made, arms).result, HERE)(name, alpha)


def test_a_drop_has_bounds_that_are_valid_at_any_time() -> None:
    """A fifth and more fewer clicks, surely fewer than before."""
    found = told("ctr")
    assert isinstance(found, Known)
    assert found.units == (20_000, 20_000)
    assert found.value == pytest.approx(0.10, abs=0.01)
    assert found.control == pytest.approx(0.13, abs=0.01)
    assert found.change is not None
    assert found.change_low is not None
    assert found.change_high is not None
    assert found.change_low < found.change < found.change_high < 0
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high < 0.115


def test_sums_over_units_have_bounds_too() -> None:
    """A mean, and a ratio over exchanges."""
    for name in ("revenue", "errors"):
        found = told(name)
        assert isinstance(found, Known)
        assert found.low is not None
        assert found.high is not None
        assert found.low < found.value < found.high


def test_nobody_of_many_has_an_upper_bound() -> None:
    """No violation in 5,000 units is at most some per 10,000; no change can be said where control has none."""
    found = told("ctr", arms={arm: Cell(metrics={"ctr": counted(0, 5000)}) for arm in ("control", "treatment")})
    assert isinstance(found, Known)
    assert (found.value, found.low, found.change) == (0.0, None, None)
    assert found.high is not None
    assert 0 < found.high < 0.003


def test_what_is_not_known_is_a_sentence() -> None:
    """No log, another phase, no such metric, nobody."""
    made = experiment()
    result = evidence(made, WORSE).result
    assert business(made, None, HERE)("ctr", 0.01) == "the log of this phase was not read yet"
    assert business(made, result, (1, 2))("ctr", 0.01) == "the log of this phase was not read yet"
    assert business(made, result, HERE)("other", 0.01) == "it is not measured"
    assert told("ctr", arms={"control": cell({}), "treatment": cell({})}) == "not enough data: no units"


def test_a_question_is_computed_once() -> None:
    """Looks come every half second, and the log every few seconds."""
    made = experiment()
    result = evidence(made, WORSE).result
    ask = business(made, result, HERE)
    assert ask("ctr", 0.01) is ask("ctr", 0.01)
    assert ask("ctr", 0.01) is not ask("ctr", 0.02)
