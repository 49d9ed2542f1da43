"""Linear policies: what they learn, and that what is published says the same."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.bandit.linear import MOST_VALUES, Learned, Seen, Terms, Wanted, learn, nothing_learned, publish
from router.bandit.ridge import posterior, upper_bounds
from router.events.policy import MOST_COLUMNS, Feature, LinearModel, width_of
from router.routing.linear import lay_out, row_of, thompson, ucb

ARMS = ("a", "b")
WANTED = (Wanted("tier"), Wanted("age", number=True))
THOMPSON = Terms(use="linear_thompson", wanted=WANTED, draws=512)
UCB = Terms(use="lin_ucb", wanted=WANTED, alpha=0.7)


def rows(n: int, seed: int) -> list[Seen]:
    """Return observations in which gold is best served by a, everybody else by b, and age is worth 0.01 a year."""
    rng = np.random.default_rng(seed)
    out = []
    for index in range(n):
        tier, age = rng.choice(["gold", "free", "trial"]), float(rng.integers(18, 80))
        arm = str(rng.choice(ARMS))
        reward = float((arm == "a") == (tier == "gold")) + 0.01 * age + 0.1 * rng.standard_normal()
        about = {"tier": str(tier), "age": str(age)} if index % 17 else {"tier": str(tier)}
        out.append(Seen(arm, reward, about, float(index)))
    return out


def learned(seen: Sequence[Seen], terms: Terms = THOMPSON, now: float = 1e4) -> Learned:
    """Return what is known of observations."""
    return learn(nothing_learned(ARMS, terms.wanted), seen, terms, now)


def published(known: Learned, terms: Terms) -> LinearModel:
    """Return a model that there is."""
    model = publish(known, ARMS, terms, 1, np.random.default_rng(1))
    assert model is not None
    return model


def row(model: LinearModel, tier: str | None, age: str | None) -> list[float]:
    """Return the columns of a request."""
    columns, width = lay_out(model.features)
    return row_of(columns, width, [tier, age])


@given(st.integers(0, 50), st.integers(0, 200))
def test_learning_in_parts_is_learning_at_once(seed: int, cut: int) -> None:
    """Whatever is known after two ticks is what one tick would have known, vocabulary included."""
    seen = rows(200, seed)
    whole = learned(seen)
    parts = learn(learned(seen[:cut]), seen[cut:], THOMPSON, 1e4)
    assert parts.features == whole.features
    assert parts.counts == whole.counts
    assert parts.sums.matrix == pytest.approx(whole.sums.matrix)
    assert parts.sums.moment == pytest.approx(whole.sums.moment)


def test_a_worker_prefers_what_was_learned() -> None:
    """Gold gets a, others b, under either policy, also a tier that nobody had and a request without attributes."""
    seen = rows(2000, 1)
    for terms, compiled in ((THOMPSON, thompson), (UCB, ucb)):
        model = published(learned(seen, terms), terms)
        score = compiled(model)
        assert score(row(model, "gold", "30"))[0] > 0.99
        assert score(row(model, "free", "70"))[1] > 0.99
        assert sum(score(row(model, None, None))) == 1.0
        assert sum(score(row(model, "new", "x"))) == 1.0


def test_the_workers_bound_is_that_of_the_regression() -> None:
    """What a worker computes from published numbers is θ·x + a √(xᵀ A⁻¹ x) of raw sums, standardised."""
    known = learned(rows(500, 2), UCB)
    model = published(known, UCB)
    numbers = np.frombuffer(model.numbers, dtype="<f4").reshape(2, -1, model.width).astype(np.float64)
    x = np.array(row(model, "free", "41"))
    bounds = numbers[:, 0] @ x + np.sqrt(((numbers[:, 1:] @ x) ** 2).sum(axis=1))
    columns, width = lay_out(model.features)
    context = np.array(
        [row_of(columns, width, [s.attributes.get("tier"), s.attributes.get("age")]) for s in rows(500, 2)]
    )
    arm = np.array([ARMS.index(s.arm) for s in rows(500, 2)])
    direct = posterior(
        type(known.sums).empty(2, width).add(arm, np.array([s.reward for s in rows(500, 2)]), context), 1.0
    )
    assert bounds == pytest.approx(upper_bounds(direct, x[None, :], 0.7)[0], rel=1e-4)


def test_numbers_are_standardised_over_those_that_have_one() -> None:
    """Mean and scale are those of the ages that there were; an absent one is a column of its own."""
    seen = rows(300, 3)
    ages = np.array([float(each.attributes["age"]) for each in seen if "age" in each.attributes])
    age = published(learned(seen), THOMPSON).features[1]
    assert [age.mean, age.scale] == pytest.approx([ages.mean(), ages.std()])


def test_an_observation_counts_half_after_a_half_life() -> None:
    """A row that is one half-life old has half the weight of one that is new, learned then or now."""
    terms = Terms(use="linear_thompson", wanted=(), half_life=100.0)
    old, new = Seen("a", 1.0, {}, 900.0), Seen("a", 0.0, {}, 1000.0)
    at_once = learn(nothing_learned(ARMS, ()), [old, new], terms, 1000.0)
    later = learn(learn(nothing_learned(ARMS, ()), [old], terms, 900.0), [new], terms, 1000.0)
    for known in (at_once, later):
        assert known.sums.counts.tolist() == [pytest.approx(1.5), 0.0]
        assert known.sums.moment[0, 0] == pytest.approx(0.5)
    assert at_once.counts == later.counts == (2, 0)


def test_whatever_callers_send_a_model_stays_small() -> None:
    """A tier that is an id, on many features, ends at the bound of values and of columns; the rest are others."""
    wanted = tuple(Wanted(f"f{index}") for index in range(16))
    terms = Terms(use="linear_thompson", wanted=wanted)
    seen = [Seen("a", 1.0, {f"f{k}": str(i * 31 + k) for k in range(16)}, 0.0) for i in range(500)]
    known = learn(nothing_learned(ARMS, wanted), seen, terms, 1.0)
    assert width_of(known.features) <= MOST_COLUMNS
    assert max(len(feature.values) for feature in known.features) <= MOST_VALUES


def test_declared_values_are_the_vocabulary() -> None:
    """A category with values in the file learns no others."""
    wanted = (Wanted("tier", values=("gold", "free")),)
    known = learn(nothing_learned(ARMS, wanted), rows(50, 4), Terms(use="lin_ucb", wanted=wanted), 1.0)
    assert known.features == (Feature("tier", ("gold", "free")),)


def test_there_is_no_policy_before_every_arm_has_its_observations() -> None:
    """Warm-up is of each arm; an arm alone needs no policy; a reward that is none is passed over."""
    few = [Seen("a", 1.0, {}, 0.0)] * 10 + [Seen("b", 0.0, {}, 0.0)] * 9 + [Seen("b", float("nan"), {}, 0.0)]
    terms = Terms(use="linear_thompson", wanted=(), warm_up=10)
    known = learn(nothing_learned(ARMS, ()), few, terms, 1.0)
    assert known.counts == (10, 9)
    assert publish(known, ARMS, terms, 1, np.random.default_rng(1)) is None
    assert publish(known, ("a",), terms, 1, np.random.default_rng(1)) is None


def test_hostile_numbers_do_not_reach_the_sums() -> None:
    """Infinite, absurd and textual ages are absent; one constant age has the scale 1."""
    seen = [Seen(arm, 1.0, {"age": text}, 0.0) for arm in ARMS for text in ("1e300", "nan", "-inf", "old", "7", "7")]
    terms = Terms(use="linear_thompson", wanted=(Wanted("age", number=True),))
    known = learn(nothing_learned(ARMS, terms.wanted), seen, terms, 1.0)
    model = published(known, terms)
    assert (model.features[0].mean, model.features[0].scale) == (7.0, 1.0)
    assert np.isfinite(np.frombuffer(model.numbers, dtype="<f4")).all()
