"""Who is eligible: what rules can ask about a request, and what they make of it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfoNotFoundError

import pytest

from router.routing.facts import compile_facts
from router.routing.request import Request
from router.routing.source import compile_source
from router.routing.table import Table
from tests.routing.build import request, table

ATTRIBUTES = {
    "tier": "header:x-tier",
    "device": "cookie:device",
    "lang": "query:lang",
    "age": "json:/user/age",
    "beta": "json:/user/beta",
    "roles": "json:/user/roles",
    "user.name": "json:/user/name",
    "user.address.city": "json:/user/city",
}
ARMS = [{"name": "a", "target": "t1", "weight": 1}, {"name": "b", "target": "t2", "weight": 0}]
AUTUMN = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # in Europe the hour after it is 02:00 again
BODY = b'{"user": {"age": 42, "beta": true, "roles": ["dev", "qa"], "name": "Ann", "city": "Bern", "none": null}}'


def compiled(rule: Any, **more: Any) -> Table:
    """Compile a table of one route with one experiment."""
    route = {"name": "r", "unit": ["header:x-user"], "attributes": ATTRIBUTES}
    return table([route], [{"name": "e", "route": "r", "arms": ARMS, "eligible": rule, **more}])


def eligible(rule: Any, asked: Request | None = None, **more: Any) -> bool:
    """Return whether a unit is in an experiment with a rule."""
    if asked is None:
        asked = ask()
    return compiled(rule, **more).routes["r"].decide(asked).arm is not None


def ask(path: str = "/", headers: dict[str, str] | None = None, **more: Any) -> Request:
    """Make a request of a unit."""
    return request(path, headers={"x-user": "u1", **(headers or {})}, **more)


def equals(name: str, value: Any) -> dict[str, Any]:
    """Return a rule."""
    return {"===": [{"var": name}, value]}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tier", "gold"),
        ("device", "phone"),
        ("lang", "de"),
        ("age", 42),
        ("beta", True),
        ("roles", ["dev", "qa"]),
        ("roles.1", "qa"),
        ("user.name", "Ann"),
        ("user.address.city", "Bern"),
        ("$request.method", "PUT"),
        ("$request.path", "/v2/a"),
        ("$request.host", "localhost"),
        ("$request.address", "192.0.2.7"),
        ("$request.user_agent", "curl/8"),
        ("$request.headers.X-Beta", "yes"),
        ("$request.query.lang", "de"),
        ("targetingKey", "u1"),
        ("$flagd.flagKey", "e"),
        ("$flagd.timestamp", 1_790_000_000),
        ("$time.hour", 14),
        ("$time.minute", 13),
        ("$time.weekday", 1),
        ("$time.day", 21),
        ("$time.month", 9),
        ("$time.date", "2026-09-21"),
    ],
)
def test_what_rules_can_ask_for(name: str, value: Any) -> None:
    """Every fact is there, with its type, however it is asked for."""
    headers = {"x-tier": "gold", "cookie": "device=phone", "user-agent": "curl/8", "x-beta": "yes"}
    asked = ask("/v2//a?lang=de", headers, body=BODY, method=b"PUT", now=1_790_000_000.0)
    assert eligible(equals(name, value), asked)
    if not name.startswith(("$request.headers", "$request.query")):  # those have to be named
        assert eligible({"===": [{"var": {"cat": [name]}}, value]}, asked)
    assert not eligible(equals(name, "other"), asked)


@pytest.mark.parametrize("name", ["tier", "device", "lang", "age", "roles", "user.name", "$request.user_agent"])
@pytest.mark.parametrize("asked", [ask(), ask(headers={"x-tier": "", "user-agent": "", "cookie": "device="})])
def test_a_missing_attribute_is_not_eligible(name: str, asked: Request) -> None:
    """Neither by what a rule says of it, nor by the opposite; unless the rule says what to take instead."""
    rule = equals(name, "x")
    assert not eligible(rule, asked)
    assert not eligible({"!": [rule]}, asked)
    assert not eligible({"<": [{"var": name}, 18]}, asked)
    assert eligible({"!": [{"===": [{"var": [name, "none"]}, "x"]}]}, asked)
    assert eligible({"missing": [name]}, asked)
    assert eligible({"or": [rule, equals("targetingKey", "u1")]}, asked)


def test_a_rule_that_fails_is_not_eligible() -> None:
    """Whatever is sent, a request is served; by the route's target, where its rule has no value."""
    rule = {">": [{"/": [1, {"var": "age"}]}, 0]}
    assert eligible(rule, ask(body=b'{"user": {"age": 1}}'))
    for age in (b"0", b"1e999", b"[]", b'"x"', b"null", b"{}", b"[" * 5000):
        assert not eligible(rule, ask(body=b'{"user": {"age": %b}}' % age))


def test_numbers_in_text_compare_as_numbers_and_those_of_json_are_numbers() -> None:
    """A header is text, which beside a number is one; membership does not convert, as in flagd."""
    assert eligible({">": [{"var": "tier"}, 9]}, ask(headers={"x-tier": "10"}))
    assert not eligible({"in": [{"var": "tier"}, [10]]}, ask(headers={"x-tier": "10"}))
    assert eligible({"in": [{"var": "age"}, [42]]}, ask(body=BODY))


def test_what_is_too_large_for_a_rule_is_absent() -> None:
    """Lists and maps of some kilobytes are tensors, not roles; a text has no such bound."""
    large = b'{"user": {"roles": [%b], "name": "%b"}}' % (b"1," * 4000 + b"1", b"x" * 9000)
    assert not eligible({"!!": [{"var": "roles"}]}, ask(body=large))
    assert eligible({"==": [{"var": "user.name.length"}, 9000]}, ask(body=large))


@pytest.mark.parametrize(
    ("zone", "expected"),
    [("UTC", "2026-10-25 0 7"), ("Europe/Berlin", "2026-10-25 2 7"), ("America/New_York", "2026-10-24 20 6")],
)
def test_times_are_those_of_the_experiments_zone(zone: str, expected: str) -> None:
    """The date and the day of the week too."""
    said = {"cat": [{"var": "$time.date"}, " ", {"var": "$time.hour"}, " ", {"var": "$time.weekday"}]}
    assert eligible({"==": [said, expected]}, ask(now=AUTUMN.timestamp()), time_zone=zone)


def test_an_hour_that_comes_twice_is_the_same_hour() -> None:
    """Clocks that are put back repeat an hour; a rule on it holds in both."""
    for minutes in (0, 60):
        moment = (AUTUMN + timedelta(minutes=minutes)).timestamp()
        assert eligible(equals("$time.hour", 2), ask(now=moment), time_zone="Europe/Berlin")


@pytest.mark.parametrize(
    ("rule", "timed", "body", "fields"),
    [
        (equals("tier", 1), False, False, [b"x-tier"]),
        (equals("age", 1), False, True, []),
        (equals("$time.hour", 1), True, False, []),
        (equals("$flagd.timestamp", 1), True, False, []),
        (equals("$flagd.flagKey", 1), False, False, []),
        (equals("$request.user_agent", 1), False, False, [b"user-agent"]),
        ({"missing": ["$request.headers.X-A", "device"]}, False, False, [b"cookie", b"x-a"]),
        ({"fractional": [["a", 1]]}, False, False, []),
        ({"var": {"cat": ["ti", "er"]}}, True, True, [b"cookie", b"user-agent", b"x-tier"]),
    ],
    ids=str,
)
def test_only_what_a_rule_asks_for_is_read(rule: Any, timed: bool, body: bool, fields: list[bytes]) -> None:  # noqa: FBT001 - expected
    """The clock is looked at, the body waited for and a field kept only where a rule may ask for them."""
    plan = compiled(rule).routes["r"]
    assert plan.structure is not None
    assert (plan.timed, plan.needs_body, sorted(plan.structure.fields)) == (timed, body, fields)


@pytest.mark.parametrize(
    "name", ["$request.path", "$request.query.lang", "$request.address", "lang", "$time.day", "age"]
)
def test_decisions_that_depend_on_more_than_fields_are_not_kept(name: str) -> None:
    """Two requests of one unit that differ in anything that a rule asks for are decided each by itself."""
    decide = compiled({"in": [{"var": name}, ["/a", "x", "192.0.2.7", 1, 42]]}).routes["r"].decide
    one = ask("/a?lang=x", client="192.0.2.7", now=0.0, body=BODY)
    other = ask("/b?lang=y", client="192.0.2.8", now=86_400.0, body=b"{}")
    assert [decide(each).arm for each in (one, other, one)] == ["a", None, "a"]


def test_fractional_hashes_by_experiment_and_unit() -> None:
    """A rule may take a share of its own, of those that are in the experiment at all."""
    rule = {"fractional": [[True, 30], [False, 70]]}
    share = sum(eligible(rule, request(headers={"x-user": f"u{unit}"})) for unit in range(400)) / 400
    assert 0.22 < share < 0.38


def test_people_are_told_what_is_absent() -> None:
    """Whoever asks why a unit is not in an experiment."""
    structure = compiled(equals("tier", 1)).routes["r"].structure
    assert structure is not None
    (seen,) = structure.enrol(ask(), "u1", told=True).seen or []
    assert seen.result == 'not eligible: "tier" is absent'
    (seen,) = structure.enrol(ask(headers={"x-tier": "2"}), "u1", told=True).seen or []
    assert seen.result == "not eligible"


def test_an_unknown_time_zone_does_not_compile() -> None:
    """What the loader refuses is no other zone either."""
    with pytest.raises(ZoneInfoNotFoundError, match="Mars"):
        compiled(equals("$time.hour", 1), time_zone="Mars/Olympus")


def test_of_a_name_and_one_below_it_the_first_is_found() -> None:
    """A rule cannot tell them apart, as in flagd."""
    attributes = {"a": compile_source("header:x-a", 0), "a.b": compile_source("header:x-ab", 0)}
    facts = compile_facts(attributes, attributes, "e")
    assert facts.of(ask(headers={"x-a": "1", "x-ab": "2"}), b"") == {"a": "1"}
