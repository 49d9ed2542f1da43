"""Each way a target can misbehave, for each kind of request, looked at from both sides.

What reached the target is one request, byte for byte, and then the end of its connection; what reached the caller is a
problem document on a connection that goes on, or an answer that is visibly cut. Nothing is tried twice.
"""

import contextlib
import itertools
from collections.abc import Callable
from typing import NamedTuple

import pytest
from msgspec import json

from tests.harness import Caller, Connection, Proxy, Target, simple_yaml, status_of, wait_until
from tests.hostile.wire import CHUNKED, LOG_ALL, OK, SMUGGLED, head, sent_on

ID = b"X-Request-Id: r"
HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
TIMEOUTS = "timeouts: {first_byte: 300ms, idle: 300ms, total: 1500ms}"


class Kind(NamedTuple):
    """A request, and what a target gets of it."""

    request: bytes
    received: bytes


KINDS = {
    "GET": Kind(head(ID), sent_on(b"GET / HTTP/1.1", b"Host: h", ID)),
    "POST with a length": Kind(
        head(ID, b"Content-Length: 3", start=b"POST / HTTP/1.1") + b"pay",
        sent_on(b"POST / HTTP/1.1", b"Host: h", ID, b"Content-Length: 3", body=b"pay"),
    ),
    "POST in chunks": Kind(
        head(ID, b"Transfer-Encoding: chunked", start=b"POST / HTTP/1.1") + b"3;x=y\r\npay\r\n0\r\nA: b\r\n\r\n",
        sent_on(b"POST / HTTP/1.1", b"Host: h", ID, b"Transfer-Encoding: chunked", body=b"3\r\npay\r\n0\r\n\r\n"),
    ),
}


def say(*chunks: bytes) -> Callable[[Connection], None]:
    """Send some bytes, and leave the connection open."""
    return lambda connection: connection.send(*chunks)


def close_after(*chunks: bytes) -> Callable[[Connection], None]:
    """Send some bytes, and close."""

    def act(connection: Connection) -> None:
        connection.send(*chunks)
        connection.close()

    return act


def reset_after(*chunks: bytes) -> Callable[[Connection], None]:
    """Send some bytes, and reset."""

    def act(connection: Connection) -> None:
        connection.send(*chunks)
        connection.reset()

    return act


def trickle(begin: bytes, pieces: bytes) -> Callable[[Connection], None]:
    """Send bytes one by one, without an end, until the router ends the connection."""

    def act(connection: Connection) -> None:
        connection.send(begin)
        endless = itertools.cycle(pieces)
        connection.socket.setblocking(False)

        def ended() -> bool:
            connection.send(bytes([next(endless)]))
            with contextlib.suppress(BlockingIOError):
                return connection.socket.recv(1) == b""
            return False

        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            wait_until(ended, "the end of the connection")
        connection.socket.setblocking(True)
        connection.socket.settimeout(5)

    return act


class Case(NamedTuple):
    """What a target does, the status that comes of it, and the fault that is counted."""

    act: Callable[[Connection], None]
    status: int
    fault: str


CASES = {
    "closes at once": Case(close_after(), 502, "reset"),
    "resets at once": Case(reset_after(), 502, "reset"),
    "closes within the head": Case(close_after(b"HTTP/1.1 200 OK\r\nContent-"), 502, "reset"),
    "resets within the head": Case(reset_after(b"HTTP/1.1 200 OK\r\nContent-"), 502, "reset"),
    "hangs": Case(say(), 504, "timeout_first_byte"),
    "hangs within the head": Case(say(b"HTTP/1.1 200 OK\r\nContent-"), 504, "timeout_first_byte"),
    "hangs after a hint": Case(say(HINT), 504, "timeout_first_byte"),
    "trickles a head": Case(trickle(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"), 504, "timeout_first_byte"),
    "floods hints": Case(say(HINT * 100), 502, "malformed"),
    "floods 100": Case(say(b"HTTP/1.1 100 Continue\r\n\r\n" * 100), 502, "malformed"),
    "floods fields": Case(say(b"HTTP/1.1 200 OK\r\n" + b"X: aaaaaaaa\r\n" * 8000), 502, "malformed"),
    "floods one field": Case(say(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 80_000), 502, "malformed"),
    "says garbage": Case(say(b"\x15\x03\x01\x00\x02\x02\x46"), 502, "malformed"),
    "begins with a bad chunk": Case(say(CHUNKED + b"zz\r\n"), 502, "malformed"),
}
HELLO = CHUNKED + b"5\r\nhello\r\n"
OPEN = b"HTTP/1.1 200 OK\r\n\r\nhello"
# What the caller has got before the rest happens, and the rest.
CUT = {
    "closes in a length": (LENGTH + b"hello", Case(close_after(), 200, "truncated")),
    "resets in a length": (LENGTH + b"hello", Case(reset_after(), 200, "truncated")),
    "closes before its length": (LENGTH, Case(close_after(), 200, "truncated")),
    "closes within a chunk": (CHUNKED + b"5\r\nhel", Case(close_after(), 200, "truncated")),
    "closes between chunks": (HELLO, Case(close_after(), 200, "truncated")),
    "resets between chunks": (HELLO, Case(reset_after(), 200, "truncated")),
    "closes within trailers": (HELLO, Case(close_after(b"0\r\nA: b\r\n"), 200, "truncated")),
    "resets where it could end": (OPEN, Case(reset_after(), 200, "truncated")),
    "hangs in a length": (LENGTH + b"hello", Case(say(), 200, "timeout_idle")),
    "hangs between chunks": (HELLO, Case(say(), 200, "timeout_idle")),
    "hangs where it could end": (OPEN, Case(say(), 200, "timeout_idle")),
    "trickles a body": (CHUNKED, Case(trickle(b"", b"1\r\nx\r\n"), 200, "timeout_total")),
    "follows with a bad chunk": (HELLO, Case(say(b"zz\r\n"), 200, "malformed")),
    "follows with a bad trailer": (HELLO, Case(say(b"0\r\nA b\r\n\r\n"), 200, "malformed")),
}


def ask(target: Target, caller: Caller, kind: Kind) -> Connection:
    """Ask, and assert what the target got."""
    caller.send(kind.request)
    connection = target.accept()
    assert connection.read_request() == kind.received
    return connection


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES)
def test_a_target_that_misbehaves_before_its_answer(target: Target, kind: str, case: str) -> None:
    """The caller gets one problem document and goes on; the target got the request once, and then the end."""
    with Proxy(simple_yaml(target.url, TIMEOUTS) + LOG_ALL) as proxy, proxy.caller() as caller:
        connection = ask(target, caller, KINDS[kind])
        CASES[case].act(connection)
        response = caller.response()
        hints = 0
        while response.status == 103:
            hints += 1
            response = caller.response()
        assert hints <= 16
        assert response.status == CASES[case].status
        assert response.field(b"content-type") == [b"application/problem+json"]
        assert response.field(b"connection") == []
        assert b"127.0.0.1" not in response.body
        if connection.socket.fileno() >= 0:
            assert connection.read_to_end() == b""
        assert not target.pending()
        assert proxy.event().attempts == 1
        assert proxy.all_faults() == {CASES[case].fault: 1}
        target.answer(OK)
        caller.send(head())
        assert caller.response().body == b"ok"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CUT)
def test_a_target_that_misbehaves_within_its_answer(target: Target, kind: str, case: str) -> None:
    """The caller sees that the answer is cut, and its connection ends; the target got the request once, and the end."""
    with Proxy(simple_yaml(target.url, TIMEOUTS) + LOG_ALL) as proxy, proxy.caller() as caller:
        begin, (act, _, fault) = CUT[case]
        connection = ask(target, caller, KINDS[kind])
        connection.send(begin)
        top = caller.read_until(b"\r\n\r\n")
        act(connection)
        body = caller.rest()
        assert status_of(top) == 200
        if b"transfer-encoding: chunked" in top.lower():
            assert not body.endswith(b"0\r\n\r\n")
        else:
            assert len(body) < 10
        if connection.socket.fileno() >= 0:
            assert connection.read_to_end() == b""
        assert not target.pending()
        event = proxy.event()
        assert (event.attempts, event.outcome_fault, event.failed) == (1, fault, True)
        assert proxy.all_faults() == {fault: 1}


@pytest.mark.parametrize("framing", [b"Content-Length: 1000", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("then", ["keeps reading", "closes", "resets"])
def test_a_target_that_answers_before_the_upload_ends(target: Target, framing: bytes, then: str) -> None:
    """The answer is delivered at once and whole; the upload never looks whole, and neither side is used again."""
    part = b"5\r\nhello\r\n" if b"chunked" in framing else b"hello"
    with Proxy(simple_yaml(target.url) + LOG_ALL) as proxy, proxy.caller() as caller:
        caller.send(head(ID, framing, start=b"POST / HTTP/1.1"), part)
        connection = target.accept()
        expected = sent_on(b"POST / HTTP/1.1", b"Host: h", ID, framing, body=part)
        connection.read_until(expected)
        connection.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        response = caller.response()
        assert (response.status, response.body, response.field(b"connection")) == (413, b"no", [b"close"])
        if then == "keeps reading":
            assert connection.read_to_end() == expected
        else:
            getattr(connection, then.removesuffix("s"))()
        with contextlib.suppress(OSError):
            caller.send(part, SMUGGLED)
        assert caller.rest() == b""
        assert not target.pending()
        assert proxy.event().attempts == 1
        assert proxy.all_faults() == {}


def test_a_redirect_is_passed_on_and_never_followed(proxy: Proxy, target: Target) -> None:
    """Where a target sends a caller is for the caller to go: the router makes no connection to it (hardening 2.3)."""
    with Target() as elsewhere, proxy.caller() as caller:
        location = b"Location: %b/secret" % elsewhere.url.encode()
        target.answer(b"HTTP/1.1 302 Found\r\n%b\r\nContent-Length: 0\r\n\r\n" % location)
        caller.send(head())
        response = caller.response()
        assert response.status == 302
        assert location in response.head
        assert not elsewhere.pending()
        assert proxy.connects() == 1


@pytest.mark.parametrize("path", [b"/v1/revision", b"/metrics", b"/v1/config", b"/readyz"])
def test_the_data_port_knows_no_admin_path(proxy: Proxy, target: Target, path: bytes) -> None:
    """What the admin API answers is out of callers' reach: such a path is a target's like any other (hardening 2.3)."""
    target.answer(OK)
    with proxy.caller() as caller:
        caller.send(head(start=b"GET %b HTTP/1.1" % path))
        assert caller.response().body == b"ok"
    assert target.requests[0].startswith(b"GET %b HTTP/1.1\r\n" % path)


def test_the_records_of_hostile_bytes_are_plain_lines(target: Target) -> None:
    """Whatever a caller calls itself, its event is one line of JSON without any control character (hardening 2.3)."""
    routes = ("{name: all, target: t, unit: ['header:x-user-id'], attributes: {page: 'query:page'}}",)
    target.answer(OK)
    with Proxy(simple_yaml(target.url, routes=routes) + LOG_ALL) as proxy:
        with proxy.caller() as caller:
            caller.send(head(b'X-User-Id: a\t"\xe9\xff\x9b31m\\', start=b"GET /?page=%0d%0a%1b%5b31m%00 HTTP/1.1"))
            assert caller.response().status == 200
        line = json.encode(proxy.event())
    assert json.decode(line)["unit"]
    assert not any(byte < 0x20 or byte == 0x7F for byte in line)
