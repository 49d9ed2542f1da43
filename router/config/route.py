"""The part of the schema about routes.

Responsible for: their keys, as frozen data; the rules are those of ``schema``, where readers import them from.
Does not know: the other parts.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from router.config.overload import Degrade, RateLimit
from router.config.shadow import Shadow
from router.config.terms import (
    Duration,
    HeaderName,
    Host,
    Importance,
    Json,
    Method,
    Name,
    Path,
    Pointer,
    Scalar,
    Size,
    Source,
)


class Match(Struct, frozen=True, kw_only=True):
    """Which requests belong to a route; all given conditions must hold."""

    path: Annotated[Path | None, Meta(description="path prefix; the longest wins")] = None
    exact: Annotated[Path | None, Meta(description="whole path; beats any prefix")] = None
    hosts: Annotated[
        tuple[Host, ...], Meta(description="host names without port, `*.example.org` for any sub-domain; empty is any")
    ] = ()
    methods: Annotated[tuple[Method, ...], Meta(description="methods; empty is any")] = ()
    headers: Annotated[dict[HeaderName, str], Meta(description="header fields and the exact values they must have")] = (
        field(default_factory=dict)
    )
    json: Annotated[
        dict[Pointer, Scalar], Meta(description="JSON pointers into the body and the values they must have")
    ] = field(default_factory=dict)


Cause = Literal["unavailable", "timeout", "5xx", "breaker_open", "shed"]


class Respond(Struct, frozen=True, kw_only=True):
    """An answer that somebody wrote."""

    status: Annotated[int, Meta(ge=200, le=599, description="status code")] = 200
    json: Annotated[Json, Meta(description="content, sent as application/json; none when absent")] = None


class Cached(Struct, frozen=True, kw_only=True):
    """The last good answer to the same question."""

    ttl: Annotated[Duration, Meta(ge=1, description="how long an answer is good")] = 600.0
    size: Annotated[
        Size,
        Meta(
            ge=64 * 1024,
            description="memory for answers; whole router: each worker has its share, and keeps no answer larger than "
            "a sixteenth of that",
        ),
    ] = 64 * 1024 * 1024


class Rule(Struct, frozen=True, kw_only=True):
    """An answer for the requests that a condition is true for."""

    condition: Annotated[
        Json, Meta(description="JSONLogic over the route's attributes, such as `{'==': [{var: tier}, gold]}`")
    ] = field(name="if")
    respond: Annotated[Respond, Meta(description="the answer")]


class Fallback(Struct, frozen=True, kw_only=True):
    """What answers when the chosen target cannot; one of `target`, `cached`, `rules` and `respond`."""

    target: Annotated[Name | None, Meta(description="a target, such as the version before or a simpler model")] = None
    cached: Annotated[
        Cached | None,
        Meta(description="the last good answer to the same question, if there is one; once in a route"),
    ] = None
    rules: Annotated[
        tuple[Rule, ...], Meta(description="the answer of the first rule that is true, if there is one")
    ] = ()
    respond: Annotated[Respond | None, Meta(description="a fixed answer")] = None
    causes: Annotated[
        tuple[Cause, ...], Meta(description="the causes that it is for; default all of `fallback_on`")
    ] = ()


class Route(Struct, frozen=True, kw_only=True):
    """What part of the traffic, and who serves it by default."""

    name: Annotated[Name, Meta(description="unique name")]
    target: Annotated[Name, Meta(description="target that serves when no experiment says otherwise")]
    match: Annotated[Match, Meta(description="which requests; default all")] = field(default_factory=Match)
    inspect_bytes: Annotated[Size, Meta(description="how much body may be read to decide; 0 never reads")] = 1024 * 1024
    unit: Annotated[
        tuple[Source, ...],
        Meta(
            description="where the unit comes from, first present wins: `header:NAME`, `cookie:NAME`, "
            "`query:NAME`, `json:/POINTER`, `jwt:/CLAIM` (of a token that `server.jwt` verifies), `client_ip`, "
            "`request`"
        ),
    ] = ()
    attributes: Annotated[
        dict[Name, Source], Meta(description="named facts about the request, from the same sources")
    ] = field(default_factory=dict)
    fallback_on: Annotated[
        tuple[Cause, ...],
        Meta(
            description="what starts the fallback, before the first byte of a response: no connection, or none in time "
            "(`unavailable`), a time-out (`timeout`), a status of 500 or more (`5xx`), an open breaker, a shed request"
        ),
    ] = ("unavailable", "timeout", "5xx", "breaker_open", "shed")
    fallback: Annotated[tuple[Fallback, ...], Meta(description="what answers when the target cannot, in order")] = ()
    rate_limit: Annotated[
        RateLimit | None, Meta(description="how many requests the route takes; no limit unless present")
    ] = None
    degrade: Annotated[
        tuple[Degrade, ...],
        Meta(description="what gives way when the assigned target, which needs `concurrency`, has much to do"),
    ] = ()
    features: Annotated[
        dict[Name, Importance],
        Meta(description="what the model can leave out, and how important each is; the smallest goes first"),
    ] = field(default_factory=dict)
    replay_bytes: Annotated[
        Size,
        Meta(
            le=16 * 1024 * 1024,
            description="request body kept to be sent again; a longer one is sent once",
        ),
    ] = 64 * 1024
    shadow: Annotated[
        tuple[Shadow, ...], Meta(description="targets that get copies of the requests, and answer nobody")
    ] = ()
