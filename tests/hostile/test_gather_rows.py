"""The gather phase: a body is read to decide only as far as it may be, and what cannot be read is counted."""

import json

import pytest

from router import counters
from tests.harness import Proxy, Target, simple_yaml
from tests.hostile.wire import LOG_ALL, OK, assert_refused, head, post, post_chunked

ROUTE = "{name: all, target: t, inspect_bytes: 1KiB, unit: ['json:/user/id', 'header:x-user']}"


@pytest.fixture
def proxy(target: Target) -> Proxy:
    """A data plane whose unit is in the body, or in a header."""
    return Proxy(simple_yaml(target.url, routes=(ROUTE,)) + LOG_ALL)


def document(**more: object) -> bytes:
    """A body with a unit."""
    return json.dumps({"user": {"id": "u-1"}, **more}).encode()


def in_chunks(body: bytes, size: int = 5) -> bytes:
    """Write a body in chunks."""
    return (
        b"".join(
            b"%x\r\n%b\r\n" % (len(body[at : at + size]), body[at : at + size]) for at in range(0, len(body), size)
        )
        + b"0\r\n\r\n"
    )


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
@pytest.mark.parametrize("size", [1, 10, 10_000])
def test_unit_from_the_body(proxy: Proxy, target: Target, size: int, *, chunked: bool) -> None:
    """The unit is found in a JSON body, framed and cut in any way, and the body arrives unchanged (INTERFACES 2)."""
    body = document()
    request = post_chunked(in_chunks(body)) if chunked else post(body)
    target.answer(OK)
    with proxy, proxy.caller() as caller:
        for at in range(0, len(request), size):
            caller.send(request[at : at + size])
        assert caller.response().status == 200
        event = proxy.event()
        assert (event.unit, event.unit_source) == ("u-1", "json:/user/id")
    received = target.requests[0].partition(b"\r\n\r\n")[2]
    assert received == (in_chunks(body) if chunked else body)


def test_expect_continue_is_answered_to_gather(proxy: Proxy, target: Target) -> None:
    """A caller that waits for 100 gets it when the body is needed to decide, once (RFC 9110 10.1.1)."""
    body = document()
    target.answer(OK)
    with proxy, proxy.caller() as caller:
        caller.send(post(body, b"Expect: 100-continue")[: -len(body)])
        assert caller.response().status == 100
        assert proxy.connects() == 0
        caller.send(body)
        assert caller.response().status == 200
        assert proxy.event().unit == "u-1"


CASES = {
    "too large by length": (post(document(pad="x" * 2000)), "too_large"),
    "too large in chunks": (post_chunked(in_chunks(document(pad="x" * 2000), 500)), "too_large"),
    "encoded": (post(document(), b"Content-Encoding: gzip"), "encoded"),
    "not JSON": (post(b"user=u-1"), "invalid"),
    "half JSON": (post(b'{"user": {"id": '), "invalid"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_body_that_is_not_read(proxy: Proxy, target: Target, case: str) -> None:
    """A body too large, encoded or invalid counts as absent, and by cause; the next source serves (DESIGN 3)."""
    request, cause = CASES[case]
    request = request.replace(b"Host: h\r\n", b"Host: h\r\nX-User: h-1\r\n")
    target.answer(OK)
    with proxy, proxy.caller() as caller:
        caller.send(request)
        assert caller.response().status == 200
        event = proxy.event()
        assert (event.unit, event.unit_source) == ("h-1", "header:x-user")
        assert {name: proxy.gathered(name) for name in counters.GATHER_CAUSES if proxy.gathered(name)} == {cause: 1}
    assert target.requests[0].partition(b"\r\n\r\n")[2] == request.partition(b"\r\n\r\n")[2]


def test_a_body_that_is_too_large_is_streamed_on(proxy: Proxy, target: Target) -> None:
    """As soon as a body is larger than may be read, it goes through as it comes (DESIGN 3)."""
    with proxy, proxy.caller() as caller:
        caller.send(post_chunked(b"7d0\r\n" + b"x" * 2000 + b"\r\n"))
        connection = target.accept()
        connection.read_until(b"x" * 2000)
        caller.send(b"1\r\ny\r\n0\r\n\r\n")
        connection.read_until(b"0\r\n\r\n")
        connection.send(OK)
        assert caller.response().status == 200


def test_identity_is_no_encoding(proxy: Proxy, target: Target) -> None:
    """``Content-Encoding: identity`` does not keep a body from being read."""
    target.answer(OK)
    with proxy, proxy.caller() as caller:
        caller.send(post(document(), b"Content-Encoding: identity"))
        assert caller.response().status == 200
        assert proxy.event().unit == "u-1"


def test_a_request_without_a_body_has_no_unit_in_it(proxy: Proxy, target: Target) -> None:
    """A request without a body waits for none; without any unit it is counted (issue, item 4)."""
    target.answer(OK)
    with proxy, proxy.caller() as caller:
        caller.send(head())
        assert caller.response().status == 200
        assert proxy.event().unit is None
        assert proxy.word(counters.route_key("all"), counters.ROUTE_NO_UNIT) == 1


def test_a_bad_chunk_while_gathering(proxy: Proxy, target: Target) -> None:
    """A body that turns out malformed while it is gathered is refused, and nothing is forwarded (RFC 9112 7.1)."""
    with proxy:
        response = proxy.send(post_chunked(b"2\r\n{}\r\n"), b"zz\r\n")
        assert_refused(proxy, target, response, 400, "bad_chunk")


def test_a_body_over_the_limit_while_gathering(target: Target) -> None:
    """``limits.body_bytes`` holds while a body is gathered, too (RFC 9110 15.5.14)."""
    yaml = simple_yaml(target.url, server="limits: {body_bytes: 100B}", routes=(ROUTE,))
    with Proxy(yaml) as proxy, proxy.caller() as caller:
        caller.send(post_chunked(b"50\r\n" + b"x" * 80 + b"\r\n"))
        with proxy.held():
            pass
        caller.send(b"50\r\n" + b"x" * 80 + b"\r\n")
        assert_refused(proxy, target, caller.rest(), 413, "body_too_large")


def test_routes_are_matched_on_json(target: Target) -> None:
    """A route that matches on JSON is found by the body, whichever way it comes (INTERFACES 2)."""
    routes = (
        "{name: m1, target: t, match: {path: /infer, json: {/model: m-1}}}",
        "{name: all, target: t}",
    )
    target.answer(OK, times=3)
    with Proxy(simple_yaml(target.url, routes=routes) + LOG_ALL) as proxy, proxy.caller() as caller:
        for body in (b'{"model": "m-1"}', b'{"model": "m-2"}', b"not JSON"):
            caller.send(head(b"Content-Length: %d" % len(body), start=b"POST /infer HTTP/1.1"), body)
            assert caller.response().status == 200
        assert [event.route for event in proxy.log.events] == ["m1", "all", "all"]
