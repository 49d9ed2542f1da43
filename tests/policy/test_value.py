"""What estimators give: exact on small logs, unbiased and covering on many."""

from itertools import product
from math import sqrt

import numpy as np
import pytest
from scipy import stats

from router.analysis.estimate import NotEnough
from router.policy.log import Log
from router.policy.overlap import overlap
from router.policy.target import Always, Fixed
from router.policy.value import Estimates, Method, Value, estimate_value
from tests.policy.logs import linear_log, log_of

SMALL = log_of([0, 1, 1, 0], [0.5, 0.25, 0.25, 0.5], [1.0, 4.0, 2.0, 3.0])


def value_of(found: Estimates, method: Method) -> Value:
    """Return an estimate that there is."""
    value = found.values[method]
    assert isinstance(value, Value)
    return value


def test_four_rows_by_hand() -> None:
    """Weights of a policy of 1/4 and 3/4 are 1/2, 3, 3, 1/2; each estimate is what its formula gives by hand."""
    found = estimate_value(SMALL, Fixed({"control": 1, "treatment": 3}).probabilities(SMALL), clip=2.0)
    expected = {
        "ips": (0.5 + 12 + 6 + 1.5) / 4,
        "clipped_ips": (0.5 + 8 + 4 + 1.5) / 4,
        "snips": 20 / 7,
        "direct": 0.25 * 2 + 0.75 * 3,
    }
    assert {name: pytest.approx(value) for name, value in expected.items()} == {
        method: value_of(found, method).value for method in ("ips", "clipped_ips", "snips", "direct")
    }
    assert (found.overlap.largest, found.overlap.clipped, found.overlap.mean) == (3.0, 0.5, 7 / 4)
    assert found.overlap.effective == pytest.approx(49 / (0.25 + 9 + 9 + 0.25))
    assert found.overlap.lost == pytest.approx(2 / 7)


def test_of_independent_rows_the_error_is_that_of_a_mean() -> None:
    """The error of IPS is s/sqrt(n) of w r, its interval Student's with n - 1 degrees of freedom."""
    found = value_of(estimate_value(SMALL, Always("control").probabilities(SMALL), clip=9.0), "ips")
    terms = np.array([2.0, 0.0, 0.0, 6.0])
    error = terms.std(ddof=1) / sqrt(4)
    assert found.standard_error == pytest.approx(error)
    assert found.interval.high == pytest.approx(terms.mean() + stats.t.ppf(0.975, 3) * error)


def test_rows_that_were_copied_within_their_cluster_add_no_certainty() -> None:
    """Each row ten times, in the cluster of the first, leaves every estimate, error and effective size as it was."""
    once = linear_log(200, 7)
    ten = np.repeat(np.arange(once.n), 10)
    copied = Log(
        arms=once.arms,
        arm=once.arm[ten],
        propensity=once.propensity[ten],
        reward=once.reward[ten],
        time=once.time[ten],
        known=once.known[ten],
        cluster=once.cluster[ten],
        context=once.context[ten],
    )
    policy = Always("treatment")
    single = estimate_value(once, policy.probabilities(once), clip=50.0)
    tenfold = estimate_value(copied, policy.probabilities(copied), clip=50.0)
    methods: tuple[Method, ...] = ("ips", "snips")
    for method in methods:
        assert value_of(tenfold, method).value == pytest.approx(value_of(single, method).value)
        assert value_of(tenfold, method).standard_error == pytest.approx(value_of(single, method).standard_error)
    assert tenfold.overlap.effective == pytest.approx(single.overlap.effective)


@pytest.mark.parametrize("method", ["ips", "direct", "doubly_robust"])
def test_enumerated_exactly_the_estimators_have_no_bias(method: Method) -> None:
    """Over all 256 logs of four rows, weighted by their probabilities, IPS and doubly robust give the truth exactly.

    The direct method is right where every arm was taken, so it is held to these logs alone. Each row has an arm by
    p = 0.5 and 0.5, rewards 0 or 1 with a mean of 0.25 (control) and 0.75 (treatment).
    """
    rows, truth = 4, 0.2 * 0.25 + 0.8 * 0.75
    total = chance_of_all = 0.0
    for arms in product((0, 1), repeat=rows):
        if method == "direct" and len(set(arms)) == 1:
            continue
        for rewards in product((0.0, 1.0), repeat=rows):
            chance = 0.5**rows
            for arm, reward in zip(arms, rewards, strict=True):
                mean = 0.75 if arm else 0.25
                chance *= mean if reward else 1 - mean
            log = log_of(list(arms), [0.5] * rows, list(rewards))
            found = _exact(log, method)
            total += chance * found
            chance_of_all += chance
    assert total / chance_of_all == pytest.approx(truth, abs=1e-12)


def _exact(log: Log, method: Method) -> float:
    """Return an estimate, also where it could not be said how sure it is."""
    found = estimate_value(log, Fixed({"control": 0.2, "treatment": 0.8}).probabilities(log), clip=9.0).values[method]
    if isinstance(found, Value):
        return found.value
    # Every reward is the same: what the formulas give is that reward, times the mean of the weights for IPS.
    weights = np.where(log.arm == 1, 1.6, 0.4)
    return float(log.reward[0] * (weights.mean() if method == "ips" else 1.0))


# Of 300 logs, intervals of 95 % may miss 15 on average; more than 32 is an accident of 5e-5.
LOGS, MISSES = 300, 32


def test_on_many_logs_estimates_are_unbiased_and_intervals_cover() -> None:
    """Always treatment earns 0.4: every estimator finds it where the model is right, within four of its own errors."""
    found: dict[str, list[Value]] = {}
    for seed in range(LOGS):
        log = linear_log(400, 1000 + seed)
        for method, value in estimate_value(log, Always("treatment").probabilities(log), clip=20.0).values.items():
            assert isinstance(value, Value)
            found.setdefault(method, []).append(value)
    for name, values in found.items():
        each = np.array([value.value for value in values])
        assert abs(each.mean() - 0.4) < 4 * each.std() / sqrt(LOGS), name
        assert sum(not value.interval.holds(0.4) for value in values) <= MISSES, name


def test_switch_without_any_correction_knows_the_error_of_its_model() -> None:
    """With every weight above the clip, switch is its model alone, and its interval covers all the same."""
    missed = 0
    for seed in range(LOGS):
        log = linear_log(300, 5000 + seed)
        found = value_of(estimate_value(log, Always("treatment").probabilities(log), clip=1.5), "switch")
        missed += not found.interval.holds(0.4)
    assert missed <= MISSES


def test_doubly_robust_is_right_where_the_model_is_wrong() -> None:
    """With a reward that is a square of what the model knows, doubly robust finds the truth, the direct method not."""
    rng = np.random.default_rng(3)
    n = 40_000
    x = rng.standard_normal(n)
    chance = np.where(np.abs(x) > 1, 0.9, 0.2)
    arm = (rng.random(n) < chance).astype(np.int64)
    reward = np.where(arm == 1, x * x, 0.0) + 0.1 * rng.standard_normal(n)
    log = Log(
        arms=("control", "treatment"),
        arm=arm,
        propensity=np.where(arm == 1, chance, 1 - chance),
        reward=reward,
        time=np.arange(n, dtype=np.float64),
        known=np.arange(n, dtype=np.float64),
        cluster=np.arange(n),
        context=np.column_stack([np.ones(n), x]),
    )
    found = estimate_value(log, Always("treatment").probabilities(log), clip=200.0)
    robust, direct = value_of(found, "doubly_robust"), value_of(found, "direct")
    assert abs(robust.value - 1) < 4 * robust.standard_error
    assert abs(direct.value - 1) > 8 * direct.standard_error


def test_what_cannot_be_said_is_said() -> None:
    """One unit, one reward, no rows, no row of the arm: each is not enough data, with its reason."""
    cases = {
        "there are no observations": log_of([], [], []),
        "there is one unit": log_of([0, 1], [0.5, 0.5], [1.0, 2.0], cluster=[4, 4]),
        "every reward is 1, so nothing tells policies apart": log_of([0, 1], [0.5, 0.5], [1.0, 1.0]),
    }
    for reason, log in cases.items():
        found = estimate_value(log, Always("treatment").probabilities(log), clip=2.0)
        assert {(reason, log.n)} == {
            (value.reason, value.n) for value in found.values.values() if isinstance(value, NotEnough)
        }
        assert len(found.values) == 6
    log = log_of([0, 0, 0], [0.5, 0.5, 0.5], [1.0, 2.0, 3.0])
    found = estimate_value(log, Always("treatment").probabilities(log), clip=2.0)
    assert all(isinstance(value, NotEnough) for value in found.values.values())


@pytest.mark.parametrize(
    ("weights", "cluster", "expected"),
    [
        ([1.0, 1.0, 1.0, 1.0], [0, 1, 2, 3], 4.0),
        ([4.0, 0.0, 0.0, 0.0], [0, 1, 2, 3], 1.0),
        ([1.0] * 4, [0, 0, 1, 1], 2.0),
    ],
)
def test_effective_sample_size_is_kishs_over_clusters(
    weights: list[float], cluster: list[int], expected: float
) -> None:
    """Equal weights count fully, a single one counts once, and rows of a cluster count as one."""
    log = log_of([0] * 4, [0.5] * 4, [0.0] * 4, cluster=cluster)
    assert overlap(log, np.array(weights), 2.0).effective == pytest.approx(expected)


@pytest.mark.parametrize("bad", [{"alpha": 0.0}, {"alpha": 1.0}, {"clip": 0.0}, {"clip": float("nan")}])
def test_a_callers_mistake_is_refused(bad: dict[str, float]) -> None:
    """A level or a clip outside of its range is a ValueError, and so are probabilities that are none."""
    given = {"clip": 2.0, **bad}
    with pytest.raises(ValueError, match=r"alpha|clipped"):
        estimate_value(SMALL, Always("control").probabilities(SMALL), **given)
    with pytest.raises(ValueError, match="sum to 1"):
        estimate_value(SMALL, np.full((4, 2), 0.4), clip=2.0)
    with pytest.raises(ValueError, match="each of 2 arms"):
        estimate_value(SMALL, np.ones((4, 1)), clip=2.0)


def test_rewards_that_count_and_are_all_the_same_tell_snips_nothing() -> None:
    """Where every reward of the arm is 2, its mean has no error that could be told."""
    log = log_of([0, 0, 1, 1], [0.5] * 4, [1.0, 3.0, 2.0, 2.0])
    found = estimate_value(log, Always("treatment").probabilities(log), clip=9.0).values["snips"]
    assert found == NotEnough("the 2 rewards that count are all 2", 2)


def test_rewards_beyond_what_can_be_squared_are_not_enough() -> None:
    """Nothing becomes infinite or no number: it is said that it cannot be computed."""
    log = log_of([0, 1, 0, 1], [0.5] * 4, [1e200, -1e200, 3e200, 2e200])
    found = estimate_value(log, Always("treatment").probabilities(log), clip=9.0).values
    for value in found.values():
        assert isinstance(value, NotEnough) or np.isfinite([value.value, value.standard_error]).all()
