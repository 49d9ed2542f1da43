"""Which outcomes can be taken, and what is said of the others."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.control.outcome import MAX_TOKENS, Refused, Terms, judge
from router.events.outcomes import Assigned, Outcome
from router.routing.token import Assignment, Override, sign, unit_hash

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
KEY, OLD_KEY = b"k" * 32, b"o" * 32
TERMS = Terms(NOW, 300.0, 86_400.0, (KEY, OLD_KEY))


def judged(**fields: Any) -> Outcome | Refused:
    """Judge an outcome of a unit, with some fields other or left out (``None``)."""
    sent = {"id": "a", "outcome": "click", "unit": "u", **fields}
    return judge(json.dumps({name: value for name, value in sent.items() if value is not None}).encode(), TERMS)


def taken(**fields: Any) -> Outcome:
    """Return an outcome that was taken."""
    found = judged(**fields)
    assert isinstance(found, Outcome), found
    return found


def refused(**fields: Any) -> Refused:
    """Return a refusal."""
    found = judged(**fields)
    assert isinstance(found, Refused), found
    return found


def token(experiment: str = "e", run: int = 1, unit: str = "u", key: bytes = KEY) -> str:
    """Sign an assignment."""
    hashed = unit_hash("salt", run, unit)
    return sign(key, Assignment(experiment, "new", run, 1, hashed, 0.5, int(NOW) - 3600)).decode()


def test_whatever_a_caller_was_given_can_be_sent_back() -> None:
    """A route may have many experiments, so the header may have many tokens."""
    names = [f"experiment-{number}" for number in range(50)]
    found = taken(unit=None, assignment=", ".join(map(token, names)))
    assert [each.experiment for each in found.assignments] == names


def test_what_is_left_out_has_a_default() -> None:
    """One, now."""
    assert taken() == Outcome("a", "click", 1.0, NOW, False, unit="u")


@pytest.mark.parametrize(("item", "read"), [("a/b", "a/b"), (17, "17"), ("x" * 128, "x" * 128), (None, None)])
def test_an_outcome_may_be_about_an_item(item: Any, read: str | None) -> None:
    """The id is text, as the event of the list has it; a number is its JSON text."""
    assert taken(item=item).item == read


@pytest.mark.parametrize("item", ["", "x" * 129, "é" * 65, True, 1.5, ["a"]])
def test_nothing_else_is_an_item(item: Any) -> None:
    """What no event can have named is refused."""
    assert refused(item=item).fate == "malformed"


@pytest.mark.parametrize(
    ("value", "read"), [(True, 1.0), (False, 0.0), (0, 0.0), (-2.5, -2.5), (2**53, 2.0**53), (1e300, 1e300)]
)
def test_a_value_is_a_number(value: Any, read: float) -> None:
    """Booleans are 1 and 0."""
    assert taken(value=value).value == read


@pytest.mark.parametrize("value", ['"1"', "null", "[]", "{}", "1e999", "9" * 400])
def test_nothing_else_is_a_value(value: str) -> None:
    """Text is not guessed at, nothing is not 1, and there is no infinity."""
    found = judge(f'{{"id": "a", "outcome": "click", "unit": "u", "value": {value}}}'.encode(), TERMS)
    assert isinstance(found, Refused)
    assert (found.fate, found.id) == ("malformed", "a")
    assert "value" in found.reason


@pytest.mark.parametrize(
    ("time", "read"),
    [
        (NOW - 1.5, NOW - 1.5),
        (int(NOW) + 300, NOW + 300),
        ("2027-01-15T08:00:00Z", NOW),
        ("2027-01-15t09:00:00.250+01:00", NOW + 0.25),
    ],
)
def test_a_time_is_unix_seconds_or_rfc_3339(time: Any, read: float) -> None:
    """Both are kept as unix seconds."""
    assert taken(time=time).time == read


@pytest.mark.parametrize(
    ("time", "fate", "said"),
    [
        (NOW + 301, "future", "301 s ahead of the router's clock; outcomes.max_future is 5m"),
        (NOW * 1000, "future", "is it in milliseconds?"),
        (NOW - 86_401, "too_late", "86401 s ago; outcomes.max_late is 1d"),
        (-1e308, "too_late", "outcomes.max_late"),
        ("2027-01-15T08:00:00", "malformed", "RFC 3339 with an offset"),
        ("yesterday", "malformed", "RFC 3339"),
        ("1969-12-31T00:00:00Z", "too_late", "outcomes.max_late"),
        (True, "malformed", "$.time"),
        ([], "malformed", "$.time"),
    ],
)
def test_a_time_that_cannot_be_is_refused(time: Any, fate: str, said: str) -> None:
    """Ahead of the clock, too long ago, or no time: each is another fate, and the reason names the key to turn."""
    found = refused(time=time)
    assert found.fate == fate
    assert said in found.reason


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"id": ""}, "$.id"),
        ({"id": "x" * 129}, "$.id"),
        ({"id": "line\n"}, "$.id"),
        ({"id": 7}, "$.id"),
        ({"id": None}, "`id`"),
        ({"outcome": "click\n"}, "$.outcome"),
        ({"outcome": "a b"}, "$.outcome"),
        ({"outcome": "x" * 65}, "$.outcome"),
        ({"outcome": None}, "`outcome`"),
        ({"unit": ""}, "unit"),
        ({"unit": "é" * 257}, "512 bytes"),
        ({"unit": 1.5}, "$.unit"),
        ({"unit": None}, "it has none"),
        ({"request_id": "r"}, "request_id and unit"),
        ({"unit": None, "request_id": "with space"}, "$.request_id"),
        ({"unit": None, "request_id": ""}, "$.request_id"),
        ({"user": "u"}, "`user`"),
    ],
)
def test_a_field_that_is_not_right_is_named(fields: dict[str, Any], said: str) -> None:
    """Nothing is cut, guessed or passed over."""
    found = refused(**fields)
    assert found.fate == "malformed"
    assert said in found.reason


def test_a_unit_that_is_a_number_is_its_json_text() -> None:
    """As a route reads it from a body."""
    assert taken(unit=42).unit == "42"


@pytest.mark.parametrize("key", [KEY, OLD_KEY])
def test_every_key_verifies_an_assignment(key: bytes) -> None:
    """Also one that signs no more; the hash is what the archive joins by."""
    digest = bytes.fromhex(taken(unit=None, assignment=token(key=key)).assignments[0].unit_hash)
    assert len(digest) == 16
    assert taken(unit=None, assignment=token(key=key)).assignments == (Assigned("e", 1, digest.hex()),)


@pytest.mark.parametrize("separator", [", ", ",", " , "])
def test_an_exchange_in_several_experiments_has_several_tokens(separator: str) -> None:
    """The header as it was received; the same one twice counts once."""
    found = taken(unit=None, assignment=separator.join([token("e"), token("f", 3), token("e")]))
    assert [(each.experiment, each.run) for each in found.assignments] == [("e", 1), ("f", 3)]


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("", "not signed"),
        ("e=new", "not signed"),
        (token(key=b"x" * 32), "not signed"),
        (token()[:-1], "not signed"),
        (token() + "A", "not signed"),
        (f"{token()}, {token('f', key=b'x' * 32)}", "token 2"),
        (f"{token()},", "token 2"),
        ("é", "not signed"),
        (sign(KEY, Override("e", "new", int(NOW) + 60)).decode(), "not signed"),
        (sign(KEY, Assignment("e", "new", 1, 1, "short", 0.5, 0)).decode(), "version"),
    ],
)
def test_an_assignment_is_never_believed_unsigned(assignment: str, said: str) -> None:
    """One token that nobody with a key made, and the outcome is not taken."""
    found = refused(unit=None, assignment=assignment)
    assert found.fate == "bad_signature"
    assert said in found.reason


def test_without_keys_no_assignment_counts() -> None:
    """A router that signs nothing verifies nothing."""
    raw = json.dumps({"id": "a", "outcome": "click", "assignment": token()}).encode()
    found = judge(raw, Terms(NOW, 1.0, 1.0, ()))
    assert isinstance(found, Refused)
    assert found.fate == "bad_signature"


@pytest.mark.parametrize(
    "assignment", [f"{token()}, {token(unit='v')}", ", ".join(token(f"e{number}") for number in range(MAX_TOKENS + 1))]
)
def test_an_assignment_that_cannot_be_of_one_exchange_is_refused(assignment: str) -> None:
    """Two units in one experiment, or more tokens than anybody sends."""
    assert refused(unit=None, assignment=assignment).fate == "malformed"


@given(st.one_of(st.binary(max_size=200), st.from_regex(r'\{"id": ?"[a-z]*", ?"outcome":.*\}').map(str.encode)))
def test_any_bytes_are_judged(raw: bytes) -> None:
    """Whatever is sent, the answer is an outcome or a reason."""
    found = judge(raw, TERMS)
    assert isinstance(found, Outcome) or (found.fate == "malformed" and found.reason)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
FIELDS = ("id", "outcome", "value", "time", "assignment", "request_id", "unit")


@given(st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_any_fields_are_judged(fields: dict[str, Any]) -> None:
    """What is taken is finite, within the clock's bounds and keyed by one thing."""
    found = judge(json.dumps({"id": "a", "outcome": "o", **fields}).encode("utf-8", "surrogatepass"), TERMS)
    if isinstance(found, Outcome):
        assert NOW - TERMS.max_late <= found.time <= NOW + TERMS.max_future
        assert abs(found.value) < float("inf")
        assert bool(found.assignments) + (found.request_id is not None) + (found.unit is not None) == 1
