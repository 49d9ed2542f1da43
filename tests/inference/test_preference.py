"""Which ranker is preferred, and how surely."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from benchmarks.interleaving import GOOD, WORSE, shares
from router.analysis.aggregates import Moments
from router.analysis.credit import Credit
from router.analysis.estimate import NotEnough
from router.inference.effect import Asked
from router.inference.preference import Chance, Delta, Preference, preference

ASKED = Asked()


def credit_of(units: list[tuple[int, int, int]]) -> Credit:
    """Add up units: impressions that speak for control, for the treatment, and for neither."""
    kept = [unit for unit in units if sum(unit)]
    y = np.array([won - lost for lost, won, _ in kept], float)
    x = np.array([sum(unit) for unit in kept], float)
    sums = Moments(len(kept), *(float(value) for value in (y.sum(), y @ y, x.sum(), x @ x, x @ y)))
    first = (
        int(sum(1 for lost, won, _ in kept if lost and lost >= won)),
        int(sum(1 for lost, won, _ in kept if won > lost)),
    )
    return Credit(
        arms=("old", "new"),
        shown=10 * len(units),
        units=len(units),
        wins=(sum(unit[0] for unit in kept), sum(unit[1] for unit in kept)),
        ties=sum(unit[2] for unit in kept),
        sums=sums,
        preferred=(int((y < 0).sum()), int((y > 0).sum())),
        undecided=int((y == 0).sum()),
        first=first,
    )


def found(known: Credit, asked: Asked = ASKED) -> Preference:
    """Return a preference that can be said."""
    said = preference(known, asked)
    assert isinstance(said, Preference), said
    return said


UNITS = st.lists(st.tuples(*[st.integers(0, 5)] * 3), min_size=1, max_size=40)


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        (Credit(("a", "b")), "no merged list"),
        (Credit(("a", "b"), shown=5, units=2), "no outcome"),
        (credit_of([(0, 0, 3)]), "no unit prefers"),
        (credit_of([(1, 1, 0)] * 20), "no unit prefers"),
    ],
)
def test_too_little_is_said_to_be_too_little(known: Credit, reason: str) -> None:
    """Without a list, an outcome, or a unit that prefers one, there is nothing to say."""
    said = preference(known, ASKED)
    assert isinstance(said, NotEnough)
    assert reason in said.reason


def test_the_preference_is_that_of_chapelle() -> None:
    """(wins + ties/2) / impressions - 1/2, over impressions with an outcome."""
    known = credit_of([(1, 3, 2)] * 7 + [(2, 0, 1)] * 6)
    said = found(known)
    assert isinstance(said.delta, Delta)
    wins, losses, ties = 7 * 3, 7 * 1 + 6 * 2, 7 * 2 + 6
    assert said.delta.value == pytest.approx((wins + ties / 2) / (wins + losses + ties) - 0.5, abs=1e-12)


@given(st.integers(0, 200), st.integers(0, 200))
def test_the_sign_test_is_exact(wins: int, losses: int) -> None:
    """As scipy's, and its interval as Clopper and Pearson's."""
    if wins + losses == 0:
        return
    said = found(credit_of([(0, 1, 0)] * wins + [(1, 0, 0)] * losses)).once
    test = binomtest(wins, wins + losses)
    interval = test.proportion_ci()
    assert said.p == pytest.approx(test.pvalue, rel=1e-9)
    assert (said.interval.low, said.interval.high) == pytest.approx((interval.low, interval.high), abs=1e-9)


@given(UNITS)
def test_exchanging_the_rankers_turns_the_preference(units: list[tuple[int, int, int]]) -> None:
    """Every sign, and nothing else."""
    one, other = (preference(credit_of(each), ASKED) for each in (units, [(b, a, c) for a, b, c in units]))
    assert type(one) is type(other)
    if isinstance(one, Preference) and isinstance(other, Preference):
        assert one.once.p == pytest.approx(other.once.p)
        assert one.once.value == pytest.approx(1 - other.once.value)
        assert type(one.delta) is type(other.delta)
        if isinstance(one.delta, Delta) and isinstance(other.delta, Delta):
            assert one.delta.value == pytest.approx(-other.delta.value)
            assert one.delta.standard_error == pytest.approx(other.delta.standard_error)
            assert one.delta.interval.low == pytest.approx(-(other.delta.interval.high or 0))


def test_units_that_all_say_the_same_have_no_interval_and_a_test() -> None:
    """There is no spread to go by, but twenty of twenty are no accident."""
    said = found(credit_of([(0, 2, 0)] * 20))
    assert isinstance(said.delta, NotEnough)
    assert said.once.p == pytest.approx(2 * 0.5**20)
    assert isinstance(said.any_time, Chance)
    assert said.any_time.interval.low is not None
    assert said.any_time.interval.low > 0.5


def test_few_units_have_no_delta() -> None:
    """The delta method is for many units; the sign test for any number."""
    said = found(credit_of([(0, 1, 0), (1, 0, 0), (0, 1, 1)]))
    assert isinstance(said.delta, NotEnough)
    assert said.once.n == 3


def test_it_holds_at_any_time() -> None:
    """Looked at after every unit, a fair coin is ever called unfair at most as often as alpha says.

    Exact at alpha 0.05 by Ville; 400 runs of 300 looks. More than 40 false alarms have a chance below 10^-4 by the
    binomial tail.
    """
    generator = np.random.default_rng(5)
    paths = generator.integers(0, 2, (400, 300)).cumsum(axis=1)
    known = {}

    def rejects(wins: int, n: int) -> bool:
        if (wins, n) not in known:
            said = found(
                Credit(("a", "b"), n, n, (n - wins, wins), 0, preferred=(n - wins, wins), first=(n - wins, wins))
            )
            assert isinstance(said.any_time, Chance)
            known[wins, n] = said.any_time.p <= 0.05
        return known[wins, n]

    looks = range(9, 300, 10)
    alarms = sum(any(rejects(int(path[look]), look + 1) for look in looks) for path in paths)
    assert binom.sf(40, 400, 0.05) < 1e-4
    assert alarms <= 40


def test_units_that_come_often_do_not_count_as_many() -> None:
    """Impressions of a unit are alike; the interval of delta covers 0 as often as it says, though they are.

    600 samples of 60 units with up to 8 impressions each, all of one mind; coverage below 0.915 of a nominal 0.95 has a
    chance below 10^-3 by the binomial tail.
    """
    generator = np.random.default_rng(11)
    covered = 0
    for _ in range(600):
        many = generator.integers(1, 9, 60)
        side = generator.integers(0, 2, 60)
        units = [(int(count), 0, 0) if mind else (0, int(count), 0) for count, mind in zip(many, side, strict=True)]
        delta = found(credit_of(units)).delta
        assert isinstance(delta, Delta)
        covered += delta.interval.holds(0.0)
    assert binom.cdf(0.915 * 600, 600, 0.95) < 1e-3
    assert covered >= 0.915 * 600


@settings(max_examples=50)
@given(UNITS, st.floats(0.001, 0.5))
def test_nothing_is_beyond_its_range(units: list[tuple[int, int, int]], alpha: float) -> None:
    """Chances lie in 0 and 1, preferences within a half, and intervals hold their value."""
    said = preference(credit_of(units), Asked(alpha=alpha))
    if isinstance(said, NotEnough):
        return
    for chance in (said.once, said.any_time):
        if isinstance(chance, Chance):
            assert 0 < chance.p <= 1
            assert chance.interval.holds(chance.value)
            assert 0 <= (chance.interval.low or 0) <= (chance.interval.high or 0) <= 1
    if isinstance(said.delta, Delta):
        assert said.delta.interval.holds(said.delta.value)


def test_simulated_people_before_merged_lists() -> None:
    """Equal rankers are told apart no more often than 5 %; a better one is found long before an A/B test finds it.

    80 experiments of 60 people before equal lists: more than 13 alarms of any test have a chance below 10^-4 by the
    binomial tail. 40 of 250 before lists of which one is better: at least half are found, and three times as many as
    by A/B (of 150 with 300 people 73 % and 5 %: ``python -m benchmarks.interleaving``).
    """
    equal = shares(60, (GOOD, GOOD), 80, seed=1)
    assert binom.sf(13, 80, 0.05) < 1e-4
    assert max(equal.once, equal.any_time, equal.delta) <= 13 / 80
    better = shares(250, (WORSE, GOOD), 40, seed=2)
    assert better.once >= 0.5
    assert better.once >= 3 * better.split


def test_a_half_is_certain_of_nothing() -> None:
    """As many for one as for the other."""
    said = found(credit_of([(0, 1, 0)] * 5 + [(1, 0, 0)] * 5))
    assert (said.once.p, said.once.value) == (1.0, 0.5)
    assert isinstance(said.delta, Delta)
    assert said.delta.value == 0.0
