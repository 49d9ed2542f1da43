"""Conversions between JSON values, as the engine of flagd's Python packages has them (panzi-json-logic).

Responsible for: truth, numbers, text, equality and order of values, and the bounds on what a rule may make.
Does not know: rules and operators.

Rules: the answers of an experiment's rule are those that flagd gives to the same rule (decision 0050), also where
JavaScript would say something else: ``""`` is no number and null is 0, true is 1 everywhere, lists compare by content
only in ``===`` and ``in``. What has no answer there raises here. Every cost is bounded by a ``Meter``.
"""

from math import isnan, nan
from typing import Any, Final

from msgspec import Struct

MAX_TEXT: Final = 64 * 1024  # characters of a text that a rule makes
MAX_LEVELS: Final = 64  # lists and maps within each other, where they are walked
MAX_BITS: Final = 8192  # of a whole number that a rule makes; a double ends at 1024
MAX_STEPS: Final = 20_000  # operations in loops, and values compared, in one evaluation

# Python reads these as infinite; flagd's engine says that JavaScript would not (it would not read "nan" either).
_NO_NUMBER: Final = frozenset({"inf", "-inf", "+inf"})


class RuleError(Exception):
    """A rule has no answer for some data."""


class BoundError(RuleError):
    """A rule asked for more than a rule may use."""


class Meter(Struct, gc=False):
    """What one evaluation may still use."""

    left: int = MAX_STEPS

    def spend(self, steps: int) -> None:
        """Use some of it.

        Raises:
            BoundError: When there is not so much left.
        """
        self.left -= steps
        if self.left < 0:
            raise BoundError("it takes too many steps")


def truthy(value: Any) -> bool:
    """Return whether a value counts as true: not null, false, 0, NaN, "" or an empty list; a map always does."""
    if value is True or value is False:
        return value
    if isinstance(value, float) and isnan(value):
        return False
    return isinstance(value, dict) or bool(value)


def number(value: Any) -> float:
    """Convert to a number; NaN where that is impossible. Numbers and truth values stay what they are."""
    while isinstance(value, list):
        if len(value) > 1:
            return nan
        value = value[0] if value else 0
    if isinstance(value, int | float):
        return value
    if value is None:
        return 0
    if isinstance(value, dict) or value.strip().lower() in _NO_NUMBER:
        return nan
    try:
        return float(value)
    except ValueError:
        return nan


def text(value: Any) -> str:
    """Convert to text.

    Raises:
        BoundError: When lists in it are too deep, or the text too long.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        parts: list[str] = []
        _join(value, parts, MAX_TEXT, 1)
        return "".join(parts)
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.15g}"
    if value is None:
        return "null"
    return str(value) if isinstance(value, int) else "[object Object]"


def _join(items: list[Any], parts: list[str], room: int, level: int) -> int:
    """Add the items of a list, with commas; return how many characters there is room for still."""
    if level > MAX_LEVELS:
        raise BoundError("lists within lists are nested too deep to be text")
    for index, item in enumerate(items):
        if index:
            parts.append(",")
            room -= 1
        if isinstance(item, list):
            room = _join(item, parts, room, level + 1)
        else:
            parts.append(text(item))
            room -= len(parts[-1])
        if room < 0:
            raise BoundError("a text is too long")
    return room


def strictly_equal(one: Any, other: Any, meter: Meter, level: int = 1) -> bool:
    """Return what ``===`` gives: no conversion, but true is 1; lists and maps are compared by what they hold.

    Raises:
        BoundError: When there is too much to compare.
    """
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = list(zip(one, other, strict=True))
    elif isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        pairs = [(value, other[key]) for key, value in one.items()]
    else:
        return not (isinstance(one, list | dict) or isinstance(other, list | dict)) and bool(one == other)
    meter.spend(len(pairs))
    if level > MAX_LEVELS:
        raise BoundError("values are nested too deep to be compared")
    # What holds the same NaN is the same; NaN itself is equal to nothing.
    return all(left is right or strictly_equal(left, right, meter, level + 1) for left, right in pairs)


def loosely_equal(one: Any, other: Any) -> bool:
    """Return what ``==`` gives: beside a number as numbers, beside a text as texts; lists are equal to themselves."""
    if type(one) is str and type(other) is str:  # nearly always
        return one == other
    if isinstance(one, int | float):
        return bool(one == (other if isinstance(other, int | float) else number(other)))
    if isinstance(other, int | float):
        return number(one) == other
    if one is None or other is None:
        return one is other
    if isinstance(one, str):
        return one == (other if isinstance(other, str) else text(other))
    return text(one) == other if isinstance(other, str) else one is other


def comparable(one: Any, other: Any) -> tuple[Any, Any]:
    """Return two values as what ``<`` and its like compare: numbers, or texts if one is a text and none a number."""
    if isinstance(one, int | float) or isinstance(other, int | float):
        return number(one), number(other)
    if isinstance(one, str) or isinstance(other, str):
        return text(one), text(other)
    return number(one), number(other)
