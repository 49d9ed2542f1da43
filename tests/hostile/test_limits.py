"""Floods of heads, fields, lines and connections end at their limits, whichever way they arrive."""

import pytest

from tests.harness import Proxy, Target, simple_yaml, wait_until
from tests.hostile.wire import OK, assert_problem, assert_refused, head


def limited(target: Target, limits: str) -> Proxy:
    """A data plane with some limits."""
    return Proxy(simple_yaml(target.url, server=f"limits: {{{limits}}}"))


def pieces(data: bytes, size: int) -> list[bytes]:
    """Cut bytes into packets."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def drip(proxy: Proxy, data: bytes, size: int) -> bytes:
    """Send bytes in packets that the router reads one by one; return what comes back."""
    with proxy.caller() as caller:
        for piece in pieces(data, size):
            try:
                caller.send(piece)
            except OSError:
                break  # refused before the end
            with proxy.held():
                pass
        return caller.rest()


at_once_or_in_packets = pytest.mark.parametrize("size", [1 << 20, 4096, 1000], ids=["at once", "4096", "1000"])


@at_once_or_in_packets
@pytest.mark.parametrize("line", [b"X: " + b"a" * 3000, b"\r\n".join([b"X: aaaaaaaa"] * 300)], ids=["one", "many"])
def test_header_bytes(target: Target, size: int, line: bytes) -> None:
    """A head beyond ``limits.header_bytes`` is 431 (RFC 6585 5; RFC 9110 5.4)."""
    with limited(target, "header_bytes: 2KiB, headers: 1000") as proxy:
        assert_refused(proxy, target, drip(proxy, head(line), size), 431, "header_too_large")


@at_once_or_in_packets
def test_header_bytes_without_an_end(target: Target, size: int) -> None:
    """A head that never ends is 431 as soon as it is too large (RFC 9112 3)."""
    with limited(target, "header_bytes: 2KiB") as proxy:
        data = b"GET / HTTP/1.1\r\nX: " + b"a" * 8192
        assert_refused(proxy, target, drip(proxy, data, size), 431, "header_too_large")


@at_once_or_in_packets
def test_header_bytes_at_the_limit(target: Target, size: int) -> None:
    """A head of exactly ``limits.header_bytes`` is carried."""
    target.answer(OK)
    with limited(target, "header_bytes: 2KiB") as proxy:
        request = head(b"Connection: close", b"X: " + b"a" * (2048 - len(head(b"Connection: close", b"X: "))))
        assert len(request) == 2048
        assert drip(proxy, request, size).startswith(b"HTTP/1.1 200 ")


@at_once_or_in_packets
def test_number_of_headers(target: Target, size: int) -> None:
    """More fields than ``limits.headers`` are 431 (RFC 6585 5)."""
    with limited(target, "headers: 10") as proxy:
        response = drip(proxy, head(*[b"X%d: y" % index for index in range(10)]), size)  # and Host
        assert_refused(proxy, target, response, 431, "too_many_headers")


def test_number_of_headers_at_the_limit(target: Target) -> None:
    """Exactly ``limits.headers`` fields are carried."""
    target.answer(OK)
    with limited(target, "headers: 10") as proxy, proxy.caller() as caller:
        caller.send(head(*[b"X%d: y" % index for index in range(9)]))
        assert caller.response().status == 200


@at_once_or_in_packets
@pytest.mark.parametrize("length", [17 * 1024, 40 * 1024])
def test_request_line(proxy: Proxy, target: Target, length: int, size: int) -> None:
    """A request line beyond 16 KiB is 414, however it is cut into packets (RFC 9112 3)."""
    request = head(start=b"GET /" + b"a" * length + b" HTTP/1.1")
    assert_refused(proxy, target, drip(proxy, request, size), 414, "uri_too_long")


@at_once_or_in_packets
def test_request_line_at_the_limit(proxy: Proxy, target: Target, size: int) -> None:
    """A request line of 15 KiB is carried, however it is cut into packets (RFC 9112 3)."""
    target.answer(OK)
    request = head(b"Connection: close", start=b"GET /" + b"a" * 15 * 1024 + b" HTTP/1.1")
    assert drip(proxy, request, size).startswith(b"HTTP/1.1 200 ")


def test_connections(target: Target) -> None:
    """Connections beyond ``limits.connections`` are closed at once and counted; a freed place is used again."""
    with limited(target, "connections: 2") as proxy:
        first, second = proxy.caller(), proxy.caller()
        wait_until(lambda: len(proxy.server.connections) == 2, "two connections")
        with proxy.caller() as third:
            assert third.rest() == b""
        assert proxy.refusals() == {"overloaded": 1}
        second.close()
        wait_until(lambda: len(proxy.server.connections) == 1, "one connection")
        target.answer(OK)
        with proxy.caller() as fourth:
            fourth.send(head())
            assert fourth.response().status == 200
        first.close()


def test_pipeline_depth_is_bounded_by_bytes(proxy: Proxy, target: Target) -> None:
    """Of what a caller pipelines behind a slow exchange only a bounded part is read (RFC 9112 9.3.2)."""
    with proxy.caller() as caller:
        caller.send(head())
        connection = target.accept()
        connection.read_request()
        caller.socket.setblocking(False)
        sent = 0
        full = False
        while not full:
            try:
                sent += caller.socket.send(head() * 1000)
            except BlockingIOError:
                with proxy.held():
                    pass
                try:
                    sent += caller.socket.send(head() * 1000)
                except BlockingIOError:
                    full = True
            assert sent < 24 * 1024 * 1024
        (downstream,) = proxy.server.connections
        assert len(downstream.held) < 1024 * 1024


def test_no_route_in_http_1_0_and_options(target: Target) -> None:
    """A path outside of every route is 404 with the cause counted, for any form of target."""
    routes = ("{name: all, target: t, match: {path: /v2}}",)
    with Proxy(simple_yaml(target.url, routes=routes)) as proxy:
        assert_problem(proxy.send(head(start=b"GET /v1 HTTP/1.0")), 404, "no_route")
        assert_problem(proxy.send(head(b"Connection: close", start=b"OPTIONS * HTTP/1.1")), 404, "no_route")
        assert proxy.refusals() == {"no_route": 2}
        assert not target.pending()
