"""What ``router replay`` does.

Responsible for: computing everything again from a folder of events, with other definitions of metrics or late outcomes,
and saying what that changes.
Does not know: what is computed (``router.analysis``), where events come from (``router.archive``).

Rules: the same fold as the live one, over the same events: with nothing changed it gives the same numbers. With late
outcomes values are not final when windows close: that is a look at all that is known, and says so. The log is never
written to.
"""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, structs
from rich.table import Table as Grid

from router.analysis.document import UNFROZEN, document
from router.analysis.engine import duckdb_engine
from router.analysis.estimate import estimate
from router.analysis.plan import plan
from router.analysis.result import Folded
from router.archive.late import RELATION, Late, add_late
from router.archive.reading import open_archive
from router.command.analyze import show, warn
from router.command.evidence import EvidenceError, Known, fold_plans_watched, read_known
from router.command.policy import Inquiry, inquire
from router.command.terminal import console
from router.config.load import load
from router.config.mistake import ConfigError
from router.report.wording import grouped, spoken


class Request(Struct, frozen=True):
    """What is to be computed again.

    Attributes:
        events: The router's ``events.dir``.
        config: File with other definitions; None takes those of the log.
        outcomes: File with late outcomes.
        names: Experiments; empty is all that the log has.
        now: The moment that it is about, in unix seconds; None is now.
        policies: Policies whose earnings are asked for, instead of the experiments' results.
        reward: Metric that these earn; None is the experiment's own.
        clip: Weight above which importance weights are clipped; None is the square root of the observations.
    """

    events: Path
    config: Path | None = None
    outcomes: Path | None = None
    names: tuple[str, ...] = ()
    now: float | None = None
    policies: tuple[str, ...] = ()
    reward: str | None = None
    clip: float | None = None


def replay(request: Request, *, as_json: bool) -> int:
    """Compute experiments again, and show what came of it.

    Returns:
        0.

    Raises:
        EvidenceError: If something cannot be read, or there is no such experiment.
    """
    known = read_known(request.events)
    changed = _redefined(known, request.config) if request.config is not None else known
    if request.policies:
        return _inquire(request, changed, as_json=as_json)
    if request.reward is not None or request.clip is not None:
        raise EvidenceError("--reward and --clip are about a --policy, and none is given")
    names = request.names or tuple(sorted(changed.experiments))
    for name in names:
        if name not in changed.experiments:
            raise EvidenceError(f"there is no experiment {name!r}; there are: {', '.join(sorted(changed.experiments))}")
    now = time.time() if request.now is None else request.now
    late = None
    with open_archive(request.events) as archive:
        warn(archive)
        relation = "outcomes"
        if request.outcomes is not None:
            late, relation = _late(archive.connection, request.outcomes), RELATION
        before = None
        if changed is not known or late is not None:
            before = _fold(duckdb_engine(archive.connection), known, names, now)
        engine = duckdb_engine(archive.connection, outcomes=relation)
        after = _fold(engine, changed, names, now, frozen=late is None)
    if as_json:
        _write(before, after, late)
    else:
        _show(before, after, late)
    return 0


def _inquire(request: Request, known: Known, *, as_json: bool) -> int:
    if request.outcomes is not None:
        raise EvidenceError(
            "--outcomes has no effect with --policy: a reward is what had come when its window closed, not later"
        )
    if request.clip is not None and not 0 < request.clip < float("inf"):
        raise EvidenceError(f"weights are clipped at a number above 0, not at {request.clip:g}")
    asked = Inquiry(request.events, request.policies, request.names, request.reward, request.clip, request.now)
    return inquire(asked, known, as_json=as_json)


def _late(connection: Any, file: Path) -> Late:
    try:
        return add_late(connection, file)
    except ValueError as error:
        raise EvidenceError(str(error)) from error


def _redefined(known: Known, path: Path) -> Known:
    """Take metrics, and what experiments are judged by, from a configuration; what happened stays what it was."""
    try:
        config = load(path).config
    except ConfigError as error:
        raise EvidenceError(f"the configuration has mistakes:\n{error}") from error
    given = {experiment.name: experiment for experiment in config.experiments}
    experiments = {
        name: structs.replace(old, metrics=given[name].metrics, slices=given[name].slices, strata=given[name].strata)
        for name, old in known.experiments.items()
        if name in given
    }
    if not experiments:
        raise EvidenceError(f"{path} has none of the experiments of the log: {', '.join(sorted(known.experiments))}")
    return Known(experiments, dict.fromkeys(experiments, config.metrics), known.history, known.weights)


def _fold(engine: Any, known: Known, names: tuple[str, ...], now: float, *, frozen: bool = True) -> Folded:
    plans = [plan(known.experiments[name], known.metrics[name], frozen=frozen) for name in names]
    return fold_plans_watched(engine, plans, known.history, now)


def _write(before: Folded | None, after: Folded, late: Late | None) -> None:
    said: dict[str, Any] = document(after)
    if late is not None:
        said["late"] = msgspec.to_builtins(late)
    if before is not None:
        said["before"] = document(before)["experiments"]
    json.dump(said, sys.stdout, indent=2)
    sys.stdout.write("\n")


def _show(before: Folded | None, after: Folded, late: Late | None) -> None:
    out = console()
    show(after)
    if late is not None:
        out.print(f"\n{UNFROZEN}")
        counts = f"{grouped(late.accepted)} new, {grouped(late.repeated)} known already"
        out.print(f"\nLate outcomes: {grouped(late.rows)} rows; {counts}")
        for reason, count in late.refused.items():
            out.print(f"  {grouped(count)} refused: {reason}")
    if before is not None:
        out.print("\nWhat that changes", style="bold")
        out.print(_changes(before, after))


def _changes(before: Folded, after: Folded) -> Grid:
    grid = Grid(box=None, pad_edge=False, header_style="dim")
    for title in ("experiment", "run", "phase", "arm", "metric"):
        grid.add_column(title)
    for title in ("before", "now"):
        grid.add_column(title, justify="right")
    for name in after.experiments:
        old = _spoken(before, name)
        for key, said in _spoken(after, name).items():
            if old.get(key) != said:
                run, phase, arm, metric = key
                grid.add_row(name, str(run), str(phase), arm, metric, old.get(key, "(not measured)"), said)
    if not grid.row_count:
        grid.add_row("nothing")
    return grid


def _spoken(folded: Folded, name: str) -> Mapping[tuple[int, int, str, str], str]:
    result = folded.experiments[name]
    metrics = {metric.name: metric for metric in result.plan.metrics}
    return {
        (place.run, place.phase, place.arm, metric): spoken(estimate(metrics[metric], known))
        for place, cell in result.cells.items()
        if not place.slicing
        for metric, known in cell.metrics.items()
    }
