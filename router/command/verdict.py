"""A report as tables of a terminal.

Responsible for: the decision first, then effects with intervals, guardrails, the overall criterion, the checklist,
slices.
Does not know: what is computed, how numbers are worded (``router.report.digits``).

Rules: standard output carries the result and nothing else; names and reasons are printed as text, never as markup.
"""

from collections.abc import Iterable, Mapping

from rich.table import Table as Grid
from rich.text import Text

from router.command.terminal import console
from router.config.schema import Metric
from router.report.digits import effect_in_words, overall_in_words, slice_in_words, slots_in_words
from router.report.report import Check, Decision, Overall, Report, Studied

_STYLES = {"ship": "bold green", "do not ship": "bold red", "keep running": "bold yellow"}
_STATUSES = {"pass": "green", "fail": "red", "warn": "yellow", "unknown": "dim"}


def show_report(report: Report, metrics: Mapping[str, Metric]) -> None:
    """Write a report.

    Args:
        report: The report.
        metrics: Metrics by name.
    """
    _decision(report.decision)
    if not report.phases or report.primary is None:
        return
    phase = report.phases[0]
    out = console()
    if not phase.readable.now:
        out.print(Text(f"Effects are not shown: {phase.readable.reason}"), soft_wrap=True)
    out.print()
    out.print(_effects(phase, metrics))
    _slots(phase, metrics[report.primary])
    if any(arm.guardrails for arm in phase.arms):
        rows = [
            (arm.arm, each.guardrail.metric or each.guardrail.title, each.status, each.reason)
            for arm in phase.arms
            for each in arm.guardrails
        ]
        out.print(_grid(("guardrail of", "metric", "status", ""), rows))
    for arm in phase.arms:
        if arm.overall is not None:
            out.print(Text(f"overall criterion of {arm.arm}: {overall_in_words(arm.overall)}"), soft_wrap=True)
        if isinstance(arm.overall, Overall):
            parts = ", ".join(
                f"{part.metric} {part.weight:.3g} times {100 * part.change:+.3g} %" for part in arm.overall.parts
            )
            out.print(Text(f"  = {parts}"), style="dim", soft_wrap=True)
    if phase.slices:
        out.print(_slices(phase, metrics[report.primary]))
    out.print(_checklist(report.decision.checklist))
    for title, text in (
        ("learned", report.notes and report.notes.learned),
        ("next", report.notes and report.notes.next),
    ):
        if text:
            out.print(Text(f"{title}: {text}"), soft_wrap=True)


def _decision(decision: Decision) -> None:
    out = console()
    arm = f": {decision.arm}" if decision.arm is not None else ""
    out.print(Text(f"{decision.verdict.capitalize()}{arm}"), style=_STYLES[decision.verdict])
    out.print(Text(f"{decision.reason}."), soft_wrap=True)
    for line in decision.change:
        out.print(Text(f"  would change it: {line}"), style="dim", soft_wrap=True)


def _effects(phase: Studied, metrics: Mapping[str, Metric]) -> Grid:
    rows = []
    for arm in phase.arms:
        for each in arm.measures:
            p = "" if each.p is None else f"{each.p:.2g}"
            said = effect_in_words(metrics[each.metric], each.effect)
            chance = "" if each.chance_to_win is None else f"{each.chance_to_win:.1%}"
            rows.append((arm.arm, each.metric, each.role, said, p, each.direction, chance))
    return _grid(("arm", "metric", "role", "change against control", "p", "shown", "chance to win"), rows)


def _slots(phase: Studied, metric: Metric) -> None:
    for arm, each in phase.switchbacks.items():
        console().print(Text(f"{arm} over slots: {slots_in_words(metric, each)}"), soft_wrap=True)


def _slices(phase: Studied, metric: Metric) -> Grid:
    rows = [
        (
            each.arm,
            " and ".join(each.slicing),
            slice_in_words(each.slicing, level.values),
            f"{level.units:,}",
            effect_in_words(metric, level.effect),
            "description only" if each.descriptive else level.direction,
        )
        for each in phase.slices
        for level in each.levels
    ]
    return _grid(("arm", "by", "slice", "units", f"change of {metric.name}", "shown"), rows)


def _checklist(lines: Iterable[Check]) -> Grid:
    return _grid(
        ("checklist", "status", "", "evidence"),
        [(line.name, line.status, "must" if line.hard else "told", line.evidence) for line in lines],
    )


def _grid(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> Grid:
    grid = Grid(box=None, pad_edge=False, header_style="dim")
    for title in titles:
        grid.add_column(title, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(cell, style=_STATUSES.get(cell, "")) for cell in row))
    return grid
