"""What a fold found as one page of HTML that needs nothing else.

Responsible for: markup.
Does not know: what is computed, how it is worded (``wording``).

Rules: everything that comes from a configuration or an event is escaped; no script, no request to anywhere.
"""

from collections.abc import Iterable, Iterator
from html import escape

from router.analysis.document import NOTE
from router.analysis.estimate import estimate
from router.analysis.result import Folded, Result, Stage
from router.command.wording import cells_of, exposed, grouped, heading, moment, remarks, spoken, strays

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:72em;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;margin:1em 0;display:block;overflow-x:auto}"
    "th{font-weight:600;text-align:left;border-bottom:2px solid #ccc}td,th{padding:.3em .8em}"
    "td{border-bottom:1px solid #eee;font-variant-numeric:tabular-nums}.note{color:#666}"
)


def page(folded: Folded, said: Iterable[str] = ()) -> str:
    """Return the page.

    Args:
        folded: What was found.
        said: What people have to know before they read it, a line each.
    """
    names = ", ".join(folded.experiments)
    parts = [f"<h1>{escape(names)}</h1><p>As of {escape(moment(folded.now))}.</p><p class=note>{escape(NOTE)}</p>"]
    parts += [f"<p><strong>{escape(line)}</strong></p>" for line in said]
    for result in folded.experiments.values():
        parts += _experiment(result)
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(names)}</title><style>{_STYLE}</style>"
    return f"{head}<body>{''.join(parts)}</body></html>\n"


def _experiment(result: Result) -> Iterator[str]:
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
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
