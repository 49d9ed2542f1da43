"""Assignment: every rule of hash version 1."""

import math
from collections import Counter
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.routing.bucket import arm_hash, choose, point, unit_bucket, unit_key

UNITS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
SALTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
WEIGHTS = st.floats(min_value=1e-6, max_value=1e6) | st.integers(1, 100).map(float)
ARMS = st.dictionaries(st.sampled_from("abcdef"), WEIGHTS, min_size=1).map(lambda arms: list(arms.items()))

# False alarms: every statistical test here uses fixed salts and units, so it passes for ever once it passes; it was
# given a chance of ALPHA to fail for an unlucky salt when it was written, 14 cases together less than 0.2 %.
ALPHA = 1e-4


def tail(chi_square: float, freedom: int) -> float:
    """Return the probability of a larger chi-square; exact, for even degrees of freedom."""
    half = chi_square / 2
    return math.exp(-half) * sum(half**k / math.factorial(k) for k in range(freedom // 2))


def statistic(observed: Counter[str], expected: dict[str, float]) -> float:
    """Return Pearson's chi-square."""
    return sum((observed[name] - count) ** 2 / count for name, count in expected.items())


@given(SALTS, ARMS, UNITS)
def test_same_question_same_answer(salt: str, arms: list[tuple[str, float]], unit: str) -> None:
    """An arm is a function of salt, weights and unit, whatever was asked in between."""
    first = choose(salt, arms, unit)
    choose(salt + "x", arms, unit)
    choose(salt, arms, unit + "x")
    assert first is not None
    assert choose(salt, arms, unit) == first


@given(SALTS, ARMS, UNITS, st.randoms(use_true_random=False))
def test_the_order_of_the_arms_does_not_matter(
    salt: str, arms: list[tuple[str, float]], unit: str, random: object
) -> None:
    """Arms may be listed in any order."""
    shuffled = list(arms)
    random.shuffle(shuffled)  # type: ignore[attr-defined] # Hypothesis gives a random.Random
    assert choose(salt, shuffled, unit) == choose(salt, arms, unit)


@given(SALTS, ARMS, UNITS, st.floats(min_value=1e-3, max_value=1e3))
def test_only_ratios_of_weights_matter(salt: str, arms: list[tuple[str, float]], unit: str, factor: float) -> None:
    """Weights of 95 and 5 are those of 19 and 1."""
    assert choose(salt, [(name, weight * factor) for name, weight in arms], unit) == choose(salt, arms, unit)


@given(SALTS, ARMS, UNITS, st.data())
def test_raising_a_weight_moves_units_only_into_that_arm(
    salt: str, arms: list[tuple[str, float]], unit: str, data: st.DataObject
) -> None:
    """A ramp takes no unit back and moves nobody between the other arms."""
    raised = data.draw(st.sampled_from([name for name, _ in arms]))
    factor = data.draw(st.floats(min_value=1, max_value=1e4))
    after = [(name, weight * factor if name == raised else weight) for name, weight in arms]
    assert choose(salt, after, unit) in (choose(salt, arms, unit), raised)


@given(SALTS, ARMS, UNITS, WEIGHTS)
def test_a_new_arm_takes_units_and_moves_no_others(
    salt: str, arms: list[tuple[str, float]], unit: str, weight: float
) -> None:
    """Adding an arm is a ramp from weight 0, and removing one is its reverse."""
    assert choose(salt, [*arms, ("new", weight)], unit) in (choose(salt, arms, unit), "new")
    assert choose(salt, [*arms, ("new", 0.0)], unit) == choose(salt, arms, unit)


@given(SALTS, ARMS, UNITS, st.data())
def test_weight_zero_serves_nobody(salt: str, arms: list[tuple[str, float]], unit: str, data: st.DataObject) -> None:
    """An arm of weight 0 is not chosen; when all are, none is."""
    off = data.draw(st.sets(st.sampled_from([name for name, _ in arms]), min_size=1))
    switched = [(name, 0.0 if name in off else weight) for name, weight in arms]
    chosen = choose(salt, switched, unit)
    assert chosen not in off
    assert (chosen is None) == (len(off) == len(arms))


@given(SALTS, UNITS)
def test_equal_scores_go_to_the_first_name(salt: str, unit: str) -> None:
    """Where weights are so small that all scores are infinite, the names decide."""
    assert choose(salt, [("b", 5e-324), ("a", 5e-324)], unit) == "a"


@pytest.mark.parametrize("salt", ["one", "two"])
@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (90.0, 9.0, 1.0), (0.5, 0.3, 0.2)])
def test_shares_are_those_of_the_weights(salt: str, weights: tuple[float, float, float]) -> None:
    """Over many units each arm gets its weight's share (chi-square with 2 degrees of freedom)."""
    units = 60_000
    arms = list(zip("abc", weights, strict=True))
    observed = Counter(str(choose(salt, arms, f"user-{index}")) for index in range(units))
    expected = {name: units * weight / sum(weights) for name, weight in arms}
    assert tail(statistic(observed, expected), 2) > ALPHA


@pytest.mark.parametrize("salt", ["one", "two", "three"])
def test_a_share_of_one_in_ten_thousand_is_exact(salt: str) -> None:
    """An arm of 0.01 % gets 0.01 % (exact binomial test, both sides)."""
    units, share = 200_000, 0.0001
    found = sum(choose(salt, [("big", 0.9999), ("tiny", share)], str(index)) == "tiny" for index in range(units))

    def probability(count: int) -> float:
        ways = math.lgamma(units + 1) - math.lgamma(count + 1) - math.lgamma(units - count + 1)
        return math.exp(ways + count * math.log(share) + (units - count) * math.log1p(-share))

    at_most = sum(probability(count) for count in range(found + 1))
    at_least = 1 - sum(probability(count) for count in range(found))
    assert min(at_most, at_least) > ALPHA / 2


@pytest.mark.parametrize(("one", "other"), [("ranker-1", "ranker-2"), ("a", "b"), ("exp", "exp ")])
def test_salts_are_independent(one: str, other: str) -> None:
    """What arm a unit has in one experiment says nothing about another (chi-square of the joint table)."""
    units = 60_000
    arms = [("a", 6.0), ("b", 3.0), ("c", 1.0)]
    joint = Counter(f"{choose(one, arms, str(index))}{choose(other, arms, str(index))}" for index in range(units))
    expected = {
        first + second: units * weight / 10 * other_weight / 10
        for (first, weight), (second, other_weight) in product(arms, arms)
    }
    assert tail(statistic(joint, expected), 8) > ALPHA


def test_points_and_buckets_are_independent_of_arms() -> None:
    """Enrolment, arm and counter bucket of a unit are independent: a table of 2 by 3 by 3 cells fits its margins."""
    units = 60_000
    arms = [("a", 1.0), ("b", 1.0), ("c", 1.0)]
    joint = Counter(
        f"{point('salt', unit) >> 63}{choose('salt', arms, unit)}{min(unit_bucket(unit) // 86, 2)}"
        for unit in map(str, range(units))
    )
    thirds = (86 / 256, 86 / 256, 84 / 256)
    expected = {
        f"{half}{arm}{third}": units / 2 / 3 * thirds[third] for half, arm, third in product(range(2), "abc", range(3))
    }
    assert tail(statistic(joint, expected), 16) > ALPHA  # 17 degrees; 16 is the stricter side


@given(SALTS, UNITS)
def test_numbers_are_in_range(salt: str, unit: str) -> None:
    """A hash is in (0, 1], a point has 64 bits, a bucket is one of 256."""
    assert 0 < arm_hash(salt, "arm", unit) <= 1
    assert 0 <= point(salt, unit) < 2**64
    assert 0 <= unit_bucket(unit) < 256
    assert unit_key(unit.encode())[1] == unit_bucket(unit)


def test_every_bucket_is_used_evenly() -> None:
    """The 256 buckets share units evenly (chi-square with 255 degrees of freedom; 254 is the stricter side)."""
    units = 100_000
    observed = Counter(str(unit_bucket(f"user-{index}")) for index in range(units))
    expected = {str(bucket): units / 256 for bucket in range(256)}
    assert statistic(observed, expected) < 254 + 4 * math.sqrt(2 * 254)
