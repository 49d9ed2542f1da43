"""What a fold found, as tables of HTML: sums and estimates of every phase, arm and slice.

Responsible for: markup of these tables.
Does not know: what is computed, how it is worded (``wording``).

Rules: everything that comes from a configuration or an event is escaped; no script, no request to anywhere.
"""

from collections.abc import Iterable, Iterator
from html import escape

from router.analysis.estimate import estimate
from router.analysis.result import Result, Stage
from router.report.wording import cells_of, exposed, grouped, heading, remarks, spoken, strays


def found_tables(result: Result) -> Iterator[str]:
    """Give headings and tables, phase by phase."""
    for stage in result.stages:
        yield f"<h2>{escape(heading(stage))}</h2><p>{escape(exposed(stage))}.</p>"
        yield from _stage(result, stage)
    for line in strays(result):
        yield f"<p>{escape(line)}.</p>"


def _stage(result: Result, stage: Stage) -> Iterator[str]:
    for slicing in result.plan.slicings:
        cells = [(place, cell) for place, cell in cells_of(result, stage) if place.slicing == slicing]
        rows = [
            (
                *place.values,
                place.arm,
                *map(grouped, (cell.units, cell.exchanges, cell.failures, cell.unfinished)),
                *(spoken(estimate(metric, cell.metrics[metric.name])) for metric in result.plan.metrics),
            )
            for place, cell in cells
        ]
        names = (metric.name for metric in result.plan.metrics)
        if rows:
            yield _table((*slicing, "arm", "units", "exchanges", "failed", "unfinished", *names), rows)
    everybody = [cell for place, cell in cells_of(result, stage) if not place.slicing]
    said = [(metric.name, "; ".join(remarks(metric, everybody))) for metric in result.plan.metrics]
    if any(text for _, text in said):
        yield _table(("metric", "note"), [row for row in said if row[1]])
    if stage.fates:
        titles = next(iter(stage.fates.values())).__struct_fields__
        rows = [(name, *(grouped(getattr(fates, title)) for title in titles)) for name, fates in stage.fates.items()]
        yield _table(("outcomes of", *titles), rows)


def _table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class=scroll><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
