"""The sequential test of the sample ratio: its numbers, its laws, and how often it is wrong.

The simulations are seeded. Their false-alarm budget: a count of false alarms is held to the number that a binomial
variable of the promised probability exceeds once in a million times, so a correct test never fails here by chance.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, chisquare

from router.analysis.sample_ratio import CONCENTRATIONS, Block, log_bayes_factor, merge, sample_ratio

Floats = npt.NDArray[np.float64]

# Each is 10 blocks of 1000 units that were drawn with shares 0.1, 0.49, 0.41.
DRAWN = (
    (84, 489, 427), (102, 497, 401), (122, 483, 395), (98, 494, 408), (95, 500, 405),
    (107, 474, 419), (91, 517, 392), (103, 486, 411), (99, 489, 412), (110, 480, 410),
)  # fmt: skip


def _blocks(rows: Sequence[Sequence[int]], weights: Sequence[float]) -> list[Block]:
    names = "abcdefgh"[: len(weights)]
    return [
        Block(epoch, dict(zip(names, weights, strict=True)), dict(zip(names, map(int, row), strict=True)))
        for epoch, row in enumerate(rows)
    ]


# --- Numbers of others ------------------------------------------------------------------------------------------------


def test_bayes_factors_are_those_of_the_reference_implementation() -> None:
    """Optimizely's ssrm_test (its own test of units one by one, Dirichlet(1, 1, 1) against 0.4, 0.4, 0.2)."""
    units = ((1, 0, 0), (1, 1, 0), (2, 1, 0), (2, 2, 0), (2, 2, 1))
    mixture = (-1.0986122886681096, -2.4849066497880004, -3.401197381662155, -4.499809670330265, -6.4457198193855785)
    null = (-0.916290731874155, -1.83258146374831, -2.748872195622465, -3.66516292749662, -5.27460083993072)
    found = [log_bayes_factor(counts, (1, 1, 1), (0.4, 0.4, 0.2)) for counts in units]
    assert found == pytest.approx([one - other for one, other in zip(mixture, null, strict=True)])


def test_bayes_factors_of_blocks_are_those_of_the_reference_implementation() -> None:
    """The same for counts of four periods, the Dirichlet parameters being the posterior of the periods before."""
    periods = ((20, 17, 9), (18, 21, 8), (4, 6, 4), (18, 19, 11))
    mixture = (-7.028201432058012, -11.947847738358888, -15.471401950257842, -19.96484521090386)
    null = (-4.0776406466061985, -8.265946861099877, -11.610743519545139, -15.781031228536165)
    alpha, evidence, found = [1.0, 1.0, 1.0], 0.0, []
    for units in periods:
        evidence += log_bayes_factor(units, alpha, (0.4, 0.4, 0.2))
        alpha = [one + count for one, count in zip(alpha, units, strict=True)]
        found.append(evidence)
    assert found == pytest.approx([one - other for one, other in zip(mixture, null, strict=True)])


def test_p_values_are_those_of_the_reference_implementation() -> None:
    """The regression test of ssrm_test: ten units, and its default concentration of 10,000."""
    arms = "ccccaccabc"
    rows = [[int(arm == name) for name in "abc"] for arm in arms]
    assert sample_ratio(_blocks(rows, (0.1, 0.5, 0.4)), (10_000.0,)).p == pytest.approx(0.9980534145723241)


def test_a_known_mismatch_is_found() -> None:
    """Of 1,637,070 units 50.2 % in one arm, the case in ssrm_test's notebook: p is that of its algorithm."""
    found = sample_ratio(_blocks([(821_935, 815_135)], (1, 1)), (10_000.0,))
    assert (found.evidence, found.p) == pytest.approx((11.484987083822489, 1.0283323178119904e-05))
    assert found.chi_square is not None
    assert found.chi_square.p == pytest.approx(chisquare((821_935, 815_135)).pvalue)


def test_chi_square_is_pearsons_under_constant_weights() -> None:
    """As scipy computes it for the sums."""
    found = sample_ratio(_blocks(DRAWN, (10, 50, 40))).chi_square
    sums = np.sum(DRAWN, axis=0)
    known = chisquare(sums, sums.sum() * np.array((0.1, 0.5, 0.4)))
    assert found is not None
    assert (found.statistic, found.p) == pytest.approx((known.statistic, known.pvalue))
    assert found.degrees == 2


def test_chi_square_has_its_distribution_under_changing_weights() -> None:
    """With two arms it is the square of a standard normal variable: of 4000 draws, 5 % lie above 3.84."""
    random = np.random.default_rng(7)
    above = 0
    for _ in range(4000):
        first, second = random.binomial(500, 0.9), random.binomial(700, 0.3)
        blocks = [*_blocks([(first, 500 - first)], (9, 1)), *_blocks([(second, 700 - second)], (3, 7))]
        found = sample_ratio(blocks).chi_square
        assert found is not None
        above += found.p < 0.05
    assert binom.ppf(1e-6, 4000, 0.05) <= above <= binom.ppf(1 - 1e-6, 4000, 0.05)


# --- Cases ------------------------------------------------------------------------------------------------------------


def test_a_unit_in_an_arm_of_weight_0_is_impossible() -> None:
    """One such unit and p is 0, whatever the others say."""
    found = sample_ratio(_blocks([(500, 500, 0), (500, 499, 1)], (1, 1, 0)))
    assert (found.p, found.impossible, found.chi_square) == (0.0, 1, None)
    assert found.evidence == math.inf


def test_a_unit_in_an_arm_that_is_none_is_impossible() -> None:
    """An arm that the weights do not name had no weight."""
    found = sample_ratio([Block(0, {"a": 1.0, "b": 1.0}, {"a": 5, "c": 2})])
    assert (found.p, found.impossible) == (0.0, 2)


def test_an_arm_of_weight_0_without_units_changes_nothing() -> None:
    """It is no cell, of neither test."""
    with_it = sample_ratio(_blocks([(510, 490, 0)], (1, 1, 0)))
    without = sample_ratio(_blocks([(510, 490)], (1, 1)))
    assert (with_it.p, with_it.chi_square) == (without.p, without.chi_square)


def test_an_arm_that_gets_its_weight_later_is_tested_from_then_on() -> None:
    """Nothing was known of it before, so the prior is that of a beginning."""
    even = _blocks([(500, 500, 0)], (1, 1, 0))
    later = Block(1, {"a": 1.0, "b": 1.0, "c": 1.0}, {"a": 300, "b": 300, "c": 0})
    assert sample_ratio([*even, later]).p < 1e-12


def test_few_expected_units_have_no_chi_square() -> None:
    """Its distribution is not that of chi-square below five expected units in a cell; the sequential p is exact."""
    found = sample_ratio(_blocks([(490, 3)], (99, 1)))
    assert found.expected["b"] < 5
    assert found.chi_square is None
    assert 0 < found.p <= 1


def test_without_units_nothing_is_said_against_the_null() -> None:
    """The e-process begins at 1."""
    found = sample_ratio(_blocks([(0, 0)], (1, 1)))
    assert (found.units, found.evidence, found.p, found.chi_square) == (0, 0.0, 1.0, None)


def test_a_single_arm_cannot_mismatch() -> None:
    """With everything on one arm, as after a kill, there is nothing to test."""
    found = sample_ratio(_blocks([(1000, 0)], (1, 0)))
    assert (found.p, found.chi_square) == (1.0, None)


def test_p_remembers_the_most_evidence() -> None:
    """What was seen is not unseen when later units happen to fill the gap."""
    gap, filled = (700, 300), (300, 700)
    assert sample_ratio(_blocks([gap, filled], (1, 1))).p == sample_ratio(_blocks([gap], (1, 1))).p
    assert sample_ratio(_blocks([np.add(gap, filled).tolist()], (1, 1))).p == 1.0


# --- Laws -------------------------------------------------------------------------------------------------------------

weights = st.lists(st.floats(0.01, 100), min_size=2, max_size=5)


@st.composite
def _logs(draw: st.DrawFn) -> list[Block]:
    arms = draw(st.integers(2, 4))
    found = []
    for epoch in range(draw(st.integers(1, 6))):
        shares = draw(st.lists(st.floats(0.01, 10), min_size=arms, max_size=arms))
        units = draw(st.lists(st.integers(0, 10_000), min_size=arms, max_size=arms))
        found.append(Block(epoch, dict(zip("abcd", shares, strict=False)), dict(zip("abcd", units, strict=False))))
    return found


@given(st.data(), weights)
def test_it_does_not_matter_where_a_block_is_cut(data: st.DataObject, shares: list[float]) -> None:
    """Under constant weights the evidence is that of the sums, so the order of units within them does not matter."""
    row = st.lists(st.integers(0, 2000), min_size=len(shares), max_size=len(shares))
    rows = data.draw(st.lists(row, min_size=1, max_size=8))
    cut, whole = (
        sample_ratio(_blocks(rows, shares)),
        sample_ratio(_blocks([list(map(sum, zip(*rows, strict=True)))], shares)),
    )
    assert cut.evidence == pytest.approx(whole.evidence, rel=1e-7, abs=1e-6)
    assert cut.p <= whole.p * (1 + 1e-6)


@given(_logs(), st.floats(0.1, 100), st.permutations("abcd"))
def test_neither_scale_of_weights_nor_names_of_arms_matter(log: list[Block], scale: float, names: list[str]) -> None:
    """Weights are relative, and arms are alike."""
    renamed = dict(zip("abcd", names, strict=True))
    other = [
        Block(
            block.epoch,
            {renamed[arm]: weight * scale for arm, weight in block.weights.items()},
            {renamed[arm]: units for arm, units in block.units.items()},
        )
        for block in log
    ]
    assert sample_ratio(other).evidence == pytest.approx(sample_ratio(log).evidence, rel=1e-7, abs=1e-6)


@given(_logs(), st.data())
def test_counts_of_several_logs_merge(log: list[Block], data: st.DataObject) -> None:
    """Units may be split over replicas in any way: the merged counts are those of one log, in any order of merging."""
    parts: list[list[Block]] = [[], [], []]
    for block in log:
        left = dict(block.units)
        for part in parts[:2]:
            taken = {arm: data.draw(st.integers(0, units)) for arm, units in left.items()}
            left = {arm: units - taken[arm] for arm, units in left.items()}
            part.append(Block(block.epoch, block.weights, taken))
        parts[2].append(Block(block.epoch, block.weights, left))
    one, two, three = parts
    assert merge(one, two, three) == merge(log)
    assert merge(merge(three, one), two) == merge(one, merge(two, three))


def test_an_epoch_has_one_set_of_weights() -> None:
    """Counts under different weights are not added up."""
    with pytest.raises(ValueError, match="epoch 0 has weights"):
        merge(_blocks([(1, 1)], (1, 1)), _blocks([(1, 1)], (2, 1)))


# --- How often it is wrong --------------------------------------------------------------------------------------------


def _paths(arms: npt.NDArray[np.int64], shares: Floats) -> Floats:
    """Return the evidence after every unit, by predicting one unit at a time: not the module's closed form.

    Args:
        arms: Arm of each unit, a row for each run.
        shares: The null.
    """
    seen = np.cumsum(arms[:, :, None] == np.arange(len(shares)), axis=1)
    before = np.take_along_axis(seen, arms[:, :, None], axis=2)[:, :, 0] - 1
    count = np.arange(arms.shape[1])
    due = shares[arms]
    logs = [np.cumsum(np.log((kappa * due + before) / (kappa + count) / due), axis=1) for kappa in CONCENTRATIONS]
    mixed: Floats = np.logaddexp.reduce(logs, axis=0) - math.log(len(logs))
    return mixed


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.02, 0.98), (0.1, 0.5, 0.4), (0.01, 0.09, 0.4, 0.5)])
def test_watching_every_unit_does_not_raise_false_alarms(shares: tuple[float, ...]) -> None:
    """Of 1000 sound experiments looked at 2000 times each, no more than alpha are ever called invalid."""
    random = np.random.default_rng(20_260_101)
    null = np.array(shares)
    arms = random.choice(len(shares), size=(1000, 2000), p=null)
    paths = _paths(arms, null)
    most = paths.max(axis=1)
    for alpha in (0.05, 0.01, 0.001):
        assert (most >= -math.log(alpha)).sum() <= binom.ppf(1 - 1e-6, 1000, alpha)
    counts = [np.bincount(row, minlength=len(shares)).tolist() for row in arms[:20]]
    closed = [sample_ratio(_blocks([row], shares)).evidence for row in counts]
    assert closed == pytest.approx(paths[:20, -1], rel=1e-6, abs=1e-8)


def _adaptive(random: np.random.Generator, lost: float) -> list[Block]:
    """Run a bandit for 60 epochs: its weights follow what it saw; of arm ``c``, a share of units is lost."""
    blocks = []
    theta = np.array((1 / 3, 1 / 3, 1 / 3))
    for epoch in range(60):
        units = random.multinomial(400, theta)
        units[2] -= random.binomial(units[2], lost)
        named: dict[str, int] = dict(zip("abc", map(int, units), strict=True))
        blocks.append(Block(epoch, dict(zip("abc", map(float, theta), strict=True)), named))
        theta = 0.05 + 0.85 * random.dirichlet(1 + units / 20)
    return blocks


def test_weights_that_follow_the_units_do_not_raise_false_alarms() -> None:
    """The null varies with time and depends on the past, as a bandit's does; each block is looked at."""
    random = np.random.default_rng(3)
    found = [sample_ratio(_adaptive(random, 0.0)).p for _ in range(300)]
    for alpha in (0.05, 0.01):
        assert sum(p <= alpha for p in found) <= binom.ppf(1 - 1e-6, 300, alpha)


def test_evidence_adds_up_over_changing_weights() -> None:
    """A tenth of one arm's units lost is found although no epoch has more than 400 units; apart none would find it."""
    random = np.random.default_rng(4)
    runs = [_adaptive(random, 0.1) for _ in range(50)]
    assert sum(sample_ratio(run).p < 0.001 for run in runs) >= 45
    alone = [min(sample_ratio([block]).p for block in run) for run in runs]
    assert sum(p < 0.001 for p in alone) <= 5


def _detected_after(random: np.random.Generator, share: float, step: int, limit: int) -> int | None:
    """Return after how many units an even split of that true share is called invalid."""
    rows: list[tuple[int, int]] = []
    counts = random.binomial(step, share, size=limit // step)
    rows = [(int(count), step - int(count)) for count in counts]
    for row in np.cumsum(rows, axis=0).tolist():
        if sample_ratio(_blocks([row], (1, 1))).p < 0.001:
            return int(sum(row))
    return None


@pytest.mark.parametrize(
    ("share", "limit", "median"),
    [
        (1.0, 100, 60),  # one arm is lost whole
        (0.6, 3_000, 600),
        (0.51, 200_000, 60_000),
        (0.505, 600_000, 220_000),  # each arm has 1 % more or fewer units than it was due
        (1 / 1.99, 3_000_000, 900_000),  # 1 % of the units of one arm are lost
    ],
)
def test_planted_imbalances_are_found(share: float, limit: int, median: int) -> None:
    """Every one of 40 broken experiments is found, half of them with as many units as are stated here."""
    random = np.random.default_rng(11)
    found: list[Any] = [_detected_after(random, share, max(limit // 200, 1), limit) for _ in range(40)]
    assert None not in found
    assert np.median(found) <= median
