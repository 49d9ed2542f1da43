"""Several requests on one connection: in order, one at a time, and never one made of another's bytes."""

import select

import pytest

from tests.harness import Connection, Proxy, Target, simple_yaml
from tests.hostile.wire import OK, SMUGGLED, head, post, post_chunked, problem

NUMBERED = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"


def test_pipelined_requests_are_answered_in_order(proxy: Proxy, target: Target) -> None:
    """Requests in one packet are answered one after the other, in order (RFC 9112 9.3.2)."""
    with proxy.caller() as caller:
        caller.send(b"".join(head(start=b"GET /%d HTTP/1.1" % index) for index in range(5)))
        connection = target.accept()
        for index in range(5):
            request = connection.read_request()
            assert request.startswith(b"GET /%d " % index)
            assert request.count(b"HTTP/1.1") == 1  # the next is not sent before this one is answered
            connection.send(NUMBERED + b"%d" % index)
            assert caller.response().body == b"%d" % index
    assert proxy.connects() == 1


@pytest.mark.parametrize(
    "bodies",
    [
        pytest.param([post(b"a"), post(b"GET / HTTP/1.1\r\n\r\n"), head()], id="lengths"),
        pytest.param([post_chunked(b"1\r\na\r\n0\r\n\r\n"), post_chunked(b"0\r\nA: b\r\n\r\n"), head()], id="chunks"),
        pytest.param([post(b""), post_chunked(b"0\r\n\r\n"), post(b"x")], id="mixed"),
        pytest.param([head() + b"\r\n", post(b"x") + b"\r\n", head()], id="an empty line between"),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_pipelined_requests_with_bodies(proxy: Proxy, target: Target, bodies: list[bytes], size: int) -> None:
    """Bodies end where their framing says, and the next request begins there, in any packets (RFC 9112 6.3)."""
    target.answer(OK, times=len(bodies))
    data = b"".join(bodies)
    with proxy.caller() as caller:
        for at in range(0, len(data), size):
            caller.send(data[at : at + size])
        assert [caller.response().body for _ in bodies] == [b"ok"] * len(bodies)
    assert len(target.requests) == len(bodies)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\x01",
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n",
        b"POST / HTTP/9.9\r\n\r\n",
        b"hello\n",
    ],
)
def test_garbage_behind_a_request(proxy: Proxy, target: Target, garbage: bytes) -> None:
    """The request before is answered; what cannot be one is then refused, and the connection ends (RFC 9112 2.2)."""
    with proxy.caller() as caller:
        caller.send(head() + garbage + SMUGGLED)
        connection = target.accept()
        connection.read_request()
        connection.send(OK)
        assert caller.response().body == b"ok"
        assert problem(caller.rest())["status"] in {400, 505}
        assert not target.pending()
        assert connection.received == b""


def test_bytes_behind_connection_close_are_ignored(proxy: Proxy, target: Target) -> None:
    """After a request with ``Connection: close`` nothing more is answered or forwarded (RFC 9112 9.6)."""
    with proxy.caller() as caller:
        caller.send(head(b"Connection: close") + SMUGGLED + b"\x00garbage")
        connection = target.accept()
        connection.read_request()
        connection.send(OK)
        response = caller.rest()
        assert response.count(b"HTTP/1.1") == 1
        assert response.endswith(b"ok")
        assert b"\r\nconnection: close\r\n" in response
    assert proxy.refusals() == {}
    assert not target.pending()


@pytest.mark.parametrize("upgrade", [b"websocket", b"h2c"])
def test_upgrade_with_a_body_and_a_request_behind(proxy: Proxy, target: Target, upgrade: bytes) -> None:
    """An upgrade is not made: body and next request stay what they are (RFC 9110 7.8)."""
    target.answer(OK, times=2)
    fields = [b"Connection: Upgrade", b"Upgrade: " + upgrade]
    with proxy.caller() as caller:
        caller.send(post(b"abc", *fields) + head(start=b"GET /second HTTP/1.1"))
        assert [caller.response().status for _ in range(2)] == [200, 200]
    first, second = target.requests
    assert b"pgrade" not in first
    assert first.endswith(b"\r\n\r\nabc")
    assert second.startswith(b"GET /second ")


def test_a_request_that_comes_while_the_answer_streams(proxy: Proxy, target: Target) -> None:
    """A request sent during an answer waits for its end (RFC 9112 9.3.2)."""
    with proxy.caller() as caller:
        caller.send(head())
        connection = target.accept()
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        caller.read_until(b"ab")
        caller.send(head(start=b"GET /second HTTP/1.1"))
        with proxy.held():
            pass
        assert not target.pending()
        connection.send(b"cd")
        caller.read_until(b"cd")
        assert connection.read_request().startswith(b"GET /second ")
        connection.send(OK)
        assert caller.response().body == b"ok"


def test_many_requests_on_one_connection(proxy: Proxy, target: Target) -> None:
    """A kept connection carries request after request, each counted once, on one connection of the target."""
    target.answer(OK, times=200)
    with proxy.caller() as caller:
        for _ in range(200):
            caller.send(head())
            assert caller.response().body == b"ok"
    assert proxy.codes() == {"200": 200}
    assert proxy.connects() == 1


def test_a_refusal_in_between_ends_the_connection(proxy: Proxy, target: Target) -> None:
    """An ambiguous request in a pipeline ends it: nothing behind is trusted (RFC 9112 6.3)."""
    target.answer(OK)
    with proxy.caller() as caller:
        caller.send(head() + head(b"Content-Length: 1", b"Transfer-Encoding: chunked") + SMUGGLED)
        assert caller.response().body == b"ok"
        assert problem(caller.rest())["status"] == 400
    assert len(target.requests) == 1
    assert sum(proxy.refusals().values()) == 1


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(b"\x00garbage", id="garbage"),
        pytest.param(head(host=b"a/b"), id="refused"),
        pytest.param(head(start=b"GET /elsewhere HTTP/1.1"), id="no route"),
        pytest.param(head(b"Content-Length: 100000000000", start=b"POST /here HTTP/1.1"), id="too large"),
    ],
)
def test_an_answer_and_the_next_request_in_one_turn(target: Target, second: bytes) -> None:
    """The router's own answer to a second request never overtakes the target's to the first (RFC 9112 9.3.2)."""
    routes = ("{name: all, target: t, match: {path: /here}}",)
    with Proxy(simple_yaml(target.url, routes=routes)) as proxy, proxy.caller() as caller:
        caller.send(head(start=b"GET /here HTTP/1.1"))
        connection = target.accept()
        connection.read_request()
        connection.send(OK)
        assert caller.response().body == b"ok"
        caller.send(head(start=b"GET /here HTTP/1.1"))  # on a connection that is there already
        connection.read_request()
        with proxy.held():
            connection.send(OK)
            caller.send(second)
        assert caller.response().body == b"ok"
        assert caller.response().status in {400, 404, 413}


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_caller_that_leaves_as_its_answer_comes_costs_no_other_its_own(
    proxy: Proxy, target: Target, how: str
) -> None:
    """One caller's end in the turn of its answer does not lose the answers of others in that turn (DESIGN 9.1)."""
    callers = [proxy.caller() for _ in range(3)]
    connections = []
    for caller in callers:
        caller.send(head())
        connections.append(target.accept())
        connections[-1].read_request()
    for caller, connection in zip(callers, connections, strict=True):
        connection.send(OK)
        assert caller.response().body == b"ok"
    arrived = []
    for caller in callers:
        caller.send(head())
        arrived.append(next(connection for connection in readable(connections) if connection not in arrived))
        arrived[-1].read_request()
    with proxy.held():
        for connection in arrived:
            connection.send(OK)
        getattr(callers[0], how)()
    assert [caller.response().body for caller in callers[1:]] == [b"ok", b"ok"]
    for caller in callers[1:]:
        caller.close()


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_target_that_leaves_as_a_request_comes(proxy: Proxy, target: Target, how: str) -> None:
    """A kept connection that ends in the turn of a request costs it at most a new connection (RFC 9112 9.3.1)."""
    with proxy.caller() as caller:
        caller.send(head())
        connection = target.accept()
        connection.read_request()
        connection.send(OK)
        assert caller.response().body == b"ok"
        target.answer(OK)
        with proxy.held():
            caller.send(head())
            getattr(connection, how)()
        assert caller.response().body == b"ok"


def readable(connections: list[Connection]) -> list[Connection]:
    """Wait until some connections of the target have something to read, and return them."""
    ready = select.select([connection.socket for connection in connections], [], [], 5)[0]
    return [connection for connection in connections if connection.socket in ready]
