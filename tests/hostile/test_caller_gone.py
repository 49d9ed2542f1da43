"""A caller that goes away cancels its request at the target, in whatever phase it is."""

import pytest

from router import counters
from tests.harness import Caller, Connection, Proxy, Target, simple_yaml, wait_until
from tests.hostile.test_streams import Stuck
from tests.hostile.wire import CHUNKED, LOG_ALL, OK, assert_aborted, assert_untouched, head, post, post_chunked


def leave(caller: Caller, how: str) -> None:
    """End a caller's connection."""
    getattr(caller, how)()


def assert_gone(proxy: Proxy, status: int = 0, others: int = 0) -> None:
    """Assert what is counted and logged of an exchange whose caller went away: no fault of the target's.

    Args:
        proxy: The data plane.
        status: What the caller had seen.
        others: Exchanges that are still in flight.
    """
    event = proxy.event()
    assert (event.status, event.outcome_fault, event.failed) == (status, "client_gone", False)
    assert proxy.word(counters.route_key("all"), counters.ROUTE_CLIENT_GONE) == 1
    assert proxy.all_faults() == {}
    assert proxy.inflight() == others
    assert proxy.codes() == {str(status): 1}


both_ways = pytest.mark.parametrize("how", ["close", "reset"])


@both_ways
def test_gone_within_the_head(proxy: Proxy, target: Target, how: str) -> None:
    """Half a head and then nothing leaves no trace (RFC 9112 8)."""
    caller = proxy.caller()
    caller.send(b"GET / HTTP/1.1\r\nHo")
    leave(caller, how)
    wait_until(lambda: not proxy.server.connections, "the end of the connection")
    assert_untouched(proxy, target)
    assert proxy.refusals() == {}


@both_ways
def test_gone_in_the_gather_phase(target: Target, how: str) -> None:
    """Gone while the body is gathered: nothing reaches the target (RFC 9112 8)."""
    routes = ("{name: all, target: t, unit: ['json:/user']}",)
    with Proxy(simple_yaml(target.url, routes=routes)) as proxy:
        caller = proxy.caller()
        caller.send(post(b'{"user": "u"}')[:-3])
        wait_until(lambda: any(c.exchange for c in proxy.server.connections), "the exchange")
        leave(caller, how)
        wait_until(lambda: not proxy.server.connections, "the end of the connection")
        assert_untouched(proxy, target)


@both_ways
def test_gone_while_connecting(how: str) -> None:
    """Gone while the connection to the target is made: the gauge returns to zero (DESIGN 3)."""
    with Stuck() as stuck, Proxy(stuck.yaml + LOG_ALL) as proxy:
        caller = proxy.caller()
        caller.send(head())
        wait_until(lambda: proxy.inflight() == 1, "the attempt")
        leave(caller, how)
        assert_gone(proxy)


@both_ways
def test_gone_while_waiting_for_a_connection(target: Target, how: str) -> None:
    """Gone in the queue of a full pool: the request is never sent (DESIGN 3)."""
    with Proxy(simple_yaml(target.url, "pool: {max: 1}") + LOG_ALL) as proxy, proxy.caller() as first:
        first.send(head())
        connection = target.accept()
        connection.read_request()
        second = proxy.caller()
        second.send(head(start=b"GET /second HTTP/1.1"))
        wait_until(lambda: proxy.inflight() == 2, "the second exchange")
        leave(second, how)
        assert_gone(proxy, others=1)
        connection.send(OK)
        assert first.response().status == 200
        first.send(head(start=b"GET /third HTTP/1.1"))
        assert connection.read_request().startswith(b"GET /third ")
        connection.send(OK)
        assert first.response().status == 200


def begin(proxy: Proxy, target: Target, request: bytes) -> tuple[Caller, Connection]:
    """Send a request and read its head at the target."""
    caller = proxy.caller()
    caller.send(request)
    connection = target.accept()
    connection.read_until(b"\r\n\r\n")
    return caller, connection


@both_ways
def test_gone_while_waiting_for_the_first_byte(proxy: Proxy, target: Target, how: str) -> None:
    """Gone before the target has begun to answer: its connection is closed (DESIGN 3)."""
    caller, connection = begin(proxy, target, head())
    leave(caller, how)
    assert connection.ended()
    assert_gone(proxy)


@both_ways
@pytest.mark.parametrize(
    "request_bytes", [post(b"x" * 100)[:-50], post_chunked(b"3\r\nabc\r\n"), post_chunked(b"9\r\nab")]
)
def test_gone_in_mid_upload(proxy: Proxy, target: Target, request_bytes: bytes, how: str) -> None:
    """Gone in the middle of a body: the request at the target is aborted, never completed (RFC 9112 8)."""
    caller, connection = begin(proxy, target, request_bytes)
    leave(caller, how)
    assert_aborted(connection)
    assert_gone(proxy)


@both_ways
@pytest.mark.parametrize(
    "answer",
    [CHUNKED + b"2\r\nok\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", b"HTTP/1.1 200 OK\r\n\r\nok"],
)
def test_gone_while_streaming(proxy: Proxy, target: Target, answer: bytes, how: str) -> None:
    """Gone in the middle of an answer: the target's connection is closed at once (DESIGN 3)."""
    caller, connection = begin(proxy, target, head())
    connection.send(answer)
    caller.read_until(b"ok")
    leave(caller, how)
    assert connection.ended()
    assert_gone(proxy, status=200)


@both_ways
def test_gone_while_the_target_sends_faster_than_the_caller_reads(proxy: Proxy, target: Target, how: str) -> None:
    """Gone while the target is held back: it is let go, too (DESIGN 3)."""
    caller, connection = begin(proxy, target, head())
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
    caller.read_until(b"\r\n\r\n")
    connection.socket.setblocking(False)
    wait_until(lambda: fills(connection), "a full connection")
    connection.socket.settimeout(5)
    leave(caller, how)
    assert connection.ended()
    assert_gone(proxy, status=200)


def fills(connection: Connection) -> bool:
    """Send as much as goes; true when the router takes no more and has stopped to read."""
    try:
        while True:
            connection.socket.send(b"x" * 65536)
    except BlockingIOError:
        return True


@both_ways
def test_gone_between_requests(proxy: Proxy, target: Target, how: str) -> None:
    """A caller that goes after its answer costs the target's connection nothing (RFC 9112 9.3)."""
    caller, connection = begin(proxy, target, head())
    connection.received = b""
    connection.send(OK)
    assert caller.response().status == 200
    leave(caller, how)
    with proxy.caller() as another:
        another.send(head(start=b"GET /again HTTP/1.1"))
        assert connection.read_request().startswith(b"GET /again ")
        connection.send(OK)
        assert another.response().status == 200


@both_ways
def test_gone_while_the_retry_connects(how: str) -> None:
    """Gone between the first attempt and the second: neither goes on (DESIGN 3)."""
    with Target() as target, Proxy(simple_yaml(target.url) + LOG_ALL) as proxy:
        caller, connection = begin(proxy, target, head())
        connection.received = b""
        connection.send(OK)
        assert caller.response().status == 200
        caller.send(head())
        connection.read_request()
        with proxy.held():
            connection.close()
            leave(caller, how)
        wait_until(lambda: len(proxy.log.events) == 2, "the event")
        assert proxy.log.events[1].outcome_fault in {"client_gone", None}
        assert proxy.inflight() == 0
