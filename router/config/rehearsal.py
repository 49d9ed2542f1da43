"""The part of the schema about what a release has to pass before it has any traffic: offline check and shadow.

Responsible for: their keys, as frozen data; the rules are those of ``schema``, where readers import them from.
Does not know: what is asked of recorded requests (``router.command.evaluate``), how copies are made
(``router.proxy.shadow``), what follows from a failure (``router.rollout``).
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from router.config.shadow import Compare
from router.config.terms import File, Pointer, Share, Size, Slot, Timeout

Ratio = Annotated[float, Meta(ge=1, le=1000)]
Part = Annotated[float, Meta(ge=0.0001, le=1, extra={"scalar": "share"})]
Agreeing = Annotated[float, Meta(ge=0, le=0.9999, extra={"scalar": "share"})]
Slack = Annotated[float, Meta(ge=0, le=3600, extra={"scalar": "duration"})]
Requirement = Annotated[str, Meta(min_length=1, max_length=512)]


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
        Agreeing | None,
        Meta(
            description="least share of compared answers that agree; default answers may differ, as those of another "
            "model do"
        ),
    ] = None
    failures: Annotated[
        Share, Meta(description="by how much the share of copies that fail may exceed that of the requests themselves")
    ] = 0.01
    p99: Annotated[
        Ratio,
        Meta(description="how many times the requests' own 99th percentile of latency that of copies may be"),
    ] = 1.5
    slack: Annotated[
        Slack,
        Meta(description="how much later the copies' 99th percentile may be at any ratio: a difference that is none"),
    ] = 0.02
    comparisons: Annotated[
        int, Meta(ge=1, le=1_000_000_000, description="copies whose result is known that it takes at least")
    ] = 100
    deadline: Annotated[
        Slot | None, Meta(description="how long it may take until it has shown enough; default unbounded")
    ] = None
    on_deadline: Annotated[
        Literal["hold", "abort"], Meta(description="what follows then; `hold` tells people and goes on waiting")
    ] = "hold"
    inflight: Annotated[
        int, Meta(ge=1, le=10_000, description="copies under way in the whole router; further ones are dropped")
    ] = 32
    body_bytes: Annotated[
        Size, Meta(le=64 * 1024**2, description="longest request body that is copied; longer ones are dropped")
    ] = 1024 * 1024
    compare: Annotated[Compare, Meta(description="how answers are compared")] = field(default_factory=Compare)


class OfflineCheck(Struct, frozen=True, kw_only=True):
    """Recorded requests with labels that the new arm's target has to pass before it gets anything else."""

    requests: Annotated[
        File | None,
        Meta(
            description="recorded requests, one JSON object a line (docs/rollouts.md), which the router sends to the "
            "new arm's target, and to control's, in a process of its own; relative to the config file. POSTs are sent"
        ),
    ] = None
    result: Annotated[
        File | None,
        Meta(
            description="instead: what `router evaluate --out` wrote about that target and version; relative to the "
            "config file, and read whenever it changes"
        ),
    ] = None
    max_age: Annotated[Slot, Meta(description="of `result`: how old it may be")] = 604_800.0
    require: Annotated[
        tuple[Requirement, ...],
        Meta(
            max_length=64,
            description="of `requests`: such as `accuracy >= 90%` or `p99 <= 1.5 * baseline`; control is the baseline; "
            "default `failures <= 1%`",
        ),
    ] = ()
    no_worse: Annotated[
        Share | None, Meta(description="of `requests`: how much worse than control the new arm may be")
    ] = None
    prediction: Annotated[Pointer | None, Meta(description="of `requests`: where the prediction is in an answer")] = (
        None
    )
    probability: Annotated[
        Pointer | None, Meta(description="of `requests`: where it says how sure it is: a chance, or chances of classes")
    ] = None
    positive: Annotated[
        str, Meta(min_length=1, max_length=256, description="of `requests`: class that a single chance is of")
    ] = "1"
    label: Annotated[Pointer, Meta(description="of `requests`: where the label is in a line")] = "/label"
    compare: Annotated[Compare, Meta(description="of `requests`: how answers are compared")] = field(
        default_factory=Compare
    )
    concurrency: Annotated[int, Meta(ge=1, le=256, description="of `requests`: how many are under way at once")] = 4
    timeout: Annotated[Timeout, Meta(le=3600, description="of `requests`: how long one may take")] = 10.0
    limit: Annotated[
        int, Meta(ge=1, le=1_000_000, description="of `requests`: most that are sent; more are drawn from")
    ] = 10_000
    max_time: Annotated[Slot, Meta(description="of `requests`: how long all may take; the rest is not sent")] = 3600.0
