"""What a flag is for a context."""

import time
from typing import Any

import msgspec
import pytest

from router.config.flags import FlagSet
from router.flags.evaluate import Failed, Flags, Resolved


def made(*documents: dict[str, Any]) -> Flags:
    """Make the flags of some documents."""
    return Flags(FlagSet(file=f"{n}.json", text=msgspec.json.encode(one).decode()) for n, one in enumerate(documents))


def one(variants: dict[str, Any], **keys: Any) -> dict[str, Any]:
    """Write a document with a flag ``f``."""
    return {"flags": {"f": {"state": "ENABLED", "variants": variants, **keys}}}


@pytest.mark.parametrize(
    ("variants", "kind", "value"),
    [
        ({"a": True}, "boolean", True),
        ({"a": "text"}, "string", "text"),
        ({"a": ""}, "string", ""),
        ({"a": 0}, "integer", 0),
        ({"a": 1.0}, "float", 1.0),
        ({"a": 1, "b": 0.5}, "float", 1.0),
        ({"a": {"k": [1, None]}}, "object", {"k": [1, None]}),
    ],
)
def test_a_value_has_the_type_of_the_flag(variants: dict[str, Any], kind: str, value: Any) -> None:
    """A number of a flag that has fractions is a float, whatever the file wrote."""
    flags = made(one(variants, defaultVariant="a"))
    found = flags.evaluate("f", None, {})
    assert isinstance(found, Resolved)
    assert (flags.kinds, found.value, type(found.value)) == ({"f": kind}, value, type(value))
    assert (found.reason, found.variant) == ("STATIC", "a")


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({}, "DEFAULT"),
        ({"defaultVariant": None}, "DEFAULT"),
        ({"targeting": {"if": [{"var": "x"}, "a"]}}, "DEFAULT"),
        ({"state": "DISABLED", "defaultVariant": "a"}, "DISABLED"),
    ],
)
def test_without_a_variant_there_is_no_value(keys: dict[str, Any], reason: str) -> None:
    """The caller's own default is meant."""
    found = made(one({"a": 1}, **keys)).evaluate("f", "u", {})
    assert found == Resolved("f", reason, None)


def test_metadata_is_that_of_the_flag_over_that_of_the_file() -> None:
    """Files are flag sets of their own; what all of them say is the metadata of the whole."""
    first = {**one({"a": 1}, defaultVariant="a", metadata={"team": "x"}), "metadata": {"team": "y", "version": "1"}}
    second = {"flags": {"g": first["flags"]["f"]}, "metadata": {"team": "z", "version": "1"}}
    flags = made(first, second)
    found = flags.evaluate("f", None, {})
    assert isinstance(found, Resolved)
    assert (found.metadata, flags.metadata) == ({"team": "x", "version": "1"}, {"version": "1"})


@pytest.mark.parametrize(
    ("rule", "context"),
    [
        ({"if": [{"==": [{"var": "x"}, 1]}, "c"]}, {"x": 1}),
        ({"/": [1, {"var": "x"}]}, {"x": 0}),
        ({"+": [{"var": "x"}, 1]}, {"x": {}}),
        ({"substr": [{"var": "x"}, "a"]}, {"x": "abc"}),
        ({"in": [{"var": "x"}, {"var": "y"}]}, {"x": [], "y": 7}),
        ({"bogus": [1]}, {}),
        ({"if": [{"$ref": "nobody"}, "a"]}, {}),
    ],
)
def test_a_rule_that_goes_wrong_is_an_answer(rule: Any, context: dict[str, Any]) -> None:
    """No context makes an evaluation raise; either the rule has a result or the answer says that it failed."""
    found = made(one({"a": 1}, targeting=rule)).evaluate("f", "u", context)
    assert isinstance(found, Resolved) or found.code in ("GENERAL", "PARSE_ERROR")


def test_an_unknown_flag_is_not_found() -> None:
    """As an answer, too."""
    assert made().evaluate("f", None, {}) == Failed("f", "FLAG_NOT_FOUND", "there is no flag 'f'")


def test_the_time_of_day_can_be_asked_for() -> None:
    """``$flagd.timestamp`` is the present, and ``$flagd.flagKey`` the flag."""
    later = {">": [{"var": "$flagd.timestamp"}, {"var": "t"}]}
    rule = {"if": [{"and": [later, {"==": [{"var": "$flagd.flagKey"}, "f"]}]}, "a"]}
    flags = made(one({"a": 1}, targeting=rule))
    now = int(time.time())
    answers = [flags.evaluate("f", None, {"t": moment}) for moment in (now - 60, now + 3600)]
    assert [answer.variant for answer in answers if isinstance(answer, Resolved)] == ["a", None]
