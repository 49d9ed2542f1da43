"""A revision compiled for the request path.

Responsible for: ``compile_table``, and finding the route of a request at a cost that does not grow with their number.
Does not know: where revisions come from, what becomes of a route once it is found.

Rules of ``match``, in this order (``docs/decisions/0002-route-precedence.md``):

1. ``exact`` beats ``path``; of prefixes the longest wins. A prefix is a string of bytes: ``/v2/mod`` is one of
   ``/v2/models``; end it in a slash to keep to whole segments. Paths are compared as ``router.routing.path`` spells
   them, those of the configuration too.
2. A host that is named beats ``*.example.org``, a longer wildcard a shorter one, and any wildcard no ``hosts`` at all.
   A wildcard stands for one or more labels.
3. More conditions (methods together, each header, each JSON pointer) beat fewer.
4. The earlier in the file wins.

A route whose conditions are not met gives way to the next one in this order. Once a condition on the body is reached,
all other conditions of that route being met, ``find`` asks for the body; given it, empty or not, it answers.

The index: exact paths are a dictionary. Prefixes are sorted, and each knows the longest other prefix that it begins
with: the last prefix not after a path in that order, or one of those that it begins with, is the longest that the path
begins with. So a look-up is one bisection and a step for each level of nesting. Hosts are dictionaries within a path.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from router.config.schema import Config, Match, Target
from router.events.model import Revision
from router.routing.decide import Kept, RoutePlan
from router.routing.match import Candidate, NeedBody, Switch, compile_candidate, compile_switches, rank
from router.routing.path import DOT, PERCENT, canonical, canonical_text
from router.routing.request import Request
from router.routing.sites import Sites, compile_routes, compile_sites

# A name in the DNS has at most 255 bytes (RFC 1035 section 2.3.4); nothing longer is tried against wildcards.
MAX_HOST_BYTES: Final = 255

FOUND_PATHS: Final = 1024  # paths kept of late, each of at most FOUND_BYTES
FOUND_BYTES: Final = 256


class Node(Struct):
    """All routes of one exact path or one prefix.

    Attributes:
        start: The path or prefix.
        parent: The node of the longest prefix that ``start`` begins with and that is not this node's own.
        inspect_bytes: Most that any route, here or further up, reads of a body.
        only: The route that is asked first, when it has no condition.
        hosts: Host to what is asked for it.
        wildcards: What follows the ``*`` to what is asked for it.
        anywhere: What is asked for every host.
    """

    start: bytes
    parent: "Node | None"
    inspect_bytes: int
    only: RoutePlan | None
    hosts: dict[bytes, tuple[Switch, ...]]
    wildcards: dict[bytes, tuple[Switch, ...]]
    anywhere: tuple[Switch, ...]

    def switches(self, host: bytes) -> Iterator[Switch]:
        """Yield what is asked for a host, in order."""
        yield from self.hosts.get(host, ())
        if self.wildcards and len(host) <= MAX_HOST_BYTES:
            dot = host.find(b".", 1)
            while dot != -1:
                yield from self.wildcards.get(host[dot:], ())
                dot = host.find(b".", dot + 1)
        yield from self.anywhere


class Table:
    """Everything that workers need of one revision.

    Attributes:
        number: Number of the revision.
        config: Its configuration.
        fields: Header fields that routing reads, in lower case.
        targets: Name to target.
        routes: Name to route.
        sites: Name of a route to those that are in its place for other regions and clusters; None without any.
        timed: Whether it depends on the moment, or on a token, which region or cluster a request belongs to.
    """

    __slots__ = (
        "_exact",
        "_found",
        "_kept",
        "_nodes",
        "_starts",
        "config",
        "fields",
        "number",
        "routes",
        "sites",
        "targets",
        "timed",
    )

    def __init__(
        self, revision: Revision, routes: Mapping[str, RoutePlan], kept: Kept, sites: Mapping[str, Sites] | None = None
    ) -> None:
        self.number = revision.number
        self.config: Config = revision.config
        self.routes = routes
        self.sites = sites
        self.timed = any(
            source is not None and source.timed
            for site in (sites or {}).values()
            for source in (site.region, site.cluster)
        )
        self._kept = kept  # the plans refer to it weakly
        self._found: dict[bytes, RoutePlan] = {}  # paths of late whose route depends on nothing else
        self.targets: Mapping[str, Target] = MappingProxyType({target.name: target for target in self.config.targets})
        self.fields = _fields(self.config, routes)
        exact, prefixes = _group(self.config, routes)
        self._starts = sorted(prefixes)
        self._nodes: list[Node | None] = [
            None
        ]  # one more than starts: at i is the last that begins not after starts[i]
        node = None
        for start in self._starts:  # in this order a prefix comes before all that begin with it
            node = _compile_node(start, prefixes[start], _beginning(node, start))
            self._nodes.append(node)
        self._exact = {start: _compile_node(start, found, self._longest(start)) for start, found in exact.items()}

    def find(self, request: Request) -> RoutePlan | NeedBody | None:
        """Return the route of a request, that its body is needed to tell, or None when there is no route."""
        path = request.path
        found = self._found.get(path)
        if found is not None:
            return found
        node = self._exact.get(path)  # its keys are canonical, so a path that is one of them is so too
        if node is None:
            if PERCENT in path or DOT in path or path.find(b"//") >= 0:
                node = self.node(path)
            else:  # as `node`, without its calls, for a path that is canonical: nearly every one
                node = self._nodes[bisect_right(self._starts, path)]
                while node is not None and not path.startswith(node.start):
                    node = node.parent
        if node is not None and node.only is not None and self.sites is None:
            self._remember(path, node.only)
        while node is not None:
            if node.only is not None:
                return node.only if self.sites is None else self.pick(node.only, request)
            for switch in node.switches(request.host):
                answer = switch.find(request)
                if answer is not None:
                    return answer if self.sites is None else self.pick(answer, request)
            node = node.parent
        return None

    def pick(self, plan: RoutePlan | NeedBody, request: Request) -> RoutePlan | NeedBody:
        """Return the route of the request's own region and cluster in the place of one that ``find`` knows."""
        if self.sites is None or isinstance(plan, NeedBody):
            return plan
        sites = self.sites.get(plan.name)
        if sites is None:
            return plan
        if sites.json and request.body is None:
            return NeedBody(plan.inspect_bytes)
        return sites.pick(request)

    def _remember(self, path: bytes, plan: RoutePlan) -> None:
        """Keep the route of a path that no other part of a request has a say in."""
        if len(path) <= FOUND_BYTES:
            if len(self._found) >= FOUND_PATHS:
                self._found.clear()
            self._found[path] = plan

    def node(self, path: bytes) -> Node | None:
        """Return where the routes of a path begin; those of its ``parent`` come after."""
        spelled = canonical(path)
        if spelled is None:
            return None
        return self._exact.get(spelled) or self._longest(spelled)

    def _longest(self, path: bytes) -> Node | None:
        return _beginning(self._nodes[bisect_right(self._starts, path)], path)


def compile_table(revision: Revision) -> Table:
    """Compile a revision.

    Raises:
        KeyError: If the revision lacks a run, a weight or a counter row that its configuration needs.
        ValueError: If the configuration says something that its loader refuses.
    """
    kept = Kept()
    routes = compile_routes(revision, kept, revision.config.routes)
    sites = compile_sites(revision, routes, kept)
    return Table(revision, MappingProxyType(routes), kept, sites)


def _beginning(node: Node | None, path: bytes) -> Node | None:
    """Return the first of a node and those above it that a path begins with."""
    while node is not None and not path.startswith(node.start):
        node = node.parent
    return node


class _Placed(Struct):
    """A route of a node, and the hosts that it is for."""

    candidate: Candidate
    hosts: tuple[str, ...]


def _group(
    config: Config, routes: Mapping[str, RoutePlan]
) -> tuple[dict[bytes, list[_Placed]], dict[bytes, list[_Placed]]]:
    """Return the routes of each exact path, and those of each prefix."""
    exact: dict[bytes, list[_Placed]] = {}
    prefixes: dict[bytes, list[_Placed]] = {}
    for order, route in enumerate(config.routes):
        placed = _Placed(compile_candidate(route.match, routes[route.name], order), route.match.hosts)
        start = _start(route.match)
        if start is None:
            raise ValueError(
                f'route "{route.name}": no request can have the path {route.match.exact or route.match.path}'
            )
        (prefixes if route.match.exact is None else exact).setdefault(start, []).append(placed)
    return exact, prefixes


def _start(match: Match) -> bytes | None:
    return canonical_text(match.exact if match.exact is not None else match.path or "")


def _compile_node(start: bytes, placed: list[_Placed], parent: Node | None) -> Node:
    inspect_bytes = 0 if parent is None else parent.inspect_bytes
    hosts: dict[bytes, list[Candidate]] = {}
    for item in placed:
        plan = item.candidate.plan
        if item.candidate.json or plan.needs_body:
            inspect_bytes = max(inspect_bytes, plan.inspect_bytes)
        for host in item.hosts or ("",):
            hosts.setdefault(host.lower().encode(), []).append(item.candidate)
    need = NeedBody(inspect_bytes)
    asked = {host: compile_switches(rank(candidates), need) for host, candidates in hosts.items()}
    first = rank(hosts[b""])[0] if list(hosts) == [b""] else None
    return Node(
        start=start,
        parent=parent,
        inspect_bytes=inspect_bytes,
        only=first.plan if first is not None and not first.conditions else None,
        anywhere=asked.pop(b"", ()),
        wildcards={host[1:]: asked.pop(host) for host in list(asked) if host.startswith(b"*.")},
        hosts=asked,
    )


def _fields(config: Config, routes: Mapping[str, RoutePlan]) -> frozenset[bytes]:
    sources = [source for plan in routes.values() for source in (*plan.sources, *plan.attributes.values())]
    matched = [name.lower().encode() for route in config.routes for name in route.match.headers]
    token = config.server.jwt
    verified = (
        [token.header.lower().encode()] if token is not None and any(plan.timed for plan in routes.values()) else []
    )
    structured = [field for plan in routes.values() if plan.structure for field in plan.structure.fields]
    return frozenset(
        [*(source.field for source in sources if source.field is not None), *matched, *structured, *verified]
    )
