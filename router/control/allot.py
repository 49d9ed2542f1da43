"""One tick of the bandits that are due: from the event log to what allocators say.

Responsible for: opening the log, asking the producer of each bandit, and since when its answer is to hold.
Does not know: when to tick (``router.control.ticker``), how a producer learns, how weights come into force.

Rules: runs in a thread of its own. Nothing of the analysis is imported before it is called, as in
``router.control.measure``. What goes wrong with one bandit is said of that one.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import floor
from pathlib import Path
from typing import Any

from router.config.schema import Config, Experiment, Metric
from router.control.measure import EXTRA, MEMORY_BYTES, NotInstalledError, Snapshot, Stop
from router.control.produce import Produced, Task, producer
from router.control.tick import Allotment
from router.events.model import Revised, Revision, Run
from router.events.policy import LinearModel
from router.events.recorded import before


@dataclass(frozen=True, slots=True)
class Asked:
    """What a tick is about.

    Attributes:
        revision: The present one.
        history: Those that are remembered, oldest first.
        names: The bandits that are due.
        snapshot: What the log said last, for guardrails; None before the first look.
    """

    revision: Revision
    history: tuple[Revised, ...]
    names: tuple[str, ...]
    snapshot: Snapshot | None


@dataclass(slots=True)
class Answer:
    """What became of a tick.

    Attributes:
        allotments: Experiment to what its allocator says.
        produced: Experiment to what its producer answered.
        problems: Experiment to why there is no answer.
        spent_s: Time of a core that it took, in seconds, without the loading of libraries, which happens once.
    """

    allotments: dict[str, Allotment] = field(default_factory=dict)
    produced: dict[str, Produced] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    spent_s: float = 0.0


def broken(experiment: Experiment, run: Run, snapshot: Snapshot | None) -> frozenset[str]:
    """Return the arms that break a hard guardrail in the present phase: they get nobody, whatever they earn.

    Args:
        experiment: The experiment.
        run: Where it is.
        snapshot: What the log said last; None before the first look.
    """
    from router.report.guardrail import broken_arms  # noqa: PLC0415 - it brings libraries of an extra

    result = snapshot.folded.experiments.get(experiment.name) if snapshot is not None and snapshot.folded else None
    if result is None or not result.stages or result.stages[-1].phase.place != (run.number, run.phase):
        return frozenset()
    return frozenset(broken_arms(experiment, result))


def allot(asked: Asked, memory: Mapping[str, Any], now: float, stop: Stop) -> Answer:
    """Read the log, and ask the producer of each bandit that is due.

    Args:
        asked: What the tick is about.
        memory: Experiment to what its producer remembers.
        now: Unix seconds.
        stop: Ends it.

    Raises:
        NotInstalledError: If the libraries of the analysis are not installed.
        OSError: If files cannot be opened; the database raises its own errors for what is in them.
    """
    try:
        import duckdb  # noqa: F401, PLC0415 - in an extra, and large
        import ibis  # noqa: F401, PLC0415 - the same
        from scipy import special  # noqa: F401, PLC0415 - the same
    except ImportError as error:
        raise NotInstalledError(f"{EXTRA} ({error})") from error
    from router.analysis.engine import duckdb_engine  # noqa: PLC0415 - the same
    from router.analysis.history import history  # noqa: PLC0415 - the same
    from router.archive.engine import Limits  # noqa: PLC0415 - the same
    from router.archive.reading import open_archive  # noqa: PLC0415 - the same

    found, begun = Answer(), time.thread_time()
    config = asked.revision.config
    folder = Path(config.events.dir)
    older = before(folder, asked.history[0].number) if asked.history else ()
    known = history((*older, *asked.history))
    with (
        open_archive(folder, Limits(threads=1, memory_bytes=MEMORY_BYTES)) as archive,
        stop.using(archive.connection.interrupt),
    ):
        engine = duckdb_engine(archive.connection)
        for experiment in _chosen(config, asked.names):
            stop.check()
            name, run = experiment.name, asked.revision.runs[experiment.name]
            weights = asked.revision.weights[name]
            stopped = broken(experiment, run, asked.snapshot)
            task = Task(experiment, _reward(config, experiment), run, weights, known, now, stopped)
            try:
                produced = producer(experiment.allocate.use)(engine, task, memory.get(name))
            except Exception as error:  # noqa: BLE001 - one bandit must not keep the others from learning
                stop.check()
                found.problems[name] = f"nothing can be learned: {error!r}"
                continue
            finally:
                engine.forget()
            found.produced[name] = produced
            if produced.weights is not None or produced.policy is not None:
                found.allotments[name] = allotment(task, produced.weights, produced.policy)
    found.spent_s = time.thread_time() - begun
    return found


def allotment(task: Task, weights: Mapping[str, float] | None, policy: LinearModel | None = None) -> Allotment:
    """Return what an allocator says, and since when it is to hold.

    Where a unit keeps its arm for a period, that is when the next one begins; but units leave an arm that was stopped
    at once, and nobody else moves then.
    """
    allocate = task.experiment.allocate
    place = allocate.use, task.run.number, task.run.phase
    if weights is None or policy is not None:
        return Allotment(*place, None if weights is None else dict(weights), policy=policy)
    if allocate.period is None:
        return Allotment(*place, dict(weights))
    if any(task.weights.get(arm) for arm in task.stopped):
        left = {arm: 0.0 if arm in task.stopped else weight for arm, weight in task.weights.items()}
        return Allotment(*place, left if any(left.values()) else dict(weights))
    return Allotment(*place, dict(weights), boundary(allocate.period, task.now))


def boundary(period: float, now: float) -> float:
    """Return when the next period begins, as workers see it."""
    return (floor(now / period) + 1) * period


def _chosen(config: Config, names: tuple[str, ...]) -> list[Experiment]:
    return [experiment for experiment in config.experiments if experiment.name in names]


def _reward(config: Config, experiment: Experiment) -> Metric:
    return next(metric for metric in config.metrics if metric.name == experiment.allocate.reward)
