"""What a linear policy learns from the log: from observations with their attributes to the model of workers.

Responsible for: reading each observation once, remembering sums, and what people are shown.
Does not know: which observation an outcome belongs to and when it is whole (``router.analysis.rows``), how workers
score, when a model comes into force (``router.control.tick``).

Rules: as of ``learn``: observations of the last ``SETTLE_S`` are read anew each time, older ones are kept as sums, and
both together are what reading everything gives. Weights stay those of the file, which hold until there is a model:
each arm needs its warm-up. Arms that a guardrail stopped are in no model; with one arm left there is none, and all
weight is that arm's. Imports numpy; only the ticker's thread imports this.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from msgspec import Struct, structs

from router.analysis.engine import Engine
from router.analysis.plan import plan
from router.analysis.rows import Span, matured
from router.bandit.linear import Learned, Seen, Terms, Wanted, learn, nothing_learned, publish
from router.config.schema import Experiment
from router.control.kill import control_arm
from router.control.learn import SETTLE_S
from router.control.produce import Produced, Task
from router.events.policy import LinearModel

_SEED: Final = 20_770
_LEAST: Final = -1e300


class Memory(Struct, frozen=True):
    """Observations that are settled, as sums.

    Attributes:
        run: Run of the experiment.
        definition: What the sums are of: the metric, and what the policy is to be.
        until: Observations that were whole by then are in the sums; unix seconds.
        learned: The sums.
        missing: Observations without a value.
    """

    run: int
    definition: tuple[Any, ...]
    until: float
    learned: Learned
    missing: int = 0


def produce(engine: Engine, task: Task, memory: Any | None) -> Produced:
    """Answer a task of the ticker (``router.control.produce.Producer``)."""
    terms = terms_of(task.experiment)
    definition = (task.metric, terms.wanted, terms.half_life, task.experiment.exclude)
    arms = tuple(arm.name for arm in task.experiment.arms)
    known = Memory(task.run.number, definition, _LEAST, nothing_learned(arms, terms.wanted))
    if isinstance(memory, Memory) and (memory.run, memory.definition, memory.learned.arms) == (
        task.run.number,
        definition,
        arms,
    ):
        known = memory
    settled = _read(engine, task, known, terms, max(task.now - SETTLE_S, known.until))
    recent = _read(engine, task, settled, terms, task.now)
    running = tuple(arm for arm in arms if arm not in task.stopped)
    seed = [_SEED, task.run.number, task.run.phase, sum(recent.learned.counts)]
    model = publish(recent.learned, running, terms, task.run.number, np.random.default_rng(seed))
    return Produced(_weights(task, running), settled, _standing(task, recent, model), model)


def terms_of(experiment: Experiment) -> Terms:
    """Return what an experiment's policy is to be."""
    allocate = experiment.allocate
    if allocate.use not in ("linear_thompson", "lin_ucb"):
        raise ValueError(f"{allocate.use} is no linear policy")
    return Terms(
        use=allocate.use,
        wanted=tuple(Wanted(each.name, each.number is not None, each.values) for each in allocate.features),
        floor=allocate.floor,
        draws=allocate.draws,
        ridge=allocate.ridge,
        alpha=allocate.alpha,
        half_life=allocate.half_life,
        warm_up=allocate.warm_up.units,
    )


def _weights(task: Task, running: tuple[str, ...]) -> dict[str, float] | None:
    """Return the weights without the arms that were stopped; None when those in force have none of them."""
    if not any(task.weights.get(arm) for arm in task.stopped):
        return None
    left = {arm: weight if arm in running else 0.0 for arm, weight in task.weights.items()}
    return left if any(left.values()) else {arm: float(arm == control_arm(task.experiment)) for arm in left}


def _read(engine: Engine, task: Task, known: Memory, terms: Terms, until: float) -> Memory:
    """Return what is known with the observations that became whole up to a moment."""
    made = plan(structs.replace(task.experiment, slices=(), strata=()), (task.metric,))
    # Of a request there is one exposure, so older events need not be read for later rows.
    period = 0.0 if task.experiment.unit == ("request",) else None
    sign = -1 if task.metric.goal == "down" else 1
    more = known.until < until
    while more:
        batch = matured(engine, made, task.history, task.metric.name, Span(known.until, until, period=period))
        engine.forget()
        rows, missing = _rows(batch.table, known.run, sign)
        learned = learn(known.learned, rows, terms, batch.until)
        known = structs.replace(known, until=batch.until, learned=learned, missing=known.missing + missing)
        more = batch.more
    return known


def _rows(table: Any, run: int, sign: int) -> tuple[list[Seen], int]:
    """Return the observations of a run, and how many of it have no value."""
    names = ("run", "arm", "y", "attributes", "matured")
    columns = [table.column(name).to_pylist() for name in names]
    rows: list[Seen] = []
    missing = 0
    for its_run, arm, y, attributes, at in zip(*columns, strict=True):
        if its_run != run:
            continue
        if y is None:
            missing += 1
            continue
        rows.append(Seen(arm, sign * y, json.loads(attributes) if attributes else {}, at))
    return rows, missing


def _standing(task: Task, read: Memory, model: LinearModel | None) -> Mapping[str, Any]:
    """Return what is known, as plain data."""
    learned = read.learned
    counts = dict(zip(learned.arms, learned.counts, strict=True))
    weights = dict(zip(learned.arms, learned.sums.counts.tolist(), strict=True))
    sign = -1 if task.metric.goal == "down" else 1
    means = {
        arm: float(learned.sums.moment[place, 0]) / weights[arm] * sign if weights[arm] > 0 else None
        for place, arm in enumerate(learned.arms)
    }
    return {
        "policy": task.experiment.allocate.use,
        "reward": task.metric.name,
        "goal": task.metric.goal,
        "time": task.now,
        "warm": model is not None,
        "observations": sum(counts.values()),
        "missing": read.missing,
        "stopped": sorted(task.stopped),
        "features": [{"name": each.name, "number": each.number, "values": each.values} for each in learned.features],
        "beyond_range": 0,
        "arms": {
            arm: {
                "observations": counts[arm],
                "effective": weights[arm],
                "reward": means[arm],
                # What an arm is worth, and its chance to be the best, depend on the request.
                "posterior": None,
                "best": None,
                "next": None,
            }
            for arm in learned.arms
        },
    }
