"""How many units enter and leave an experiment when segments, coverage, layers and holdouts change."""

import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import to_builtins

from router.config.moves import OUTSIDE, Move, moves, part
from router.config.schema import Config
from tests.routing.build import request, revision, table

ROUTE = {"name": "r", "unit": ["header:x-user"]}
SHARES = st.floats(0, 1)
EVEN = (1.0, 1.0)


def config(weights: tuple[float, float] = EVEN, holdouts: Any = (), salt: str = "l1", **keys: Any) -> Config:
    """Make a configuration with the experiment ``e``; with a layer when ``segment`` or ``layer`` is given."""
    arms = [{"name": name, "target": "t1", "weight": weight} for name, weight in zip("ab", weights, strict=True)]
    layer = {"layer": "l"} if "segment" in keys else {}
    experiment = {"name": "e", "route": "r", "arms": arms, **layer, **keys}
    layers = [{"name": "l", "salt": salt}, {"name": "m"}]
    return revision([ROUTE], [experiment], layers=layers, holdouts=list(holdouts)).config


def found(old: Config, new: Config) -> dict[tuple[str, str], float]:
    """Return the moves by their pair of arms."""
    return {(move.before, move.after): move.share for move in moves(old, new)}


def arms(of: Config, units: int) -> list[str]:
    """Return the arm that the router's own table gives to each of so many units."""
    keys = {"layers", "holdouts", "experiments"}
    plain = {key: value for key, value in to_builtins(of).items() if key in keys}
    plan = table([ROUTE], **plain).routes["r"]
    return [plan.decide(request(headers={"x-user": f"unit-{i}"})).arm or OUTSIDE for i in range(units)]


def test_a_smaller_segment_lets_units_leave_from_every_arm_alike() -> None:
    """Segments cut the layer, so who leaves says nothing about the arm."""
    assert moves(config(segment=[0.0, 0.5]), config(segment=[0.25, 0.5])) == (
        Move("e", "a", OUTSIDE, 0.125),
        Move("e", "b", OUTSIDE, 0.125),
    )


def test_a_segment_that_moves_exchanges_units() -> None:
    """Who was in both segments stays, with the same arm."""
    assert found(config(segment=[0.0, 0.5]), config(segment=[0.25, 0.75])) == {
        (OUTSIDE, "a"): 0.125,
        (OUTSIDE, "b"): 0.125,
        ("a", OUTSIDE): 0.125,
        ("b", OUTSIDE): 0.125,
    }


def test_more_coverage_takes_nobody_out() -> None:
    """The share of units that enter is the difference, split by the weights."""
    new = found(config((3, 1), coverage=0.25), config((3, 1), coverage=0.5))
    assert new == {(OUTSIDE, "a"): 0.1875, (OUTSIDE, "b"): 0.0625}


def test_moves_between_arms_are_shares_of_all_units() -> None:
    """In a half that takes part, a weight raised by 50 points moves a quarter of all units."""
    new = found(config((1, 0), coverage=0.5), config((1, 1), coverage=0.5))
    assert new == {("a", "b"): 0.25}


def test_another_salt_of_the_layer_draws_its_units_anew() -> None:
    """A quarter of the units is in half of a layer under both of two salts, and a quarter under neither."""
    new = found(config(segment=[0.0, 0.5]), config(segment=[0.0, 0.5], salt="l2"))
    assert set(new.values()) == {0.125}
    assert set(new) == {(OUTSIDE, "a"), (OUTSIDE, "b"), ("a", OUTSIDE), ("b", OUTSIDE)}


def test_a_holdout_takes_its_share_of_every_arm() -> None:
    """A tenth of the units held out is a twentieth of all from each of two arms."""
    holdout = {"name": "h", "segment": [0.0, 0.1]}
    new = found(config(), config(holdouts=[holdout]))
    assert new == {("a", OUTSIDE): pytest.approx(0.05), ("b", OUTSIDE): pytest.approx(0.05)}
    assert found(config(), config(holdouts=[{**holdout, "layers": ["m"]}])) == {}


def test_a_renamed_holdout_with_the_same_salt_moves_nobody() -> None:
    """Who is held out depends on the salt, not on the name."""
    one = config(holdouts=[{"name": "h", "segment": [0.0, 0.1], "salt": "s"}])
    assert moves(one, config(holdouts=[{"name": "g", "segment": [0.0, 0.1], "salt": "s"}])) == ()


def test_a_layer_given_to_a_whole_experiment_moves_nobody() -> None:
    """All of a layer is all units."""
    assert moves(config(), config(segment=[0.0, 1.0])) == ()


def test_another_unit_draws_everybody_anew() -> None:
    """Tenants are no users: an arm says nothing about the other's."""
    assert found(config(), config(unit=["header:x-tenant"])) == {("a", "b"): 0.25, ("b", "a"): 0.25}


@given(st.tuples(SHARES, SHARES), st.tuples(SHARES, SHARES), st.tuples(SHARES, SHARES), st.booleans())
def test_what_enters_less_what_leaves_is_the_difference_of_the_parts(
    segment: tuple[float, float], coverage: tuple[float, float], held: tuple[float, float], anew: bool  # noqa: FBT001
) -> None:  # fmt: skip
    """No unit is counted twice or lost, whatever changes at once."""
    old, new = (
        config(
            segment=[0.0, segment[index]] if segment[index] else [0.0, 1.0],
            coverage=coverage[index],
            holdouts=[{"name": "h", "segment": [0.0, held[index]]}],
            salt="l2" if anew and index else "l1",
        )
        for index in (0, 1)
    )
    shares = found(old, new)
    enter = sum(share for (before, _), share in shares.items() if before == OUTSIDE)
    leave = sum(share for (_, after), share in shares.items() if after == OUTSIDE)
    parts = [part(each, each.experiments[0]) for each in (old, new)]
    assert math.isclose(enter - leave, parts[1] - parts[0], rel_tol=1e-9, abs_tol=1e-12)
    assert leave <= parts[0] + 1e-12
    assert enter <= parts[1] + 1e-12


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"segment": [0.0, 0.5], "coverage": 0.5}, {"segment": [0.1, 0.6], "coverage": 0.8}),
        ({"weights": (9.0, 1.0), "coverage": 0.5}, {"weights": (1.0, 1.0), "coverage": 0.9}),
        ({"segment": [0.0, 0.5]}, {"segment": [0.0, 0.5], "layer": "m"}),
        ({"segment": [0.0, 0.5]}, {"segment": [0.0, 0.5], "salt": "l3", "weights": (2.0, 1.0)}),
        (
            {"holdouts": [{"name": "h", "segment": [0.0, 0.2]}]},
            {"holdouts": [{"name": "h", "segment": [0.1, 0.4]}, {"name": "g", "segment": [0.5, 0.6]}]},
        ),
        ({"segment": [0.0, 0.3]}, {"holdouts": [{"name": "h", "segment": [0.0, 0.3], "salt": "l1"}]}),
    ],
)
def test_the_shares_are_what_the_routers_table_does(before: dict[str, Any], after: dict[str, Any]) -> None:
    """The exact shares agree with 4,000 units decided by compiled tables, within 4.5 standard errors.

    At most 6 pairs in each of 6 cases, 7e-6 each: a false alarm in one of about 4,000 draws of other units. The units
    are fixed, so it either never comes or always.
    """
    count = 4000
    old, new = config(**before), config(**after)
    seen = Counter(zip(arms(old, count), arms(new, count), strict=True))
    exact = found(old, new)
    for pair in {*exact, *seen}:
        if pair[0] != pair[1]:
            share = exact.get(pair, 0.0)
            assert abs(seen[pair] / count - share) <= 4.5 * math.sqrt(share * (1 - share) / count)
