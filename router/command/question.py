"""The request that somebody asks about.

Responsible for: building a request from a few facts, so that a given unit and given attributes are read from it where
the route reads them, and so that it meets the conditions of a route that was named.
Does not know: how the answer is found or shown.

Rules: facts given win over facts made up; a fact that has no place in the request is a ``ValueError`` that says so.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import msgspec

from router.config.scalars import parse_source
from router.config.schema import Config, Route
from router.routing.request import Request, pointer_tokens
from router.routing.table import Table

_ID = "0" * 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known about the request.

    Attributes:
        unit: the unit; None leaves it to the sources.
        route: name of a route to take for granted.
        attributes: names of the route's attributes and their values.
        headers: header fields; ``host`` among them.
        path: path, perhaps with a query.
        method: request method.
        body: JSON document of the body.
    """

    unit: str | None = None
    route: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    path: str | None = None
    method: str | None = None
    body: str | None = None


def ask(table: Table, facts: Facts) -> Request:
    """Build the request.

    Args:
        table: the compiled configuration.
        facts: what is known.

    Raises:
        ValueError: when a fact cannot be put into a request.
    """
    config = table.config
    route = _route(config, facts)
    draft = _Draft(facts, route)
    if route is None:
        found = table.find(draft.request())
        name = getattr(found, "name", None)
        route = next((item for item in config.routes if item.name == name), None)
    if route is None:
        if facts.attributes:
            raise ValueError("attributes are given, but no route is found for this request; name one with --route")
        return draft.request()
    if facts.unit is not None and route.unit:
        draft.put(route.unit[0], facts.unit)
    for name, value in facts.attributes.items():
        if name not in route.attributes:
            known = ", ".join(route.attributes) or "none"
            raise ValueError(f"route {route.name} has no attribute {name}; it has: {known}")
        draft.put(route.attributes[name], value)
    return draft.request()


def _route(config: Config, facts: Facts) -> Route | None:
    """Give the route that was named, or the only one when nothing says how the request looks."""
    if facts.route is None:
        only = config.routes[0] if len(config.routes) == 1 and facts.path is None and not facts.headers else None
        return only if facts.method is None else None
    for route in config.routes:
        if route.name == facts.route:
            return route
    raise ValueError(f"there is no route {facts.route}; there are: {', '.join(item.name for item in config.routes)}")


class _Draft:
    """A request being put together.

    Per question: its parts, each as the route would want it until a fact says otherwise.
    """

    def __init__(self, facts: Facts, route: Route | None) -> None:
        match = route.match if route is not None else None
        wanted = (match.exact or match.path or "/") if match is not None else "/"
        self._path, _, self._query = (wanted if facts.path is None else facts.path).partition("?")
        methods = match.methods if match is not None else ()
        self._method = facts.method or (methods[0] if methods else "POST")
        self._fields = {name.lower(): value for name, value in match.headers.items()} if match is not None else {}
        self._fields |= {name.lower(): value for name, value in facts.headers.items()}
        hosts = match.hosts if match is not None else ()
        self._host = self._fields.get("host", hosts[0].replace("*.", "any.") if hosts else "localhost")
        self._client = "127.0.0.1"
        self._id = _ID
        self._claims: dict[str, Any] = {}
        self._json = _document(facts.body)
        for pointer, value in (match.json if match is not None and facts.body is None else {}).items():
            self._set(pointer, value)

    def put(self, source: str, value: str) -> None:
        """Put a value where a source reads it."""
        kind, name = parse_source(source)
        if kind == "header":
            self._fields[name] = value
        elif kind == "cookie":
            others = self._fields.get("cookie")
            self._fields["cookie"] = f"{name}={value}" + (f"; {others}" if others else "")
        elif kind == "query":
            self._query = f"{quote(name)}={quote(value)}" + (f"&{self._query}" if self._query else "")
        elif kind == "json":
            self._set(name, value)
        elif kind == "jwt":
            _put(self._claims, name, pointer_tokens(name), value)
        elif kind == "client_ip":
            self._client = value
        else:
            self._id = value

    def _set(self, pointer: str, value: object) -> None:
        tokens = pointer_tokens(pointer)
        if not tokens:
            self._json = value
            return
        if not isinstance(self._json, dict):
            self._json = {}
        _put(self._json, pointer, tokens, value)

    def request(self) -> Request:
        """Give the request as it stands."""
        return Request(
            id=self._id,
            method=self._method.encode(),
            path=self._path.encode(),
            query=self._query.encode(),
            host=self._host.partition(":")[0].lower().encode(),
            client=self._client,
            fields={name.encode(): value.encode() for name, value in self._fields.items()},
            body=b"" if self._json is None else msgspec.json.encode(self._json),
            now=time.time(),
            claims=lambda _: msgspec.json.encode(self._claims),
        )


def _document(body: str | None) -> Any:
    if body is None:
        return None
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise ValueError(f"the body is not JSON: {error}") from error


def _put(document: dict[str, Any], pointer: str, tokens: Sequence[str], value: object) -> None:
    """Put a value at a pointer."""
    place = document
    for token in tokens[:-1]:
        below = place.setdefault(token, {})
        if not isinstance(below, dict):
            raise ValueError(f"the body has no room for {pointer}")  # noqa: TRY004 - a fact that does not fit
        place = below
    place[tokens[-1]] = value
