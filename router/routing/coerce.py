"""JavaScript's conversions between JSON values, which JSONLogic is defined by.

Responsible for: truth, numbers, text, equality and order of values as ECMAScript has them (sections 7.1 and 7.2).
Does not know: rules and operators.

Rules: never raises but ``BoundError``. Where jsonlogic.com leaves the language's habits open, null is not 0 in an
order: a missing attribute is neither less nor more than anything, as in the engine of flagd. Characters are code
points, not halves of surrogate pairs.
"""

import re
from decimal import Decimal
from math import inf, isnan, nan
from typing import Any, Final

MAX_TEXT: Final = 64 * 1024  # characters of a text that a rule makes
MAX_LEVELS: Final = 64  # lists within lists that become text

_SPACE: Final = (  # WhiteSpace and LineTerminator, ECMA-262 sections 12.2 and 12.3
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)
_DECIMAL: Final = re.compile(r"[+-]?(?:Infinity|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)")
_PREFIXED: Final = re.compile(r"0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+")


class BoundError(Exception):
    """A rule asked for more than a rule may use."""


def truthy(value: Any) -> bool:
    """Return whether a value counts as true: not null, false, 0, NaN, "" or an empty list."""
    if isinstance(value, float) and isnan(value):
        return False
    return isinstance(value, dict) or bool(value)


def number(value: Any) -> float:
    """Convert as ``Number`` does; NaN where that is impossible."""
    if isinstance(value, float):
        return value
    if value is None:
        return 0.0
    if isinstance(value, int):  # a boolean is one
        try:
            return float(value)
        except OverflowError:
            return inf if value > 0 else -inf
    return _parsed(value if isinstance(value, str) else text(value))


def _parsed(written: str) -> float:
    written = written.strip(_SPACE)
    if not written:
        return 0.0
    if _PREFIXED.fullmatch(written):
        return number(int(written, 0))
    return _decimal(written) if _DECIMAL.fullmatch(written) else nan


def _decimal(written: str) -> float:
    return float(written)  # never raises for what _DECIMAL matches; too large is infinite


def leading_number(value: Any) -> float:
    """Convert as ``parseFloat`` does: the number that a text begins with, or NaN."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(value)
    found = _DECIMAL.match(text(value).lstrip(_SPACE)) if value is not None else None
    return _decimal(found[0]) if found else nan


def text(value: Any) -> str:
    """Convert as ``String`` does.

    Raises:
        BoundError: When lists in it are too deep, or the text too long.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, list):
        parts: list[str] = []
        _join(value, parts, MAX_TEXT, 1)
        return "".join(parts)
    return "[object Object]" if isinstance(value, dict) else _scalar(value)


def _scalar(value: float) -> str:
    """Write a boolean or a number."""
    if isinstance(value, bool):
        return "true" if value else "false"
    value = number(value)
    if isnan(value):
        return "NaN"
    if value in {inf, -inf}:
        return "Infinity" if value > 0 else "-Infinity"
    if 1e-6 <= abs(value) < 1e21:
        written = format(Decimal(repr(value)), "f")
        return written.removesuffix(".0")
    return re.sub(r"(\.0)?e([+-])0*", r"e\2", repr(value)) if value else "0"


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
        elif item is not None:
            parts.append(text(item))
            room -= len(parts[-1])
        if room < 0:
            raise BoundError("a text is too long")
    return room


def strictly_equal(one: Any, other: Any) -> bool:
    """Return what ``===`` gives: no conversion; lists and maps are equal to themselves only."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return number(one) == number(other)
    if isinstance(one, str) and isinstance(other, str):
        return one == other
    return one is other


def loosely_equal(one: Any, other: Any) -> bool:
    """Return what ``==`` gives: null is equal to null only, everything else is compared as text or number."""
    if one is None or other is None:
        return one is other
    if isinstance(one, list | dict) and isinstance(other, list | dict):
        return one is other
    one, other = _primitive(one), _primitive(other)
    if isinstance(one, str) and isinstance(other, str):
        return one == other
    return number(one) == number(other)


def less(one: Any, other: Any, *, or_equal: bool) -> bool:
    """Return what ``<`` or ``<=`` gives; texts by code point, everything else as numbers, and false for null."""
    if one is None or other is None:
        return False
    one, other = _primitive(one), _primitive(other)
    if isinstance(one, str) and isinstance(other, str):
        return one <= other if or_equal else one < other
    left, right = number(one), number(other)
    return left <= right if or_equal else left < right


def _primitive(value: Any) -> Any:
    return text(value) if isinstance(value, list | dict) else value
