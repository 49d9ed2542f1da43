"""Drift of values against a reference window."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from router.detect.drift import DriftPlan, DriftState, Value, ks, psi, take_values
from router.detect.stream import Said


def run(plan: DriftPlan, values: list[Value], step_s: float = 1.0) -> list[Said]:
    """Return what is said after each value, one unit each."""
    state, said = DriftState(), []
    for unit, value in enumerate(values):
        state, each = take_values(plan, state, [(unit, value)], unit * step_s)
        said.append(each)
    return said


def test_psi_is_that_of_the_textbook() -> None:
    """Of two categories with known shares it is the sum of (p - q) ln(p / q), but for half a count in each."""
    old = ["a"] * 8000 + ["b"] * 2000
    new = ["a"] * 6000 + ["b"] * 4000
    expected = (0.6 - 0.8) * np.log(0.6 / 0.8) + (0.4 - 0.2) * np.log(0.4 / 0.2)
    assert psi(old, new).statistic == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("kind", ["numbers", "texts"])
def test_of_equal_distributions_psi_has_the_probabilities_it_states(kind: str) -> None:
    """In 200 comparisons of small samples, 5 % and 1 % are beyond 5 % and 1 % (binomial, at 4 deviations)."""
    generator = np.random.default_rng(3)

    def sample(size: int) -> list[Value]:
        if kind == "numbers":
            return list(generator.lognormal(size=size).tolist())
        return [f"c{each}" for each in generator.geometric(0.15, size)]

    found = np.array([psi(sample(1000), sample(200)).probability for _ in range(200)])
    assert np.sum(found < 0.05) <= stats.binom.isf(3e-5, 200, 0.05)
    assert np.sum(found < 0.01) <= stats.binom.isf(3e-5, 200, 0.01)
    assert np.mean(found) == pytest.approx(0.5, abs=0.12)


def test_the_rule_of_thumb_alone_would_be_wrong_on_small_windows() -> None:
    """Of 40 values a psi above 0.1 comes in a quarter of comparisons, and its probability says so."""
    generator = np.random.default_rng(4)
    found = [psi(generator.normal(size=400).tolist(), generator.normal(size=40).tolist()) for _ in range(50)]
    assert sum(each.statistic > 0.1 for each in found) > 12
    assert sum(each.probability < 0.01 for each in found) <= 4


def test_ks_is_that_of_scipy_and_looks_at_numbers_alone() -> None:
    """Texts and absent values are left out."""
    generator = np.random.default_rng(5)
    old, new = generator.normal(size=300).tolist(), generator.normal(0.3, size=200).tolist()
    found = ks([*old, None], [*new, None])
    assert found.statistic == pytest.approx(stats.ks_2samp(old, new).statistic)
    assert found.probability < 0.01


@pytest.mark.parametrize("test", ["psi", "ks"])
def test_a_shift_of_numbers_is_told_once_until_it_is_over(test: str) -> None:
    """One episode for a shift of half a deviation; none before."""
    generator = np.random.default_rng(6)
    plan = DriftPlan(test="psi" if test == "psi" else "ks", reference=1000, window=250)
    values: list[Value] = [
        *generator.normal(size=3000),
        *generator.normal(0.8, size=1000),
        *generator.normal(size=1500),
    ]
    said = run(plan, [float(each) for each in values if isinstance(each, float)])
    changes = [(at, each.change) for at, each in enumerate(said) if each.change]
    assert [change for _, change in changes] == ["begun", "ended"]
    assert 3000 <= changes[0][0] <= 3500
    assert 4000 <= changes[1][0] <= 5000


def test_a_category_that_was_never_there_and_values_that_go_missing_are_drift() -> None:
    """Absence is a value of its own."""
    generator = np.random.default_rng(7)
    plan = DriftPlan(test="psi", reference=500, window=100)
    old: list[Value] = [str(each) for each in generator.choice(["DE", "FR", "US"], 900)]
    assert [each.change for each in run(plan, [*old, *["XX"] * 100]) if each.change] == ["begun"]
    assert [each.change for each in run(plan, [*old, *[None] * 100]) if each.change] == ["begun"]


def test_a_unit_counts_once_in_a_window() -> None:
    """One unit that asks a thousand times with another value is no drift."""
    generator = np.random.default_rng(8)
    plan, state = DriftPlan(test="psi", reference=500, window=100), DriftState()
    for unit in range(500):
        state, _ = take_values(plan, state, [(unit, float(generator.normal()))], 0.0)
    state, said = take_values(plan, state, [(7, 100.0)] * 1000, 1.0)
    assert said.status == "quiet"
    assert len(state.window) == 1


def test_what_is_remembered_is_bounded() -> None:
    """Whatever texts come, neither bins nor values grow."""
    plan, state = DriftPlan(test="psi", reference=200, window=100), DriftState()
    for unit in range(2000):
        state, _ = take_values(plan, state, [(unit, f"text {unit}")], float(unit))
        assert len(state.reference) <= 200
        assert len(state.window) < 100
        assert len(state.units) <= 200


@given(
    st.lists(st.one_of(st.none(), st.text(max_size=3), st.floats(allow_nan=False, allow_infinity=False)), max_size=250)
)
@settings(deadline=None, max_examples=40)
@pytest.mark.parametrize("test", ["psi", "ks"])
def test_no_values_whatever_break_a_comparison(test: str, values: list[Value]) -> None:
    """What is said has no nan and no infinity; constant and mixed values too."""
    plan = DriftPlan(test="psi" if test == "psi" else "ks", reference=50, window=50)
    for said in run(plan, [*values, *[1.0] * 60]):
        for number in (said.value, said.level, said.score):
            assert number is None or np.isfinite(number)
