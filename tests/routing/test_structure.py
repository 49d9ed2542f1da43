"""Which experiments an exchange is in: layers, holdouts, coverage, prerequisites, units of their own."""

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from router.config.schema import Config
from router.counters import arm_key
from router.routing.bucket import choose, point, unit_bucket
from router.routing.decide import Decision
from router.routing.table import Table
from tests.routing.build import request, revision, table

ROUTE = {"name": "r", "unit": ["header:x-user"]}
ARMS = [{"name": "a", "target": "t1", "weight": 1}, {"name": "b", "target": "t2", "weight": 1}]
VALUES = [{"name": "small", "value": 10, "weight": 1}, {"name": "large", "value": 20, "weight": 1}]
UNITS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40)
EDGES = st.lists(st.floats(0, 1), min_size=2, max_size=6, unique=True).map(sorted)
WHOLE = 1 << 64


def experiment(name: str, **more: Any) -> dict[str, Any]:
    """Return an experiment whose arms name targets."""
    return {"name": name, "route": "r", "arms": ARMS, **more}


def flagged(name: str, **more: Any) -> dict[str, Any]:
    """Return an experiment whose arms are values of a flag."""
    return {"name": name, "route": "r", "arms": VALUES, "flag": f"{name}-flag", **more}


def decide(decider: Table, unit: str | None, now: float = 0.0, headers: dict[str, str] | None = None) -> Decision:
    """Decide for a unit."""
    fields = {"x-user": unit} if unit is not None else {}
    return decider.routes["r"].decide(request(headers={**fields, **(headers or {})}, now=now))


def names(decision: Decision) -> list[str]:
    """Return the experiments of a decision."""
    return [enrolment.experiment for enrolment in decision.enrolments]


@given(UNITS, EDGES)
def test_the_segments_of_a_layer_share_no_unit_and_leave_no_gap(unit: str, edges: list[float]) -> None:
    """A unit is in exactly the experiment whose segment holds its point, compared as integers."""
    segments = list(pairwise(edges))
    experiments = [experiment(f"e{index}", layer="l", segment=list(segment)) for index, segment in enumerate(segments)]
    decision = decide(table([ROUTE], experiments, layers=[{"name": "l", "salt": "s"}]), unit)
    where = point("s", unit)
    inside = [
        f"e{index}" for index, (start, end) in enumerate(segments) if round(start * WHOLE) <= where < round(end * WHOLE)
    ]
    assert names(decision) == inside
    assert len(inside) == (round(edges[0] * WHOLE) <= where < round(edges[-1] * WHOLE))


@given(UNITS, st.floats(0, 1), st.floats(0, 1))
def test_coverage_takes_nobody_out_and_changes_nobodys_arm(unit: str, one: float, other: float) -> None:
    """Who takes part at some coverage does so at any larger one, with the same arm, whatever the arms' hashes."""
    less, more = sorted([one, other])
    few, many = (decide(table([ROUTE], [experiment("e", coverage=share)]), unit) for share in (less, more))
    assert bool(few.enrolments) == (point("e", unit) < round(less * WHOLE))
    if few.enrolments:
        assert (few.arm, few.enrolments) == (many.arm, many.enrolments)
    if many.enrolments:
        assert many.arm == choose("e", [("a", 1), ("b", 1)], unit)


@given(UNITS, st.booleans())
def test_a_held_out_unit_is_in_no_experiment_of_the_layers(unit: str, named: bool) -> None:  # noqa: FBT001  # drawn
    """Holdouts come first; without ``layers`` they keep units out of everything, and the event says so."""
    holdout = {"name": "h", "segment": [0.25, 0.75], "salt": "h1", **({"layers": ["l"]} if named else {})}
    decider = table([ROUTE], [experiment("e", layer="l"), flagged("f")], layers=[{"name": "l"}], holdouts=[holdout])
    decision = decide(decider, unit)
    held = WHOLE // 4 <= point("h1", unit) < 3 * (WHOLE // 4)
    assert decision.holdouts == (("h",) if held else ())
    assert names(decision) == (["f"] if named else []) if held else ["e", "f"]
    assert decision.target == ("t0" if held else f"t{'ab'.index(decision.enrolments[0].arm) + 1}")


def test_a_holdout_of_other_layers_is_not_said() -> None:
    """A holdout that keeps units out of nothing on a route is not in its events."""
    decider = table(
        [ROUTE],
        [experiment("e")],
        layers=[{"name": "l"}],
        holdouts=[{"name": "h", "segment": [0.0, 1.0], "layers": ["l"]}],
    )
    assert (decide(decider, "u").holdouts, names(decide(decider, "u"))) == ((), ["e"])


def test_several_experiments_on_one_exchange() -> None:
    """One of each layer; the target is told of all, and each arm has its own counter word."""
    experiments = [flagged("f"), experiment("e"), flagged("g")]
    made = revision([ROUTE], experiments)
    decision = decide(table([ROUTE], experiments), "u1")
    assert names(decision) == ["f", "e", "g"]
    arms = {each.experiment: each.arm for each in decision.enrolments}
    assert decision.head.splitlines()[1] == (
        f"x-router-experiments: f={arms['f']}, e={arms['e']}, g={arms['g']}".encode()
    )
    assert decision.target == {"a": "t1", "b": "t2"}[arms["e"]]
    assert [each.target for each in decision.enrolments] == [None, decision.target, None]
    bucket = unit_bucket("u1")
    assert decision.cells == tuple(made.slots[arm_key(name, 3, 2, arms[name])] + bucket for name in "feg")


def test_experiments_of_different_layers_are_independent() -> None:
    """What a unit has in one layer says nothing about what it has in another: each pair of arms has its quarter."""
    decider = table([ROUTE], [experiment("e"), flagged("f")])
    units = 4000
    pairs = Counter(tuple(each.arm for each in decide(decider, f"u{unit}").enrolments) for unit in range(units))
    expected = units / 4
    # The 0.9999 quantile of chi-square with 3 degrees of freedom; the units are fixed, so this cannot flicker.
    assert sum((count - expected) ** 2 / expected for count in pairs.values()) < 21.1
    assert len(pairs) == 4


@pytest.mark.parametrize("order", [0, 1])
def test_what_is_required_is_decided_first(order: int) -> None:
    """A unit is in an experiment only with the arms that its prerequisites name, whatever the order of the file."""
    needing = flagged("f", prerequisites=[{"experiment": "e", "arms": ["b"]}])
    any_arm = flagged("g", prerequisites=[{"experiment": "e"}])
    experiments = [needing, any_arm, experiment("e", coverage=0.5)]
    decider = table([ROUTE], experiments[::-1] if order else experiments)
    seen: Counter[str | None] = Counter()
    for unit in range(200):
        arms = {each.experiment: each.arm for each in decide(decider, f"u{unit}").enrolments}
        assert ("f" in arms) == (arms.get("e") == "b")
        assert ("g" in arms) == ("e" in arms)
        seen[arms.get("e")] += 1
    assert min(seen[arm] for arm in ("a", "b", None)) > 20


def test_an_experiment_has_a_time() -> None:
    """Before ``from`` and from ``until`` on nobody is in it; the revision's time decides."""
    active = {"from": 100.0, "until": 200.0}
    found = {time: names(decide(table([ROUTE], [experiment("e", active=active)], time=time), "u"))
             for time in (99.0, 100.0, 199.0, 200.0)}  # fmt: skip
    assert found == {99.0: [], 100.0: ["e"], 199.0: ["e"], 200.0: []}


def test_a_tenant_is_assigned_as_one() -> None:
    """With a ``unit`` of its own an experiment gives all users of a tenant one arm, and the event says whose it is."""
    decider = table([ROUTE], [experiment("e", unit=["header:x-tenant"])])
    found = {decide(decider, f"u{user}", headers={"x-tenant": "acme"}).arm for user in range(50)}
    assert found == {choose("e", [("a", 1), ("b", 1)], "acme")}
    decision = decide(decider, "u1", headers={"x-tenant": "acme"})
    assert (decision.unit, decision.enrolments[0].unit) == ("u1", "acme")
    assert names(decide(decider, "u1")) == []
    made = revision([ROUTE], [experiment("e", unit=["header:x-tenant"])])
    assert decision.cells == (made.slots[arm_key("e", 3, 2, decision.arm or "")] + unit_bucket("acme"),)
    assert names(decide(decider, None, headers={"x-tenant": "acme"})) == ["e"]


def test_requests_are_assigned_one_by_one() -> None:
    """With ``unit: [request]`` the exchange's id is what is assigned."""
    decider = table([ROUTE], [experiment("e", unit=["request"])])
    plan = decider.routes["r"]
    arms: Counter[str | None] = Counter()
    for number in range(64):
        decision = plan.decide(request(id=f"{number:032x}", headers={"x-user": "u"}))
        assert decision.enrolments[0].unit == f"{number:032x}"
        arms[decision.arm] += 1
    assert min(arms["a"], arms["b"]) > 10


def test_slots_of_time_are_assigned() -> None:
    """Switchback: all units have one arm within a slot; a unit of the experiment's own switches by itself."""
    allocate = {"use": "switchback", "slot": 3600.0}
    decider = table([ROUTE], [experiment("e", allocate=allocate)])
    arms: list[str | None] = []
    for slot in range(40):
        found = {decide(decider, f"u{user}", now=slot * 3600.0 + 90.0 * user).arm for user in range(40)}
        assert found == {choose("e", [("a", 1), ("b", 1)], str(slot * 3600))}
        arms += found
    assert 8 < arms.count("a") < 32
    assert decide(decider, None, now=7300.0).enrolments[0].unit == "7200"
    regional = table([ROUTE], [experiment("e", allocate=allocate, unit=["header:x-region"])])
    assert decide(regional, "u", now=7300.0, headers={"x-region": "eu"}).enrolments[0].unit == "eu@7200"
    assert decider.routes["r"].timed


def test_a_forced_arm_takes_the_exchange_out_of_every_analysis() -> None:
    """Who is given an arm in one layer still has arms in the others, but nothing of it is counted."""
    decider = table(
        [ROUTE],
        [experiment("e", layer="l", segment=[0.0, 0.5]), experiment("d", layer="l", segment=[0.5, 1.0]), flagged("f")],
        [{"unit": "qa", "experiment": "d", "arm": "b"}],
        layers=[{"name": "l"}],
        holdouts=[{"name": "h", "segment": [0.0, 1.0], "layers": ["l"]}],
    )
    decision = decide(decider, "qa")
    assert [(each.experiment, each.override) for each in decision.enrolments] == [("d", True), ("f", True)]
    assert (decision.target, decision.cells) == ("t2", ())
    assert names(decide(decider, "someone")) == ["f"]


def test_strata_are_logged_and_never_in_the_hash() -> None:
    """The values at the time are in the decision, and who gets which arm does not depend on them."""
    route = {**ROUTE, "attributes": {"tier": "header:x-tier", "country": "header:x-country", "other": "header:x-other"}}
    decider = table([route], [experiment("e", strata=["tier"], slices=["country"])])
    plain = table([ROUTE], [experiment("e")])
    for unit in range(50):
        decision = decide(decider, f"u{unit}", headers={"x-tier": f"t{unit % 3}", "x-other": "o"})
        assert decision.attributes == {"tier": f"t{unit % 3}"}
        assert decision.arm == decide(plain, f"u{unit}").arm


def test_who_is_not_eligible_is_served_by_the_route() -> None:
    """A rule looks at the route's attributes; decisions that are kept are kept for each value of them."""
    route = {**ROUTE, "attributes": {"tier": "header:x-tier"}}
    decider = table([route], [experiment("e", eligible={"==": [{"var": "tier"}, "gold"]})])
    for tier, expected in [("gold", ["e"]), ("iron", []), ("gold", ["e"])] * 2:
        decision = decide(decider, "u", headers={"x-tier": tier})
        assert (names(decision), decision.target == "t0") == (expected, not expected)
    assert names(decide(decider, "u")) == []
    assert b"x-tier" in decider.fields


def test_bots_are_excluded_where_an_experiment_says_so() -> None:
    """They are served by the route, the event says that they are bots, and other experiments may have them."""
    decider = table([ROUTE], [experiment("e", exclude=["bots"]), flagged("f")])
    for agent, expected in [("Googlebot/2.1", ["f"]), ("Mozilla/5.0 Firefox/145.0", ["e", "f"]), ("", ["e", "f"])] * 2:
        decision = decide(decider, "u", headers={"user-agent": agent})
        assert (names(decision), decision.bot) == (expected, expected == ["f"])
    assert b"user-agent" in decider.fields
    structure = decider.routes["r"].structure
    assert structure is not None
    seen = structure.enrol(request(headers={"x-user": "u", "user-agent": "curl/8"}), "u", told=True).seen or []
    assert [each.result for each in seen] == ["a bot", "entered"]
    alone = table([ROUTE], [experiment("e", exclude=["bots"])])
    assert names(decide(alone, "u", headers={"user-agent": "curl/8"})) == []
    assert names(decide(alone, "u", headers={"user-agent": "Firefox"})) == ["e"]
    assert not decide(table([ROUTE], [experiment("e")]), "u", headers={"user-agent": "curl/8"}).bot


@given(st.lists(st.tuples(st.sampled_from("uv"), st.sampled_from(["gold", "iron", "x" * 2000]), st.integers(0, 2))))
def test_decisions_that_are_kept_are_those_made_anew(asked: list[tuple[str, str, int]]) -> None:
    """Whatever was asked before, a decision is what a new table gives, however many fields it depends on."""
    route = {**ROUTE, "attributes": {"tier": "header:x-tier"}}
    experiments = [
        experiment("e", eligible={"==": [{"var": "tier"}, "gold"]}, strata=["tier"]),
        flagged("f", unit=["header:x-tenant"]),
    ]
    used = table([route], experiments)
    for unit, tier, tenant in asked:
        headers = {"x-tier": tier, "x-tenant": str(tenant)}
        one, new = (decide(each, unit, headers=headers) for each in (used, table([route], experiments)))
        for field in ("unit", "target", "head", "enrolments", "cells", "arm", "key", "attributes"):
            assert getattr(one, field) == getattr(new, field), field


def test_rows_are_there_for_every_experiment() -> None:
    """A configuration of many experiments compiles, and every arm's words are apart."""
    experiments = [flagged(f"f{index}") for index in range(50)]
    made = revision([ROUTE], experiments)
    assert isinstance(made.config, Config)
    cells = decide(table([ROUTE], experiments), "u").cells
    assert len(set(cells)) == 50


@given(UNITS, st.lists(st.integers(0, 3), min_size=2, max_size=2), st.booleans())
def test_the_short_way_decides_as_the_long_one(unit: str, weights: list[int], flag: bool) -> None:  # noqa: FBT001  # drawn
    """Where a route has one experiment that everybody is in, less is asked, and the decision is the same."""
    arms = [{**arm, "weight": weight} for arm, weight in zip(VALUES if flag else ARMS, weights, strict=True)]
    made = flagged("e", arms=arms) if flag else experiment("e", arms=arms)
    plan = table([ROUTE], [made], [{"unit": "qa", "experiment": "e", "arm": arms[1]["name"]}]).routes["r"]
    assert plan.simple is not None
    for who in (unit, "qa"):
        asked = request(headers={"x-user": who})
        short, long = (each.decide(asked) for each in (plan, replace(plan, simple=None, first=None)))
        assert replace(short, route=plan) == replace(long, route=plan)
