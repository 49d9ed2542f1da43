"""What has to fit together in a guardrail.

Responsible for: exactly one form, keys of other forms, margins and limits on the side that is worse, units that fit the
metric, names within conditions, burn rates that can be reached; whether an experiment is guarded without a control.
Does not know: shapes and ranges of values, which the schema checks; how guardrails are judged.

Rules: those of ``references``.
"""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from router.config.condition import Comparison, Limit, comparisons, name_of, needs_control
from router.config.condition_parser import parse, parse_bound
from router.config.counted import counted
from router.config.guardrail import FORMS, LIMITS
from router.config.mistake import show
from router.config.parts import Report, items, named, part
from router.config.resolve import BROKEN
from router.config.scalars import format_duration, format_share

_OF: Final[Mapping[str, str]] = {"over": "trend", "within": "slo", "period": "slo", "burn": "slo"}
_SHARES: Final = ("proportion", "retention", "funnel")
_QUANTITIES: Final = ("error_rate", "p50", "p90", "p95", "p99", "p99.9", "rate", "exchanges", "inflight")


def check_guardrails(config: Mapping[str, Any], report: Report) -> None:
    """Report guardrails that say nothing, two things, or something that could never be."""
    metrics = named(config, "metrics")
    for path, experiment in items(config, "experiments"):
        seen: dict[str, str] = {}
        for at, guardrail in items(part(experiment, "metrics"), "guardrails", f"{path}.metrics"):
            form = _form(at, guardrail, report)
            if form is None:
                continue
            identity = repr([guardrail.get("metric"), form, guardrail[form], guardrail.get("within")])
            if guardrail[form] is not BROKEN and seen.setdefault(identity, at) != at:
                report(at, f"is {seen[identity]} already")
            if form == "when":
                _when(f"{at}.when", guardrail["when"], metrics, report)
            elif form == "slo":
                _slo(at, guardrail, report)
            else:
                _of_metric(at, form, guardrail, metrics.get(guardrail.get("metric", ""), {}), report)


def standalone(experiment: Mapping[str, Any]) -> bool:
    """Return whether something guards an experiment that has no control: a hard limit, objective or condition.

    Args:
        experiment: The experiment as resolved; what is broken in it counts, because it was reported already.
    """
    if experiment.get("metrics") is BROKEN:
        return True
    rails = part(experiment, "metrics").get("guardrails", ())
    return rails is BROKEN or any(rail is BROKEN or _alone(rail) for rail in rails)


def _alone(rail: Mapping[str, Any]) -> bool:
    if rail.get("action", "rollback") not in ("rollback", BROKEN) or rail.get("dry_run") is True:
        return False
    text = rail.get("when")
    if text is not None:
        return text is BROKEN or not needs_control(parse(text))
    return any(key in rail for key in (*LIMITS, "slo"))


def _form(at: str, guardrail: Mapping[str, Any], report: Report) -> str | None:
    """Return the form of a guardrail, and report keys of others; None when it has not exactly one."""
    found = [form for form in FORMS if form in guardrail]
    if len(found) != 1:
        wanted = f"needs one of {', '.join(FORMS[:-1])} and {FORMS[-1]}"
        report(at, wanted + (f"; it has {' and '.join(found)}" if found else ""))
        return None
    (form,) = found
    for key, of in _OF.items():
        if key in guardrail and form != of:
            report(f"{at}.{key}", f"has no effect without {of}")
    if "negligible" in guardrail and form not in ("ratio", "relative"):
        report(f"{at}.negligible", "has no effect without ratio or relative, which say little where control has few")
    if form in ("slo", "when") and "metric" in guardrail:
        what = "names its metrics itself" if form == "when" else "is of the exchanges; say within for slow ones"
        report(f"{at}.metric", f"has no effect with {form}, which {what}")
    if form not in ("slo", "when") and "metric" not in guardrail:
        report(at, f'key "metric" is missing: {form} is of a metric')
    return form


def _of_metric(at: str, form: str, guardrail: Mapping[str, Any], metric: Mapping[str, Any], report: Report) -> None:
    value, goal = guardrail[form], metric.get("goal", BROKEN)
    if BROKEN in (value, goal):
        return
    named_ = f"{show(guardrail['metric'])} has goal: {goal}"
    if form in LIMITS:
        if (form == "at_most") == (goal == "up"):
            other = "at_least" if goal == "up" else "at_most"
            report(f"{at}.{form}", f"allows whatever is worse: {named_}, so write {other}")
            return
        limit = parse_bound(value) if isinstance(value, str) else Limit(value)
        for wrong in _unit(metric, limit):
            report(f"{at}.{form}", wrong)
        return
    none = 1.0 if form == "ratio" else 0.0
    if value == none or (value > none) == (goal == "up"):
        side = "below" if goal == "up" else "above"
        what = "slope" if form == "trend" else "margin"
        report(f"{at}.{form}", f"allows nothing worse: {named_}, so a {what} is {side} {none:g}")
    if "negligible" in guardrail and metric.get("exchange") != "failed" and metric.get("kind") not in _SHARES:
        report(f"{at}.negligible", f"is a difference of shares, and {show(guardrail['metric'])} is none")
    if form == "trend" and counted(metric) is None:
        report(
            f"{at}.metric",
            f"{show(guardrail['metric'])} is not counted by time; a trend is of a ratio with exchange: failed, or of a "
            "quantile with exchange: duration",
        )


def _unit(metric: Mapping[str, Any], limit: Limit) -> Iterator[str]:
    """Give what is wrong with the unit of a limit on a metric."""
    kind, exchange = metric.get("kind"), metric.get("exchange")
    if exchange in ("duration", "first_byte") and kind != "proportion":
        if limit.unit != "seconds":
            yield "is of a duration; write a number and a unit, as in 250ms"
    elif limit.unit == "seconds":
        yield f"{format_duration(limit.value)} is a duration, and the metric is none"
    elif (kind in _SHARES or exchange == "failed") and not 0 <= limit.value <= 1:
        yield "is of a share, which is between 0% and 100%"


def _slo(at: str, guardrail: Mapping[str, Any], report: Report) -> None:
    objective, period = guardrail["slo"], guardrail.get("period", 30 * 86400.0)
    if BROKEN in (objective, period):
        return
    budget = round(1 - objective, 9)
    for place, burn in items(guardrail, "burn", at):
        rate, long, short = (burn.get(key, BROKEN) for key in ("rate", "long", "short"))
        if BROKEN not in (long, short) and short >= long:
            report(f"{place}.short", f"{format_duration(short)} is not shorter than long, {format_duration(long)}")
        if rate is not BROKEN and rate * budget >= 1:
            report(
                f"{place}.rate", f"is never reached: {rate:g} times a budget of {format_share(budget)} is 100% or more"
            )
    burns = [burn for _, burn in items(guardrail, "burn", at)]
    tickets = bool(burns) and all(burn.get("severity") == "ticket" for burn in burns)
    if tickets and guardrail.get("action", "rollback") not in ("warn", BROKEN):
        report(f"{at}.burn", "has tickets only, which are told and no more; write action: warn, or a page")
    if "burn" not in guardrail and 14.4 * budget >= 1:  # the fastest of the defaults, within an hour of 30 days
        shown = format_share(objective)
        report(f"{at}.slo", f"{shown} leaves a budget that cannot burn at the default rates; give burn")


def _when(at: str, text: Any, metrics: Mapping[str, Any], report: Report) -> None:
    if text is BROKEN:
        return
    for each in comparisons(parse(text)):
        name = each.quantity.name
        if not name:
            continue
        if name not in metrics:
            near = difflib.get_close_matches(name, (*_QUANTITIES, *metrics), 1)
            known = ", ".join([*_QUANTITIES[:1], "p99", *_QUANTITIES[6:], *sorted(metrics)[:10]])
            hint = f"did you mean {show(near[0])}?" if near else f"there are: {known}"
            report(at, f"there is no quantity or metric {show(name)}; {hint}")
        elif not each.quantity.change:
            _compared(at, each, metrics[name], report)


def _compared(at: str, each: Comparison, metric: Mapping[str, Any], report: Report) -> None:
    """Report what cannot be asked of a metric."""
    if BROKEN in (metric.get("kind", BROKEN), metric.get("exchange")):
        return
    shown = name_of(each.quantity)
    if each.for_s is not None and counted(metric) is None:
        report(at, f'"for" has no effect on {shown}, which is known of the whole phase; leave it out')
    if not each.limit.of_control:
        for wrong in _unit(metric, each.limit):
            report(at, f"{shown}: {wrong}")
