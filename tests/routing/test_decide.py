"""Decisions: unit, arm, target, and what is recorded about them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.counters import arm_key, pair_key, route_key
from router.events.model import Enrolment
from router.routing import decide as decide_module
from router.routing.bucket import choose, unit_key
from router.routing.decide import Decision, RoutePlan
from router.routing.source import MAX_UNIT_BYTES
from router.routing.table import compile_table
from tests.routing.build import request, revision, table

ARMS = [{"name": "control", "target": "t1", "weight": 3}, {"name": "treatment", "target": "t2", "weight": 1}]
ROUTE = {"name": "r", "unit": ["header:x-user", "cookie:uid", "json:/id"]}
EXPERIMENT = {"name": "e", "route": "r", "arms": ARMS}
UNITS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=100)


def plan(**more: Any) -> RoutePlan:
    """Return the plan of the only route."""
    return table([ROUTE], **{"experiments": [EXPERIMENT], **more}).routes["r"]


def ask(decider: RoutePlan, unit: str) -> Decision:
    """Decide for a unit."""
    return decider.decide(request(headers={"x-user": unit}))


@given(UNITS, st.lists(st.integers(0, 5), min_size=2, max_size=4), st.text(min_size=1, max_size=8))
def test_the_request_path_chooses_as_the_rule_says(unit: str, weights: list[int], salt: str) -> None:
    """``decide`` and ``bucket.choose`` give one arm, and everything in the decision is that arm's."""
    salt = salt.encode("utf-8", "replace").decode()
    arms = [{"name": f"a{index}", "target": f"t{index}", "weight": weight} for index, weight in enumerate(weights)]
    experiment = {"name": "e", "route": "r", "salt": salt, "arms": arms}
    made = revision([ROUTE], [experiment])
    decision = ask(table([ROUTE], [experiment]).routes["r"], unit)
    arm = choose(salt, [(f"a{index}", weight) for index, weight in enumerate(weights)], unit)
    key, bucket = unit_key(unit.encode())
    assert (decision.unit, decision.unit_source, decision.key) == (unit, "header:x-user", key)
    assert decision.arm == arm
    if arm is None:
        assert (decision.target, decision.enrolments, decision.cells) == ("t0", (), ())
        return
    target = f"t{arm[1:]}"
    assert decision.target == target
    assert decision.pair == made.slots[pair_key("r", target)]
    assert decision.cells == (made.slots[arm_key("e", 3, 2, arm)] + bucket,)
    assert decision.head == f"x-router-route: r\r\nx-router-experiments: e={arm}\r\n".encode()
    share = weights[int(arm[1:])] / sum(weights)
    assert decision.enrolments == (Enrolment("e", 3, 2, 1, arm, share, target),)


def test_the_salt_is_the_name_unless_given() -> None:
    """An experiment without a salt is salted by its name."""
    named, salted = plan(), plan(experiments=[{**EXPERIMENT, "salt": "e"}])
    assert [ask(named, str(unit)).arm for unit in range(50)] == [ask(salted, str(unit)).arm for unit in range(50)]


def test_equal_scores_go_to_the_first_name_here_too() -> None:
    """Where all scores are infinite the names decide, not the order in the file."""
    tiny = [{"name": name, "target": "t1", "weight": 5e-324} for name in "ba"]
    assert ask(plan(experiments=[{**EXPERIMENT, "arms": tiny}]), "u1").arm == "a"


def test_weights_are_those_of_the_revision() -> None:
    """The weights of the configuration do not matter once the revision has others."""
    decider = plan(weights={"e": {"control": 0.0, "treatment": 2.0}})
    decisions = [ask(decider, str(unit)) for unit in range(50)]
    assert {decision.arm for decision in decisions} == {"treatment"}
    assert {decision.enrolments[0].propensity for decision in decisions} == {1.0}


def test_an_override_wins_over_weights_and_is_marked() -> None:
    """Overridden units get their arm, also one of weight 0, and no statistic sees them."""
    decider = plan(
        weights={"e": {"control": 1.0, "treatment": 0.0}},
        overrides=[{"unit": "qa-1", "experiment": "e", "arm": "treatment"}],
    )
    decision = ask(decider, "qa-1")
    assert (decision.arm, decision.target, decision.cells) == ("treatment", "t2", ())
    assert decision.enrolments == (Enrolment("e", 3, 2, 1, "treatment", 1.0, "t2", override=True),)
    assert decision.head == b"x-router-route: r\r\nx-router-experiments: e=treatment\r\n"
    assert (ask(decider, "qa-2").arm, ask(decider, "QA-1").arm) == ("control", "control")


def test_an_override_is_for_its_own_experiment() -> None:
    """Another experiment's override does nothing here."""
    other = {"name": "other", "route": "s", "arms": ARMS}
    compiled = table(
        [ROUTE, {**ROUTE, "name": "s"}],
        [EXPERIMENT, other],
        [{"unit": "qa-1", "experiment": "other", "arm": "treatment"}],
        {"e": {"control": 1.0, "treatment": 0.0}, "other": {"control": 1.0, "treatment": 0.0}},
    )
    assert [ask(compiled.routes[name], "qa-1").arm for name in "rs"] == ["control", "treatment"]


def test_without_a_unit_the_route_serves() -> None:
    """No unit: the route's target, no enrolment, no cell, and random bits of the exchange's id for the balancer."""
    decider = plan()
    decision = decider.decide(request(id="00000000000000ff" + "1" * 16))
    made = revision([ROUTE], [EXPERIMENT])
    assert decision == Decision(
        route=decider,
        unit=None,
        unit_source=None,
        target="t0",
        pair=made.slots[pair_key("r", "t0")],
        head=b"x-router-route: r\r\n",
        enrolments=(),
        cells=(),
        arm=None,
        key=255,
    )
    assert decider.row == made.slots[route_key("r")]


def test_without_an_experiment_the_route_serves_the_unit() -> None:
    """A route without experiment still knows the unit, for the log and the balancer."""
    decision = ask(plan(experiments=[]), "u1")
    assert (decision.unit, decision.target, decision.arm, decision.cells) == ("u1", "t0", None, ())
    assert decision.key == unit_key(b"u1")[0]


def test_the_first_source_that_is_present_wins() -> None:
    """Sources are asked in order; empty and missing ones are passed over."""
    decider = plan()
    everything = {"x-user": "h", "cookie": "uid=c"}

    def found(headers: dict[str, str], body: bytes | None = None) -> tuple[str | None, str | None]:
        decision = decider.decide(request(headers=headers, body=body))
        return decision.unit, decision.unit_source

    assert found(everything, b'{"id": "j"}') == ("h", "header:x-user")
    assert found({**everything, "x-user": ""}, b'{"id": "j"}') == ("c", "cookie:uid")
    assert found({"cookie": "uid="}, b'{"id": "j"}') == ("j", "json:/id")
    assert found({}, b'{"id": ""}') == (None, None)
    assert found({}, None) == (None, None)


@pytest.mark.parametrize("letter", ["x", "é"])
def test_what_is_too_long_for_a_unit_is_absent(letter: str) -> None:
    """A unit has at most 512 bytes of UTF-8; a longer value gives way to the next source."""
    longest = letter * (MAX_UNIT_BYTES // len(letter.encode()))
    decider = plan()
    assert decider.decide(request(headers={"x-user": longest, "cookie": "uid=c"})).unit == longest
    assert decider.decide(request(headers={"x-user": longest + "x", "cookie": "uid=c"})).unit == "c"
    assert decider.decide(request(headers={"x-user": longest + "x"})).unit is None


def test_the_body_is_wanted_only_while_it_can_change_the_unit() -> None:
    """A source that is present before the first ``json:`` makes gathering needless."""
    decider = plan()
    assert decider.needs_body
    assert decider.wants_body(request())
    assert not decider.wants_body(request(body=b""))
    assert not decider.wants_body(request(headers={"x-user": "u"}))
    first = table([{**ROUTE, "unit": ["json:/id", "client_ip"]}]).routes["r"]
    assert first.wants_body(request())
    unread = table([{**ROUTE, "inspect_bytes": 0}]).routes["r"]
    assert not unread.needs_body
    assert not unread.wants_body(request())


def test_what_a_revision_lacks_is_an_error() -> None:
    """A revision without a counter row, weight or run does not compile, rather than count elsewhere."""
    for lacking in ("slots", "weights", "runs"):
        made = revision([ROUTE], [EXPERIMENT])
        getattr(made, lacking).clear()
        with pytest.raises(KeyError):
            compile_table(made)


@given(st.lists(st.tuples(st.sampled_from(["/a", "/b"]), st.integers(0, 3)), max_size=20))
def test_a_kept_decision_is_the_one_made_anew(asked: list[tuple[str, int]]) -> None:
    """Whatever was asked before, of this route or another, a decision is what a new table gives; again the same one."""
    routes = [{"name": name, "unit": ["header:x-user"], "match": {"path": f"/{name}"}} for name in "ab"]
    experiments = [{"name": f"e{name}", "route": name, "arms": ARMS} for name in "ab"]
    used = table(routes, experiments)
    for path, unit in asked:
        new = table(routes, experiments)
        made = [used.routes[path[1:]].decide(request(path, headers={"x-user": str(unit)})) for _ in range(2)]
        expected = new.routes[path[1:]].decide(request(path, headers={"x-user": str(unit)}))
        assert made[0] is made[1]
        for field in ("unit", "unit_source", "target", "pair", "head", "enrolments", "cells", "arm", "key"):
            assert getattr(made[0], field) == getattr(expected, field), field
        assert made[0].route is used.routes[path[1:]]


@pytest.mark.parametrize("places", [2, 4])
def test_units_that_share_a_place_do_not_share_a_decision(places: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The place of a decision says nothing about whose it is: unit and route are compared."""
    monkeypatch.setattr(decide_module, "PLACES", places)
    routes = [{"name": name, "unit": ["header:x-user"], "match": {"path": f"/{name}"}} for name in "ab"]
    used = table(routes)
    for _ in range(2):
        for unit in range(8):
            for name in "ab":
                decision = used.routes[name].decide(request(headers={"x-user": str(unit)}))
                assert (decision.unit, decision.route.name) == (str(unit), name)


def test_two_units_of_one_place_are_both_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Users who come in turn are not decided anew because their hashes meet; of three the latest two stay."""
    monkeypatch.setattr(decide_module, "PLACES", 2)
    compiled = table([ROUTE], [EXPERIMENT])
    decider = compiled.routes["r"]
    one, other = ask(decider, "1"), ask(decider, "2")
    assert ask(decider, "1") is one
    assert ask(decider, "2") is other
    third = ask(decider, "3")
    assert ask(decider, "2") is other
    assert ask(decider, "3") is third
    assert ask(decider, "1") is not one


@pytest.mark.parametrize("value", [b"\xe4" * (MAX_UNIT_BYTES // 2 + 1), b"\xe4" * MAX_UNIT_BYTES, b""])
def test_a_decision_about_a_later_source_is_not_kept_for_the_first(value: bytes) -> None:
    """A value that is no unit, too long in UTF-8 or empty, is never what a kept decision is about."""
    decider = plan()
    units = [decider.decide(request(headers={"x-user": value, "cookie": f"uid={name}"})).unit for name in "uv"]
    assert units == ["u", "v"]


def test_a_table_that_nobody_uses_is_freed_with_what_it_kept() -> None:
    """Kept decisions do not hold their table: memory does not grow with the number of reloads."""
    compiled = table([ROUTE], [EXPERIMENT])
    decider = compiled.routes["r"]
    ask(decider, "u")
    kept = decider.kept
    assert kept() is not None
    del compiled
    assert kept() is None
    assert ask(decider, "u").unit == "u"
