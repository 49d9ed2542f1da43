"""Who is mirrored: whole units, in the share asked for, apart from every assignment."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.routing.decide import Decision
from tests.routing.build import request, table

UNITS = 20_000


def decide(unit: str | None, shadow: list[dict[str, Any]], ident: str = "0" * 32, **more: Any) -> Decision:
    """Decide about a request of a unit on a route with shadows."""
    route = {"name": "r", "unit": ["header:x-user-id"], "shadow": shadow}
    headers = {} if unit is None else {"x-user-id": unit}
    return table([route], **more).routes["r"].decide(request(headers=headers, id=ident))


def names(decision: Decision) -> list[str]:
    """Return the targets that get a copy."""
    return [shadow.target for shadow in decision.shadows]


@given(
    st.text(min_size=1, max_size=20, alphabet=st.characters(codec="latin-1", categories=["L", "N"])), st.floats(0, 1)
)
def test_a_unit_is_sampled_whole(unit: str, share: float) -> None:
    """The same unit has the same answer for every request, whatever else differs."""
    shadow = [{"target": "t1", "share": share}]
    found = {tuple(names(decide(unit, shadow, ident=f"{number:032x}"))) for number in range(5)}
    assert len(found) == 1


@given(st.text(min_size=1, max_size=9, alphabet="abc123"), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_only_adds_units(unit: str, a: float, b: float) -> None:
    """Who is mirrored stays so while the share is raised."""
    low, high = sorted((a, b))
    if names(decide(unit, [{"target": "t1", "share": low}])):
        assert names(decide(unit, [{"target": "t1", "share": high}]))


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.999])
@pytest.mark.parametrize("with_unit", [True, False])
def test_the_share_is_met(share: float, *, with_unit: bool) -> None:
    """Of units, and without one of requests; five standard deviations, so one run in two million fails by chance."""
    route = {"name": "r", "unit": ["header:x-user-id"], "shadow": [{"target": "t1", "share": share}]}
    plan = table([route]).routes["r"]
    found = 0
    for number in range(UNITS):
        ident = f"{number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}"
        asked = request(headers={"x-user-id": f"u{number}"} if with_unit else {}, id=ident)
        found += len(plan.decide(asked).shadows)
    assert abs(found - share * UNITS) <= 5 * (UNITS * share * (1 - share)) ** 0.5


@pytest.mark.parametrize(("share", "expected"), [(0, []), (1, ["t1"])])
def test_none_and_all_are_exact(share: float, expected: list[str]) -> None:
    """At 0 % nobody is mirrored, at 100 % everybody."""
    for number in range(500):
        assert names(decide(f"u{number}", [{"target": "t1", "share": share}])) == expected


def test_sampling_is_independent_of_arms_and_of_other_shadows() -> None:
    """Half of the units of each arm are sampled, and half of those by another shadow; five standard deviations."""
    shadows = [{"target": "t2", "share": 0.5}, {"target": "t3", "share": 0.5}]
    arms = [{"name": "a", "target": "t0", "weight": 1}, {"name": "b", "target": "t1", "weight": 1}]
    route = {"name": "r", "unit": ["header:x-user-id"], "shadow": shadows}
    plan = table([route], [{"name": "e", "route": "r", "arms": arms}]).routes["r"]
    counts: dict[object, int] = {}
    for number in range(UNITS):
        decision = plan.decide(request(headers={"x-user-id": f"u{number}"}))
        cell = (decision.arm, *names(decision))
        counts[cell] = counts.get(cell, 0) + 1
    assert len(counts) == 8
    assert all(abs(count - UNITS / 8) <= 5 * (UNITS / 8 * 7 / 8) ** 0.5 for count in counts.values())


def test_a_shadow_changes_nothing_else_of_a_decision() -> None:
    """Arm, target and records are those without it."""
    arms = [{"name": "a", "target": "t0", "weight": 1}, {"name": "b", "target": "t1", "weight": 1}]
    experiments = [{"name": "e", "route": "r", "arms": arms}]
    for number in range(200):
        with_it = decide(f"u{number}", [{"target": "t2", "share": 1}], experiments=experiments)
        without = decide(f"u{number}", [], experiments=experiments)
        assert (with_it.arm, with_it.target, with_it.unit) == (without.arm, without.target, without.unit)
