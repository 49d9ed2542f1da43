"""Corrections: published examples, laws, and questions without an answer."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from router.inference.corrections import correct

CASE: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "fixed.json").read_text())["benjamini_hochberg"]
NAMES = {"bonferroni": "bonferroni", "holm": "holm", "benjamini_hochberg": "fdr_bh"}
PS = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@pytest.mark.parametrize("method", CASE["rejected"])
def test_the_published_example_is_rejected_as_published(method: Any) -> None:
    """Benjamini and Hochberg's own 15 hypotheses."""
    found = correct(CASE["p"], method, CASE["alpha"])
    assert sum(found.rejected) == CASE["rejected"][method]


@pytest.mark.parametrize("method", NAMES)
def test_adjusted_p_values_are_those_of_statsmodels(method: Any) -> None:
    """Each method's, ties included."""
    ps = [0.01, 0.2, 0.01, 0.04, 1.0, 0.0, 0.5]
    assert correct(ps, method, 0.05).p == pytest.approx(tuple(multipletests(ps, 0.05, NAMES[method])[1]))


@given(PS, st.randoms(use_true_random=False), st.sampled_from(sorted(NAMES)))
def test_the_order_of_questions_does_not_matter(ps: list[float], random: Any, method: Any) -> None:
    """Each question keeps its answer wherever it stands, and no p gets smaller."""
    order = list(range(len(ps)))
    random.shuffle(order)
    found, shuffled = correct(ps, method, 0.05), correct([ps[place] for place in order], method, 0.05)
    assert [found.p[place] for place in order] == pytest.approx(list(shuffled.p))
    assert all(new is not None and new >= old for new, old in zip(found.p, ps, strict=True))


@given(PS)
def test_holm_rejects_at_least_what_bonferroni_does(ps: list[float]) -> None:
    """And Benjamini-Hochberg at least what Holm does."""
    bonferroni, holm, fdr = (sum(correct(ps, method, 0.05).rejected) for method in NAMES)  # type: ignore[arg-type]
    assert bonferroni <= holm <= fdr


def test_a_question_without_an_answer_still_counts() -> None:
    """The number of questions does not change with the data."""
    found = correct([0.02, None, None], "bonferroni", 0.05)
    assert found.p[0] == pytest.approx(0.06)
    assert found.p[1:] == (None, None)
    assert found.rejected == (False, False, False)


def test_intervals_are_asked_for_at_a_level_that_counts() -> None:
    """Bonferroni's and Holm's at alpha/m, Benjamini and Yekutieli's at R alpha/m."""
    assert correct([0.001, 0.2], "holm", 0.05).alphas == (0.025, 0.025)
    assert correct([0.001, 0.002, 0.5, 0.6], "benjamini_hochberg", 0.04).alphas == pytest.approx((0.02,) * 4)
    assert correct([0.9, 0.8], "benjamini_hochberg", 0.04).alphas == pytest.approx((0.02,) * 2)
    assert correct([0.9, 0.8], "none", 0.04).alphas == (0.04, 0.04)
    assert correct([], "holm", 0.05).p == ()


@pytest.mark.parametrize(
    ("ps", "method", "alpha"),
    [([1.1], "holm", 0.05), ([float("nan")], "holm", 0.05), ([0.1], "holm", 0.0), ([0.1], "x", 0.1)],
)
def test_what_is_no_probability_is_refused(ps: list[float], method: Any, alpha: float) -> None:
    """Neither p-values nor alphas outside of their range, nor unknown methods."""
    with pytest.raises(ValueError, match=r"between 0 and 1|no correction"):
        correct(ps, method, alpha)
