"""The Mann-Whitney test: scipy's, on values and on buckets."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from router.analysis.aggregates import Aggregate, middle
from router.analysis.estimate import NotEnough
from router.config.schema import Metric
from router.inference import ranks
from tests.inference.arms import sketch

METRIC = Metric(name="q", kind="quantile", outcome="o", q=0.5, goal="up")
RANDOM = np.random.default_rng(6)
ONE, TWO = RANDOM.lognormal(0.1, 1, 300).round(1), RANDOM.lognormal(0, 1, 200).round(1)


def test_sketches_are_tested_as_scipy_tests_their_buckets() -> None:
    """Ties and continuity included; relabelled, the same p and the other pairs."""
    one, two = (Aggregate(sketch=sketch(values)) for values in (ONE, TWO))
    assert one.sketch is not None
    assert two.sketch is not None
    middles = [
        [middle(bucket) for bucket, n in side.counts.items() for _ in range(n)] for side in (one.sketch, two.sketch)
    ]
    expected = mannwhitneyu(*middles, method="asymptotic")
    found, back = ranks.of_sketches(METRIC, one, two), ranks.of_sketches(METRIC, two, one)
    assert isinstance(found, ranks.Ranks)
    assert isinstance(back, ranks.Ranks)
    assert found.u == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue)
    assert back.p == found.p
    assert back.probability == pytest.approx(1 - found.probability)


def test_few_values_without_ties_are_tested_exactly() -> None:
    """Of 3 and 3 that do not overlap, 2 of 20 orders are as far apart."""
    found = ranks.of_values([4.0, 5.0, 6.0], [1.0, 2.0, 3.0])
    assert isinstance(found, ranks.Ranks)
    assert (found.u, found.probability, found.exact, found.n) == (9.0, 1.0, True, 6)
    assert found.p == pytest.approx(0.1)
    many = ranks.of_values(ONE.tolist(), TWO.tolist())
    assert isinstance(many, ranks.Ranks)
    assert many.p == pytest.approx(mannwhitneyu(ONE, TWO, method="asymptotic").pvalue)


def test_ranks_of_what_is_dependent_constant_or_absent_are_none() -> None:
    """Exchanges of a unit are not independent, one value has no order, nobody has no rank; nan is a mistake."""
    known = Aggregate(sketch=sketch([1.0] * 30))
    exchanges = Metric(name="q", kind="quantile", exchange="duration", q=0.5, goal="up")
    for metric, one, two in ((exchanges, known, known), (METRIC, known, known), (METRIC, known, Aggregate())):
        assert isinstance(ranks.of_sketches(metric, one, two), NotEnough)
    assert isinstance(ranks.of_values([1.0], [1.0]), NotEnough)
    assert isinstance(ranks.of_values([], [1.0]), NotEnough)
    with pytest.raises(ValueError, match="finite"):
        ranks.of_values([float("nan")], [1.0])
