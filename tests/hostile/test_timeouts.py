"""Every wait has an end: with tiny durations each time-out is met, and its result is what the reference says."""

import contextlib
import itertools

import pytest

from tests.harness import Proxy, Target, simple_yaml, wait_until
from tests.hostile.test_streams import Stuck
from tests.hostile.wire import (
    CHUNKED,
    LOG_ALL,
    OK,
    assert_aborted,
    assert_fault,
    assert_problem,
    assert_refused,
    head,
    post,
)


def short(target: Target, timeouts: str = "", server: str = "") -> Proxy:
    """A data plane with some time-outs of target and server shortened."""
    extra = f"timeouts: {{{timeouts}}}" if timeouts else ""
    return Proxy(simple_yaml(target.url, extra, f"timeouts: {{{server}}}" if server else "") + LOG_ALL)


def test_connect() -> None:
    """A connection that is not made in time is 504 (RFC 9110 15.6.5)."""
    with Stuck() as stuck, Proxy(stuck.yaml.replace("60s", "100ms") + LOG_ALL) as proxy, proxy.caller() as caller:
        caller.send(head())
        assert_fault(proxy, caller.response(), 504, "connect_timeout")


def test_pool_wait(target: Target) -> None:
    """A request that waits too long for a free connection is 503, and never sent (schema: pool.max)."""
    yaml = simple_yaml(target.url, "pool: {max: 1}, timeouts: {connect: 100ms}") + LOG_ALL
    with Proxy(yaml) as proxy, proxy.caller() as first, proxy.caller() as second:
        first.send(head())
        connection = target.accept()
        connection.read_request()
        second.send(head(start=b"GET /second HTTP/1.1"))
        assert_fault(proxy, second.response(), 503, "pool_timeout")
        connection.send(OK)
        assert first.response().status == 200
        first.send(head(start=b"GET /third HTTP/1.1"))
        assert connection.read_request().startswith(b"GET /third ")
        connection.send(OK)
        assert first.response().status == 200


def test_the_queue_of_a_pool_is_bounded(target: Target) -> None:
    """Further requests than a full pool may queue are 503 at once (DESIGN 9.6)."""
    yaml = simple_yaml(target.url, "pool: {max: 1}, timeouts: {connect: 60s}")
    with Proxy(yaml) as proxy:
        callers = [proxy.caller() for _ in range(6)]
        for caller in callers:
            caller.send(head())
        assert callers[5].response().status == 503 or wait_until(lambda: proxy.all_faults() == {"pool_timeout": 1})
        assert proxy.all_faults() == {"pool_timeout": 1}
        for caller in callers:
            caller.close()


@pytest.mark.parametrize("method", [b"GET", b"POST"])
@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
def test_first_byte(target: Target, method: bytes, sent: bytes) -> None:
    """A silent target is 504, after exactly one attempt, and its connection is closed (RFC 9110 15.6.5, 9.2.2)."""
    with short(target, "first_byte: 100ms") as proxy, proxy.caller() as caller:
        caller.send(head(b"Content-Length: 0", start=method + b" / HTTP/1.1"))
        connection = target.accept()
        connection.read_request()
        connection.send(sent)
        response = caller.response()
        if response.status == 103:
            response = caller.response()
        assert_fault(proxy, response, 504, "timeout_first_byte")
        assert connection.ended()
        assert not target.pending()
        assert proxy.event().attempts == 1


@pytest.mark.parametrize("answer", [CHUNKED + b"2\r\nok\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"])
def test_idle(target: Target, answer: bytes) -> None:
    """A target that falls silent in its answer is cut, and the answer never ended cleanly (RFC 9112 8)."""
    with short(target, "idle: 100ms") as proxy, proxy.caller() as caller:
        caller.send(head())
        connection = target.accept()
        connection.read_request()
        connection.send(answer)
        received = caller.rest()
        assert b"ok" in received
        assert not received.endswith(b"0\r\n\r\n")
        assert connection.ended()
        assert proxy.all_faults() == {"timeout_idle": 1}
        event = proxy.event()
        assert (event.status, event.outcome_fault, event.failed) == (200, "timeout_idle", True)


def test_a_slow_but_steady_answer_is_not_idle(target: Target) -> None:
    """Each part of an answer begins the idle time anew (schema: timeouts.idle)."""
    with short(target, "idle: 250ms") as proxy, proxy.caller() as caller:
        caller.send(head())
        connection = target.accept()
        connection.read_request()
        connection.send(CHUNKED)
        ticks = iter(range(8))
        for _ in ticks:
            start = proxy.loop.time()
            wait_until(lambda start=start: proxy.loop.time() - start > 0.06)  # type: ignore[misc]
            connection.send(b"1\r\nx\r\n")
        connection.send(b"0\r\n\r\n")
        assert caller.response().body == b"1\r\nx\r\n" * 8 + b"0\r\n\r\n"


def test_total_before_the_first_byte(target: Target) -> None:
    """The total counts from the beginning of the exchange: 504 before the first byte (schema: timeouts.total)."""
    with short(target, "total: 100ms") as proxy, proxy.caller() as caller:
        caller.send(head())
        target.accept().read_request()
        assert_fault(proxy, caller.response(), 504, "timeout_total")


def test_total_within_the_answer(target: Target) -> None:
    """After the first byte the total cuts the answer, however steadily it comes (schema: timeouts.total)."""
    with short(target, "total: 200ms") as proxy, proxy.caller() as caller:
        caller.send(head())
        connection = target.accept()
        connection.read_request()
        connection.send(CHUNKED)

        def dripped() -> bool:
            try:
                connection.send(b"1\r\nx\r\n")
            except OSError:
                return True
            return False

        wait_until(dripped, "the end of the connection")
        assert not caller.rest().endswith(b"0\r\n\r\n")
        assert proxy.all_faults() == {"timeout_total": 1}


def test_total_within_the_upload(target: Target) -> None:
    """The total also ends an upload that trickles on (schema: timeouts.total is the whole exchange)."""
    with short(target, "total: 200ms", "body_read: 60s") as proxy, proxy.caller() as caller:
        caller.send(head(b"Content-Length: 100000", start=b"POST / HTTP/1.1"))
        connection = target.accept()

        def trickled() -> bool:
            try:
                caller.send(b"x")
            except OSError:
                return True
            return bool(proxy.all_faults())

        wait_until(trickled, "the end of the exchange")
        assert proxy.all_faults() == {"timeout_total": 1}
        assert_aborted(connection)


@pytest.mark.parametrize(
    "sent", [b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: h\r\nX: y", b"GET / HTTP/1.1\r\nHost: h\r\n\r"]
)
def test_header_read(target: Target, sent: bytes) -> None:
    """A head that does not come in time is 408 (RFC 9110 15.5.9)."""
    with short(target, server="header_read: 100ms") as proxy:
        assert_refused(proxy, target, proxy.send(sent), 408, "header_timeout")


def test_header_read_is_a_total(target: Target) -> None:
    """A head that drips without end does not begin its time anew with each byte (RFC 9110 15.5.9)."""
    with short(target, server="header_read: 200ms") as proxy, proxy.caller() as caller:
        caller.send(b"GET / HTTP/1.1\r\nX: ")

        def dripped() -> bool:
            caller.send(b"x")
            return bool(proxy.refusals())

        wait_until(dripped, "the refusal")
        assert_refused(proxy, target, caller.rest(), 408, "header_timeout")


def test_header_read_of_a_second_request(target: Target) -> None:
    """The time for a head holds for every request of a connection (RFC 9110 15.5.9)."""
    target.answer(OK)
    with short(target, server="header_read: 200ms") as proxy, proxy.caller() as caller:
        caller.send(head() + b"GET /second HTTP/1.1\r\n")
        assert caller.response().status == 200
        assert_problem(caller.rest(), 408, "header_timeout")
        assert proxy.refusals() == {"header_timeout": 1}


def test_a_connection_that_never_says_anything(target: Target) -> None:
    """A connection without a first byte is closed after the header time, without an answer (RFC 9112 9.5)."""
    with short(target, server="header_read: 100ms") as proxy:
        assert proxy.send() == b""
        assert proxy.refusals() == {}


def test_keepalive(target: Target) -> None:
    """A kept connection that is not used is closed, without an answer (RFC 9112 9.5)."""
    target.answer(OK)
    with short(target, server="keepalive: 100ms") as proxy, proxy.caller() as caller:
        caller.send(head())
        assert caller.response().status == 200
        assert caller.rest() == b""
        assert proxy.refusals() == {}


@pytest.mark.parametrize("sent", [0, 5])
def test_body_read(target: Target, sent: int) -> None:
    """A body that stalls is 408, and its request at the target aborted (RFC 9110 15.5.9)."""
    with short(target, server="body_read: 100ms") as proxy, proxy.caller() as caller:
        caller.send(head(b"Content-Length: 10", start=b"POST / HTTP/1.1") + b"x" * sent)
        connection = target.accept()
        assert_problem(caller.rest(), 408, "body_timeout")
        assert_aborted(connection)
        assert proxy.refusals() == {"body_timeout": 1}
        assert proxy.all_faults() == {}
        event = proxy.event()
        assert (event.status, event.outcome_fault, event.failed) == (408, "body_timeout", False)


def test_body_read_in_the_gather_phase(target: Target) -> None:
    """A body that stalls while it is gathered is 408, and nothing reaches the target (RFC 9110 15.5.9)."""
    routes = ("{name: all, target: t, unit: ['json:/user']}",)
    with Proxy(simple_yaml(target.url, server="timeouts: {body_read: 100ms}", routes=routes)) as proxy:
        response = proxy.send(post(b'{"user": "u"}')[:-3])
        assert_refused(proxy, target, response, 408, "body_timeout")
        assert proxy.gathered("incomplete") == 1


def test_a_target_that_does_not_take_the_upload(target: Target) -> None:
    """When the target stops reading the body, it is the one to blame (RFC 9110 15.6.5)."""
    with short(target, "first_byte: 200ms", "body_read: 200ms") as proxy, proxy.caller() as caller:
        caller.send(head(b"Content-Length: 60000000", start=b"POST / HTTP/1.1"))
        connection = target.accept()
        connection.read_until(b"\r\n\r\n")
        caller.socket.setblocking(False)

        def pushed() -> bool:
            try:
                caller.socket.send(b"x" * 65536)
            except BlockingIOError:
                pass
            except OSError:
                return True
            return bool(proxy.all_faults())

        wait_until(pushed, "the fault")
        assert proxy.all_faults() == {"timeout_first_byte": 1}
        assert proxy.refusals() == {}


def test_a_caller_that_does_not_take_the_answer(target: Target) -> None:
    """A caller that stops reading is cut after the idle time, and the target is not to blame (DESIGN 9.6)."""
    with short(target, "idle: 200ms") as proxy, proxy.caller() as caller:
        caller.send(head())
        connection = target.accept()
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 60000000\r\n\r\n")
        connection.socket.setblocking(False)

        def pushed() -> bool:
            try:
                connection.socket.send(b"x" * 65536)
            except BlockingIOError:
                pass
            except OSError:
                return True
            return bool(proxy.log.events)

        wait_until(pushed, "the cut")
        wait_until(lambda: proxy.log.events, "the event")
        assert proxy.event().outcome_fault == "client_stalled"
        assert not proxy.event().failed
        assert proxy.all_faults() == {}
        wait_until(lambda: not proxy.server.connections, "the end of the connection")


def test_idle_connections_of_the_pool_are_closed(target: Target) -> None:
    """A kept connection is closed after ``pool.idle``, before the target would do it (schema: pool.idle)."""
    with Proxy(simple_yaml(target.url, "pool: {idle: 100ms}")) as proxy, proxy.caller() as caller:
        caller.send(head())
        connection = target.accept()
        connection.read_request()
        connection.send(OK)
        assert caller.response().status == 200
        assert connection.ended()


def test_a_caller_that_ignores_the_end_is_let_go(target: Target) -> None:
    """After the last answer a caller that sends on without end is read for a moment only (RFC 9112 9.6)."""
    with Proxy(simple_yaml(target.url)) as proxy, proxy.caller() as caller:
        caller.send(b"nonsense\r\n\r\n")

        def shut() -> bool:
            try:
                caller.send(b"more")
            except OSError:
                return True
            return False

        wait_until(shut, "the end of the connection")


def test_a_body_that_drips_is_too_slow(target: Target) -> None:
    """A caller that sends a byte now and then is never silent, and is 408 all the same (schema: limits.body_rate)."""
    yaml = simple_yaml(target.url, server="limits: {body_rate: 1KiB}, timeouts: {body_read: 300ms}") + LOG_ALL
    with Proxy(yaml) as proxy, proxy.caller() as caller:
        caller.send(head(b"Content-Length: 100000", start=b"POST / HTTP/1.1"))
        connection = target.accept()

        def dripped() -> bool:
            with contextlib.suppress(OSError):
                caller.send(b"x")
            return bool(proxy.refusals())

        wait_until(dripped, "the refusal")
        assert_problem(caller.rest(), 408, "body_timeout")
        assert_aborted(connection)
        assert proxy.all_faults() == {}
        assert proxy.event().outcome_fault == "body_timeout"


@pytest.mark.parametrize("framing", [b"Content-Length: 100000", b"Transfer-Encoding: chunked"])
def test_a_body_that_drips_is_too_slow_in_the_gather_phase(target: Target, framing: bytes) -> None:
    """A drip holds no request before it has a target either, byte by byte of its chunks too (schema: body_rate)."""
    server = "limits: {body_rate: 1KiB}, timeouts: {body_read: 300ms}"
    routes = ("{name: all, target: t, unit: ['json:/user']}",)
    with Proxy(simple_yaml(target.url, server=server, routes=routes)) as proxy, proxy.caller() as caller:
        caller.send(head(framing, start=b"POST / HTTP/1.1"))
        drip = itertools.cycle(b"1\r\nx\r\n")

        def dripped() -> bool:
            with contextlib.suppress(OSError):
                caller.send(bytes([next(drip)]))
            return bool(proxy.refusals())

        wait_until(dripped, "the refusal")
        assert_refused(proxy, target, caller.rest(), 408, "body_timeout")


def test_a_caller_that_takes_the_answer_byte_by_byte_is_cut_at_the_total(target: Target) -> None:
    """A trickle of reads keeps no buffers for ever: ``total`` ends it, and the target is not to blame (DESIGN 9.6)."""
    with short(target, "idle: 60s, total: 400ms") as proxy, proxy.caller() as caller:
        caller.send(head())
        connection = target.accept()
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 60000000\r\n\r\n")
        connection.socket.setblocking(False)

        def trickled() -> bool:
            with contextlib.suppress(OSError):
                while True:  # until nobody takes more: what the caller trickles cannot be the target's silence
                    connection.socket.send(b"x" * 65536)
            with contextlib.suppress(OSError):
                caller.socket.recv(1)
            return bool(proxy.log.events)

        wait_until(trickled, "the cut")
        event = proxy.event()
        assert (event.outcome_fault, event.failed) == ("client_stalled", False)
        assert event.response_bytes < 24 * 1024 * 1024
        assert proxy.all_faults() == {}
        wait_until(lambda: not proxy.server.connections, "the end of the connection")
