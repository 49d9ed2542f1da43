"""A report as one page of HTML that needs nothing else.

Responsible for: markup and style; what a person reads first.
Does not know: what is computed, how numbers are worded (``digits``), how plots are drawn (``plots``).

Rules: everything that comes from a configuration or an event is escaped; no script, no request to anywhere. A status is
a word and never a colour alone; wide tables scroll by themselves on a phone; nothing is hidden in print.
"""

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Final

from router.analysis.result import Result
from router.config.schema import Metric
from router.inference.effect import Effect
from router.report.digits import (
    absolute_in_words,
    effect_in_words,
    level_in_words,
    moment,
    number,
    overall_in_words,
    percent_with,
    slice_in_words,
    slots_in_words,
    value_in_words,
    with_interval,
)
from router.report.found import found_tables
from router.report.plots import Plot
from router.report.report import Check, Compared, Decision, Gap, Level, Overall, Report, Sliced, Studied
from router.report.style import RELEASE, opening, table

_CLASS: Final = {"ship": "ship", "do not ship": "stop", "keep running": "run"}


def page(report: Report, result: Result, said: Sequence[str] = (), drawn: Sequence[Plot] = ()) -> str:
    """Return the page.

    Args:
        report: The report.
        result: What was found, for the tables at the end.
        said: What people have to know of the data, a line each.
        drawn: The plots of the report.
    """
    name = escape(report.experiment)
    head = opening(f"{report.experiment}: {report.decision.verdict}")
    metrics = {metric.name: metric for metric in result.plan.metrics}
    parts = [f"<h1>{name}</h1><p class=note>As of {escape(moment(report.time))}. {escape(_about(report))}</p>{RELEASE}"]
    parts += _decision(report.decision)
    if report.phases:
        parts += _latest(report, metrics, drawn)
    parts += _notes(report)
    parts += _earlier(report, metrics)
    if said:
        parts.append("<h2>Data quality</h2><ul>" + "".join(f"<li>{escape(line)}</li>" for line in said) + "</ul>")
    tables = "".join(found_tables(result))
    parts.append(f"<details><summary>All sums and estimates, phase by phase</summary>{tables}</details>")
    return f"{head}<body><main>{''.join(parts)}</main></body></html>\n"


def _about(report: Report) -> str:
    decide = report.decide
    methods = {
        "sequential": "always valid",
        "group_sequential": "group sequential",
        "fixed": "fixed horizon",
        "sprt": "sequential probability ratio",
    }
    method = "weighted by propensity, always valid" if report.adaptive else methods[decide.method]
    return (
        f"Control is {report.control}. Decided by {report.primary or 'no metric'}, {method}, at alpha {decide.alpha:g}."
    )


def _decision(found: Decision) -> Iterator[str]:
    arm = f": {escape(found.arm)}" if found.arm is not None else ""
    yield f'<div class="decision {_CLASS[found.verdict]}"><strong>{found.verdict.capitalize()}{arm}</strong>'
    yield f"<p>{escape(found.reason)}.</p></div>"
    if found.change:
        lines = "".join(f"<li>{escape(line)}</li>" for line in found.change)
        yield f"<h3>What would change it</h3><ul>{lines}</ul>"


def _latest(report: Report, metrics: dict[str, Metric], drawn: Sequence[Plot]) -> Iterator[str]:
    phase = report.phases[0]
    yield f"<h2>Effects against {escape(report.control)}</h2><p class=note>{escape(_when(phase))}</p>"
    if not phase.readable.now:
        yield f"<p><strong>{escape(phase.readable.reason)}.</strong> Effects are not shown before.</p>"
    yield _effects(phase.arms, metrics)
    if report.primary is not None:
        for name, each in phase.switchbacks.items():
            said = slots_in_words(metrics[report.primary], each)
            yield f"<p><b>{escape(name)}</b> over slots: {escape(said)}</p>"
    if any(arm.guardrails for arm in phase.arms):
        yield "<h2>Guardrails</h2>"
        yield table(
            ("arm", "metric", "status", "", "then"),
            (
                (
                    arm.arm,
                    each.guardrail.metric or each.guardrail.title,
                    each.status,
                    each.reason,
                    each.guardrail.action,
                )
                for arm in phase.arms
                for each in arm.guardrails
            ),
        )
    if any(arm.overall is not None for arm in phase.arms):
        yield from _overalls(phase.arms)
    if report.decision.checklist:
        yield "<h2>Checklist</h2>" + _checklist(report.decision.checklist)
    if drawn:
        yield "<h2>Plots</h2><div class=plots>"
        yield from (f"<figure>{plot.svg}<figcaption>{escape(plot.title)}</figcaption></figure>" for plot in drawn)
        yield "</div>"
    if phase.slices and report.primary is not None:
        yield from _slices(phase.slices, metrics[report.primary])
    yield from _correlations(phase)


def _when(phase: Studied) -> str:
    start = moment(phase.start) if phase.start is not None else "an unknown time"
    end = moment(phase.end) if phase.end is not None else "now"
    units = ", ".join(f"{arm} {count:,}" for arm, count in phase.units.items())
    return f"Run {phase.run}, phase {phase.phase}, from {start} to {end}. Units: {units}."


def _effects(arms: Iterable[Compared], metrics: dict[str, Metric]) -> str:
    rows = []
    for arm in arms:
        for each in arm.measures:
            metric, effect = metrics[each.metric], each.effect
            values = ("", "", "")
            if isinstance(effect, Effect):
                values = (
                    absolute_in_words(metric, effect),
                    value_in_words(metric, effect.control.value, effect.control.standard_error),
                    value_in_words(metric, effect.treatment.value, effect.treatment.standard_error),
                )
            p = "" if each.p is None else _p(each.p)
            chance = "" if each.chance_to_win is None else f"{each.chance_to_win:.1%}"
            said = effect_in_words(metric, effect)
            rows.append((arm.arm, each.metric, said, each.direction, each.role, *values, p, chance))
    titles = ("arm", "metric", "change", "shown", "role", "difference", "control", "arm has", "p", "chance to win")
    return table(titles, rows)


def _p(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}"


def _overalls(arms: Iterable[Compared]) -> Iterator[str]:
    yield "<h2>Overall criterion</h2>"
    for arm in arms:
        if arm.overall is None:
            continue
        yield f"<p><b>{escape(arm.arm)}</b>: {escape(overall_in_words(arm.overall))}</p>"
        if isinstance(arm.overall, Overall):
            yield table(
                ("metric", "weight", "change, + is better", "without it", "sign turns at a weight of"),
                (
                    (
                        part.metric,
                        f"{part.weight:.3g}",
                        f"{100 * part.change:+.3g} %",
                        "" if part.without is None else f"{100 * part.without:+.3g} %",
                        "none" if part.flips_at is None else f"{part.flips_at:.2g}",
                    )
                    for part in arm.overall.parts
                ),
            )
            yield "".join(f"<p class=note>{escape(note)}</p>" for note in arm.overall.notes)


def _checklist(lines: Iterable[Check]) -> str:
    rows = "".join(
        f'<tr><td>{escape(line.name)}</td><td class="status {line.status}">{line.status}</td>'
        f"<td>{'must' if line.hard else 'told'}</td><td>{escape(line.evidence)}</td></tr>"
        for line in lines
    )
    head = "<tr><th>line</th><th>status</th><th></th><th>evidence</th></tr>"
    return f"<div class=scroll><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>"


def _slices(found: Iterable[Sliced], metric: Metric) -> Iterator[str]:
    yield "<h2>Slices</h2><p class=note>Corrected over all slices; they warn, and decide nothing.</p>"
    for each in found:
        told = " (may be an effect of the arm itself: a description only)" if each.descriptive else ""
        yield f"<h3>{escape(each.arm)} by {escape(' and '.join(each.slicing))}{told}</h3>"
        if each.reversed:
            yield "<p><strong>The slices say the opposite of the whole (Simpson's paradox).</strong></p>"
        yield table(
            (*each.slicing, "units", "change", "difference", "p", "shown"),
            (_level(each.slicing, level, metric) for level in each.levels),
        )
        if each.gaps:
            yield table(
                ("gap in", "highest", "lowest", "difference"), (_gap(each.slicing, gap, metric) for gap in each.gaps)
            )


def _level(slicing: Sequence[str], level: Level, metric: Metric) -> tuple[str, ...]:
    effect = level.effect
    absolute = absolute_in_words(metric, effect) if isinstance(effect, Effect) else ""
    p = "" if level.p is None else _p(level.p)
    named = (level_in_words(name, value) for name, value in zip(slicing, level.values, strict=True))
    return (*named, f"{level.units:,}", effect_in_words(metric, effect), absolute, p, level.direction)


def _gap(slicing: Sequence[str], gap: Gap, metric: Metric) -> tuple[str, ...]:
    share = metric.kind in ("proportion", "retention", "funnel")
    said = (
        percent_with(gap.value, gap.interval).replace(" %", " pp")
        if share
        else with_interval(gap.value, gap.interval, "")
    )
    return gap.of, slice_in_words(slicing, gap.high), slice_in_words(slicing, gap.low), said


def _correlations(phase: Studied) -> Iterator[str]:
    pairs = [(one, two, number(value)) for one, others in phase.correlations.items() for two, value in others.items()]
    if pairs:
        yield "<h2>Correlations of metrics</h2><p class=note>Between units, within arms.</p>"
        yield table(("metric", "metric", "correlation"), pairs)


def _notes(report: Report) -> Iterator[str]:
    notes = report.notes
    fields = (
        ("hypothesis", report.hypothesis),
        ("owner", report.owner),
        ("what was learned", notes.learned if notes is not None else None),
        ("the next bet", notes.next if notes is not None else None),
    )
    yield "<h2>Notes</h2><dl>"
    for title, text in fields:
        yield f"<dt>{title}</dt><dd>{escape(text) if text else '<span class=note>not written down yet</span>'}</dd>"
    yield "</dl>"


def _earlier(report: Report, metrics: dict[str, Metric]) -> Iterator[str]:
    if len(report.phases) > 1:
        yield "<h2>Earlier phases</h2><p class=note>Each by itself: phases are not pooled.</p>"
    for phase in report.phases[1:]:
        yield f"<h3>{escape(_when(phase))}</h3>{_effects(phase.arms, metrics)}"
