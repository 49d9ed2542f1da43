"""How what a fold found is said to people: numbers, times, sentences.

Responsible for: the same words in tables of a terminal and of a page.
Does not know: tables, markup.

Rules: pure.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from router.analysis.aggregates import Cell, Place
from router.analysis.estimate import Estimate, NotEnough
from router.analysis.result import Result, Stage
from router.config.schema import Metric


def cells_of(result: Result, stage: Stage) -> Iterator[tuple[Place, Cell]]:
    """Give the cells of a phase, the control's first."""
    control = result.plan.control
    here = [(place, cell) for place, cell in result.cells.items() if (place.run, place.phase) == stage.phase.place]
    return iter(sorted(here, key=lambda item: (item[0].arm != control, item[0])))


def heading(stage: Stage) -> str:
    """Say which phase it is, and when it was."""
    phase = stage.phase
    start = moment(phase.start) if phase.start is not None else "an unknown time"
    return f"run {phase.run}, phase {phase.phase}: {start} to {moment(phase.end) if phase.end is not None else 'now'}"


def exposed(stage: Stage) -> str:
    """Say who was exposed, and who does not count."""
    left_out = [
        f"{grouped(stage.crossed)} units excluded (seen in two arms)" if stage.crossed else "",
        f"{grouped(stage.overrides)} forced exposures left out" if stage.overrides else "",
        f"{grouped(stage.bots)} exposures of bots left out" if stage.bots else "",
    ]
    said = f"{grouped(stage.units)} units in {grouped(stage.exposures)} exposures"
    return "; ".join([said, *filter(None, left_out)])


def remarks(metric: Metric, cells: list[Cell]) -> list[str]:
    """Say what a reader has to know of a metric beside its numbers."""
    known = [cell.metrics[metric.name] for cell in cells]
    said = []
    if immature := sum(one.immature for one in known):
        said.append(f"{grouped(immature)} units wait for their window")
    if missing := sum(one.missing for one in known):
        said.append(f"{grouped(missing)} units have no value")
    if cut := sum(one.cut for one in known):
        said.append(f"{grouped(cut)} windows end with the phase")
    caps = {one.cap for one in known if one.cap is not None}
    said += [f"capped at {number(cap)}" for cap in caps]
    if metric.kind == "funnel":
        said.append("steps " + " / ".join(" → ".join(map(grouped, one.steps)) for one in known))
    return said


def spoken(found: Estimate | NotEnough) -> str:
    """Say an estimate."""
    if isinstance(found, NotEnough):
        return f"({found.reason})"
    error = "" if found.standard_error is None else f" ± {number(found.standard_error)}"
    return f"{number(found.value)}{error}"


def number(value: float) -> str:
    """Write a number with four significant digits."""
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def grouped(count: int) -> str:
    """Write a count with its thousands apart."""
    return f"{count:,}"


def moment(at: float) -> str:
    """Write a time in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def strays(result: Result) -> Iterator[str]:
    """Say which outcomes belong to nobody."""
    for metric, stray in result.strays.items():
        if stray.unmatched or stray.future:
            future = f", {grouped(stray.future)} are of the future" if stray.future else ""
            said = f"{metric}: of {grouped(stray.total)} outcomes, {grouped(stray.unmatched)} belong to no unit of it"
            yield f"{said}{future}"
