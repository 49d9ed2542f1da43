"""Fixed-horizon comparisons: published values, other packages on raw data, laws, and what cannot be said."""

import json
from itertools import product
from math import isfinite
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
import tea_tasting
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportions_ztest

from router.analysis.aggregates import Aggregate, Moments
from router.analysis.estimate import Estimate, NotEnough
from router.config.metric import Covariate
from router.config.schema import Metric
from router.inference import difference, fixed, score
from router.inference.effect import Asked, Effect, Relative
from router.inference.proportions import fisher
from tests.inference.arms import MEAN, PROPORTION, RATIO, arm, clustered, ends, moments, successes

DATA: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "fixed.json").read_text())
ASKED = Asked()
VALUES = st.lists(st.integers(-50, 50).map(float), min_size=2, max_size=20)
COUNTS = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def effect(metric: Metric, treatment: Aggregate, control: Aggregate, asked: Asked = ASKED) -> Effect:
    """Return the effect of two arms that have one."""
    found = fixed.compare(metric, treatment, control, asked)
    assert isinstance(found, Effect), found
    return found


def relative(found: Effect) -> Relative:
    """Return the relative effect of one that has it."""
    assert isinstance(found.relative, Relative), found.relative
    return found.relative


def test_welch_has_the_published_values() -> None:
    """Student's sleep data give what R prints."""
    case = DATA["welch"]
    found = effect(MEAN, arm(case["treatment"]), arm(case["control"]))
    assert found.degrees_of_freedom == pytest.approx(case["degrees_of_freedom"], abs=5e-4)
    assert found.p == pytest.approx(case["p"], abs=5e-6)
    assert ends(found.interval) == pytest.approx(case["interval"], abs=5e-8)


@given(VALUES, VALUES)
def test_means_are_compared_as_scipy_does(one: list[float], two: list[float]) -> None:
    """Welch's and the pooled t from sums are those of scipy from the values."""
    for found, equal in (
        (fixed.compare(MEAN, arm(one), arm(two), ASKED), False),
        (difference.pooled(MEAN, arm(one), arm(two), ASKED), True),
    ):
        if len(set(one)) == 1 or len(set(two)) == 1:  # scipy warns of both
            assert isinstance(found, NotEnough) == (len(set(one)) == len(set(two)))
            continue
        expected = stats.ttest_ind(one, two, equal_var=equal)
        assert isinstance(found, Effect)
        assert found.p == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)
        assert ends(found.interval) == pytest.approx(tuple(expected.confidence_interval()), rel=1e-6, abs=1e-9)


def test_differences_of_proportions_have_the_published_intervals() -> None:
    """Mee's interval is that of Newcombe's table."""
    for case in DATA["difference_of_proportions"]["cases"]:
        one, two = (tuple(case[name]) for name in ("treatment", "control"))
        assert score.difference(one, two, stats.norm.ppf(0.975)) == pytest.approx(case["interval"], abs=5e-5)


def test_small_counts_are_tested_by_fisher() -> None:
    """The lady who tasted tea has the p of her book."""
    case = DATA["fisher"]
    found = effect(PROPORTION, successes(*case["treatment"]), successes(*case["control"]))
    assert found.p == pytest.approx(case["p"])
    assert found.method == "Fisher's exact test"


@given(COUNTS, COUNTS)
def test_proportions_agree_with_themselves_and_others(one: tuple[int, int], two: tuple[int, int]) -> None:
    """The z-test has statsmodels' p, and both of its intervals hold 0 exactly when it does not reject."""
    found = fixed.compare(PROPORTION, successes(*one), successes(*two), ASKED)
    if one[0] + two[0] in (0, one[1] + two[1]):
        assert isinstance(found, NotEnough)
        return
    assert isinstance(found, Effect)
    assert found.interval.holds(found.value)
    if found.method == "z-test of two proportions":
        expected = proportions_ztest([one[0], two[0]], [one[1], two[1]])[1]
        assert found.p == pytest.approx(expected, rel=1e-6)
        assert found.interval.holds(0) == (expected >= 0.05)
        assert isinstance(found.relative, NotEnough) == (two[0] == 0)
        if isinstance(found.relative, Relative):
            assert found.relative.interval.holds(0) == (expected >= 0.05)
            assert found.relative.interval.holds(found.relative.value)


@given(COUNTS, COUNTS)
def test_fishers_p_is_that_of_scipy(one: tuple[int, int], two: tuple[int, int]) -> None:
    """Of any table; and a hundred million units take no longer than the tables that there are."""
    expected = stats.fisher_exact([[x, n - x] for x, n in (one, two)]).pvalue
    assert fisher(one, two) == pytest.approx(expected, rel=1e-6)
    assert fisher((3, 10**8), (0, 10**8)) == pytest.approx(0.25)


def test_small_counts_never_claim_more_than_fisher() -> None:
    """1 of 2 beside 33 of 33 has p = 0.057: both intervals hold 0, though limits combined would not."""
    one, two = successes(1, 2), successes(33, 33)
    for found in (effect(PROPORTION, one, two), effect(PROPORTION, two, one)):
        assert found.p == pytest.approx(2 / 35)
        assert found.interval.holds(0)
        assert relative(found).interval.holds(0)


@pytest.mark.parametrize("alpha", [0.05, 0.5, 1e-9, 1e-300])
def test_relative_limits_of_small_counts_bear_any_baseline(alpha: float) -> None:
    """Also where control's upper limit is twice its value and more; an upper limit that has no number is none."""
    for x, n in ((1, 1000), (2, 30), (30, 30)):
        share = relative(effect(PROPORTION, successes(3, 40), successes(x, n), Asked(alpha)))
        assert share.interval.low is not None
        assert -1 <= share.interval.low <= share.value
        assert share.interval.high is None or share.interval.high >= share.value


def test_ratios_are_compared_as_tea_tasting_does() -> None:
    """The delta method over units is that of tea-tasting on the same rows."""
    random = np.random.default_rng(5)
    n = 400
    treated = random.integers(0, 2, n)
    requests = random.poisson(5, n) + 1.0
    failures = random.binomial(requests.astype(int), 0.1 + 0.02 * treated).astype(float)
    table = pa.table({"variant": treated, "failures": failures, "requests": requests})
    expected = tea_tasting.Experiment(r=tea_tasting.RatioOfMeans("failures", "requests")).analyze(table)["r"]
    one, two = (arm(failures[treated == side], requests[treated == side]) for side in (1, 0))
    found = effect(RATIO, one, two)
    assert found.method == "delta method"
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert ends(found.interval) == pytest.approx((expected.effect_size_ci_lower, expected.effect_size_ci_upper))


def test_clusters_are_what_varies() -> None:
    """Of clusters of one size, the t-test is that of the clusters' means, with their number as degrees of freedom."""
    random = np.random.default_rng(6)
    one, two = (random.normal(size=(9, 4)) + random.normal(size=(9, 1)) * 2 + shift for shift in (1, 0))
    found = effect(MEAN, clustered(one.tolist()), clustered(two.tolist()))
    expected = stats.ttest_ind(one.mean(axis=1), two.mean(axis=1), equal_var=False)
    assert found.method == "cluster-robust t"
    assert found.p == pytest.approx(expected.pvalue, rel=1e-6)
    assert found.degrees_of_freedom == pytest.approx(expected.df)
    assert any("clusters" in note for note in found.notes)


def test_fieller_agrees_with_the_absolute_effect_and_keeps_its_sign() -> None:
    """The relative interval holds 0 when the absolute does; of negative baselines up is still above 0."""
    random = np.random.default_rng(7)
    for shift in np.linspace(-0.6, 0.6, 25):
        one, two = random.normal(-5 + shift, 1, 60), random.normal(-5, 1, 60)
        found = effect(MEAN, arm(one), arm(two))
        share = relative(found)
        assert share.interval.holds(0) == found.interval.holds(0)
        assert share.value == pytest.approx(found.value / 5, rel=0.1)
        positive = relative(effect(MEAN, arm(-one), arm(-two)))
        assert ends(share.interval) == pytest.approx([-end for end in reversed(ends(positive.interval))])


@pytest.mark.parametrize("control", [[-1.0, 1.0, 0.5, -0.5], [-1.0, 1.0, 1.0, 0.2]])
def test_a_baseline_near_zero_has_no_relative_effect(control: list[float]) -> None:
    """What cannot be told from 0 is no share to speak of; the absolute effect stays."""
    found = effect(MEAN, arm([1.0, 2.0, 3.0, 4.0]), arm(control))
    assert isinstance(found.relative, NotEnough)
    assert "0" in found.relative.reason


def same_but_negated(one: Effect | NotEnough, two: Effect | NotEnough) -> None:
    """Check that two comparisons are of the same arms, relabelled."""
    if isinstance(one, NotEnough) or isinstance(two, NotEnough):
        assert type(one) is type(two)
        return
    assert one.value == -two.value
    assert one.p == two.p
    assert one.standard_error == two.standard_error
    assert ends(one.interval) == tuple(-end for end in reversed(ends(two.interval)))


@given(VALUES, VALUES, st.sampled_from(["mean", "ratio", "clusters", "covariate"]))
def test_relabelled_arms_negate_the_effect(one: list[float], two: list[float], kind: str) -> None:
    """Exactly, to the last bit, with the same p-value."""
    metric = {"ratio": RATIO, "covariate": msgspec.structs.replace(MEAN, covariate=Covariate(outcome="o", before=60))}
    arms = [arm(values, range(1, len(values) + 1)) for values in (one, two)]
    if kind == "clusters":
        arms = [clustered([[value] * 2 for value in values]) for values in (one, two)]
    chosen = metric.get(kind, MEAN)
    one_way, other_way = (fixed.compare(chosen, a, b, ASKED) for a, b in (arms, arms[::-1]))
    same_but_negated(one_way, other_way)


@given(COUNTS, COUNTS)
def test_relabelled_proportions_negate_the_effect(one: tuple[int, int], two: tuple[int, int]) -> None:
    """Also those whose bounds are searched for."""
    a, b = successes(*one), successes(*two)
    same_but_negated(fixed.compare(PROPORTION, a, b, ASKED), fixed.compare(PROPORTION, b, a, ASKED))


@given(st.lists(st.tuples(VALUES, VALUES), min_size=2, max_size=4), st.randoms(use_true_random=False))
def test_shards_merge_in_any_order(shards: list[tuple[list[float], list[float]]], random: Any) -> None:
    """The effect of merged sums is that of all units together."""
    shuffled = list(shards)
    random.shuffle(shuffled)
    merged = [Aggregate(), Aggregate()]
    for pair in shuffled:
        merged = [known.merge(arm(values)) for known, values in zip(merged, pair, strict=True)]
    whole = [arm([value for pair in shards for value in pair[side]]) for side in (0, 1)]
    assert fixed.compare(MEAN, merged[0], merged[1], ASKED) == fixed.compare(MEAN, whole[0], whole[1], ASKED)


NAN, INF = float("nan"), float("inf")
GOOD = arm([float(value % 7) for value in range(40)], [float(1 + value % 3) for value in range(40)])
POOR = {
    "an empty arm": Aggregate(),
    "immature": Aggregate(immature=3),
    "missing": Aggregate(missing=3),
    "one unit": arm([2.0], [1.0]),
    "nan": Aggregate(units=Moments(40, NAN, NAN, 1.0, 1.0, 1.0)),
    "inf": Aggregate(units=Moments(40, INF, INF, 1.0, 1.0, 1.0)),
    "overflow": Aggregate(units=Moments(40, 1e200, INF, 1.0, 1.0, 1.0)),
    "huge": Aggregate(units=Moments(40, 1e300, 1e308, 1e150, 1e300, 1e300)),
    "contradictory": Aggregate(units=Moments(40, 100.0, 1.0, 100.0, 1.0, 1e9)),
    "no denominator": arm([float(value) for value in range(40)]),
    "constant": arm([3.0] * 40, [1.0] * 40),
    "no clusters": Aggregate(units=GOOD.units, clusters=Moments()),
    "one cluster": Aggregate(units=GOOD.units, clusters=Moments(1, 5.0, 25.0, 40.0, 1600.0, 200.0)),
}


@pytest.mark.parametrize(
    ("name", "kind"), list(product(POOR, ["mean", "count", "ratio", "proportion", "retention", "funnel"]))
)
def test_degenerate_arms_never_give_a_verdict(name: str, kind: Any) -> None:
    """Whatever an arm is made of, the answer is finite or a reason, in both directions and beside itself."""
    metric = msgspec.structs.replace(RATIO if kind == "ratio" else MEAN, kind=kind)
    if kind in ("mean", "count", "proportion", "retention"):
        metric = msgspec.structs.replace(metric, covariate=Covariate(outcome="o", before=60))
    poor = POOR[name]
    good = GOOD if poor.clusters is None else clustered([[1.0, 2.0], [3.0, 5.0], [2.0, 2.0], [1.0, 0.0]])
    for one, two in ((poor, good), (good, poor), (poor, poor)):
        found = fixed.compare(metric, one, two, ASKED)
        if isinstance(found, NotEnough):
            assert found.reason
            continue
        text = msgspec.json.encode(found).decode()
        assert "NaN" not in text
        assert "Infinity" not in text
        assert "null" not in text.split('"interval":')[1].split("}")[0]
        assert found.p is not None
        assert 0 < found.p <= 1
        assert isfinite(found.value)


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-9, 123456.789, -7.7])
def test_a_constant_metric_is_not_tested(value: float) -> None:
    """Rounding of sums is no spread, also where the arms' constants differ."""
    for n, shift in product([2, 30, 10_000], [0.0, 1.0]):
        found = fixed.compare(MEAN, arm([value] * n), arm([value + shift] * n), ASKED)
        assert isinstance(found, NotEnough)


@pytest.mark.parametrize(("x", "n", "reason"), [(0, 50, "nobody in both arms"), (50, 50, "everybody in both arms")])
def test_nobody_or_everybody_is_no_evidence(x: int, n: int, reason: str) -> None:
    """0 of n, or n of n, in both arms have no p-value."""
    assert fixed.compare(PROPORTION, successes(x, n), successes(2 * x, 2 * n), ASKED) == NotEnough(reason, 3 * n)


def test_arms_that_cannot_be_compared_are_refused() -> None:
    """Different caps, or clusters in one arm alone, are a caller's mistake."""
    capped = [msgspec.structs.replace(GOOD, cap=cap) for cap in (1.0, 2.0)]
    with pytest.raises(ValueError, match="one cap"):
        fixed.compare(MEAN, capped[0], capped[1], ASKED)
    with pytest.raises(ValueError, match="has clusters"):
        fixed.compare(MEAN, GOOD, clustered([[1.0], [2.0]]), ASKED)
    with pytest.raises(ValueError, match="pooled"):
        difference.pooled(RATIO, GOOD, GOOD, ASKED)


def test_what_a_comparison_cannot_do_is_told() -> None:
    """A covariate of clusters, a pooled variance of nothing, an interval or a share without bounds."""
    metric = msgspec.structs.replace(MEAN, covariate=Covariate(outcome="o", before=60))
    groups = [[float(value % 5), float(value % 3)] for value in range(45)]
    assert any("covariate" in note for note in effect(metric, clustered(groups), clustered(groups)).notes)
    many = effect(MEAN, clustered(groups), clustered(groups))
    assert not any("clusters" in note for note in many.notes)
    for poor in (Aggregate(), arm([2.0] * 40)):
        assert isinstance(difference.pooled(MEAN, poor, poor, ASKED), NotEnough)
    assert isinstance(fixed.compare(MEAN, arm([1e20, 2e20]), arm([2.0, 2.0]), Asked(1e-300)), NotEnough)
    tiny = difference.fieller(2e148, Estimate(2.3e-162, None, 30), (1e295, 0.0, 0.0), 2.0)
    assert tiny == NotEnough("control's value is too close to 0", 30)


@pytest.mark.parametrize(("n", "x"), [(1, 1.0), (40, INF)])
def test_a_covariate_without_a_spread_is_left_out(n: int, x: float) -> None:
    """Of one unit, or of sums that are no numbers, proportions are compared without it."""
    metric = msgspec.structs.replace(PROPORTION, covariate=Covariate(outcome="o", before=60))
    odd = Aggregate(units=Moments(n, 1.0, 1.0, x, x, x))
    found = effect(metric, odd, successes(10, 40))
    assert found.unadjusted is None
    assert any("covariate" in note for note in found.notes)


@pytest.mark.parametrize("reach", [1e-12, 1.96, 37.0])
def test_score_intervals_bear_nobody_and_everybody(reach: float) -> None:
    """Counts at their ends have intervals around what was found, as wide as is asked for and within [-1, 1]."""
    for one, two in product([(0, 10), (10, 10), (1, 10)], repeat=2):
        low, high = score.difference(one, two, reach)
        assert -1 <= low <= one[0] / 10 - two[0] / 10 + 1e-9
        assert one[0] / 10 - two[0] / 10 - 1e-9 <= high <= 1
        assert (high - low > 0.2) == (reach > 1)
        if two[0]:
            below, above = score.ratio(one, two, reach)
            assert below - 1e-9 <= one[0] / two[0] <= above + 1e-9


def test_a_cap_is_told() -> None:
    """An effect on capped values says so."""
    capped = msgspec.structs.replace(GOOD, cap=9.0)
    assert any("capped" in note for note in effect(MEAN, capped, arm([1.0, 2.0] * 20)).notes)


def test_an_arm_without_spread_compares_with_one_that_has_it() -> None:
    """All zeros against values is the one-sample t-test of the values."""
    values = [0.0, 3.0, 1.0, 4.0, 2.0, 8.0]
    found = effect(MEAN, arm(values), arm([0.0] * 30))
    assert found.p == pytest.approx(stats.ttest_1samp(values, 0.0).pvalue)
    assert isinstance(found.relative, NotEnough)


def test_cuped_is_the_regression_on_the_covariate() -> None:
    """With equal arms the effect is that of tea-tasting's CUPED; the unadjusted one stands beside it."""
    random = np.random.default_rng(8)
    before = random.gamma(2, 5, (2, 300))
    after = 0.8 * before + random.normal(size=(2, 300)) * 2 + np.array([[0.5], [0.0]])
    metric = msgspec.structs.replace(MEAN, covariate=Covariate(outcome="o", before=60))
    found = effect(metric, arm(after[0], before[0]), arm(after[1], before[1]))
    table = pa.table({"variant": np.repeat([1, 0], 300), "y": after.ravel(), "x": before.ravel()})
    expected = tea_tasting.Experiment(m=tea_tasting.Mean("y", "x")).analyze(table)["m"]
    assert found.method == "CUPED"
    assert found.value == pytest.approx(expected.effect_size, rel=0.01)
    assert found.standard_error == pytest.approx(expected.effect_size / expected.statistic, rel=0.01)
    assert found.unadjusted == effect(MEAN, arm(after[0]), arm(after[1]))
    assert found.control.value == pytest.approx(after[1].mean())
    assert relative(found).value == pytest.approx(found.value / after[1].mean())


@pytest.mark.parametrize(
    ("x", "note"), [([1.0] * 40, "does not vary"), ([float(v % 7) for v in range(40)], "leaves no variance")]
)
def test_a_covariate_of_no_use_is_not_used(x: list[float], note: str) -> None:
    """A constant one, and one that is the metric itself, leave the plain test, and a note says so."""
    y = [float(v % 7) for v in range(40)]
    metric = msgspec.structs.replace(MEAN, covariate=Covariate(outcome="o", before=60))
    found = effect(metric, arm(y, x), arm(y, x))
    assert found.method == "Welch's t"
    assert any(note in told for told in found.notes)


def test_a_weak_covariate_is_told() -> None:
    """Next to no correlation takes away next to no variance."""
    random = np.random.default_rng(9)
    metric = msgspec.structs.replace(MEAN, covariate=Covariate(outcome="o", before=60))
    one, two = (arm(random.normal(size=4000), random.normal(size=4000)) for _ in range(2))
    assert any("next to no variance" in note for note in effect(metric, one, two).notes)


def test_sums_of_units_are_those_of_their_values() -> None:
    """The sums that tests are made of are those of analysis."""
    assert moments([1.0, 2.0], [3.0, 4.0]) == Moments(2, 3.0, 5.0, 7.0, 25.0, 11.0)
