"""The configuration as frozen data: what the YAML may say, with units resolved.

Responsible for: names, types, defaults and one-line descriptions of every key. The loader, the JSON Schema and the
reference in the README are all derived from these classes, so a key exists in one place.
Does not know: YAML, files, or how a value is checked against the others (``router.config.load``).

Rules: every field is an ``Annotated`` with a description; durations are float seconds, sizes are int bytes, shares are
floats in 0..1; a key of a capability that does not work yet is not here but in ``not_yet``, which makes it a mistake
that says so. Workers import this module, so it imports nothing but msgspec.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", extra={"scalar": "name"})]
Duration = Annotated[float, Meta(extra={"scalar": "duration"})]
Timeout = Annotated[float, Meta(ge=0.001, extra={"scalar": "duration"})]
Size = Annotated[int, Meta(extra={"scalar": "size"})]
Share = Annotated[float, Meta(ge=0, le=1, extra={"scalar": "share"})]
Source = Annotated[str, Meta(extra={"scalar": "source"})]
Pointer = Annotated[str, Meta(pattern=r"^(/([^~/]|~[01])*)*$", extra={"scalar": "pointer"})]
HeaderName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$", extra={"scalar": "header"})]
Path = Annotated[str, Meta(pattern=r"^/[^?#\s]*$", extra={"scalar": "path"})]
Url = Annotated[str, Meta(extra={"scalar": "url"})]
Address = Annotated[str, Meta(extra={"scalar": "listen"})]
Network = Annotated[str, Meta(extra={"scalar": "network"})]
Host = Annotated[str, Meta(extra={"scalar": "host"})]
ServerName = Annotated[str, Meta(extra={"scalar": "server_name"})]
Method = Annotated[str, Meta(pattern=r"^[A-Z0-9!#$%&'*+.^_`|~-]{1,32}$", extra={"scalar": "method"})]
File = Annotated[str, Meta(min_length=1, max_length=4096, extra={"scalar": "file"})]
Salt = Annotated[str, Meta(min_length=1, max_length=256)]
Workers = Annotated[int, Meta(ge=1, le=1024)]
Scalar = str | int | float | bool


class Tls(Struct, frozen=True, kw_only=True):
    """Certificate and key of the listener."""

    cert: Annotated[File, Meta(description="PEM file with the certificate chain; relative to the config file")]
    key: Annotated[File, Meta(description="PEM file with the private key; relative to the config file")]


class Limits(Struct, frozen=True, kw_only=True):
    """What a caller may use at most; whole router, not per worker."""

    connections: Annotated[
        int, Meta(ge=1, le=1_000_000, description="open caller connections; further ones are closed at once")
    ] = 10_000
    header_bytes: Annotated[Size, Meta(ge=1024, description="request line and headers together; 431 beyond")] = (
        32 * 1024
    )
    headers: Annotated[int, Meta(ge=1, le=10_000, description="number of header fields; 431 beyond")] = 100
    body_bytes: Annotated[Size, Meta(description="request body; 413 beyond")] = 64 * 1024 * 1024


class ServerTimeouts(Struct, frozen=True, kw_only=True):
    """How long a caller may take."""

    keepalive: Annotated[Timeout, Meta(description="idle time before an unused caller connection is closed")] = 75.0
    header_read: Annotated[
        Timeout, Meta(description="from the first byte of a request to the end of its headers; 408 beyond")
    ] = 10.0
    body_read: Annotated[Timeout, Meta(description="silence while a request body is awaited; 408 beyond")] = 30.0


class Server(Struct, frozen=True, kw_only=True):
    """The listener for callers."""

    listen: Annotated[
        Address, Meta(description="`HOST:PORT`, `[V6]:PORT` or `unix:/path`; needs a restart to change")
    ] = "0.0.0.0:8080"
    workers: Annotated[
        Workers | Literal["auto"],
        Meta(description="worker processes; `auto` is one per core; needs a restart to change"),
    ] = "auto"
    tls: Annotated[Tls | None, Meta(description="serve https with this certificate")] = None
    limits: Annotated[Limits, Meta(description="what callers may use at most")] = field(default_factory=Limits)
    timeouts: Annotated[ServerTimeouts, Meta(description="how long callers may take")] = field(
        default_factory=ServerTimeouts
    )
    trusted_proxies: Annotated[
        tuple[Network, ...], Meta(description="networks (CIDR) whose X-Forwarded-* headers are believed")
    ] = ()
    shutdown_delay: Annotated[Duration, Meta(description="how long accepting goes on after readiness went false")] = 5.0
    drain: Annotated[Duration, Meta(description="how long exchanges in flight may take to end at shutdown")] = 30.0
    expose: Annotated[
        tuple[Literal["request-id", "arm", "target"], ...],
        Meta(description="which headers callers get: `x-request-id`, `x-router-arm`, `x-router-target`"),
    ] = ("request-id",)


class Admin(Struct, frozen=True, kw_only=True):
    """The listener for operators."""

    listen: Annotated[Address, Meta(description="`HOST:PORT`; needs a restart to change")] = "127.0.0.1:9090"
    token_file: Annotated[File | None, Meta(description="file with the bearer token; required off loopback")] = None


class Rotate(Struct, frozen=True, kw_only=True):
    """When a segment of the event log is closed and the next begun."""

    size: Annotated[Size, Meta(ge=4096, description="bytes in a segment")] = 64 * 1024 * 1024
    age: Annotated[Duration, Meta(ge=1, description="age of a segment")] = 60.0


class Keep(Struct, frozen=True, kw_only=True):
    """How much of the event log is kept; the oldest segments go first."""

    age: Annotated[Duration, Meta(ge=1, description="age beyond which a segment is deleted")] = 30 * 86400.0
    size: Annotated[Size, Meta(ge=65536, description="bytes of all segments together")] = 10 * 1024**3


class Events(Struct, frozen=True, kw_only=True):
    """The event log."""

    dir: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=4096,
            description="folder of the event log and the journal; relative to the working directory",
        ),
    ] = "data/events"
    rotate: Annotated[Rotate, Meta(description="when a segment is closed")] = field(default_factory=Rotate)
    fsync: Annotated[
        Duration, Meta(description="longest time written events may stay unsynced; what a power cut can lose")
    ] = 1.0
    keep: Annotated[Keep, Meta(description="how much is kept")] = field(default_factory=Keep)
    unenrolled: Annotated[Share, Meta(description="share of exchanges in no experiment that are logged")] = 0.01


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
    idle: Annotated[Timeout, Meta(description="silence within a response; the response is cut beyond")] = 60.0
    total: Annotated[Timeout, Meta(description="whole exchange; 504 before the first byte, cut after it")] = 300.0


class Pool(Struct, frozen=True, kw_only=True):
    """Connections to one endpoint, in each worker."""

    max: Annotated[
        int, Meta(ge=1, le=100_000, description="connections; a request waits for one up to `timeouts.connect`")
    ] = 256
    idle: Annotated[
        Duration, Meta(description="how long an unused connection is kept; shorter than the model server's own limit")
    ] = 4.0


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
            "`query:NAME`, `json:/POINTER`, `client_ip`, `request`"
        ),
    ] = ()
    attributes: Annotated[
        dict[Name, Source], Meta(description="named facts about the request, from the same sources")
    ] = field(default_factory=dict)


class Arm(Struct, frozen=True, kw_only=True):
    """One choice within an experiment."""

    name: Annotated[Name, Meta(description="unique within the experiment")]
    target: Annotated[Name, Meta(description="target that serves this arm")]
    weight: Annotated[float, Meta(ge=0, le=1e9, description="relative share of units; 0 serves nobody but overrides")]


class Allocate(Struct, frozen=True, kw_only=True):
    """What produces the weights."""

    use: Annotated[Literal["fixed"], Meta(description="`fixed`: the weights of the file")] = "fixed"


class Experiment(Struct, frozen=True, kw_only=True):
    """Arms on one route, and the weights between them."""

    name: Annotated[Name, Meta(description="unique name")]
    route: Annotated[Name, Meta(description="route whose units take part; one experiment per route")]
    arms: Annotated[tuple[Arm, ...], Meta(min_length=2, description="the choices; at least one with a weight above 0")]
    salt: Annotated[Salt | None, Meta(description="salt of the assignment; default the name")] = None
    control: Annotated[Name | None, Meta(description="arm that is the baseline; default the first")] = None
    hash_version: Annotated[Literal[1], Meta(description="assignment algorithm, kept for ever")] = 1
    hypothesis: Annotated[str | None, Meta(description="what is expected and why")] = None
    owner: Annotated[str | None, Meta(description="who to ask")] = None
    allocate: Annotated[Allocate, Meta(description="what produces the weights")] = field(default_factory=Allocate)


class Override(Struct, frozen=True, kw_only=True):
    """A unit that gets a given arm, whatever the weights; marked, and left out of analysis."""

    unit: Annotated[str, Meta(min_length=1, description="the unit, as the route's source yields it")]
    experiment: Annotated[Name, Meta(description="experiment")]
    arm: Annotated[Name, Meta(description="arm")]


class Config(Struct, frozen=True, kw_only=True):
    """A whole configuration."""

    version: Annotated[Literal[1], Meta(description="version of this format")] = 1
    server: Annotated[Server, Meta(description="the listener for callers")] = field(default_factory=Server)
    admin: Annotated[Admin, Meta(description="the listener for operators")] = field(default_factory=Admin)
    events: Annotated[Events, Meta(description="the event log")] = field(default_factory=Events)
    targets: Annotated[tuple[Target, ...], Meta(min_length=1, description="deployable versions of models")]
    routes: Annotated[tuple[Route, ...], Meta(min_length=1, description="what traffic goes where")]
    experiments: Annotated[tuple[Experiment, ...], Meta(description="splits of a route's units between arms")] = ()
    overrides: Annotated[tuple[Override, ...], Meta(description="units that get a given arm")] = ()
