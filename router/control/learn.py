"""What a non-contextual bandit learns from the log: from observations to sums to weights.

Responsible for: reading each observation once, turning values into rewards, posteriors for people to see, and asking
the allocator.
Does not know: which observation an outcome belongs to and when it is whole (``router.analysis.rows``), when weights
come into force (``router.control.tick``).

Rules: an observation enters when the window of its metric closes, with what was received by then, and does not change
after that. Lines of the log come a moment late, so observations of the last ``SETTLE_S`` are read anew each time; those
before are kept as sums. What is kept and what is read anew add up to what reading everything gives, up to rounding.
Imports numpy and scipy; only the ticker's thread imports this.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from msgspec import Struct, structs

from router.analysis.engine import Engine
from router.analysis.plan import plan
from router.analysis.rows import Span, matured
from router.bandit.allocator import BUILT_IN, Allocator
from router.bandit.best import best
from router.bandit.earned import Earned, Sums
from router.bandit.mix import Terms, warm, weigh
from router.bandit.posterior import Beta, Posterior, StudentT, posteriors
from router.config.schema import Experiment, Metric
from router.control.kill import control_arm
from router.control.produce import Produced, Task

SETTLE_S: Final = 120.0
_SHARES: Final = frozenset({"proportion", "retention", "funnel"})
_SEED: Final = 20_740


class Memory(Struct, frozen=True):
    """Observations that are settled, as sums.

    Attributes:
        run: Run of the experiment.
        definition: What the sums are of: the metric and the options that make rewards of its values.
        until: Observations that were whole by then are in the sums, as old as they were then; unix seconds.
        sums: Arm to rewards.
        missing: Observations without a value.
        beyond: Values that were outside of the range, and were taken for the nearest end.
    """

    run: int
    definition: tuple[Any, ...]
    until: float
    sums: Mapping[str, Sums]
    missing: int = 0
    beyond: int = 0


@dataclass(frozen=True, slots=True)
class Rewards:
    """How values of a metric become rewards, of which more is better.

    Attributes:
        low: Value of reward 0; None where rewards have no bounds.
        high: Value of reward 1; below ``low`` where less is better.
        sign: -1 where rewards have no bounds and less is better.
    """

    low: float | None
    high: float
    sign: float

    @property
    def bounded(self) -> bool:
        """Whether rewards lie between 0 and 1."""
        return self.low is not None

    @classmethod
    def of(cls, metric: Metric, bounds: tuple[float, ...]) -> "Rewards":
        """Return how a metric's values become rewards."""
        down = metric.goal == "down"
        if metric.kind in _SHARES:
            bounds = (0.0, 1.0)
        if bounds:
            low, high = bounds
            return cls(high, low, 1.0) if down else cls(low, high, 1.0)
        return cls(None, 0.0, -1.0 if down else 1.0)

    def turn(self, values: Any) -> tuple[Any, int]:
        """Return rewards, and how many of the values were outside of the range."""
        if self.low is None:
            return values * self.sign, 0
        raw = (values - self.low) / (self.high - self.low)
        rewards = np.clip(raw, 0.0, 1.0)
        return rewards, int(np.count_nonzero(rewards != raw))


def learn(engine: Engine, task: Task, memory: Any | None) -> Produced:
    """Answer a task of the ticker (``router.control.produce.Producer``).

    Raises:
        ValueError: If an allocator gives no shares.
    """
    experiment, metric = task.experiment, task.metric
    allocate = experiment.allocate
    rewards = Rewards.of(metric, allocate.range)
    definition = (metric, allocate.range, allocate.half_life, experiment.exclude)
    nothing = Memory(task.run.number, definition, 0.0, {arm.name: Sums() for arm in experiment.arms})
    known = memory if isinstance(memory, Memory) and _same(memory, nothing) else nothing
    settled, recent = _read(engine, task, known, rewards)
    sums = recent.sums
    earned = Earned(sums, rewards.bounded)
    terms = Terms(control_arm(experiment), allocate.floor, allocate.control_share, allocate.warm_up.units)
    allocator = _allocator(experiment)
    rng = np.random.default_rng([_SEED, task.run.number, task.run.phase, task.run.epoch])
    ready = warm(sums, terms, task.stopped) and _long_enough(task)
    weights = _weights(task, earned, terms, (allocator, rng), ready=ready)
    standing = _standing(task, earned, recent, weights if ready else None)
    return Produced(weights, settled, standing)


def _same(memory: Memory, nothing: Memory) -> bool:
    return (memory.run, memory.definition, memory.sums.keys()) == (nothing.run, nothing.definition, nothing.sums.keys())


def _long_enough(task: Task) -> bool:
    """Say whether the run has lasted as long as warm-up asks for; one that began nobody knows when has."""
    wait = task.experiment.allocate.warm_up.time
    phases = task.history.phases.get(task.experiment.name, ())
    began = next((phase.start for phase in phases if phase.run == task.run.number), None)
    return wait is None or began is None or task.now >= began + wait


def _weights(
    task: Task, earned: Earned, terms: Terms, asked: tuple[Allocator, np.random.Generator], *, ready: bool
) -> dict[str, float] | None:
    """Return the weights; in warm-up None, or those in force without the arms that were stopped."""
    if ready:
        allocator, rng = asked
        return weigh(lambda some: allocator.shares(some, rng), earned, terms, task.stopped)
    if not any(task.weights.get(arm) for arm in task.stopped):
        return None
    left = {arm: 0.0 if arm in task.stopped else weight for arm, weight in task.weights.items()}
    return left if any(left.values()) else {arm: float(arm == terms.control) for arm in left}


def _allocator(experiment: Experiment) -> Allocator:
    """Return the allocator with its options, which have the names of the keys."""
    kind = BUILT_IN[experiment.allocate.use]
    options = {name: getattr(experiment.allocate, name) for name in getattr(kind, "__struct_fields__", ())}
    return kind(**options)


# --- Reading --------------------------------------------------------------------------------------------------------


def _read(engine: Engine, task: Task, known: Memory, rewards: Rewards) -> tuple[Memory, Memory]:
    """Return what is known with the observations that have settled since, and with all of them up to now."""
    until = max(task.now - SETTLE_S, known.until)
    settled, recent = _moved(known, until, task), _moved(known, task.now, task)
    for batch in _batches(engine, task, known.until):
        settled = _added(settled, batch, task, rewards)
        recent = _added(recent, batch, task, rewards)
    return settled, recent


def _batches(engine: Engine, task: Task, after: float) -> Iterator[Mapping[str, Any]]:
    """Yield the observations that have become whole between a moment and now, as columns."""
    made = plan(structs.replace(task.experiment, slices=(), strata=()), (task.metric,))
    more = after < task.now
    while more:
        span = Span(after, task.now, period=task.experiment.allocate.period or 0.0)
        try:
            batch = matured(engine, made, task.history, task.metric.name, span)
        finally:
            engine.forget()
        yield {name: batch.table.column(name).to_numpy(zero_copy_only=False) for name in ("run", "arm", "matured", "y")}
        after, more = batch.until, batch.more


def _added(known: Memory, batch: Mapping[str, Any], task: Task, rewards: Rewards) -> Memory:
    """Add the observations of a batch that were whole by the time that what is known is of."""
    ours = (batch["run"] == known.run) & (batch["matured"] <= known.until)
    values = batch["y"].astype(float)
    valued = ours & np.isfinite(values)
    turned, beyond = rewards.turn(values[valued])
    at, arms = batch["matured"][valued].astype(float), batch["arm"][valued]
    half_life = task.experiment.allocate.half_life
    left = np.ones_like(at) if half_life is None else np.exp2((at - known.until) / half_life)
    sums = {arm: each.merge(_sums(turned[arms == arm], left[arms == arm])) for arm, each in known.sums.items()}
    missing = known.missing + int(np.count_nonzero(ours & ~np.isfinite(values)))
    return structs.replace(known, sums=sums, missing=missing, beyond=known.beyond + beyond)


def _sums(rewards: Any, left: Any) -> Sums:
    """Add rewards up, each with what age has left of it."""
    return Sums(rewards.size, float(left.sum()), float(left @ rewards), float(left @ (rewards * rewards)))


def _moved(known: Memory, until: float, task: Task) -> Memory:
    """Let sums be as of a later moment."""
    half_life = task.experiment.allocate.half_life
    sums = {arm: each.aged(until - known.until, half_life) for arm, each in known.sums.items()}
    return structs.replace(known, until=until, sums=sums)


# --- For people -----------------------------------------------------------------------------------------------------


def _standing(task: Task, earned: Earned, read: Memory, weights: Mapping[str, float] | None) -> dict[str, Any]:
    """Return what is known of each arm, as plain data."""
    found = posteriors(earned)
    chances = best(found) if found is not None else {}
    return {
        "policy": task.experiment.allocate.use,
        "reward": task.metric.name,
        "goal": task.metric.goal,
        "time": task.now,
        "warm": weights is not None,
        "observations": sum(each.count for each in earned.arms.values()),
        "missing": read.missing,
        "beyond_range": read.beyond,
        "stopped": sorted(task.stopped),
        "arms": {
            arm: {
                "observations": each.count,
                "effective": each.weight,
                "reward": each.mean,
                "posterior": None if found is None else _shown(found[arm]),
                "best": chances.get(arm),
                "next": None if weights is None else weights[arm],
            }
            for arm, each in earned.arms.items()
        },
    }


def _shown(posterior: Posterior) -> dict[str, Any]:
    """Return a posterior with the interval that holds 95 % of it."""
    low, high = posterior.quantiles(np.array([0.025]))
    shown: dict[str, Any] = {"mean": posterior.mean, "low": float(low), "high": float(high)}
    if isinstance(posterior, Beta):
        return {"kind": "beta", "alpha": posterior.alpha, "beta": posterior.beta, **shown}
    if isinstance(posterior, StudentT):
        return {"kind": "student_t", "degrees": posterior.degrees, "scale": posterior.scale, **shown}
    return shown
