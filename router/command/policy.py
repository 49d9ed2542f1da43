"""What ``router replay --policy`` does: what policies that were not used would have earned on a log.

Responsible for: the observations of one experiment's last run, its reward, and showing what came of each policy.
Does not know: how anything is estimated (``router.policy``), where events come from.

Rules: read only. A log whose propensities are not true is refused: there is no number without them. All numbers are
drawn from one seed, so that the same log says the same.
"""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct, structs
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as Grid

from router.analysis.engine import duckdb_engine
from router.analysis.estimate import NotEnough
from router.analysis.plan import plan
from router.analysis.rows import Span, matured
from router.archive.reading import open_archive
from router.command.analyze import warn
from router.command.evidence import EvidenceError, Known
from router.command.terminal import console
from router.config.metric import Measured
from router.config.schema import Experiment, Metric
from router.policy.evaluate import Evaluation, Wish, evaluate
from router.policy.observed import Observed, Reading, observed
from router.policy.spec import Policy, parse_policy
from router.policy.value import NAMES, Value
from router.report.wording import grouped, moment, number

UNIT_REWARDS: Final = frozenset({"proportion", "retention", "funnel"})
"""Kinds of metrics whose value of an observation lies between 0 and 1."""
REWARDS: Final = UNIT_REWARDS | {"mean", "count"}


class Inquiry(Struct, frozen=True):
    """What is asked.

    Attributes:
        events: The router's ``events.dir``.
        policies: Policies, as they are written down.
        names: Experiments that were named; none is the only one there is.
        reward: Metric that is earned; None is the experiment's own reward, or its primary metric.
        clip: Weight above which IPS clips; None is √n.
        now: The moment that it is about, in unix seconds; None is now.
    """

    events: Path
    policies: tuple[str, ...]
    names: tuple[str, ...] = ()
    reward: str | None = None
    clip: float | None = None
    now: float | None = None


def inquire(asked: Inquiry, known: Known, *, as_json: bool) -> int:
    """Evaluate policies on the log, and show what came of it.

    Args:
        asked: What is asked.
        known: What the journal tells, with the definitions of metrics that hold.
        as_json: Whether to write JSON.

    Returns:
        0.

    Raises:
        EvidenceError: If the log cannot say anything of any policy, or there is no such experiment, metric or policy.
    """
    experiment = _experiment(asked, known)
    metric = _reward(asked, experiment, known.metrics[experiment.name])
    policies = _policies(asked.policies, metric)
    now = time.time() if asked.now is None else asked.now
    with _watched(len(policies) + 1) as progress:
        seen = _read(asked.events, experiment, metric, known, now)
        progress.update()
        found: dict[str, Evaluation] = {}
        for text, policy in policies.items():
            found[text] = _evaluated(seen, text, policy, Wish(clip=asked.clip))
            progress.update()
    answer = _Answer(experiment.name, metric, seen, found)
    if as_json:
        json.dump(_document(answer), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        _show(answer)
    return 0


class _Answer(Struct, frozen=True):
    """What there is to show."""

    experiment: str
    metric: Metric
    seen: Observed
    found: dict[str, Evaluation]


def _experiment(asked: Inquiry, known: Known) -> Experiment:
    names = asked.names or tuple(sorted(known.experiments))
    if len(names) != 1:
        raise EvidenceError(f"a policy is about one experiment; name it with --experiment: {', '.join(names)}")
    if names[0] not in known.experiments:
        raise EvidenceError(f"there is no experiment {names[0]!r}; there are: {', '.join(sorted(known.experiments))}")
    return known.experiments[names[0]]


def _reward(asked: Inquiry, experiment: Experiment, metrics: Sequence[Metric]) -> Metric:
    wanted = asked.reward or experiment.allocate.reward
    wanted = wanted or (experiment.metrics.primary if experiment.metrics is not None else None)
    if wanted is None:
        raise EvidenceError(f"experiment {experiment.name!r} has no primary metric; name a reward with --reward")
    found = next((metric for metric in metrics if metric.name == wanted), None)
    if found is None:
        there = ", ".join(metric.name for metric in metrics) or "none"
        raise EvidenceError(f"there is no metric {wanted!r}; there are: {there}")
    if found.kind not in REWARDS:
        raise EvidenceError(
            f"metric {wanted!r} is a {found.kind}, which no single observation has; a reward is one of: "
            f"{', '.join(sorted(REWARDS))}"
        )
    return found


def _policies(texts: Sequence[str], metric: Metric) -> dict[str, Policy]:
    try:
        return {text: parse_policy(text, bounded=metric.kind in UNIT_REWARDS) for text in texts}
    except ValueError as error:
        raise EvidenceError(str(error)) from error


def _read(events: Path, experiment: Experiment, metric: Metric, known: Known, now: float) -> Observed:
    """Return the observations of an experiment whose window is over, of its last run."""
    made = plan(structs.replace(experiment, metrics=Measured(primary=metric.name)), (metric,))
    columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
    with open_archive(events) as archive:
        warn(archive)
        engine = duckdb_engine(archive.connection)
        after, more = float("-inf"), True
        while more:
            try:
                batch = matured(engine, made, known.history, metric.name, Span(after, now))
            except ValueError as error:  # a metric without a window
                raise EvidenceError(str(error)) from error
            finally:
                engine.forget()
            for name in _COLUMNS:
                columns[name] += batch.table.column(name).to_pylist()
            after, more = batch.until, batch.more
    attributes = [json.loads(text) if text else {} for text in columns["attributes"]]
    features = experiment.allocate.features
    reading = Reading(
        arms=tuple(arm.name for arm in experiment.arms),
        sign=-1 if metric.goal == "down" else 1,
        weights=known.weights.get(experiment.name, {}),
        numbers=tuple(each.name for each in features if each.number),
        categories=tuple(each.name for each in features if not each.number) if features else None,
    )
    return observed(columns, attributes, reading)


_COLUMNS: Final = (
    "run", "phase", "epoch", "site", "arm", "unit", "user", "first", "matured", "propensity", "attributes", "y",
)  # fmt: skip


def _evaluated(seen: Observed, text: str, policy: Policy, wish: Wish) -> Evaluation:
    try:
        found = evaluate(seen.log, policy, wish, seen.in_force)
    except ValueError as error:
        raise EvidenceError(f"policy {text!r}: {error}") from error
    if isinstance(found, NotEnough):
        raise EvidenceError(found.reason)
    return found


class _Steps:
    """A line that says how far it is."""

    def __init__(self, progress: Progress, steps: int) -> None:
        self._progress = progress
        self._task = progress.add_task("observations and policies", total=steps)

    def update(self) -> None:
        """Go on by one step."""
        self._progress.update(self._task, advance=1)


@contextmanager
def _watched(steps: int) -> Iterator[_Steps]:
    columns = (TextColumn("{task.description:26}"), BarColumn(), TimeElapsedColumn())
    err = Console(stderr=True)
    with Progress(*columns, console=err, transient=True, disable=not sys.stderr.isatty()) as progress:
        yield _Steps(progress, steps)


# --- What is shown ---------------------------------------------------------------------------------------------------


def _document(answer: _Answer) -> dict[str, Any]:
    log = answer.seen.log
    return {
        "experiment": answer.experiment,
        "run": answer.seen.run,
        "reward": {"metric": answer.metric.name, "kind": answer.metric.kind, "goal": answer.metric.goal},
        "observations": log.n,
        "units": log.clusters,
        "from": float(log.time[0]),
        "until": float(log.time[-1]),
        "left_out": {"earlier_runs": answer.seen.earlier, "without_reward": answer.seen.valueless},
        "features": log.context.shape[1] - 1,
        "policies": {text: msgspec.to_builtins(each) for text, each in answer.found.items()},
    }


def _show(answer: _Answer) -> None:
    out, log = console(), answer.seen.log
    about = f"{answer.experiment}, run {answer.seen.run}: {answer.metric.name} per observation"
    out.print(about + (", less is better" if log.sign < 0 else ""), style="bold")
    out.print(
        f"{grouped(log.n)} observations of {grouped(log.clusters)} units, {moment(float(log.time[0]))} to "
        f"{moment(float(log.time[-1]))}; {grouped(answer.seen.valueless)} without a reward and "
        f"{grouped(answer.seen.earlier)} of earlier runs left out"
    )
    for text, each in answer.found.items():
        out.print()
        out.print(text, style="bold", markup=False)
        out.print(_grid(each))
        for line in _said(each):
            out.print(line, soft_wrap=True, markup=False)


def _grid(found: Evaluation) -> Grid:
    grid = Grid(box=None, pad_edge=False, header_style="dim")
    grid.add_column("method")
    for title in ("value", "standard error", "95% interval"):
        grid.add_column(title, justify="right")
    grid.add_column("")
    grid.add_row("as logged", *_cells(found.logged), "")
    for method, value in found.estimates.values.items():
        believed = "believe this one" if method == found.advice.method else ""
        grid.add_row(NAMES[method], *_cells(value), believed)
    return grid


def _cells(value: Value | NotEnough) -> tuple[str, str, str]:
    if isinstance(value, NotEnough):
        return f"not enough data: {value.reason}", "", ""
    low, high = value.interval.low, value.interval.high
    interval = f"{number(low)} to {number(high)}" if low is not None and high is not None else ""
    return number(value.value), number(value.standard_error), interval


def _said(found: Evaluation) -> Iterator[str]:
    known = found.estimates.overlap
    yield (
        f"effective sample size {known.effective:,.0f} of {grouped(known.clusters)} units; largest weight "
        f"{known.largest:.3g}; {known.clipped:.2%} of the observations above the clip at {known.clip:.3g}"
    )
    if found.accepted is not None:
        yield f"the replay had {found.accepted:,.0f} of {grouped(known.n)} observations to learn from"
    if found.advice.method is None:
        yield f"Believe none of them: {found.advice.reason}."
    else:
        yield f"Believe {NAMES[found.advice.method]}: {found.advice.reason}."
    for note in found.advice.notes:
        yield f"Note: {note}."
