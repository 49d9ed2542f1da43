"""Explanations: the same answers as the request path, with the reasons."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.routing.decide import RoutePlan
from router.routing.explain import Step, explain
from router.routing.request import Request
from tests.routing.build import request, table
from tests.routing.test_table import BODIES, ROUTES

ARMS = [{"name": "control", "target": "t1", "weight": 3}, {"name": "treatment", "target": "t2", "weight": 1}]
OFF = {"name": "off", "target": "t3", "weight": 0}
EXPERIMENT = {"name": "e", "route": "r", "arms": [*ARMS, OFF]}


def results(steps: list[Step], kind: str) -> list[tuple[str, str]]:
    """Return names and results of one kind of step."""
    return [(step.name, step.result) for step in steps if step.kind == kind]


def chosen(steps: list[Step], kind: str) -> str | None:
    """Return the name of the step of one kind that was chosen."""
    names = [step.name for step in steps if step.kind == kind and step.chosen]
    assert len(names) <= 1
    return names[0] if names else None


ASKED = st.builds(
    lambda path, unit, headers, method, body: request(
        path, headers={**headers, "x-user": unit}, method=method, body=body, host=b"a.x.org"
    ),
    st.sampled_from(["/", "/a", "/a/b", "/a/..%2f"]),
    st.sampled_from(["u1", "u2", "qa", "", "x" * 600]),
    st.dictionaries(st.sampled_from(["x-a", "x-b"]), st.sampled_from("12")),
    st.sampled_from([b"GET", b"POST"]),
    BODIES,
)


@given(ROUTES, ASKED)
def test_an_explanation_agrees_with_the_decision(routes: list[dict[str, Any]], asked: Request) -> None:
    """Route, source, arm and target that are shown as chosen are those that serve."""
    routes = [{**route, "unit": ["header:x-user", "json:/m"]} for route in routes]
    compiled = table(routes, [{**EXPERIMENT, "route": "r0"}], [{"unit": "qa", "experiment": "e", "arm": "off"}])
    steps = explain(compiled, asked)
    plan = compiled.find(asked)
    if not isinstance(plan, RoutePlan):
        assert not any(step.chosen for step in steps)
        return
    decision = plan.decide(asked)
    assert chosen(steps, "route") == plan.name
    assert chosen(steps, "source") == decision.unit_source
    assert chosen(steps, "arm") == decision.arm
    assert chosen(steps, "target") == decision.target
    scored = [(step.score, step.name) for step in steps if step.kind == "arm" and step.score is not None]
    if scored and chosen(steps, "override") is None:
        assert min(scored)[1] == decision.arm


def test_arms_are_shown_with_hash_and_score() -> None:
    """Each arm shows its weight, u and score; an arm of weight 0 has none."""
    compiled = table([{"name": "r", "unit": ["header:x-user"]}], [EXPERIMENT])
    steps = [step for step in explain(compiled, request(headers={"x-user": "u1"})) if step.kind == "arm"]
    assert [(step.name, step.result) for step in steps] == [
        ("control", "weight 3"), ("treatment", "weight 1"), ("off", "weight 0"),
    ]  # fmt: skip
    assert all(step.u is not None for step in steps)
    assert [step.score is None for step in steps] == [False, False, True]


def test_sources_and_attributes_say_what_was_found() -> None:
    """Sources up to the one chosen, and every attribute, are shown with what they hold."""
    compiled = table(
        [
            {
                "name": "r",
                "unit": ["header:x-user", "json:/id", "query:q", "client_ip", "request"],
                "attributes": {"tier": "header:x-tier", "country": "header:x-country"},
            }
        ]
    )
    steps = explain(compiled, request("/?q=" + "x" * 600, headers={"x-tier": "gold"}))
    assert results(steps, "source") == [
        ("header:x-user", "absent"),
        ("json:/id", "absent: the body is not there"),
        ("query:q", "absent: longer than 512 bytes"),
        ("client_ip", "192.0.2.7"),
    ]
    assert results(steps, "attribute") == [("tier", "header:x-tier is gold"), ("country", "header:x-country is absent")]
    assert results(steps, "target") == [("t0", "the route's target")]


def test_an_override_is_shown() -> None:
    """An override is a step of its own, and its arm is the chosen one."""
    compiled = table(
        [{"name": "r", "unit": ["client_ip"]}], [EXPERIMENT], [{"unit": "qa", "experiment": "e", "arm": "off"}]
    )
    steps = explain(compiled, request(client="qa"))
    assert results(steps, "override") == [("e=off", "given to this unit, whatever the weights")]
    assert (chosen(steps, "arm"), chosen(steps, "target")) == ("off", "t3")


def test_routes_that_were_passed_over_say_why() -> None:
    """Each route that came first gives the first of its conditions that was not met."""
    compiled = table(
        [
            {
                "name": "get",
                "match": {"path": "/a", "methods": ["GET"], "headers": {"x-a": "1", "x-b": "1", "x-c": "1"}},
            },
            {"name": "two", "match": {"path": "/a", "headers": {"x-a": "1", "x-b": "1"}}},
            {"name": "both", "match": {"path": "/a", "json": {"/m": 1, "/n": 2}}, "inspect_bytes": 40},
            {"name": "json", "match": {"path": "/a", "json": {"/m": 1}}, "inspect_bytes": 40},
            *({"name": f"h{index}", "match": {"path": "/a", "headers": {"x-h": str(index)}}} for index in range(5)),
            {"name": "last"},
        ]
    )
    headers = {"x-h": "9"}
    steps = explain(compiled, request("/a", headers=headers, body=b'{"m": 2, "n": 2}'))
    assert results(steps, "route") == [
        ("get", "under /a; the method is POST"),
        ("two", "under /a; x-a is not 1"),
        ("both", "under /a; /m is not 1"),
        ("json", "under /a; /m has another value"),
        ("h0, h1, h2 and 2 more", "under /a; x-h has another value"),
        ("last", "under any path; its conditions are met"),
    ]
    steps = explain(compiled, request("/a", headers={"x-a": "1"}, body=b'{"m": 1, "n": 3}'))
    assert results(steps, "route")[1:] == [
        ("two", "under /a; x-b has another value"),
        ("both", "under /a; /n has another value"),
        ("json", "under /a; its conditions are met"),
    ]
    steps = explain(compiled, request("/a", headers=headers, body=b""))
    assert results(steps, "route")[2] == ("both", "under /a; no body of at most 40 bytes")
    steps = explain(compiled, request("/a", headers=headers))
    assert results(steps, "route")[-1] == ("both", "the body decides; at most 40 bytes are read")


def test_a_refused_path_says_so() -> None:
    """A path that matches no route for its spelling is explained."""
    steps = explain(table([{"name": "r"}]), request("/a/..%2fb"))
    assert results(steps, "path") == [
        ("/a/..%2fb", "matches no route: servers disagree about where its dot segments lead")
    ]
    assert len(steps) == 1


def test_a_route_may_be_given() -> None:
    """Asked about a route by name, no matching is shown; an unknown name is an error."""
    compiled = table([{"name": "r", "match": {"path": "/a"}, "unit": ["client_ip"]}], [EXPERIMENT])
    steps = explain(compiled, request("/elsewhere"), route="r")
    assert results(steps, "route") == [("r", "given")]
    assert chosen(steps, "target") in ("t1", "t2")
    with pytest.raises(KeyError):
        explain(compiled, request(), route="s")


def test_shadows_are_named() -> None:
    """Who gets a copy, and who does not, is part of the answer."""
    shadows = [{"target": "t1", "share": 1}, {"target": "t2", "share": 1e-9}]
    steps = explain(table([{"name": "r", "unit": ["client_ip"], "shadow": shadows}]), request())
    assert results(steps, "shadow") == [("t1", "gets a copy"), ("t2", "this unit is not sampled")]
