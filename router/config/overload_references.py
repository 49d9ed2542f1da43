"""What the keys about too much traffic say about each other.

Responsible for: targets that must exist and must have a limit to be compared with, features that can be dropped,
header fields that may be set.
Does not know: what one value says alone; that was resolved before.

Rules: those of ``references``.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from router.config.mistake import child, show
from router.config.parts import Report, given, items, must_exist, named, part
from router.config.resolve import BROKEN

_ACTIONS = ("header", "drop", "target", "shed")
_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")  # RFC 9110 5.5, without obs-text
# Fields that say where a message ends or whom it is for (RFC 9110 7.6.1), and those that the router sets itself.
_RESERVED = frozenset(
    {
        "connection", "content-length", "expect", "host", "http2-settings", "keep-alive", "proxy-connection", "te",
        "trailer", "transfer-encoding", "upgrade", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
        "x-request-id",
    }
)  # fmt: skip


def check_overload(config: Mapping[str, Any], report: Report) -> None:
    """Report what routes say about too much traffic that cannot be."""
    targets = named(config, "targets")
    for path, route in items(config, "routes"):
        steps = list(items(route, "degrade", path))
        for at, step in steps:
            _step(at, step, route, report)
            if "target" in step:
                must_exist(f"{at}.target", step["target"], targets, "target", report)
        units = route.get("unit", ())
        if part(route, "rate_limit").get("per") == "unit" and isinstance(units, list) and "request" in units:
            report(
                f"{path}.rate_limit.per", 'has no effect, because the unit "request" is another one for each request'
            )
        if steps:
            _limited(path, config, route, report)
        if "features" in route and not any("drop" in step for _, step in steps):
            report(f"{path}.features", "has no effect, because no step of degrade has drop")


def _step(at: str, step: Mapping[str, Any], route: Mapping[str, Any], report: Report) -> None:
    if not any(action in step for action in _ACTIONS):
        report(at, f"does nothing; give it one of {', '.join(_ACTIONS)}")
    if "drop" in step and not route.get("features", {}):
        report(f"{at}.drop", "there are no features to drop; give the route features: {NAME: IMPORTANCE}")
    seen: dict[str, str] = {}
    for name, value in part(step, "header").items():
        place = child(f"{at}.header", name)
        lower = name.lower()
        if lower in _RESERVED or lower.startswith("x-router-"):
            report(place, f"{show(name)} is set by the router itself, or says where a message ends")
        elif seen.setdefault(lower, name) != name:
            report(place, f"is the same header as {show(seen[lower])}")
        if value is not BROKEN and not _VALUE.fullmatch(value):
            report(place, f"{show(value)} is not a header value; use visible ASCII, with spaces inside only")


def _limited(path: str, config: Mapping[str, Any], route: Mapping[str, Any], report: Report) -> None:
    """Report targets of the route whose load has no measure."""
    targets = named(config, "targets")
    for name in dict.fromkeys(_assigned(config, route)):
        if name in targets and "concurrency" not in targets[name]:
            report(f"{path}.degrade", f"target {show(name)} has no concurrency, so it has no load to go by")


def _assigned(config: Mapping[str, Any], route: Mapping[str, Any]) -> Iterator[str]:
    """Give the targets that the route's requests are assigned to."""
    if given(route, "target"):
        yield route["target"]
    for _, experiment in items(config, "experiments"):
        if given(route, "name") and experiment.get("route") == route["name"]:
            for _, arm in items(experiment, "arms"):
                if given(arm, "target"):
                    yield arm["target"]
