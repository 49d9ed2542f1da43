"""What a rule can ask about a request, read when it asks.

Responsible for: the data that a rule is evaluated on: attributes of the route, ``$request``, ``$time``, ``$flagd`` and
``targetingKey``; and which parts of a request they come from.
Does not know: rules; what is made of the data.

Rules: only what is asked for is read. What is absent or empty is not in the data. Values of JSON keep their types:
numbers and truth values stay what they are, lists and maps come as a whole up to ``request.MAX_VALUE_BYTES``. An
attribute with dots in its name is found at the path that its name is, as a rule asks for it. Times are those of
``Request.now``, which is there for routes whose decisions depend on it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from types import MappingProxyType
from typing import Any, Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from router.config.facts import FACTS, HEADER, QUERY, REQUEST, UNIT, attribute_in
from router.routing.path import canonical
from router.routing.request import Request
from router.routing.source import Source, compile_source, text

Read = Callable[[Request, bytes], Any]
"""From a request and whom its assignment belongs to, in UTF-8, to a value; None when it is absent."""


class Facts(Struct, frozen=True):
    """What certain rules ask for, compiled.

    Attributes:
        parts: Key of the data to how its value is read.
        fields: Header fields that are read.
        reads_body: Whether the body is.
        reads_time: Whether the moment is.
        reads_request: Whether anything else of the request is: path, method, host, query, address.
    """

    parts: tuple[tuple[str, Read], ...]
    fields: frozenset[bytes]
    reads_body: bool
    reads_time: bool
    reads_request: bool

    def of(self, request: Request, unit: bytes) -> dict[str, Any]:
        """Return the data for a request.

        Args:
            request: The request, its body as far as it was gathered.
            unit: Whom its assignment belongs to, in UTF-8.
        """
        return {key: value for key, read in self.parts if (value := read(request, unit)) is not None}


def compile_facts(
    asked: Iterable[str] | None, attributes: Mapping[str, Source], experiment: str, time_zone: str | None = None
) -> Facts:
    """Compile what rules ask for.

    Args:
        asked: The names; None for all but the headers and parameters of a query, which have to be named.
        attributes: The route's attributes, compiled.
        experiment: Whose rules they are.
        time_zone: Name of the zone of ``$time`` (IANA); default UTC.

    Raises:
        zoneinfo.ZoneInfoNotFoundError: If there is no such zone.
    """
    names = [*attributes, *FACTS] if asked is None else list(dict.fromkeys(asked))
    wanted = {found: attributes[found] for name in names if (found := attribute_in(name, attributes)) is not None}
    headers = {name.removeprefix(HEADER): _header(name.removeprefix(HEADER)) for name in names if HEADER in name}
    parameters = {
        name.removeprefix(QUERY): compile_source(f"query:{name.removeprefix(QUERY)}", 0)
        for name in names
        if QUERY in name
    }
    plain = [name for name in REQUEST if f"$request.{name}" in names]
    timed = any(name.startswith("$time.") for name in names)
    about = [name.removeprefix("$flagd.") for name in names if name.startswith("$flagd.")]
    parts: list[tuple[str, Read]] = [(key, _attribute(tree)) for key, tree in _nested(wanted).items()]
    if headers or parameters or plain:
        parts.append(("$request", _request(plain, headers, parameters)))
    if timed:
        parts.append(("$time", _time(ZoneInfo(time_zone) if time_zone else UTC)))
    if about:
        parts.append(("$flagd", lambda request, _unit: {"flagKey": experiment, "timestamp": int(request.now)}))
    if UNIT in names or asked is None:
        parts.append((UNIT, lambda _request, unit: unit.decode()))
    sources = [*wanted.values(), *headers.values()]
    agent = {b"user-agent"} if "user_agent" in plain else set()
    return Facts(
        parts=tuple(parts),
        fields=frozenset({source.field for source in sources if source.field is not None} | agent),
        reads_body=any(source.json for source in sources),
        reads_time=timed or "timestamp" in about or any(source.timed for source in sources),
        reads_request=bool(parameters)
        or any(name != "user_agent" for name in plain)
        or any(source.field is None and not source.json for source in sources),
    )


def _header(name: str) -> Source:
    return compile_source(f"header:{name}", 0)


Tree = Source | dict[str, "Tree"]


def _nested(attributes: Mapping[str, Source]) -> dict[str, Tree]:
    """Return attributes as a tree of the parts of their names; of ``a`` and ``a.b`` only the first can be found."""
    tree: dict[str, Tree] = {}
    for name in sorted(attributes):
        *above, last = name.split(".")
        node: Tree = tree
        for part in above:
            node = node.setdefault(part, {}) if isinstance(node, dict) else node
        if isinstance(node, dict):
            node[last] = attributes[name]
    return tree


def _attribute(tree: Tree) -> Read:
    if isinstance(tree, Source):
        value = tree.value
        return lambda request, _unit: value(request)
    parts = {key: _attribute(below) for key, below in tree.items()}
    return lambda request, unit: _present({key: read(request, unit) for key, read in parts.items()})


def _present(values: dict[str, Any]) -> dict[str, Any] | None:
    found = {key: value for key, value in values.items() if value is not None and value != ""}
    return found or None


def _request(plain: Sequence[str], headers: Mapping[str, Source], parameters: Mapping[str, Source]) -> Read:
    facts = [(name, _PLAIN[name]) for name in plain]

    def read(request: Request, _unit: bytes) -> dict[str, Any] | None:
        values: dict[str, Any] = {name: fact(request) for name, fact in facts}
        if headers:
            values["headers"] = _present({name: source.read(request) for name, source in headers.items()})
        if parameters:
            values["query"] = _present({name: source.read(request) for name, source in parameters.items()})
        return _present(values)

    return read


def _path(request: Request) -> str:
    """Return the path as routes are matched against it; as it came where it has no such spelling."""
    return text(canonical(request.path) or request.path)


_PLAIN: Final[Mapping[str, Callable[[Request], str | None]]] = MappingProxyType(
    {
        "method": lambda request: text(request.method),
        "path": _path,
        "host": lambda request: text(request.host),
        "address": lambda request: request.client,
        "user_agent": lambda request: text(request.fields.get(b"user-agent", b"")),
    }
)


def _time(zone: tzinfo) -> Read:
    def read(request: Request, _unit: bytes) -> dict[str, Any]:
        moment = datetime.fromtimestamp(request.now, zone)
        return {
            "hour": moment.hour,
            "minute": moment.minute,
            "weekday": moment.isoweekday(),
            "day": moment.day,
            "month": moment.month,
            "date": moment.date().isoformat(),
        }

    return read
