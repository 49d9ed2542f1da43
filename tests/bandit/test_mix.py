"""From shares to weights: the floor is mixed in, control may have a share of its own, stopped arms get nothing."""

import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.bandit.earned import Earned, Sums
from router.bandit.mix import Terms, checked, warm, weigh

NONE = Earned(dict.fromkeys("abc", Sums()), bounded=True)


def given_shares(shares: Mapping[str, float]) -> Mapping[str, float]:
    """Return shares as an allocator does."""
    return shares


def test_the_floor_is_mixed_not_clipped() -> None:
    """The weight is f + (1 - n f) w: what is above the floor keeps its odds beyond it."""
    found = weigh(lambda _: {"a": 0.0, "b": 0.25, "c": 0.75}, NONE, Terms("a", floor=0.02))
    assert found == pytest.approx({"a": 0.02, "b": 0.02 + 0.94 * 0.25, "c": 0.02 + 0.94 * 0.75})


@given(st.lists(st.floats(0.001, 1), min_size=3, max_size=3), st.floats(0, 0.3))
def test_weights_are_weights(raw: list[float], floor: float) -> None:
    """They add up to 1, none is below the floor, and the order of shares is kept."""
    shares = dict(zip("abc", (each / math.fsum(raw) for each in raw), strict=True))
    found = weigh(lambda _: shares, NONE, Terms("a", floor=floor))
    assert math.isclose(sum(found.values()), 1.0)
    assert min(found.values()) >= floor - 1e-9
    assert max(found, key=found.__getitem__) == max(shares, key=shares.__getitem__) or floor > 0.3


def test_control_has_its_share_whatever_it_earns() -> None:
    """The allocator is asked about the other arms alone, and what is left goes to them."""
    asked: list[tuple[str, ...]] = []

    def ask(earned: Earned) -> dict[str, float]:
        asked.append(tuple(earned.arms))
        return {"b": 0.9, "c": 0.1}

    found = weigh(ask, NONE, Terms("a", floor=0.05, control_share=0.2))
    assert asked == [("b", "c")]
    assert found == pytest.approx({"a": 0.2, "b": 0.05 + 0.7 * 0.9, "c": 0.05 + 0.7 * 0.1})


def test_a_stopped_arm_gets_nothing_not_even_the_floor() -> None:
    """Guardrails outrank the bandit; with every other arm stopped control has everything."""
    found = weigh(lambda known: dict.fromkeys(known.arms, 0.5), NONE, Terms("a", floor=0.1), stopped={"c"})
    assert found == pytest.approx({"a": 0.5, "b": 0.5, "c": 0.0})
    only = weigh(lambda known: dict.fromkeys(known.arms, 1.0), NONE, Terms("a", control_share=0.2), stopped={"b", "c"})
    assert only == {"a": 1.0, "b": 0.0, "c": 0.0}
    assert weigh(given_shares, NONE, Terms("a"), stopped=set("abc")) == {"a": 1.0, "b": 0.0, "c": 0.0}  # type: ignore[arg-type]


def test_what_no_unit_would_be_hashed_to_is_nothing() -> None:
    """A weight of 1e-12 is 0, and the others still add up to 1."""
    found = weigh(lambda _: {"a": 1e-12, "b": 0.5, "c": 0.5 - 1e-12}, NONE, Terms("a"))
    assert found["a"] == 0.0
    assert sum(found.values()) == pytest.approx(1.0)


def test_a_floor_that_leaves_nothing_is_refused() -> None:
    """Two thirds each of three arms is more than there is."""
    with pytest.raises(ValueError, match="leaves nothing"):
        weigh(lambda known: dict.fromkeys(known.arms, 1 / 3), NONE, Terms("a", floor=0.4))


@pytest.mark.parametrize("wrong", [{"a": 1.0}, {"a": 0.5, "b": 0.6}, {"a": -0.5, "b": 1.5}, {"a": math.nan, "b": 1.0}])
def test_what_an_allocator_of_ones_own_gets_wrong_is_said(wrong: dict[str, float]) -> None:
    """Missing arms, negative shares, nan, and a sum that is not 1 are a clear error, never a weight."""
    with pytest.raises(ValueError, match="an allocator"):
        checked(wrong, ("a", "b"))


def test_warm_up_waits_for_every_arm_that_runs() -> None:
    """It counts observations, whatever age has left of them; a stopped arm is not waited for."""
    known = {"a": Sums(100, 3.0), "b": Sums(99, 99.0)}
    assert not warm(known, Terms("a", warm_up=100))
    assert warm(known, Terms("a", warm_up=100), stopped={"b"})
    assert warm(known, Terms("a", warm_up=99))
