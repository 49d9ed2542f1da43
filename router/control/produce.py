"""The seam between a tick and what learns: what a producer is asked, what it answers, and which one is whose.

Responsible for: a task, an answer, and finding the producer of a policy.
Does not know: how anything is learned; when it is asked (``router.control.ticker``).

Rules: a producer runs in the ticker's thread, reads the event log through an engine, and returns weights, or a policy,
or both. What it remembers is its own, frozen, and only a shortcut: without it, as after a restart, it reads everything
and answers the same. Nothing heavy is imported before a producer is asked for.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from router.config.allocate import CONTEXTUAL
from router.config.schema import Experiment, Metric
from router.events.model import Run
from router.events.policy import LinearModel

if TYPE_CHECKING:
    from router.analysis.engine import Engine
    from router.analysis.history import History


class Task(Struct, frozen=True):
    """What a producer is asked about.

    Attributes:
        experiment: The experiment.
        metric: Its reward.
        run: Where it is.
        weights: The weights in force.
        history: What was in force when.
        now: Unix seconds.
        stopped: Arms that broke a guardrail.
    """

    experiment: Experiment
    metric: Metric
    run: Run
    weights: Mapping[str, float]
    history: "History"
    now: float
    stopped: frozenset[str] = frozenset()


class Produced(Struct, frozen=True):
    """What a producer answers.

    Attributes:
        weights: Arm to weight; None leaves those in force.
        memory: What it wants to be given next time.
        standing: What people are shown: plain data without nan or infinity.
        policy: What workers score requests by; None when they need none.
    """

    weights: Mapping[str, float] | None
    memory: Any
    standing: Mapping[str, Any]
    policy: LinearModel | None = None


class Producer(Protocol):
    """Learns from the log."""

    def __call__(self, engine: "Engine", task: Task, memory: Any | None) -> Produced:
        """Answer a task.

        Args:
            engine: Has the relations of the data contract.
            task: What is asked.
            memory: What this producer returned last time for the same run of the same experiment; None after a
                restart, or when that has changed.

        Raises:
            ValueError: If what is learned cannot be used; the weights in force stay, and the reason is shown.
        """
        ...


def producer(use: str) -> Producer:
    """Return the producer of a policy."""
    if use in CONTEXTUAL:
        from router.control.learn_linear import produce  # noqa: PLC0415 - see the module's rules

        return produce
    from router.control.learn import learn  # noqa: PLC0415 - see the module's rules

    return learn
