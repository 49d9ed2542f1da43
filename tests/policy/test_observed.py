"""Rows of the analysis as a log."""

from typing import Any

import numpy as np

from router.policy.observed import Reading, observed

READING = Reading(
    arms=("a", "b"), sign=1, weights={(2, 1, 0, ""): {"a": 1, "b": 3}, (2, 1, 0, "eu/x"): {"a": 1, "b": 1}}
)


def rows(*given: dict[str, Any]) -> dict[str, list[Any]]:
    """Return columns of rows: of user u, unit u, arm a, run 2, at time 0 with reward 1 unless given."""
    plain = {
        "run": 2, "phase": 1, "epoch": 0, "site": None, "arm": "a", "unit": "u", "user": None, "first": 0.0,
        "matured": 60.0, "propensity": 0.25, "y": 1.0,
    }  # fmt: skip
    return {name: [{**plain, **row}[name] for row in given] for name in plain}


def test_a_log_is_of_the_last_run_in_order_of_time() -> None:
    """Rows of an earlier run and rows without a reward are left out, and counted."""
    columns = rows({"first": 9.0, "unit": "v"}, {"run": 1}, {"y": None}, {"first": 3.0, "arm": "b", "y": 2.0})
    found = observed(columns, [{}] * 4, READING)
    assert (found.run, found.earlier, found.valueless) == (2, 1, 1)
    assert (found.log.time.tolist(), found.log.arm.tolist(), found.log.reward.tolist()) == (
        [3.0, 9.0],
        [1, 0],
        [2.0, 1.0],
    )


def test_weights_in_force_are_those_of_epoch_and_site() -> None:
    """The share of the row's arm, at its site; not a number where nobody knows."""
    columns = rows({}, {"arm": "b", "unit": "v"}, {"site": "eu/x", "unit": "w"}, {"epoch": 5, "unit": "x"})
    assert np.array_equal(observed(columns, [{}] * 4, READING).in_force, [0.25, 0.75, 0.5, np.nan], equal_nan=True)


def test_a_user_with_several_periods_is_one_cluster() -> None:
    """Clusters are users; where there is none, the unit."""
    columns = rows({"unit": "u@1", "user": "u"}, {"unit": "u@2", "user": "u"}, {"unit": "v"})
    assert observed(columns, [{}] * 3, READING).log.cluster.tolist() == [0, 0, 1]


def test_an_absent_propensity_is_no_number() -> None:
    """So that it is refused, and never taken for a 1 or left out."""
    assert np.isnan(observed(rows({"propensity": None}), [{}], READING).log.propensity).all()


def test_features_are_the_attributes_that_were_logged() -> None:
    """All of them as categories, or those that were named, numbers among them."""
    columns = rows({"unit": "u"}, {"unit": "v"})
    about = [{"tier": "gold", "age": "30"}, {"tier": "free", "age": "50"}]
    assert observed(columns, about, READING).log.context.shape == (2, 5)
    named = Reading(READING.arms, 1, {}, numbers=("age",), categories=())
    assert observed(columns, about, named).log.context.tolist() == [[1.0, -1.0], [1.0, 1.0]]
    assert observed(columns, about, named).log.attributes == tuple(about)


def test_no_rows_are_an_empty_log() -> None:
    """Before the first window is over there is nothing to evaluate, and nothing breaks."""
    found = observed(rows(), [], READING)
    assert (found.log.n, found.run) == (0, None)
