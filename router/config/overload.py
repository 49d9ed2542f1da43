"""The part of the schema about too much traffic; see ``schema`` for its rules.

Responsible for: the keys of limits and of what gives way first, as frozen data; the rules are those of ``schema``,
which hands them on.
Does not know: the other parts.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from router.config.terms import Burst, Duration, HeaderName, Name, Rate, Share


class Concurrency(Struct, frozen=True, kw_only=True):
    """How much of a target's work goes on at once, in the whole router."""

    max: Annotated[int, Meta(ge=1, le=1_000_000, description="exchanges that the target works on at once")]
    queue: Annotated[
        int, Meta(ge=0, le=1_000_000, description="exchanges that wait for it at most; further ones are shed at once")
    ] = 128
    queue_timeout: Annotated[
        Duration,
        Meta(ge=0.001, le=600, description="longest wait; who is expected to wait longer is shed at once"),
    ] = 0.5


class RateLimit(Struct, frozen=True, kw_only=True):
    """How many requests a route takes, in the whole router; 429 beyond."""

    requests: Annotated[Rate, Meta(description="requests in a time, as in `1000/s`, `600/m` or `10000/h`")]
    burst: Annotated[Burst | None, Meta(description="requests at once; default those of a second, at least 1")] = None
    per: Annotated[
        Literal["route", "unit"],
        Meta(description="`route`: all together; `unit`: each unit, and each client address where there is no unit"),
    ] = "route"


class When(Struct, frozen=True, kw_only=True):
    """The load at which something gives way."""

    inflight: Annotated[Share, Meta(description="share of the target's `concurrency.max` that is in use")]


class Degrade(Struct, frozen=True, kw_only=True):
    """What gives way from some load on."""

    when: Annotated[When, Meta(description="the load from which on it does")]
    header: Annotated[
        dict[HeaderName, str],
        Meta(description="header fields that the target gets; those of all steps reached, the last for each name"),
    ] = field(default_factory=dict)
    drop: Annotated[
        Share | None,
        Meta(description="share of the route's `features` to name in `x-router-drop`, the least important first"),
    ] = None
    target: Annotated[Name | None, Meta(description="a cheaper target that serves instead; arms stay as they are")] = (
        None
    )
    shed: Annotated[Share | None, Meta(description="share of requests that are shed, each at random")] = None
