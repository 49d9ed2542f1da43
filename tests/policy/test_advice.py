"""Which estimate is to be believed."""

from dataclasses import replace

import numpy as np

from router.analysis.estimate import NotEnough
from router.policy.evaluate import Evaluation, Wish, evaluate
from router.policy.linear import LinearThompson
from router.policy.log import Log
from router.policy.target import Always, Target
from tests.policy.logs import linear_log, log_of


def evaluated(log: Log, policy: Target | LinearThompson, wish: Wish | None = None) -> Evaluation:
    """Return what is known of a policy."""
    found = evaluate(log, policy, wish or Wish())
    assert isinstance(found, Evaluation)
    return found


def test_doubly_robust_is_believed_where_there_is_enough() -> None:
    """With overlap and no weight above the clip, doubly robust; above it, switch; of one that learns, the replay."""
    log = linear_log(5000, 1)
    assert evaluated(log, Always("treatment")).advice.method == "doubly_robust"
    assert evaluated(log, Always("treatment"), Wish(clip=3.0)).advice.method == "switch"
    found = evaluated(log, LinearThompson())
    assert found.advice.method == "replay"
    assert found.accepted is not None


def test_nothing_is_believed_of_few_effective_units() -> None:
    """Fifty rows that speak of a policy are too few, and the reason says what to do."""
    found = evaluated(linear_log(100, 1), Always("treatment"))
    assert found.advice.method is None
    assert "give its arms a larger weight in the experiment, or wait" in found.advice.reason


def test_nothing_is_believed_of_an_arm_that_could_not_be_taken_half_the_time() -> None:
    """Where an arm had weight 0 for half of a log, the mean of the weights gives it away."""
    log = linear_log(4000, 1)
    first = np.arange(4000) < 2000
    half = replace(log, arm=np.where(first, 0, log.arm), propensity=np.where(first, 1.0, log.propensity))
    found = evaluated(half, Always("treatment"))
    assert found.advice.method is None
    assert "could not be taken then (weight 0)" in found.advice.reason


def test_a_model_that_does_not_fit_is_said() -> None:
    """Where the direct method lies outside of what doubly robust allows, a note says so."""
    log = linear_log(20_000, 3)
    bent = replace(log, reward=log.reward + 2 * log.context[:, 1] ** 2 * log.arm)
    assert any("does not fit" in note for note in evaluated(bent, Always("treatment")).advice.notes)


def test_what_was_done_earned_its_mean() -> None:
    """Beside any policy stands what the log earned."""
    log = linear_log(500, 2)
    logged = evaluated(log, Always("control")).logged
    assert not isinstance(logged, NotEnough)
    assert abs(logged.value - log.reward.mean()) < 1e-12


def test_a_log_that_tells_nothing_is_not_enough() -> None:
    """No rows, or untrue propensities: no estimate is made."""
    assert isinstance(evaluate(log_of([], [], []), Always("control"), Wish()), NotEnough)
    assert isinstance(evaluate(log_of([0, 1], [0.0, 0.5], [1.0, 2.0]), Always("control"), Wish()), NotEnough)


def test_without_an_estimate_the_reason_is_said() -> None:
    """An arm that nobody had: no method has a value, and the advice says why."""
    log = linear_log(400, 3)
    found = evaluated(replace(log, arm=log.arm * 0, propensity=log.propensity * 0 + 1), Always("treatment"))
    assert found.advice.method is None
    assert found.advice.reason == "the log has no observation of an arm that this policy would take"


def test_one_observation_that_decides_is_said() -> None:
    """A row that was taken with a chance of 1 in 1000 has most of the weight, and clipping takes part of it."""
    log = linear_log(400, 4)
    rare = np.where(np.arange(400) == np.argmax(log.arm), 0.001, log.propensity)
    notes = " ".join(evaluated(replace(log, propensity=rare), Always("treatment")).advice.notes)
    assert "one observation has" in notes
    assert "so clipped IPS is biased towards 0" in notes
