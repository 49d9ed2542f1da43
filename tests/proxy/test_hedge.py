"""A second request when the first takes long, on scripted transports: each order in which the two can end."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import counters
from router.config.schema import Hedge
from router.proxy.downstream import Downstream
from router.routing.recover import MIN_HEDGES, may_hedge
from tests.proxy.memory import GET, OK, Plane, Wire

YAML = """\
events: {unenrolled: 100%}
targets:
  - name: t
    endpoints: ['http://10.0.0.1:80', 'http://10.0.0.2:80']
    balance: round_robin
    hedge: {after: 100ms, max: 50%}
routes: [{name: all, target: t, replay_bytes: 8}]
"""
POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\npay"
KEYED = POST.replace(b"Host: h", b"Host: h\r\nIdempotency-Key: 1")
OTHER = OK.replace(b"ok", b"no")
ERROR = b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


def asked(plane: Plane, request: bytes = GET) -> tuple[Downstream, Wire, Wire]:
    """Send a request; return the caller's protocol and wire, and the target's wire."""
    protocol, wire = plane.caller()
    return protocol, wire, plane.ask(wire, request)


def pass_time(plane: Plane, protocol: Downstream) -> Wire | None:
    """Let the time pass after which the second request is sent; return where it was, if it was."""
    before = {id(made): len(made.sent) for made in plane.targets}
    assert protocol.exchange is not None
    hedge = protocol.exchange.hedge
    if hedge is not None and hedge.timer is not None:
        hedge.timer.cancel()

        async def send() -> None:
            hedge.send()

        plane.loop.run_until_complete(send())
    plane.settle()
    found = [made for made in plane.targets if len(made.sent) > before.get(id(made), 0)]
    assert len(found) <= 1
    return found[0] if found else None


def raced(plane: Plane, request: bytes = GET) -> tuple[Wire, Wire, Wire]:
    """Have two requests under way; return the wires of the caller, the first and the second."""
    protocol, wire, first = asked(plane, request)
    second = pass_time(plane, protocol)
    assert second is not None
    assert plane.inflight() == 2
    return wire, first, second


def results(plane: Plane) -> dict[str, int]:
    """Return how many second requests had which result."""
    row = plane.revision.slots[counters.target_key("t")] + counters.TARGET_HEDGES
    found = {result: plane.words[row + index] for index, result in enumerate(counters.HEDGES)}
    return {result: count for result, count in found.items() if count}


def test_the_second_request_goes_elsewhere_and_its_answer_counts_when_it_is_first() -> None:
    """The same request goes to another endpoint; when that answers first, the first request is cancelled."""
    with Plane(YAML) as plane:
        wire, first, second = raced(plane, KEYED)
        assert second.sent == first.sent
        assert {endpoint.active for endpoint in plane.server.pools["t"].endpoints} == {1}
        second.feed(OK)
        plane.settle()
        assert wire.take().endswith(b"ok")
        assert first.aborted
        assert not second.closing
        assert plane.inflight() == 0
        assert results(plane) == {"won": 1}
        event = plane.log.events[-1]
        assert (event.hedge, event.attempts, event.failed, event.fault, event.target) == ("won", 2, False, None, "t")


def test_the_first_answer_cancels_the_second_request() -> None:
    """When the first request is answered first, the second is cancelled before anything is passed on."""
    with Plane(YAML) as plane:
        wire, first, second = raced(plane)
        first.feed(OK)
        plane.settle()
        assert wire.take().endswith(b"ok")
        assert second.aborted
        assert not first.closing
        assert results(plane) == {"lost": 1}
        assert (plane.log.events[-1].hedge, plane.log.events[-1].attempts) == ("lost", 2)


def test_an_answer_in_time_sends_nothing() -> None:
    """A request that is answered before ``after`` has no second one, and leaves no timer."""
    with Plane(YAML) as plane:
        protocol, wire, first = asked(plane)
        assert protocol.exchange is not None
        assert protocol.exchange.hedge is not None
        timer = protocol.exchange.hedge.timer
        assert timer is not None
        first.feed(OK)
        plane.settle()
        assert timer.cancelled()
        assert wire.take().endswith(b"ok")
        assert results(plane) == {}
        assert plane.log.events[-1].hedge is None


@pytest.mark.parametrize(
    "request_bytes", [POST, POST.replace(b"POST", b"PATCH"), KEYED.replace(b"3\r\n\r\npay", b"9\r\n\r\npayload..")]
)
def test_nothing_runs_twice_that_must_not(request_bytes: bytes) -> None:
    """A POST, and a request whose body is not kept, is never sent a second time: there is not even a timer."""
    with Plane(YAML) as plane:
        protocol, wire, first = asked(plane, request_bytes)
        assert protocol.exchange is not None
        assert protocol.exchange.hedge is None
        first.feed(OK)
        plane.settle()
        assert wire.take().endswith(b"ok")


def test_an_upgrade_is_not_asked_for_twice() -> None:
    """A request for a tunnel is sent once: two would be opened."""
    with Plane(YAML) as plane:
        protocol, _, _ = asked(
            plane, GET.replace(b"h\r\n\r\n", b"h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        )
        assert protocol.exchange is not None
        assert protocol.exchange.hedge is None


def test_a_target_without_hedge_has_no_timer() -> None:
    """Hedging is off unless the target says so."""
    with Plane(YAML.replace("    hedge: {after: 100ms, max: 50%}\n", "")) as plane:
        protocol, _, _ = asked(plane)
        assert protocol.exchange is not None
        assert protocol.exchange.hedge is None
        assert plane.server.pools["t"].straight


def test_a_body_that_is_still_coming_is_not_sent_twice() -> None:
    """The time begins when the whole request was sent, and the second request has all of its body."""
    with Plane(YAML) as plane:
        protocol, wire = plane.caller()
        first = plane.ask(wire, KEYED[:-1])
        assert protocol.exchange is not None
        assert protocol.exchange.hedge is None
        wire.feed(KEYED[-1:])
        plane.settle()
        assert protocol.exchange.hedge is None  # what comes in pieces is kept only where retries or fallbacks need it
        first.feed(OK)
        plane.settle()
    with Plane(YAML.replace("replay_bytes: 8", "replay_bytes: 8, fallback: [{respond: {}}]")) as plane:
        protocol, wire = plane.caller()
        first = plane.ask(wire, KEYED[:-1])
        wire.feed(KEYED[-1:])
        plane.settle()
        second = pass_time(plane, protocol)
        assert second is not None
        assert second.sent == first.sent
        second.feed(OK)
        plane.settle()
        assert wire.take().endswith(b"ok")


def test_an_error_waits_for_the_other_request() -> None:
    """An answer of 500 or more to the first is not passed on while the second may be answered better."""
    with Plane(YAML) as plane:
        wire, first, second = raced(plane)
        first.feed(ERROR)
        plane.settle()
        assert wire.take() == b""
        assert plane.inflight() == 1
        second.feed(OK)
        plane.settle()
        assert wire.take().endswith(b"ok")
        assert results(plane) == {"rescued": 1}
        event = plane.log.events[-1]
        assert (event.hedge, event.fault, event.failed, event.outcome_fault) == ("rescued", "status", True, None)


def test_an_error_of_the_second_request_waits_for_the_first() -> None:
    """An answer of 500 or more to the second is thrown away, and its endpoint hears of it."""
    with Plane(YAML) as plane:
        wire, first, second = raced(plane)
        second.feed(ERROR)
        plane.settle()
        assert wire.take() == b""
        assert second.closing
        assert plane.inflight() == 1
        assert plane.fault("status") == 1
        first.feed(OK)
        plane.settle()
        assert wire.take().endswith(b"ok")
        assert results(plane) == {"failed": 1}
        assert plane.log.events[-1].failed is False


@pytest.mark.parametrize("last", ["first", "second"])
def test_when_both_are_errors_the_last_one_is_passed_on(last: str) -> None:
    """When neither does better, the caller gets the error that came last."""
    with Plane(YAML) as plane:
        wire, first, second = raced(plane)
        order = [second, first] if last == "first" else [first, second]
        order[0].feed(ERROR.replace(b"busy", b"fail"))
        plane.settle()
        assert wire.take() == b""
        order[1].feed(ERROR)
        plane.settle()
        assert wire.take().endswith(b"busy")
        assert plane.inflight() == 0


@pytest.mark.parametrize("how", ["end", "reset", "malformed"])
def test_a_first_request_that_fails_leaves_it_to_the_second(how: str) -> None:
    """A connection that ends, or talks nonsense, decides nothing while the other request is under way."""
    with Plane(YAML) as plane:
        wire, first, second = raced(plane)
        first.feed(b"SSH-2.0\r\n\r\n") if how == "malformed" else getattr(first, how)()
        plane.settle()
        assert wire.take() == b""
        second.feed(OK[:10])
        second.feed(OK[10:])
        plane.settle()
        assert wire.take().endswith(b"ok")
        assert results(plane) == {"rescued": 1}


@pytest.mark.parametrize("how", ["end", "reset", "malformed", "nonsense", "switch"])
def test_a_second_request_that_fails_leaves_it_to_the_first(how: str) -> None:
    """Whatever becomes of the second request, the first goes on."""
    nonsense = {
        "malformed": b"SSH-2.0\r\n",
        "nonsense": b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "switch": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    }
    with Plane(YAML) as plane:
        wire, first, second = raced(plane)
        second.feed(nonsense[how]) if how in nonsense else getattr(second, how)()
        plane.settle()
        assert plane.inflight() == 1
        first.feed(OK)
        plane.settle()
        assert wire.take().endswith(b"ok")
        assert results(plane) == {"failed": 1}


def test_the_first_byte_time_out_falls_upon_the_first_request() -> None:
    """When the first request is too late, the second has its own time from when it was sent."""
    with Plane(YAML.replace("hedge:", "timeouts: {first_byte: 200ms}\n    hedge:")) as plane:
        wire, first, second = raced(plane)
        plane.wait(0.3)
        assert first.aborted
        assert plane.fault("timeout_first_byte") >= 1
        if not second.aborted:  # what it has left of its time is the machine's to say
            second.feed(OK)
            plane.settle()
        assert wire.take()
        assert results(plane) == {"rescued": 1}


def test_the_total_time_out_ends_both() -> None:
    """The time of the whole exchange is not begun anew by a second request."""
    with Plane(YAML.replace("hedge:", "timeouts: {total: 200ms}\n    hedge:")) as plane:
        wire, first, second = raced(plane)
        plane.wait(0.3)
        assert wire.take().startswith(b"HTTP/1.1 504 ")
        assert first.aborted
        assert second.aborted
        assert results(plane) == {"cancelled": 1}


def test_a_caller_that_leaves_cancels_both() -> None:
    """When the caller goes away, nothing is under way for it any more."""
    with Plane(YAML) as plane:
        wire, first, second = raced(plane)
        wire.reset()
        plane.settle()
        assert first.aborted
        assert second.aborted
        assert plane.inflight() == 0
        assert results(plane) == {"cancelled": 1}
        assert plane.log.events[-1].hedge == "cancelled"


def test_interim_answers() -> None:
    """An interim answer to the first that is passed on decides; one to the second says nothing."""
    with Plane(YAML) as plane:
        wire, first, second = raced(plane)
        second.feed(HINTS)
        plane.settle()
        assert wire.take() == b""
        second.feed(HINTS + OK)
        plane.settle()
        assert wire.take().startswith(b"HTTP/1.1 200 ")
        assert first.aborted
        wire, first, second = raced(plane)
        first.feed(HINTS)
        plane.settle()
        assert wire.take().startswith(b"HTTP/1.1 103 ")
        assert second.aborted
        first.feed(OK)
        plane.settle()
        assert wire.take().endswith(b"ok")


def test_endless_interim_answers_are_no_answer() -> None:
    """A second request that is answered with interim answers only has failed."""
    with Plane(YAML) as plane:
        _, first, second = raced(plane)
        second.feed(HINTS * 40)
        plane.settle()
        assert second.aborted
        assert results(plane) == {"failed": 1}
        first.feed(OK)
        plane.settle()


def test_an_answer_that_has_begun_is_waited_for() -> None:
    """When part of a head has come of the first, no second request is sent."""
    with Plane(YAML) as plane:
        protocol, wire, first = asked(plane)
        first.feed(OK[:12])
        assert pass_time(plane, protocol) is None
        first.feed(OK[12:])
        plane.settle()
        assert wire.take().endswith(b"ok")
        assert results(plane) == {}


def test_a_head_in_pieces_of_the_second_does_not_win_before_it_is_whole() -> None:
    """Only a whole head decides."""
    with Plane(YAML) as plane:
        wire, first, second = raced(plane)
        for byte in OK[:-3]:
            second.feed(bytes([byte]))
        plane.settle()
        assert not first.aborted
        second.feed(OK[-3:])
        plane.settle()
        assert first.aborted
        assert wire.take().endswith(b"ok")


def test_a_first_request_without_a_connection_is_hedged_too() -> None:
    """A connection that is not made in time is as slow as an answer that does not come."""
    with Plane(YAML) as plane:
        asked(plane)[2].feed(OK)  # a connection to one endpoint is free
        plane.settle()
        (free,) = plane.targets
        plane.loop.stall = True
        protocol, wire = plane.caller()
        wire.feed(GET)
        plane.settle()
        assert protocol.exchange is not None
        assert protocol.exchange.upstream is None
        free.take()
        assert pass_time(plane, protocol) is free
        free.feed(OK)
        plane.settle()
        assert wire.take().endswith(b"ok")
        assert plane.inflight() == 0


def test_a_second_request_without_a_connection_takes_over_when_the_first_fails() -> None:
    """While the second is being connected, a fault of the first leaves it to that; the request is sent when it is."""
    with Plane(YAML) as plane:
        protocol, wire, first = asked(plane, KEYED)
        plane.loop.stall = True
        assert pass_time(plane, protocol) is None
        assert plane.inflight() == 2
        exchange = protocol.exchange
        assert exchange is not None
        hedge = exchange.hedge
        first.reset()
        plane.settle()
        assert plane.inflight() == 1
        assert wire.take() == b""
        assert exchange.hedge is hedge

        async def connect() -> None:
            plane.loop.stall = False
            protocol_of = exchange.endpoint
            assert protocol_of is not None
            protocol_of._connect(hedge)  # type: ignore[arg-type]  # a claim, which is not None here

        plane.loop.run_until_complete(connect())
        plane.settle()
        second = plane.targets[-1]
        assert second.sent == first.sent
        second.feed(OK)
        plane.settle()
        assert wire.take().endswith(b"ok")
        assert results(plane) == {"rescued": 1}


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_second_request_that_cannot_be_connected(when: str) -> None:
    """A refused connection of the second is its failure; after the first failed, it is the exchange's."""
    with Plane(YAML) as plane:
        protocol, wire, first = asked(plane)
        plane.loop.outcomes.extend([ConnectionRefusedError()] * 2)
        if when == "before":
            assert pass_time(plane, protocol) is None
            assert results(plane) == {"failed": 1}
            first.feed(OK)
            plane.settle()
            assert wire.take().endswith(b"ok")
        else:
            assert protocol.exchange is not None
            hedge = protocol.exchange.hedge
            assert hedge is not None

            async def send() -> None:
                hedge.send()
                protocol.exchange.fail("reset")  # type: ignore[union-attr]  # it is there

            plane.loop.run_until_complete(send())
            plane.settle()
            assert b" 502 " in wire.take()
            assert results(plane) == {"rescued": 1}
            assert plane.fault("refused") == 1


def test_one_endpoint_is_asked_twice_when_there_is_no_other() -> None:
    """With a single endpoint the second request goes there too, on a connection of its own."""
    with Plane(YAML.replace(", 'http://10.0.0.2:80'", "")) as plane:
        wire, first, second = raced(plane)
        assert second is not first
        second.feed(OK)
        plane.settle()
        assert wire.take().endswith(b"ok")


def test_second_requests_have_a_budget() -> None:
    """No more second requests than their share of the live ones are sent; the others are counted as denied."""
    with Plane(YAML.replace("50%", "20%")) as plane:
        asks = [asked(plane) for _ in range(4)]
        sent = [pass_time(plane, protocol) for protocol, _, _ in asks]
        assert [second is not None for second in sent] == [True, False, False, False]
        assert results(plane) == {"denied": 3}
        for _, wire, first in asks:
            first.feed(OK)
            plane.settle()
            assert wire.take().endswith(b"ok")
        assert plane.server.pools["t"].hedging == 0


def test_a_second_request_takes_no_slot_that_somebody_needs() -> None:
    """With ``concurrency`` a second request needs a free slot, gives it back, and whoever waits gets it."""
    yaml = YAML.replace("hedge:", "concurrency: {max: 2, queue: 4}\n    hedge:")
    with Plane(yaml) as plane:
        protocol, wire, first = asked(plane)
        second = pass_time(plane, protocol)
        assert second is not None
        other, waits = plane.caller()
        waits.feed(GET)
        plane.settle()
        assert plane.inflight() == 2
        first.feed(OK)
        plane.settle()
        assert wire.take().endswith(b"ok")
        assert plane.inflight() == 1
        assert other.exchange is not None
        served = next(made for made in plane.targets if made.protocol.user is other.exchange)
        third, third_wire, third_target = asked(plane)
        assert pass_time(plane, third) is None
        assert results(plane) == {"lost": 1, "denied": 1}
        for made in (served, third_target):
            made.feed(OK)
        plane.settle()
        assert waits.take().endswith(b"ok")
        assert third_wire.take().endswith(b"ok")


def test_a_winner_has_the_slot_of_its_own() -> None:
    """When the second request wins, the slots of both are free in the end, and taken by those who wait."""
    yaml = YAML.replace("hedge:", "concurrency: {max: 2, queue: 4}\n    hedge:")
    with Plane(yaml) as plane:
        wire, _, second = raced(plane)
        waiting = [plane.caller() for _ in range(2)]
        for _, caller in waiting:
            caller.feed(GET)
        plane.settle()
        second.feed(OK.replace(b"2\r\n", b"3\r\n"))
        plane.settle()
        assert plane.inflight() == 2
        second.feed(b"!")
        plane.settle()
        assert plane.inflight() == 2
        assert wire.take().endswith(b"ok!")
        for protocol, caller in waiting:
            next(made for made in plane.targets if made.protocol.user is protocol.exchange).feed(OK)
            plane.settle()
            assert caller.take().endswith(b"ok")
        assert plane.inflight() == 0


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_the_budget_is_a_share_of_what_is_live(live: int, share: float) -> None:
    """Second requests are at most their share of the live requests, or the one that always may be."""
    hedge = Hedge(max=share)
    hedging = 0
    while may_hedge(hedge, live, hedging):
        hedging += 1
    assert MIN_HEDGES <= hedging <= max(MIN_HEDGES, share * live + 1)


EVENTS = ("first ok", "second ok", "first error", "second error", "first end", "second end", "caller end")


@pytest.mark.parametrize("order", list(permutations(EVENTS, 3)), ids=", then ".join)
def test_whatever_the_order_it_ends_once(order: tuple[str, ...]) -> None:
    """In every order of ends there is one answer at most, one event, and nothing left in flight."""
    with Plane(YAML) as plane:
        wire, first, second = raced(plane)
        for what in (*order, "caller end"):
            who, how = what.split(" ")
            on = {"first": first, "second": second, "caller": wire}[who]
            if not on.closing:
                on.end() if how == "end" else on.feed({"ok": OK, "error": ERROR}[how])
            plane.settle()
        assert wire.sent.count(b"HTTP/1.1 ") <= 1
        assert len(plane.log.events) == 1
        assert plane.inflight() == 0
        pool = plane.server.pools["t"]
        assert (pool.hedging, [endpoint.active for endpoint in pool.endpoints]) == (0, [0, 0])
        assert sum(results(plane).values()) == 1
        assert plane.log.events[0].hedge in results(plane)


def test_a_hedged_answer_is_the_last_good_one() -> None:
    """An answer to the second request is the target's own: it may be kept like any other."""
    yaml = YAML.replace("replay_bytes: 8", "replay_bytes: 8, fallback: [{cached: {}}]")
    with Plane(yaml) as plane:
        wire, _, second = raced(plane)
        second.feed(OTHER)
        plane.settle()
        assert wire.take().endswith(b"no")
        assert len(plane.server.last_good["all"]) == 1
