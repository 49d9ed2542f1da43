"""What ``router analyze`` does.

Responsible for: the report of one experiment from a folder of events, with the sums behind it, as tables for people,
JSON, or a page.
Does not know: what is computed (``router.analysis``), what is said of it (``router.report``), where events come from
(``router.archive``).

Rules: the decision comes first, then what it is made of. Standard output carries the result and nothing else.
"""

import json
import sys
import time
from pathlib import Path

import msgspec
from rich.table import Table as Grid

from router.analysis.aggregates import Cell, Place
from router.analysis.document import NOTE, document
from router.analysis.engine import Engine, duckdb_engine
from router.analysis.estimate import estimate
from router.analysis.observe import observe
from router.analysis.post_stratify import by_arm
from router.analysis.quality import judge
from router.analysis.result import Folded, Result, Stage
from router.analysis.trust import quality_document, told
from router.archive.reading import Archive, open_archive
from router.command.designs import Beside, Designs, documents, pre_post, show_beside
from router.command.evidence import EvidenceError, Known, fold_watched, read_known
from router.command.terminal import console
from router.command.verdict import show_report
from router.config.schema import Experiment, Metric
from router.control.drill import last
from router.control.looks import read_looks
from router.events.decisions import read_decisions
from router.events.rollout import Decided
from router.report.compose import compose
from router.report.document import report_document
from router.report.levels import Side, TwoLevels, two_levels
from router.report.looks import due_of
from router.report.page import page
from router.report.plots import plots
from router.report.report import Report
from router.report.scene import Evidence
from router.report.wording import cells_of, exposed, grouped, heading, moment, remarks, spoken, strays


def analyze(name: str, folder: Path, html: Path | None, designs: Designs, *, as_json: bool) -> int:
    """Show what is known of an experiment.

    Args:
        name: Name of the experiment.
        folder: The router's ``events.dir``.
        html: File to write a page to.
        designs: What is asked for beside the report.
        as_json: Write JSON instead of tables.

    Returns:
        0.

    Raises:
        EvidenceError: If the folder has no such experiment, or a file cannot be written.
    """
    known = read_known(folder)
    _there(known, folder, name, designs.against)
    with open_archive(folder) as archive:
        engine = duckdb_engine(archive.connection)
        now, experiment = time.time(), known.experiments[name]
        folded = fold_watched(engine, [experiment], known.metrics, known.history, now)
        phases = [judge(phase) for phase in observe(engine, [experiment], known.weights, now)[name]]
        beside = Beside(
            _levels(engine, known, folded.experiments[name], designs.against, now),
            pre_post(archive, known, experiment, now) if designs.pre_post else None,
        )
        warn(archive)
        unread = tuple(f"{part.path} cannot be read: {part.reason}" for part in archive.unread)
    result = folded.experiments[name]
    said = told(phases, known.invalid.get(name))
    evidence = Evidence(result, tuple(phases), known.invalid.get(name), unread=unread, drill=_drill(folder, name))
    report = compose(experiment, _with_looks(experiment, evidence, now, folder), now)
    if html is not None:
        _write(html, page(report, result, said, plots(report, result.plan.metrics[0]) if result.plan.metrics else ()))
    if as_json:
        _write_json(folded, evidence, report, beside)
    else:
        for line in said:
            console().print(line, soft_wrap=True)
        show_report(report, {metric.name: metric for metric in result.plan.metrics})
        show_beside(beside, result.plan.metrics)
        console().print()
        show(folded)
    return 0


def _write_json(folded: Folded, evidence: Evidence, report: Report, beside: Beside) -> None:
    found = document(folded)
    found["experiments"][report.experiment] |= {
        "invalid": msgspec.to_builtins(evidence.invalid),
        "quality": [quality_document(phase) for phase in evidence.quality],
        "decision": msgspec.to_builtins(report.decision),
        "report": report_document(report),
        **documents(beside),
    }
    json.dump(found, sys.stdout, indent=2)
    sys.stdout.write("\n")


def _there(known: Known, folder: Path, *names: str | None) -> None:
    """Refuse names of no experiment."""
    for name in names:
        if name is not None and name not in known.experiments:
            there = ", ".join(sorted(known.experiments)) or "none"
            raise EvidenceError(f"the journal of {folder} has no experiment {name!r}; there are: {there}")


def _levels(engine: Engine, known: Known, result: Result, against: str | None, now: float) -> TwoLevels | None:
    """Check for interference against another experiment; None where none was named."""
    if against is None:
        return None
    one, other = known.experiments[result.plan.experiment], known.experiments[against]
    found = fold_watched(engine, [other], known.metrics, known.history, now).experiments[against]
    try:
        return two_levels(Side(one, Evidence(result)), Side(other, Evidence(found)), now)
    except ValueError as error:
        raise EvidenceError(str(error)) from error


def _drill(folder: Path, name: str) -> Decided | None:
    """Return the last rehearsal of a rollback that the decision log has."""
    try:
        decisions, _ = read_decisions(folder / "journal")
    except OSError as error:
        raise EvidenceError(f"the decision log cannot be read: {error}") from error
    return last(decisions).get(name)


def _with_looks(experiment: Experiment, evidence: Evidence, now: float, folder: Path) -> Evidence:
    """Add the looks that the router recorded, and those that would be due now, which are not recorded."""
    try:
        recorded = read_looks(folder).get(experiment.name, ())
    except OSError as error:
        raise EvidenceError(f"the looks that were taken cannot be read: {error}") from error
    known = evidence._replace(looks=recorded)
    return known._replace(looks=(*recorded, *due_of(experiment, known, now)))


def _write(html: Path, text: str) -> None:
    try:
        html.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EvidenceError(f"{html} cannot be written: {error.strerror}") from error


def warn(archive: Archive) -> None:
    """Say what of the events could not be read."""
    for part in archive.unread:
        sys.stderr.write(f"warning: not read: {part}\n")
    for path, lines in archive.unsound.items():
        sys.stderr.write(f"warning: {path}: {lines} lines are no events\n")


def show(folded: Folded) -> None:
    """Write tables for a person."""
    out = console()
    for name, result in folded.experiments.items():
        out.print(f"{name}, as of {moment(folded.now)}", style="bold")
        if not result.stages:
            out.print("No exposures: nobody was assigned yet, or the events have expired.")
        for stage in result.stages:
            out.print()
            _stage(result, stage)
        for line in strays(result):
            out.print(line)
    out.print()
    out.print(NOTE, style="dim")


def _stage(result: Result, stage: Stage) -> None:
    out = console()
    out.print(heading(stage), style="bold")
    out.print(exposed(stage))
    cells = [(place, cell) for place, cell in cells_of(result, stage) if not place.slicing]
    if not cells:
        return
    grid = Grid(box=None, pad_edge=False, header_style="dim")
    grid.add_column("arm")
    for title in ("units", "exchanges", "failed", "unfinished"):
        grid.add_column(title, justify="right")
    for place, cell in cells:
        counts = (cell.units, cell.exchanges, cell.failures, cell.unfinished)
        grid.add_row(place.arm + (" (control)" if place.arm == result.plan.control else ""), *map(grouped, counts))
    out.print(grid)
    if result.plan.metrics:
        out.print(_metrics(result, cells))
    for slicing in result.plan.slicings[1:]:
        sliced = [(place, cell) for place, cell in cells_of(result, stage) if place.slicing == slicing]
        grid = _slices(result.plan.metrics, slicing, sliced)
        if slicing == result.plan.strata:
            _weigh(grid, result, sliced)
        out.print(grid)
    if stage.fates:
        out.print(_fates(stage))


def _metrics(result: Result, cells: list[tuple[Place, Cell]]) -> Grid:
    grid = Grid(box=None, pad_edge=False, header_style="dim")
    grid.add_column("metric")
    for place, _ in cells:
        grid.add_column(f"{place.arm}", justify="right")
        grid.add_column("n", justify="right")
    grid.add_column("")
    for metric in result.plan.metrics:
        row = [metric.name]
        for _, cell in cells:
            known = cell.metrics[metric.name]
            found = estimate(metric, known)
            row += [spoken(found), grouped(found.n)]
        grid.add_row(*row, "; ".join(remarks(metric, [cell for _, cell in cells])))
    return grid


def _slices(metrics: tuple[Metric, ...], slicing: tuple[str, ...], cells: list[tuple[Place, Cell]]) -> Grid:
    grid = Grid(box=None, pad_edge=False, header_style="dim")
    for title in (*slicing, "arm"):
        grid.add_column(title)
    grid.add_column("units", justify="right")
    for metric in metrics:
        grid.add_column(metric.name, justify="right")
    for place, cell in sorted(cells, key=lambda item: (item[0].values, item[0].arm)):
        shown = [spoken(estimate(metric, cell.metrics[metric.name])) for metric in metrics]
        grid.add_row(*place.values, place.arm, grouped(cell.units), *shown)
    return grid


def _weigh(grid: Grid, result: Result, cells: list[tuple[Place, Cell]]) -> None:
    """Add a row for each arm with its estimates as if all arms had the same mix of strata."""
    found = [by_arm(metric, dict(cells), result.plan.strata) for metric in result.plan.metrics]
    for arm in found[0] if found else ():
        units = sum(cell.units for place, cell in cells if place.arm == arm)
        blank = [""] * (len(result.plan.strata) - 1)
        grid.add_row("(post-stratified)", *blank, arm, grouped(units), *(spoken(each[arm]) for each in found))


def _fates(stage: Stage) -> Grid:
    grid = Grid(box=None, pad_edge=False, header_style="dim")
    grid.add_column("outcomes of")
    names = next(iter(stage.fates.values())).__struct_fields__
    for title in names:
        grid.add_column(title, justify="right")
    for metric, fates in stage.fates.items():
        grid.add_row(metric, *(grouped(getattr(fates, name)) for name in names))
    return grid
