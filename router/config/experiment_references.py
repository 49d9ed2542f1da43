"""What experiments say about targets and routes, and what overrides say about experiments.

Responsible for: arms that can serve, weights that add up, units that exist, conditions that can be met.
Does not know: how experiments share units (``structure_references``); what one value says alone.

Rules: those of ``references``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from router.config.allocate import DRIVEN
from router.config.allocate_references import check_allocate
from router.config.bandit_references import check_bandit
from router.config.contextual_references import check_contextual
from router.config.metric import SLICES
from router.config.mistake import show
from router.config.parts import Report, given, items, must_exist, named, part, unique_names
from router.config.release_references import check_release
from router.config.resolve import BROKEN
from router.config.switch_references import check_switch
from router.config.targeting_references import check_eligible, check_time_zone

MIN_WEIGHT = 1e-9  # below it, -ln(u)/weight of the assignment loses its precision
MAX_UNIT_BYTES = 512  # longer ones are taken for absent (router.routing.source)


def check_experiments(config: Mapping[str, Any], report: Report) -> None:
    """Report what each experiment says that cannot be."""
    routes = named(config, "routes")
    for path, experiment in items(config, "experiments"):
        arms = list(items(experiment, "arms", path))
        unique_names(arms, report)
        _choices(arms, named(config, "targets"), report, flag="flag" in experiment)
        names = {arm["name"]: arm for _, arm in arms if given(arm, "name")}
        if "control" in experiment:
            must_exist(f"{path}.control", experiment["control"], names, "arm", report)
        _weights(arms, report, path, part(experiment, "allocate").get("use"))
        _active(path, part(experiment, "active"), report)
        check_allocate(path, part(experiment, "allocate"), arms, report)
        check_release(path, experiment, config, report)
        check_switch(path, experiment, config, report)
        check_bandit(path, experiment, config, report)
        check_contextual(path, experiment, config, report)
        route = experiment.get("route", BROKEN)
        if must_exist(f"{path}.route", route, routes, "route", report):
            _on_route(path, experiment, config, report)


def _choices(
    arms: Sequence[tuple[str, dict[str, Any]]], targets: Mapping[str, object], report: Report, *, flag: bool
) -> None:
    """Report arms that are neither targets nor values, or some this and some that."""
    for at, arm in arms:
        if "target" in arm:
            must_exist(f"{at}.target", arm["target"], targets, "target", report)
        if "target" in arm and "value" in arm:
            report(at, "has both target and value; an arm is one of them")
        elif flag and "target" in arm:
            report(f"{at}.target", "is not for arms of a flag; give the arm a value")
        elif flag and "value" not in arm:
            report(at, "has no value for the flag")
        elif not flag and "value" in arm:
            report(f"{at}.value", "is the value of no flag; say which with flag")
        elif not flag and "target" not in arm:
            report(at, 'key "target" is missing: target that serves this arm')


def _weights(arms: Sequence[tuple[str, dict[str, Any]]], report: Report, path: str, use: object) -> None:
    for at, arm in arms:
        if "weight" not in arm and use not in DRIVEN and use is not BROKEN:
            report(at, 'key "weight" is missing: relative share of units; 0 serves nobody but overrides')
    weights = [arm.get("weight", BROKEN) for _, arm in arms]
    if weights and BROKEN not in weights and not any(weights):
        report(f"{path}.arms", "every arm has weight 0; one needs more")
    for (at, _), weight in zip(arms, weights, strict=True):
        if weight is not BROKEN and 0 < weight < MIN_WEIGHT:
            report(f"{at}.weight", f"{weight} is too small; the least above 0 is {MIN_WEIGHT}")


def _active(path: str, active: Mapping[str, Any], report: Report) -> None:
    start, until = active.get("from", BROKEN), active.get("until", BROKEN)
    if BROKEN not in (start, until) and not start < until:
        report(f"{path}.active.until", "is not after from, so the experiment would never run")


def _on_route(path: str, experiment: Mapping[str, Any], config: Mapping[str, Any], report: Report) -> None:
    route = named(config, "routes")[experiment["route"]]
    shown = show(route.get("name"))
    slotted = part(experiment, "allocate").get("use") == "switchback"
    if not route.get("unit") and not experiment.get("unit") and not slotted:
        report(f"{path}.route", f"route {shown} has no unit, so nobody can be assigned; give it unit: [...]")
    units = experiment.get("unit", [])
    if isinstance(units, list):
        for index, source in enumerate(units):
            if isinstance(source, str) and source.startswith("json:") and route.get("inspect_bytes") == 0:
                report(f"{path}.unit[{index}]", f"reads the body, but inspect_bytes of route {shown} is 0")
        if "request" in units[:-1]:
            report(f"{path}.unit[{units.index('request')}]", '"request" is always present; what follows is never used')
    attributes = part(route, "attributes")
    _told_apart(path, experiment, (shown, attributes), report)
    rule = experiment.get("eligible")
    if rule is not None and rule is not BROKEN:
        check_eligible(rule, f"{path}.eligible", attributes, config, report)
    if "time_zone" in experiment:
        check_time_zone(experiment, path, config, report)


def _told_apart(path: str, experiment: Mapping[str, Any], route: tuple[str, Mapping[str, Any]], report: Report) -> None:
    """Report strata and slices that are no attributes of the route, and slices that could be either of two things."""
    shown, attributes = route
    for key, known in (("strata", attributes), ("slices", {**attributes, **dict.fromkeys(SLICES)})):
        names = experiment.get(key, ())
        for index, name in enumerate(names if isinstance(names, list) else ()):
            at = f"{path}.{key}[{index}]"
            must_exist(at, name, known, f"attribute of route {shown} named", report)
            if key == "slices" and name in SLICES and name in attributes:
                report(
                    at, f"{show(name)} is a slice of the router's own and an attribute of route {shown}; rename that"
                )


def check_overrides(config: Mapping[str, Any], report: Report) -> None:
    """Report overrides of what does not exist, and units that are given two arms."""
    experiments = named(config, "experiments")
    seen: dict[object, str] = {}
    for path, override in items(config, "overrides"):
        name, unit, arm = (override.get(key, BROKEN) for key in ("experiment", "unit", "arm"))
        if not must_exist(f"{path}.experiment", name, experiments, "experiment", report):
            continue
        arms = {item["name"]: item for _, item in items(experiments[name], "arms") if given(item, "name")}
        must_exist(f"{path}.arm", arm, arms, f"arm of experiment {show(name)} named", report)
        if unit is not BROKEN and len(unit.encode()) > MAX_UNIT_BYTES:
            report(f"{path}.unit", f"has more than {MAX_UNIT_BYTES} bytes, which no unit has")
        if unit is not BROKEN and seen.setdefault((name, unit), path) != path:
            report(path, f"unit {show(unit)} already has the override {seen[name, unit]} in experiment {show(name)}")
        layer = ("layer", experiments[name].get("layer"), experiments[name].get("route"), unit)
        if BROKEN in layer or layer[1] is None:
            continue
        if seen.setdefault(layer, path) != path and seen[name, unit] == path:
            report(path, f"unit {show(unit)} has the override {seen[layer]} of another experiment of the same layer")
