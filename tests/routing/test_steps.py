"""The steps of a fallback: answers that somebody wrote, and the rules that choose between them."""

import json
from typing import Any

import pytest

from router.config.schema import Fallback, Respond, Route
from router.routing.steps import CachedStep, TargetStep, WrittenStep, compile_steps, write
from tests.routing.build import request, table

ATTRIBUTES = {"tier": "header:x-tier", "item": "json:/item"}
GOLD = {"if": {"==": [{"var": "tier"}, "gold"]}, "respond": {"json": "gold"}}


def steps(*fallback: dict[str, Any]) -> tuple[Any, ...]:
    """Compile the fallback of a route."""
    route = {"name": "r", "attributes": ATTRIBUTES, "fallback": list(fallback)}
    return table([route]).routes["r"].fallback


def test_written_answers() -> None:
    """A fixed answer has its status, its JSON as bytes, and no content where HTTP allows none (RFC 9110 6.4.1)."""
    status, head, content = write(Respond(status=200, json={"items": [1, "é", None]}))
    assert status == 200
    assert json.loads(content) == {"items": [1, "é", None]}
    assert head == b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n" % len(content)
    assert write(Respond(status=204, json={"a": 1})) == (204, b"HTTP/1.1 204 No Content\r\n", b"")
    assert write(Respond(status=503)) == (503, b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n", b"")
    assert write(Respond(status=299)).head.startswith(b"HTTP/1.1 299 \r\n")


def test_each_kind_has_its_name() -> None:
    """A step is called what callers and metrics see: its target, or the kind of its answer."""
    made = steps({"target": "t1"}, {"cached": {}}, {"rules": [GOLD]}, {"respond": {}})
    assert [step.name for step in made] == ["t1", "cached", "rules", "respond"]
    assert [type(step) for step in made] == [TargetStep, CachedStep, WrittenStep, WrittenStep]


def test_the_first_rule_that_is_true_answers() -> None:
    """Rules are tried in order, over the attributes that are there; without a true one there is no answer."""
    other = {"if": {"!": [{"var": "tier"}]}, "respond": {"status": 404}}
    (step,) = steps({"rules": [GOLD, {**GOLD, "respond": {"json": "never"}}, other]})
    assert step.answer(request(headers={"x-tier": "gold"})).content == b'"gold"\n'
    assert step.answer(request()).status == 404
    assert step.answer(request(headers={"x-tier": ""})).status == 404
    assert step.answer(request(headers={"x-tier": "tin"})) is None


@pytest.mark.parametrize(
    ("condition", "reads"),
    [
        ({"==": [{"var": "tier"}, 1]}, False),
        ({"==": [{"var": "item"}, 1]}, True),
        ({"var": ["item", 1]}, True),
        ({"!": {"missing": ["tier", "item"]}}, True),
        ({"!": {"missing": ["tier"]}}, False),
        ({"missing_some": [1, ["tier", "item"]]}, True),
        ({"missing_some": [1, "tier"]}, False),
        ({"var": {"cat": ["it", "em"]}}, True),
        ({"var": ""}, True),
        ({"var": []}, True),
        ({"missing": {"merge": ["a"]}}, True),
        ({"some": [["a"], {"==": [{"var": ""}, "item"]}]}, False),
        ({"some": [[{"var": "item"}], {"var": "x"}]}, True),
        ({"reduce": [[], {"var": "current"}, {"var": "item"}]}, True),
        ([{"var": "item"}], True),
        (True, False),
    ],
    ids=str,
)
def test_the_body_is_read_only_for_rules_that_ask_for_it(condition: Any, reads: bool) -> None:  # noqa: FBT001  # a case
    """The request's body is waited for when, and only when, a rule may ask for an attribute that is read from it."""
    made = table([{"name": "r", "attributes": ATTRIBUTES, "fallback": [{"rules": [{**GOLD, "if": condition}]}]}])
    plan = made.routes["r"]
    assert plan.needs_body is reads
    assert plan.wants_body(request()) is reads
    assert not plan.wants_body(request(body=b"{}"))


def test_a_body_that_may_not_be_read_is_not_waited_for() -> None:
    """With ``inspect_bytes: 0`` no rule makes anybody read a body."""
    route = {"name": "r", "attributes": ATTRIBUTES, "inspect_bytes": 0}
    plan = table([{**route, "fallback": [{"rules": [{**GOLD, "if": {"var": "item"}}]}]}]).routes["r"]
    assert not plan.needs_body


def test_a_step_that_says_nothing_is_no_step() -> None:
    """What the loader refuses is no configuration here either."""
    route = Route(name="r", target="t", fallback=(Fallback(),))
    with pytest.raises(ValueError, match="no way to answer"):
        compile_steps(route, {}, {})
