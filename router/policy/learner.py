"""Policies that learn: what they would do next, from what they have seen.

Responsible for: ``Learner``, the seam between a policy's own mathematics and the ways of running it over a log, and the
two ways: ``progressive`` (it learns from all that was logged) and ``rejection`` (from what it would have chosen).
Does not know: what a policy computes from what it has seen.

Rules: pure, seeded. A reward is seen from when it was known, never earlier: a click that came a day later taught nobody
for a day. Policies are updated at ``ticks``, as in the router, not after each row.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from typing import Any, Final, Protocol

import numpy as np

from router.analysis.estimate import NotEnough
from router.policy.log import Floats, Ints, Log
from router.policy.overlap import cluster_error
from router.policy.value import Value, valued

TICKS: Final = 200
RUNS: Final = 5


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Observations that a policy learns from.

    Attributes:
        arm: Shape (m,).
        reward: More is better; shape (m,).
        context: Shape (m, d).
    """

    arm: Ints
    reward: Floats
    context: Floats


class Learner(Protocol):
    """A policy that learns; what it has learned is a value that it makes and alone understands."""

    def fresh(self, log: Log) -> Any:
        """Return what it knows before it has seen anything; of the log only arms and width are looked at."""
        ...

    def learn(self, knows: Any, rows: Rows) -> Any:
        """Return what it knows after it has seen further rows."""
        ...

    def choose(self, knows: Any, context: Floats, rng: np.random.Generator) -> Floats:
        """Return the probability of each arm in each context, rows of which are (m, d); shape (m, arms)."""
        ...


@dataclass(frozen=True, slots=True)
class Tick:
    """Rows that one state of a policy decides about, and those whose rewards it got to know before."""

    decided: Ints
    learned: Ints


def schedule(log: Log, ticks: int = TICKS) -> Iterator[Tick]:
    """Yield the ticks of a log in order of time, with about as many rows each.

    Args:
        log: The log.
        ticks: At most how many; 1 or more.
    """
    if ticks < 1:
        raise ValueError(f"a policy is updated at least once, not {ticks} times")
    by_known = np.argsort(log.known, kind="stable")
    known = log.known[by_known]
    bounds = np.unique(np.linspace(0, log.n, min(ticks, max(log.n, 1)) + 1).astype(np.int64))
    done = 0
    for begin, end in pairwise(bounds.tolist()):
        until = int(np.searchsorted(known, log.time[begin], side="right"))
        yield Tick(np.arange(begin, end), by_known[done:until])
        done = until


def progressive(log: Log, learner: Learner, seed: int, ticks: int = TICKS) -> Floats:
    """Return what a policy that learns from the log as it came would have done; shape (n, arms).

    What it does depends on earlier rows alone, so importance weights of it are as unbiased as those of a fixed policy.

    Args:
        log: The log.
        learner: The policy.
        seed: Of its draws.
        ticks: How often it is updated, at most.
    """
    rng = np.random.default_rng(seed)
    knows = learner.fresh(log)
    out = np.empty((log.n, len(log.arms)))
    for tick in schedule(log, ticks):
        knows = learner.learn(knows, _rows(log, tick.learned))
        out[tick.decided] = learner.choose(knows, log.context[tick.decided], rng)
    return out


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of a replay.

    Attributes:
        value: What the policy earned, or why that cannot be said.
        accepted: Observations that it had, on average over the runs.
    """

    value: Value | NotEnough
    accepted: float


def rejection(log: Log, learner: Learner, seed: int, alpha: float = 0.05, ticks: int = TICKS) -> Replayed:
    """Let a policy live through a log: it chooses, and lives through what was logged where both chose the same.

    A row is kept with probability c/p where the policy's draw is the arm that was taken, c being the smallest p, so
    that kept rows are those of a uniform log (Li, Chu, Langford and Wang, WSDM 2011, for logs that are not uniform).
    What is kept is an unbiased history of the policy, of fewer rows than were logged.

    Args:
        log: The log, with true propensities.
        learner: The policy.
        seed: Of its draws, and of what is kept.
        alpha: Share of intervals that may miss.
        ticks: How often it is updated, at most.
    """
    if log.n == 0:
        return Replayed(NotEnough("there are no observations", 0), 0.0)
    runs = [_live(log, learner, np.random.default_rng([seed, run]), ticks) for run in range(RUNS)]
    accepted = float(np.mean([len(kept) for kept in runs]))
    value = _lived(log, runs, alpha)
    return Replayed(value, accepted)


def _live(log: Log, learner: Learner, rng: np.random.Generator, ticks: int) -> Ints:
    """Return the rows that one life of the policy had."""
    knows = learner.fresh(log)
    lived = np.zeros(log.n, dtype=np.bool_)
    lowest = float(log.propensity.min())
    for tick in schedule(log, ticks):
        knows = learner.learn(knows, _rows(log, tick.learned[lived[tick.learned]]))
        chances = learner.choose(knows, log.context[tick.decided], rng)
        drawn = (chances.cumsum(axis=1) < rng.random((len(tick.decided), 1))).sum(axis=1)
        same = np.minimum(drawn, len(log.arms) - 1) == log.arm[tick.decided]
        lived[tick.decided] = same & (rng.random(len(tick.decided)) * log.propensity[tick.decided] < lowest)
    return np.flatnonzero(lived)


def _lived(log: Log, runs: list[Ints], alpha: float) -> Value | NotEnough:
    fewest = min(len(kept) for kept in runs)
    groups = min(len(np.unique(log.cluster[kept])) for kept in runs)
    if groups < 2:
        return NotEnough("the policy and the log chose the same arm for fewer than two units", fewest)
    rewards = np.concatenate([log.reward[kept] for kept in runs])
    if rewards.min() == rewards.max():
        return NotEnough(f"every reward that the policy had is {rewards[0]:g}", fewest)
    means = [float(log.reward[kept].mean()) for kept in runs]
    # One life's error: runs share the log, so that their mean is not known any better than that of one.
    errors = []
    for kept, mean in zip(runs, means, strict=True):
        influence = np.zeros(log.n)
        influence[kept] = (log.reward[kept] - mean) * log.n / len(kept)
        errors.append(cluster_error(influence, log))
    return valued("replay", float(np.mean(means)), sqrt(float(np.mean(np.square(errors)))), groups, alpha)


def _rows(log: Log, chosen: Ints) -> Rows:
    return Rows(log.arm[chosen], log.sign * log.reward[chosen], log.context[chosen])
