"""A condition of a guardrail, such as ``p99 > 2 * control and rate > 1000/s``, as data, and its text.

Responsible for: what a condition is made of, which metrics it names, whether it needs control, its canonical text.
Does not know: how a text is read (``condition_parser``), how a condition is evaluated (``router.guardrail.condition``).

Rules: frozen data; ``parse(canonical(condition)) == condition``. Units are those of the quantity: shares of 1, seconds,
exchanges a second.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from router.config.scalars import format_duration, format_share

Kind = Literal["error_rate", "quantile", "rate", "exchanges", "inflight", "metric"]
Operator = Literal[">", ">=", "<", "<="]
Unit = Literal["share", "seconds", "rate", "number"]

WORDS = frozenset({"error_rate", "rate", "exchanges", "inflight", "drop", "rise", "control", "baseline"})
"""Words that are no names of metrics; ``p`` and a number is none either."""
RESERVED = WORDS | {"and", "or", "for", "with", "confidence", "error", "x", "requests", "req", "per"}
QUANTILE = re.compile(r"p([0-9]{1,2}(?:\.[0-9]{1,4})?)")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")


class Quantity(Struct, frozen=True, omit_defaults=True):
    """What is compared.

    Attributes:
        kind: ``error_rate``: failures over exchanges; ``quantile``: of their durations; ``rate``: exchanges a second;
            ``exchanges``: of the phase so far; ``inflight``: those under way; ``metric``: a metric of the experiment.
        name: Of a metric; empty is the primary metric.
        percent: Which quantile, such as 99.9.
        of_control: Whether it is control's; otherwise the new arm's.
        change: ``drop`` or ``rise`` of a metric from control's value, as a share of it; empty for its value.
    """

    kind: Kind
    name: str = ""
    percent: float = 0.0
    of_control: bool = False
    change: Literal["", "drop", "rise"] = ""


class Limit(Struct, frozen=True, omit_defaults=True):
    """What it is compared with.

    Attributes:
        value: A number in ``unit``; or how many times control's value.
        unit: As it was written.
        of_control: Whether it is a multiple of control's value in the same time.
    """

    value: float
    unit: Unit = "number"
    of_control: bool = False


class Comparison(Struct, frozen=True, tag="comparison", omit_defaults=True):
    """One comparison.

    Attributes:
        quantity: What is compared.
        operator: How.
        limit: With what.
        for_s: For how long it has to hold without a gap, in seconds; None is the last minute taken together.
        confidence: How sure that has to be at any time, as a share; None is the guardrail's share of alpha.
    """

    quantity: Quantity
    operator: Operator
    limit: Limit
    for_s: float | None = None
    confidence: float | None = None

    @property
    def upward(self) -> bool:
        """Whether it holds for large values."""
        return self.operator in (">", ">=")

    def beyond(self, value: float, limit: float) -> bool:
        """Return whether a value is beyond a limit."""
        operators = {">": value > limit, ">=": value >= limit, "<": value < limit, "<=": value <= limit}
        return operators[self.operator]


class Every(Struct, frozen=True, tag="and"):
    """All of these hold."""

    terms: "tuple[Condition, ...]"


class Some(Struct, frozen=True, tag="or"):
    """At least one of these holds."""

    terms: "tuple[Condition, ...]"


Condition = Comparison | Every | Some


def comparisons(condition: Condition) -> Iterator[Comparison]:
    """Give every comparison of a condition, from left to right."""
    if isinstance(condition, Comparison):
        yield condition
        return
    for term in condition.terms:
        yield from comparisons(term)


def metrics_of(condition: Condition) -> tuple[str, ...]:
    """Return the metrics that a condition names, each once."""
    quantities = (each.quantity for each in comparisons(condition))
    return tuple(dict.fromkeys(each.name for each in quantities if each.kind == "metric" and each.name))


def needs_control(condition: Condition) -> bool:
    """Return whether a condition can only be evaluated beside a control."""
    return any(
        each.limit.of_control or each.quantity.of_control or each.quantity.change for each in comparisons(condition)
    )


def canonical(condition: Condition) -> str:
    """Write a condition in one way: one space between words, ``*`` and ``control``, units that need no fraction."""
    if isinstance(condition, Comparison):
        return _comparison(condition)
    word = " and " if isinstance(condition, Every) else " or "
    inner = (canonical(each) if isinstance(each, Comparison) else f"({canonical(each)})" for each in condition.terms)
    return word.join(inner)


def name_of(quantity: Quantity) -> str:
    """Write a quantity."""
    if quantity.kind == "quantile":
        text = f"p{_number(quantity.percent)}"
    elif quantity.kind == "metric":
        name = quantity.name
        plain = _PLAIN.fullmatch(name) and name not in RESERVED and not QUANTILE.fullmatch(name)
        text = name if plain and not name.startswith(("control.", "baseline.")) else f"`{name}`" if name else ""
    else:
        text = quantity.kind
    text = f"control.{text}" if quantity.of_control else text
    return f"{text} {quantity.change}".strip()


def limit_in_words(limit: Limit) -> str:
    """Write a limit with its unit."""
    if limit.of_control:
        return "control" if limit.value == 1 else f"{_number(limit.value)} * control"
    if limit.unit == "share":
        return format_share(limit.value)
    if limit.unit == "seconds":
        return format_duration(limit.value)
    return _number(limit.value) + ("/s" if limit.unit == "rate" else "")


def _comparison(it: Comparison) -> str:
    text = f"{name_of(it.quantity)} {it.operator} {limit_in_words(it.limit)}"
    if it.for_s is not None:
        text += f" for {format_duration(it.for_s)}"
    return text if it.confidence is None else f"{text} with confidence > {format_share(it.confidence)}"


def _number(value: float) -> str:
    exact = f"{Decimal(repr(float(value))):f}"
    return exact.rstrip("0").rstrip(".") if "." in exact else exact
