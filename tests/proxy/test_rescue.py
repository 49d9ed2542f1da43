"""What a caller gets when an attempt fails: another attempt, a fallback, or a problem document."""

import json
from collections.abc import Iterator

import pytest

from router import counters
from tests.proxy.memory import GET, OK, Plane, Wire

TARGETS = (
    "events: {unenrolled: 100%}\n"
    "server: {expose: [request-id, fallback, target]}\n"
    "targets:\n"
    "  - {name: t, endpoints: ['http://10.0.0.1:80'], timeouts: {first_byte: 1s}RETRY}\n"
    "  - {name: old, endpoints: ['http://10.0.0.2:80']}\n"
    "  - {name: fast, endpoints: ['http://10.0.0.3:80']}\n"
)
CHAIN = TARGETS.replace("RETRY", "") + (
    "routes:\n"
    "  - name: all\n"
    "    target: t\n"
    "    fallback:\n"
    "      - {target: fast, causes: [timeout]}\n"
    "      - {target: old}\n"
    "      - {respond: {status: 200, json: {items: []}}}\n"
)
RETRY = TARGETS.replace("RETRY", ", retry: {attempts: 2, backoff: 0s}") + "routes: [{name: all, target: t}]\n"
POST = b"POST /a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\npay"
ERROR = b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"


@pytest.fixture
def chain() -> Iterator[Plane]:
    """A data plane whose route has fallbacks."""
    with Plane(CHAIN) as made:
        yield made


@pytest.fixture
def retrying() -> Iterator[Plane]:
    """A data plane whose target is tried up to three times."""
    with Plane(RETRY) as made:
        yield made


def ask(plane: Plane, request: bytes = GET) -> tuple[Wire, Wire]:
    """Send a request; return the caller's wire and the target's."""
    _, wire = plane.caller()
    return wire, plane.ask(wire, request)


def newest(plane: Plane) -> Wire:
    """Return the connection that was made last, after the event loop has settled."""
    plane.settle()
    return plane.targets[-1]


def document(wire: Wire) -> dict[str, object]:
    """Return the JSON of the one answer that a caller got."""
    head, _, body = wire.take().partition(b"\r\n\r\n")
    assert head.count(b"HTTP/1.1") == 1
    found = json.loads(body)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("request_bytes", [GET, POST])
def test_an_error_is_answered_by_the_version_before(chain: Plane, request_bytes: bytes) -> None:
    """A 5xx goes to the next fallback with the same request, whatever its method; the caller sees that answer alone."""
    wire, first = ask(chain, request_bytes)
    asked = first.take()
    first.feed(ERROR)
    second = newest(chain)
    assert second is not first
    assert second.sent.replace(b"10.0.0.2", b"10.0.0.1") == asked
    second.feed(OK)
    chain.settle()
    answer = wire.take()
    assert answer.count(b"HTTP/1.1") == 1
    assert answer.endswith(b"\r\n\r\nok")
    assert b"x-router-fallback: old\r\n" in answer
    assert b"x-router-target: old\r\n" in answer
    (event,) = chain.log.events
    assert (event.target, event.fallback, event.fallback_to) == ("old", "5xx", "old")
    assert (event.failed, event.fault, event.outcome_fault, event.attempts) == (True, "status", None, 2)
    assert chain.fallbacks() == {("old", "5xx"): 1}


def test_a_whole_error_leaves_its_connection_usable(chain: Plane) -> None:
    """An error that came whole costs no connection: the next request takes it."""
    _, first = ask(chain)
    first.feed(ERROR)
    newest(chain).feed(OK)
    chain.settle()
    assert not first.closing
    first.take()
    _, again = ask(chain)
    assert again is first


def test_a_half_error_is_cancelled(chain: Plane) -> None:
    """An error whose content is still coming is not waited for: its connection ends."""
    _, first = ask(chain)
    first.feed(ERROR[:-2])
    chain.settle()
    assert first.closing
    newest(chain).feed(OK)
    chain.settle()


def test_causes_choose_the_step(chain: Plane) -> None:
    """A time-out goes to the step that is for it."""
    wire, first = ask(chain)
    chain.wait(1.2)
    assert first.closing
    second = newest(chain)
    assert b"host: h" in second.sent.lower()
    second.feed(OK)
    chain.settle()
    assert b"x-router-fallback: fast\r\n" in wire.take()
    assert chain.fallbacks() == {("fast", "timeout"): 1}


def test_the_whole_chain_down_to_the_written_answer(chain: Plane) -> None:
    """When every target fails, the answer that somebody wrote is given; no target is asked twice."""
    wire, first = ask(chain)
    chain.loop.outcomes.extend([ConnectionRefusedError(111, "")] * 3)
    first.reset()
    chain.settle(40)
    answer = wire.sent
    assert document(wire) == {"items": []}
    assert b"x-router-fallback: respond\r\n" in answer
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    (event,) = chain.log.events
    assert (event.target, event.fallback, event.fallback_to, event.status) == (None, "unavailable", "respond", 200)
    assert (event.failed, event.fault) == (True, "reset")
    assert event.attempts == 2
    assert chain.fallbacks() == {("respond", "unavailable"): 1}


def test_the_connection_goes_on_after_a_written_answer(chain: Plane) -> None:
    """A caller that got a written answer sends its next request on the same connection."""
    wire, first = ask(chain)
    chain.loop.outcomes.extend([ConnectionRefusedError(111, "")])
    first.reset()
    chain.settle(40)
    wire.take()
    again = chain.ask(wire)
    again.feed(OK)
    chain.settle()
    assert wire.take().endswith(b"ok")


def test_a_written_answer_names_no_target(chain: Plane) -> None:
    """Who reads ``x-router-target`` learns who gave the answer, not who failed to."""
    wire, first = ask(chain)
    first.reset()
    newest(chain).reset()
    chain.settle()
    answer = wire.take()
    assert b"x-router-fallback: respond\r\n" in answer
    assert b"x-router-target" not in answer


def test_head_gets_no_content(chain: Plane) -> None:
    """A written answer to HEAD is the head of what GET would get (RFC 9110 9.3.2)."""
    wire, first = ask(chain, b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
    chain.loop.outcomes.extend([ConnectionRefusedError(111, "")])
    first.reset()
    chain.settle(40)
    assert wire.take().endswith(b"\r\n\r\n")


def test_nothing_after_the_first_byte(chain: Plane) -> None:
    """Once a byte of a response went to the caller, a failure cuts it: no second answer ever follows (DESIGN 3)."""
    wire, first = ask(chain)
    first.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal")
    chain.settle()
    first.reset()
    chain.settle()
    assert wire.take().endswith(b"\r\n\r\nhal")
    assert wire.closing
    assert len(chain.targets) == 1


def test_a_client_error_is_the_answer(chain: Plane) -> None:
    """A 4xx is the caller's to see: no fallback, no failure."""
    wire, first = ask(chain)
    first.feed(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
    chain.settle()
    assert wire.take().startswith(b"HTTP/1.1 404 No\r\n")
    assert not chain.log.events[0].failed


def test_the_last_error_passes_when_nothing_else_can_answer() -> None:
    """Without a written answer the last target's own error reaches the caller, whole."""
    with Plane(CHAIN.replace("      - {respond: {status: 200, json: {items: []}}}\n", "")) as plane:
        wire, first = ask(plane)
        first.feed(ERROR)
        newest(plane).feed(ERROR)
        plane.settle()
        answer = wire.take()
        assert answer.endswith(b"\r\n\r\nbusy")
        assert answer.count(b"HTTP/1.1") == 1


def test_a_body_too_long_to_keep_goes_nowhere_else(chain: Plane) -> None:
    """A request whose body was not kept is not sent to another target in part; a written answer is still given."""
    size = 70_000
    wire, first = ask(chain, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
    first.feed(ERROR)
    chain.settle()
    assert len(chain.targets) == 1
    assert document(wire) == {"items": []}


def test_a_body_that_is_still_coming_moves_to_the_fallback(chain: Plane) -> None:
    """What came of a body goes to the fallback, and the rest follows as it comes."""
    wire, first = ask(chain, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc")
    wire.feed(b"def")
    chain.settle()
    assert first.sent.endswith(b"\r\n\r\nabcdef")
    first.feed(ERROR)
    second = newest(chain)
    assert second.sent.endswith(b"\r\n\r\nabcdef")
    wire.feed(b"ghi")
    chain.settle()
    assert second.sent.endswith(b"\r\n\r\nabcdefghi")
    second.feed(OK)
    chain.settle()
    assert wire.take().endswith(b"ok")


def test_a_caller_that_leaves_ends_the_fallback(chain: Plane) -> None:
    """A caller that goes away cancels whichever attempt is under way."""
    wire, first = ask(chain)
    first.feed(ERROR)
    second = newest(chain)
    wire.reset()
    chain.settle()
    assert second.closing
    assert chain.log.events[0].outcome_fault == "client_gone"


def test_a_fallback_gets_its_own_time() -> None:
    """The time of a fallback counts from its own beginning, not from that of the attempt that used it up."""
    with Plane(CHAIN.replace("first_byte: 1s", "total: 1s")) as plane:
        wire, _ = ask(plane)
        plane.wait(1.2)
        newest(plane).feed(OK)
        plane.settle()
        assert b"x-router-fallback: fast\r\n" in wire.take()


def test_a_step_is_only_for_what_starts_the_fallback() -> None:
    """A cause that ``fallback_on`` does not name starts nothing."""
    with Plane(CHAIN.replace("    fallback:\n", "    fallback_on: [timeout]\n    fallback:\n")) as plane:
        wire, first = ask(plane)
        first.feed(ERROR)
        plane.settle()
        assert wire.take().endswith(b"busy")
        assert len(plane.targets) == 1


# --- retries ---


def test_a_failed_attempt_is_made_again(retrying: Plane) -> None:
    """A reset before the response is tried again at the same target, on another connection."""
    wire, first = ask(retrying)
    asked = first.take()
    first.reset()
    second = newest(retrying)
    assert second.take() == asked
    second.feed(OK)
    retrying.settle()
    assert wire.take().endswith(b"ok")
    (event,) = retrying.log.events
    assert (event.attempts, event.failed, event.fault, event.outcome_fault) == (2, True, "reset", None)
    assert event.fallback is None


def test_attempts_are_bounded(retrying: Plane) -> None:
    """After ``attempts`` further ones the caller gets the failure, of the target's own where there is one."""
    wire, first = ask(retrying)
    for _ in range(3):
        newest(retrying).feed(ERROR)
        retrying.settle(20)
    assert wire.take().endswith(b"busy")
    assert retrying.log.events[0].attempts == 3
    assert not first.closing  # each error came whole, and its connection served the next attempt


def test_what_may_run_twice_is_not_sent_twice(retrying: Plane) -> None:
    """A POST that reached the target is not repeated without leave (RFC 9110 9.2.2)."""
    wire, first = ask(retrying, POST)
    first.reset()
    retrying.settle(20)
    assert len(retrying.targets) == 1
    assert document(wire)["status"] == 502


def test_a_request_that_was_never_sent_is_tried_again(retrying: Plane) -> None:
    """A POST whose connection could not be made is tried again: nothing of it was sent."""
    retrying.loop.outcomes.append(ConnectionRefusedError(111, ""))
    _, wire = retrying.caller()
    wire.feed(POST)
    retrying.settle(30)
    newest(retrying).feed(OK)
    retrying.settle()
    assert wire.take().endswith(b"ok")
    assert retrying.fault("refused") == 1


def test_a_key_gives_leave(retrying: Plane) -> None:
    """A POST with an Idempotency-Key is repeated."""
    wire, first = ask(retrying, POST.replace(b"Host", b"Idempotency-Key: 7\r\nHost"))
    first.reset()
    newest(retrying).feed(OK)
    retrying.settle()
    assert wire.take().endswith(b"ok")


@pytest.mark.parametrize("status", [400, 429, 500, 501])
def test_what_would_fail_again_is_not_tried_again(retrying: Plane, status: int) -> None:
    """Only the errors of a gateway or of too much to do are worth another attempt."""
    wire, first = ask(retrying)
    first.feed(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)
    retrying.settle(20)
    assert wire.take().startswith(b"HTTP/1.1 %d X\r\n" % status)
    assert retrying.log.events[0].attempts == 1


def test_a_budget_bounds_retries_together(retrying: Plane) -> None:
    """When everything fails, only a few further attempts are made at once; the others fail at once (no retry storm)."""
    wires = [ask(retrying)[0] for _ in range(10)]
    firsts = list(retrying.targets)
    assert len(firsts) == 10
    for first in firsts:
        first.reset()
    retrying.settle(30)
    answered = [wire for wire in wires if wire.sent]
    assert len(answered) == 7
    assert len(retrying.targets) == 13
    row = retrying.revision.slots[counters.target_key("t")]
    assert retrying.words[row + counters.TARGET_RETRIES] == 3
    assert retrying.words[row + counters.TARGET_RETRIES_DENIED] == 7
    for target in retrying.targets[10:]:
        target.feed(OK)
    retrying.settle()
    assert retrying.server.pools["t"].retrying == 0


def test_a_caller_that_leaves_while_waiting_is_forgotten() -> None:
    """A caller that goes away before the next attempt is made costs none."""
    with Plane(RETRY.replace("backoff: 0s", "backoff: 10s")) as plane:
        wire, first = ask(plane)
        first.reset()
        plane.settle()
        assert plane.server.pools["t"].retrying == 1
        wire.reset()
        plane.settle()
        assert plane.server.pools["t"].retrying == 0
        assert plane.server.pools["t"].waiting == 0
        assert len(plane.targets) == 1


def test_time_that_runs_out_while_waiting_leaves_one_attempt() -> None:
    """A request that goes to a fallback instead of waiting any longer is not sent a second time when the wait ends."""
    yaml = CHAIN.replace("10.0.0.1:80']", "10.0.0.1:80'], retry: {backoff: 10s}")
    with Plane(yaml) as plane:
        down, wire = plane.caller()
        plane.ask(wire, GET).reset()
        plane.settle()
        exchange = down.exchange
        assert exchange is not None
        assert exchange.timer is not None
        timer = exchange.timer
        exchange.expire(exchange.total_at)
        newest(plane).feed(OK)
        plane.settle()
        assert timer.cancelled()
        assert b"x-router-fallback: fast\r\n" in wire.take()
        assert [plane.server.pools[name].waiting for name in ("t", "fast")] == [0, 0]


def test_requests_that_wait_for_their_next_attempt_are_live() -> None:
    """A budget of all requests lets each be tried again, also when all fail together."""
    with Plane(RETRY.replace("backoff: 0s", "backoff: 0s, budget: 100%")) as plane:
        wires = [ask(plane)[0] for _ in range(10)]
        for first in list(plane.targets):
            first.reset()
        plane.settle(30)
        assert len(plane.targets) == 20
        for target in plane.targets[10:]:
            target.feed(OK)
        plane.settle()
        assert all(wire.sent.startswith(b"HTTP/1.1 200 OK") for wire in wires)
        assert plane.server.pools["t"].retrying == 0
        assert plane.server.pools["t"].waiting == 0


def test_retries_come_before_fallbacks() -> None:
    """A target with retries is tried again before anybody else is."""
    yaml = CHAIN.replace("10.0.0.1:80']", "10.0.0.1:80'], retry: {backoff: 0s}")
    with Plane(yaml) as plane:
        wire, first = ask(plane)
        first.reset()
        newest(plane).feed(ERROR)
        newest(plane).feed(OK)
        plane.settle()
        assert b"x-router-fallback: old\r\n" in wire.take()
        assert plane.log.events[0].attempts == 3
