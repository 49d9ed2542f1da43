"""Logs whose propensities are not true are refused, and true ones are not."""

from dataclasses import replace

import numpy as np
import pytest

from router.policy.propensity import distrust
from tests.policy.logs import linear_log, log_of


@pytest.mark.parametrize("wrong", [0.0, 5e-324, -0.5, 1.5, float("nan")])
def test_what_is_no_probability_is_refused(wrong: float) -> None:
    """An absent propensity, 0, or more than 1 is named, with the number of such rows."""
    found = distrust(log_of([0, 1, 0], [0.5, wrong, 0.5], [0.0, 1.0, 1.0]))
    assert found is not None
    assert found.reason.startswith("1 of 3 observations have no true propensity")


def test_one_over_n_under_other_weights_is_refused() -> None:
    """A constant 1/2 where the weights in force were 0.9 and 0.1 is contradicted by these."""
    log = log_of([0, 1, 0], [0.5, 0.5, 0.5], [0.0, 1.0, 1.0])
    found = distrust(log, np.array([0.9, 0.1, 0.9]))
    assert found is not None
    assert "3 of 3 observations have a propensity that the weights in force contradict" in found.reason
    assert "says 0.5 of arm control, and the weights gave 0.9" in found.reason


def test_one_over_n_that_nothing_contradicts_is_found_by_counting() -> None:
    """Where no weights are known, an arm that was taken far more often than its propensity says gives it away."""
    log = linear_log(2000, 1)
    found = distrust(replace(log, propensity=np.full(log.n, 0.5)), np.full(log.n, np.nan))
    assert found is not None
    assert "standard deviations more often than its logged propensities say" in found.reason


def test_true_propensities_are_believed() -> None:
    """On 200 logs with true propensities none is refused; the budget is 1e-6 each."""
    assert [distrust(linear_log(400, seed)) for seed in range(200)] == [None] * 200


def test_an_arm_that_could_not_be_taken_for_a_while_is_no_lie() -> None:
    """Half of a log with one arm alone, propensity 1, passes: the other arm was rarer, rightly."""
    both = linear_log(1000, 5)
    alone = log_of([0] * 1000, [1.0] * 1000, [0.0] * 1000)
    arm = np.concatenate([alone.arm, both.arm])
    log = replace(
        both,
        arm=arm,
        propensity=np.concatenate([alone.propensity, both.propensity]),
        reward=np.concatenate([alone.reward, both.reward]),
        time=np.arange(2000.0),
        known=np.arange(2000.0),
        cluster=np.arange(2000),
        context=np.ones((2000, 1)),
    )
    assert distrust(log, np.where(np.arange(2000) < 1000, 1.0, np.nan)) is None


def test_rows_of_one_user_are_not_many_witnesses() -> None:
    """A user whose every period fell on the same arm proves nothing, however many periods there were."""
    arm = [1] * 60 + [0] * 40
    log = log_of(arm, [0.5] * 100, [0.0] * 100, cluster=[0] * 60 + list(range(1, 41)))
    assert distrust(log) is None
