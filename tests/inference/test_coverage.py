"""Simulated experiments whose truth is known: intervals hold it, tests keep their level.

Each case is one of ``benchmarks.coverage``, 400 times, with a fixed seed: at 95 %, fewer than 363 hits or more than 37
rejections come with a probability below 1e-4, so all of them together fail by chance once in some hundred seeds.
"""

import numpy as np
import pytest
from scipy import stats

from benchmarks.coverage import cases, families, margins, tally
from router.inference.effect import Effect, Relative
from tests.inference.arms import ends

TIMES = 400
CASES = {case.name: case for case in cases()}
KNOWN = {
    "Welch, revenue of few, 300 and 6,000": 0.90,
    "ratio, 30 sticky users each, 30 % both": 0.91,
}
"""What asymptotic methods do where they are stretched, as docs/statistics.md says: few units, or a skewed small arm."""


@pytest.mark.parametrize("name", [name for name in CASES if "taken as units" not in name])
def test_intervals_hold_the_truth(name: str) -> None:
    """Absolute and relative ones, CUPED's among them; and where nothing differs, 5 % are rejected at most."""
    case = CASES[name]
    found = tally(case, TIMES, seed=1)
    floor = stats.binom.ppf(1e-4, TIMES, KNOWN.get(name, 0.95)) / TIMES
    assert found.found == 1
    assert found.absolute >= floor
    assert found.relative >= floor
    if case.truth == 0:
        assert found.rejected <= 1 - floor


@pytest.mark.parametrize("name", ["Welch, revenue of few, 2,000 and 2,000", "ratio, 500 sticky users each, 10 % both"])
def test_p_values_are_uniform_where_nothing_differs(name: str) -> None:
    """Kolmogorov-Smirnov at 1e-4."""
    assert stats.kstest(tally(CASES[name], TIMES, seed=2).ps, "uniform").pvalue > 1e-4


def test_the_naive_relative_interval_of_cuped_would_miss() -> None:
    """Dividing the interval by control's mean, as if that were known, misses the truth too often; Fieller does not."""
    random, case = np.random.default_rng(6), CASES["CUPED, +100 %, 300 each"]
    naive = fieller = 0
    for _ in range(TIMES):
        found = case.run(random)
        assert isinstance(found, Effect)
        assert isinstance(found.relative, Relative)
        low, high = (end / found.control.value for end in ends(found.interval))
        naive += low <= case.relative <= high
        fieller += found.relative.interval.holds(case.relative)
    assert naive < stats.binom.ppf(1e-4, TIMES, 0.95) <= fieller


def test_exchanges_of_sticky_users_are_no_units() -> None:
    """A z-test on exchanges rejects a quarter and more where nothing differs; clustered by unit, 5 %."""
    found = tally(CASES["exchanges of sticky users taken as units"], TIMES, seed=3)
    assert found.rejected > 0.25
    clustered = tally(CASES["ratio, 500 sticky users each, 10 % both"], TIMES, seed=3)
    assert clustered.rejected <= stats.binom.isf(1e-4, TIMES, 0.05) / TIMES


def test_margins_and_families_keep_their_level() -> None:
    """An arm worse by the margin passes at most 2.5 % (5 % of TOST); families err as their method bounds."""
    for name, share in margins(TIMES, seed=4).items():
        nominal = 0.025 if name.startswith("non-inf") else 0.05
        assert share <= stats.binom.isf(1e-4, TIMES, nominal) / TIMES
    wrong = families(TIMES, seed=5)
    for method in ("bonferroni", "holm", "benjamini_hochberg"):
        assert wrong[method] <= stats.binom.isf(1e-4, TIMES, 0.05) / TIMES
    assert wrong["none"] > 0.15
