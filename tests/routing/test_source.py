"""Sources: where the text of a unit comes from."""

import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.routing.request import scalar_key
from router.routing.source import compile_source
from tests.routing.build import request

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def read(label: str, path: str = "/", **more: Any) -> str | None:
    """Return what a source finds in a request."""
    return compile_source(label, 1000).read(request(path, **more)) or None


@pytest.mark.parametrize(
    ("label", "headers", "unit"),
    [
        ("header:X-User-Id", {"x-user-id": "u1"}, "u1"),
        ("header:x-user-id", {"x-user-id": ""}, None),
        ("header:x-user-id", {}, None),
        ("header:x-user-id", {"x-user-id": "Zoë".encode()}, "Zoë"),
        ("header:x-user-id", {"x-user-id": "Zoë".encode("latin-1")}, "Zoë"),
        ("header:x-user-id", {"x-user-id": b"\xff\xfe"}, "ÿþ"),
        ("cookie:uid", {"cookie": "uid=u1"}, "u1"),
        ("cookie:uid", {"cookie": "other=2; uid=u1; uid=u2"}, "u1"),
        ("cookie:uid", {"cookie": "myuid=3;uid = u1 ;x=1"}, "u1"),
        ("cookie:uid", {"cookie": 'uid="u1"'}, "u1"),
        ("cookie:uid", {"cookie": 'uid="'}, '"'),
        ("cookie:uid", {"cookie": 'uid="u'}, '"u'),
        ("cookie:uid", {"cookie": "uid=a=b"}, "a=b"),
        ("cookie:uid", {"cookie": "uid=; uid=u2"}, None),
        ("cookie:uid", {"cookie": "uid"}, None),
        ("cookie:uid", {"cookie": "UID=u1"}, None),
        ("cookie:u.d", {"cookie": "uxd=1; u.d=2"}, "2"),
        ("cookie:uid", {}, None),
    ],
)
def test_headers_and_cookies(label: str, headers: dict[str, str], unit: str | None) -> None:
    """Header fields and cookies are found by name; an empty one is absent."""
    assert read(label, headers=headers) == unit


@pytest.mark.parametrize(
    ("query", "unit"),
    [
        ("user=u1", "u1"),
        ("a=1&user=u1&user=u2", "u1"),
        ("user=&user=u2", None),
        ("user", None),
        ("", None),
        ("user=a%20b+c", "a b c"),
        ("us%65r=u1", "u1"),
        ("user=%C3%A9", "é"),
        ("user=%E9", "é"),
        ("user=%zz%4", "%zz%4"),
        ("user=a=b", "a=b"),
        ("xuser=u1", None),
    ],
)
def test_queries(query: str, unit: str | None) -> None:
    """A query parameter is found by its decoded name, and decoded; the first counts."""
    assert read("query:user", f"/?{query}") == unit


@given(TEXT, st.lists(st.tuples(TEXT.filter(lambda name: name != "user"), TEXT)))
def test_queries_are_read_as_forms_are_written(value: str, others: list[tuple[str, str]]) -> None:
    """Whatever ``urlencode`` or ``quote`` writes is read back."""
    assert read("query:user", f"/?{urlencode([*others, ('user', value)])}") == value
    assert read("query:user", f"/?user={quote(value, safe='')}") == value


@pytest.mark.parametrize(
    ("pointer", "body", "unit"),
    [
        ("/id", '{"id": "u1"}', "u1"),
        ("/id", ' {"id" : 1.0 } ', "1.0"),
        ("/id", '{"id": true}', "true"),
        ("/id", '{"id": false}', "false"),
        ("/id", '{"id": null}', None),
        ("/id", '{"id": {}}', None),
        ("/id", '{"id": ["u1"]}', None),
        ("/id", '{"id": ""}', None),
        ("/id", '{"id": 1, "id": 2}', "2"),
        ("/id", '{"other": 1}', None),
        ("/id", '["id"]', None),
        ("/id", '"id"', None),
        ("/id/x", '{"id": "x"}', None),
        ("/id/x", '{"id": 1}', None),
        ("/0", "[7, 8]", "7"),
        ("/1", "[7, 8]", "8"),
        ("/2", "[7, 8]", None),
        ("/01", "[7, 8]", None),
        ("/-", "[7, 8]", None),
        ("/-1", "[7, 8]", None),
        ("/٣", "[7, 8, 9, 10]", None),
        ("/1000000000", "[7, 8]", None),
        ("/a/1/b", '{"a": [0, {"b": "deep"}]}', "deep"),
        ("/", '{"": "empty key"}', "empty key"),
        ("", '"whole"', "whole"),
        ("", "12", "12"),
        ("", '{"id": 1}', None),
        ("", "[1]", None),
        ("/a~1b", '{"a/b": 1}', "1"),
        ("/m~0n", '{"m~n": 1}', "1"),
        ("/~01", '{"~1": 1}', "1"),
        ("/id", "", None),
    ],
)
def test_json(pointer: str, body: str, unit: str | None) -> None:
    """Scalars are found by pointer (RFC 6901); null, objects and arrays are absent."""
    asked = request(body=body.encode())
    assert (compile_source(f"json:{pointer}", 1000).read(asked) or None) == unit
    assert not asked.invalid


@pytest.mark.parametrize(
    "body",
    [
        b'{"id": "u1"',
        b'{"id": "u1"} x',
        b'{"id": 01}',
        b'{"id": NaN}',
        b"\xff",
        b'\xef\xbb\xbf{"id": "u1"}',
        b'{"id": ' + b"[" * 10_000,
        b'{"\xff": 1, "id": "u1"}',
        b'{"id": "\\ud800"}',
        b"id=u1",
    ],
)
def test_what_is_not_json_is_absent_and_marked(body: bytes) -> None:
    """A body that is not JSON has no unit, however often it is asked, and says so."""
    asked = request(body=body)
    source = compile_source("json:/id", 100_000)
    assert source.read(asked) is None
    assert asked.invalid
    asked.body = b'{"id": "u1"}'  # it is not parsed a second time
    assert source.read(asked) is None


def test_what_is_not_json_further_down_is_absent_and_marked() -> None:
    """A level that cannot be read hides what is below, and nothing else."""
    asked = request(body=b'{"a": {"\xff": 1}, "b": "u1"}')
    assert compile_source("json:/a/x", 1000).read(asked) is None
    assert asked.invalid
    assert compile_source("json:/b", 1000).read(asked) == "u1"


def test_a_string_that_is_not_utf8_is_absent() -> None:
    """JSON is UTF-8 (RFC 8259 section 8.1); a string that is not has no text and no key."""
    asked = request(body=b'{"id": "\xe9"}')
    assert compile_source("json:/id", 1000).read(asked) is None
    raw = asked.value(("id",))
    assert raw is not None
    assert scalar_key(raw) is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | TEXT, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner)
    )
)
def test_json_units_are_scalars_as_sent(value: Any) -> None:
    """Of any document, a scalar is its text and everything else is absent."""
    found = read("json:/a/0", body=json.dumps({"b": value, "a": [value]}, ensure_ascii=False).encode())
    if isinstance(value, str):
        assert found == value
    elif isinstance(value, bool | int):
        assert found == json.dumps(value)
    else:
        assert found is None


def test_a_body_longer_than_is_read_is_absent() -> None:
    """A route reads no more than its own ``inspect_bytes``, also of a body gathered for another."""
    body = b'{"id": "u1"}'
    assert compile_source("json:/id", len(body)).read(request(body=body)) == "u1"
    assert compile_source("json:/id", len(body) - 1).read(request(body=body)) is None
    assert compile_source("json:/id", len(body)).read(request(body=None)) is None


def test_client_and_request() -> None:
    """The caller's address and the exchange's id are units too."""
    assert read("client_ip", client="2001:db8::1") == "2001:db8::1"
    assert read("client_ip", client="") is None
    assert read("request", id="ab" * 16) == "ab" * 16


@pytest.mark.parametrize("label", ["header:", "cookie:", "query:", "json:id", "client", "", "request:x", "client_ip:"])
def test_unknown_sources_are_refused(label: str) -> None:
    """A source that does not exist is an error that names it."""
    with pytest.raises(ValueError, match=f'"{label}" is not a source'):
        compile_source(label, 1000)


@given(st.binary(min_size=1, max_size=50))
def test_any_bytes_have_a_text_that_can_be_logged(value: bytes) -> None:
    """The same bytes are always the same text, and the text is valid UTF-8."""
    unit = read("header:x", headers={"x": value})
    assert unit is not None
    assert unit == read("header:x", headers={"x": value})
    assert unit.encode() == value or unit.encode("latin-1") == value
