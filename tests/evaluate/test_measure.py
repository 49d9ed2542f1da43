"""Intervals hold what they say, have no width of nothing, and two sides are compared request by request."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar

from router.evaluate import intervals
from router.evaluate.measure import Draw, calibration, coded, compare, measure
from router.evaluate.sides import Side, labels_of, side_of
from router.events.evaluated import Compared, Measured
from tests.evaluate.build import line, sides


def how(units: Any = None, alpha: float = 0.05, seed: int = 1) -> Draw:
    """Return what intervals are made of."""
    return Draw(units, alpha, np.random.default_rng(seed))


def found(measured: tuple[Measured, ...], name: str) -> Measured:
    """Return a number by its name."""
    return next(each for each in measured if each.name == name)


def both(compared: tuple[Compared, ...], name: str) -> Compared:
    """Return a comparison by its name."""
    return next(each for each in compared if each.name == name)


def test_a_share_of_independent_requests_has_wilsons_interval() -> None:
    """The same as scipy's."""
    side, labels = sides(["a"] * 80, ["a"] * 70 + ["b"] * 10)
    expected = binomtest(70, 80).proportion_ci(method="wilson")
    accuracy = found(measure(side, labels, how()), "accuracy")
    assert (accuracy.low, accuracy.high) == pytest.approx((expected.low, expected.high))


def test_requests_of_one_unit_are_not_independent() -> None:
    """Ten requests of each user that are alike count as one."""
    truth = ["a"] * 500
    side, labels = sides(truth, [said for user in range(50) for said in ["a" if user % 5 else "b"] * 10])
    units = np.repeat(np.arange(50), 10)
    alone = found(measure(side, labels, how()), "accuracy")
    together = found(measure(side, labels, how(units)), "accuracy")
    expected = binomtest(40, 50).proportion_ci(method="wilson")
    assert alone.value == together.value == 0.8
    assert (together.low, together.high) == pytest.approx((expected.low, expected.high), abs=0.005)
    assert alone.high is not None
    assert together.high is not None
    assert alone.high < together.high


@pytest.mark.parametrize("units", [False, True])
def test_nine_in_ten_intervals_hold_the_truth(*, units: bool) -> None:
    """Of 300 samples of 90 % intervals, at least 85 %: at 90 % fewer than one seed in a hundred would miss that."""
    generator, held = np.random.default_rng(11), 0
    for _ in range(300):
        chance = generator.beta(8, 2, 60) if units else np.full(60, 0.8)
        right = (generator.random((60, 5)) < chance[:, None]).ravel()
        low, high = intervals.share(right, np.repeat(np.arange(60), 5) if units else None, 0.1)
        held += low <= 0.8 <= high
    assert held >= 255


def test_f1_has_an_interval_over_units() -> None:
    """It encloses the estimate, is the same for the same seed, and narrows with more of them."""
    generator = np.random.default_rng(2)
    truth = generator.choice(["a", "b"], 900)
    said = np.where(generator.random(900) < 0.8, truth, "b")
    side, labels = sides(truth.tolist(), said.tolist())
    few, same = sides(truth[:100].tolist(), said[:100].tolist())
    wide, narrow = found(measure(few, same, how()), "f1"), found(measure(side, labels, how()), "f1")
    assert measure(side, labels, how()) == measure(side, labels, how())
    assert narrow.low is not None
    assert narrow.high is not None
    assert narrow.value is not None
    assert narrow.low < narrow.value < narrow.high
    assert wide.low is not None
    assert wide.high is not None
    assert narrow.high - narrow.low < wide.high - wide.low


def test_no_error_among_few_is_not_certainty() -> None:
    """All right of 40 leaves room for errors, most in the rarer class; resampling alone would say 100 %."""
    side, labels = sides(["a"] * 30 + ["b"] * 10, ["a"] * 30 + ["b"] * 10)
    f1 = found(measure(side, labels, how()), "f1")
    assert f1.value == f1.high == 1.0
    assert f1.low == pytest.approx(binomtest(10, 10).proportion_ci(method="wilson").low)
    assert found(measure(side, labels, how()), "failures").high is not None


def test_too_few_requests_have_no_interval() -> None:
    """A number is told with the reason why nothing follows from it."""
    side, labels = sides(["a", "b", "a"], ["a", "b", "b"])
    f1 = found(measure(side, labels, how()), "f1")
    assert (f1.low, f1.reason) == (None, "fewer than 20 units to resample")
    assert found(measure(side, labels, how()), "p99").low is None


def test_a_mean_has_students_interval_robust_to_units() -> None:
    """Of independent errors the usual one; of users with ten alike each, one as wide as that of the users' means."""
    generator = np.random.default_rng(4)
    errors = generator.normal(0, 1, 30)
    side, labels = sides([0.5] * 300, [0.5 + error for error in errors for _ in range(10)])
    alone = found(measure(side, labels, how()), "mae")
    together = found(measure(side, labels, how(np.repeat(np.arange(30), 10))), "mae")
    assert alone.low is not None
    assert together.low is not None
    assert together.value is not None
    assert alone.value == together.value
    half = 2.045 * np.abs(errors).std(ddof=1) / 30**0.5  # t of 29 degrees of freedom
    assert together.value - together.low == pytest.approx(half, rel=0.02)


def halves(count: int, better: float, worse: float) -> tuple[Side, Side, Any]:
    """Return two sides of which one is right more often, on the same hard and easy requests."""
    generator = np.random.default_rng(6)
    easy = generator.random(count)
    truth = ["1"] * count
    one = ["1" if each < better else "0" for each in easy]
    other = ["1" if each < worse else "0" for each in easy]
    side, labels = sides(truth, one)
    return side, sides(truth, other)[0], labels


def test_sides_are_compared_request_by_request() -> None:
    """The interval of the difference is much narrower than of two samples, and McNemar's test is statsmodels'."""
    one, other, labels = halves(2000, 0.9, 0.88)
    accuracy = both(compare(one, other, labels, how(), ()), "accuracy")
    only = int((one.codes != other.codes).sum())
    assert (accuracy.only_candidate, accuracy.only_baseline) == (only, 0)
    assert accuracy.p == pytest.approx(mcnemar([[0, only], [0, 0]], exact=True).pvalue)
    assert accuracy.difference is not None
    assert accuracy.low is not None
    assert accuracy.high is not None
    assert 0 < accuracy.low < accuracy.difference < accuracy.high
    unpaired = 1.96 * (0.9 * 0.1 / 2000 + 0.88 * 0.12 / 2000) ** 0.5
    assert accuracy.high - accuracy.low < unpaired


def test_the_same_answers_leave_the_room_that_their_number_allows() -> None:
    """No request on which they differ: as wide as if the samples were independent, not of no width."""
    one, _, labels = halves(500, 0.9, 0.9)
    accuracy = both(compare(one, one, labels, how(), ()), "accuracy")
    assert (accuracy.difference, accuracy.method, accuracy.p) == (0.0, "Newcombe", 1.0)
    assert accuracy.low is not None
    assert accuracy.low < -0.02


def test_times_are_compared_where_both_answered() -> None:
    """A side that fails on the slow requests is not faster for it."""
    seconds = [0.01] * 90 + [1.0] * 10
    labels = labels_of([None] * 100, "auto")
    whole = side_of([line(seconds=each) for each in seconds], labels, "1")
    broken = side_of([line(seconds=each, cause=None if each < 0.5 else "timeout") for each in seconds], labels, "1")
    p99 = both(compare(broken, whole, labels, how(), ()), "p99")
    assert (p99.candidate, p99.baseline) == (0.01, 0.01)


def test_calibration_is_told_by_ranges() -> None:
    """Each with how often it was right, and how sure that is; confidence 1 is in the last."""
    side, _ = sides(["1"] * 8 + ["0"] * 2, [None] * 10, [{"1": 0.95}] * 9 + [{"1": 0.0}])
    (only,) = calibration(side)
    assert (only.low, only.n) == (0.9, 10)
    assert only.right == pytest.approx(0.9)
    assert only.confidence == pytest.approx(0.955)


def test_a_request_without_a_unit_is_its_own() -> None:
    """Where no line names one, all are independent."""
    assert coded([None, None]) is None
    codes = coded(["u", None, "u", None])
    assert codes is not None
    assert codes.tolist() == [0, 1, 0, 2]
