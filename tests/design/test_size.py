"""Sample size, power and minimum detectable effect: published values, laws, and mistakes."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri

from router.design.question import Clusters, Design, Test, corrected, shares_of
from router.design.size import control_units, mde, power, sample_size
from router.design.variance import Mean, Metric, Parts, Proportion, delta_sd
from router.inference.boundaries import Level, evenly, spending_boundaries
from router.inference.spending import Spending

PUBLISHED = json.loads((Path(__file__).parent / "data" / "sizes.json").read_text())
Test.__test__ = False  # type: ignore[attr-defined] # it is no class of tests


def _metric(case: dict[str, Any]) -> Metric:
    return Proportion(case["baseline"]) if case["metric"] == "proportion" else Mean(case["sd"])


@pytest.mark.parametrize("case", PUBLISHED["units_of_control"], ids=lambda case: case["source"][:60])
def test_sizes_are_those_published(case: dict[str, Any]) -> None:
    """Before rounding they agree with R and with textbooks in the digits that these give."""
    test = Test(case.get("aim", "superiority"), case["alpha"], case["sides"], case.get("margin"))
    found = control_units(_metric(case), case["effect"], Design(test, case["power"]), 1.0)
    assert found == pytest.approx(case["n"], abs=0.6 * 10 ** -case["digits"])


@pytest.mark.parametrize("case", PUBLISHED["power"], ids=lambda case: case["source"][:60])
def test_powers_are_those_published(case: dict[str, Any]) -> None:
    """They agree with R in the digits that it gives."""
    found = power(_metric(case), case["effect"], Design(), case["total"])
    assert found == pytest.approx(case["power"], abs=0.6 * 10 ** -case["digits"])


@pytest.mark.parametrize("case", PUBLISHED["dunnett"], ids=lambda case: f"{case['sides']} {case['treatments']}")
def test_dunnetts_critical_values_are_those_published(case: dict[str, Any]) -> None:
    """Several treatments against one control, of large samples."""
    test = Test(alpha=0.05, sides=case["sides"], correction="dunnett")
    rate = corrected(test, (1.0,) * (case["treatments"] + 1))
    assert -float(ndtri(rate)) == pytest.approx(case["critical"], abs=0.006)


def test_the_issue_in_numbers() -> None:
    """Ten per cent against twelve takes 3841 units in each arm, as power.prop.test rounds up."""
    found = sample_size(Proportion(0.1), 0.02, Design())
    assert found.arms == (3841, 3841)
    assert found.total == 7682


@given(
    baseline=st.floats(0.02, 0.9),
    share=st.floats(0.05, 0.5),
    part=st.floats(0.1, 0.9),
    aim=st.sampled_from(["superiority", "non-inferiority", "equivalence"]),
)
@settings(max_examples=40, deadline=None)
def test_the_size_has_the_power_and_one_unit_less_has_not(baseline: float, share: float, part: float, aim: Any) -> None:
    """Size and power are each other's inverse, for every aim and split."""
    margin = None if aim == "superiority" else 0.05
    effect = 0.09 * part if aim == "superiority" else 0.0
    design = Design(Test(aim, 0.05, 2 if margin is None else 1, margin), shares=(1 - share, share))
    found = sample_size(Proportion(baseline), effect, design)
    assert power(Proportion(baseline), effect, design, found.total) >= 0.8 - 1e-9
    assert power(Proportion(baseline), effect, design, found.total * (1 - 2 / min(found.arms)) - 2) < 0.8


@pytest.mark.parametrize("metric", [Proportion(0.1), Mean(3.0), Mean(3.0, students=False)])
@pytest.mark.parametrize("looks", [1, 3])
def test_the_smallest_effect_needs_that_size(metric: Metric, looks: int) -> None:
    """The effect that is found with a size needs that size, with several looks and clusters as well."""
    bounds = spending_boundaries(Level(0.05, 2), Spending(), evenly(looks)) if looks > 1 else None
    design = Design(rho=0.5, clusters=Clusters(10, 0.02), boundaries=bounds)
    effect = mde(metric, design, 20_000)
    assert power(metric, effect, design, 20_000) == pytest.approx(0.8, abs=1e-6)
    assert sample_size(metric, effect, design).total == pytest.approx(20_000, abs=20)


def test_a_covariate_takes_its_share_off() -> None:
    """CUPED with a correlation of 0.6 needs 64 % of the units."""
    plain = sample_size(Mean(1.0, students=False), 0.01, Design()).total
    adjusted = sample_size(Mean(1.0, students=False), 0.01, Design(rho=0.6)).total
    assert adjusted == pytest.approx(0.64 * plain, abs=2)


def test_clusters_multiply_by_the_design_effect() -> None:
    """Clusters of 20 with a correlation of 0.05 need 1 + 19 x 0.05 times the units, in whole clusters."""
    plain = sample_size(Mean(1.0, students=False), 0.05, Design()).total
    clustered = sample_size(Mean(1.0, students=False), 0.05, Design(clusters=Clusters(20, 0.05)))
    assert clustered.total == pytest.approx(1.95 * plain, abs=41)
    assert clustered.clusters is not None
    assert clustered.total == 20 * sum(clustered.clusters)
    assert Clusters(20, 0.05, 0.5).design_effect == pytest.approx(1 + (1.25 * 20 - 1) * 0.05)


def test_looks_multiply_by_the_inflation() -> None:
    """Three Pocock-type looks cost what the operating characteristics say."""
    bounds = spending_boundaries(Level(0.05, 2), Spending("pocock"), evenly(3))
    plain = sample_size(Mean(1.0, students=False), 0.02, Design()).total
    several = sample_size(Mean(1.0, students=False), 0.02, Design(boundaries=bounds))
    assert several.inflation > 1.1
    assert several.total == pytest.approx(several.inflation * plain, abs=3)


def test_uneven_arms_need_more() -> None:
    """Nine to one takes 2.78 times the units of one to one, by 1/(4 x 0.9 x 0.1), where variances are equal."""
    even = sample_size(Mean(1.0, students=False), 0.02, Design()).total
    uneven = sample_size(Mean(1.0, students=False), 0.02, Design(shares=shares_of([90, 10])))
    assert uneven.total == pytest.approx(even / 0.36, abs=3)
    assert uneven.arms[0] == pytest.approx(9 * uneven.arms[1], abs=9)


def test_several_treatments_share_alpha() -> None:
    """Bonferroni needs most, Dunnett less, and no correction as much as one treatment."""
    one = sample_size(Proportion(0.1), 0.02, Design()).arms[0]
    sizes = [
        sample_size(Proportion(0.1), 0.02, Design(Test(correction=each), shares=shares_of([1, 1, 1, 1]))).arms[0]
        for each in ("bonferroni", "dunnett", "none")
    ]
    assert sizes[0] > sizes[1] > sizes[2] == one


def test_a_ratio_varies_by_the_delta_method() -> None:
    """A constant denominator makes it a mean; a denominator that explains everything leaves nothing."""
    assert delta_sd(Parts(0.5, 2.0, 3.0, 0.0, 0.0)) == pytest.approx(1.5)
    assert delta_sd(Parts(0.5, 2.0, 3.0, 1.0, 0.4)) == pytest.approx((9 - 0.4 * 3 + 0.25) ** 0.5 / 2)
    with pytest.raises(ValueError, match="does not vary"):
        delta_sd(Parts(0.5, 2.0, 0.5, 1.0, 1.0))
    with pytest.raises(ValueError, match="denominator"):
        delta_sd(Parts(0.5, 0.0, 0.5, 1.0, 0.0))
    with pytest.raises(ValueError, match="correlation"):
        delta_sd(Parts(0.5, 1.0, 0.5, 1.0, 1.1))


def test_huge_effects_and_tiny_ones_have_sizes() -> None:
    """Two units in each arm are the least, and what nobody has is refused."""
    assert sample_size(Mean(0.001), 50.0, Design()).arms == (2, 2)
    assert sample_size(Mean(1.0), 0.0001, Design()).arms[0] == pytest.approx(2 * 7.8488797e8, rel=1e-6)
    with pytest.raises(ValueError, match="larger effect"):
        sample_size(Mean(1.0), 1e-9, Design())


@pytest.mark.parametrize("aim", ["non-inferiority", "equivalence"])
def test_margins_of_means_are_tested_by_t(aim: Any) -> None:
    """A few units more than by the normal formula, and the power that was asked for."""
    design = Design(Test(aim, 0.05, 1, 0.5))
    found = sample_size(Mean(1.0), 0.0, design)
    normal = sample_size(Mean(1.0, students=False), 0.0, design)
    assert normal.total <= found.total <= normal.total + 6
    assert power(Mean(1.0), 0.0, design, found.total) >= 0.8
    assert power(Mean(1.0), 0.0, design, found.total - 4) < 0.8


def test_far_too_many_units_have_all_the_power() -> None:
    """Several looks at a hundred times the units find the effect at once."""
    bounds = spending_boundaries(Level(0.05, 2), Spending("pocock"), evenly(2))
    assert power(Proportion(0.1), 0.02, Design(boundaries=bounds), 1e6) == pytest.approx(1.0)


def test_hardly_any_units_have_hardly_any_power() -> None:
    """Several treatments and looks, and a power about alpha: a number, and no complaint."""
    test = Test()
    rate = corrected(test, (1.0, 1.0, 1.0, 1.0))
    bounds = spending_boundaries(Level(2 * rate, 2), Spending("pocock"), evenly(3))
    design = Design(test, shares=shares_of([1, 1, 1, 1]), boundaries=bounds)
    assert 0 < power(Proportion(0.1), 0.001, design, 40) < 0.06


def test_a_decrease_is_found_as_well() -> None:
    """The size for 12 % to 10 % is that for 10 % to 12 %."""
    assert sample_size(Proportion(0.12), -0.02, Design()).arms == sample_size(Proportion(0.1), 0.02, Design()).arms


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Proportion(1.2), "between 0 and 1"),
        (lambda: Proportion(0.0), "between 0 and 1"),
        (lambda: Mean(0.0), "above 0"),
        (lambda: Mean(float("inf")), "at most"),
        (lambda: delta_sd(Parts(0.5, 1.0, 1e60, 1.0, 0.0)), "at most"),
        (lambda: Design(power=0.01), "power"),
        (lambda: Design(power=1.0), "power"),
        (lambda: Design(rho=1.0), "covariate"),
        (lambda: Design(shares=(1.0,)), "arms"),
        (lambda: Test(alpha=0.0), "alpha"),
        (lambda: Test("non-inferiority", 0.05, 1, None), "margin"),
        (lambda: Test("equivalence", 0.05, 2, 0.1), "one side"),
        (lambda: Test("superiority", 0.05, 2, 0.1), "no margin"),
        (lambda: Clusters(0.5, 0.1), "cluster"),
        (lambda: Clusters(5, 1.1), "correlation"),
        (lambda: Clusters(5, 0.1, -1.0), "variation"),
        (lambda: shares_of([1.0, 0.0]), "weight"),
        (lambda: sample_size(Proportion(0.1), 0.0, Design()), "cannot be found"),
        (lambda: sample_size(Proportion(0.1), 0.95, Design()), "not between"),
        (lambda: sample_size(Mean(1.0), float("nan"), Design()), "of a size"),
        (lambda: sample_size(Mean(1.0), 1e-300, Design()), "of a size"),
        (lambda: sample_size(Mean(1.0), -1.0, Design(Test("non-inferiority", 0.05, 1, 0.5))), "worse"),
        (lambda: sample_size(Mean(1.0), 1.0, Design(Test("equivalence", 0.05, 1, 0.5))), "not equivalent"),
        (lambda: power(Mean(1.0), 1.0, Design(), 3), "2 units"),
        (lambda: mde(Proportion(0.5), Design(), 6), "find no effect"),
        (lambda: mde(Mean(1.0), Design(Test("equivalence", 0.05, 1, 0.5)), 100), "margin"),
        (lambda: mde(Mean(1.0), Design(clusters=Clusters(10, 1.0)), 10), "find no effect"),
    ],
)
def test_what_is_no_design_is_refused_in_a_sentence(make: Any, match: str) -> None:
    """Numbers out of range and impossible effects are mistakes of the caller."""
    with pytest.raises(ValueError, match=match):
        make()
