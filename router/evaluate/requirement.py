"""Requirements of an offline check: ``accuracy >= 90%``, ``p99 <= 200ms``, ``mae <= 1.05 * baseline``.

Responsible for: their form, and the verdict on an interval.
Does not know: how numbers and intervals are made.

    REQUIREMENT = NAME (">=" | ">" | "<=" | "<") (AMOUNT | NUMBER "*" "baseline" | "baseline" ("+" | "-") AMOUNT)
    AMOUNT      = NUMBER | NUMBER "%" | duration

Rules: pure. It passes where the whole interval is on the right side, fails where the whole is on the wrong side, and is
inconclusive otherwise: too little data is never a pass. Several need no correction: a bad target has to slip through
each (intersection-union, Berger 1982).
"""

import re
from typing import Final

from msgspec import Struct

from router.config.scalars import parse_duration
from router.events.evaluated import Compared, Measured, Required, Verdict

_FORM: Final = re.compile(
    r"\s*(?P<name>[a-z][a-z0-9_.]*(?:\(.{1,256}\))?)\s*(?P<sign><=|>=|<|>)\s*"
    r"(?:(?P<times>[0-9.eE+-]+)\s*\*\s*baseline|baseline\s*(?:(?P<more>[+-])\s*(?P<by>\S+))?|(?P<amount>\S+))\s*"
)


class Requirement(Struct, frozen=True):
    """What has to be so.

    Attributes:
        text: As it was written.
        name: The number.
        least: Whether it has to be at least the bound; at most, otherwise.
        bound: The bound; of ``against`` ratio a factor, of difference what is added.
        against: What the bound is held against: nothing, or the baseline's number.
    """

    text: str
    name: str
    least: bool
    bound: float
    against: str | None = None


def parse(text: str) -> Requirement:
    """Read a requirement.

    Raises:
        ValueError: If it has another form.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(
            f"{text!r} is no requirement; write NAME, >= or <=, and a bound: accuracy >= 90%, p99 <= 200ms, "
            "f1 >= baseline - 1%, p99 <= 1.5 * baseline"
        )
    name, least = found["name"], found["sign"].startswith(">")
    if found["times"] is not None:
        return Requirement(text, name, least, _number(found["times"], text), "ratio")
    if found["amount"] is not None and found["amount"] != "baseline":
        return Requirement(text, name, least, _amount(found["amount"], text))
    by = _amount(found["by"], text) if found["by"] is not None else 0.0
    return Requirement(text, name, least, -by if found["more"] == "-" else by, "difference")


def no_worse(margin: float, names: frozenset[str]) -> Requirement:
    """Return that the most telling number may be worse than the baseline's by a margin at most.

    Args:
        margin: Of a share absolute, of an error of numbers relative.
        names: Numbers that there are.
    """
    for name in ("accuracy", "mae", "agreement"):
        if name in names and name == "mae":
            return Requirement(f"mae <= {1 + margin:g} * baseline", name, False, 1 + margin, "ratio")
        if name in names:
            return Requirement(f"{name} >= baseline - {margin:.4g}", name, True, -margin, "difference")
    return Requirement(f"failures <= baseline + {margin:.4g}", "failures", False, margin, "difference")


def judge(requirement: Requirement, measured: dict[str, Measured], compared: dict[str, Compared]) -> Required:
    """Judge a requirement by the intervals of its number."""
    name = requirement.name
    if requirement.against is None:
        found = measured.get(name)
        if found is None or found.value is None:
            reason = found.reason if found is not None else f"there is no {name} for these requests"
            return Required(text=requirement.text, verdict="inconclusive", reason=reason)
        return _judged(requirement, name, (found.value, found.low, found.high), found.reason or f"{found.n} requests")
    both = compared.get(name)
    if both is None or both.candidate is None:
        reason = both.reason if both is not None else f"there is no {name} of target and baseline"
        return Required(text=requirement.text, verdict="inconclusive", reason=reason)
    if requirement.against == "ratio":
        ends = (both.ratio, both.ratio_low, both.ratio_high)
        return _judged(requirement, f"{name} over the baseline's", ends, both.reason or f"{both.n} requests")
    ends = (both.difference, both.low, both.high)
    return _judged(requirement, f"{name} less the baseline's", ends, both.reason or f"{both.n} requests")


def overall(required: tuple[Required, ...]) -> Verdict:
    """Return the verdict on all."""
    verdicts = {each.verdict for each in required}
    if "fail" in verdicts:
        return "fail"
    return "pass" if required and verdicts == {"pass"} else "inconclusive"


def _judged(
    requirement: Requirement, what: str, ends: tuple[float | None, float | None, float | None], why: str
) -> Required:
    value, low, high = ends
    if value is None or low is None or high is None:
        return Required(text=requirement.text, verdict="inconclusive", reason=f"{what}: no interval: {why}")
    inside, outside = (low, high) if requirement.least else (-high, -low)
    bound = requirement.bound if requirement.least else -requirement.bound
    verdict: Verdict = "pass" if inside >= bound else "fail" if outside < bound else "inconclusive"
    said = f"{what} {value:.5g}, between {low:.5g} and {high:.5g}, from {why}"
    return Required(text=requirement.text, verdict=verdict, reason=said)


def _amount(text: str, whole: str) -> float:
    if text.endswith("%"):
        return _number(text[:-1], whole) / 100
    if text[-1:].isalpha():
        try:
            return parse_duration(text)
        except ValueError as error:
            raise ValueError(f"{whole!r}: {error}") from error
    return _number(text, whole)


def _number(text: str, whole: str) -> float:
    try:
        found = float(text)
    except ValueError:
        raise ValueError(f"{whole!r}: {text!r} is no number") from None
    if not abs(found) < 1e300:
        raise ValueError(f"{whole!r}: {text!r} is no number to compare with")
    return found
