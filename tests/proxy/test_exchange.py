"""Exchanges on scripted transports: what sockets cannot time, turn by turn."""

from time import monotonic

import pytest

from router import counters, histogram
from router.proxy.downstream import HELD_BYTES, IDLE, LINGER_S
from tests.proxy.memory import GET, OK, YAML, Plane

POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\npay"


def warm(plane: Plane, count: int = 1) -> None:
    """Have some connections to the target that have served and are free."""
    wires = [plane.caller()[1] for _ in range(count)]
    targets = [plane.ask(wire) for wire in wires]
    for target, wire in zip(targets, wires, strict=True):
        target.feed(OK)
        plane.settle()
        assert wire.take().endswith(b"ok")
        wire.end()
    plane.settle()
    for target in plane.targets:
        target.take()


def test_an_exchange(plane: Plane) -> None:
    """A request goes to the target, its answer to the caller, and both connections stay."""
    protocol, wire = plane.caller()
    target = plane.ask(wire)
    assert plane.inflight() == 1
    target.feed(OK)
    plane.settle()
    assert wire.sent.endswith(b"\r\n\r\nok")
    assert plane.inflight() == 0
    assert protocol.state == IDLE
    assert not target.closing


def test_an_empty_line_that_comes_in_pieces_is_ignored(plane: Plane) -> None:
    """An empty line before a request line is ignored, byte by byte too (RFC 9112 2.2)."""
    _, wire = plane.caller()
    for byte in b"\r\n" + GET:
        wire.feed(bytes([byte]))
    plane.settle()
    (target,) = plane.targets
    assert target.sent.startswith(GET.partition(b"\r\n")[0])
    assert not wire.sent


def test_answers_of_one_turn_all_arrive_when_one_caller_has_left(plane: Plane) -> None:
    """When one caller's connection ends in the turn of its answer, the answers of others are not lost (DESIGN 9.1)."""
    warm(plane, 3)
    wires = [plane.caller()[1] for _ in range(3)]
    targets = [plane.ask(wire) for wire in wires]
    wires[0].reset()
    for target in targets:
        target.feed(OK)
    plane.settle()
    assert [wire.take()[-2:] for wire in wires[1:]] == [b"ok", b"ok"]


@pytest.mark.parametrize("how", ["end", "reset"])
def test_requests_of_one_turn_all_arrive_when_one_connection_has_ended(plane: Plane, how: str) -> None:
    """When one kept connection ends in the turn of its request, the requests of others are not lost (DESIGN 9.1)."""
    warm(plane, 3)
    free = [target for target in plane.targets if not target.closing]
    assert len(free) == 3
    wires = [plane.caller()[1] for _ in range(3)]
    getattr(free[-1], how)()  # the one that is taken first
    for wire in wires:
        wire.feed(GET)
    plane.settle()
    served = [target for target in plane.targets if target.sent and not target.closing]
    assert len(served) == 3
    for target in served:
        target.feed(OK)
    plane.settle()
    assert [wire.take()[-2:] for wire in wires] == [b"ok"] * 3


def test_a_post_is_not_given_to_a_connection_that_is_ending(plane: Plane) -> None:
    """A connection whose end is known already gets no request: a POST on it could not be repeated (RFC 9112 9.3.1)."""
    warm(plane)
    (free,) = (target for target in plane.targets if not target.closing)
    free.end()
    _, wire = plane.caller()
    target = plane.ask(wire, POST)
    assert target is not free
    target.feed(OK)
    plane.settle()
    assert wire.take().endswith(b"ok")


@pytest.mark.parametrize("request_bytes", [GET, POST])
def test_a_connection_with_unread_bytes_is_not_reused(plane: Plane, request_bytes: bytes) -> None:
    """Bytes that the kernel has and nobody asked for disqualify a connection that lay idle (RFC 9112 9.2)."""
    warm(plane)
    (free,) = (target for target in plane.targets if not target.closing)
    free.protocol.idle_since -= 1
    free.socket.make_readable()
    _, wire = plane.caller()
    assert plane.ask(wire, request_bytes) is not free
    assert free.aborted


def test_a_connection_that_still_sends_its_last_request_is_not_reused(plane: Plane) -> None:
    """After an early answer, a request that is not sent to its end yet occupies its connection (RFC 9112 9.3)."""
    warm(plane)
    (free,) = (target for target in plane.targets if not target.closing)
    free.stuck = True
    _, wire = plane.caller()
    assert plane.ask(wire, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50000\r\n\r\n" + b"x" * 50_000) is free
    free.feed(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")
    plane.settle()
    assert wire.take().endswith(b"no")
    assert plane.ask(wire) is not free


@pytest.mark.parametrize("first", [b"", b"GET / HTTP/1.1\r\nHost: h\r\nConnection: x\r\n\r\n"])
def test_the_routers_own_answer_does_not_overtake_the_targets(plane: Plane, first: bytes) -> None:
    """Answers leave in the order of their requests, also within one turn of the loop (RFC 9112 9.3.2)."""
    _, wire = plane.caller()
    target = plane.ask(wire, first or GET)
    target.feed(OK)
    wire.feed(b"garbage\r\n\r\n")
    plane.settle()
    assert wire.sent.index(b"HTTP/1.1 200") < wire.sent.index(b"HTTP/1.1 400")
    assert wire.sent.count(b"HTTP/1.1 ") == 2


def test_pipelined_requests_wait_while_the_caller_takes_nothing(plane: Plane) -> None:
    """A caller whose answers pile up gets no further request carried until it takes them (DESIGN 9.6)."""
    protocol, wire = plane.caller()
    wire.stuck = True
    body = b"x" * 100_000
    wire.feed(GET * 50)
    plane.settle()
    (target,) = plane.targets
    for _ in range(50):
        if target.take().count(b"GET /"):
            target.feed(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        plane.settle()
    assert wire.sent.count(b"HTTP/1.1 200") == 1
    wire.feed(GET * 5000)
    assert len(protocol.held) <= 2 * len(GET * 5000)
    assert not wire.reading or len(protocol.held) < HELD_BYTES
    wire.unstick()
    plane.settle()
    assert target.take().count(b"GET /") == 1


def test_a_caller_that_takes_nothing_of_a_small_answer_is_let_go(plane: Plane) -> None:
    """A connection that cannot be closed in order, since its peer takes nothing, is aborted in the end (DESIGN 9.6)."""
    _, wire = plane.caller()
    wire.stuck = True
    target = plane.ask(wire)
    target.feed(OK)
    plane.settle()
    for _ in range(5):
        plane.wait(100)
    assert wire.lost


def test_a_caller_that_takes_nothing_of_a_cut_answer_is_let_go(plane: Plane) -> None:
    """The same, when the answer was cut (DESIGN 9.6)."""
    _, wire = plane.caller()
    wire.stuck = True
    target = plane.ask(wire)
    target.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
    plane.settle()
    target.reset()
    plane.settle()
    for _ in range(5):
        plane.wait(100)
    assert wire.lost


def test_upload_back_pressure(plane: Plane) -> None:
    """A target that takes nothing stops the caller, and lets it go on when it takes again."""
    _, wire = plane.caller()
    wire.feed(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nx")
    plane.settle()
    (target,) = plane.targets
    target.stuck = True
    wire.feed(b"x" * 100_000)
    assert not wire.reading
    target.unstick()
    plane.settle()
    assert wire.reading


def test_download_back_pressure(plane: Plane) -> None:
    """A caller that takes nothing stops the target, and lets it go on when it takes again."""
    _, wire = plane.caller()
    target = plane.ask(wire)
    target.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx")
    wire.stuck = True
    target.feed(b"x" * 100_000)
    plane.settle()  # what goes to callers is sent at the end of the turn
    assert not target.reading
    wire.unstick()
    plane.settle()
    assert target.reading


def test_a_stop_of_the_target_before_it_answers_is_undone_with_the_exchange(plane: Plane) -> None:
    """A caller that was not read during its upload is read again for its next request."""
    _, wire = plane.caller()
    wire.feed(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100001\r\n\r\nx")
    plane.settle()
    (target,) = plane.targets
    target.stuck = True
    wire.feed(b"x" * 100_000)
    assert not wire.reading
    target.feed(OK)
    plane.settle()
    assert wire.reading


def test_what_the_caller_sends_while_connecting_is_bounded(plane: Plane) -> None:
    """While there is no connection, a body is held up to a bound, and then sent on whole (DESIGN 9.6)."""
    plane.loop.stall = True
    _, wire = plane.caller()
    wire.feed(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 60_000)
    plane.settle()
    assert wire.reading
    wire.feed(b"x" * 60_000)
    assert not wire.reading
    wire.feed(b"x" * 60_000)
    plane.wait(0.5)
    assert not wire.closing


def test_an_expectation_is_answered_only_when_there_is_a_connection(plane: Plane) -> None:
    """A caller that waits for 100 gets a final answer instead when no connection comes (RFC 9110 10.1.1)."""
    plane.loop.outcomes.append(ConnectionRefusedError())
    _, wire = plane.caller()
    wire.feed(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
    plane.settle()
    assert wire.sent.startswith(b"HTTP/1.1 502 ")
    assert b"\r\nconnection: close\r\n" in wire.sent


def test_a_connection_that_is_lost_as_it_is_made(plane: Plane) -> None:
    """A connection that ends before its claim gets it is a reset, counted once."""
    protocol, wire = plane.caller()
    wire.feed(GET)
    make = plane.loop.create_connection

    async def lose(factory: object, *_: object, **__: object) -> object:
        made, upstream = await make(factory)  # type: ignore[arg-type]
        made._lose(None)
        return made, upstream

    plane.loop.create_connection = lose  # type: ignore[method-assign, assignment]
    plane.settle()
    assert wire.sent.startswith(b"HTTP/1.1 502 ")
    assert plane.fault("reset") == 1
    assert protocol.state == IDLE


def test_an_answer_before_the_request_was_sent_to_its_end(plane: Plane) -> None:
    """An early answer ends the exchange; what the caller still sends reaches nobody (RFC 9112 9.5)."""
    _, wire = plane.caller()
    wire.feed(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc")
    plane.settle()
    (target,) = plane.targets
    target.take()
    target.feed(OK)
    plane.settle()
    wire.feed(b"defghij" + GET)
    plane.settle()
    assert target.take() == b""
    assert target.lost
    assert wire.sent.count(b"HTTP/1.1 ") == 1
    assert wire.eof


def test_nothing_is_answered_after_a_caller_has_gone(plane: Plane) -> None:
    """Bytes of the target for a caller that has left are dropped, with its connection."""
    _, wire = plane.caller()
    target = plane.ask(wire)
    wire.end()
    plane.settle()
    assert target.lost
    assert plane.log.events[0].outcome_fault == "client_gone"


def test_an_answer_in_every_split(plane: Plane) -> None:
    """An answer is the same in any two pieces, also where both come in one turn."""
    _, wire = plane.caller()
    for answer in (
        OK,
        b"HTTP/1.1 103 E\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ):
        for at in range(1, len(answer)):
            target = plane.ask(wire)
            target.feed(answer[:at])
            target.feed(answer[at:])
            plane.settle()
            received = wire.take()
            assert b"ok" in received
            assert received.count(b"HTTP/1.1 200 OK") == 1
    assert len(plane.targets) == 1


def test_time_is_charged_to_whom_it_belongs(plane: Plane) -> None:
    """The event of an exchange has its bytes, its attempts and its times, in order."""
    _, wire = plane.caller()
    target = plane.ask(wire, POST)
    target.feed(OK)
    plane.settle()
    (event,) = plane.log.events
    assert (event.request_bytes, event.response_bytes, event.attempts, event.status) == (3, 2, 1, 200)
    assert event.first_byte is not None
    assert 0 <= event.first_byte <= event.duration
    assert plane.words[counters.OVERHEAD + histogram.HISTOGRAM_SUM] >= 0
    assert sum(plane.words[counters.OVERHEAD + 1 : counters.OVERHEAD + 1 + histogram.BUCKETS]) == 1


@pytest.mark.parametrize(
    ("timeouts", "phase", "fault"),
    [
        ("first_byte: 5s", "head", "timeout_first_byte"),
        ("idle: 5s", "body", "timeout_idle"),
        ("total: 5s", "head", "timeout_total"),
        ("total: 5s", "body", "timeout_total"),
    ],
)
def test_deadlines_by_phase(timeouts: str, phase: str, fault: str) -> None:
    """In each phase the deadline of that phase ends the exchange, with its own fault (schema: timeouts)."""
    yaml = YAML.replace("80']", f"80'], timeouts: {{{timeouts}}}")
    with Plane(yaml) as plane:
        _, wire = plane.caller()
        target = plane.ask(wire)
        if phase == "body":
            target.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        plane.wait(4.5)
        assert not wire.closing
        plane.wait(1)
        assert plane.fault(fault) == 1
        assert target.lost
        assert wire.closing == (phase == "body")


def test_the_wait_for_a_connection_ends() -> None:
    """An exchange whose connection never comes ends by the pool's time-out at the latest (schema: pool.max)."""
    with Plane(YAML.replace("80']", "80'], timeouts: {connect: 60s}")) as plane:
        plane.loop.stall = True
        _, wire = plane.caller()
        wire.feed(GET)
        plane.settle()
        plane.wait(130)
        assert wire.sent.startswith(b"HTTP/1.1 503 ")
        assert plane.fault("pool_timeout") == 1


@pytest.mark.parametrize("request_bytes", [GET, POST])
def test_bytes_that_come_before_the_request_went_out_are_no_answer(plane: Plane, request_bytes: bytes) -> None:
    """What comes on a kept connection before the request was sent on it answers nothing (RFC 9112 9.2)."""
    warm(plane)
    (free,) = (target for target in plane.targets if not target.closing)
    _, wire = plane.caller()
    wire.feed(request_bytes)
    free.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    plane.settle()
    assert b"evil" not in wire.sent
    (target,) = (target for target in plane.targets if not target.closing)
    assert target.sent.startswith(request_bytes[:6])
    target.feed(OK)
    plane.settle()
    assert wire.sent.endswith(b"ok")


def test_a_post_whose_connection_ends_before_it_went_out_is_sent_on_another(plane: Plane) -> None:
    """A request of which nothing was sent may go to another connection, whatever its method (RFC 9110 9.2.2)."""
    warm(plane)
    (free,) = (target for target in plane.targets if not target.closing)
    _, wire = plane.caller()
    free._loop.call_soon(free._lose, None)
    wire.feed(POST)
    plane.settle()
    (target,) = (target for target in plane.targets if not target.closing)
    assert target.sent.endswith(b"\r\n\r\npay")
    target.feed(OK)
    plane.settle()
    assert wire.sent.endswith(b"ok")


def test_a_caller_that_leaves_before_its_request_went_out(plane: Plane) -> None:
    """A request whose caller has gone by the end of the turn is not sent at all."""
    warm(plane)
    (free,) = (target for target in plane.targets if not target.closing)
    _, wire = plane.caller()
    plane.loop.call_soon(wire._lose, None)
    wire.feed(POST)
    plane.settle()
    assert free.sent == b""
    assert free.lost


def test_a_name_for_every_cause(plane: Plane) -> None:
    """A request that no route matches, or that is refused in its body, is counted once and decided never."""
    _, wire = plane.caller()
    wire.feed(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
    plane.settle()
    assert plane.refusals() == {"bad_chunk": 1}
    assert plane.log.events == []
    assert plane.targets == []


def test_the_caller_stops_and_goes_on_between_exchanges(plane: Plane) -> None:
    """Flow control outside of an exchange holds the next request back, and carries it when the caller takes again."""
    protocol, wire = plane.caller()
    target = plane.ask(wire)
    target.take()
    target.feed(OK)
    plane.settle()
    protocol.pause_writing()
    wire.feed(GET)
    plane.settle()
    assert target.take() == b""
    protocol.resume_writing()
    plane.settle()
    assert target.take().startswith(b"GET ")


def test_flow_control_of_an_unused_connection_concerns_nobody(plane: Plane) -> None:
    """A free connection to a target may stop and go on without anybody to tell."""
    warm(plane)
    (free,) = (target for target in plane.targets if not target.closing)
    free.protocol.pause_writing()
    free.protocol.resume_writing()
    free.protocol.read(on=True)
    _, wire = plane.caller()
    assert plane.ask(wire) is free


def test_a_response_head_that_does_not_end_is_bounded(plane: Plane) -> None:
    """A head that grows without an end is malformed once it is larger than any may be (DESIGN 9.6)."""
    _, wire = plane.caller()
    target = plane.ask(wire)
    target.feed(b"HTTP/1.1 200 OK\r\n")
    for _ in range(20):
        target.feed(b"X: " + b"a" * 8000 + b"\r\n")
    plane.settle()
    assert wire.sent.startswith(b"HTTP/1.1 502 ")
    assert target.lost


def test_flow_control_after_the_last_answer(plane: Plane) -> None:
    """A caller that is being let go may stop and go on without effect."""
    protocol, wire = plane.caller()
    wire.feed(b"nonsense\r\n\r\n")
    protocol.pause_writing()
    protocol.resume_writing()
    wire.feed(GET)
    plane.settle()
    assert wire.sent.count(b"HTTP/1.1 ") == 1
    assert plane.targets == []


def test_the_time_in_which_a_caller_is_not_read_is_not_its_own() -> None:
    """A target that takes an upload slowly does not make its caller too slow (schema: limits.body_rate)."""
    size = 300_000
    with Plane(YAML + "server: {limits: {body_rate: 1GiB}}\n") as plane:
        protocol, wire = plane.caller()
        target = plane.ask(wire, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\nx" % size)
        target.stuck = True
        wire.feed(b"x" * (size // 2))
        plane.settle()
        assert not protocol.reading
        exchange = protocol.exchange
        assert exchange is not None
        exchange.started -= 100.0
        protocol._unread_since -= 100.0
        target.unstick()
        plane.settle()
        assert protocol.reading
        assert protocol.deadline > monotonic() + 20
        exchange.started -= 100.0  # and now it was read all the time
        wire.feed(b"x")
        assert protocol.deadline < monotonic()
        wire.end()


@pytest.mark.parametrize("more", [b"", b"Connection: close\r\n"])
def test_a_caller_has_time_to_take_the_end_of_its_answer(plane: Plane, more: bytes) -> None:
    """What a slow caller has not taken when its exchange is over is not cut after the moment of a last answer."""
    _, wire = plane.caller()
    target = plane.ask(wire, GET[:-2] + more + b"\r\n")
    wire.stuck = True
    target.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n" + b"x" * 50000)
    plane.settle()
    plane.wait(LINGER_S + 1)
    assert not wire.aborted
    plane.wait(80)
    plane.wait(80)
    assert wire.lost


def test_at_shutdown_a_caller_has_time_to_take_the_end_of_its_answer(plane: Plane) -> None:
    """A kept connection with unsent bytes is not cut while the drain lasts (DESIGN 9.1)."""
    _, wire = plane.caller()
    target = plane.ask(wire)
    wire.stuck = True
    target.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n" + b"x" * 50000)
    plane.settle()
    plane.server.drain()
    plane.wait(LINGER_S + 1)
    assert not wire.aborted
    wire.unstick()
    plane.settle()
    assert wire.lost
    assert not wire.aborted
