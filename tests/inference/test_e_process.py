"""Exact tests of proportions at any time: published values, enumeration, extremes, laws, how often they are wrong.

The simulation is seeded. Its false-alarm budget: the count of wrong verdicts is held to the number that a binomial
variable of the promised probability exceeds once in a million times.
"""

import json
from math import exp, isfinite, lgamma, log, sqrt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brute
from scipy.special import gammaln
from scipy.stats import binom

from router.inference import mixture
from router.inference.e_process import Arm, Tuning, best_pair, compare, least_common, sequence, tuning
from router.inference.effect import Asked

PUBLISHED = json.loads((Path(__file__).parent / "data" / "sequential.json").read_text(encoding="utf-8"))
COUNTS = st.integers(1, 10**8).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def _odds(chance: float) -> float:
    return log(chance / (1 - chance))


def _published() -> tuple[Arm, float]:
    known = PUBLISHED["beta_binomial"]
    p, n = known["chance"], known["n"]
    rho = known["tuned"] / (-2 * log(known["alpha"]) + log(1 - 2 * log(known["alpha"])))
    tuning = Tuning((rho - p * (1 - p)) / (p * (1 - p)))
    return Arm(round(n * p + known["above"]), n, tuning), p


def test_evidence_is_that_of_the_reference_implementation() -> None:
    """Of confseq's two-sided beta-binomial mixture."""
    arm, chance = _published()
    assert arm.evidence(_odds(chance)) == pytest.approx(PUBLISHED["beta_binomial"]["log_ratio"], abs=1e-6)


def test_bound_is_that_of_the_reference_implementation() -> None:
    """At the published bound the evidence is ln 20; counts are whole, so between the two counts around it."""
    known = PUBLISHED["beta_binomial"]
    arm, chance = _published()
    mean = known["n"] * chance
    around = [Arm(int(mean + known["bound"]) + step, known["n"], arm.tuning).evidence(_odds(chance)) for step in (0, 1)]
    assert around[0] < log(20) < around[1]


@pytest.mark.parametrize("chance", [0.01, 0.3, 0.5, 0.97])
def test_the_mean_of_the_process_is_1_under_its_chance(chance: float) -> None:
    """At every number of units, by enumeration of all counts: that is what exact means."""
    for n in (1, 2, 7, 60):
        arms = [Arm(s, n, Tuning(10.0, 40.0)) for s in range(n + 1)]
        weights = binom.pmf(np.arange(n + 1), n, chance)
        assert sum(w * exp(arm.evidence(_odds(chance))) for w, arm in zip(weights, arms, strict=True)) == pytest.approx(
            1
        )


def test_evidence_is_a_martingale() -> None:
    """Given the counts so far, its mean after one more unit is what it is."""
    chance, tuning = 0.2, Tuning(30.0)
    for s, n in ((0, 1), (3, 9), (9, 9), (40, 100)):
        now = Arm(s, n, tuning).evidence(_odds(chance))
        after = [Arm(s + hit, n + 1, tuning).evidence(_odds(chance)) for hit in (1, 0)]
        assert chance * exp(after[0]) + (1 - chance) * exp(after[1]) == pytest.approx(exp(now))


@pytest.mark.parametrize(("one", "two"), [((3, 40), (9, 50)), ((0, 30), (5, 30)), ((20, 20), (15, 25))])
def test_least_evidence_is_the_least_over_all_common_chances(one: tuple[int, int], two: tuple[int, int]) -> None:
    """As a search over the whole range finds it."""
    arms = Arm(*one, Tuning(20.0)), Arm(*two, Tuning(20.0))
    found = brute(lambda x: arms[0].evidence(float(x[0])) + arms[1].evidence(float(x[0])), [slice(-20, 20, 0.001)])
    least = arms[0].evidence(float(found[0])) + arms[1].evidence(float(found[0]))
    assert least_common(*arms) == pytest.approx(least, abs=1e-6)


def test_intervals_are_those_of_the_joint_region() -> None:
    """The extremes over a fine grid of pairs of chances whose evidence is within the level."""
    treatment, control, asked = (30, 120), (20, 150), Asked(0.1)
    found = compare(treatment, control, asked)
    arms = [Arm(*counts, tuning(asked)) for counts in (treatment, control)]
    chances = np.linspace(0.001, 0.7, 1400)
    evidence = [np.array([arm.evidence(_odds(chance)) for chance in chances]) for arm in arms]
    held = evidence[0][:, None] + evidence[1][None, :] <= -log(asked.alpha)
    differences, ratios = chances[:, None] - chances[None, :], chances[:, None] / chances[None, :] - 1
    assert found.difference.low == pytest.approx(differences[held].min(), abs=2e-3)
    assert found.difference.high == pytest.approx(differences[held].max(), abs=2e-3)
    assert found.ratio.low == pytest.approx(ratios[held].min(), abs=2e-2)
    assert found.ratio.high == pytest.approx(ratios[held].max(), rel=2e-2)


@given(COUNTS, COUNTS, st.sampled_from([None, 1e-12, 0.01, 0.5, 100.0]))
def test_any_counts_have_finite_answers_that_agree(
    treatment: tuple[int, int], control: tuple[int, int], mde: float | None
) -> None:
    """The intervals hold the estimate, and 0 exactly where p is above alpha."""
    asked = Asked(0.05, mde)
    found = compare(treatment, control, asked)
    assert 0 < found.p <= 1
    assert found.difference.low is not None
    assert found.difference.high is not None
    value = treatment[0] / treatment[1] - control[0] / control[1]
    assert -1 <= found.difference.low <= value + 1e-9
    assert value - 1e-9 <= found.difference.high <= 1
    assert found.ratio.low is not None
    assert -1 <= found.ratio.low < 1e9
    assert found.ratio.high is None or isfinite(found.ratio.high)
    if not 0.04 < found.p < 0.06:
        assert found.difference.holds(0) == found.ratio.holds(0) == (found.p > 0.05)


@settings(max_examples=30)
@given(COUNTS, COUNTS)
def test_relabelled_arms_negate_the_difference(treatment: tuple[int, int], control: tuple[int, int]) -> None:
    """And p is the same."""
    one, two = compare(treatment, control, Asked()), compare(control, treatment, Asked())
    assert one.p == pytest.approx(two.p, rel=1e-3)
    ends = (one.difference.low, one.difference.high), (two.difference.high, two.difference.low)
    for here, there in zip(*ends, strict=True):
        assert here is not None
        assert there is not None
        assert here == pytest.approx(-there, rel=1e-4, abs=1e-7)


def test_swapped_outcomes_negate_the_difference() -> None:
    """Counting failures in the place of successes is the same test."""
    one, two = compare((30, 200), (50, 210), Asked()), compare((170, 200), (160, 210), Asked())
    assert one.p == pytest.approx(two.p)
    assert one.difference.low == pytest.approx(-(two.difference.high or 0))


def test_one_unit_in_each_arm_says_nothing() -> None:
    """The interval is everything that there is, and p is 1."""
    found = compare((1, 1), (0, 1), Asked())
    assert (found.p, found.difference.low, found.difference.high) == (1.0, -1.0, 1.0)
    assert (found.ratio.low, found.ratio.high) == (-1.0, None)


def test_nobody_leaves_the_ratio_open() -> None:
    """A control that may have the chance 0 gives a ratio without an upper end."""
    found = compare((30, 1000), (0, 1000), Asked())
    assert found.ratio.high is None
    assert found.ratio.low is not None
    assert found.ratio.low > 0


def test_huge_counts_keep_their_digits() -> None:
    """At 10^8 units of each arm the interval is within a few standard errors, and the p-value is no 0."""
    found = compare((10_500_000, 10**8), (10_000_000, 10**8), Asked())
    error = sqrt((0.105 * 0.895 + 0.1 * 0.9) / 10**8)
    assert found.difference.low is not None
    assert found.difference.high is not None
    assert 0.005 - 7 * error < found.difference.low < 0.005 < found.difference.high < 0.005 + 7 * error
    assert 0 < found.p < 1e-300


def test_it_is_little_wider_than_an_asymptotic_sequence() -> None:
    """At the size that both are tuned to: 1.12 times with equal arms; 1.3 times with a tenth in one of them."""
    asymptotic = mixture.critical(mixture.best_kappa(0.05), 0.05)
    error = sqrt(2 * 0.2 * 0.8 / 2500)
    found = compare((500, 2500), (500, 2500), Asked())
    assert (found.difference.high or 0) / error < 1.13 * asymptotic
    lopsided = compare((275, 1375), (2750, 13750), Asked())
    error = sqrt(0.2 * 0.8 * (1 / 1375 + 1 / 13750))
    width = (lopsided.difference.high or 0) - (lopsided.difference.low or 0)
    assert width / 2 / error < 1.3 * asymptotic


def test_tuning_to_an_effect_is_tightest_where_it_can_be_shown() -> None:
    """With the units of a fixed test of that effect, it is tighter than tuned to another size."""
    n = 3841  # of 10 % against 12 %, 80 % power, two-sided 5 %: z test with pooled variance
    counts = (round(0.11 * n), n)
    tuned, other = (compare(counts, counts, Asked(mde=mde)).difference.high for mde in (0.02, 0.2))
    assert tuned is not None
    assert other is not None
    assert tuned < 0.9 * other


def test_the_pair_s_concentration_is_the_best() -> None:
    """The width of a product of two arms, by the normal approximation, is least there."""

    def width(kappa: float) -> float:
        return (1 + kappa) / kappa * (-2 * log(0.05) + 2 * log(1 + kappa))

    kappa = best_pair(0.05)
    assert width(kappa) < min(width(0.95 * kappa), width(1.05 * kappa))


def test_one_arm_has_the_interval_of_its_mixture() -> None:
    """At its ends the evidence is ln(1/alpha), and 0 and 1 are ends where nothing rules them out."""
    found = sequence(50, 100, 0.05)
    arm = Arm(50, 100, Tuning(2500 / mixture.best_kappa(0.05)))
    assert found.low is not None
    assert arm.evidence(_odds(found.low)) == pytest.approx(log(20), abs=1e-6)
    assert found.low == pytest.approx(1 - (found.high or 0))
    assert sequence(0, 1, 0.05).low == 0
    assert sequence(1, 1, 0.05).high == 1


@pytest.mark.parametrize("bad", [(1, 0), (-1, 5), (6, 5)])
def test_what_are_no_counts_is_refused(bad: tuple[int, int]) -> None:
    """By what they are."""
    with pytest.raises(ValueError, match=r"units|unit"):
        compare(bad, (1, 2), Asked())


def test_it_is_wrong_no_more_often_than_promised_when_looked_at_after_each_unit() -> None:
    """Of 2000 pairs of arms with the chance 0.1, looked at after each of 400 units, at most 5 % reject.

    The least over common chances is taken over a grid: a minimum that is too large would only reject more often.
    """
    random = np.random.default_rng(3)
    runs, units = 2000, 400
    tuning = Tuning(60.0)
    table = [_table(units // 2, tuning, chance) for chance in np.geomspace(0.01, 0.6, 60)]
    rejected = np.zeros(runs, dtype=bool)
    counts = np.zeros((2, runs), dtype=int)
    for step in range(units):
        counts[step % 2] += random.random(runs) < 0.1
        seen = (step // 2 + 1, (step + 1) // 2)
        least = np.min([each[seen[0], counts[0]] + each[seen[1], counts[1]] for each in table], axis=0)
        rejected |= least >= log(20)
    assert rejected.sum() <= binom.ppf(1 - 1e-6, runs, 0.05)


def _table(units: int, tuning: Tuning, chance: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return the evidence against a chance by units and successes."""
    g, n, s = tuning.constant, np.arange(units + 1)[:, None], np.arange(units + 1)[None, :]
    failures = np.maximum(n - s, 0)
    mixed = gammaln(g * chance + s) - lgamma(g * chance) + gammaln(g * (1 - chance) + failures)
    mixed += lgamma(g) - lgamma(g * (1 - chance)) - gammaln(g + n)
    return np.asarray(mixed - s * log(chance) - failures * log(1 - chance))
