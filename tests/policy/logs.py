"""Logs for tests, with a truth that is known."""

from collections.abc import Mapping

import numpy as np

from router.policy.log import Floats, Log, bare_context

ARMS = ("control", "treatment")


def log_of(
    arm: list[int],
    propensity: list[float],
    reward: list[float],
    *,
    cluster: list[int] | None = None,
    context: Floats | None = None,
    known: list[float] | None = None,
    attributes: tuple[Mapping[str, str], ...] = (),
) -> Log:
    """Return a log of a few rows, a second apart, whose rewards are known at once."""
    n = len(arm)
    time = np.arange(n, dtype=np.float64)
    return Log(
        arms=ARMS,
        arm=np.array(arm, dtype=np.int64),
        propensity=np.array(propensity, dtype=np.float64),
        reward=np.array(reward, dtype=np.float64),
        time=time,
        known=time if known is None else np.array(known, dtype=np.float64),
        cluster=np.arange(n, dtype=np.int64) if cluster is None else np.array(cluster, dtype=np.int64),
        context=bare_context(n) if context is None else context,
        attributes=attributes,
    )


def linear_log(n: int, seed: int, *, delay: float = 0.0) -> Log:
    """Return a log in which each arm is the best for half of the contexts.

    A context is (1, x), x standard normal; control earns 0.3 - 0.2 x, treatment 0.4 + 0.2 x, both with noise of
    standard deviation 0.5. Treatment is taken with a probability of 0.5 where x is above 0, of 0.2 elsewhere. So always
    treatment earns 0.4, control 0.3, and the better of both 0.35 + E|0.05 + 0.2 x|.
    """
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(n)
    chance = np.where(x > 0, 0.5, 0.2)
    arm = (rng.random(n) < chance).astype(np.int64)
    mean = np.where(arm == 1, 0.4 + 0.2 * x, 0.3 - 0.2 * x)
    time = np.arange(n, dtype=np.float64)
    return Log(
        arms=ARMS,
        arm=arm,
        propensity=np.where(arm == 1, chance, 1 - chance),
        reward=mean + 0.5 * rng.standard_normal(n),
        time=time,
        known=time + delay,
        cluster=np.arange(n, dtype=np.int64),
        context=np.column_stack([np.ones(n), x]),
    )
