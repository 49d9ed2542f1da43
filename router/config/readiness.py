"""The part of the schema about when an endpoint gets no requests.

Responsible for: the keys of ``breaker`` and ``health``, as frozen data; the rules are those of ``schema``, where
readers import them from.
Does not know: the other parts.
"""

from typing import Annotated

from msgspec import Meta, Struct

from router.config.terms import Duration, Path, Share, Timeout

Count = Annotated[int, Meta(ge=1, le=10_000)]
Status = Annotated[int, Meta(ge=100, le=599)]


class Breaker(Struct, frozen=True, kw_only=True):
    """When an endpoint that fails is left alone, and how it comes back; counted over all workers."""

    consecutive: Annotated[
        int, Meta(ge=0, le=10_000, description="failures in a row that open it; 0 is no such rule")
    ] = 5
    ratio: Annotated[Share, Meta(description="share of failures within `window` that opens it; 0% is no such rule")] = (
        0.5
    )
    slow: Annotated[
        Timeout | None, Meta(description="answers that take longer to their first byte are slow; default no such rule")
    ] = None
    slow_ratio: Annotated[Share, Meta(description="share of slow answers within `window` that opens it")] = 0.5
    min_requests: Annotated[Count, Meta(description="requests within `window` below which no share is judged")] = 20
    window: Annotated[Duration, Meta(ge=0.1, le=3600, description="how far back shares are counted")] = 10.0
    open: Annotated[
        Timeout, Meta(description="how long it stays open the first time; doubled each further time in a row")
    ] = 30.0
    max_open: Annotated[Timeout, Meta(description="longest time that it stays open")] = 300.0
    probes: Annotated[
        Count, Meta(description="requests let through when that time is over; all must succeed; whole router")
    ] = 3
    ramp: Annotated[Duration, Meta(ge=0, description="how long it takes back to its full share afterwards")] = 10.0
    panic: Annotated[
        Share,
        Meta(
            description="share of usable endpoints at or below which all are used, where a route has no fallback; "
            "at 0% when none is usable"
        ),
    ] = 0.0


class Health(Struct, frozen=True, kw_only=True):
    """How endpoints are asked whether they are ready; without it, only traffic tells."""

    path: Annotated[Path, Meta(description="what is asked for, with GET")]
    interval: Annotated[Duration, Meta(ge=0.1, le=3600, description="time between two questions to an endpoint")] = 5.0
    timeout: Annotated[Timeout, Meta(le=60, description="how long an answer may take")] = 1.0
    unhealthy_after: Annotated[Count, Meta(description="bad answers in a row that make an endpoint not ready")] = 3
    healthy_after: Annotated[Count, Meta(description="good answers in a row that make it ready again")] = 2
    status: Annotated[
        tuple[Status, ...], Meta(min_length=1, description="statuses that are good; redirects are not followed")
    ] = (200,)
