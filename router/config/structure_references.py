"""How experiments share units: layers, segments, holdouts, prerequisites.

Responsible for: segments that overlap, salts that two cuts or two layers of a route share, two layers of a route that
both name targets, prerequisites that cannot be met.
Does not know: targets, weights, conditions (``experiment_references``); what one value says alone.

Rules: those of ``references``.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import inf
from typing import Any, NamedTuple

from router.config.mistake import child, show
from router.config.parts import Report, given, items, must_exist, named, part
from router.config.resolve import BROKEN
from router.config.scalars import format_share

Segment = tuple[float, float]


class _Claim(NamedTuple):
    """What an experiment takes of its layer."""

    path: str
    segment: Segment
    active: tuple[float, float]


def check_structure(config: Mapping[str, Any], report: Report) -> None:
    """Report every mistake between experiments, layers and holdouts."""
    layers = named(config, "layers")
    for path, holdout in items(config, "holdouts"):
        _segment(path, holdout, report)
        names = holdout.get("layers", ())
        for index, name in enumerate(names if isinstance(names, list) else ()):
            must_exist(f"{path}.layers[{index}]", name, layers, "layer", report)
    for path, experiment in items(config, "experiments"):
        if "layer" in experiment:
            must_exist(f"{path}.layer", experiment["layer"], layers, "layer", report)
        elif "segment" in experiment:
            report(f"{path}.segment", "is a part of a layer, and the experiment has none; use coverage")
    _overlaps(config, report)
    _salts(config, report)
    for route, experiments in _by_route(config).items():
        _units(experiments, report)
        _independent(experiments, report)
        _targets(route, experiments, report)
        _prerequisites(experiments, report)


def _segment(path: str, parent: Mapping[str, Any], report: Report) -> Segment | None:
    """Report a segment that is no range; give it if it is one."""
    value = parent.get("segment", [0.0, 1.0])
    if not isinstance(value, list) or BROKEN in value:
        return None
    if len(value) != 2:
        report(f"{path}.segment", f"has {len(value)} shares; write where it begins and where it ends, as in [0%, 20%]")
        return None
    start, end = value
    if not start < end:
        report(f"{path}.segment", f"ends at {format_share(end)}, not after its beginning at {format_share(start)}")
        return None
    return start, end


def _overlaps(config: Mapping[str, Any], report: Report) -> None:
    claims: dict[str, list[_Claim]] = {}
    for path, experiment in items(config, "experiments"):
        layer, active = experiment.get("layer", BROKEN), part(experiment, "active")
        segment = _segment(path, experiment, report) if "layer" in experiment else None
        when = active.get("from", -inf), active.get("until", inf)
        if layer is BROKEN or segment is None or BROKEN in when:
            continue
        claim = _Claim(path, segment, when)
        for other in claims.setdefault(layer, []):
            if _meet(claim.segment, other.segment) and _meet(claim.active, other.active):
                shown = "% to ".join(format_share(share).rstrip("%") for share in other.segment)
                place = f"{path}.segment" if "segment" in experiment else path
                report(place, f"overlaps with {other.path}, which has {shown}% of layer {show(layer)}")
                break
        claims[layer].append(claim)


def _salts(config: Mapping[str, Any], report: Report) -> None:
    """Report two cuts of the units by one salt: they would be cuts of the same units, one within the other."""
    cuts = [item for key in ("layers", "holdouts") for item in items(config, key)]
    cuts += [item for item in items(config, "experiments") if item[1].get("coverage", 1.0) not in (BROKEN, 1.0)]
    seen: dict[object, str] = {}
    for path, item in cuts:
        salt = item.get("salt", item.get("name", BROKEN))
        if salt is BROKEN or seen.setdefault(salt, path) == path:
            continue
        if not (path.startswith("$.experiments") and seen[salt].startswith("$.experiments")):
            report(f"{path}.salt", f"salt {show(salt)} is that of {seen[salt]}, so both would cut the same units")


def _meet(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return max(one[0], other[0]) < min(one[1], other[1])


def _by_route(config: Mapping[str, Any]) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    found: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for path, experiment in items(config, "experiments"):
        if given(experiment, "route") and given(experiment, "name"):
            found.setdefault(experiment["route"], []).append((path, experiment))
    return found


def layer_of(experiment: Mapping[str, Any]) -> tuple[str, str]:
    """Give the layer of an experiment: a named one, or one of its own."""
    return ("layer", experiment["layer"]) if "layer" in experiment else ("experiment", experiment["name"])


def _units(experiments: Sequence[tuple[str, dict[str, Any]]], report: Report) -> None:
    """Report experiments of one layer that cut it by different units: they would not exclude each other."""
    first: dict[object, tuple[str, object]] = {}
    for path, experiment in experiments:
        if "layer" not in experiment or experiment["layer"] is BROKEN:
            continue
        allocate = part(experiment, "allocate")
        unit = experiment.get("unit", []), allocate.get("slot"), allocate.get("period")
        if BROKEN in unit:
            continue
        where, seen = first.setdefault(experiment["layer"], (path, unit))
        if unit != seen:
            place = f"{path}.unit" if "unit" in experiment else path
            report(place, f"is of another unit than {where}; experiments of one layer on a route have the same")


def _independent(experiments: Sequence[tuple[str, dict[str, Any]]], report: Report) -> None:
    """Report experiments of two layers with one salt: who is in an arm of one would be in the same arm of the other."""
    first: dict[object, tuple[str, object]] = {}
    for path, experiment in experiments:
        salt = experiment.get("salt", experiment["name"])
        if BROKEN in (salt, experiment.get("layer")):
            continue
        where, layer = first.setdefault(salt, (path, layer_of(experiment)))
        if layer != layer_of(experiment):
            place = f"{path}.salt" if "salt" in experiment else path
            report(place, f"salt {show(salt)} is that of {where}, so arms of a name would have the same units in both")


def _targets(route: str, experiments: Sequence[tuple[str, dict[str, Any]]], report: Report) -> None:
    """Report a second layer whose arms name targets: a request can go to one."""
    first: tuple[str, object] | None = None
    for path, experiment in experiments:
        if not any("target" in arm for _, arm in items(experiment, "arms")) or experiment.get("layer") is BROKEN:
            continue
        layer = layer_of(experiment)
        if first is None:
            first = path, layer
        elif first[1] != layer:
            report(
                f"{path}.route",
                f"route {show(route)} already has {first[0]}, whose arms name targets; put both into one layer, or "
                "make the arms of one flag values",
            )


def _prerequisites(experiments: Sequence[tuple[str, dict[str, Any]]], report: Report) -> None:
    known = {experiment["name"]: experiment for _, experiment in experiments}
    needs: dict[object, set[object]] = {}
    for path, experiment in experiments:
        for at, need in items(experiment, "prerequisites", path):
            name = need.get("experiment", BROKEN)
            if not must_exist(f"{at}.experiment", name, known, "other experiment on this route named", report):
                continue
            arms = {arm["name"]: arm for _, arm in items(known[name], "arms") if given(arm, "name")}
            wanted = need.get("arms", ())
            for index, arm in enumerate(wanted if isinstance(wanted, list) else ()):
                must_exist(child(f"{at}.arms", index), arm, arms, f"arm of experiment {show(name)} named", report)
            if BROKEN in (experiment.get("layer"), known[name].get("layer")):
                continue
            mine, other = layer_of(experiment), layer_of(known[name])
            if mine == other:
                report(f"{at}.experiment", f"{show(name)} is in the same layer, so no unit is ever in both")
            elif mine in _reached(needs, other):
                report(
                    f"{at}.experiment", f"the layers of {show(name)} and {show(experiment['name'])} wait for each other"
                )
            else:
                needs.setdefault(mine, set()).add(other)


def _reached(needs: Mapping[object, set[object]], start: object) -> set[object]:
    """Give what a layer needs, directly or through others, and itself."""
    found = {start}
    new = [start]
    while new:
        new = [item for item in _next(needs, new) if item not in found]
        found.update(new)
    return found


def _next(needs: Mapping[object, set[object]], layers: Sequence[object]) -> Iterator[object]:
    for layer in layers:
        yield from needs.get(layer, ())
