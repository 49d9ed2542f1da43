"""Targets that die or stall: before the first byte a problem document, after it an end that nobody takes for clean."""

import resource
import socket

import pytest

from tests.harness import Caller, Connection, Proxy, Target, simple_yaml, wait_until
from tests.hostile.wire import CHUNKED, LOG_ALL, OK, assert_fault, head, post

ID = b"X-Request-Id: r"


def ask(caller: Caller, target: Target, request: bytes | None = None) -> Connection:
    """Send a request, and return the target's connection after it has read it."""
    caller.send(head(ID) if request is None else request)
    connection = target.accept()
    connection.read_request()
    return connection


def test_connection_refused() -> None:
    """A target that is not there is 502, and its address stays inside (RFC 9110 15.6.3)."""
    with Target() as target:
        url, port = target.url, target.port
    with Proxy(simple_yaml(url) + LOG_ALL) as proxy, proxy.caller() as caller:
        caller.send(head())
        response = caller.response()
        assert_fault(proxy, response, 502, "refused")
        assert str(port).encode() not in response.body
        assert b"127.0.0.1" not in response.body
        assert response.field(b"connection") == []


def test_name_that_does_not_resolve() -> None:
    """A target whose name nobody knows is 502 (RFC 9110 15.6.3)."""
    with Proxy(simple_yaml("http://nobody.invalid:80", "timeouts: {connect: 4s}") + LOG_ALL) as proxy:
        with proxy.caller() as caller:
            caller.send(head())
            response = caller.response()
        assert_fault(proxy, response, 502, "dns")
        assert b"nobody" not in response.body


def test_name_that_resolves(target: Target) -> None:
    """A target is found by name, and keeps its connection (INTERFACES 2)."""
    target.answer(OK, times=2)
    with Proxy(simple_yaml(f"http://localhost:{target.port}")) as proxy, proxy.caller() as caller:
        for _ in range(2):
            caller.send(head())
            assert caller.response().body == b"ok"
        assert proxy.connects() == 1


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("sent", [b"", b"H", b"HTTP/1.1 200 OK\r\nContent-Le"])
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_death_before_a_whole_head(proxy: Proxy, target: Target, how: str, sent: bytes, method: bytes) -> None:
    """A target that ends before a whole head is 502, with one attempt on a new connection (RFC 9110 15.6.3)."""
    with proxy.caller() as caller:
        connection = ask(caller, target, head(ID, b"Content-Length: 0", start=method + b" / HTTP/1.1"))
        connection.send(sent)
        with proxy.held():
            pass
        getattr(connection, how)()
        assert_fault(proxy, caller.response(), 502, "reset")
        assert not target.pending()
    assert proxy.event().attempts == 1


CUTS = [
    pytest.param(sent, id=name)
    for name, sent in {
        "short length": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        "nothing of a length": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
        "no last chunk": CHUNKED + b"5\r\nhello\r\n",
        "within a chunk": CHUNKED + b"5\r\nhel",
        "within a size": CHUNKED + b"5\r\nhello\r\n1",
        "within the last chunk": CHUNKED + b"5\r\nhello\r\n0\r\n",
        "within trailers": CHUNKED + b"5\r\nhello\r\n0\r\nA: b\r\n",
    }.items()
]


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("sent", CUTS)
def test_cut_in_the_body(proxy: Proxy, target: Target, sent: bytes, how: str) -> None:
    """A body that is cut is visibly incomplete to the caller, and logged as truncated (RFC 9112 8)."""
    with proxy.caller() as caller:
        connection = ask(caller, target)
        connection.send(sent)
        top = caller.read_until(b"\r\n\r\n")
        getattr(connection, how)()
        body = caller.rest()
    assert not body.endswith(b"0\r\n\r\n")
    assert len(body) < 10 if b"content-length" in top.lower() else True
    assert proxy.all_faults() == {"truncated": 1}
    assert proxy.codes() == {"200": 1}
    event = proxy.event()
    assert (event.status, event.outcome_fault, event.failed) == (200, "truncated", True)


def ends_in_reset(caller: Caller) -> bool:
    """Read to the end; true when the end is a reset."""
    try:
        while caller.socket.recv(65536):
            pass
    except ConnectionResetError:
        return True
    return False


@pytest.mark.parametrize("sent", CUTS)
def test_cut_in_the_body_to_http_1_0(proxy: Proxy, target: Target, sent: bytes) -> None:
    """A 1.0 caller of chunks or no length can tell a cut only by a reset, and gets one (RFC 9112 8)."""
    with proxy.caller() as caller:
        connection = ask(caller, target, head(start=b"GET / HTTP/1.0"))
        connection.send(sent)
        top = caller.read_until(b"\r\n\r\n")
        connection.close()
        if b"content-length" in top.lower():
            assert len(caller.rest()) < 10
        else:
            assert ends_in_reset(caller)


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_close_delimited_body_that_is_reset(proxy: Proxy, target: Target, version: bytes) -> None:
    """A reset is no end: a close-delimited body that ends in one is cut (RFC 9112 8)."""
    with proxy.caller() as caller:
        connection = ask(caller, target, head(start=b"GET / HTTP/" + version))
        connection.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        caller.read_until(b"hello")
        connection.reset()
        if version == b"1.1":
            assert not caller.rest().endswith(b"0\r\n\r\n")
        else:
            assert ends_in_reset(caller)
    assert proxy.all_faults() == {"truncated": 1}


def kept(proxy: Proxy, target: Target) -> tuple[Caller, Connection]:
    """Return a caller, and a target's connection that has served it and lies idle."""
    caller = proxy.caller()
    connection = ask(caller, target)
    connection.send(OK)
    assert caller.response().body == b"ok"
    return caller, connection


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_idle_connection_closed_by_the_target_is_noticed(proxy: Proxy, target: Target, how: str, method: bytes) -> None:
    """A kept connection that the target closed is not used, for any method (RFC 9112 9.3.1)."""
    caller, connection = kept(proxy, target)
    with caller:
        getattr(connection, how)()
        with proxy.held():
            pass
        target.answer(OK)
        caller.send(head(ID, b"Content-Length: 0", start=method + b" / HTTP/1.1"))
        assert caller.response().body == b"ok"
    assert proxy.all_faults() == {}


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"POST", b"PATCH"])
def test_idle_connection_closed_just_before_the_request(proxy: Proxy, target: Target, method: bytes) -> None:
    """When close and request come at the same moment, the request still succeeds: no byte was lost (RFC 9112 9.3.1)."""
    caller, connection = kept(proxy, target)
    with caller:
        wait_until(lambda: idle_for(proxy) > 0.03, "idling")
        with proxy.held():
            caller.send(head(ID, b"Content-Length: 0", start=method + b" / HTTP/1.1"))
            connection.close()
        target.answer(OK if method != b"HEAD" else b"HTTP/1.1 200 OK\r\n\r\n")
        assert caller.response(bodiless=method == b"HEAD").status == 200
    assert len(target.requests) == 1


def idle_for(proxy: Proxy) -> float:
    """Return for how long the one kept connection has been idle, in seconds."""

    def look() -> float:
        (endpoint,) = proxy.server.pools["t"].endpoints
        (upstream,) = endpoint._free
        return float(proxy.loop.time() - upstream.idle_since)

    return float(proxy.call(look))


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS"])
def test_dead_reused_connection_is_retried_once(proxy: Proxy, target: Target, method: bytes) -> None:
    """An idempotent request on a kept connection that dies unanswered is sent once more (RFC 9110 9.2.2)."""
    caller, connection = kept(proxy, target)
    with caller:
        caller.send(head(ID, b"Content-Length: 2", start=method + b" / HTTP/1.1") + b"ab")
        first = connection.read_request()
        connection.close()
        fresh = target.accept()
        assert fresh.read_request() == first
        fresh.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        assert caller.response(bodiless=True).status == 200
    assert proxy.all_faults() == {}
    assert proxy.log.events[-1].attempts == 2
    assert not proxy.log.events[-1].failed


def test_the_retry_is_not_retried(proxy: Proxy, target: Target) -> None:
    """When the new connection dies too, the caller gets 502 after two attempts (RFC 9110 9.2.2)."""
    caller, connection = kept(proxy, target)
    with caller:
        caller.send(head())
        connection.read_request()
        connection.close()
        fresh = target.accept()
        fresh.read_request()
        fresh.close()
        assert caller.response().status == 502
        assert not target.pending()
    assert proxy.log.events[-1].attempts == 2


@pytest.mark.parametrize("method", [b"POST", b"PATCH"])
def test_dead_reused_connection_is_not_retried_for_post(proxy: Proxy, target: Target, method: bytes) -> None:
    """A POST that was sent is never sent again: it may have run (RFC 9110 9.2.2)."""
    caller, connection = kept(proxy, target)
    with caller:
        caller.send(head(b"Content-Length: 3", start=method + b" / HTTP/1.1") + b"pay")
        connection.read_request()
        connection.close()
        assert caller.response().status == 502
        assert not target.pending()
    assert proxy.log.events[-1].attempts == 1


def test_dead_reused_connection_is_retried_for_post_with_a_key(proxy: Proxy, target: Target) -> None:
    """A POST with an Idempotency-Key may be sent again: the target can tell (DESIGN 3)."""
    caller, connection = kept(proxy, target)
    with caller:
        caller.send(post(b"pay", b"Idempotency-Key: k"))
        first = connection.read_request()
        connection.close()
        fresh = target.accept()
        assert fresh.read_request() == first
        fresh.send(OK)
        assert caller.response().status == 200


def test_no_retry_after_the_first_response_byte(proxy: Proxy, target: Target) -> None:
    """Once a byte of the answer has come, the request is not sent again (RFC 9110 9.2.2)."""
    caller, connection = kept(proxy, target)
    with caller:
        caller.send(head())
        connection.read_request()
        connection.send(b"HTTP/1.1 2")
        with proxy.held():
            pass
        connection.close()
        assert caller.response().status == 502
        assert not target.pending()


def test_no_retry_after_an_interim_answer(proxy: Proxy, target: Target) -> None:
    """A 1xx is a response byte, too (RFC 9110 9.2.2)."""
    caller, connection = kept(proxy, target)
    with caller:
        caller.send(head())
        connection.read_request()
        connection.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        assert caller.response().status == 103
        connection.close()
        assert caller.response().status == 502
        assert not target.pending()


def test_no_retry_of_a_body_that_was_not_kept(proxy: Proxy, target: Target) -> None:
    """A body that was streamed is not there to be sent again: 502, one attempt (RFC 9110 9.2.2)."""
    caller, connection = kept(proxy, target)
    with caller:
        caller.send(head(b"Content-Length: 6", start=b"PUT / HTTP/1.1") + b"abc")
        connection.read_until(b"abc")
        caller.send(b"def")
        connection.read_until(b"def")
        connection.close()
        assert caller.response().status == 502
        assert not target.pending()


UNSOLICITED = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_unsolicited_bytes_reach_nobody(proxy: Proxy, target: Target, method: bytes) -> None:
    """An answer on an idle connection closes it, and the next caller gets its own answer (RFC 9112 9.2)."""
    caller, connection = kept(proxy, target)
    with caller:
        connection.send(UNSOLICITED)
        assert connection.ended()
        target.answer(OK)
        caller.send(head(b"Content-Length: 0", start=method + b" / HTTP/1.1"))
        assert caller.response().body == b"ok"


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_unsolicited_bytes_that_come_with_the_request_reach_nobody(proxy: Proxy, target: Target, method: bytes) -> None:
    """The same when they are in the kernel's buffer as the request comes: look before each reuse (RFC 9112 9.2)."""
    caller, connection = kept(proxy, target)
    with caller:
        wait_until(lambda: idle_for(proxy) > 0.03, "idling")
        target.answer(OK)
        with proxy.held():
            caller.send(head(b"Content-Length: 0", start=method + b" / HTTP/1.1"))
            connection.send(UNSOLICITED)
        assert caller.response().body == b"ok"


def test_server_errors_pass_and_count_as_failures(proxy: Proxy, target: Target) -> None:
    """A 5xx of the target is its answer where there is no other: passed on, counted as failed (DESIGN 5)."""
    with proxy.caller() as caller:
        ask(caller, target).send(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy")
        response = caller.response()
        assert (response.status, response.body) == (503, b"busy")
    event = proxy.event()
    assert (event.failed, event.fault, event.outcome_fault, event.target) == (True, "status", None, "t")
    assert proxy.all_faults() == {"status": 1}


def test_client_errors_are_no_failures(proxy: Proxy, target: Target) -> None:
    """A 4xx is the caller's doing (hardening 2.1, last row)."""
    with proxy.caller() as caller:
        ask(caller, target).send(b"HTTP/1.1 422 No\r\nContent-Length: 0\r\n\r\n")
        assert caller.response().status == 422
    assert not proxy.event().failed


def test_two_requests_share_the_fate_of_a_refused_connection() -> None:
    """A request that waits while a connection fails gets one of its own, and its own verdict at once (DESIGN 3)."""
    with Target() as gone:
        url = gone.url
    yaml = simple_yaml(url, "pool: {max: 1}, timeouts: {connect: 60s}")
    with Proxy(yaml) as proxy, proxy.caller() as one, proxy.caller() as two:
        with proxy.held():
            one.send(head())
            two.send(head())
        assert one.response().status == 502
        assert two.response().status == 502
        assert proxy.all_faults() == {"refused": 2}


def test_all_endpoints_of_a_target_are_used(target: Target) -> None:
    """Requests spread over the endpoints of a target (INTERFACES 2)."""
    with Target() as other:
        yaml = simple_yaml(target.url).replace(f"'{target.url}'", f"'{target.url}', '{other.url}'")
        with Proxy(yaml.replace("}]\nroutes", ", balance: round_robin}]\nroutes")) as proxy, proxy.caller() as caller:
            target.answer(OK, times=2)
            other.answer(OK, times=2)
            for _ in range(4):
                caller.send(head())
                assert caller.response().status == 200
    assert (len(target.requests), len(other.requests)) == (2, 2)


def test_out_of_descriptors_is_the_routers_own_fault(proxy: Proxy, target: Target) -> None:
    """When the router itself cannot open a connection, the target is not to blame (counters.FAULTS)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with proxy.caller() as caller, socket.socket() as probe:
        with proxy.held():
            pass
        lowest = probe.fileno()
        probe.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
        try:
            caller.send(head())
            response = caller.response()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert response.status == 503
    assert proxy.all_faults() == {"local": 1}
    assert not proxy.event().failed
    assert not target.pending()
