"""Too much traffic: slots, queues, rates, and what gives way first; on scripted transports."""

import errno
import json

import pytest

from router import counters
from router.proxy import admit
from router.proxy.downstream import Downstream
from tests.proxy.memory import GET, OK, Plane, Wire

QUERY = b"GET /%d HTTP/1.1\r\nHost: h\r\nx-user: %b\r\n\r\n"


def yaml(target: str = "", route: str = "", more: str = "") -> str:
    """Write a configuration with further keys for the target and the route, and a second target."""
    return (
        "events: {unenrolled: 100%}\n"
        f"targets: [{{name: t, endpoints: ['http://10.0.0.1:80']{target and ', '}{target}}}, "
        "{name: cheap, endpoints: ['http://10.0.0.2:80']}]\n"
        f"routes: [{{name: all, target: t, unit: [header:x-user]{route and ', '}{route}}}]\n{more}"
    )


LIMITED = "concurrency: {max: 1, queue: 2, queue_timeout: 10s}"


def shed(plane: Plane) -> dict[str, int]:
    """Return how many exchanges were not let through, by cause."""
    row = plane.revision.slots[counters.route_key("all")] + counters.ROUTE_SHED
    found = {cause: plane.words[row + index] for index, cause in enumerate(counters.SHED_CAUSES)}
    return {cause: count for cause, count in found.items() if count}


def queued(plane: Plane) -> int:
    """Return the gauge of the queue."""
    return plane.words[plane.revision.slots[counters.target_key("t")] + counters.TARGET_QUEUED]


def send(plane: Plane, number: int = 0, user: bytes = b"u") -> tuple[Downstream, Wire]:
    """Send a request on a connection of its own."""
    protocol, wire = plane.caller()
    wire.feed(QUERY % (number, user))
    plane.settle()
    return protocol, wire


def answered(wire: Wire, status: int, kind: str) -> bytes:
    """Assert that a caller got a problem document, and return the head."""
    head, _, body = wire.sent.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), wire.sent
    assert json.loads(body)["type"] == f"urn:problem-type:router:{kind}"
    return head


def test_beyond_the_limit_requests_wait_their_turn() -> None:
    """The target never has more than `max` at once; a finished one lets the next in, in order, on its connection."""
    with Plane(yaml(LIMITED)) as plane:
        callers = [send(plane, number)[1] for number in range(3)]
        (target,) = plane.targets
        assert target.take().startswith(b"GET /0 ")
        assert (plane.inflight(), queued(plane)) == (1, 2)
        for number in range(3):
            target.feed(OK)
            plane.settle()
            assert callers[number].sent.endswith(b"ok")
            if number < 2:
                assert target.take().startswith(b"GET /%d " % (number + 1))
        assert (plane.inflight(), queued(plane), len(plane.targets)) == (0, 0, 1)
        assert shed(plane) == {}
        assert [event.attempts for event in plane.log.events] == [1, 1, 1]


def test_a_full_queue_sheds_at_once() -> None:
    """Who finds the queue full is 503 with Retry-After, and its connection can be used again."""
    with Plane(yaml(LIMITED)) as plane:
        wires = [send(plane, number)[1] for number in range(4)]
        head = answered(wires[3], 503, "shed")
        assert b"\r\nretry-after: 1" in head
        assert b"connection: close" not in head
        assert shed(plane) == {"queue_full": 1}
        assert plane.fault("shed") == 1
        (event,) = plane.log.events
        assert (event.status, event.outcome_fault, event.target, event.attempts) == (503, "shed", None, 0)


def test_who_waits_too_long_is_shed() -> None:
    """The queue time-out is an end in time: 503, counted, and the place in the queue is free again."""
    with Plane(yaml("concurrency: {max: 1, queue: 2, queue_timeout: 1s}")) as plane:
        send(plane)
        _, wire = send(plane)
        assert queued(plane) == 1
        plane.wait(1.1)
        answered(wire, 503, "shed")
        assert (shed(plane), queued(plane), plane.inflight()) == ({"queue_timeout": 1}, 0, 1)


def test_who_has_no_time_left_is_shed() -> None:
    """The total of an exchange counts in the queue too, and is not the target's fault."""
    with Plane(yaml("concurrency: {max: 1, queue_timeout: 600s}, timeouts: {total: 1s, first_byte: 1h}")) as plane:
        send(plane)
        _, wire = send(plane)
        plane.wait(1.1)
        answered(wire, 503, "shed")
        assert shed(plane) == {"deadline": 1}
        assert plane.fault("timeout_total") == 1  # of the one that was at the target


def test_a_caller_that_goes_away_leaves_the_queue() -> None:
    """Its request is never sent, and the next has its place."""
    with Plane(yaml(LIMITED)) as plane:
        send(plane, 0)
        _, gone = send(plane, 1)
        _, stays = send(plane, 2)
        gone.reset()
        plane.settle()
        assert queued(plane) == 1
        (target,) = plane.targets
        target.take()
        target.feed(OK)
        plane.settle()
        assert target.take().startswith(b"GET /2 ")
        target.feed(OK)
        plane.settle()
        assert stays.sent.endswith(b"ok")


def test_a_caller_that_goes_away_frees_its_slot() -> None:
    """An exchange that ends in whatever way lets the next one in."""
    with Plane(yaml(LIMITED)) as plane:
        _, gone = send(plane, 0)
        send(plane, 1)
        gone.reset()
        plane.settle()
        assert plane.targets[-1].take().startswith(b"GET /1 ")
        assert plane.inflight() == 1


def test_a_body_waits_too() -> None:
    """A body that comes while its request is in the queue is held up to a bound, and sent whole."""
    with Plane(yaml(LIMITED)) as plane:
        send(plane)
        protocol, wire = plane.caller()
        size = 200_000
        wire.feed(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size + b"x" * 10)
        plane.settle()
        wire.feed(b"x" * 70_000)
        assert not protocol.reading
        wire.feed(b"x" * (size - 70_010))
        (target,) = plane.targets
        target.take()
        target.feed(OK)
        plane.settle()
        assert target.sent.partition(b"\r\n\r\n")[2] == b"x" * size


def test_a_shed_request_with_a_body_under_way_ends_its_connection() -> None:
    """What is left of the body is read and thrown away, so that the answer arrives (RFC 9112 9.6)."""
    with Plane(yaml("concurrency: {max: 1, queue: 0}")) as plane:
        send(plane)
        _, wire = plane.caller()
        wire.feed(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx")
        plane.settle()
        assert b"\r\nconnection: close" in answered(wire, 503, "shed")
        assert wire.eof
        assert wire.reading


def test_a_dead_connection_costs_no_slot() -> None:
    """A request that is sent again because its kept connection was dead does not queue behind others."""
    with Plane(yaml(LIMITED)) as plane:
        _, wire = send(plane, 0)
        plane.targets[0].feed(OK)
        plane.settle()
        wire.sent = b""
        wire.feed(QUERY % (1, b"u"))
        plane.settle()
        send(plane, 2)
        plane.targets[0].reset()
        plane.settle()
        assert plane.targets[1].take().startswith(b"GET /1 ")
        assert (plane.inflight(), queued(plane)) == (1, 1)


def test_a_fallback_answers_for_a_shed_request() -> None:
    """A step that is for `shed` serves what the target is spared; the event says both."""
    route = "fallback: [{target: cheap, causes: [shed]}]"
    with Plane(yaml("concurrency: {max: 1, queue: 0}", route)) as plane:
        send(plane, 0)
        _, wire = send(plane, 1)
        plane.targets[1].feed(OK)
        plane.settle()
        assert wire.sent.endswith(b"ok")
        assert shed(plane) == {"queue_full": 1}
        (event,) = plane.log.events
        assert (event.target, event.fallback, event.fault, event.failed) == ("cheap", "shed", "shed", True)


def test_a_reload_changes_the_limit() -> None:
    """A raised limit lets those in that wait, within a tick; a removed one at once."""
    with Plane(yaml(LIMITED)) as plane:
        for number in range(3):
            send(plane, number)
        plane.swap(yaml("concurrency: {max: 2, queue: 2, queue_timeout: 10s}"))
        plane.wait(0.05)
        assert (plane.inflight(), queued(plane)) == (2, 1)
        plane.swap(yaml())
        plane.settle()
        assert (plane.inflight(), queued(plane)) == (3, 0)
        send(plane, 3)
        assert plane.inflight() == 4


def test_a_target_that_is_removed_turns_nobody_away() -> None:
    """Who waits for a slot when a reload removes the target is served by it all the same."""
    limited = yaml(LIMITED)
    with Plane(limited) as plane:
        for number in range(3):
            send(plane, number)
        assert len(plane.targets) == 1
        plane.swap(limited.replace("name: t,", "name: u,").replace("target: t,", "target: u,"))
        plane.settle()
        assert len(plane.targets) == 3


# --- Rates -----------------------------------------------------------------------------------------------------------


def test_a_route_takes_its_burst_and_no_more() -> None:
    """Beyond the rate a request is 429 with Retry-After, reaches no target, and is not the target's fault."""
    with Plane(yaml(route="rate_limit: {requests: 6/m, burst: 2}")) as plane:
        wires = [send(plane, number)[1] for number in range(3)]
        assert len(plane.targets) == 2
        head = answered(wires[2], 429, "rate-limit")
        assert b"\r\nretry-after: 10" in head
        assert shed(plane) == {"rate_limit": 1}
        assert plane.fault("shed") == 0
        (event,) = plane.log.events
        assert (event.status, event.outcome_fault, event.fault, event.failed) == (429, "rate_limit", None, False)
        wires[2].sent = b""
        wires[2].feed(GET)  # its connection goes on
        plane.settle()
        assert answered(wires[2], 429, "rate-limit")


def test_a_refused_body_ends_its_connection() -> None:
    """A caller in the middle of a body is told to close, and heard out."""
    with Plane(yaml(route="rate_limit: {requests: 1/h, burst: 1}")) as plane:
        send(plane)
        _, wire = plane.caller()
        wire.feed(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx")
        plane.settle()
        assert b"\r\nconnection: close" in answered(wire, 429, "rate-limit")
        assert wire.eof
        assert wire.reading


def test_who_is_turned_away_hears_of_no_target() -> None:
    """An answer that no target was asked for names none, whatever callers may know."""
    limited = yaml(route="rate_limit: {requests: 1/h, burst: 1}", more="server: {expose: [target]}\n")
    with Plane(limited) as plane:
        served, refused = (send(plane, number)[1] for number in range(2))
        plane.targets[0].feed(OK)
        plane.settle()
        assert b"\r\nx-router-target: t\r\n" in served.sent
        assert b"x-router-target" not in answered(refused, 429, "rate-limit")


def test_a_reload_does_not_refill_a_rate() -> None:
    """What was taken stays taken, also when the limit changes; a limit that is gone stops nobody."""
    with Plane(yaml(route="rate_limit: {requests: 1/h, burst: 2}")) as plane:
        send(plane, 0)
        send(plane, 1)
        plane.swap(yaml(route="rate_limit: {requests: 2/h, burst: 3}"))
        answered(send(plane, 2)[1], 429, "rate-limit")
        plane.swap(yaml())
        send(plane, 3)
        assert len(plane.targets) == 3


# --- What gives way --------------------------------------------------------------------------------------------------

TWO = "concurrency: {max: 2, queue: 8}"


def test_a_busy_target_is_told() -> None:
    """From the load of a step on its header goes to the target, and the event says which load it was."""
    steps = "features: {a: 3, b: 1, c: 2}, degrade: [{when: {inflight: 50%}, header: {X-Degrade: '1'}, drop: 50%}]"
    with Plane(yaml(TWO, steps)) as plane:
        send(plane, 0)
        _, wire = send(plane, 1)
        first, second = plane.targets
        assert b"X-Degrade" not in first.sent
        assert b"\r\nX-Degrade: 1\r\nx-router-drop: b, c\r\n" in second.sent
        second.feed(OK)
        first.feed(OK)
        plane.settle()
        assert wire.sent.endswith(b"ok")
        assert [event.degraded for event in plane.log.events] == [0.5, None]


def test_a_cheaper_target_serves() -> None:
    """The assigned target is spared, the arm stays, and the pair that served is counted."""
    arms = (
        "experiments: [{name: e, route: all, arms: [{name: a, target: t, weight: 1}, {name: b, target: t, weight: 1}]}]"
    )
    with Plane(yaml(TWO, "degrade: [{when: {inflight: 50%}, target: cheap}]", arms)) as plane:
        send(plane, 0)
        _, wire = send(plane, 1)
        assert plane.inflight() == 1
        plane.targets[1].feed(OK)
        plane.settle()
        assert wire.sent.endswith(b"ok")
        (event,) = plane.log.events
        assert (event.target, event.degraded, event.failed, event.fallback) == ("cheap", 0.5, False, None)
        assert event.experiments[0].target == "t"
        pair = plane.revision.slots[counters.pair_key("all", "cheap")]
        assert plane.words[pair + counters.CODE_SLOT[200]] == 1


@pytest.mark.parametrize(("drawn", "through"), [(0.19, False), (0.2, True)])
def test_a_share_is_shed_at_random(drawn: float, monkeypatch: pytest.MonkeyPatch, *, through: bool) -> None:
    """Each request is drawn for by itself; a shed one is 503, or what a fallback says."""
    monkeypatch.setattr(admit, "random", lambda: drawn)
    with Plane(yaml(TWO, "degrade: [{when: {inflight: 0.5}, shed: 20%}]")) as plane:
        send(plane, 0)
        _, wire = send(plane, 1)
        if through:
            assert plane.inflight() == 2
        else:
            assert b"\r\nretry-after: 1" in answered(wire, 503, "shed")
            assert shed(plane) == {"degrade": 1}


def test_the_rate_is_asked_before_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request beyond the rate is 429, whatever else would happen to it."""
    monkeypatch.setattr(admit, "random", lambda: 0.0)
    limits = "rate_limit: {requests: 1/h, burst: 1}, degrade: [{when: {inflight: 0.5}, shed: 100%}]"
    with Plane(yaml(TWO, limits)) as plane:
        send(plane, 0)
        answered(send(plane, 1)[1], 429, "rate-limit")
        assert shed(plane) == {"rate_limit": 1}


# --- Descriptors -----------------------------------------------------------------------------------------------------


def test_idle_connections_are_given_up_for_a_request() -> None:
    """When no descriptor is left for a connection, those that lie idle are closed, and it is tried again."""
    text = yaml() + "  - {name: other, target: cheap, match: {path: /other/}}\n"
    text = text.replace("routes: [{", "routes:\n  - {").replace("}]\n  -", "}\n  -")
    with Plane(text) as plane:
        _, wire = plane.caller()
        idle = plane.ask(wire, b"GET /other/ HTTP/1.1\r\nHost: h\r\n\r\n")
        idle.feed(OK)
        plane.settle()
        plane.loop.outcomes.append(OSError(errno.EMFILE, "Too many open files"))
        _, caller = send(plane)
        plane.settle()
        assert idle.lost
        plane.targets[-1].feed(OK)
        plane.settle()
        assert caller.sent.endswith(b"ok")
        assert plane.fault("local") == 0


def test_without_idle_connections_it_is_the_routers_own_fault() -> None:
    """Nothing can be given up, so the request fails, once, and the target is not to blame."""
    with Plane(yaml()) as plane:
        plane.loop.outcomes.append(OSError(errno.EMFILE, "Too many open files"))
        _, wire = send(plane)
        answered(wire, 503, "local")
        (event,) = plane.log.events
        assert (event.fault, event.failed) == ("local", False)
