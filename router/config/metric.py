"""The part of the schema about metrics: what is measured, from outcomes or from the exchanges themselves.

Responsible for: their keys, as frozen data, and what each kind of metric needs; the rules are those of ``schema``,
where readers import them from.
Does not know: how a metric is computed (``router.analysis``), experiments.

Rules: what a kind may have and must have stands in ``KINDS`` alone; the check of references reads it.
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal, NamedTuple

from msgspec import Meta, Struct

from router.config.decide import Level
from router.config.guardrail import Guardrail
from router.config.terms import Name, Share

Kind = Literal["proportion", "mean", "ratio", "quantile", "retention", "count", "funnel"]
Measure = Annotated[str, Meta(extra={"scalar": "measure"})]
Span = Annotated[float, Meta(ge=1, extra={"scalar": "duration"})]
Grace = Annotated[float, Meta(ge=0, extra={"scalar": "duration"})]
Cap = Annotated[float, Meta(ge=0.5, le=0.9999999, extra={"scalar": "share"})]
Quantile = Annotated[float, Meta(ge=0.0001, le=0.9999999)]
Weight = Annotated[float, Meta(ge=0.000001, le=1, extra={"scalar": "share"})]
Days = Annotated[int, Meta(ge=1, le=3650)]

DAY: Final = 86400.0
SLICES: Final = ("new_unit", "day", "weekday", "volume", "cache", "latency")
"""Slices that are no attributes of a route."""
POST_TREATMENT: Final = frozenset({"latency"})
"""Those of them that the arm itself changes: they describe, and compare nothing."""


class Covariate(Struct, frozen=True, kw_only=True):
    """What is known of a unit from before its exposure, and takes variance out of a metric (CUPED)."""

    outcome: Annotated[Name, Meta(description="outcome whose values are added up per unit")]
    before: Annotated[Span, Meta(description="how long before the first exposure it is looked at")]


class Metric(Struct, frozen=True, kw_only=True):
    """Something that is measured on the units of an experiment."""

    name: Annotated[Name, Meta(description="unique name")]
    kind: Annotated[
        Kind,
        Meta(
            description="per unit: `proportion` (any), `mean` (sum of values), `count` (how many), `retention` (back "
            "on `day`), `funnel` (all `steps` in order); over units: `ratio` (sum over sum, units are clusters), "
            "`quantile` (of `exchange` over exchanges, of `outcome` over units)"
        ),
    ]
    goal: Annotated[Literal["up", "down"], Meta(description="which direction is better")]
    outcome: Annotated[Name | None, Meta(description="outcome that is measured")] = None
    numerator: Annotated[Name | None, Meta(description="of a ratio: outcome whose values are added up")] = None
    denominator: Annotated[Name | None, Meta(description="of a ratio: outcome that they are divided by")] = None
    exchange: Annotated[
        Measure | None,
        Meta(
            description="measured on every exchange instead: `failed`, `duration`, `first_byte`, `header:NAME` of the "
            "response, or `json:/POINTER` into its body; a ratio divides by the exchanges that have it"
        ),
    ] = None
    sample: Annotated[
        Share | None,
        Meta(
            description="of `json:`: share of units whose response bodies are read; without a unit, of exchanges; the "
            "largest of a route counts; default 1%"
        ),
    ] = None
    window: Annotated[
        Span | None,
        Meta(
            description="how long after the first exposure outcomes or exchanges count, cut at the phase's end; a unit "
            "enters when it has passed, and its value is then final; without it they count until the phase ends, and "
            "units enter at once",
        ),
    ] = None
    grace: Annotated[
        Grace | None,
        Meta(
            description="how long after the window a unit is waited for, so that outcomes sent late are in; what is "
            "received after that counts no more; default 0s. Without window it begins with the phase's end; default "
            "for ever"
        ),
    ] = None
    cap: Annotated[
        Cap | None,
        Meta(description="values above this quantile, of all arms together, count as it"),
    ] = None
    covariate: Annotated[Covariate | None, Meta(description="what takes variance out of it")] = None
    q: Annotated[Quantile | None, Meta(description="which quantile, such as 0.99")] = None
    day: Annotated[Days | None, Meta(description="of retention: the 24 hours that begin this many days later")] = None
    steps: Annotated[tuple[Name, ...], Meta(description="of a funnel: outcomes in order, at least two")] = ()

    def horizon(self) -> float | None:
        """Return how long after its first exposure a unit is looked at, in seconds; None is until the phase ends."""
        return (self.day + 1) * DAY if self.day is not None else self.window

    def outcomes(self) -> tuple[str, ...]:
        """Return the outcomes that the metric itself reads, without its covariate's, each once."""
        named = (self.outcome, self.numerator, self.denominator, *self.steps)
        return tuple(dict.fromkeys(name for name in named if name is not None))


class Measured(Struct, frozen=True, kw_only=True):
    """Which metrics an experiment is judged by."""

    primary: Annotated[Name, Meta(description="metric that decides")]
    secondary: Annotated[tuple[Name, ...], Meta(description="metrics that are reported beside it")] = ()

    guardrails: Annotated[tuple[Guardrail, ...], Meta(description="what must not happen, and what then")] = ()
    guard_alpha: Annotated[
        Level,
        Meta(
            description="chance, over a whole release, that its guardrails roll back a version that is no worse; "
            "shared over all of them and all stages"
        ),
    ] = 0.01
    oec: Annotated[
        dict[Name, Weight],
        Meta(
            description="overall evaluation criterion: metrics and their weights, which add up to 1; each metric's "
            "change is taken as a share of control's value, and where lower is better with the other sign"
        ),
    ] = {}

    def names(self) -> tuple[str, ...]:
        """Return every metric, each once, the primary first."""
        guarded = (name for guardrail in self.guardrails for name in guardrail.metrics())
        return tuple(dict.fromkeys((self.primary, *self.secondary, *guarded, *self.oec)))


class Needs(NamedTuple):
    """What a kind of metric is made of.

    Attributes:
        sources: Groups of keys; exactly one group is given.
        required: Keys beside them that must be given.
        optional: Keys beside them that may be given.
    """

    sources: tuple[tuple[str, ...], ...]
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


KINDS: Final[Mapping[str, Needs]] = {
    "proportion": Needs((("outcome",), ("exchange",)), (), ("window", "covariate", "sample", "grace")),
    "mean": Needs((("outcome",), ("exchange",)), (), ("window", "cap", "covariate", "sample", "grace")),
    "ratio": Needs((("numerator", "denominator"), ("exchange",)), (), ("window", "sample", "grace")),
    "quantile": Needs((("exchange",), ("outcome",)), ("q",), ("window", "sample", "grace")),
    "retention": Needs((("outcome",),), ("day",), ("covariate", "grace")),
    "count": Needs((("outcome",),), (), ("window", "cap", "covariate", "grace")),
    "funnel": Needs((("steps",),), (), ("window", "grace")),
}
"""What each kind of metric has, beside its name, kind and goal."""
