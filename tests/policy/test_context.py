"""Attributes as features."""

import numpy as np

from router.policy.context import MOST_VALUES, encode, number


def test_categories_become_columns_and_numbers_one_scale() -> None:
    """A category has a column for each value and for its absence; a number its standardised value, and likewise."""
    rows = [{"tier": "gold", "age": "30"}, {"tier": "free", "age": "50"}, {"age": "x"}, {"tier": "gold"}]
    found = encode(rows, ["tier"], ["age"])
    assert found.tolist() == [[1, 1, 0, 0, -1, 0], [1, 0, 1, 0, 1, 0], [1, 0, 0, 1, 0, 1], [1, 1, 0, 0, 0, 1]]


def test_an_attribute_that_is_an_id_has_a_bounded_number_of_columns() -> None:
    """Beyond the commonest values there is one column for all others."""
    found = encode([{"id": str(index)} for index in range(1000)], ["id"], [])
    assert found.shape == (1000, 1 + MOST_VALUES + 1)
    assert (found[:, 1:].sum(axis=1) == 1).all()


def test_nothing_hostile_becomes_a_number() -> None:
    """Text, not a number, infinity and what is beyond any scale are absent."""
    assert [number(text) for text in ("old", "nan", "-inf", "1e300", None)] == [None] * 5
    assert np.isfinite(encode([{"age": "1e300"}, {"age": "7"}], [], ["age"])).all()


def test_what_is_the_same_everywhere_tells_nothing() -> None:
    """A constant attribute has no column, and neither has one that nobody has."""
    assert encode([{"tier": "gold"}] * 3, ["tier", "none"], ["age"]).tolist() == [[1.0]] * 3
