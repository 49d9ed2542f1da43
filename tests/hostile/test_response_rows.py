"""Answers of a target that cannot be trusted, or that parsers get wrong: what the caller gets, and what is reused.

Before the first byte to the caller a bad answer becomes a problem document; its connection is closed, and the caller's
goes on.
"""

import pytest

from tests.harness import Caller, Connection, Proxy, Target
from tests.hostile.wire import CHUNKED, OK, assert_fault, head, post

ID = b"X-Request-Id: r"


def ask(caller: Caller, target: Target, request: bytes | None = None) -> Connection:
    """Send a request, and return the target's connection after it has read it."""
    caller.send(head(ID) if request is None else request)
    connection = target.accept()
    connection.read_request()
    return connection


def ask_again(caller: Caller, connection: Connection, method: bytes = b"GET") -> None:
    """Send another request, and assert that it arrives on the same connection of the target and is in step."""
    caller.send(head(ID, start=method + b" /again HTTP/1.1"))
    assert connection.read_request().startswith(method + b" /again ")
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain")
    assert caller.response().body == b"again"


def ask_anew(caller: Caller, target: Target, connection: Connection) -> None:
    """Assert that the target's connection is closed, and that the next request goes on a new one."""
    assert connection.ended()
    fresh = ask(caller, target, head(ID, start=b"GET /anew HTTP/1.1"))
    fresh.send(OK)
    assert caller.response().body == b"ok"


BAD_HEADS = [
    pytest.param(answer, id=name)
    for name, answer in {
        "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/0.9": b"<html>hello</html>",
        "NUL": b"\x00\x00\x00",
        "TLS alert": b"\x15\x03\x01\x00\x02\x02\x46",
        "HTTP/2 settings": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
        "leading CRLF": b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "leading space": b" HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.2": b"HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "lower case": b"http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "no space": b"HTTP/1.1200 OK\r\nContent-Length: 2\r\n\r\nok",
        "two spaces": b"HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok",
        "status of letters": b"HTTP/1.1 abc OK\r\nContent-Length: 2\r\n\r\nok",
        "no status": b"HTTP/1.1\r\nContent-Length: 2\r\n\r\nok",
        "two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
        "four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok",
        "status 000": b"HTTP/1.1 000 OK\r\nContent-Length: 2\r\n\r\nok",
        "status 600": b"HTTP/1.1 600 OK\r\nContent-Length: 2\r\n\r\nok",
        "control in the reason": b"HTTP/1.1 200 O\x01K\r\nContent-Length: 2\r\n\r\nok",
        "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        "one bare LF": b"HTTP/1.1 200 OK\r\nX: y\nContent-Length: 2\r\n\r\nok",
        "bare CR": b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 2\r\n\r\nok",
        "NUL in a value": b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 2\r\n\r\nok",
        "DEL in a value": b"HTTP/1.1 200 OK\r\nX: a\x7fb\r\nContent-Length: 2\r\n\r\nok",
        "BEL in a value": b"HTTP/1.1 200 OK\r\nX: a\x07b\r\nContent-Length: 2\r\n\r\nok",
        "no colon": b"HTTP/1.1 200 OK\r\nX\r\nContent-Length: 2\r\n\r\nok",
        "empty name": b"HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 2\r\n\r\nok",
        "space in a name": b"HTTP/1.1 200 OK\r\nX Y: z\r\nContent-Length: 2\r\n\r\nok",
        "obs-fold": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
        "space before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
        "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        "length list": b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nok",
        "length with sign": b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
        "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
        "hex length": b"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nok",
        "empty length": b"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nok",
        "65-bit length": b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551618\r\n\r\nok",
        "length of letters": b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok",
        "length and coding": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "coding and length": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
        "gzip": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
        "gzip, chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "chunked, gzip": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        "identity": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nok",
        "two codings": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "two different codings": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
        "empty coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: \r\n\r\nok",
        "coding in 1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "unasked 101": b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "bare 101": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "1xx flood": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 100,
        "100 flood": b"HTTP/1.1 100 Continue\r\n\r\n" * 100,
        "head of 80 KiB": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 80_000 + b"\r\nContent-Length: 2\r\n\r\nok",
        "endless head": b"HTTP/1.1 200 OK\r\n" + b"X: aaaaaaaa\r\n" * 8_000,
        "bad first chunk": CHUNKED + b"zz\r\n",
        "chunk size with space": CHUNKED + b"2 \r\nok\r\n0\r\n\r\n",
        "overflowing chunk size": CHUNKED + b"10000000000000002\r\nok\r\n0\r\n\r\n",
        "chunk without CRLF": CHUNKED + b"2\r\nokok\r\n",
    }.items()
]


@pytest.mark.parametrize("answer", BAD_HEADS)
def test_an_answer_that_cannot_be_trusted(proxy: Proxy, target: Target, answer: bytes) -> None:
    """A malformed or ambiguous answer is 502 at once, its connection closed, the caller's kept (RFC 9112 6.1, 6.3)."""
    with proxy.caller() as caller:
        connection = ask(caller, target)
        connection.send(answer)
        response = caller.response()
        while response.status == 103:
            response = caller.response()
        assert_fault(proxy, response, 502, "malformed")
        assert str(target.port).encode() not in response.body
        ask_anew(caller, target, connection)


def test_few_interim_answers_before_the_final_one(proxy: Proxy, target: Target) -> None:
    """103 and 102 reach the caller, in order and without body framing; the final answer is intact (RFC 9110 15.2)."""
    with proxy.caller() as caller:
        connection = ask(caller, target)
        hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 3\r\n\r\n"
        connection.send(hints, b"HTTP/1.1 102 Processing\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n", OK)
        assert caller.response().head == b"HTTP/1.1 103 Early Hints\r\nLink: </a>"
        assert caller.response().head == b"HTTP/1.1 102 Processing"
        assert caller.response().body == b"ok"
        ask_again(caller, connection)


def test_interim_answers_in_one_packet_with_the_final_one(proxy: Proxy, target: Target) -> None:
    """The same, when all of it comes at once (RFC 9110 15.2)."""
    with proxy.caller() as caller:
        connection = ask(caller, target)
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" * 3 + OK)
        assert [caller.response().status for _ in range(4)] == [103, 103, 103, 200]
        ask_again(caller, connection)


def test_interim_answer_to_http_1_0(proxy: Proxy, target: Target) -> None:
    """A 1.0 caller, which would take a 1xx for the answer, gets only the final one (RFC 9110 15.2)."""
    with proxy.caller() as caller:
        connection = ask(caller, target, head(b"Connection: keep-alive", start=b"GET / HTTP/1.0"))
        connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", OK)
        response = caller.response()
        assert response.status == 200
        assert response.field(b"connection") == [b"keep-alive"]
        ask_again(caller, connection)


def test_interim_answer_and_then_the_end(proxy: Proxy, target: Target) -> None:
    """A 1xx is no answer: when nothing follows it, the caller gets 502 (RFC 9110 15.2)."""
    with proxy.caller() as caller:
        connection = ask(caller, target)
        connection.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        assert caller.response().status == 103
        connection.close()
        assert_fault(proxy, caller.response(), 502, "reset")


def test_head_with_content_length(proxy: Proxy, target: Target) -> None:
    """The length in an answer to HEAD announces no bytes: the next answer is not swallowed (RFC 9112 6.3)."""
    with proxy.caller() as caller:
        connection = ask(caller, target, head(ID, start=b"HEAD / HTTP/1.1"))
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        response = caller.response(bodiless=True)
        assert response.head == b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nx-request-id: r"
        ask_again(caller, connection)


def test_head_with_chunks_announced(proxy: Proxy, target: Target) -> None:
    """Nor does Transfer-Encoding in an answer to HEAD (RFC 9112 6.3)."""
    with proxy.caller() as caller:
        connection = ask(caller, target, head(ID, start=b"HEAD / HTTP/1.1"))
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert caller.response(bodiless=True).status == 200
        ask_again(caller, connection)


def test_head_without_framing(proxy: Proxy, target: Target) -> None:
    """An answer to HEAD needs no framing to be whole (RFC 9112 6.3)."""
    with proxy.caller() as caller:
        connection = ask(caller, target, head(ID, start=b"HEAD / HTTP/1.1"))
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
        assert caller.response(bodiless=True).status == 200
        ask_again(caller, connection)


@pytest.mark.parametrize(
    ("request_bytes", "answer"),
    [
        pytest.param(head(start=b"HEAD / HTTP/1.1"), b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", id="HEAD"),
        pytest.param(head(), b"HTTP/1.1 204 No Content\r\n\r\nbody", id="204"),
        pytest.param(head(), b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nbody", id="304"),
        pytest.param(head(), b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nbody", id="length 0"),
    ],
)
def test_body_where_there_is_none(proxy: Proxy, target: Target, request_bytes: bytes, answer: bytes) -> None:
    """A body on HEAD, 204 or 304 is discarded, and its connection not reused (RFC 9112 6.3)."""
    with proxy.caller() as caller:
        connection = ask(caller, target, request_bytes)
        connection.send(answer)
        assert caller.response(bodiless=True).status < 400
        ask_anew(caller, target, connection)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(OK + b"more", id="behind a length"),
        pytest.param(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", id="a second answer"),
        pytest.param(CHUNKED + b"2\r\nok\r\n0\r\n\r\nmore", id="behind chunks"),
        pytest.param(CHUNKED + b"2\r\nok\r\n0\r\nA: b\r\n\r\n\r\n", id="behind trailers"),
    ],
)
def test_bytes_beyond_the_framing(proxy: Proxy, target: Target, answer: bytes) -> None:
    """Bytes behind an answer reach nobody, and their connection is not reused (RFC 9112 6.3, 9.2)."""
    with proxy.caller() as caller:
        connection = ask(caller, target)
        connection.send(answer)
        response = caller.response()
        assert response.body in {b"ok", b"2\r\nok\r\n0\r\n\r\n"}
        ask_anew(caller, target, connection)


@pytest.mark.parametrize("field", [b"Content-Length: 0", b"Content-Length: 5", b"Transfer-Encoding: chunked"])
def test_204_with_framing(proxy: Proxy, target: Target, field: bytes) -> None:
    """Framing fields of a 204 are stripped (RFC 9110 8.6, RFC 9112 6.1)."""
    with proxy.caller() as caller:
        connection = ask(caller, target)
        connection.send(b"HTTP/1.1 204 No Content\r\nA: b\r\n%b\r\n\r\n" % field)
        assert caller.response().head == b"HTTP/1.1 204 No Content\r\nA: b\r\nx-request-id: r"
        ask_again(caller, connection)


def test_304_keeps_its_length(proxy: Proxy, target: Target) -> None:
    """The length of a 304 is that of the unsent representation, and stays (RFC 9110 8.6)."""
    with proxy.caller() as caller:
        connection = ask(caller, target)
        connection.send(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\nETag: x\r\n\r\n")
        assert caller.response().field(b"content-length") == [b"77"]
        ask_again(caller, connection)


@pytest.mark.parametrize(
    ("answer", "reused"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", True),
        (b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", False),
        (b"HTTP/1.1 200 OK\r\nConnection: x, ClOsE\r\nContent-Length: 2\r\n\r\nok", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", False),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok", True),
        (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", True),
        (b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", False),
    ],
)
def test_connection_is_reused_only_when_the_target_agrees(
    proxy: Proxy, target: Target, answer: bytes, *, reused: bool
) -> None:
    """A connection carries another request only where version and Connection say so (RFC 9112 9.3)."""
    with proxy.caller() as caller:
        connection = ask(caller, target)
        connection.send(answer)
        response = caller.response()
        assert response.status == 200
        assert response.head.startswith(b"HTTP/1.1 ")
        assert response.field(b"connection") == []
        if reused:
            ask_again(caller, connection)
        else:
            ask_anew(caller, target, connection)


@pytest.mark.parametrize(
    ("body", "content"),
    [
        (b"0\r\n\r\n", b""),
        (b"2\r\nok\r\n0\r\n\r\n", b"ok"),
        (b"2;a=b\r\nok\r\n3\r\n\r\nx\r\n0;c\r\nA: b\r\n\r\n", b"ok\r\nx"),
    ],
)
@pytest.mark.parametrize("connection_field", [b"keep-alive", b"close"])
def test_chunks_to_http_1_0(proxy: Proxy, target: Target, body: bytes, content: bytes, connection_field: bytes) -> None:
    """A 1.0 caller, which knows no chunks, gets the content and then the end (RFC 9112 7.1)."""
    with proxy.caller() as caller:
        connection = ask(caller, target, head(b"Connection: " + connection_field, start=b"GET / HTTP/1.0"))
        connection.send(CHUNKED, body[:4], body[4:])
        top, _, received = caller.rest().partition(b"\r\n\r\n")
        assert received == content
        assert b"transfer-encoding" not in top.lower()
        assert b"\r\nconnection: close" in top


def test_http_1_0_caller_that_does_not_keep_alive(proxy: Proxy, target: Target) -> None:
    """A 1.0 caller that does not ask to stay gets its answer and the end (RFC 9112 9.3)."""
    with proxy.caller() as caller:
        ask(caller, target, head(start=b"GET / HTTP/1.0")).send(OK)
        response = caller.rest()
        assert response.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"\r\nconnection: close\r\n" in response
        assert response.endswith(b"\r\n\r\nok")


def test_close_delimited_response(proxy: Proxy, target: Target) -> None:
    """A body that ends with the connection is given chunks, so that its end can be told from a cut (RFC 9112 6.3)."""
    with proxy.caller() as caller:
        connection = ask(caller, target)
        connection.send(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n", b"hello ")
        assert caller.read_until(b"\r\n\r\n").count(b"transfer-encoding: chunked") == 1
        caller.read_until(b"hello \r\n")
        connection.send(b"world")
        caller.read_until(b"world\r\n")
        connection.close()
        assert caller.read_until(b"\r\n\r\n") == b"0\r\n\r\n"
        ask(caller, target).send(OK)
        assert caller.response().body == b"ok"
    assert proxy.all_faults() == {}


def test_close_delimited_response_to_http_1_0(proxy: Proxy, target: Target) -> None:
    """To a 1.0 caller such a body ends as it came (RFC 9112 6.3)."""
    with proxy.caller() as caller:
        connection = ask(caller, target, head(b"Connection: keep-alive", start=b"GET / HTTP/1.0"))
        connection.send(b"HTTP/1.0 200 OK\r\n\r\nhello")
        connection.close()
        top, _, body = caller.rest().partition(b"\r\n\r\n")
        assert body == b"hello"
        assert b"transfer-encoding" not in top


def test_close_delimited_response_without_content(proxy: Proxy, target: Target) -> None:
    """A head and then the end is an empty body (RFC 9112 6.3)."""
    with proxy.caller() as caller:
        connection = ask(caller, target)
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
        connection.close()
        assert caller.response().body == b"0\r\n\r\n"


RESPONSES = [
    pytest.param(response, expected, id=name)
    for name, (response, expected) in {
        "length": (OK, [(200, b"ok")]),
        "chunks with extension and trailers": (
            CHUNKED + b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
            [(200, b"5\r\nhello\r\n0\r\n\r\n")],
        ),
        "1xx and final": (
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK,
            [(103, b""), (200, b"ok")],
        ),
        "204": (b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", [(204, b"")]),
    }.items()
]


@pytest.mark.parametrize(("answer", "expected"), RESPONSES)
def test_response_split_at_every_byte(
    proxy: Proxy, target: Target, answer: bytes, expected: list[tuple[int, bytes]]
) -> None:
    """An answer cut in two at any byte is the same answer (RFC 9112 2.2)."""
    with proxy.caller() as caller:
        connection: Connection | None = None
        for at in range(1, len(answer)):
            caller.send(head())
            connection = connection or target.accept()
            connection.read_request()
            connection.send(answer[:at])
            with proxy.held():
                pass  # the router has read the first part
            connection.send(answer[at:])
            received = [caller.response() for _ in expected]
            assert [(response.status, response.body) for response in received] == expected, at
    assert proxy.connects() == 1


@pytest.mark.parametrize(
    "chunk", [b"zz\r\n", b"3 \r\nabc\r\n", b"\r\n", b"3\r\nabcd\r\n", b"-1\r\n", b"0\r\nbad\r\n\r\n"]
)
def test_bad_chunk_after_good_ones(proxy: Proxy, target: Target, chunk: bytes) -> None:
    """A response that turns out malformed is cut, and never ended cleanly (RFC 9112 7.1, 8)."""
    with proxy.caller() as caller:
        connection = ask(caller, target)
        connection.send(CHUNKED, b"2\r\nok\r\n")
        caller.read_until(b"2\r\nok\r\n")
        connection.send(chunk)
        assert not caller.rest().endswith(b"0\r\n\r\n")
        assert connection.ended()
    assert proxy.all_faults() == {"malformed": 1}
    event = proxy.event()
    assert (event.status, event.outcome_fault, event.failed) == (200, "malformed", True)


def test_a_post_is_not_sent_again_after_a_bad_answer(proxy: Proxy, target: Target) -> None:
    """A garbage answer to a POST is one attempt, not two (RFC 9110 9.2.2)."""
    with proxy.caller() as caller:
        connection = ask(caller, target, post(b"pay"))
        connection.send(b"garbage")
        assert caller.response().status == 502
        assert not target.pending()
    assert proxy.event().attempts == 1
