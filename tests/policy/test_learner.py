"""Running policies that learn over a log."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from router.analysis.estimate import NotEnough
from router.bandit.ridge import Ridge
from router.policy.learner import Rows, progressive, rejection, schedule
from router.policy.linear import LinearThompson, LinUcb
from router.policy.log import Floats, Log
from router.policy.value import Value
from tests.policy.logs import linear_log, log_of


class Counting:
    """Learns how many rows it has seen, and takes treatment with that many hundredths."""

    def fresh(self, log: Log) -> int:  # noqa: ARG002 - the seam's
        """Return none."""
        return 0

    def learn(self, knows: int, rows: Rows) -> int:
        """Count rows."""
        return knows + len(rows.arm)

    def choose(self, knows: int, context: Floats, rng: np.random.Generator) -> Floats:  # noqa: ARG002 - the seam's
        """Return the share."""
        return np.tile([1 - knows / 100, knows / 100], (len(context), 1))


class Stubborn:
    """Always treatment."""

    def fresh(self, log: Log) -> None:
        """Return nothing."""

    def learn(self, knows: Any, rows: Rows) -> None:
        """Learn nothing."""

    def choose(self, knows: Any, context: Floats, rng: np.random.Generator) -> Floats:  # noqa: ARG002 - the seam's
        """Return 1 for treatment."""
        return np.tile([0.0, 1.0], (len(context), 1))


def test_nobody_learns_from_a_reward_before_it_is_known() -> None:
    """With rewards that take 2.5 s and a row a second, the policy has seen all rows but the last three."""
    log = log_of([0, 1, 0, 1, 0, 1], [0.5] * 6, [0.0, 1.0] * 3, known=[i + 2.5 for i in range(6)])
    assert progressive(log, Counting(), seed=1)[:, 1].tolist() == [0.0, 0.0, 0.0, 0.01, 0.02, 0.03]


@pytest.mark.parametrize("ticks", [1, 3, 200])
def test_each_row_is_decided_once_and_learned_at_most_once(ticks: int) -> None:
    """Ticks part the rows of a log, whatever their number."""
    log = linear_log(50, 1, delay=7.0)
    parts = list(schedule(log, ticks))
    decided = np.concatenate([tick.decided for tick in parts])
    learned = np.concatenate([tick.learned for tick in parts])
    assert list(range(50)) == decided.tolist()
    assert len(learned) == len(set(learned.tolist()))


def test_a_replay_of_a_fixed_policy_is_its_own_history() -> None:
    """Always treatment lives through rows of treatment alone, and earns what treatment does: 0.4.

    Rows are kept by the smallest propensity, so that contexts in which treatment was rare are not rare.
    """
    found = rejection(linear_log(20_000, 2), Stubborn(), seed=3)
    assert isinstance(found.value, Value)
    assert found.value.interval.holds(0.4)
    assert abs(found.accepted - 0.2 * 20_000) < 300


@pytest.mark.parametrize("learner", [LinearThompson(floor=0.0), LinUcb(alpha=0.5, floor=0.0)])
def test_linear_policies_beat_the_best_arm_on_a_linear_problem(learner: LinearThompson | LinUcb) -> None:
    """Where each arm is best for half of the contexts, they earn more than 0.4 by ten standard errors.

    The better of both arms would earn 0.35 + E|0.05 + 0.2 x|, 0.5145.
    """
    found = rejection(linear_log(20_000, 4), learner, seed=5)
    assert isinstance(found.value, Value)
    assert 0.4 + 10 * found.value.standard_error < found.value.value < 0.53


def test_the_same_seed_gives_the_same_replay() -> None:
    """What is drawn comes from the seed alone."""
    log = linear_log(2000, 6)
    first, second, other = (rejection(log, LinearThompson(), seed=seed) for seed in (1, 1, 2))
    assert first == second
    assert first != other


def test_less_is_better_where_the_log_says_so() -> None:
    """With rewards that are costs, linear Thompson earns less of them than the cheapest arm does."""
    log = linear_log(20_000, 8)
    found = rejection(replace(log, sign=-1), LinearThompson(), seed=5)
    assert isinstance(found.value, Value)
    assert found.value.value < 0.25


def test_a_policy_that_never_agrees_with_the_log_has_no_replay() -> None:
    """Nothing kept, and nothing at all: both are not enough data."""
    log = log_of([0] * 20, [0.5] * 20, list(range(20)))
    assert isinstance(rejection(log, Stubborn(), seed=1).value, NotEnough)
    assert isinstance(rejection(log_of([], [], []), Stubborn(), seed=1).value, NotEnough)


def test_nothing_is_preferred_before_every_arm_was_seen() -> None:
    """Until each arm has a reward, all have the same share."""
    log = linear_log(10, 1)
    shares = LinearThompson().choose(Ridge.empty(2, 2), log.context, np.random.default_rng(1))
    assert (shares == 0.5).all()
