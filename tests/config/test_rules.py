"""Rules of experiments and fallbacks: what they refer to and ask for has to exist, and mistakes have their line."""

import json
from typing import Any

import pytest
import yaml

from router.config.load import load_text
from router.config.schema import Config
from tests.config.sample import mistakes

BASE = """\
targets:
  - {name: t, endpoints: [http://127.0.0.1:8001]}
routes:
  - {name: r, target: t, unit: [header:x-user], attributes: {tier: header:x-tier, user: json:/user}}
experiments:
  - name: e
    route: r
    arms: [{name: a, target: t, weight: 1}, {name: b, target: t, weight: 1}]
"""


def config(rule: Any, **evaluators: Any) -> str:
    """Return a configuration whose experiment has a rule."""
    more = yaml.safe_dump({"$evaluators": evaluators}) if evaluators else ""
    return BASE + f"    eligible: {json.dumps(rule)}\n{more}"


def loaded(rule: Any, **evaluators: Any) -> Config:
    """Load it."""
    return load_text(config(rule, **evaluators).encode(), "router.yaml").config


def found(rule: Any, **evaluators: Any) -> list[str]:
    """Return its mistakes without file and line."""
    return [line.split(": ", 1)[1].removeprefix("$.experiments[0].") for line in mistakes(config(rule, **evaluators))]


def test_a_mistake_within_a_rule_has_its_line() -> None:
    """A rule may be long; the line is that of the operation, not of the rule."""
    text = (
        BASE + "    eligible:\n      and:\n        - {'==': [{var: tier}, gold]}\n        - {in: [{var: teir}, [a]]}\n"
    )
    assert mistakes(text)[0].startswith("router.yaml:12: $.experiments[0].eligible.and[1].in[0].var: there is no att")
    wrong = BASE + "    eligible:\n      or:\n        - {'==': [1, 1]}\n        - {starts: [{var: tier}, a]}\n"
    assert [line.split(": ")[0] for line in mistakes(wrong)] == ["router.yaml:12"]


@pytest.mark.parametrize(
    "name",
    ["tier", "tier.length", "tier.0", "user.roles.0", "targetingKey", "$flagd.timestamp", "$flagd.flagKey",
     "$time.hour", "$request.path", "$request.headers.x-beta", "$request.query.lang", "$request.user_agent"],
)  # fmt: skip
def test_what_rules_may_ask_for(name: str) -> None:
    """Attributes of the route, parts of them, and facts."""
    assert found({"!!": [{"var": name}]}) == []
    assert found({"missing": [name]}) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("teir", 'there is no attribute "teir"; did you mean "tier"?'),
        ("$time.houre", 'there is no attribute "$time.houre"; did you mean "$time.hour"?'),
        ("xyzzy", 'there is no attribute "xyzzy"; there are: tier, user, and the facts $request.method, '),
        ("$request.headers", 'there is no attribute "$request.headers"; '),
        ("$request.headers.", 'there is no attribute "$request.headers."; '),
        ("$request.headers.a.b", '"a.b" has a dot, which separates names here; '),
        ("$request.headers.a b", '"header:a b" does not name a header field'),
        ("tier.name", 'attribute "tier" is text, which has no "name"'),
    ],
)
def test_a_name_that_nothing_has_is_a_mistake(name: str, message: str) -> None:
    """It would be unknown for ever, and nobody would ever be eligible."""
    (line,) = found({"==": [{"var": name}, "x"]})
    assert line.startswith(f'eligible["=="][0].var: {message}')


def test_evaluators_are_put_in_place() -> None:
    """Wherever they stand, in whichever order, also within each other and in rules of fallbacks."""
    gold = {"==": [{"var": "tier"}, "gold"]}
    made = loaded({"and": [{"$ref": "b"}, {"!": {"$ref": "a"}}]}, b={"or": [{"$ref": "a"}, False]}, a=gold)
    assert made.experiments[0].eligible == {"and": [{"or": [gold, False]}, {"!": gold}]}
    step = "{name: r, fallback: [{rules: [{if: {$ref: a}, respond: {}}]}], target:"
    text = config(True, a=gold).replace("{name: r, target:", step)
    assert load_text(text.encode(), "c.yaml").config.routes[0].fallback[0].rules[0].condition == gold


@pytest.mark.parametrize(
    ("rule", "evaluators", "expected"),
    [
        ({"$ref": "c"}, {"a": True}, ['eligible["$ref"]: there is no evaluator "c"; there are: a']),
        ({"$ref": "c"}, {}, ['eligible["$ref"]: there is no evaluator "c"']),
        ({"$ref": 1}, {}, ['eligible["$ref"]: 1 is not the name of an evaluator']),
        ({"$ref": "a"}, {"a": {"$ref": "a"}}, ['$["$evaluators"].a["$ref"]: evaluator "a" leads back to "a"']),
        (
            {"$ref": "a"},
            {"a": {"!": {"$ref": "b"}}, "b": {"$ref": "a"}, "c": {"$ref": "a"}},
            [
                '$["$evaluators"].a["!"]["$ref"]: evaluator "b" leads back to "a"',
                '$["$evaluators"].b["$ref"]: evaluator "a" leads back to "b"',
            ],
        ),
        (
            True,
            {"a": {"!!": {"equals": 1}}, "b": {"$ref": "x"}},
            [
                '$["$evaluators"].a["!!"].equals: there is no operator "equals"; ',
                '$["$evaluators"].b["$ref"]: there is no evaluator "x"; there are: a, b',
            ],
        ),
        (
            {"!": {"$ref": "a"}},
            {"a": {"==": [{"var": "teir"}, 1]}},
            ['eligible["!"]["$ref"]: there is no attribute "teir"; did you mean "tier"?'],
        ),
        (
            {"$ref": "a", "!": 1},
            {"a": True},
            ['eligible: an operation is a map of one key, its operator; here are "$ref", "!"'],
        ),
    ],
)
def test_mistakes_of_evaluators(rule: Any, evaluators: dict[str, Any], expected: list[str]) -> None:
    """References that lead nowhere or in a circle, and what an evaluator asks for that the route does not have."""
    lines = found(rule, **evaluators)
    assert len(lines) == len(expected)
    assert all(line.startswith(wanted) for line, wanted in zip(sorted(lines), sorted(expected), strict=True))


def test_a_rule_is_bounded_with_its_evaluators() -> None:
    """Evaluators that double each other cost nothing to refuse."""
    doubling = {f"e{index}": {"and": [{"$ref": f"e{index - 1}"}] * 2} for index in range(1, 60)}
    (line,) = found({"$ref": "e25"}, e0={"var": "tier"}, **dict(list(doubling.items())[:25]))
    assert "the most is 1000" in line
    assert len(found({"$ref": "e59"}, e0={"var": "tier"}, **doubling)) == 2
    deep = {f"d{index}": {"!": [{"$ref": f"d{index - 1}"}]} for index in range(1, 40)}
    assert found({"$ref": "d39"}, d0={"var": "tier"}, **deep) == [
        "eligible: the rule is nested more than 32 deep with its evaluators"
    ]


def test_time_zones() -> None:
    """One that exists, and that something depends on."""
    rule = {">=": [{"var": "$time.hour"}, 18]}
    zone = "    time_zone: {}\n"
    assert mistakes(config(rule) + zone.format("Europe/Berlin")) == []
    (line,) = mistakes(config(rule) + zone.format("Mars/Olympus"))
    assert line.endswith('$.experiments[0].time_zone: "Mars/Olympus" is not a time zone such as Europe/Berlin')
    assert "is not a time zone" in mistakes(config(rule) + zone.format("../../etc/passwd"))[0]
    (line,) = mistakes(config({"==": [{"var": "tier"}, 1]}) + zone.format("UTC"))
    assert line.endswith("has no effect, because eligible does not ask for $time")
    assert mistakes(BASE + zone.format("UTC"))[0].endswith("has no effect, because eligible does not ask for $time")
