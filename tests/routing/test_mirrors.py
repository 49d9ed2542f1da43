"""Which requests a release gets copies of: those of whole units, of its route, and no target gets two."""

from typing import Any

import pytest
from msgspec.structs import replace

from router import counters
from router.routing.decide import Decision, RoutePlan
from router.routing.sample import ShadowPlan
from router.routing.table import compile_table
from tests.routing.build import request, revision

UNITS = 4_000
ROUTE = {"name": "r", "unit": ["header:x-user-id"]}
RELEASE = {
    "name": "e",
    "route": "r",
    "arms": [{"name": "control", "target": "t0", "weight": 1}, {"name": "new", "target": "t1", "weight": 0}],
    "allocate": {"shadow": {"for": 3600, "inflight": 7, "body_bytes": 2048, "compare": {"tolerance": 0.5}}},
}


def compiled(share: float, shadow: list[dict[str, Any]] | None = None, release: dict[str, Any] = RELEASE) -> RoutePlan:
    """Compile a route with a release that has copies of a share of units."""
    made = revision([{**ROUTE, "shadow": shadow or []}], [release])
    return compile_table(replace(made, mirrors={"e": share})).routes["r"]


def decide(plan: RoutePlan, unit: int) -> Decision:
    """Decide about a request of a unit."""
    return plan.decide(request(headers={"x-user-id": f"u{unit}"}))


def only(plan: RoutePlan) -> ShadowPlan:
    """Return the only one who gets copies."""
    (found,) = plan.shadows
    return found


def test_without_a_share_a_release_has_no_copies() -> None:
    """What is configured counts only while the release is in that step."""
    made = revision([ROUTE], [RELEASE])
    assert compile_table(made).routes["r"].shadows == ()
    assert compiled(0.0).shadows == ()
    assert compile_table(replace(made, mirrors={"gone": 1.0})).routes["r"].shadows == ()


def test_copies_go_to_the_new_arms_target_as_configured() -> None:
    """Its bounds and its comparison are those of the release, and it has a row to count in."""
    found = only(compiled(0.25))
    made = revision([ROUTE], [RELEASE])
    assert (found.target, found.inflight, found.body_bytes) == ("t1", 7, 2048)
    assert found.rules is not None
    assert found.rules.tolerance == 0.5
    assert found.tally == made.slots[counters.mirror_key("e")]


def test_the_new_arm_is_the_one_that_is_not_control() -> None:
    """Whatever the order in the file."""
    arms = [{"name": "new", "target": "t2", "weight": 0}, {"name": "old", "target": "t0", "weight": 1}]
    assert only(compiled(1.0, release={**RELEASE, "arms": arms, "control": "old"})).target == "t2"


def test_the_share_is_of_units_of_the_route() -> None:
    """A tenth of them within five standard errors: one seed in two million would fail. Assignment is untouched."""
    plan = compiled(0.1)
    found = [unit for unit in range(UNITS) if decide(plan, unit).shadows]
    assert abs(len(found) - 0.1 * UNITS) < 5 * (UNITS * 0.09) ** 0.5
    assert {decide(plan, unit).target for unit in found} == {"t0"}


def test_a_larger_share_keeps_the_units_that_are_copied() -> None:
    """Raising it only adds."""
    small, large = compiled(0.1), compiled(0.3)
    assert all(decide(large, unit).shadows for unit in range(500) if decide(small, unit).shadows)


@pytest.mark.parametrize(("own", "mirrored", "share"), [(0.2, 0.5, 0.5), (0.5, 0.2, 0.5), (0.0, 0.5, 0.5)])
def test_a_target_that_is_a_shadow_of_the_route_gets_one_copy(own: float, mirrored: float, share: float) -> None:
    """They are the copies of the larger share, compared as the release says, in the row of the release too."""
    found = only(compiled(mirrored, [{"target": "t1", "share": own, "inflight": 99}]))
    assert found.threshold == int(share * 2**64)
    assert found.inflight == 99
    assert found.rules is not None
    assert found.tally >= 0


def test_other_shadows_of_the_route_stay_as_they_are() -> None:
    """They get their own copies, which count for no release."""
    plan = compiled(1.0, [{"target": "t2", "share": 1.0}])
    assert [(found.target, found.tally >= 0) for found in plan.shadows] == [("t2", False), ("t1", True)]


def test_another_route_has_no_copies() -> None:
    """A release is on one route."""
    made = revision([ROUTE, {"name": "other", "match": {"path": "/o/"}}], [RELEASE])
    assert compile_table(replace(made, mirrors={"e": 1.0})).routes["other"].shadows == ()


def test_rows_are_there_before_there_are_copies() -> None:
    """A step of a release needs no new rows, so nothing can refuse it."""
    made = revision([ROUTE], [RELEASE])
    for key in (
        counters.mirror_key("e"),
        counters.shadow_key("r", "t1"),
        counters.copies_key("t1", "http://127.0.0.1:1"),
    ):
        assert key in made.slots
    plain = revision([ROUTE], [{**RELEASE, "allocate": {}}])
    assert counters.mirror_key("e") not in plain.slots
