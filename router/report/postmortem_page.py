"""A post-mortem report as one page of HTML that needs nothing else.

Responsible for: markup; what a person reads first.
Does not know: what is known (``postmortem``), how plots are drawn (``postmortem_plots``), the style (``style``).

Rules: everything that comes from a configuration, a person or an event is escaped; no script, no request to anywhere.
"""

from collections.abc import Iterator, Mapping
from html import escape

from router.events.rollout import Found
from router.report.postmortem import Exposed, PostMortem, Side
from router.report.style import clock, figure, opening, percent, span, table


def postmortem_page(found: PostMortem, drawn: Mapping[str, str]) -> str:
    """Return the page.

    Args:
        found: The report.
        drawn: Titles of plots to their markup, an SVG each.
    """
    verb = "Rolled back" if found.outcome == "rollback" else "Aborted"
    where = f"in {found.place}" + (f" at {percent(found.share)} of units" if found.share else ", before any traffic")
    parts = [
        f"<h1>{escape(found.experiment)}: post-mortem</h1>",
        f"<p class=note>Run {found.run}, {clock(found.time)} UTC. {escape(_sides(found))}</p>",
        f'<div class="decision stop"><strong>{verb} {escape(where)}</strong><p>{escape(found.cause)}</p>',
        f"<p>Decided by {escape(found.by)}. {escape(_fast(found))}</p></div>",
        *_fired(found),
        *_exposed(found),
        "<h2>Timeline</h2>",
        _timeline(found),
        *_effects(found),
        *_plots(drawn),
        *_rest(found),
    ]
    title = f"{found.experiment}: {verb.lower()} {clock(found.time)}"
    return f"{opening(title)}<body><main>{''.join(parts)}</main></body></html>\n"


def _sides(found: PostMortem) -> str:
    owner = f" Owner: {found.owner}." if found.owner else ""
    return f"{_side(found.new)} against {_side(found.control)}.{owner}"


def _side(side: Side) -> str:
    target = f" ({side.target}{f', version {side.version}' if side.version else ''})" if side.target else ""
    return f"{side.arm}{target}"


def _fast(found: PostMortem) -> str:
    reaction = found.reaction
    if reaction.acknowledged_s is None:
        said = f"{reaction.acknowledged} of {reaction.workers} workers had the new weights when this was written."
    else:
        who = f"The last of {reaction.workers} workers" if reaction.workers > 1 else "The worker"
        said = f"{who} had the new weights after {span(reaction.acknowledged_s)}."
    if reaction.last_s is None:
        return said
    if reaction.last_s <= 0:
        return f"{said} No request was given the new arm after the decision."
    return f"{said} The last request that was given the new arm began {span(reaction.last_s)} after the decision."


def _fired(found: PostMortem) -> Iterator[str]:
    yield "<h2>What fired</h2>"
    if found.fired:
        yield _guardrails(found.fired)
    else:
        yield f"<p>{escape(found.cause)}. No guardrail fired.</p>"
    if found.looked:
        yield "<h3>What the others said</h3>" + _guardrails(found.looked)


def _timeline(found: PostMortem) -> str:
    items = []
    for each in found.timeline:
        after = f" (after {span(each.time - found.began)})" if each.time > found.began else ""
        items.append(
            f"<li><b>{clock(each.time)}</b>{after} <b>{escape(each.action)}</b> → {escape(each.place)}, "
            f"{percent(each.share)}, by {escape(each.by)}<br>{escape(each.reason)}</li>"
        )
    return f'<ol class="timeline">{"".join(items)}</ol>'


def _guardrails(found: tuple[Found, ...]) -> str:
    numbers = table(
        ("guardrail", "status", "estimate", "bounds", "margin", "statistic", "alpha"),
        (
            (
                each.name,
                each.status + (" (dry run)" if each.dry_run else "") + (" (fast path)" if each.fast else ""),
                figure(each.estimate),
                bounds(each),
                figure(each.margin),
                figure(each.statistic) + (f" of {figure(each.threshold)}" if each.threshold is not None else ""),
                figure(each.alpha),
            )
            for each in found
        ),
    )
    return numbers + "".join(
        f"<p><b>{escape(each.name)}</b>: {escape(each.reason)}{_counts(each)}</p>" for each in found
    )


def _counts(found: Found) -> str:
    said = ", ".join(
        f"{key.replace('_', ' ')} {figure(value)}" for key, value in found.counts.items() if key != "since"
    )
    return f" <span class=note>({escape(said)})</span>" if said else ""


def bounds(found: Found) -> str:
    """Say the bounds of a guardrail; nothing where there are none."""
    if found.low is None and found.high is None:
        return ""
    return f"{figure(found.low) or '-∞'} … {figure(found.high) or '∞'}"


def _exposed(found: PostMortem) -> Iterator[str]:
    yield "<h2>Who was exposed</h2>"
    if not found.exposed:
        yield "<p>Nobody, as far as it is known.</p>"
        return
    new = [each for each in found.exposed if each.arm == found.new.arm]
    units = [each.units for each in new]
    exchanges = sum(each.exchanges for each in new)
    told = "" if not units or None in units else f" of at most {sum(unit or 0 for unit in units):,} units"
    failed = [each.failed for each in new]
    ill = "" if not failed or None in failed else f", of which {sum(count or 0 for count in failed):,} failed"
    yield f"<p>{exchanges:,} exchanges{told} were given {escape(found.new.arm)}{ill}.</p>"
    yield table(
        ("phase", "where", "arm", "share", "units", "exchanges", "failed", "failed share", "first", "last"),
        (_row(each, found.new.arm) for each in found.exposed),
    )


def _row(each: Exposed, new: str) -> tuple[str, ...]:
    share = each.share if each.arm == new or each.share is None else 1 - each.share
    return (
        str(each.phase),
        each.place,
        each.arm,
        "" if share is None else percent(share),
        "" if each.units is None else f"{each.units:,}",
        f"{each.exchanges:,}",
        "" if each.failed is None else f"{each.failed:,}",
        "" if each.failed is None or not each.exchanges else percent(each.failed / each.exchanges),
        "" if each.first is None else clock(each.first),
        "" if each.last is None else clock(each.last),
    )


def _effects(found: PostMortem) -> Iterator[str]:
    yield "<h2>Effect</h2>"
    if not found.effects:
        yield "<p>No metric was looked at.</p>"
        return
    yield table(
        ("phase", "metric", "role", "change", "shown", "control", "arm has"),
        (
            (
                str(each.phase),
                each.metric,
                each.role,
                each.said,
                each.direction,
                figure(each.control),
                figure(each.treatment),
            )
            for each in found.effects
        ),
    )


def _plots(drawn: Mapping[str, str]) -> Iterator[str]:
    if drawn:
        yield "<h2>Over time</h2><div class=plots>"
        yield from (f"<figure>{svg}<figcaption>{escape(title)}</figcaption></figure>" for title, svg in drawn.items())
        yield "</div>"


def _rest(found: PostMortem) -> Iterator[str]:
    if found.numbers:
        yield "<h2>What else was looked at</h2>"
        yield table(("what", "value"), ((key.replace("_", " "), figure(value)) for key, value in found.numbers.items()))
    if found.missing:
        yield "<h2>What is not known</h2><ul>"
        yield from (f"<li>{escape(line)}</li>" for line in found.missing)
        yield "</ul>"
    yield f"<p class=note>Report {escape(found.id)}; the same as JSON beside this page.</p>"
