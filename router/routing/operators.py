"""The operators of JSONLogic that are functions of their arguments' values.

Responsible for: what each of them gives (jsonlogic.com).
Does not know: data, the evaluation of arguments.

Rules: never raises but ``BoundError``; the number of arguments was checked (``router.config.logic``).
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from math import fmod, inf, isinf, isnan, nan, prod
from types import MappingProxyType
from typing import Any, Final

from router.routing.coerce import (
    MAX_TEXT,
    BoundError,
    leading_number,
    less,
    loosely_equal,
    number,
    strictly_equal,
    text,
    truthy,
)

MAX_ITEMS: Final = 10_000  # of a list that a rule makes
_EXACT: Final = 2.0**53  # beyond it a double is not every whole number

Eager = Callable[[Sequence[Any]], Any]
"""From the values of the arguments to the result."""


def _whole(value: float) -> float:
    """Return a whole number as one."""
    return int(value) if value.is_integer() and abs(value) <= _EXACT else value


def _ordered(values: Sequence[Any], *, or_equal: bool) -> bool:
    return all(less(one, other, or_equal=or_equal) for one, other in pairwise(values))


def _extreme(values: Sequence[Any], choose: Callable[[Sequence[float]], float]) -> float:
    numbers = [number(value) for value in values]
    return nan if any(isnan(value) for value in numbers) else _whole(choose(numbers))


def _minus(values: Sequence[Any]) -> float:
    return _whole(-number(values[0]) if len(values) == 1 else number(values[0]) - number(values[1]))


def _over(values: Sequence[Any]) -> float:
    dividend, divisor = number(values[0]), number(values[1])
    if divisor == 0:  # a rule has no way to write -0
        return nan if dividend == 0 or isnan(dividend) else dividend * inf
    return _whole(dividend / divisor)


def _modulo(values: Sequence[Any]) -> float:
    dividend, divisor = number(values[0]), number(values[1])
    return nan if divisor == 0 or isinf(dividend) else _whole(fmod(dividend, divisor))


def _cat(values: Sequence[Any]) -> str:
    parts = ["" if value is None else text(value) for value in values]
    if sum(map(len, parts)) > MAX_TEXT:
        raise BoundError("a text is too long")
    return "".join(parts)


def _substr(values: Sequence[Any]) -> str:
    source = text(values[0])
    start = _index(values[1])
    rest = source[start:] if start >= 0 else source[max(0, len(source) + start) :]
    if len(values) == 2:
        return rest
    end = _index(values[2])
    return rest[:end] if end >= 0 else rest[: max(0, len(rest) + end)]


def _index(value: Any) -> int:
    wanted = number(value)
    return 0 if isnan(wanted) else int(max(-_EXACT, min(_EXACT, wanted)))


def _in(values: Sequence[Any]) -> bool:
    needle, hay = values
    if isinstance(hay, str):
        return bool(hay) and text(needle) in hay
    return isinstance(hay, list) and any(strictly_equal(needle, item) for item in hay)


def _merge(values: Sequence[Any]) -> list[Any]:
    lists = [value if isinstance(value, list) else [value] for value in values]
    if sum(map(len, lists)) > MAX_ITEMS:
        raise BoundError("a list is too long")
    return [item for items in lists for item in items]


def _begins(values: Sequence[Any]) -> bool:
    whole, part = values
    return isinstance(whole, str) and isinstance(part, str) and whole.startswith(part)


def _ends(values: Sequence[Any]) -> bool:
    whole, part = values
    return isinstance(whole, str) and isinstance(part, str) and whole.endswith(part)


EAGER: Final[Mapping[str, Eager]] = MappingProxyType(
    {
        "==": lambda values: loosely_equal(*values),
        "!=": lambda values: not loosely_equal(*values),
        "===": lambda values: strictly_equal(*values),
        "!==": lambda values: not strictly_equal(*values),
        "!": lambda values: not truthy(values[0]),
        "!!": lambda values: truthy(values[0]),
        "<": lambda values: _ordered(values, or_equal=False),
        "<=": lambda values: _ordered(values, or_equal=True),
        ">": lambda values: _ordered(values[::-1], or_equal=False),
        ">=": lambda values: _ordered(values[::-1], or_equal=True),
        "min": lambda values: _extreme(values, min),
        "max": lambda values: _extreme(values, max),
        "+": lambda values: _whole(sum(map(leading_number, values), 0.0)),
        "-": _minus,
        "*": lambda values: _whole(prod(map(leading_number, values), start=1.0)),
        "/": _over,
        "%": _modulo,
        "cat": _cat,
        "substr": _substr,
        "in": _in,
        "merge": _merge,
        "starts_with": _begins,
        "ends_with": _ends,
    }
)
