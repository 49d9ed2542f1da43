"""Attributes as features of a log: categories one by one, numbers on one scale.

Responsible for: the columns of ``Log.context`` from attributes as text.
Does not know: how a worker makes the features of one request (``router.routing.linear``); the columns mean the same.

Rules: pure. The first column is 1. A category has a column for each of its commonest values, one for all others and one
for its absence; a number its standardised value and one for its absence. What is the same in all rows tells nothing and
has no column.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Final

import numpy as np

from router.policy.log import Floats

MOST_VALUES: Final = 20
HUGE: Final = 1e9
"""Numbers beyond are taken to be absent: one request could decide the scale of all."""


def encode(rows: Sequence[Mapping[str, str]], categories: Sequence[str], numbers: Sequence[str]) -> Floats:
    """Return the features of rows; shape (n, d).

    Args:
        rows: Attributes of each row.
        categories: Attributes that are categories.
        numbers: Attributes that are numbers.
    """
    columns: list[Floats] = []
    for name in categories:
        columns += _category([row.get(name) for row in rows])
    for name in numbers:
        columns += _number([row.get(name) for row in rows])
    told = [column for column in columns if len(column) and column.min() != column.max()]
    return np.column_stack([np.ones(len(rows)), *told])


def number(text: str | None) -> float | None:
    """Return an attribute as a number; None when it is none, or beyond ``HUGE``."""
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) and abs(value) <= HUGE else None


def _category(texts: Sequence[str | None]) -> list[Floats]:
    counts = Counter(text for text in texts if text is not None)
    common = [text for text, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_VALUES]]
    place = {text: index for index, text in enumerate(common)}
    other, absent = len(common), len(common) + 1
    found = np.array([absent if text is None else place.get(text, other) for text in texts], dtype=np.int64)
    return [(found == index).astype(np.float64) for index in range(len(common) + 2)]


def _number(texts: Sequence[str | None]) -> list[Floats]:
    values = [number(text) for text in texts]
    there = np.array([value is not None for value in values], dtype=np.bool_)
    column = np.array([0.0 if value is None else value for value in values])
    if there.any():
        mean, scale = column[there].mean(), column[there].std()
        column = np.where(there, (column - mean) / (scale if scale > 0 else 1.0), 0.0)
    return [column, (~there).astype(np.float64)]
