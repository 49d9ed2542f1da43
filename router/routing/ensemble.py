"""Values of several models as one.

Responsible for: reading a value from an answer, and the mean, the median and the vote of several.
Does not know: requests, which models there are, what becomes of one that disagrees.

Rules: pure. What is chosen, by vote or as the middle one, keeps the text it came in; what is computed is a double. A
mean or a median is of finite numbers; a vote is of scalars, which are equal as JSON values: 1 and 1.0 are, 1 and "1"
are not, nor 1 and true.
"""

from collections import Counter
from collections.abc import Sequence
from math import isfinite
from statistics import median
from typing import Final, NamedTuple

from msgspec import Raw

from router.routing.request import Key, scalar_key, value_at

NUMERIC: Final = ("mean", "median")


class Value(NamedTuple):
    """What an answer says: as it was written, and as what it is compared with others."""

    raw: Raw
    key: Key

    @property
    def number(self) -> float | None:
        """Return it as a finite number, if it is one."""
        if not isinstance(self.key, int | float):
            return None
        try:
            number = float(self.key)
        except OverflowError:
            return None
        return number if isfinite(number) else None


def read_value(body: bytes, at: tuple[str, ...], how: str) -> Value | None:
    """Return the value at a pointer of an answer; None when there is none that can be combined.

    Args:
        body: A JSON document.
        at: The pointer.
        how: ``mean``, ``median`` or ``vote``.
    """
    raw = value_at(body, at)
    key = None if raw is None else scalar_key(raw)
    if raw is None or key is None:
        return None
    value = Value(raw, key)
    return None if how in NUMERIC and value.number is None else value


def combine_values(values: Sequence[Value], how: str) -> Raw | float:
    """Return what several values come to.

    Args:
        values: One at least, each as ``read_value`` returns it.
        how: ``mean``, ``median`` (of an even number, between the middle two) or ``vote`` (of equally many, that of the
            earliest).
    """
    if how == "vote":
        counts = Counter(value.key for value in values)
        return next(value.raw for value in values if counts[value.key] == max(counts.values()))
    numbers = [number for value in values if (number := value.number) is not None]
    if how == "mean":
        return sum(number / len(numbers) for number in numbers)  # so that no sum is beyond a double
    middle = median(number / 2 for number in numbers) * 2
    return next((value.raw for value in values if value.number == middle), middle)
