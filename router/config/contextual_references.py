"""What a linear policy needs of its experiment.

Responsible for: features that are attributes of the route, each once; a unit that is drawn anew; a floor.
Does not know: rewards, floors of several arms (``bandit_references``), shapes and ranges of values.

Rules: those of ``references``.
"""

from collections.abc import Mapping
from typing import Any, Final

from router.config.allocate import CONTEXTUAL
from router.config.mistake import show
from router.config.parts import Report, named, part
from router.config.resolve import BROKEN

_KEYS: Final[Mapping[str, frozenset[str]]] = {
    "features": CONTEXTUAL,
    "ridge": CONTEXTUAL,
    "draws": frozenset({"linear_thompson"}),
    "alpha": frozenset({"lin_ucb"}),
}


def check_contextual(path: str, experiment: Mapping[str, Any], config: Mapping[str, Any], report: Report) -> None:
    """Report what a linear policy lacks or has no use for, and its keys where there is none."""
    allocate, at = part(experiment, "allocate"), f"{path}.allocate"
    use = allocate.get("use", "fixed")
    if use is BROKEN:
        return
    for key, policies in _KEYS.items():
        if key in allocate and use not in policies:
            report(f"{at}.{key}", f"has no effect with {use}; it is for {', '.join(sorted(policies))}")
    if use not in CONTEXTUAL:
        return
    if experiment.get("unit") != ["request"] and experiment.get("unit") is not BROKEN:
        report(
            at,
            f"{use} gives a unit another arm when its features or the model change, and a unit that was in two arms "
            "tells nothing; say unit: [request]",
        )
    if use == "lin_ucb" and allocate.get("floor") in (None, 0):
        report(
            at if "floor" not in allocate else f"{at}.floor",
            "lin_ucb gives everything to one arm; without a floor above 0 nothing is learned of the others",
        )
    _features(at, allocate, experiment, config, report)


def _features(
    at: str, allocate: Mapping[str, Any], experiment: Mapping[str, Any], config: Mapping[str, Any], report: Report
) -> None:
    if "features" not in allocate:
        report(at, 'key "features" is missing: attributes of the route that the policy looks at')
        return
    features = allocate["features"]
    if not isinstance(features, list):
        return
    route = named(config, "routes").get(str(experiment.get("route")), {})
    known = part(route, "attributes")
    seen: set[str] = set()
    for index, feature in enumerate(features):
        place = f"{at}.features[{index}]"
        if not isinstance(feature, dict):
            continue
        given = [key for key in ("category", "number") if key in feature]
        if len(given) != 1:
            report(place, "is either a category or a number: an attribute's name, {category: …} or {number: …}")
            continue
        name = feature[given[0]]
        if name is BROKEN:
            continue
        if given == ["number"] and "values" in feature:
            report(f"{place}.values", "has no effect, because a number has no values to be told apart")
        if name in seen:
            report(place, f"attribute {show(name)} is a feature already")
        seen.add(name)
        if name not in known and BROKEN not in known.values():
            there = ", ".join(sorted(known)) or "none"
            report(place, f"route {show(experiment.get('route'))} has no attribute {show(name)}; it has: {there}")
