"""Bytes on the wire, and what must have become of them.

Responsible for: building requests, and the assertions that every row of refused input shares.
Does not know: what makes a request hostile; that is each test's own.
"""

import json

from tests.harness import Connection, Proxy, Response, Target, status_of

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
LOG_ALL = "events: {unenrolled: 100%}\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def head(*lines: bytes, start: bytes = b"GET / HTTP/1.1", host: bytes | None = b"h") -> bytes:
    """Write a request head; ``host=None`` leaves the Host field out."""
    fields = [] if host is None else [b"Host: " + host]
    return b"\r\n".join([start, *fields, *lines, b"", b""])


def post(body: bytes, *lines: bytes) -> bytes:
    """Write a POST whose length is given by Content-Length."""
    return head(*lines, b"Content-Length: %d" % len(body), start=b"POST / HTTP/1.1") + body


def post_chunked(body: bytes, *lines: bytes) -> bytes:
    """Write a POST whose body is already in chunks."""
    return head(*lines, b"Transfer-Encoding: chunked", start=b"POST / HTTP/1.1") + body


def sent_on(
    start: bytes, *lines: bytes, body: bytes = b"", forwarded: bytes = b"127.0.0.1", host: bytes = b"h"
) -> bytes:
    """Write what a target gets of a request with ``X-Request-Id`` among its fields, byte for byte.

    Args:
        start: Request line.
        lines: The caller's own fields, in order.
        body: What follows the head.
        forwarded: Value of x-forwarded-for.
        host: Value of x-forwarded-host.
    """
    own = [
        b"x-router-route: all",
        b"x-forwarded-for: %b" % forwarded,
        b"x-forwarded-proto: http",
        b"via: 1.1 router",
        b"x-forwarded-host: " + host,
    ]
    return b"\r\n".join([start, *lines, *own, b"", b""]) + body


def problem(response: bytes) -> dict[str, object]:
    """Return the problem document of a response that is nothing but one, up to its last byte."""
    top, _, body = response.partition(b"\r\n\r\n")
    assert b"\r\ncontent-type: application/problem+json" in top
    assert b"\r\ncontent-length: %d" % len(body) in top
    document = json.loads(body)
    assert isinstance(document, dict)
    assert document["status"] == status_of(response)
    return document


def assert_problem(response: bytes, status: int, cause: str) -> None:
    """Assert that all a caller got is one problem document with ``Connection: close``, and then the end."""
    assert status_of(response) == status, response
    assert problem(response)["type"] == "urn:problem-type:router:" + cause.replace("_", "-")
    assert b"\r\nconnection: close\r\n" in response


def assert_untouched(proxy: Proxy, target: Target) -> None:
    """Assert that nothing reached the target, not even a connection."""
    assert proxy.connects() == 0
    assert not target.pending()


def assert_refused(proxy: Proxy, target: Target, response: bytes, status: int, cause: str) -> None:
    """Assert the whole promise about a request that cannot be trusted."""
    assert_problem(response, status, cause)
    assert proxy.refusals() == {cause: 1}
    assert_untouched(proxy, target)


def assert_aborted(connection: Connection) -> bytes:
    """Assert that a target saw its connection end before the body's last chunk; return what it got."""
    received = connection.read_to_end()
    assert not received.endswith(b"0\r\n\r\n")
    return received


def assert_fault(proxy: Proxy, response: Response, status: int, fault: str) -> None:
    """Assert that a caller got a problem document that blames the target, and that the fault is counted."""
    assert response.status == status
    assert response.field(b"content-type") == [b"application/problem+json"]
    assert json.loads(response.body)["type"] == "urn:problem-type:router:" + fault.replace("_", "-")
    assert proxy.all_faults() == {fault: 1}
    assert proxy.codes() == {str(status): 1}
    event = proxy.event()
    assert (event.status, event.outcome_fault, event.failed, event.target) == (status, fault, True, None)
