"""The overall criterion: its value, its interval from joint covariances, and what hangs on the weights."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from router.analysis.aggregates import Cell, Moments
from router.analysis.estimate import NotEnough
from router.config.schema import Decide
from router.report.covariance import correlations, product_of
from router.report.overall import overall
from router.report.report import Overall
from tests.report.build import METRICS, Values, cell, draw

BY_NAME = {metric.name: metric for metric in METRICS}
WEIGHTS = {"ctr": 0.5, "revenue": 0.3, "errors": 0.2}


def raw(seed: int, units: int, chance: float) -> dict[str, tuple[Values, Values]]:
    """Draw units whose metrics hang together."""
    rng = np.random.default_rng(seed)
    clicks = (rng.random(units) < chance).astype(np.float64)
    revenue = clicks * rng.gamma(2.0, 5.0, units)
    exchanges = rng.poisson(5.0, units).astype(np.float64) + 1.0
    failed = np.minimum(exchanges, rng.poisson(0.05 + 0.1 * clicks).astype(np.float64))
    return {"ctr": (clicks, np.ones(units)), "revenue": (revenue, np.ones(units)), "errors": (failed, exchanges)}


def known(values: dict[str, tuple[Values, Values]]) -> Cell:
    """Add them up as a fold does."""
    return cell({name: pair if name == "errors" else pair[0] for name, pair in values.items()})


def by_hand(
    treatment: dict[str, tuple[Values, Values]], control: dict[str, tuple[Values, Values]]
) -> tuple[float, float]:
    """Compute value and standard error unit by unit: each unit's linearised part of the whole, and their variance."""
    value, parts = 0.0, [np.zeros(len(side["ctr"][0])) for side in (treatment, control)]
    for name, weight in WEIGHTS.items():
        sign = -1 if name == "errors" else 1
        (one, one_x), (other, other_x) = treatment[name], control[name]
        mine, base = one.sum() / one_x.sum(), other.sum() / other_x.sum()
        value += weight * sign * (mine - base) / abs(base)
        parts[0] += weight * sign / base * (one - mine * one_x) / one_x.mean()
        parts[1] += -weight * sign * mine / base**2 * (other - base * other_x) / other_x.mean()
    return value, float(np.sqrt(sum(part.var(ddof=1) / len(part) for part in parts)))


@pytest.mark.parametrize("units", [200, 5000])
def test_value_and_error_are_those_of_units_computed_one_by_one(units: int) -> None:
    """From sums and products the same comes out as from all units, ratios included."""
    treatment, control = raw(1, units, 0.12), raw(2, units + 100, 0.10)
    found = overall(WEIGHTS, BY_NAME, (known(treatment), known(control)), Decide(), "fixed horizon")
    assert isinstance(found, Overall)
    value, error = by_hand(treatment, control)
    assert found.value == pytest.approx(value)
    assert found.standard_error == pytest.approx(error)
    assert found.interval.high == pytest.approx(value + 1.959964 * error)


def test_the_same_arm_twice_is_no_change() -> None:
    """And each metric where lower is better counts the other way round."""
    same = known(raw(1, 1000, 0.1))
    found = overall(WEIGHTS, BY_NAME, (same, same), Decide(), "always valid")
    assert isinstance(found, Overall)
    assert found.value == 0
    worse = structs.replace(
        same, metrics={**same.metrics, "errors": structs.replace(same.metrics["errors"], units=_doubled(same))}
    )
    found = overall(WEIGHTS, BY_NAME, (worse, same), Decide(), "always valid")
    assert isinstance(found, Overall)
    assert found.value == pytest.approx(-0.2)


def _doubled(one: Cell) -> Moments:
    sums = one.metrics["errors"].units
    return structs.replace(sums, y=2 * sums.y, yy=4 * sums.yy, xy=2 * sums.xy)


def test_weights_say_where_the_sign_turns() -> None:
    """A criterion of +10 % and -5 % is 0 at weights of a third and two thirds."""
    rng = np.random.default_rng(1)
    control = cell(
        {"ctr": np.repeat([1.0, 0.0], [1000, 9000]), "revenue": rng.permutation(np.repeat([2.0, 0.0], 5000))}
    )
    treatment = cell(
        {"ctr": np.repeat([1.0, 0.0], [1100, 8900]), "revenue": rng.permutation(np.repeat([1.9, 0.0], 5000))}
    )
    found = overall({"ctr": 0.6, "revenue": 0.4}, BY_NAME, (treatment, control), Decide(), "fixed horizon")
    assert isinstance(found, Overall)
    assert found.value == pytest.approx(0.6 * 0.1 - 0.4 * 0.05)
    ctr, revenue = found.parts
    assert [ctr.flips_at, ctr.without] == pytest.approx([1 / 3, -0.05])
    assert [revenue.flips_at, revenue.without] == pytest.approx([2 / 3, 0.1])


def test_clusters_without_covariances_are_never_too_narrow() -> None:
    """Standard errors are added up, and a note says so."""
    arms = (known(raw(1, 2000, 0.12)), known(raw(2, 2000, 0.10)))
    plain = overall(WEIGHTS, BY_NAME, arms, Decide(), "fixed horizon")
    clustered = tuple(
        structs.replace(
            arm,
            metrics={
                name: structs.replace(
                    each,
                    clusters=each.units
                    if name == "errors"
                    else structs.replace(each.units, x=float(each.units.n), xx=float(each.units.n), xy=each.units.y),
                )
                for name, each in arm.metrics.items()
            },
        )
        for arm in arms
    )
    found = overall(WEIGHTS, BY_NAME, (clustered[0], clustered[1]), Decide(), "fixed horizon")
    assert isinstance(found, Overall)
    assert isinstance(plain, Overall)
    assert found.standard_error is not None
    assert found.standard_error >= (plain.standard_error or 0.0)
    assert "added up" in found.notes[0]


@pytest.mark.parametrize(("units", "chance", "reason"), [(50, 0.5, "50 units"), (1000, 0.0, "control is 0")])
def test_too_little_is_said(units: int, chance: float, reason: str) -> None:
    """Few units, or a control of 0 of which nothing is a share."""
    found = overall({"ctr": 1.0}, BY_NAME, (draw(1, units, 0.5), draw(2, units, chance)), Decide(), "always valid")
    assert isinstance(found, NotEnough)
    assert reason in found.reason


def test_correlations_are_those_between_units_within_arms() -> None:
    """An effect of the arm makes no correlation; products are found whichever metric comes first."""
    treatment, control = raw(1, 4000, 0.5), raw(2, 4000, 0.1)
    found = correlations(METRICS, [known(treatment), known(control)])
    expected = [np.corrcoef(side["ctr"][0], side["revenue"][0])[0, 1] for side in (treatment, control)]
    assert min(expected) - 0.05 < found["ctr"]["revenue"] < max(expected) + 0.05
    one = known(treatment)
    forth, back = product_of(one, "ctr", "errors"), product_of(one, "errors", "ctr")
    assert forth is not None
    assert back is not None
    assert (forth.units.xy, forth.value_denominator) == (back.units.xy, back.denominator_value)


@given(st.integers(0, 1000), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_relabelled_arms_change_the_sign(one: int, other: int) -> None:
    """Of a metric whose control is the other's treatment; the interval holds the value."""
    arms = draw(one, 300, 0.4), draw(other + 2000, 300, 0.5)
    values = []
    for treatment, control in (arms, arms[::-1]):
        found = overall({"ctr": 1.0}, BY_NAME, (treatment, control), Decide(), "always valid")
        assert isinstance(found, Overall)
        assert found.interval.holds(found.value)
        values.append(found.value)
    assert values[0] * values[1] <= 0


def test_coverage_of_the_interval() -> None:
    """At least 91 % of 400 intervals at 95 % hold the truth: fewer would have a chance below 1 in 1000 (binomial)."""
    rng = np.random.default_rng(11)
    held = 0
    for _ in range(400):
        arms = []
        for chance, fails in ((0.30, 0.08), (0.25, 0.10)):
            clicks = (rng.random(400) < chance).astype(np.float64)
            exchanges: Values = np.full(400, 5.0)
            arms.append(cell({"ctr": clicks, "errors": (rng.binomial(5, fails, 400).astype(np.float64), exchanges)}))
        weights = {"ctr": 0.5, "errors": 0.5}
        found = overall(weights, BY_NAME, (arms[0], arms[1]), Decide(), "fixed horizon")
        assert isinstance(found, Overall)
        held += found.interval.holds(0.5 * 0.05 / 0.25 + 0.5 * 0.02 / 0.10)
    assert held >= 364
