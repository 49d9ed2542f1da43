"""A folder of events to what a fold needs of it, and the fold with its progress shown.

Responsible for: the experiments and definitions that the journal tells, an archive opened, and a line that says how far
it is.
Does not know: what is computed (``router.analysis``), how it is shown.

Rules: read only; a router may be running on the folder. Progress goes to standard error, and only to a terminal.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from ibis.expr import types as ir
from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from router.analysis.engine import Engine
from router.analysis.fold import fold_plans
from router.analysis.history import History, history
from router.analysis.plan import Plan, plan
from router.analysis.result import Folded
from router.analysis.weights import Weights, in_force
from router.config.schema import Experiment, Metric
from router.events.model import Invalid
from router.events.recorded import recorded
from router.events.ticks import ticked

_STEPS: Final = {
    "observed": "first exposures of units",
    "matched": "outcomes to units",
    "completed": "values of metrics",
}


class EvidenceError(Exception):
    """There is nothing to analyse; the message is one sentence for the user."""


class Known(Struct, frozen=True):
    """What the journal of a folder tells.

    Attributes:
        experiments: Experiment to its last definition.
        metrics: Experiment to the metrics of that time.
        history: What was in force when.
        weights: Experiment to the weights that were in force.
        invalid: Experiment to the mark that its data are invalid, of the last revision.
    """

    experiments: Mapping[str, Experiment]
    metrics: Mapping[str, tuple[Metric, ...]]
    history: History
    weights: Mapping[str, Weights] = {}
    invalid: Mapping[str, Invalid] = {}


def read_known(folder: Path) -> Known:
    """Read the journal of a folder of events.

    Raises:
        EvidenceError: If there is no journal, or nothing in it.
    """
    path = folder / "journal" / "journal.ndjson"
    try:
        entries = recorded(folder)
        ticks, _ = ticked(folder / "journal")
    except OSError as error:
        raise EvidenceError(f"{path} cannot be read: {error.strerror}; --events is the router's events.dir") from error
    if not entries:
        raise EvidenceError(f"{path} holds no revision that this version can read")
    experiments: dict[str, Experiment] = {}
    metrics: dict[str, tuple[Metric, ...]] = {}
    for entry in entries:
        for experiment in entry.config.experiments:
            experiments[experiment.name] = experiment
            metrics[experiment.name] = entry.config.metrics
    return Known(experiments, metrics, history(entries), in_force(entries, ticks), entries[-1].invalid)


class Watched:
    """An engine that says how far a fold is."""

    def __init__(self, engine: Engine, progress: Progress, experiments: int) -> None:
        self._engine = engine
        self._progress = progress
        self._task = progress.add_task("exposures and outcomes", total=experiments * (len(_STEPS) + 1))

    def table(self, name: Literal["exposures", "outcomes"]) -> ir.Table:
        """Return a relation of the data contract."""
        return self._engine.table(name)

    def keep(self, name: str, expression: ir.Table) -> ir.Table:
        """Compute a relation now."""
        if name in _STEPS:
            self._progress.update(self._task, advance=1, description=_STEPS[name])
        return self._engine.keep(name, expression)

    def forget(self) -> None:
        """Drop everything that was kept."""
        self._progress.update(self._task, advance=1)
        self._engine.forget()

    def rows(self, expression: ir.Table) -> list[dict[str, Any]]:
        """Compute a relation and return its rows."""
        return self._engine.rows(expression)

    def text(self, document: ir.StringValue, key: str) -> ir.StringValue:
        """Return a member of a JSON object as text."""
        return self._engine.text(document, key)

    def number(self, document: ir.StringValue, key: str) -> ir.FloatingValue:
        """Return a member of a JSON object as a number."""
        return self._engine.number(document, key)


def fold_watched(
    engine: Engine,
    experiments: Iterable[Experiment],
    metrics: Mapping[str, tuple[Metric, ...]],
    past: History,
    now: float,
) -> Folded:
    """Fold experiments, each with the metrics of its own time, and show how far it is.

    Args:
        engine: Has the relations.
        experiments: What to fold.
        metrics: Experiment to definitions.
        past: What was in force when.
        now: The moment that it is about, in unix seconds.
    """
    plans = [plan(experiment, metrics[experiment.name]) for experiment in experiments]
    return fold_plans_watched(engine, plans, past, now)


def fold_plans_watched(engine: Engine, plans: Sequence[Plan], past: History, now: float) -> Folded:
    """Fold plans, and show how far it is."""
    columns = (TextColumn("{task.description:26}"), BarColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        return fold_plans(Watched(engine, progress, len(plans)), plans, past, now)
