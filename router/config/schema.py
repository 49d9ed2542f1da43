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

from router.config.allocate import Allocate as Allocate
from router.config.decide import Decide as Decide
from router.config.decide import Notes as Notes
from router.config.experiment import Active as Active
from router.config.experiment import Arm as Arm
from router.config.experiment import Experiment as Experiment
from router.config.experiment import Holdout as Holdout
from router.config.experiment import Layer as Layer
from router.config.experiment import Override as Override
from router.config.experiment import Prerequisite as Prerequisite
from router.config.flags import Flags as Flags
from router.config.flags import FlagSet as FlagSet
from router.config.guardrail import Burn as Burn
from router.config.guardrail import Guardrail as Guardrail
from router.config.jwt import Jwt as Jwt
from router.config.metric import Covariate as Covariate
from router.config.metric import Measured as Measured
from router.config.metric import Metric as Metric
from router.config.notify import Notify
from router.config.outcomes import Outcomes as Outcomes
from router.config.overload import Concurrency as Concurrency
from router.config.overload import Degrade as Degrade
from router.config.overload import RateLimit as RateLimit
from router.config.readiness import Breaker as Breaker
from router.config.readiness import Health as Health
from router.config.route import Cached as Cached
from router.config.route import Cause as Cause
from router.config.route import Fallback as Fallback
from router.config.route import Match as Match
from router.config.route import Respond as Respond
from router.config.route import Route as Route
from router.config.route import Rule as Rule
from router.config.shadow import Compare as Compare
from router.config.shadow import Shadow as Shadow
from router.config.sink import Sinks
from router.config.target import Endpoint as Endpoint
from router.config.target import Hedge as Hedge
from router.config.target import Pool as Pool
from router.config.target import Retry as Retry
from router.config.target import Target as Target
from router.config.target import TargetTimeouts as TargetTimeouts
from router.config.target import TargetTls as TargetTls
from router.config.terms import Address, Duration, File, Json, Lock, Name, Network, Share, Size, Timeout, Workers
from router.config.variant import LayeredBy as LayeredBy
from router.config.variant import Variant as Variant
from router.config.watching import Watch as Watch


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
    body_rate: Annotated[
        Size,
        Meta(
            le=1024**3,
            description="bytes a second at which a request body comes on average, `timeouts.body_read` aside; "
            "408 below, 0 is no bound",
        ),
    ] = 240


class ServerTimeouts(Struct, frozen=True, kw_only=True):
    """How long a caller may take."""

    keepalive: Annotated[Timeout, Meta(description="idle time before an unused caller connection is closed")] = 75.0
    header_read: Annotated[
        Timeout, Meta(description="from the first byte of a request to the end of its headers; 408 beyond")
    ] = 10.0
    body_read: Annotated[Timeout, Meta(description="silence while a request body is awaited; 408 beyond")] = 30.0


class Signing(Struct, frozen=True, kw_only=True):
    """What assignments and overrides are signed with."""

    keys_file: Annotated[
        File,
        Meta(
            description="file with one secret a line, base64 of at least 32 bytes; the first signs, all verify; "
            "relative to the config file"
        ),
    ]


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
    signing: Annotated[
        Signing | None, Meta(description="sign assignments and overrides; without it there are neither")
    ] = None
    jwt: Annotated[
        Jwt | None, Meta(description="verify tokens of callers, so that claims can be units and attributes (`jwt:`)")
    ] = None
    expose: Annotated[
        tuple[Literal["request-id", "arm", "target", "fallback", "assignment"], ...],
        Meta(
            description="which headers callers get: `x-request-id`, `x-router-arm`, `x-router-target`, "
            "`x-router-fallback` (who answered in the target's place), `x-router-assignment` (signed)"
        ),
    ] = ("request-id", "fallback")


class Admin(Struct, frozen=True, kw_only=True):
    """The listener for operators."""

    listen: Annotated[Address, Meta(description="`HOST:PORT`; needs a restart to change")] = "127.0.0.1:9090"
    token_file: Annotated[
        File | None,
        Meta(
            description="file with the bearer token, or with a name and a token in each line: changes are by that "
            "name; required off loopback"
        ),
    ] = None


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
    sinks: Sinks = ()


class Config(Struct, frozen=True, kw_only=True):
    """A whole configuration."""

    version: Annotated[Literal[1], Meta(description="version of this format")] = 1
    server: Annotated[Server, Meta(description="the listener for callers")] = field(default_factory=Server)
    admin: Annotated[Admin, Meta(description="the listener for operators")] = field(default_factory=Admin)
    events: Annotated[Events, Meta(description="the event log")] = field(default_factory=Events)
    outcomes: Annotated[Outcomes, Meta(description="the ingest of outcomes")] = field(default_factory=Outcomes)
    targets: Annotated[tuple[Target, ...], Meta(min_length=1, description="deployable versions of models")]
    routes: Annotated[tuple[Route, ...], Meta(min_length=1, description="what traffic goes where")]
    layers: Annotated[tuple[Layer, ...], Meta(description="sets of experiments that share no unit")] = ()
    holdouts: Annotated[tuple[Holdout, ...], Meta(description="units that are kept out of experiments")] = ()
    metrics: Annotated[tuple[Metric, ...], Meta(description="what is measured on units of experiments")] = ()
    watch: Annotated[tuple[Watch, ...], Meta(description="streams of each arm that detectors look at")] = ()
    experiments: Annotated[tuple[Experiment, ...], Meta(description="splits of a route's units between arms")] = ()
    overrides: Annotated[tuple[Override, ...], Meta(description="units that get a given arm")] = ()
    flags: Annotated[Flags, Meta(description="feature flags")] = field(default_factory=Flags)
    notify: Notify = ()
    evaluators: Annotated[
        dict[Name, Json],
        Meta(description="parts of JSONLogic rules by name; `{$ref: NAME}` in a rule stands for one, as in flagd"),
    ] = field(default_factory=dict, name="$evaluators")
    layered_by: Annotated[
        LayeredBy | None,
        Meta(description="attributes that say whose configuration each request gets; default the process's own"),
    ] = None
    locked: Annotated[
        tuple[Lock, ...],
        Meta(
            description="paths that the files of regions, clusters and `overrides.yaml` may not change, such as "
            "`server.limits` or `experiments[ranker-v2].arms`"
        ),
    ] = ()
    variants: Annotated[
        tuple[Variant, ...],
        Meta(description="what other regions and clusters have of their own", extra={"derived": True}),
    ] = ()
