"""Group-sequential boundaries: published values, limits, and looks that come as they come."""

import json
from math import exp, inf, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from router.inference.boundaries import Level, classical_boundaries, evenly, spending_boundaries
from router.inference.crossing import Look
from router.inference.futility import Futility, with_futility
from router.inference.operating import drift_for, operating, power, stopping
from router.inference.spending import Spending

PUBLISHED = json.loads((Path(__file__).parent / "data" / "boundaries.json").read_text())
OBRIEN_FLEMING = Spending()


def _rule(family: str, parameter: float | None) -> Spending:
    return Spending(family, parameter)  # type: ignore[arg-type] # names from the file


@pytest.mark.parametrize("case", PUBLISHED["spending"], ids=lambda case: case["source"])
def test_spending_boundaries_are_those_published(case: dict[str, Any]) -> None:
    """Boundaries and what they spend agree with rpact in each of its digits, and so do power and expected sizes."""
    rule = _rule(case["family"], case["parameter"])
    found = spending_boundaries(Level(case["alpha"], case["sides"]), rule, case["information"])
    assert found.upper == pytest.approx(case["upper"], abs=case.get("tolerance", 2e-7))
    assert found.alpha_spent == pytest.approx(case["alpha_spent"], rel=1e-6)
    if "power" in case:
        costs = operating(found, case["power"])
        assert costs.drift**2 == pytest.approx(case["shift"], rel=1e-7)
        assert costs.inflation == pytest.approx(case["inflation"], rel=1e-7)
        assert costs.stopping["planned"].upper == pytest.approx(case["rejection"], rel=1e-6)
        assert costs.expected_size == pytest.approx(case["expected"], rel=1e-6)


@pytest.mark.parametrize("case", PUBLISHED["futility"], ids=lambda case: case["source"])
def test_futility_boundaries_are_those_published(case: dict[str, Any]) -> None:
    """Boundaries for futility, binding or not, agree with rpact, and so does what they cost."""
    rule = _rule(*case["alpha_family"])
    efficacy = spending_boundaries(Level(case["alpha"], 1), rule, case["information"])
    futility = Futility(case["power"], _rule(*case["beta_family"]), binding=case["binding"])
    found = with_futility(efficacy, futility, rule)
    assert found.upper == pytest.approx(case["upper"], abs=3e-7)
    assert found.lower == pytest.approx(case["lower"], abs=3e-7)
    assert found.beta_spent == pytest.approx(case["beta_spent"], rel=1e-7)
    if "shift" in case:
        costs = operating(found, case["power"])
        assert costs.drift**2 == pytest.approx(case["shift"], rel=1e-7)
        assert costs.inflation == pytest.approx(case["inflation"], rel=1e-7)
        assert costs.expected_size == pytest.approx(case["expected"], rel=1e-6)


@pytest.mark.parametrize("case", PUBLISHED["classical"], ids=lambda case: f"{case['source']} {case['looks']}")
def test_classical_boundaries_are_those_published(case: dict[str, Any]) -> None:
    """The constants of Pocock and of O'Brien and Fleming are those of the tables."""
    found = classical_boundaries(Level(case["alpha"], case["sides"]), evenly(case["looks"]), case["shape"])
    tolerance = 0.6 * 10 ** -case["digits"]
    if "upper" in case:
        assert found.upper == pytest.approx(case["upper"], abs=tolerance)
    else:
        assert found.upper[-1] == pytest.approx(case["constant"], abs=tolerance)
    assert found.alpha_spent[-1] == pytest.approx(case["alpha"], rel=1e-9)


@pytest.mark.parametrize("case", PUBLISHED["inflation"], ids=lambda case: f"{case['source']} {case['power']}")
def test_inflation_is_that_published(case: dict[str, Any]) -> None:
    """What looking several times costs is what the tables say."""
    found = classical_boundaries(Level(case["alpha"], 2), evenly(case["looks"]), case["shape"])
    assert operating(found, case["power"]).inflation == pytest.approx(case["inflation"], abs=6e-4)


def test_a_second_boundary_agrees_with_adaptive_quadrature() -> None:
    """With two looks the probability is one integral, and scipy's adaptive quadrature gives the same boundary."""
    first, second = spending_boundaries(Level(0.025, 1), OBRIEN_FLEMING, (0.2, 0.4)).upper
    assert first is not None
    assert second is not None
    due = [2 * float(norm.sf(norm.isf(0.0125) / sqrt(t))) for t in (0.2, 0.4)]
    root = sqrt(0.5)
    crossed, _ = quad(lambda u: norm.pdf(u) * norm.sf((second - root * u) / root), -12, first, epsabs=1e-15, limit=200)
    assert norm.sf(first) == pytest.approx(due[0], rel=1e-10)
    assert crossed == pytest.approx(due[1] - due[0], rel=1e-9)


def test_an_information_of_a_thousandth_has_a_boundary() -> None:
    """What is spent there is below the smallest float, and its boundary is still that of the formula."""
    found = spending_boundaries(Level(0.025, 1), OBRIEN_FLEMING, (0.001, 0.01, 1.0)).upper
    assert found[0] == pytest.approx(70.8695997503, rel=1e-9)  # the root of log sf(z) = log 2 + log sf(2.2414/sqrt(t))
    assert found[1] == pytest.approx(22.3831425681, rel=1e-6)
    assert found[2] == pytest.approx(1.959963984540, abs=1e-9)


def test_tiny_increments_of_information_cost_what_they_spend() -> None:
    """A look a hundred-millionth later rejects no more than it may, and does not disturb the last one."""
    near = spending_boundaries(Level(0.025, 1), Spending("pocock"), (0.5, 0.5 + 1e-8, 1.0))
    without = spending_boundaries(Level(0.025, 1), Spending("pocock"), (0.5, 1.0))
    assert near.upper[-1] == pytest.approx(without.upper[-1], abs=1e-6)
    assert sum(stopping(near, 0.0).upper) == pytest.approx(0.025, rel=1e-9)


def test_fifty_looks_spend_alpha() -> None:
    """Errors do not add up over many looks."""
    found = spending_boundaries(Level(0.05, 2), Spending("kim_demets", 1.0), evenly(50))
    none = stopping(found, 0.0)
    assert sum(none.upper) + sum(none.lower) == pytest.approx(0.05, rel=1e-9)
    assert np.cumsum(none.upper) * 2 == pytest.approx(found.alpha_spent, rel=1e-9)


@given(
    gaps=st.lists(st.floats(0.01, 1.0), min_size=1, max_size=6),
    gamma=st.floats(-8, 4),
    sides=st.sampled_from([1, 2]),
)
@example(gaps=[1.0, 1.0], gamma=5e-324, sides=1)
@settings(max_examples=25, deadline=None)
def test_the_boundaries_of_any_looks_spend_what_is_due(gaps: list[float], gamma: float, sides: int) -> None:
    """Whatever the looks, each spends what the spending function says, computed forward again."""
    times = np.cumsum(gaps) / sum(gaps)
    level = Level(0.05, sides)  # type: ignore[arg-type] # 1 or 2
    rule = Spending("hwang_shih_decani", gamma)
    found = spending_boundaries(level, rule, times.tolist())
    again = np.cumsum(stopping(found, 0.0).upper) * sides
    due = [sides * exp(rule.log_spent(t, level.rate)) for t in times.tolist()]
    assert again == pytest.approx(due, rel=1e-8)


def test_a_later_look_changes_no_earlier_boundary() -> None:
    """Looks may be added while an experiment runs: what was used stays what it was."""
    some = spending_boundaries(Level(), OBRIEN_FLEMING, (0.21, 0.47))
    more = spending_boundaries(Level(), OBRIEN_FLEMING, (0.21, 0.47, 0.9, 1.1))
    assert more.upper[:2] == some.upper


def test_information_beyond_the_plan_spends_the_rest_and_no_more() -> None:
    """An over-running look gets what is left of alpha; one after it can reject nothing."""
    found = spending_boundaries(Level(0.05, 2), OBRIEN_FLEMING, (0.5, 1.2, 1.4))
    assert found.alpha_spent[1] == pytest.approx(0.05, rel=1e-12)
    assert found.upper[2] is None
    assert found.lower[2] is None


def test_the_last_look_spends_the_rest_below_the_plan() -> None:
    """An experiment that ends early loses no alpha."""
    found = spending_boundaries(Level(0.05, 2), OBRIEN_FLEMING, (0.4, 0.8), last=True)
    assert found.alpha_spent[-1] == pytest.approx(0.05, rel=1e-12)
    assert found.upper[-1] is not None
    assert found.upper[-1] < (spending_boundaries(Level(0.05, 2), OBRIEN_FLEMING, (0.4, 0.8)).upper[-1] or 0)


def test_boundaries_that_were_used_are_charged_for_what_they_spent() -> None:
    """A boundary of one's own at the first look leaves later ones exactly what it did not spend."""
    found = spending_boundaries(Level(0.05, 2), OBRIEN_FLEMING, (0.5, 1.0), earlier=(3.0,))
    none = stopping(found, 0.0)
    assert found.upper[0] == 3.0
    assert found.alpha_spent[0] == pytest.approx(2 * float(norm.sf(3.0)), rel=1e-12)
    assert sum(none.upper) + sum(none.lower) == pytest.approx(0.05, rel=1e-9)
    assert spending_boundaries(Level(0.05, 2), OBRIEN_FLEMING, (0.5, 1.0), earlier=(1.5,)).upper[1] is None


def test_a_look_without_a_boundary_is_free() -> None:
    """None among earlier boundaries says that nothing was tested there."""
    skipped = spending_boundaries(Level(0.05, 2), OBRIEN_FLEMING, (0.5, 1.0), earlier=(None,))
    assert skipped.upper[0] is None
    assert skipped.upper[1] == pytest.approx(1.959963984540, abs=1e-9)


def test_one_look_is_the_fixed_test() -> None:
    """Its boundary is the normal quantile, and it inflates nothing."""
    found = spending_boundaries(Level(0.05, 2), OBRIEN_FLEMING, (1.0,))
    assert found.upper[0] == pytest.approx(1.959963984540, abs=1e-10)
    assert operating(found, 0.8).inflation == pytest.approx(1.0, rel=1e-9)
    assert classical_boundaries(Level(0.05, 2), (1.0,), 0.5).upper[0] == pytest.approx(1.959963984540, abs=1e-10)


def test_binding_futility_costs_less_than_futility_that_does_not_bind() -> None:
    """Counting on stopping lowers the last boundary, but alpha is spent all the same."""
    rule = Spending("hwang_shih_decani", -4.0)
    efficacy = spending_boundaries(Level(0.025, 1), rule, evenly(3))
    free = with_futility(efficacy, Futility(0.9, Spending("hwang_shih_decani", -2.0)), rule)
    bound = with_futility(efficacy, Futility(0.9, Spending("hwang_shih_decani", -2.0), binding=True), rule)
    assert bound.upper[-1] is not None
    assert free.upper == efficacy.upper
    assert bound.upper[-1] < (free.upper[-1] or 0)
    assert sum(stopping(bound, 0.0).upper) == pytest.approx(0.025, rel=1e-8)
    assert power(bound, bound.drift or 0) == pytest.approx(0.9, rel=1e-8)
    assert power(free, free.drift or 0) == pytest.approx(0.9, rel=1e-8)


def test_stopping_probabilities_agree_with_simulation() -> None:
    """A hundred thousand simulated tests stop where they should; 5 standard errors, so a false alarm in 10^5 runs."""
    rule = Spending("pocock")
    found = with_futility(spending_boundaries(Level(0.05, 1), rule, evenly(3)), Futility(0.8, rule), rule)
    expected = stopping(found, found.drift or 0)
    random = np.random.default_rng(5)
    steps = random.standard_normal((100_000, 3)) * sqrt(1 / 3) + (found.drift or 0) / 3
    z = np.cumsum(steps, axis=1) / np.sqrt(found.information)
    high = z >= np.array(found.upper, float)
    low = z <= np.array(found.lower, float)
    first = np.argmax(high | low, axis=1)
    for look in range(3):
        for side, share in ((high, expected.upper[look]), (low, expected.lower[look])):
            seen = float(np.mean((first == look) & side[:, look]))
            assert abs(seen - share) < 5 * sqrt(share * (1 - share) / 100_000)


@pytest.mark.parametrize(
    "information", [(), (0.0, 1.0), (0.5, 0.5), (0.6, 0.5), (float("nan"),), (inf,), tuple(range(1, 1100))]
)
def test_information_that_does_not_increase_is_refused(information: tuple[float, ...]) -> None:
    """No looks, none of their information, or going back is a mistake of the caller."""
    with pytest.raises(ValueError, match=r"information|looks"):
        spending_boundaries(Level(), OBRIEN_FLEMING, information)


@pytest.mark.parametrize(("alpha", "sides"), [(0.0, 2), (1.0, 2), (0.5, 1), (-0.1, 1), (float("nan"), 2), (0.05, 3)])
def test_a_level_that_is_none_is_refused(alpha: float, sides: int) -> None:
    """Alpha is above 0 and each side has less than one half."""
    with pytest.raises(ValueError, match=r"alpha|sides"):
        Level(alpha, sides)  # type: ignore[arg-type] # on purpose


@pytest.mark.parametrize(
    ("family", "parameter"),
    [("kim_demets", None), ("kim_demets", 0.0), ("hwang_shih_decani", None), ("hwang_shih_decani", 41.0),
     ("obrien_fleming", 1.0), ("pocock", 1.0), ("kim_demets", float("nan"))],
)  # fmt: skip
def test_a_parameter_that_a_family_does_not_have_is_refused(family: str, parameter: float | None) -> None:
    """A missing, superfluous or impossible parameter is named."""
    with pytest.raises(ValueError, match=family):
        _rule(family, parameter)


def test_designs_that_cannot_be_are_refused() -> None:
    """Two-sided futility, power below alpha, a shape beyond Pocock's, and binding without spending are mistakes."""
    two = spending_boundaries(Level(0.05, 2), OBRIEN_FLEMING, evenly(2))
    one = classical_boundaries(Level(0.05, 1), evenly(2), 0.0)
    with pytest.raises(ValueError, match="one-sided"):
        with_futility(two, Futility(), OBRIEN_FLEMING)
    with pytest.raises(ValueError, match="power"):
        with_futility(one, Futility(0.04), None)
    with pytest.raises(ValueError, match="binding"):
        with_futility(one, Futility(binding=True), None)
    with pytest.raises(ValueError, match="shape"):
        classical_boundaries(Level(), evenly(2), 0.7)
    with pytest.raises(ValueError, match="power"):
        drift_for(one, 0.01)
    with pytest.raises(ValueError, match="looks"):
        evenly(0)
    with pytest.raises(ValueError, match="earlier"):
        spending_boundaries(Level(), OBRIEN_FLEMING, (1.0,), earlier=(2.0, 2.0))
    with pytest.raises(ValueError, match="more information"):
        Look(0.5).next(-1.0, 1.0, 0.5)
    with pytest.raises(ValueError, match="probability"):
        Look(0.5).next(-1.0, 1.0, 1.0).bound(-0.1, 0.0)


def test_futility_that_meets_efficacy_too_early_is_refused() -> None:
    """When all of alpha and beta is spent at the first look, nothing is left to decide later."""
    rule = Spending("hwang_shih_decani", 40.0)
    efficacy = spending_boundaries(Level(0.025, 1), rule, (0.5, 1.0))
    with pytest.raises(ValueError, match="spend less at first"):
        with_futility(efficacy, Futility(0.99, rule), rule)


def test_a_plan_that_is_missed_by_far_has_futility() -> None:
    """The drift is that at information 1, however little there was."""
    efficacy = spending_boundaries(Level(0.025, 1), OBRIEN_FLEMING, (0.0005, 0.001), last=True)
    found = with_futility(efficacy, Futility(0.9, OBRIEN_FLEMING), OBRIEN_FLEMING)
    assert power(found, found.drift or 0) == pytest.approx(0.9, rel=1e-8)


def test_a_design_that_ends_below_the_plan_has_its_power() -> None:
    """The last look spends the rest of beta, whatever its information."""
    efficacy = spending_boundaries(Level(0.025, 1), OBRIEN_FLEMING, (0.3, 0.7), last=True)
    for binding in (False, True):
        found = with_futility(efficacy, Futility(0.9, Spending("pocock"), binding=binding), OBRIEN_FLEMING)
        assert found.beta_spent is not None
        assert found.beta_spent[-1] == pytest.approx(0.1)
        assert power(found, found.drift or 0) == pytest.approx(0.9, rel=1e-8)
        assert found.alpha_spent[-1] == pytest.approx(0.025)


def test_nothing_is_spent_before_there_is_information() -> None:
    """A spending function begins at 0 and ends at its rate."""
    assert Spending("pocock").log_spent(0.0, 0.025) == -inf
    assert exp(Spending("kim_demets", 2.0).log_spent(1.5, 0.025)) == pytest.approx(0.025)


def test_binding_futility_spends_no_more_than_its_efficacy_did() -> None:
    """A design below the planned information, which keeps some alpha, keeps it with futility as well."""
    efficacy = spending_boundaries(Level(0.025, 1), OBRIEN_FLEMING, (0.3, 0.7))
    found = with_futility(efficacy, Futility(0.8, Spending("pocock"), binding=True), OBRIEN_FLEMING)
    assert found.alpha_spent == pytest.approx(efficacy.alpha_spent)
    assert sum(stopping(found, 0.0).upper) == pytest.approx(efficacy.alpha_spent[-1], rel=1e-8)


def test_a_classical_design_may_have_futility_that_does_not_bind() -> None:
    """Its efficacy boundaries stay, and the power is that asked for."""
    efficacy = classical_boundaries(Level(0.025, 1), evenly(4), 0.0)
    found = with_futility(efficacy, Futility(0.8, Spending("kim_demets", 2.0)), None)
    assert found.upper == efficacy.upper
    assert drift_for(found, 0.8) == found.drift
    assert power(found, found.drift or 0) == pytest.approx(0.8, rel=1e-8)
