"""The same route for several regions and clusters: which of them is a request's.

Responsible for: compiling what other regions and clusters have of their own, and picking by two attributes.
Does not know: how a route is found (``router.routing.table``), what a decision is.

Rules: a route, its unit and its attributes are found alike for all requests (``router.config.sites``); then the
attributes pick the plan that decides. A value that is unknown or absent is that of the process itself. All plans share
one store of decisions, so that memory does not grow with their number.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace

from router.config.schema import Config, Route, Variant
from router.config.variant import applied
from router.events.model import Revision
from router.routing.decide import Kept, RoutePlan, compile_route
from router.routing.request import Request
from router.routing.reward import compile_rewards
from router.routing.source import Source
from router.routing.structure import compile_structure


class Clusters(Struct, frozen=True):
    """The plans of one region.

    Attributes:
        own: For the process's own cluster, and whatever cluster is not known.
        known: Cluster to plan.
    """

    own: RoutePlan
    known: Mapping[str | None, RoutePlan]


class Sites(Struct, frozen=True):
    """A route's plans for all regions and clusters.

    Attributes:
        region: Where the region is read; None when it does not matter on the route.
        cluster: Likewise.
        own: The plans of the process's own region, and of whatever region is not known.
        known: Region to plans.
        json: Whether the body says where a request belongs.
    """

    region: Source | None
    cluster: Source | None
    own: Clusters
    known: Mapping[str | None, Clusters]
    json: bool

    def pick(self, request: Request) -> RoutePlan:
        """Return the plan of a request's region and cluster."""
        clusters = self.own if self.region is None else self.known.get(self.region.read(request), self.own)
        if self.cluster is None:
            return clusters.own
        return clusters.known.get(self.cluster.read(request), clusters.own)

    def where(self, request: Request) -> str:
        """Return the region and cluster that are a request's, as events name them; empty for the process's own."""
        region = None if self.region is None else self.region.read(request)
        clusters = self.known.get(region, self.own)
        cluster = None if self.cluster is None else self.cluster.read(request)
        known = region if region in self.known else None
        return Variant(region=known, cluster=cluster if cluster in clusters.known else None).label


def compile_routes(revision: Revision, kept: Kept, routes: Iterable[Route]) -> dict[str, RoutePlan]:
    """Compile some routes of a revision."""
    found = {}
    for route in routes:
        structure = compile_structure(route, revision)
        rewards = compile_rewards(route.name, revision.config)
        found[route.name] = compile_route(route, structure, revision, kept, rewards)
    return found


def compile_sites(revision: Revision, routes: Mapping[str, RoutePlan], kept: Kept) -> Mapping[str, Sites] | None:
    """Compile the routes that regions and clusters have of their own; None when there are none.

    Args:
        revision: The revision.
        routes: Its routes, compiled, by name.
        kept: Where their decisions are kept.
    """
    config = revision.config
    if config.layered_by is None or not config.variants:
        return None
    plans: dict[str, dict[tuple[str | None, str | None], RoutePlan]] = {}
    for variant in config.variants:
        theirs = at(revision, variant)
        affected = _affected(config, variant)
        chosen = [route for route in theirs.config.routes if route.name in affected]
        for name, plan in compile_routes(theirs, kept, chosen).items():
            plans.setdefault(name, {})[variant.region, variant.cluster] = plan
    found: dict[str, Sites] = {}
    for name, own in plans.items():
        sites = _sites(config, routes[name], own)
        if sites is not None:
            found[name] = sites
    return MappingProxyType(found) if found else None


def at(revision: Revision, variant: Variant) -> Revision:
    """Return a revision as it is for a region and cluster: their routes, experiments, overrides and weights.

    A killed experiment has the weights of its kill everywhere, a bandit those of its allocator, and a release those
    that follow from where it is.
    """
    config = revision.config
    own = {item.name: item for item in variant.experiments}
    weights = {
        name: {arm.name: arm.weight for arm in own[name].arms}
        if name in own and name not in revision.killed and not own[name].allocate.steered
        else given
        for name, given in revision.weights.items()
    }
    return replace(revision, config=applied(config, variant), weights=weights, varied=dict.fromkeys(own, variant.label))


def _affected(config: Config, variant: Variant) -> set[str]:
    """Return the routes whose decisions are others for a variant."""
    named = {route.name for route in variant.routes} | {item.route for item in variant.experiments}
    if variant.overrides is not None:
        named |= {item.route for item in config.experiments}
    return named


def _sites(config: Config, own: RoutePlan, plans: Mapping[tuple[str | None, str | None], RoutePlan]) -> Sites | None:
    """Arrange the plans of a route by region and cluster; None when it has no attribute to pick by."""
    layered = config.layered_by
    region = own.attributes.get(layered.region or "") if layered is not None else None
    cluster = own.attributes.get(layered.cluster or "") if layered is not None else None
    if region is None and cluster is None:
        return None
    regions = dict.fromkeys(variant.region for variant in config.variants)
    clusters = dict.fromkeys(variant.cluster for variant in config.variants)

    def of(name: str | None) -> Clusters:
        mine = plans.get((name, None), own)
        return Clusters(mine, {each: plans.get((name, each), own) for each in clusters if each is not None})

    return Sites(
        region=region,
        cluster=cluster,
        own=of(None),
        known={name: of(name) for name in regions if name is not None},
        json=own.inspect_bytes > 0 and any(source is not None and source.json for source in (region, cluster)),
    )
