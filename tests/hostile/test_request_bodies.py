"""Bodies of requests: chunks, trailers, lengths, expectations, and what the target gets when one goes wrong."""

import pytest

from tests.harness import Proxy, Target, simple_yaml
from tests.hostile.wire import (
    OK,
    SMUGGLED,
    assert_aborted,
    assert_problem,
    assert_refused,
    assert_untouched,
    head,
    post,
    post_chunked,
    sent_on,
)  # fmt: skip

ID = b"X-Request-Id: r"

BAD_CHUNKS = [
    pytest.param(body, id=name)
    for name, body in {
        "empty size": b"\r\nhello\r\n",
        "size not hex": b"g\r\nhello\r\n",
        "0x": b"0x5\r\nhello\r\n",
        "plus": b"+5\r\nhello\r\n",
        "minus": b"-5\r\nhello\r\n",
        "underscore": b"1_0\r\nhello\r\n",
        "space before": b" 5\r\nhello\r\n",
        "space behind": b"5 \r\nhello\r\n",
        "tab before": b"\t5\r\nhello\r\n",
        "tab behind": b"5\t\r\nhello\r\n",
        "space within": b"5 0\r\nhello\r\n",
        "Unicode digit": "\u0665\r\nhello\r\n".encode(),
        "superscript": b"\xb5\r\nhello\r\n",
        "NUL": b"5\x00\r\nhello\r\n",
        "vertical tab": b"5\x0b\r\nhello\r\n",
        "dot": b"5.\r\nhello\r\n",
        "65 bits": b"10000000000000005\r\nhello\r\n",
        "many digits": b"f" * 100 + b"\r\nhello\r\n",
        "many zeros": b"0" * 100 + b"5\r\nhello\r\n",
        "LF behind size": b"5\nhello\r\n",
        "CR behind size": b"5\rhello\r\n",
        "LF CR behind size": b"5\n\rhello\r\n",
        "two CR": b"5\r\r\nhello\r\n",
        "comma": b"5,\r\nhello\r\n",
        "equals": b"5=a\r\nhello\r\n",
        "spill": b"5\r\nhelloworld\r\n",
        "no CRLF behind data": b"5\r\nhello0\r\n\r\n",
        "LF behind data": b"5\r\nhello\n0\r\n\r\n",
        "CR behind data": b"5\r\nhello\r0\r\n\r\n",
        "LF CR behind data": b"5\r\nhello\n\r0\r\n\r\n",
        "space behind data": b"5\r\nhello \r\n",
        "bare LF in an extension": b"5;a\nb\r\nhello\r\n",
        "bare CR in an extension": b"5;a\rb\r\nhello\r\n",
        "NUL in an extension": b"5;a\x00\r\nhello\r\n",
        "DEL in an extension": b"5;a\x7f\r\nhello\r\n",
        "LF in a quoted extension": b'5;a="\n"\r\nhello\r\n',
        "long extension": b"5;" + b"a" * 5000 + b"\r\nhello\r\n",
        "many extensions": b"1;" + b"a" * 1000 + b"\r\nh\r\n" + (b"1;" + b"a" * 1000 + b"\r\nh\r\n") * 20,
        "LF behind last chunk": b"0\n\n",
        "LF ends the body": b"0\r\n\n",
        "trailer without colon": b"0\r\nabc\r\n\r\n",
        "trailer without name": b"0\r\n: a\r\n\r\n",
        "space before a trailer's colon": b"0\r\nA : b\r\n\r\n",
        "folded trailer": b"0\r\nA: b\r\n c\r\n\r\n",
        "bare LF in a trailer": b"0\r\nA: b\nC: d\r\n\r\n",
        "bare CR in a trailer": b"0\r\nA: b\rC: d\r\n\r\n",
        "NUL in a trailer": b"0\r\nA: \x00\r\n\r\n",
        "request instead of trailers": b"0\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n",
        "long trailer": b"0\r\nA: " + b"b" * 20000 + b"\r\n\r\n",
        "many trailers": b"0\r\n" + b"A: bbbbbbbbbb\r\n" * 2000 + b"\r\n",
    }.items()
]


@pytest.mark.parametrize("body", BAD_CHUNKS)
def test_bad_chunk_with_the_head(proxy: Proxy, target: Target, body: bytes) -> None:
    """A malformed chunked body that comes with its head is refused before anything is forwarded (RFC 9112 7.1, 8)."""
    assert_refused(proxy, target, proxy.send(post_chunked(body) + SMUGGLED), 400, "bad_chunk")


@pytest.mark.parametrize("body", BAD_CHUNKS)
def test_bad_chunk_after_good_ones(proxy: Proxy, target: Target, body: bytes) -> None:
    """A body that turns out malformed aborts the request at the target before its end (RFC 9112 7.1, 8)."""
    with proxy.caller() as caller:
        caller.send(post_chunked(b"3\r\nabc\r\n", ID))
        connection = target.accept()
        connection.read_until(b"abc\r\n")
        caller.send(body)
        assert_problem(caller.rest(), 400, "bad_chunk")
    received = assert_aborted(connection)
    assert received.startswith(
        sent_on(b"POST / HTTP/1.1", b"Host: h", ID, b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\n")
    )
    assert proxy.refusals() == {"bad_chunk": 1}
    assert proxy.all_faults() == {}
    assert not target.pending()


GOOD_CHUNKS = [
    pytest.param(body, passed, id=name)
    for name, (body, passed) in {
        "empty": (b"0\r\n\r\n", b"0\r\n\r\n"),
        "one": (b"5\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
        "upper-case hex": (b"A\r\n0123456789\r\n0\r\n\r\n", b"A\r\n0123456789\r\n0\r\n\r\n"),
        "zeros": (b"0005\r\nhello\r\n000\r\n\r\n", b"0005\r\nhello\r\n000\r\n\r\n"),
        "extension": (b"5;a\r\nhello\r\n0;b=c\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
        "extension with space": (b"5 ; a = b\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
        "quoted extension": (b'5;a="b;c\\"d"\r\nhello\r\n0\r\n\r\n', b"5\r\nhello\r\n0\r\n\r\n"),
        "trailers": (b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nB:\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
        "forbidden trailers": (
            b"1\r\na\r\n0\r\nHost: evil\r\nContent-Length: 9\r\nX-User-Id: forged\r\n\r\n",
            b"1\r\na\r\n0\r\n\r\n",
        ),
        "CRLF in data": (b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"4\r\n\r\n\r\n\r\n0\r\n\r\n"),
        "last chunk in data": (b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"5\r\n0\r\n\r\n\r\n0\r\n\r\n"),
    }.items()
]


@pytest.mark.parametrize(("body", "passed"), GOOD_CHUNKS)
def test_valid_chunks(proxy: Proxy, target: Target, body: bytes, passed: bytes) -> None:
    """Valid chunks pass as they are; extensions and trailers are dropped, never merged (RFC 9112 7.1.1, 7.1.2)."""
    with proxy.caller() as caller:
        caller.send(post_chunked(body, ID))
        expected = sent_on(b"POST / HTTP/1.1", b"Host: h", ID, b"Transfer-Encoding: chunked", body=passed)
        connection = target.accept()
        while len(connection.received) < len(expected):
            connection._more()
        assert connection.received == expected
        connection.send(OK)
        assert caller.response().body == b"ok"


@pytest.mark.parametrize(("body", "passed"), GOOD_CHUNKS)
def test_valid_chunks_in_single_bytes(proxy: Proxy, target: Target, body: bytes, passed: bytes) -> None:
    """However a chunked body is cut into packets, the target gets the same bytes (RFC 9112 7.1)."""
    target.answer(OK)
    with proxy.caller() as caller:
        for byte in post_chunked(body, ID):
            caller.send(bytes([byte]))
        assert caller.response().status == 200
    expected = sent_on(b"POST / HTTP/1.1", b"Host: h", ID, b"Transfer-Encoding: chunked", body=passed)
    assert expected.startswith(target.requests[0])


MESSAGES = [
    pytest.param(request, expected, id=name)
    for name, (request, expected) in {
        "length": (
            post(b"hello", ID),
            sent_on(b"POST / HTTP/1.1", b"Host: h", ID, b"Content-Length: 5", body=b"hello"),
        ),
        "chunks with extension and trailers": (
            post_chunked(b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n", ID),
            sent_on(b"POST / HTTP/1.1", b"Host: h", ID, b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n"),
        ),
        "no body, empty line before": (b"\r\n" + head(ID), sent_on(b"GET / HTTP/1.1", b"Host: h", ID)),
    }.items()
]


@pytest.mark.parametrize(("request_bytes", "expected"), MESSAGES)
def test_request_split_at_every_byte(proxy: Proxy, target: Target, request_bytes: bytes, expected: bytes) -> None:
    """A request cut in two at any byte is the same request (RFC 9112 2.2)."""
    target.answer(OK, times=len(request_bytes) - 1)
    with proxy.caller() as caller:
        for at in range(1, len(request_bytes)):
            with proxy.held():
                pass  # the router has read all before
            caller.send(request_bytes[:at])
            with proxy.held():
                pass
            caller.send(request_bytes[at:])
            assert caller.response().status == 200
            assert target.requests[-1] == expected, at


@pytest.mark.parametrize("split", [False, True], ids=["at once", "head first"])
def test_content_length_over_the_limit(target: Target, split: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """A length beyond ``limits.body_bytes`` is 413 before a byte is forwarded (RFC 9110 15.5.14)."""
    with Proxy(simple_yaml(target.url, server="limits: {body_bytes: 1KiB}")) as proxy:
        request = post(b"x" * 1025)
        with proxy.caller() as caller:
            if split:
                caller.send(request[:-1025])
            else:
                caller.send(request)
            assert_refused(proxy, target, caller.rest(), 413, "body_too_large")


def test_content_length_at_the_limit(target: Target) -> None:
    """A body of exactly ``limits.body_bytes`` is carried."""
    target.answer(OK)
    with Proxy(simple_yaml(target.url, server="limits: {body_bytes: 1KiB}")) as proxy, proxy.caller() as caller:
        caller.send(post(b"x" * 1024))
        assert caller.response().status == 200
    assert target.requests[0].endswith(b"x" * 1024)


def test_chunks_over_the_limit(target: Target) -> None:
    """Chunks beyond ``limits.body_bytes`` are 413, and the request at the target is never complete (RFC 9112 8)."""
    with Proxy(simple_yaml(target.url, server="limits: {body_bytes: 1KiB}")) as proxy, proxy.caller() as caller:
        caller.send(post_chunked(b"400\r\n" + b"x" * 1024 + b"\r\n"))
        connection = target.accept()
        connection.read_until(b"x" * 1024)
        caller.send(b"1\r\nx\r\n0\r\n\r\n")
        assert_problem(caller.rest(), 413, "body_too_large")
        assert_aborted(connection)
        assert proxy.refusals() == {"body_too_large": 1}


def test_a_chunk_over_the_limit_with_the_head(target: Target) -> None:
    """A first chunk beyond the limit is refused before anything is forwarded (RFC 9110 15.5.14)."""
    with Proxy(simple_yaml(target.url, server="limits: {body_bytes: 1KiB}")) as proxy:
        response = proxy.send(post_chunked(b"401\r\n" + b"x" * 1025))
        assert_refused(proxy, target, response, 413, "body_too_large")


def test_expect_continue(proxy: Proxy, target: Target) -> None:
    """A caller that waits for 100 gets it, and its body follows; the target never hears of it (RFC 9110 10.1.1)."""
    request = post(b"hello", ID, b"Expect: 100-Continue")
    with proxy.caller() as caller:
        caller.send(request[:-5])
        assert caller.response() == (100, b"HTTP/1.1 100 Continue", b"")
        connection = target.accept()
        caller.send(b"hello")
        received = connection.read_request()
        connection.send(OK)
        assert caller.response().status == 200
    assert received == sent_on(b"POST / HTTP/1.1", b"Host: h", ID, b"Content-Length: 5", body=b"hello")


def test_expect_continue_with_the_body_at_once(proxy: Proxy, target: Target) -> None:
    """A caller that does not wait needs no 100 (RFC 9110 10.1.1)."""
    target.answer(OK)
    with proxy.caller() as caller:
        caller.send(post(b"hello", b"Expect: 100-continue"))
        assert caller.response().status == 200


def test_expect_continue_from_http_1_0(proxy: Proxy, target: Target) -> None:
    """The expectation of a 1.0 caller is ignored: it would not understand a 100 (RFC 9110 10.1.1)."""
    target.answer(OK)
    with proxy.caller() as caller:
        caller.send(head(b"Expect: 100-continue", b"Content-Length: 5", start=b"POST / HTTP/1.0"))
        caller.send(b"hello")
        assert caller.response().status == 200


def test_expect_without_a_body(proxy: Proxy, target: Target) -> None:
    """There is nothing to continue with where no body is announced (RFC 9110 10.1.1)."""
    target.answer(OK)
    with proxy.caller() as caller:
        caller.send(head(b"Expect: 100-continue"))
        assert caller.response().status == 200


def test_the_targets_100_is_not_a_second_one(proxy: Proxy, target: Target) -> None:
    """The router has said 100 itself: the target's is not passed on (RFC 9110 15.2.1)."""
    with proxy.caller() as caller:
        caller.send(post(b"hello", b"Expect: 100-continue")[:-5])
        assert caller.response().status == 100
        connection = target.accept()
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        caller.send(b"hello")
        connection.read_request()
        connection.send(OK)
        assert caller.response().status == 200


def test_early_final_answer_to_an_expectation(proxy: Proxy, target: Target) -> None:
    """A final answer before the body is delivered at once; the late body is thrown away (RFC 9110 10.1.1)."""
    with proxy.caller() as caller:
        caller.send(post(b"hello", b"Expect: 100-continue")[:-5])
        assert caller.response().status == 100
        connection = target.accept()
        connection.read_until(b"\r\n\r\n")
        connection.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
        response = caller.response()
        assert response.status == 413
        assert response.field(b"connection") == [b"close"]
        caller.send(b"hello" + SMUGGLED)
        assert caller.rest() == b""
    assert connection.ended()
    assert not target.pending()


def test_early_final_answer_during_upload(proxy: Proxy, target: Target) -> None:
    """An answer during the upload is delivered at once, and neither connection is used again (RFC 9112 9.3, 9.5)."""
    with proxy.caller() as caller:
        caller.send(head(b"Content-Length: 100000", start=b"POST / HTTP/1.1") + b"x" * 1000)
        connection = target.accept()
        connection.read_until(b"xxx")
        connection.send(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")
        response = caller.response()
        assert (response.status, response.body) == (401, b"no")
        assert response.field(b"connection") == [b"close"]
        assert caller.rest() == b""
    assert connection.ended()
    target.answer(OK)
    with proxy.caller() as caller:
        caller.send(head())
        assert caller.response().status == 200
    assert proxy.connects() == 2


def test_early_answer_that_goes_on_while_the_upload_does(proxy: Proxy, target: Target) -> None:
    """Both directions flow at once: an echo in lockstep reaches the end of both (RFC 9112 9.3)."""
    with proxy.caller() as caller:
        caller.send(head(b"Transfer-Encoding: chunked", start=b"POST / HTTP/1.1"))
        connection = target.accept()
        connection.read_until(b"\r\n\r\n")
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        caller.read_until(b"\r\n\r\n")
        for index in range(5):
            chunk = b"1\r\n%d\r\n" % index
            caller.send(chunk)
            connection.read_until(chunk)
            connection.send(chunk)
            caller.read_until(chunk)
        caller.send(b"0\r\n\r\n")
        connection.read_until(b"0\r\n\r\n")
        connection.send(b"0\r\n\r\n")
        assert caller.rest() == b"0\r\n\r\n"


def test_bad_chunk_during_an_early_answer(proxy: Proxy, target: Target) -> None:
    """When the upload turns out malformed under an answer that has begun, both are cut (RFC 9112 8)."""
    with proxy.caller() as caller:
        caller.send(post_chunked(b"1\r\na\r\n"))
        connection = target.accept()
        connection.read_until(b"a\r\n")
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
        caller.read_until(b"ok\r\n")
        caller.send(b"zz\r\n")
        assert caller.rest() == b""
    assert_aborted(connection)


def test_a_body_that_no_route_wants(target: Target) -> None:
    """A request that no route matches is 404; its body is not taken for a request (RFC 9112 9.3)."""
    yaml = simple_yaml(target.url, routes=("{name: all, target: t, match: {path: /v2}}",))
    with Proxy(yaml) as proxy:
        response = proxy.send(head(b"Content-Length: 1000", start=b"POST / HTTP/1.1") + SMUGGLED)
        assert_problem(response, 404, "no_route")
        assert_untouched(proxy, target)


def test_no_route_keeps_the_connection(target: Target) -> None:
    """After a 404 for a request that was read whole, the connection carries the next (RFC 9112 9.3)."""
    target.answer(OK)
    yaml = simple_yaml(target.url, routes=("{name: all, target: t, match: {path: /v2}}",))
    with Proxy(yaml) as proxy, proxy.caller() as caller:
        caller.send(head())
        assert caller.response().status == 404
        caller.send(head(start=b"GET /v2 HTTP/1.1"))
        assert caller.response().status == 200
        assert proxy.refusals() == {"no_route": 1}
