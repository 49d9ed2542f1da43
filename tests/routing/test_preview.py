"""Requests that ask to see the new version of a release, by a header field."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from router.events.model import Kill
from router.routing.decide import Decision
from router.routing.explain import explain
from router.routing.table import Table, compile_table
from tests.routing.build import request, revision, table

ROUTE = {"name": "r", "unit": ["header:x-user"]}
OTHER = {"name": "other", "unit": ["header:x-user"], "match": {"path": "/other"}}
ARMS = [{"name": "blue", "target": "t1", "weight": 1}, {"name": "green", "target": "t2", "weight": 0}]
HEADER = {"header": "X-Preview"}
HOLDOUT = {"name": "h", "segment": [0.0, 0.1]}


def release(**more: Any) -> dict[str, Any]:
    """Return an experiment whose new arm can be looked at."""
    return {"name": "e", "route": "r", "arms": ARMS, "allocate": {"use": "blue_green", "preview": HEADER}, **more}


def decide(decider: Table, headers: dict[str, str], route: str = "r") -> Decision:
    """Decide about a request with some header fields."""
    return decider.routes[route].decide(request(headers=headers))


@given(st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=40), st.booleans())
def test_whoever_sends_the_header_gets_the_new_version(value: str, known: bool) -> None:  # noqa: FBT001 - drawn
    """Any value does, with or without a unit; nothing of such a request is counted or analysed."""
    decider = table([ROUTE], [release()])
    user = {"x-user": "u1"} if known else {}
    previewed = decide(decider, {**user, "x-preview": value})
    assert (previewed.target, previewed.arm, previewed.cells) == ("t2", "green", ())
    assert [(each.arm, each.override, each.propensity) for each in previewed.enrolments] == [("green", True, 1.0)]
    assert decide(decider, {"x-user": "u1"}).target == "t1"


def test_another_value_than_the_configured_one_does_nothing() -> None:
    """With a value, only requests that have exactly this one are previews."""
    decider = table([ROUTE], [release(allocate={"preview": {**HEADER, "value": "blue sky"}})])
    targets = [decide(decider, {"x-user": "u1", "x-preview": value}).target for value in ("blue sky", "Blue sky", "")]
    assert targets == ["t2", "t1", "t1"]


def test_a_kept_decision_is_not_taken_for_that_of_a_preview() -> None:
    """One unit with and without the header, again and again, always gets what it asked for."""
    decider = table([ROUTE], [release()])
    found = [decide(decider, {"x-user": "u1", **more}) for more in ({}, {"x-preview": "1"}) * 3]
    assert [each.target for each in found] == ["t1", "t2"] * 3
    assert found[5] is found[3]


def test_a_killed_release_has_no_preview() -> None:
    """What was killed gets no request, asked for or not."""
    made = revision([ROUTE], [release()])
    kill = Kill(by="ops", reason=None, time=0.0, arm="blue", identity="")
    decider = compile_table(replace(made, killed={"e": kill}))
    decision = decide(decider, {"x-user": "u1", "x-preview": "1"})
    assert (decision.target, decision.enrolments[0].override) == ("t1", False)


def test_routes_without_a_preview_are_compiled_as_before() -> None:
    """Their decisions read no further field, and take the short way."""
    plan = table([ROUTE, OTHER], [release(), {"name": "f", "route": "other", "arms": ARMS}]).routes
    assert plan["other"].more == ()
    assert plan["other"].simple is not None
    assert plan["r"].more == (b"x-preview",)


@pytest.mark.parametrize("headers", [{"x-preview": "1"}, {"x-preview": "1", "x-user": "u1"}], ids=["nobody", "unit"])
def test_explain_says_that_it_was_a_preview(headers: dict[str, str]) -> None:
    """Whoever asks why a request went there is told of the header field."""
    said = [step.result for step in explain(table([ROUTE], [release()]), request(headers=headers))]
    assert "given to requests with x-preview, whatever the weights" in said


@pytest.mark.parametrize(
    ("use", "share", "more", "target"),
    [
        ("blue_green", 1.0, {}, "t2"),
        ("blue_green", 0.0, {}, "t1"),
        ("rolling", 1.0, {}, "t2"),
        ("rolling", 0.75, {}, "t1"),
        ("fixed", 1.0, {}, "t1"),
        ("blue_green", 1.0, {"coverage": 0.5}, "t1"),
        ("blue_green", 1.0, {"eligible": {"==": [{"var": "$request.method"}, "GET"]}}, "t1"),
    ],
    ids=["switched", "not-yet", "replaced", "partly", "no-release", "half", "some"],
)
def test_requests_without_a_unit_go_with_everybody(use: str, share: float, more: dict[str, Any], target: str) -> None:
    """Once a release has every unit, requests without one follow; as long as some unit stays, they do so too."""
    route = {**ROUTE, "target": "t1"}
    weights = {"e": {"blue": 1 - share, "green": share}}
    decision = decide(table([route], [release(allocate={"use": use}, **more)], weights=weights), {})
    assert (decision.target, decision.unit, decision.enrolments) == (target, None, ())
    held = table([route], [release(allocate={"use": use}, **more)], weights=weights, holdouts=[HOLDOUT])
    assert decide(held, {}).target == "t1"
