"""What metrics say about themselves, and experiments about metrics.

Responsible for: keys that a kind needs or cannot have, metrics that must exist, events that are kept long enough.
Does not know: what one value says alone; that was resolved before.

Rules: those of ``references``.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from router.config import scalars
from router.config.condition import metrics_of
from router.config.condition_parser import parse
from router.config.metric import DAY, KINDS
from router.config.mistake import child, show
from router.config.parts import Report, items, must_exist, named, part
from router.config.resolve import BROKEN
from router.config.schema import Keep

_COMMON = frozenset({"name", "kind", "goal"})
_WINDOWLESS = "every exchange from the first exposure on counts"


def check_metrics(config: Mapping[str, Any], report: Report) -> None:
    """Report what each metric has that its kind cannot have, lacks, or cannot be computed from what is kept."""
    for path, metric in items(config, "metrics"):
        kind = metric.get("kind", BROKEN)
        if kind is not BROKEN:
            _kind(path, kind, metric, report)
    _measured(config, report)
    _kept(config, report)


def _kind(path: str, kind: str, metric: Mapping[str, Any], report: Report) -> None:
    needs = KINDS[kind]
    sources = [key for group in needs.sources for key in group]
    chosen = [group for group in needs.sources if any(key in metric for key in group)]
    wanted = " or ".join(" and ".join(group) for group in needs.sources)
    if len(chosen) != 1:
        report(path, f"a {kind} needs {wanted}" + ("; it has more than one of them" if chosen else ""))
        return
    for key in (*chosen[0], *needs.required):
        if key not in metric:
            report(path, f"a {kind} needs {key}")
    for key in metric:
        if key not in _COMMON and key not in sources and key not in needs.required + needs.optional:
            report(f"{path}.{key}", f"a {kind} has no {key}")
    steps = metric.get("steps")
    if isinstance(steps, list) and len(steps) < 2:
        report(f"{path}.steps", "a funnel needs at least two steps")
    if chosen[0] == ("exchange",):
        _exchange(path, metric, report)
    elif "sample" in metric:
        report(f"{path}.sample", "has no effect without exchange: json:/POINTER")


def _exchange(path: str, metric: Mapping[str, Any], report: Report) -> None:
    source = metric["exchange"]
    if source is BROKEN:
        return
    if "grace" in metric and "window" not in metric:
        report(f"{path}.grace", f"has no effect without window: {_WINDOWLESS}")
    if "sample" in metric and not source.startswith("json:"):
        report(f"{path}.sample", f"has no effect on {show(source)}, which is read from every exchange")
    if metric["kind"] == "quantile" and source == "failed":
        report(f"{path}.exchange", '"failed" is yes or no and has no quantile; use kind: ratio')
    if metric["kind"] == "proportion" and source in ("duration", "first_byte"):
        report(f"{path}.exchange", f"{show(source)} is no yes or no; use kind: mean, ratio or quantile")


def _measured(config: Mapping[str, Any], report: Report) -> None:
    metrics = named(config, "metrics")
    for path, experiment in items(config, "experiments"):
        seen: dict[str, str] = {}
        for at, name in _names(path, experiment):
            if must_exist(at, name, metrics, "metric", report) and seen.setdefault(name, at) != at:
                report(at, f"{show(name)} is {seen[name]} already")
        for at, name in _also(path, experiment):
            must_exist(at, name, metrics, "metric", report)


def _names(path: str, experiment: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    measured = part(experiment, "metrics")
    if "primary" in measured:
        yield f"{path}.metrics.primary", measured["primary"]
    secondary = measured.get("secondary", ())
    for index, name in enumerate(secondary if isinstance(secondary, list) else ()):
        yield f"{path}.metrics.secondary[{index}]", name


def _also(path: str, experiment: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Give the metrics that may be named above, too: of guardrails, and of the overall criterion."""
    measured = part(experiment, "metrics")
    for at, guardrail in items(measured, "guardrails", f"{path}.metrics"):
        if "metric" in guardrail:
            yield f"{at}.metric", guardrail["metric"]
    for name in part(measured, "oec"):
        yield child(f"{path}.metrics.oec", name), name


def _conditions(path: str, experiment: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give the metrics that conditions name; whether they exist is ``guardrail_references``'s to say."""
    for at, guardrail in items(part(experiment, "metrics"), "guardrails", f"{path}.metrics"):
        if guardrail.get("when", BROKEN) is not BROKEN:
            for name in metrics_of(parse(guardrail["when"])):
                yield f"{at}.when", name


def _kept(config: Mapping[str, Any], report: Report) -> None:
    """Report metrics that would need events that are deleted by then."""
    keep = part(part(config, "events"), "keep").get("age", Keep().age)
    if keep is BROKEN:
        return
    longest: dict[str, tuple[float, str]] = {}
    for path, experiment in items(config, "experiments"):
        length = _length(part(experiment, "active"))
        for _, name in (*_names(path, experiment), *_also(path, experiment), *_conditions(path, experiment)):
            if name is not BROKEN and length > longest.get(name, (0.0, ""))[0]:
                longest[name] = (length, f"experiment {show(experiment.get('name'))}")
    for path, metric in items(config, "metrics"):
        day, window = metric.get("day", 0), metric.get("window", 0.0)
        before, grace = part(metric, "covariate").get("before", 0.0), metric.get("grace", 0.0)
        if BROKEN in (day, window, before, grace, metric.get("name", BROKEN)):
            continue
        length, whose = longest.get(metric["name"], (0.0, ""))
        room = (day + 1) * DAY if day else window
        wanted = ((before, "covariate"), (length, whose), (room, "window"), (grace, "grace"))
        parts = [(seconds, what) for seconds, what in wanted if seconds]
        needed = sum(seconds for seconds, _ in parts)
        if needed > keep:
            sums = " + ".join(f"{scalars.format_duration(seconds)} ({what})" for seconds, what in parts)
            report(
                path,
                f"needs events of {sums} = {scalars.format_duration(needed)}, but events.keep.age is "
                f"{scalars.format_duration(keep)}; raise it, or shorten these",
            )


def _length(active: Mapping[str, Any]) -> float:
    """Give how long an experiment is active, in seconds; 0 when that is not said."""
    start, until = active.get("from", BROKEN), active.get("until", BROKEN)
    return 0.0 if start is BROKEN or until is BROKEN else max(0.0, float(until) - float(start))
