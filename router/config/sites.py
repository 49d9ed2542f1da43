"""The configurations of several regions and clusters as one that serves them all.

Responsible for: which combinations one process serves, what may differ between them, and what is the same in all.
Does not know: files; what makes an experiment another one (``router.control.refuse``).

Rules: pure. What belongs to the process, or to all requests of a route before their region is known, is the same
everywhere; what a decision about one request takes may differ. A target that only some regions name is known to the
whole process.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from router.config.folder import Folder, Site
from router.config.mistake import Mistake, child
from router.config.paths import item
from router.config.resolve import Origin
from router.config.schema import Config
from router.config.variant import LayeredBy, Variant

Places = tuple[Mapping[str, Origin], Mapping[str, Origin]]

MAX_VARIANTS: Final = 64
# What a region or cluster may have of its own. A route's own `target` and what answers in its place, never what finds
# the route, the unit or the attributes, and nothing that is counted or kept for all of its requests.
_OF_ROUTES: Final = ("target", "fallback_on", "fallback", "degrade", "features", "replay_bytes")
_OF_CONFIG: Final = ("targets", "routes", "experiments", "overrides", "locked", "variants")


def served(folder: Folder, layered: LayeredBy, own: Site) -> tuple[Site, ...]:
    """Give the combinations that requests can ask for, beside the process's own."""
    regions = [own.region, *(folder.regions if layered.region is not None else ())]
    clusters = [own.cluster, *(folder.clusters if layered.cluster is not None else ())]
    sites = dict.fromkeys(Site(region, cluster) for region in regions for cluster in clusters)
    return tuple(site for site in sites if site != own)


def variant(own: Config, other: Config, site: Site, mine: Site) -> Variant:
    """Give what a combination has of its own.

    Args:
        own: the process's configuration.
        other: that of the combination.
        site: the combination.
        mine: the process's own.
    """
    known = {route.name: route for route in own.routes}
    experiments = {each.name: each for each in own.experiments}
    return Variant(
        region=site.region if site.region != mine.region else None,
        cluster=site.cluster if site.cluster != mine.cluster else None,
        routes=tuple(route for route in other.routes if route != known.get(route.name)),
        experiments=tuple(each for each in other.experiments if each != experiments.get(each.name)),
        overrides=other.overrides if other.overrides != own.overrides else None,
    )


def united(own: Config, others: Sequence[Config], variants: Sequence[Variant]) -> Config:
    """Give the process's configuration with every target that some combination names, and the variants."""
    targets = {target.name: target for config in (own, *others) for target in reversed(config.targets)}
    order = dict.fromkeys(target.name for config in (own, *others) for target in config.targets)
    return msgspec.structs.replace(own, targets=tuple(targets[name] for name in order), variants=tuple(variants))


def mismatches(own: Config, other: Config, places: Places, site: Site) -> Iterator[Mistake]:
    """Yield what a combination may not have of its own, each at its place.

    Args:
        own: the process's configuration.
        other: that of the combination.
        places: where that was written, and where something was removed from it.
        site: the combination.
    """
    written, removed = places
    for path in _differing(msgspec.to_builtins(own), msgspec.to_builtins(other)):
        near = path
        while near not in written:
            near = near[: max(near.rfind("."), near.rfind("["))]
        origin = removed.get(path, written[near])
        message = f"is another for {site}; with layered_by it has to be the same for all requests"
        yield Mistake(origin.file, origin.line, path, message)


def _differing(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    for key, value in after.items():
        if key not in _OF_CONFIG:
            yield from _leaves(child("$", key), before[key], value)
    yield from _of_targets(before["targets"], after["targets"])
    yield from _of_routes(before["routes"], after["routes"])
    yield from _names("$.experiments", before["experiments"], after["experiments"])


def _names(path: str, before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield what only one of two lists has: by its index in the second, or by its name."""
    old, new = [thing["name"] for thing in before], [thing["name"] for thing in after]
    yield from (f"{path}[{index}]" for index, name in enumerate(new) if name not in old)
    yield from (item(path, name) for name in old if name not in new)


def _of_targets(before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]) -> Iterator[str]:
    known = {target["name"]: target for target in before}
    for index, target in enumerate(after):
        yield from _leaves(f"$.targets[{index}]", known.get(target["name"], target), target)


def _of_routes(before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]) -> Iterator[str]:
    found = list(_names("$.routes", before, after))
    if not found and [route["name"] for route in before] != [route["name"] for route in after]:
        found = ["$.routes"]  # the order decides between routes that match equally well
    yield from found
    if found:
        return
    for index, (old, new) in enumerate(zip(before, after, strict=True)):
        path = f"$.routes[{index}]"
        for key, value in new.items():
            if key not in _OF_ROUTES:
                yield from _leaves(child(path, key), old[key], value)
        if _cached(old) != _cached(new):
            yield f"{path}.fallback"


def _cached(route: dict[str, Any]) -> list[Any]:
    """Give what a route keeps of its answers, which is one store for all its requests."""
    return [step["cached"] for step in route["fallback"] if step.get("cached")]


def _leaves(path: str, before: Any, after: Any) -> Iterator[str]:
    """Yield the deepest places at which two values differ."""
    if isinstance(before, dict) and isinstance(after, dict) and before.keys() == after.keys():
        for key, value in after.items():
            yield from _leaves(child(path, key), before[key], value)
    elif isinstance(before, list | tuple) and isinstance(after, list | tuple) and len(before) == len(after):
        for index, value in enumerate(after):
            yield from _leaves(child(path, index), before[index], value)
    elif before != after:
        yield path
