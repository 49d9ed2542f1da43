"""The part of the schema about targets.

Responsible for: their keys, as frozen data; the rules are those of ``schema``, where readers import them from.
Does not know: the other parts.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from router.config.overload import Concurrency
from router.config.readiness import Breaker, Health
from router.config.terms import Duration, File, Method, Name, ServerName, Share, Timeout, Url


class Endpoint(Struct, frozen=True, kw_only=True):
    """One base URL of a target."""

    url: Annotated[Url, Meta(description="`http://HOST[:PORT]` or `https://…`, without a path")]
    weight: Annotated[int, Meta(ge=1, le=1000, description="relative share of the target's requests")] = 1


class TargetTls(Struct, frozen=True, kw_only=True):
    """How https endpoints are verified."""

    ca: Annotated[File | None, Meta(description="PEM file of trusted authorities; default the system's")] = None
    server_name: Annotated[
        ServerName | None, Meta(description="name to verify and send as SNI; default the URL's host")
    ] = None


class TargetTimeouts(Struct, frozen=True, kw_only=True):
    """How long a target may take."""

    connect: Annotated[Timeout, Meta(description="TCP and TLS set-up; 504 beyond")] = 1.0
    first_byte: Annotated[
        Timeout, Meta(description="from the end of the request to the first byte of the response; 504 beyond")
    ] = 30.0
    idle: Annotated[
        Timeout, Meta(description="silence within a response, or both ways in a tunnel; it is cut beyond")
    ] = 60.0
    total: Annotated[
        Timeout, Meta(description="whole exchange; 504 before the first byte, cut after it; tunnels go on")
    ] = 300.0


class Pool(Struct, frozen=True, kw_only=True):
    """Connections to one endpoint, in each worker."""

    max: Annotated[
        int, Meta(ge=1, le=100_000, description="connections; a request waits for one up to `timeouts.connect`")
    ] = 256
    idle: Annotated[
        Duration, Meta(description="how long an unused connection is kept; shorter than the model server's own limit")
    ] = 4.0


class Retry(Struct, frozen=True, kw_only=True):
    """Further attempts at the same target, when one fails before the first byte of its response."""

    attempts: Annotated[int, Meta(ge=1, le=10, description="further attempts after the first")] = 1
    budget: Annotated[
        Share,
        Meta(description="share of a worker's live requests to the target that may be further attempts; 3 may"),
    ] = 0.2
    backoff: Annotated[
        Duration,
        Meta(le=10, description="longest wait, at random, before the second attempt; doubled for each later one"),
    ] = 0.025
    methods: Annotated[
        tuple[Method, ...],
        Meta(description="methods that may be repeated after the target got the request, beside the idempotent ones"),
    ] = ()


class Hedge(Struct, frozen=True, kw_only=True):
    """A second request to another endpoint, when the first takes long; whichever answers first counts."""

    after: Annotated[
        Timeout, Meta(description="time without a first byte after which it is sent; about the target's p95")
    ] = 0.1
    max: Annotated[
        Share, Meta(description="share of a worker's live requests to the target that may be second ones; 1 may")
    ] = 0.05


class Target(Struct, frozen=True, kw_only=True):
    """One deployable version of a model."""

    name: Annotated[Name, Meta(description="unique name")]
    endpoints: Annotated[
        tuple[Annotated[Endpoint, Meta(extra={"shorthand": "url"})], ...],
        Meta(min_length=1, description="base URLs, or maps of `url` and `weight`"),
    ]
    version: Annotated[str | None, Meta(description="what is deployed there; a change is a new version")] = None
    dns: Annotated[
        Duration, Meta(ge=1, description="how often host names are resolved again; the last good answer is kept")
    ] = 30.0
    tls: Annotated[TargetTls, Meta(description="verification of https endpoints")] = field(default_factory=TargetTls)
    balance: Annotated[
        Literal["least_request", "round_robin", "hash", "peak_ewma"],
        Meta(description="how an endpoint is chosen; `hash` keeps a unit on one endpoint, with bounded load"),
    ] = "least_request"
    timeouts: Annotated[TargetTimeouts, Meta(description="how long the target may take")] = field(
        default_factory=TargetTimeouts
    )
    pool: Annotated[Pool, Meta(description="connections kept")] = field(default_factory=Pool)
    concurrency: Annotated[
        Concurrency | None, Meta(description="how much goes on at once; no limit unless present")
    ] = None
    retry: Annotated[Retry | None, Meta(description="further attempts when one fails; off unless present")] = None
    hedge: Annotated[
        Hedge | None,
        Meta(
            description="a second request when the first takes long, for those that may run twice; off unless present"
        ),
    ] = None
    health: Annotated[
        Health | None, Meta(description="asking endpoints whether they are ready; off unless present")
    ] = None
    breaker: Annotated[Breaker, Meta(description="when an endpoint that fails is left alone")] = field(
        default_factory=Breaker
    )
    slow_start: Annotated[
        Duration,
        Meta(ge=0, description="how long an endpoint that became ready, or was added, takes to its full share"),
    ] = 0.0
