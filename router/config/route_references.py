"""What routes say about targets, and about each other.

Responsible for: targets that must exist, matches that collide, fallbacks that can answer, shadows named twice.
Does not know: what one value says alone; that was resolved before.

Rules: those of ``references``.
"""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from router.config.evaluators import asked, check_rule
from router.config.facts import attribute_in
from router.config.mistake import child, show
from router.config.parts import Report, items, must_exist, named, part
from router.config.resolve import BROKEN
from router.config.schema import Cause

_STEPS = ("target", "cached", "rules", "respond")
_BARE = (204, 205, 304)  # statuses of answers without content (RFC 9110 6.4.1, 15.3.6)


def check_routes(config: Mapping[str, Any], report: Report) -> None:
    """Report what each route says that cannot be."""
    targets = named(config, "targets")
    split = {experiment.get("route") for _, experiment in items(config, "experiments")}
    for path, route in items(config, "routes"):
        must_exist(f"{path}.target", route.get("target", BROKEN), targets, "target", report)
        match = part(route, "match")
        if "path" in match and "exact" in match:
            report(f"{path}.match", "has both path and exact; a request can only be matched by one of them")
        lower: dict[str, str] = {}
        for name in part(match, "headers"):
            if lower.setdefault(name.lower(), name) != name:
                report(child(f"{path}.match.headers", name), f"is the same header as {show(lower[name.lower()])}")
        units = route.get("unit", [])
        if isinstance(units, list) and "request" in units[:-1]:
            report(f"{path}.unit[{units.index('request')}]", '"request" is always present; what follows is never used')
        _fallback(path, route, config, report)
        chosen = route.get("name") in split or any("target" in step for _, step in items(route, "degrade", path))
        _unused(path, route, report, chosen=chosen)
        _shadows(path, route, targets, report)
        if route.get("inspect_bytes") == 0:
            for at in _json_sources(path, route):
                report(at, "reads the body, but inspect_bytes is 0")


def _fallback(path: str, route: Mapping[str, Any], config: Mapping[str, Any], report: Report) -> None:
    targets = named(config, "targets")
    steps = list(items(route, "fallback", path))
    if "fallback_on" in route and "fallback" not in route:
        report(f"{path}.fallback_on", "has no effect without fallback")
    cached = [f"{at}.cached" for at, step in steps if "cached" in step]
    for at in cached[1:]:
        report(at, f"the route has {cached[0]} already; there is one last answer to a question")
    started, attributes = route.get("fallback_on", get_args(Cause)), part(route, "attributes")
    for at, step in steps:
        if "target" in step:
            must_exist(f"{at}.target", step["target"], targets, "target", report)
        if sum(kind in step for kind in _STEPS) != 1:
            report(at, f"needs exactly one of {', '.join(_STEPS)}")
        if step.get("target") in _STEPS[1:]:
            report(f"{at}.target", f"{show(step['target'])} is what x-router-fallback calls an answer of that kind")
        for condition, rule in _conditions(at, step, report):
            check_rule(rule, condition, config, report)
            for where, name in asked(rule, condition, config):
                must_exist(where, attribute_in(name, attributes) or name, attributes, "attribute", report)
        _causes(at, step, started, report)
        _content(at, step, report)


def _unused(path: str, route: Mapping[str, Any], report: Report, *, chosen: bool) -> None:
    """Report what no request would ever come to; ``chosen`` is whether another target may be tried first."""
    steps = list(items(route, "fallback", path))
    if steps and route.get("fallback_on") == []:
        report(f"{path}.fallback_on", "is empty, so no fallback is ever used")
    tried = {} if chosen else {route.get("target"): f"{path}.target"}
    final = ""
    for at, step in steps:
        if final:
            report(at, f"is never used: {final} answers whatever comes to it")
            return
        name = step.get("target")
        if name is not None and name is not BROKEN and name in tried:
            report(f"{at}.target", f"is never used: {show(name)} was tried before, as {tried[name]}")
        if not step.get("causes"):
            tried.setdefault(name, f"{at}.target")
            final = at if "respond" in step else ""


def _content(path: str, step: Mapping[str, Any], report: Report) -> None:
    answers = [(f"{path}.respond", part(step, "respond"))]
    answers += [(f"{at}.respond", part(rule, "respond")) for at, rule in items(step, "rules", path)]
    for at, answer in answers:
        if answer.get("status") in _BARE and answer.get("json") is not None:
            report(f"{at}.json", f"is never sent: an answer of status {answer['status']} has no content")


def _causes(path: str, step: Mapping[str, Any], started: Any, report: Report) -> None:
    causes = step.get("causes", ())
    if isinstance(started, list | tuple) and isinstance(causes, list):
        for index, cause in enumerate(causes):
            if cause is not BROKEN and BROKEN not in started and cause not in started:
                report(f"{path}.causes[{index}]", f"{show(cause)} is not in fallback_on")


def _conditions(path: str, step: Mapping[str, Any], report: Report) -> Iterator[tuple[str, Any]]:
    """Give the conditions of a step's rules, each with its place."""
    if step.get("rules") == []:
        report(f"{path}.rules", "is empty")
    for at, rule in items(step, "rules", path):
        condition = rule.get("if", BROKEN)
        if condition is not BROKEN:
            yield f"{at}.if", condition


def _shadows(path: str, route: Mapping[str, Any], targets: Mapping[str, object], report: Report) -> None:
    seen: dict[str, str] = {}
    for at, shadow in items(route, "shadow", path):
        name = shadow.get("target", BROKEN)
        if must_exist(f"{at}.target", name, targets, "target", report) and seen.setdefault(name, at) != at:
            report(f"{at}.target", f"{show(name)} is already the shadow {seen[name]}; give that one a larger share")


def _json_sources(path: str, route: Mapping[str, Any]) -> Iterator[str]:
    if part(part(route, "match"), "json"):
        yield f"{path}.match.json"
    units = route.get("unit")
    for index, source in enumerate(units if isinstance(units, list) else ()):
        if isinstance(source, str) and source.startswith("json:"):
            yield f"{path}.unit[{index}]"
    for name, source in part(route, "attributes").items():
        if isinstance(source, str) and source.startswith("json:"):
            yield child(f"{path}.attributes", name)


def check_matches(config: Mapping[str, Any], report: Report) -> None:
    """Report routes that match the same requests."""
    seen: dict[object, str] = {}
    for path, route in items(config, "routes"):
        if route.get("match") is BROKEN:
            continue
        match = part(route, "match")
        parts = (match.get("path", "/" if "exact" not in match else None), match.get("exact"))
        many = tuple(match.get(key, ()) for key in ("hosts", "methods"))
        maps = tuple(match.get(key, {}) for key in ("headers", "json"))
        if BROKEN in parts or BROKEN in many or BROKEN in maps or any(BROKEN in part for part in many):
            continue
        key = (
            *parts,
            *(frozenset(part) for part in many),
            frozenset((name.lower(), value) for name, value in maps[0].items()),
            frozenset((pointer, type(value), value) for pointer, value in maps[1].items()),
        )
        if seen.setdefault(key, path) != path:
            place = f"{path}.match" if "match" in route else path
            report(place, f"matches exactly the requests of {seen[key]}; one of them would never be used")
