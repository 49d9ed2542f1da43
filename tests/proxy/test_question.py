"""Questions and answers: which may be kept, and that no two callers share a key."""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec import msgpack
from msgspec.structs import replace

from router.proxy.heads import RequestReader
from router.proxy.question import SELECTING, encode, good, key
from router.proxy.request_head import RequestHead
from router.proxy.response_head import ResponseHead, ResponseReader
from router.routing.decide import Decision
from router.routing.table import Table
from tests.routing.build import table

ROUTE = {
    "name": "r",
    "unit": ["header:x-user", "query:user"],
    "attributes": {"tier": "header:x-tier", "ip": "client_ip", "item": "json:/item"},
}
EXPERIMENT = {
    "name": "e",
    "route": "r",
    "arms": [{"name": "a", "target": "t0", "weight": 1}, {"name": "b", "target": "t1", "weight": 1}],
}
TABLE = table([ROUTE], [EXPERIMENT], [{"unit": "qa", "experiment": "e", "arm": "b"}])
BASE = {"host": "h", "x-user": "u1", "x-tier": "gold", "accept": "application/json", "cookie": "a=1"}


def asked(
    method: str = "POST",
    target: str = "/v2/infer?user=7",
    fields: dict[str, str] | None = None,
    client: str = "192.0.2.1",
    made: Table = TABLE,
) -> tuple[RequestHead, Decision]:
    """Read a request, and decide about it."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in (BASE if fields is None else fields).items())
    head = RequestReader(made.fields, 100).read(f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode(), "0" * 32, client)
    assert isinstance(head, RequestHead)
    plan = made.routes["r"]
    return head, plan.decide(head)


def key_of(body: bytes | None = b"", **more: Any) -> bytes | None:
    """Return the key of a request."""
    head, decision = asked(**more)
    return key(head, body, decision)


def answer(*lines: str, status: int = 200, length: str = "content-length: 2") -> ResponseHead:
    """Read the head of an answer."""
    text = "".join(f"{line}\r\n" for line in (length, *lines) if line)
    head = ResponseReader().read(f"HTTP/1.1 {status} OK\r\n{text}\r\n".encode(), b"GET")
    assert isinstance(head, ResponseHead)
    return head


def test_the_same_question_has_the_same_key() -> None:
    """Fields that say nothing about the answer, and the order of lines, make no other question."""
    assert key_of() == key_of()
    assert key_of(fields={**BASE, "user-agent": "x", "x-request-id": "1"}) == key_of()
    assert key_of(fields=dict(reversed(BASE.items()))) == key_of()


@pytest.mark.parametrize(
    "more",
    [
        {"method": "GET"},
        {"target": "/v2/infer?user=8"},
        {"target": "/v2/infer"},
        {"target": "/v2/infer/?user=7"},
        {"client": "192.0.2.2"},
        {"body": b"x"},
        {"fields": {**BASE, "host": "other"}},
        {"fields": {**BASE, "x-user": "u2"}},
        {"fields": {name: value for name, value in BASE.items() if name != "x-user"}},
        {"fields": {**BASE, "x-tier": "silver"}},
        {"fields": {**BASE, "x-tier": ""}},
        {"fields": {**BASE, "accept": "text/html"}},
        {"fields": {**BASE, "accept-encoding": "gzip"}},
        {"fields": {**BASE, "accept-language": "de"}},
        {"fields": {**BASE, "content-type": "text/plain"}},
        {"fields": {**BASE, "content-encoding": "gzip"}},
        {"fields": {**BASE, "cookie": "a=2"}},
        {"fields": {**BASE, "origin": "https://a.example"}},
    ],
    ids=str,
)
def test_another_question_has_another_key(more: dict[str, Any]) -> None:
    """Whatever tells two callers or two answers apart is part of the key."""
    assert key_of(**more) not in {None, key_of()}


@pytest.mark.parametrize(
    "more",
    [
        {"body": None},
        *({"method": method} for method in ("HEAD", "PUT", "DELETE", "PATCH", "OPTIONS")),
        {"fields": {**BASE, "authorization": "Bearer x"}},
        {"fields": {**BASE, "Authorization": ""}},
        {"fields": {**BASE, "proxy-authorization": "Basic x"}},
        {"fields": {**BASE, "cache-control": "no-store"}},
        {"fields": {**BASE, "cache-control": "max-age=0, No-Cache"}},
        {"fields": {**BASE, "x-user": "qa"}},
        {"method": "GET", "fields": {**BASE, "connection": "upgrade", "upgrade": "websocket"}},
    ],
    ids=str,
)
def test_what_is_no_question(more: dict[str, Any]) -> None:
    """Credentials, a caller's wish, an override, a method that changes something, and a body that was not kept."""
    assert key_of(**more) is None


def test_a_request_with_other_directives_is_a_question() -> None:
    """A caller who bounds the age of an answer has a question all the same: better old than none."""
    assert key_of(fields={**BASE, "cache-control": "max-age=0"}) == key_of()


def test_a_second_line_of_a_field_counts() -> None:
    """Where a field is repeated, every line is part of the key, and forbids what it forbids."""
    assert key_of(fields={**BASE, "Accept": "text/html"}) not in {None, key_of()}
    assert key_of(fields={**BASE, "cache-control": "a", "Cache-Control": "no-store"}) is None


def test_the_chunks_of_a_body_are_no_content() -> None:
    """A body in chunks is never taken for a body that contains what the chunks look like."""
    raw = b"2\r\nok\r\n0\r\n\r\n"
    chunked = key_of(raw, fields={**BASE, "transfer-encoding": "chunked"})
    assert chunked not in {None, key_of(raw), key_of(raw, fields={**BASE, "content-length": "12"})}


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("date: Sun, 22 Nov 2026 10:00:00 GMT", "etag: 1"),
        ("cache-control: public, max-age=60",),
        ("vary: accept, Accept-Encoding",),
        ("vary: x-user",),
        ("vary: x-tier",),
        ("vary: ",),
        ("content-type: application/json",),
    ],
)
def test_answers_that_are_kept(lines: tuple[str, ...]) -> None:
    """An ordinary answer is kept with all its fields."""
    _, decision = asked()
    kept = good(answer(*lines), decision)
    assert kept is not None
    assert kept.lines == answer(*lines).forward
    assert kept.age == 0


@pytest.mark.parametrize(
    ("lines", "more"),
    [
        *(((), {"status": status}) for status in (201, 203, 204, 206, 301, 304, 400, 404, 429, 500, 503)),
        ((), {"length": "transfer-encoding: chunked"}),
        ((), {"length": ""}),
        (("content-type: text/event-stream; charset=utf-8",), {}),
        (("set-cookie: a=1",), {}),
        (("Set-Cookie: ",), {}),
        *(((f"cache-control: {value}",), {}) for value in ("no-store", "private", "no-cache", "public, NO-STORE")),
        (('cache-control: private="set-cookie"',), {}),
        (('cache-control: x="a, private"',), {}),
        (("cache-control: max-age=1, must-revalidate",), {}),
        (("cache-control: proxy-revalidate",), {}),
        (("cache-control: public", "cache-control: no-store"), {}),
        (("vary: *",), {}),
        (("vary: accept, user-agent",), {}),
        (("vary: accept", "vary: user-agent"), {}),
    ],
)
def test_answers_that_are_not_kept(lines: tuple[str, ...], more: dict[str, Any]) -> None:
    """Errors, streams, and whatever is for one caller or for once."""
    _, decision = asked()
    assert good(answer(*lines, **more), decision) is None


def test_a_field_is_in_the_key_only_when_the_unit_came_from_it() -> None:
    """An answer that varies on a source of the unit which was not the one taken is not kept."""
    _, decision = asked(fields={"host": "h"})
    assert decision.unit_source == "query:user"
    assert good(answer("vary: x-user"), decision) is None


def test_age_and_request_id_are_not_kept() -> None:
    """The age that an answer came with is counted on; the id of the exchange it was for is another's."""
    _, decision = asked()
    kept = good(answer("Age: 30", "x-request-id: 1", "etag: 1", "age: x"), decision)
    assert kept is not None
    assert kept.lines == answer("etag: 1").forward
    assert kept.age == 30


PART = (
    st.none() | st.booleans() | st.binary(max_size=20) | st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
)
PARTS = st.recursive(PART, lambda inner: st.lists(inner, max_size=5), max_leaves=20)


@given(PARTS, PARTS)
def test_parts_never_run_together(one: Any, other: Any) -> None:
    """Different parts are written differently, however they are cut (one user's answer never reaches another)."""
    assert msgpack.decode(encode(one)) == one
    assert (encode(one) == encode(other)) == (repr(one) == repr(other))


TEXT = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=6)
FIELDS = st.dictionaries(
    st.sampled_from(["x-user", "x-tier", *(name.decode() for name in sorted(SELECTING))]), TEXT, max_size=6
)


@given(FIELDS, FIELDS, st.binary(max_size=4), st.binary(max_size=4))
def test_two_callers_share_a_key_only_if_nothing_tells_them_apart(
    one: dict[str, str], other: dict[str, str], body: bytes, body2: bytes
) -> None:
    """For any fields and bodies: the same key means the same unit, attributes, body and selecting fields."""
    first, second = (asked(target="/?user=7", fields={"host": "h", **fields}) for fields in (one, other))
    keys = key(first[0], body, first[1]), key(second[0], body2, second[1])
    assume(None not in keys)
    same = (
        first[1].unit == second[1].unit
        and first[1].unit_source == second[1].unit_source
        and (one.get("x-tier") or None) == (other.get("x-tier") or None)
        and body == body2
        and all(one.get(name.decode()) == other.get(name.decode()) for name in SELECTING)
    )
    assert (keys[0] == keys[1]) == same


def test_an_attribute_that_is_absent_is_not_one_that_is_empty() -> None:
    """What stands in the key for an absent attribute is no text that an attribute can have."""
    head, decision = asked()
    without = replace(decision, unit=None, unit_source=None)
    empty = replace(decision, unit="", unit_source="")
    assert len({key(head, b"", item) for item in (decision, without, empty)}) == 3
