"""The part of the schema about watching: which streams, by which detector, and what an anomaly means.

Responsible for: their keys, as frozen data, and what each detector may have; the rules are those of ``schema``, where
readers import them from.
Does not know: how a detector works (``router.detect``), where measurements come from (``router.control``).

Rules: what a detector may watch and may be told stands in ``DETECTORS`` alone; the check of references reads it.
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal, NamedTuple

from msgspec import Meta, Struct

from router.config.metric import Grace
from router.config.terms import Name, Path, Pointer, Share

Stream = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Detector = Literal[
    "shewhart",
    "ewma",
    "cusum",
    "page_hinkley",
    "change_point",
    "seasonal",
    "isolation_forest",
    "autoencoder",
    "psi",
    "ks",
]
Severity = Literal["critical", "warning", "info"]
Score = Literal["accuracy", "precision", "recall", "f1", "calibration"]
Interval = Annotated[float, Meta(ge=0.1, le=86_400, extra={"scalar": "duration"})]
Every = Annotated[float, Meta(ge=60, extra={"scalar": "duration"})]
Period = Annotated[float, Meta(ge=60, le=2_592_000, extra={"scalar": "duration"})]
Points = Annotated[int, Meta(ge=10, le=10_000)]
Text = Annotated[str, Meta(max_length=256)]
Gauge = Annotated[str, Meta(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]{0,199}$")]

BUILT_IN: Final = ("error_rate", "p50", "p90", "p95", "p99", "rate")
"""Streams of every arm that need no metric: share of failures, latency, exchanges a second for each unit of weight."""
MOST: Final = 64
"""Entries of ``watch``: each is a stream of every arm."""
EVERY: Final[Mapping[Severity, float]] = {"critical": 315_360_000.0, "warning": 2_592_000.0, "info": 604_800.0}
"""Mean time between false alarms of one stream, in seconds, where ``every`` does not say it."""


class Watch(Struct, frozen=True, kw_only=True):
    """A stream of each arm that is watched."""

    name: Annotated[
        Name | None, Meta(description="what it is called; default is made from what it watches and the detector")
    ] = None
    metric: Annotated[
        Stream | None,
        Meta(
            description="measured on exchanges: `error_rate`, `p50`, `p90`, `p95`, `p99`, `rate`, or the name of a "
            "metric of `exchange: failed`, `duration` or `first_byte`"
        ),
    ] = None
    metrics: Annotated[
        tuple[Stream, ...],
        Meta(description="of isolation_forest and autoencoder: what is looked at together; default all but p90, p95"),
    ] = ()
    json: Annotated[
        Pointer | None, Meta(description="value in the bodies of sampled requests or responses: number or text")
    ] = None
    of: Annotated[
        Literal["request", "response"],
        Meta(
            description="whose body; a request's is looked into where it was read to decide, or came whole with its "
            "head and is at most `replay_bytes` of the route"
        ),
    ] = "response"
    sample: Annotated[
        Share | None,
        Meta(description="of json and score: share of units whose bodies are read; the largest of a route; default 1%"),
    ] = None
    score: Annotated[
        Score | None,
        Meta(description="how good predictions are: `prediction` of the response compared with the label `outcome`"),
    ] = None
    prediction: Annotated[
        Pointer | None, Meta(description="of score: place of the prediction in the response's body")
    ] = None
    outcome: Annotated[
        Name | None, Meta(description="of score: outcome that is the label: a number, sent with `request_id`")
    ] = None
    positive: Annotated[
        Text | None,
        Meta(
            description="of score: prediction that means yes, as text; default: a number of at least 0.5 does",
        ),
    ] = None
    wait: Annotated[Grace | None, Meta(description="of score: how long labels are waited for; default 10m")] = None
    scrape: Annotated[
        Path | None, Meta(description="path at which each endpoint of the target says `gauge`, as Prometheus text")
    ] = None
    gauge: Annotated[Gauge | None, Meta(description="of scrape: name of the gauge or counter there")] = None
    target: Annotated[Name | None, Meta(description="of scrape: the target")] = None
    detector: Annotated[
        Detector | None, Meta(description="what looks at it; default psi for json, cusum for everything else")
    ] = None
    severity: Annotated[
        Severity,
        Meta(
            description="what an anomaly means: `critical` rolls back the release whose new arm has it and whose "
            "control has not, `warning` is to be investigated, `info` is shown"
        ),
    ] = "warning"
    experiment: Annotated[Name | None, Meta(description="the experiment; default every one")] = None
    interval: Annotated[
        Interval | None, Meta(description="time that one point is about; default 1m, seasonal 5m, score 1h")
    ] = None
    every: Annotated[
        Every | None,
        Meta(
            description="mean time between false alarms of one stream in control, from which limits follow; default "
            "3650d for critical, 30d for warning, 7d for info"
        ),
    ] = None
    direction: Annotated[
        Literal["up", "down", "both"] | None,
        Meta(description="where changes matter; default up for error_rate and latency, down for score, else both"),
    ] = None
    reference: Annotated[
        Points | None,
        Meta(
            description="points, or values of json, before anything is said; default 60 points, 500 of "
            "isolation_forest and autoencoder, 2000 values"
        ),
    ] = None
    window: Annotated[
        Points | None, Meta(description="of psi and ks: values that are compared at a time; default 500")
    ] = None
    period: Annotated[Period | None, Meta(description="of seasonal: length of the course; default 1d")] = None
    parameters: Annotated[
        dict[str, float],
        Meta(description="of the detector, in place of what follows from `every`, such as `{slack: 0.5, limit: 5}`"),
    ] = {}

    @property
    def what(self) -> str:
        """Return what is watched, as people know it."""
        if self.json is not None:
            return f"{self.of}:{self.json}"
        return self.score or self.gauge or self.metric or "exchanges"

    @property
    def by(self) -> Detector:
        """Return the detector."""
        return self.detector or ("psi" if self.json is not None else "cusum")

    @property
    def label(self) -> str:
        """Return what it is called."""
        return self.name or f"{self.what} {self.by}"


class Needs(NamedTuple):
    """What a detector may have.

    Attributes:
        watches: Which of metric, metrics, json, score and scrape.
        parameters: What it may be told.
        limits: Those of them that ``every`` says otherwise.
        keys: Further keys.
        extra: Whether it needs ``router[watch]``.
    """

    watches: tuple[str, ...] = ("metric", "json", "score", "scrape")
    parameters: tuple[str, ...] = ("limit",)
    limits: tuple[str, ...] = ("limit",)
    keys: tuple[str, ...] = ("direction",)
    extra: bool = False


DETECTORS: Final[Mapping[str, Needs]] = {
    "shewhart": Needs(),
    "ewma": Needs(parameters=("weight", "limit")),
    "cusum": Needs(parameters=("slack", "limit")),
    "page_hinkley": Needs(parameters=("delta", "threshold"), limits=("threshold",)),
    "change_point": Needs(parameters=("penalty", "window", "stride", "least"), limits=("penalty",), extra=True),
    "seasonal": Needs(parameters=("weight", "limit"), keys=("direction", "period"), extra=True),
    "isolation_forest": Needs(("metrics",), ("slack", "limit"), keys=(), extra=True),
    "autoencoder": Needs(("metrics",), ("slack", "limit", "hidden"), keys=(), extra=True),
    "psi": Needs(("json",), ("at_least",), (), ("window",), extra=True),
    "ks": Needs(("json",), ("at_least",), (), ("window",), extra=True),
}
"""What each detector has, beside its name, severity, experiment and how often it may be wrong."""
