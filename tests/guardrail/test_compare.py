"""The test of a ratio of two rates: against exact enumeration and published values, and the laws that it keeps."""

from math import exp, inf, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, hypergeom

from router.guardrail.compare import compare, design_effect, difference_excluded, ladder, ratio_bounds
from router.guardrail.track import MOST, Sample, Track, begin, fold

TWICE = ladder(2.0)
COUNTS = st.lists(st.integers(0, 40), min_size=8, max_size=8)


def sample(exchanges: tuple[int, int], events: tuple[int, int]) -> Sample:
    """Spread counts evenly over 256 buckets."""
    spread = [np.array([total // 256 + (bucket < total % 256) for bucket in range(256)]) for total in exchanges]
    found = [np.array([total // 256 + (bucket < total % 256) for bucket in range(256)]) for total in events]
    return Sample.of((spread[0], spread[1]), (found[0], found[1]))


def block(counted: Sample) -> Track:
    """Return the track of one block."""
    return fold(begin(TWICE.nodes, 1, 0.0), counted, 1, 60.0)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 120), st.floats(1.01, 500))
def test_the_mean_of_a_block_is_at_most_one(treated: int, control: int, events: int, ratio: float) -> None:
    """By enumeration: whatever the events, if they fall on exchanges of both arms alike."""
    whole = treated + control
    events = min(events, whole)
    counts = np.arange(min(events, treated) + 1)
    chances = hypergeom(whole, events, treated).pmf(counts)
    logs = counts * log(ratio) - events * np.log1p(treated / whole * (ratio - 1))
    assert float((chances * np.exp(logs)).sum()) <= 1 + 1e-9


@pytest.mark.parametrize(
    ("events", "p"), [((3, 0), 0.125), ((5, 0), 0.03125), ((10, 2), 0.019287), ((17, 4), 0.003599)], ids=str
)
def test_it_claims_no_more_than_the_conditional_test(events: tuple[int, int], p: float) -> None:
    """Przyborowski and Wilenski's test (1940) at one look: 1/e is a p-value at any, so it is never smaller.

    0 and 3 of equal samples, with p 0.125, is their example with dodder seeds as in Krishnamoorthy and Thomson (2004).
    """
    exact = binomtest(events[0], sum(events), 0.5, alternative="greater").pvalue
    assert exact == pytest.approx(p, rel=1e-3)
    counted = sample((10_000, 10_000), events)
    found = compare(block(counted), counted, TWICE)
    assert exp(-found.against_none) >= exact
    assert found.loudest.ratio == (events[0] / events[1] if events[1] else inf)


@given(st.integers(0, 30), st.integers(0, 30))
def test_another_failure_of_treatment_never_speaks_for_it(treated: int, control: int) -> None:
    """With one failure more of treatment evidence against it grows, with one more of control it falls."""
    values = [
        compare(block(counted), counted, TWICE)
        for counted in (
            sample((2560, 2560), events)
            for events in ((treated, control), (treated + 1, control), (treated, control + 1))
        )
    ]
    base, worse, better = (each.against_none for each in values)
    assert worse >= base - 1e-9
    assert better <= base + 1e-9
    assert values[1].against_margin <= values[0].against_margin + 1e-9


@given(COUNTS, COUNTS, st.permutations(range(8)))
def test_which_bucket_a_unit_is_in_does_not_matter(failed: list[int], other: list[int], order: list[int]) -> None:
    """Relabelled buckets give the same evidence."""
    exchanges = np.full(8, 50)
    one = Sample.of((exchanges, exchanges), (np.array(failed), np.array(other)))
    two = Sample.of((exchanges, exchanges), (np.array(failed)[order], np.array(other)[order]))
    found, other_way = compare(block(one), one, TWICE), compare(block(two), two, TWICE)
    assert other_way.against_none == pytest.approx(found.against_none)
    assert other_way.against_margin == pytest.approx(found.against_margin)


@given(COUNTS, COUNTS)
def test_a_design_effect_is_at_least_one(failed: list[int], other: list[int]) -> None:
    """Luck never makes requests more than independent."""
    exchanges = np.full((2, 8), 50.0)
    assert design_effect(exchanges, np.array([failed, other], dtype=np.float64)) >= 1


def test_a_thousand_failures_of_one_user_are_about_one() -> None:
    """They are all in one bucket, and the design effect is near their number."""
    exchanges = np.full((2, 256), 20.0)
    events = np.zeros((2, 256))
    exchanges[0, 7] += 1000
    events[0, 7] = 1000
    assert design_effect(exchanges, events) > 500
    assert design_effect(exchanges[:, :1], events[:, :1] + 1) == inf


def test_bounds_hold_the_estimate_and_tighten() -> None:
    """The interval of the ratio is around its estimate, and narrower with more data."""
    widths = []
    for factor in (1, 10, 100):
        counted = sample((5120 * factor, 5120 * factor), (30 * factor, 20 * factor))
        low, high = ratio_bounds(compare(block(counted), counted, TWICE).phase, (-log(0.05), -log(0.05)))
        assert low is not None
        assert high is not None
        assert low < 1.5 < high
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True)


def test_no_failures_are_the_rule_of_three() -> None:
    """Without any event the e-value against a difference d is (1 - d)^-n times a weight of 30 %."""
    counted = sample((2000, 2000), (0, 0))
    found = difference_excluded(compare(block(counted), counted, TWICE), 0.005)
    assert 0.3 <= exp(found) * 0.995**2000 <= 1
    assert found >= log(100)


@settings(max_examples=25)
@given(st.integers(1, 10_000))
def test_marks_are_bounded_and_their_weights_add_up_to_at_most_one(seed: int) -> None:
    """A month of phases and clocks that jump leaves at most 64 marks, and never more weight than there is."""
    random = np.random.default_rng(seed)
    track, now, phase = begin(TWICE.nodes, 1, 0.0), 0.0, 1
    counts = np.zeros((2, 2, 256), dtype=np.int64)
    counted = Sample(counts[0], counts[1])
    for _ in range(150):
        now += float(random.choice([60.0, 3600.0, 40_000.0, -5000.0]))
        if random.random() < 0.1:
            phase, counts = phase + 1, np.zeros_like(counts)
        counts[0] += random.integers(1, 5, (2, 256))
        counts[1] += random.random((2, 256)) < 0.01
        counted = Sample(counts[0].copy(), np.minimum(counts[0], counts[1]))
        track = fold(track, counted, phase, now)
        assert len(track.rows()) <= MOST
        assert float(np.exp(track.rows()[:, 1]).sum()) <= 1
    assert np.isfinite(compare(track, counted, TWICE).against_none)
