"""Which method a metric takes at any time, and what is not said."""

import msgspec
import numpy as np
import pytest

from router.analysis.aggregates import Aggregate, Moments
from router.analysis.estimate import NotEnough
from router.config.metric import Covariate
from router.inference.always_valid import CHANGING, compare
from router.inference.effect import Asked, Effect, Relative
from tests.inference.sums import arm, metric, moments, share, sketch


def _compared(found: Effect | NotEnough) -> Effect:
    assert isinstance(found, Effect)
    return found


@pytest.mark.parametrize("kind", ["proportion", "retention", "funnel"])
def test_proportions_of_units_are_exact(kind: str) -> None:
    """From the first unit on."""
    found = _compared(compare(metric(kind), share(1, 1), share(0, 1), Asked()))
    assert (found.method, found.exact, found.p) == ("beta-binomial e-process", True, 1.0)
    assert (found.interval.low, found.interval.high) == (-1.0, 1.0)
    assert isinstance(found.relative, NotEnough)


def test_a_large_difference_of_proportions_is_found() -> None:
    """Absolute and relative intervals leave 0 out, and p is below alpha."""
    found = _compared(compare(metric("proportion"), share(700, 5000), share(500, 5000), Asked()))
    assert found.p is not None
    assert found.p < 0.05
    assert isinstance(found.relative, Relative)
    assert found.relative.value == pytest.approx(0.4)
    assert found.interval.holds(0.04)
    assert not found.interval.holds(0)
    assert not found.relative.interval.holds(0)


@pytest.mark.parametrize("kind", ["mean", "count", "ratio"])
def test_means_and_ratios_are_asymptotic(kind: str) -> None:
    """And labelled so."""
    random = np.random.default_rng(1)
    y, x = random.poisson(4, (2, 400)) * 1.0, np.full(400, 2.0)
    found = _compared(compare(metric(kind), arm(y[0], x), arm(y[1], x), Asked()))
    assert (found.method, found.exact) == ("asymptotic confidence sequence", False)


def test_proportions_of_clusters_are_asymptotic() -> None:
    """Users of one cluster are not independent, so counts of them are not binomial."""
    random = np.random.default_rng(2)
    sizes, hits = np.full(60, 20.0), random.binomial(20, 0.3, (2, 60)) * 1.0
    one, two = (
        Aggregate(units=Moments(1200, float(y.sum()), float(y.sum())), clusters=moments(y, sizes)) for y in hits
    )
    assert not _compared(compare(metric("proportion"), one, two, Asked())).exact


def test_shares_that_are_not_0_or_1_are_asymptotic() -> None:
    """A proportion whose values are fractions is a mean."""
    random = np.random.default_rng(3)
    values = random.random((2, 500))
    assert not _compared(compare(metric("proportion"), arm(values[0]), arm(values[1]), Asked())).exact


def test_quantiles_are_by_bands() -> None:
    """Exact where observations are units."""
    values = np.random.default_rng(4).exponential(1, (2, 500))
    arms = [Aggregate(units=moments(each), sketch=sketch(each)) for each in values]
    assert _compared(compare(metric("quantile", q=0.5), arms[0], arms[1], Asked())).method == "CDF band"


@pytest.mark.parametrize("kind", ["proportion", "mean", "quantile"])
def test_values_that_may_change_are_not_read(kind: str) -> None:
    """A metric without a window, while its phase lasts."""
    found = compare(metric(kind, q=0.5), share(10, 500, provisional=True), share(10, 500), Asked())
    assert found == NotEnough(CHANGING, 1000)


@pytest.mark.parametrize(
    ("treatment", "control", "reason"),
    [
        (share(0, 0), share(5, 9), "treatment: no units"),
        (share(5, 9), share(0, 0, immature=3), "control: no unit is mature yet"),
        (share(0, 50), share(0, 60), "nobody in both arms"),
        (share(50, 50), share(60, 60), "everybody in both arms"),
    ],
)
def test_proportions_of_nothing_are_not_enough(treatment: Aggregate, control: Aggregate, reason: str) -> None:
    """Said with the reason."""
    found = compare(metric("proportion"), treatment, control, Asked())
    assert isinstance(found, NotEnough)
    assert found.reason == reason


def test_sums_that_are_no_numbers_are_not_enough() -> None:
    """Infinite ones are of no proportion and of no mean."""
    bad = Aggregate(units=Moments(500, float("inf"), float("inf")))
    assert isinstance(compare(metric("proportion"), bad, share(5, 500), Asked()), NotEnough)


def test_an_exact_proportion_uses_no_covariate() -> None:
    """And says so."""
    covariate = Covariate(outcome="value", before=1.0)
    found = _compared(compare(metric("proportion", covariate=covariate), share(5, 50), share(9, 50), Asked()))
    assert any("covariate was not used" in note for note in found.notes)


def test_what_is_printed_is_json() -> None:
    """Without infinities: an open side is null."""
    found = compare(metric("proportion"), share(5, 50), share(0, 50), Asked())
    assert b"Infinity" not in msgspec.json.encode(found)
    assert msgspec.json.decode(msgspec.json.encode(found))["relative"]["type"] == "not_enough_data"


@pytest.mark.parametrize("mde", [None, 0.01])
@pytest.mark.parametrize("alpha", [1e-300, 1e-160, 1e-20, 0.9])
def test_any_level_has_an_interval(alpha: float, mde: float | None) -> None:
    """Also the minute ones that a search for a p-value asks for, and none is out of proportion to that of 5 %."""
    random = np.random.default_rng(5)
    values = [arm(random.normal(1, 1, 2000)) for _ in range(2)]
    usual = _compared(compare(metric("mean"), values[0], values[1], Asked(0.05, mde)))
    found = _compared(compare(metric("mean"), values[0], values[1], Asked(alpha, mde)))
    widths = [(each.interval.high or 0) - (each.interval.low or 0) for each in (usual, found)]
    assert 0 < widths[1] < 50 * widths[0]
    exact = _compared(compare(metric("proportion"), share(50, 500), share(60, 500), Asked(alpha, mde)))
    assert exact.interval.holds(exact.value)
