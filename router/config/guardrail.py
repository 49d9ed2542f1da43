"""The part of the schema about guardrails: what must not happen, and what follows.

Responsible for: their keys, as frozen data, and which form each key belongs to; the rules are those of ``schema``,
where readers import them from.
Does not know: how anything is judged (``router.guardrail``, ``router.report.guardrail``).

Rules: a guardrail has exactly one of the keys of ``FORMS``, which says what it is held against.
"""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from router.config.condition import Limit, metrics_of, needs_control
from router.config.condition_parser import MOST_LETTERS, parse, parse_bound
from router.config.scalars import format_duration, format_share
from router.config.terms import Change, Name

Ratio = Annotated[float, Meta(ge=0.000001, le=1e6)]
Difference = Annotated[float, Meta(ge=-1e15, le=1e15, extra={"scalar": "difference"})]
Condition = Annotated[str, Meta(min_length=1, max_length=MOST_LETTERS, extra={"scalar": "condition"})]
Bound = Annotated[float, Meta(ge=-1e15, le=1e15)] | Annotated[str, Meta(max_length=64, extra={"scalar": "bound"})]
Negligible = Annotated[float, Meta(ge=0.000001, le=0.5, extra={"scalar": "share"})]
Objective = Annotated[float, Meta(ge=0.5, le=0.999999, extra={"scalar": "share"})]
Period = Annotated[float, Meta(ge=86400, le=90 * 86400, extra={"scalar": "duration"})]
BurnRate = Annotated[float, Meta(ge=0.1, le=1e6)]
Window = Annotated[float, Meta(ge=60, le=3 * 86400, extra={"scalar": "duration"})]
Over = Annotated[float, Meta(ge=600, le=3 * 86400, extra={"scalar": "duration"})]
Within = Annotated[float, Meta(ge=0.000001, le=3600, extra={"scalar": "duration"})]
Action = Literal["rollback", "warn", "pause"]
Form = Literal["ratio", "relative", "absolute", "at_most", "at_least", "trend", "slo", "when"]

COMPARED: Final[tuple[Form, ...]] = ("ratio", "relative", "absolute")
"""Forms that compare the new arm with control."""
LIMITS: Final[tuple[Form, ...]] = ("at_most", "at_least")
"""Forms that hold the new arm against a fixed value."""
FORMS: Final[tuple[Form, ...]] = (*COMPARED, *LIMITS, "trend", "slo", "when")
"""Every form."""


class Burn(Struct, frozen=True, kw_only=True):
    """How fast an error budget may be spent over two windows, both of which have to be above it."""

    rate: Annotated[BurnRate, Meta(description="times the rate that spends the budget within its period")]
    long: Annotated[Window, Meta(description="window that says that it matters")]
    short: Annotated[Window, Meta(description="window that says that it goes on")]
    severity: Annotated[
        Literal["page", "ticket"],
        Meta(description="`page`: the guardrail's action follows; `ticket`: it is told"),
    ] = "page"


class Guardrail(Struct, frozen=True, kw_only=True):
    """Something that must not happen; exactly one of its keys says what it is held against.

    The forms are `ratio`, `relative`, `absolute` (compared with control), `at_most`, `at_least` (a fixed value),
    `trend`, `slo` and `when`.
    """

    metric: Annotated[
        Name | None, Meta(description="metric that must not get worse than this; not with `slo` and `when`")
    ] = None
    ratio: Annotated[
        Ratio | None,
        Meta(description="at most (`goal: down`) or at least so many times control's"),
    ] = None
    relative: Annotated[
        Change | None, Meta(description="change at which it is broken, as a share of control's value; -5% or 5%")
    ] = None
    absolute: Annotated[
        Difference | None, Meta(description="difference at which it is broken, such as 2%, -2%, 250ms or 0.004")
    ] = None
    negligible: Annotated[
        Negligible | None,
        Meta(
            description="of `ratio` and `relative` on a share: difference from control's that matters to nobody, so "
            "that it passes however large the ratio; default 0.5% with `exchange: failed`, else none"
        ),
    ] = None
    at_most: Annotated[
        Bound | None,
        Meta(description="of `goal: down`: the most that the new arm's value may be, such as 2%, 250ms or 0.004"),
    ] = None
    at_least: Annotated[
        Bound | None, Meta(description="of `goal: up`: the least that the new arm's value may be, such as 80%")
    ] = None
    trend: Annotated[
        Change | None,
        Meta(
            description="change along `over`, as a share of its level, at which a steady slope is broken; of errors "
            "and quantiles of durations; 10%, or -10% with `goal: up`"
        ),
    ] = None
    over: Annotated[
        Over | None, Meta(description="of `trend`: how far back the slope is taken, 10m to 3d; default 6h")
    ] = None
    slo: Annotated[
        Objective | None,
        Meta(
            description="service-level objective: share of the new arm's exchanges that have to be good, such as "
            "99.9%; how fast its error budget is spent is held against `burn`"
        ),
    ] = None
    within: Annotated[
        Within | None,
        Meta(description="of `slo`: an exchange is good if it took at most this; default: if it did not fail"),
    ] = None
    period: Annotated[
        Period | None, Meta(description="of `slo`: the time that its error budget is for; default 30d")
    ] = None
    burn: Annotated[
        tuple[Burn, ...],
        Meta(
            description="of `slo`: rates and windows; default as in Google's SRE workbook: 2% of the budget within 1h "
            "(and 5m), 5% within 6h (and 30m): pages; 10% within 3d (and 6h): a ticket"
        ),
    ] = ()
    when: Annotated[
        Condition | None,
        Meta(
            description="condition that must not hold, such as `error_rate > 5% for 5m` or `p99 > 2 * control and rate "
            "> 1000/s`; docs/rollouts.md has the language"
        ),
    ] = None
    action: Annotated[
        Action,
        Meta(
            description="`rollback`: hard, nothing is called ready to ship before it has passed, and a release or "
            "bandit takes an arm out that breaks it (other experiments are not switched by themselves: the report says "
            "so); `pause`: a release stops where it is and asks a person; `warn`: it is told"
        ),
    ] = "rollback"
    dry_run: Annotated[bool, Meta(description="whether nothing follows, and what would have is told")] = False

    @property
    def form(self) -> Form:
        """Which of the forms it is."""
        return next(form for form in FORMS if getattr(self, form) is not None)

    @property
    def compared(self) -> bool:
        """Whether it is a metric's difference from control's that is judged."""
        return self.form in COMPARED

    @property
    def needs_control(self) -> bool:
        """Whether it says nothing without a control that is served at the same time."""
        return needs_control(parse(self.when)) if self.when is not None else self.compared

    @property
    def bound(self) -> Limit | None:
        """The value of `at_most` or `at_least`; None for other forms."""
        written = self.at_least if self.at_most is None else self.at_most
        return parse_bound(written) if isinstance(written, str) else None if written is None else Limit(written)

    @property
    def title(self) -> str:
        """What people know it by: ``errors ratio 2``, ``when: error_rate > 5% for 5m``, ``slo 99.9%``."""
        if self.when is not None:
            return f"when: {self.when}"
        if self.slo is not None:
            within = "" if self.within is None else f" within {format_duration(self.within)}"
            return f"slo {format_share(self.slo)}{within}"
        value = getattr(self, self.form)
        if self.form in ("relative", "trend"):
            value = format_share(value)
        text = value if isinstance(value, str) else f"{value:.12g}"
        return f"{self.metric} {self.form} {text}"

    def metrics(self) -> tuple[str, ...]:
        """Return the metrics that it names, each once."""
        if self.when is not None:
            return metrics_of(parse(self.when))
        return () if self.metric is None else (self.metric,)
