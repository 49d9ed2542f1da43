"""The latency histogram: every time in exactly one narrow bucket, merged without loss, read within one bucket."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.histogram import BUCKETS, LARGEST_US, SHORT_BUCKETS, SHORT_US, bounds_us, bucket, merge, quantile

times = st.one_of(st.integers(0, 64), st.integers(0, 10**6), st.integers(0, LARGEST_US))
counts = st.lists(st.integers(0, 1000), min_size=BUCKETS, max_size=BUCKETS)


def histogram(values: list[int]) -> list[int]:
    """Count times one by one."""
    buckets = [0] * BUCKETS
    for value in values:
        buckets[bucket(value)] += 1
    return buckets


@given(times)
def test_a_time_lies_between_the_bounds_of_its_bucket(us: int) -> None:
    """A bucket counts the times above its predecessor's bound, up to its own."""
    index = bucket(us)
    assert us <= bounds_us[index]
    assert index == 0 or us > bounds_us[index - 1]


@given(times, times)
def test_a_longer_time_is_never_in_an_earlier_bucket(one: int, other: int) -> None:
    """Buckets are in the order of their times."""
    assert bucket(min(one, other)) <= bucket(max(one, other))


def test_short_times_are_looked_up_in_the_same_buckets() -> None:
    """The table of short times is ``bucket``, for each of them."""
    assert list(SHORT_BUCKETS) == [bucket(us) for us in range(SHORT_US)]


def test_every_bucket_is_in_use_and_at_most_an_eighth_wide() -> None:
    """No bucket is wider than 12.5 % of the times in it, and none is unreachable."""
    assert [bucket(bound) for bound in bounds_us] == list(range(BUCKETS))
    assert bounds_us[-1] == LARGEST_US
    assert all(high - low <= max(1, (low + 1) / 8) for low, high in pairwise(bounds_us))


def test_buckets_split_at_every_power_of_two() -> None:
    """The bounds that Prometheus gets cut no bucket in two."""
    assert all(bounds_us[bucket(2**power - 1)] == 2**power - 1 for power in range(1, 33))


@pytest.mark.parametrize(("us", "expected"), [(-1, 0), (-(10**12), 0), (LARGEST_US + 1, 239), (10**15, 239)])
def test_times_out_of_range_count_at_the_ends(us: int, expected: int) -> None:
    """A clock that steps back or a stream that runs for hours is still counted once."""
    assert bucket(us) == expected


@given(st.lists(times, min_size=1, max_size=200), st.floats(0.001, 1))
def test_a_quantile_is_in_the_bucket_of_the_exact_one(values: list[int], q: float) -> None:
    """The estimate and the nearest-rank quantile of the raw times share a bucket."""
    exact = sorted(values)[math.ceil(q * len(values)) - 1]
    estimate = quantile(histogram(values), q)
    assert estimate is not None
    low = bounds_us[bucket(exact) - 1] + 1 if bucket(exact) else 0
    assert low <= estimate <= bounds_us[bucket(exact)]


@given(st.lists(times, min_size=1, max_size=200), st.floats(0.001, 1), st.floats(0.001, 1))
def test_quantiles_do_not_cross(values: list[int], one: float, other: float) -> None:
    """A higher share never has a lower time."""
    buckets = histogram(values)
    low, high = quantile(buckets, min(one, other)), quantile(buckets, max(one, other))
    assert low is not None
    assert high is not None
    assert low <= high


def test_no_times_have_no_quantile() -> None:
    """Nothing counted is not a time of zero."""
    assert quantile([0] * BUCKETS, 0.5) is None


@pytest.mark.parametrize("q", [0.0, -0.1, 1.01, math.nan])
def test_a_share_outside_its_range_is_refused(q: float) -> None:
    """A quantile lies above 0 and at most at 1."""
    with pytest.raises(ValueError, match="quantile"):
        quantile([1] * BUCKETS, q)


@given(counts, counts, counts)
def test_merging_is_associative_and_commutative(a: list[int], b: list[int], c: list[int]) -> None:
    """Workers, replicas and hours can be merged in any order."""
    assert merge(merge(a, b), c) == merge(a, merge(b, c))
    assert merge(a, b) == merge(b, a)


@given(st.lists(times), st.lists(times))
def test_merging_is_counting_together(one: list[int], other: list[int]) -> None:
    """Two histograms merged are the histogram of all the times."""
    assert merge(histogram(one), histogram(other)) == histogram(one + other)
