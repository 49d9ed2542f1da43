"""Flag values as members of a structured-field dictionary."""

import math
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.config.structured_field import MAX_BYTES
from router.routing.flag_header import flag_item

JSON = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


def parsed(item: bytes) -> Any:
    """Read a member as RFC 9651 section 4.2 says, strictly; text in it is given as ``str``."""
    text = item.decode("ascii")
    key, equals, value = text.partition("=")
    assert re.fullmatch(r"[a-z*][a-z0-9_.*-]*", key)
    assert equals
    if value in ("?0", "?1"):
        return value == "?1"
    if re.fullmatch(r"-?[0-9]{1,15}", value):
        return int(value)
    if re.fullmatch(r"-?[0-9]{1,12}\.[0-9]{1,3}", value):
        return float(value)
    if plain := re.fullmatch(r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"', value):
        return re.sub(r"\\(.)", r"\1", plain[1])
    display = re.fullmatch(r'%"((?:[\x20-\x21\x23-\x24\x26-\x7e]|%[0-9a-f]{2})*)"', value)
    assert display, value
    raw = re.sub(rb"%(..)", lambda found: bytes([int(found[1], 16)]), display[1].encode())
    return raw.decode("utf-8")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, b"k=?1"),
        (False, b"k=?0"),
        (42, b"k=42"),
        (-999_999_999_999_999, b"k=-999999999999999"),
        (10**15, b'k="1000000000000000"'),
        (1.0, b"k=1.0"),
        (0.125, b"k=0.125"),
        (-4.5, b"k=-4.5"),
        (0.0001, b'k="0.0001"'),
        (1e12, b'k="1000000000000.0"'),
        (1e300, b'k="1e300"'),
        ("plain", b'k="plain"'),
        ('say "hi" \\', b'k="say \\"hi\\" \\\\"'),
        ("", b'k=""'),
        ("caf\u00e9 100%", b'k=%"caf%c3%a9 100%25"'),
        ("a\r\nx-evil: 1", b'k=%"a%0d%0ax-evil: 1"'),
        ({"a": [1, True]}, b'k="{\\"a\\":[1,true]}"'),
        ([], b'k="[]"'),
    ],
)
def test_values_keep_their_type_where_a_structured_field_has_it(value: Any, expected: bytes) -> None:
    """Truth values, numbers and text are items of their type; the rest is JSON in a String."""
    assert flag_item("k", value) == expected


@given(JSON)
def test_nothing_is_lost_on_the_way(value: Any) -> None:
    """A strict reader gets the value back, either itself or as its JSON."""
    try:
        got = parsed(flag_item("model.config", value))
    except ValueError:
        assert len(msgspec.json.encode(value)) > MAX_BYTES / 8
        return
    if isinstance(value, str):
        assert got == value.encode("utf-8", "replace").decode()
        return
    back = msgspec.json.decode(got) if isinstance(got, str) else got
    assert back == value
    assert type(back) is type(value) or (isinstance(value, float) and math.isclose(back, value, rel_tol=0))


@pytest.mark.parametrize("key", ["Upper", "1st", "a b", "", 'a"', "\u00e9", "a=b", "a,b"])
def test_a_key_that_no_dictionary_can_have_is_refused(key: str) -> None:
    """The message says what a key may be."""
    with pytest.raises(ValueError, match="lower-case letters"):
        flag_item(key, 1)


def test_a_member_has_a_bound() -> None:
    """A value too large for a header is refused when the table is compiled, not sent."""
    assert len(flag_item("k", "x" * (MAX_BYTES - 4))) == MAX_BYTES
    with pytest.raises(ValueError, match="4097 bytes"):
        flag_item("k", "x" * (MAX_BYTES - 3))
