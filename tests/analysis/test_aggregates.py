"""Aggregates merge: in any order, in any grouping, with nothing."""

from math import ceil, isclose, log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.analysis.aggregates import (
    ACCURACY,
    GAMMA,
    OFFSET,
    Aggregate,
    Cell,
    Fates,
    Moments,
    Place,
    Product,
    Sketch,
    merge_cells,
)

# Whole numbers add up exactly, so that the laws hold to the bit.
WHOLE = st.integers(-1000, 1000).map(float)
COUNTS = st.integers(0, 1000)
MOMENTS = st.builds(Moments, COUNTS, WHOLE, WHOLE, WHOLE, WHOLE, WHOLE)
SKETCHES = st.dictionaries(st.integers(-60_000, 60_000), st.integers(1, 100), max_size=5).map(Sketch)
AGGREGATES = st.builds(
    Aggregate,
    units=MOMENTS,
    clusters=st.none() | MOMENTS,
    immature=COUNTS,
    missing=COUNTS,
    cut=COUNTS,
    cap=st.sampled_from([None, 7.0]),
    sketch=st.none() | SKETCHES,
    steps=st.lists(COUNTS, max_size=3).map(tuple),
)
NAMES = st.sampled_from(["ctr", "revenue"])
PRODUCTS = st.dictionaries(NAMES, st.dictionaries(NAMES, st.builds(Product, MOMENTS, WHOLE, WHOLE, WHOLE)))
CELLS = st.builds(
    Cell,
    units=COUNTS,
    clusters=st.none() | COUNTS,
    exchanges=COUNTS,
    failures=COUNTS,
    unfinished=COUNTS,
    metrics=st.dictionaries(NAMES, AGGREGATES),
    products=PRODUCTS,
)
PLACES = st.builds(Place, COUNTS, COUNTS, st.sampled_from("ab"))
TABLES = st.dictionaries(PLACES, CELLS, max_size=3)
FATES = st.builds(Fates, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)


@settings(max_examples=40)
@given(TABLES, TABLES, TABLES)
def test_cells_merge_in_any_order_and_grouping(
    one: dict[Place, Cell], two: dict[Place, Cell], three: dict[Place, Cell]
) -> None:
    """Shards may be folded each by itself, and put together as they come; nothing adds nothing."""
    assert merge_cells(one, two) == merge_cells(two, one)
    assert merge_cells(merge_cells(one, two), three) == merge_cells(one, merge_cells(two, three))
    assert merge_cells(one, {}) == merge_cells(merge_cells(one, {}), {})


@given(AGGREGATES, FATES, FATES)
def test_nothing_is_the_identity(aggregate: Aggregate, one: Fates, two: Fates) -> None:
    """An empty aggregate changes nothing."""
    assert aggregate.merge(Aggregate()) == Aggregate().merge(aggregate) == aggregate
    assert one.merge(Fates()) == one
    assert one.merge(two) == two.merge(one)


def test_different_caps_do_not_merge() -> None:
    """Sums of values that were capped differently are sums of different things."""
    with pytest.raises(ValueError, match=r"capped at 1.0 and at 2.0 do not merge"):
        Aggregate(cap=1.0).merge(Aggregate(cap=2.0))


def bucket(value: float) -> int:
    """Return the bucket of a value, as the definition has it."""
    if value == 0:
        return 0
    place = ceil(log(abs(value)) / log(GAMMA)) + OFFSET
    return place if value > 0 else -place


VALUES = st.lists(st.floats(-1e12, 1e12, allow_subnormal=False).filter(lambda value: value == 0 or abs(value) > 1e-12))


@given(VALUES.filter(bool), st.floats(0.01, 1.0))
def test_a_quantile_is_at_most_one_percent_off(values: list[float], q: float) -> None:
    """A sketch gives the value of the nearest rank, within its relative accuracy, also below zero."""
    counts: dict[int, int] = {}
    for value in values:
        counts[bucket(value)] = counts.get(bucket(value), 0) + 1
    exact = sorted(values)[ceil(q * len(values)) - 1]
    found = Sketch(counts).quantile(q)
    assert found is not None
    assert isclose(found, exact, rel_tol=ACCURACY * 1.001)


def test_a_sketch_of_nothing_has_no_quantile() -> None:
    """No value is no quantile, and not 0."""
    assert Sketch().quantile(0.5) is None
    with pytest.raises(ValueError, match="above 0 and at most at 1"):
        Sketch().quantile(0.0)
