"""Endpoints that fail are left alone, and come back; those that say they are not ready get nothing."""

from collections import Counter

import pytest

from router import counters
from router.routing.breaker import CLOSED, HALF_OPEN, OPEN, RAMP
from router.routing.readiness import HEALTHY, RECOVERED, UNHEALTHY, Readiness
from tests.proxy.memory import GET, OK, YAML, Plane

ERROR = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\nno"
MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"
TWO = YAML.replace("80']", "80', 'http://10.0.0.2:80'], balance: round_robin")
BACKED = (
    "events: {unenrolled: 100%}\n"
    "targets: [{name: t, endpoints: ['http://10.0.0.1:80'], health: {path: /ready}},"
    " {name: old, endpoints: ['http://10.0.0.9:80']}]\n"
    "routes: [{name: all, target: t, fallback: [{target: old}]}]\n"
)


def row(plane: Plane, url: str, target: str = "t") -> int:
    """Return where an endpoint's row begins."""
    return plane.revision.slots[counters.endpoint_key(target, url)]


def states(plane: Plane, target: str = "t") -> list[int]:
    """Return the states of a target's breakers."""
    return [endpoint.breaker.state for endpoint in plane.server.pools[target].endpoints]


def active(plane: Plane) -> list[int]:
    """Return what endpoints are working on."""
    return [endpoint.active for endpoint in plane.server.pools["t"].endpoints]


def which(plane: Plane, answer: bytes = OK) -> int:
    """Send a request that its target answers; return the index of the endpoint that got it."""
    _, wire = plane.caller()
    target = plane.ask(wire)
    (index,) = [index for index, count in enumerate(active(plane)) if count]
    target.take()
    target.feed(answer)
    plane.settle()
    wire.end()
    plane.settle()
    return index


def say(plane: Plane, url: str, state: int, since_ms: int = 1) -> None:
    """Say what the control process would about an endpoint's health."""
    plane.control[row(plane, url) + counters.ENDPOINT_HEALTH] = Readiness(since_ms, state).word
    plane.wait(0.05)


def test_five_failures_in_a_row_open_it() -> None:
    """After the fifth the endpoint is open at once, in the same turn."""
    yaml = TWO.replace("round_robin", "round_robin, breaker: {consecutive: 5}")
    with Plane(yaml) as plane:
        counts: Counter[int] = Counter()
        for _ in range(20):
            _, wire = plane.caller()
            target = plane.ask(wire)
            (index,) = [index for index, count in enumerate(active(plane)) if count]
            counts[index] += 1
            target.take()
            target.feed(OK if index else ERROR)
            plane.settle()
            wire.end()
        assert counts == {0: 5, 1: 15}
        assert states(plane) == [OPEN, CLOSED]


@pytest.mark.parametrize("answer", [OK, MISSING])
def test_what_is_no_fault_of_the_endpoint_does_not_open_it(answer: bytes) -> None:
    """Statuses below 500 count as success, and callers that go away count as nothing."""
    with Plane(TWO) as plane:
        for _ in range(30):
            which(plane, answer)
            _, wire = plane.caller()
            plane.ask(wire)
            wire.reset()
            plane.settle()
        assert states(plane) == [CLOSED, CLOSED]
        assert active(plane) == [0, 0]


def test_local_faults_do_not_open_it(plane: Plane) -> None:
    """No descriptor, no memory: the endpoint has done nothing wrong."""
    for _ in range(10):
        plane.loop.outcomes.append(OSError(24, "too many open files"))
        _, wire = plane.caller()
        wire.feed(GET)
        plane.settle()
        assert wire.take().startswith(b"HTTP/1.1 503")
    assert plane.fault("local") == 10
    assert states(plane) == [CLOSED]


def test_the_last_endpoint_is_used_though_it_fails(plane: Plane) -> None:
    """A target with one endpoint, on a route without a fallback, is asked whatever its breaker says."""
    for _ in range(8):
        which(plane, ERROR)
    assert states(plane) == [OPEN]
    assert which(plane) == 0


def test_all_are_used_in_panic() -> None:
    """When the share of usable endpoints falls to ``panic``, all are used: a few would only drown."""
    with Plane(TWO.replace("balance", "breaker: {panic: 50%}, balance")) as plane:
        for _ in range(10):
            _, wire = plane.caller()
            target = plane.ask(wire)
            target.take()
            target.feed(OK if active(plane)[1] else ERROR)
            plane.settle()
        assert states(plane) == [OPEN, CLOSED]
        assert {which(plane) for _ in range(4)} == {0, 1}


def test_an_open_target_starts_the_fallback_and_comes_back() -> None:
    """While all endpoints are open the fallback answers; three probes and a ramp later the target does again."""
    with Plane(BACKED) as plane:
        for _ in range(5):
            _, wire = plane.caller()
            plane.ask(wire).feed(ERROR)
            plane.settle()
            plane.targets[-1].feed(OK)
            plane.settle()
        assert states(plane) == [OPEN]
        plane.log.events.clear()
        _, wire = plane.caller()
        plane.ask(wire).feed(OK)
        plane.settle()
        assert wire.take().endswith(b"ok")
        (event,) = plane.log.events
        assert (event.fault, event.target) == ("breaker_open", "old")
        plane.wait(34)
        assert states(plane) == [HALF_OPEN]
        probes = [plane.caller()[1] for _ in range(4)]
        wires = [plane.ask(wire) for wire in probes]
        assert active(plane) == [3]
        for target in wires:
            target.feed(OK)
        plane.settle()
        assert states(plane) == [RAMP]
        assert plane.words[row(plane, "http://10.0.0.1") + counters.ENDPOINT_PROBES] == 0
        plane.wait(11)
        assert states(plane) == [CLOSED]
        which(plane)
        assert plane.log.events[-1].target == "t"


def test_a_probe_whose_caller_left_makes_room(plane: Plane) -> None:
    """A caller that goes away during a probe leaves neither a verdict nor a place taken."""
    plane.swap(BACKED)
    for _ in range(5):
        _, wire = plane.caller()
        plane.ask(wire).feed(ERROR)
        plane.settle()
        plane.targets[-1].feed(OK)
        plane.settle()
    plane.wait(34)
    for _ in range(7):
        _, wire = plane.caller()
        plane.ask(wire)
        assert active(plane) == [1]
        wire.reset()
        plane.settle()
    assert states(plane) == [HALF_OPEN]


def test_an_endpoint_that_is_not_ready_gets_nothing() -> None:
    """Health takes an endpoint out, and brings it back; one that was never asked is used."""
    with Plane(TWO.replace("balance", "health: {path: /ready}, balance")) as plane:
        assert {which(plane) for _ in range(4)} == {0, 1}
        say(plane, "http://10.0.0.1", UNHEALTHY)
        assert {which(plane) for _ in range(4)} == {1}
        say(plane, "http://10.0.0.1", RECOVERED)
        assert {which(plane) for _ in range(4)} == {0, 1}
        say(plane, "http://10.0.0.1", UNHEALTHY)
        say(plane, "http://10.0.0.2", UNHEALTHY)
        assert {which(plane) for _ in range(4)} == {0, 1}  # panic


def test_a_target_that_is_not_ready_starts_the_fallback() -> None:
    """Units of a target without a ready endpoint get the fallback, and their own target again afterwards."""
    with Plane(BACKED) as plane:
        for state, expected, fault in ((UNHEALTHY, "old", "unavailable"), (HEALTHY, "t", None)):
            say(plane, "http://10.0.0.1", state)
            _, wire = plane.caller()
            plane.ask(wire).feed(OK)
            plane.settle()
            event = plane.log.events[-1]
            assert (event.target, event.fault) == (expected, fault)


def test_health_is_ignored_where_it_is_not_configured(plane: Plane) -> None:
    """What was once said about an endpoint is of no interest when ``health`` is gone from the configuration."""
    say(plane, "http://10.0.0.1", UNHEALTHY)
    assert len(plane.server.pools["t"].usable) == 1


def test_an_added_endpoint_starts_slowly() -> None:
    """An endpoint that a reload adds begins with a tenth of its share; those of the start begin with all of it."""
    slow = TWO.replace("balance", "slow_start: 10s, balance")
    with Plane(YAML.replace("80']", "80'], slow_start: 10s, balance: round_robin")) as plane:
        assert [endpoint.weight for endpoint in plane.server.pools["t"].endpoints] == [100]
        plane.swap(slow)
        assert [endpoint.weight for endpoint in plane.server.pools["t"].endpoints] == [100, 10]
        plane.wait(5)
        first, second = (endpoint.weight for endpoint in plane.server.pools["t"].endpoints)
        assert first == 100
        assert 45 < second < 55
        plane.wait(6)
        assert [endpoint.weight for endpoint in plane.server.pools["t"].endpoints] == [100, 100]


def test_a_reload_keeps_what_is_known() -> None:
    """An endpoint that stays in the configuration stays open, and takes new rules."""
    with Plane(TWO) as plane:
        for _ in range(10):
            _, wire = plane.caller()
            target = plane.ask(wire)
            target.take()
            target.feed(OK if active(plane)[1] else ERROR)
            plane.settle()
        assert states(plane) == [OPEN, CLOSED]
        plane.swap(TWO.replace("balance", "timeouts: {connect: 2s}, balance"))
        assert states(plane) == [OPEN, CLOSED]
        plane.swap(TWO.replace("balance", "breaker: {consecutive: 0, ratio: 0%}, balance"))
        assert states(plane) == [CLOSED, CLOSED]


# --- What counts ------------------------------------------------------------------------------------------------------


def counted(plane: Plane) -> tuple[int, int]:
    """Return the successes and the failures that the breaker knows of."""
    base = row(plane, "http://10.0.0.1")
    return plane.words[base + counters.ENDPOINT_SUCCEEDED], plane.words[base + counters.ENDPOINT_FAILED]


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        ("malformed", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"),
        ("status", ERROR),
        ("status", b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 9\r\n\r\npart"),
        ("reset", b""),
        ("truncated", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"),
        ("truncated", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"),
    ],
)
def test_an_attempt_that_failed_counts_once(plane: Plane, fault: str, answer: bytes) -> None:
    """Each way in which an endpoint fails an attempt is one failure, also when two things are wrong with it."""
    _, wire = plane.caller()
    target = plane.ask(wire)
    if answer:
        target.feed(answer)
        plane.settle()
    target.reset()
    plane.settle()
    assert plane.fault(fault) == 1
    assert counted(plane) == (0, 1)


@pytest.mark.parametrize("error", [ConnectionRefusedError(), TimeoutError()])
def test_a_connection_that_is_not_made_counts(plane: Plane, error: OSError) -> None:
    """Who refuses connections, or lets them time out, fails."""
    plane.loop.outcomes.append(error)
    _, wire = plane.caller()
    wire.feed(GET)
    plane.settle()
    assert counted(plane) == (0, 1)


def test_no_answer_in_time_counts(plane: Plane) -> None:
    """Silence until ``first_byte`` is a failure; so is silence within an answer."""
    _, wire = plane.caller()
    plane.ask(wire)
    plane.wait(31)
    assert (plane.fault("timeout_first_byte"), counted(plane)) == (1, (0, 1))
    _, wire = plane.caller()
    plane.ask(wire).feed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart")
    plane.settle()
    plane.wait(61)
    assert (plane.fault("timeout_idle"), counted(plane)) == (1, (0, 2))


def test_the_end_of_the_total_time_counts_for_whom_was_waited() -> None:
    """A target that does not answer until ``total`` fails; one whose caller does not finish its request does not."""
    with Plane(YAML.replace("80']", "80'], timeouts: {total: 10s}")) as plane:
        _, wire = plane.caller()
        wire.feed(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\npart")
        plane.settle()
        plane.wait(11)
        assert counted(plane) == (0, 0)
        _, wire = plane.caller()
        plane.ask(wire)
        plane.wait(11)
        assert counted(plane) == (0, 1)


def test_an_answer_that_goes_on_for_too_long_does_not_count() -> None:
    """A stream that is cut at ``total`` was fine until then."""
    with Plane(YAML.replace("80']", "80'], timeouts: {total: 10s, idle: 60s}")) as plane:
        _, wire = plane.caller()
        plane.ask(wire).feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        plane.settle()
        plane.wait(11)
        assert plane.fault("timeout_total") == 1
        assert counted(plane) == (0, 0)


def test_a_wait_for_a_place_in_the_pool_does_not_count() -> None:
    """When all connections are in use, those that wait in vain say nothing about the endpoint."""
    with Plane(YAML.replace("80']", "80'], pool: {max: 1}, timeouts: {connect: 1s}")) as plane:
        _, first = plane.caller()
        plane.ask(first)
        _, second = plane.caller()
        second.feed(GET)
        plane.settle()
        plane.wait(2)
        assert plane.fault("pool_timeout") == 1
        assert counted(plane) == (0, 0)


@pytest.mark.parametrize("answer", [OK, MISSING, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"])
def test_a_whole_answer_counts_once(plane: Plane, answer: bytes) -> None:
    """Whatever way an answer takes through the router, it is one success when it is whole."""
    for expected in (1, 2):
        _, wire = plane.caller()
        target = plane.ask(wire)
        for byte in (answer[:20], answer[20:]) if expected == 1 else (answer,):
            target.feed(byte)
            plane.settle()
        assert counted(plane) == (expected, 0)


def failures(plane: Plane) -> list[int]:
    """Return how many failures each breaker knows of."""
    rows = (row(plane, url) for url in ("http://10.0.0.1", "http://10.0.0.2"))
    return [plane.words[base + counters.ENDPOINT_FAILED] for base in rows]


def test_a_retry_goes_to_another_endpoint() -> None:
    """The second attempt avoids where the first failed, however the balancer would choose."""
    with Plane(TWO.replace("round_robin", "hash, retry: {attempts: 1, backoff: 0s}")) as plane:
        for _ in range(4):
            before = failures(plane)
            plane.loop.outcomes.append(ConnectionRefusedError())
            _, wire = plane.caller()
            wire.feed(GET)
            plane.settle(40)
            failed = [now - then for now, then in zip(failures(plane), before, strict=True)]
            assert active(plane) == [1 - count for count in failed]
            wire.reset()
            plane.settle()


def test_slow_answers_open_it() -> None:
    """With ``slow``, answers whose first byte takes longer open it, though each is a success."""
    yaml = TWO.replace("round_robin", "round_robin, breaker: {slow: 1ms, min_requests: 5}")
    with Plane(yaml) as plane:
        for _ in range(10):
            _, wire = plane.caller()
            target = plane.ask(wire)
            exchange = plane.server.pools["t"].endpoints[0].active and target.protocol.user
            if exchange:
                exchange.started -= 1  # a second ago
                exchange.asked_at = exchange.started
            target.feed(OK)
            plane.settle()
            target.take()
        assert states(plane)[0] == OPEN


def test_a_tunnel_is_a_good_probe_and_keeps_no_place() -> None:
    """An upgrade that succeeds has passed though its connection stays: recovery does not wait for its end."""
    with Plane(BACKED) as plane:
        for _ in range(5):
            _, wire = plane.caller()
            plane.ask(wire).feed(ERROR)
            plane.settle()
            plane.targets[-1].feed(OK)
            plane.settle()
        plane.wait(34)
        upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        switch = b"GET / HTTP/1.1\r\nHost: h\r\n" + upgrade
        for _ in range(3):
            assert states(plane) == [HALF_OPEN]
            _, wire = plane.caller()
            plane.ask(wire, switch).feed(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
            )
            plane.settle()
        assert states(plane) == [RAMP]
        assert plane.words[row(plane, "http://10.0.0.1") + counters.ENDPOINT_PROBES] == 0


def test_nobody_queues_for_a_target_that_may_not_be_used() -> None:
    """With a limit that is reached and an open breaker, the fallback answers at once, not after ``queue_timeout``."""
    yaml = BACKED.replace("health:", "concurrency: {max: 1, queue: 5, queue_timeout: 5s}, health:")
    with Plane(yaml) as plane:
        _, waiting = plane.caller()
        plane.ask(waiting)
        say(plane, "http://10.0.0.1", UNHEALTHY)
        _, wire = plane.caller()
        plane.ask(wire).feed(OK)
        plane.settle()
        assert wire.take().endswith(b"ok")
        assert plane.log.events[-1].target == "old"
        waiting.reset()
        plane.settle()
