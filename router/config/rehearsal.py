"""The part of the schema about what a release has to pass before it has any traffic: offline check and shadow.

Responsible for: their keys, as frozen data; the rules are those of ``schema``, where readers import them from.
Does not know: what is asked of recorded requests (``router.command.evaluate``), how copies are made
(``router.proxy.shadow``), what follows from a failure (``router.rollout``).
"""

from typing import Annotated

from msgspec import Meta, Struct, field

from router.config.shadow import Compare
from router.config.terms import Share, Size, Slot

Ratio = Annotated[float, Meta(ge=1, le=1000)]
Part = Annotated[float, Meta(ge=0.0001, le=1, extra={"scalar": "share"})]


class Mirroring(Struct, frozen=True, kw_only=True):
    """A time in which a release gets copies of requests, and no answer of it reaches anybody."""

    hold: Annotated[
        Slot,
        Meta(description="how long requests are copied at least; calling the new arm's target must have no effect"),
    ] = field(name="for")
    share: Annotated[
        Part,
        Meta(description="share of the route's units whose requests are all copied to the new arm's target"),
    ] = 0.1
    agree: Annotated[
        Share | None,
        Meta(
            description="least share of compared answers that agree; default answers may differ, as those of another "
            "model do"
        ),
    ] = None
    failures: Annotated[
        Share, Meta(description="by how much the share of copies that fail may exceed that of the requests themselves")
    ] = 0.01
    p99: Annotated[
        Ratio | None,
        Meta(description="how many times the requests' own 99th percentile of latency that of copies may be"),
    ] = 1.5
    comparisons: Annotated[
        int, Meta(ge=1, le=1_000_000_000, description="copies whose result is known that it takes at least")
    ] = 100
    inflight: Annotated[
        int, Meta(ge=1, le=10_000, description="copies under way in the whole router; further ones are dropped")
    ] = 32
    body_bytes: Annotated[
        Size, Meta(le=64 * 1024**2, description="longest request body that is copied; longer ones are dropped")
    ] = 1024 * 1024
    compare: Annotated[Compare, Meta(description="how answers are compared")] = field(default_factory=Compare)
