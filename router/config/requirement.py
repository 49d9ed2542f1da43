"""Requirements on the numbers of an offline check: ``accuracy >= 90%``, ``p99 <= 200ms``, ``mae <= 1.05 * baseline``.

Responsible for: their form.
Does not know: which numbers there are, verdicts (``router.evaluate``).

    REQUIREMENT = NAME (">=" | ">" | "<=" | "<") (AMOUNT | NUMBER "*" "baseline" | "baseline" ("+" | "-") AMOUNT)
    AMOUNT      = NUMBER | NUMBER "%" | duration
"""

import re
from typing import Final

from msgspec import Struct

from router.config.scalars import parse_duration

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
