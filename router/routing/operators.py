"""The operators of JSONLogic that are functions of their arguments' values.

Responsible for: what each of them gives.
Does not know: rules, where values come from. The operators that only flagd has are ``flagd``'s.

Rules: as the engine of flagd's Python packages has them (``coerce`` says why). What that engine raises on raises here:
a division by zero, a number too large for a double, an infinite place in a text. A new operator is added here and in
``router.config.logic``.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from math import isnan
from types import MappingProxyType
from typing import Any, Final

from router.routing.coerce import (
    MAX_BITS,
    MAX_TEXT,
    BoundError,
    Meter,
    comparable,
    loosely_equal,
    number,
    strictly_equal,
    text,
    truthy,
)

MAX_ITEMS: Final = 10_000  # of a list that a rule makes
_STEP: Final = 4  # as a power of two, the characters that cost a step where they are copied or searched

Eager = Callable[[Sequence[Any], Meter], Any]
"""From the values of the arguments to the result."""


def _bounded(value: float) -> float:
    """Refuse a whole number that only grows: it costs more with every digit, and no double is so large."""
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise BoundError("a number is too large")
    return value


def _ordered(compare: Callable[[Any, Any], bool]) -> Eager:
    def evaluate(values: Sequence[Any], _meter: Meter) -> bool:
        first, second = values[0], values[1]
        if not compare(*comparable(first, second)):
            return False
        return len(values) < 3 or values[2] is None or compare(*comparable(second, values[2]))

    return evaluate


def _plus(values: Sequence[Any], _meter: Meter) -> float:
    result: float = 0
    for value in values:  # not sum(): from Python 3.12 on it rounds differently
        result += number(value)
    return _bounded(result)


def _times(values: Sequence[Any], _meter: Meter) -> float:
    result: float = 1
    for value in values:
        result = _bounded(result * number(value))
    return result


def _minus(values: Sequence[Any], _meter: Meter) -> float:
    if len(values) == 1 or values[1] is None:
        return -number(values[0])
    return _bounded(number(values[0]) - number(values[1]))


def _cat(values: Sequence[Any], meter: Meter) -> str:
    parts = [text(value) for value in values]
    length = sum(map(len, parts))
    if length > MAX_TEXT:
        raise BoundError("a text is too long")
    meter.spend(length >> _STEP)
    return "".join(parts)


def _substr(values: Sequence[Any], meter: Meter) -> str:
    source, start = text(values[0]), number(values[1])
    size = len(source)
    meter.spend(size >> _STEP)
    if isnan(start) or -start >= size:
        begin = 0
    elif start < 0:
        begin = size - int(-start)
    else:
        begin = min(int(start), size)
    if len(values) == 2 or values[2] is None:
        return source[begin:]
    length = number(values[2])
    if isnan(length):
        return ""
    whole = int(length)
    return source[begin : begin + whole if whole >= 0 else max(begin, size + whole)]


def _in(values: Sequence[Any], meter: Meter) -> bool:
    needle, hay = values
    if isinstance(hay, list):
        meter.spend(len(hay))
        return any(needle is item or strictly_equal(needle, item, meter) for item in hay)
    if not isinstance(hay, str):
        return False
    meter.spend(len(hay) >> _STEP)
    return text(needle) in hay


def _merge(values: Sequence[Any], meter: Meter) -> list[Any]:
    lists = [value if isinstance(value, list) else [value] for value in values]
    count = sum(map(len, lists))
    meter.spend(count)
    if count > MAX_ITEMS:
        raise BoundError("a list is too long")
    return [item for items in lists for item in items]


def _begins(values: Sequence[Any], _meter: Meter) -> bool | None:
    whole, part = values
    return whole.startswith(part) if isinstance(whole, str) and isinstance(part, str) else None


def _ends(values: Sequence[Any], _meter: Meter) -> bool | None:
    whole, part = values
    return whole.endswith(part) if isinstance(whole, str) and isinstance(part, str) else None


EAGER: Final[Mapping[str, Eager]] = MappingProxyType(
    {
        "==": lambda values, _meter: loosely_equal(*values),
        "!=": lambda values, _meter: not loosely_equal(*values),
        "===": lambda values, meter: strictly_equal(values[0], values[1], meter),
        "!==": lambda values, meter: not strictly_equal(values[0], values[1], meter),
        "!": lambda values, _meter: not truthy(values[0]),
        "!!": lambda values, _meter: truthy(values[0]),
        "<": _ordered(operator.lt),
        "<=": _ordered(operator.le),
        ">": _ordered(operator.gt),
        ">=": _ordered(operator.ge),
        "min": lambda values, _meter: min(map(number, values)),
        "max": lambda values, _meter: max(map(number, values)),
        "+": _plus,
        "-": _minus,
        "*": _times,
        "/": lambda values, _meter: number(values[0]) / number(values[1]),
        "%": lambda values, _meter: number(values[0]) % number(values[1]),
        "cat": _cat,
        "substr": _substr,
        "in": _in,
        "merge": _merge,
        "starts_with": _begins,
        "ends_with": _ends,
    }
)
