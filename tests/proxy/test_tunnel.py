"""Tunnels on scripted transports: what sockets cannot time, turn by turn, and the law of what arrives."""

from hypothesis import given
from hypothesis import strategies as st

from router import counters
from router.histogram import HISTOGRAM_BUCKETS, HISTOGRAM_WORDS
from router.proxy.downstream import Downstream
from tests.proxy.memory import YAML, Plane, Wire

ASK = b"GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


def tunnel(plane: Plane, behind: bytes = b"", first: bytes = b"") -> tuple[Downstream, Wire, Wire]:
    """Make a tunnel; return the caller, its wire and the target's."""
    protocol, wire = plane.caller()
    target = plane.ask(wire, ASK + behind)
    target.take()
    target.feed(SWITCHED + first)
    plane.settle()
    return protocol, wire, target


def tunnels(plane: Plane) -> int:
    """Read the gauge."""
    return plane.words[counters.TUNNELS]


def outcomes(plane: Plane) -> list[str | None]:
    """Return how the exchanges ended."""
    return [event.outcome_fault for event in plane.log.events]


def test_nothing_is_sent_before_the_101(plane: Plane) -> None:
    """Bytes behind the request wait in the router, and go out in the turn of the 101."""
    _, wire = plane.caller()
    target = plane.ask(wire, ASK + b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
    assert b"smuggled" not in target.take()
    target.feed(SWITCHED)
    assert target.take().startswith(b"GET /smuggled ")


def test_a_target_that_switches_and_ends_at_once(plane: Plane) -> None:
    """What came with the 101 and the end behind it both reach the caller, who can still send."""
    _, wire, target = tunnel(plane, first=b"all of it")
    target.end()
    plane.settle()
    assert wire.take().endswith(b"\r\n\r\nall of it")
    assert wire.eof
    wire.feed(b"thanks")
    assert target.take() == b"thanks"
    wire.end()
    plane.settle()
    assert target.lost
    assert wire.lost
    assert outcomes(plane) == [None]


def test_what_is_corked_is_sent_before_an_end(plane: Plane) -> None:
    """Small parts that wait for the end of the turn go out before the end of the data does."""
    _, wire, target = tunnel(plane)
    wire.take()
    target.feed(b"last words")
    target.end()
    assert wire.take() == b"last words"
    assert wire.eof


def test_how_long_a_tunnel_lasts_is_no_latency(plane: Plane) -> None:
    """The time to the 101 is counted, as of any answer; the hours of a conversation are in its event alone."""
    _, wire, _ = tunnel(plane)
    wire.reset()
    plane.settle()
    row = plane.revision.slots[counters.pair_key("all", "t")]
    seconds, first_byte = (
        sum(plane.words[row + start + HISTOGRAM_BUCKETS : row + start + HISTOGRAM_WORDS])
        for start in (counters.PAIR_SECONDS, counters.PAIR_FIRST_BYTE)
    )
    assert (seconds, first_byte) == (0, 1)


def test_both_ends_in_one_turn(plane: Plane) -> None:
    """Both sides leave at once; nothing is written to what is gone, and it is counted once."""
    _, wire, target = tunnel(plane)
    wire.end()
    target.end()
    plane.settle()
    assert wire.lost
    assert target.lost
    assert outcomes(plane) == [None]
    assert tunnels(plane) == 0


def test_both_resets_in_one_turn(plane: Plane) -> None:
    """Both sides break at once; it is counted once."""
    _, wire, target = tunnel(plane)
    wire.reset()
    target.reset()
    plane.settle()
    assert outcomes(plane) == ["client_gone"]
    assert tunnels(plane) == 0


def test_a_target_that_does_not_take_the_last_bytes_is_let_go(plane: Plane) -> None:
    """After both ends in order a target that takes nothing has ``timeouts.idle``, no more."""
    _, wire, target = tunnel(plane)
    target.stuck = True
    wire.feed(b"x" * 1000)
    target.end()
    wire.end()
    plane.settle()
    assert wire.lost
    assert not target.lost
    plane.wait(61)
    assert target.aborted
    assert target.lost


def test_a_stuck_caller_stops_a_target_and_lets_it_go_on(plane: Plane) -> None:
    """Back-pressure is passed on both when it begins and when it ends, in both directions."""
    _, wire, target = tunnel(plane)
    for slow, fast in ((wire, target), (target, wire)):
        slow.stuck = True
        fast.feed(b"x" * 100_000)
        plane.settle()
        assert not fast.reading
        slow.unstick()
        plane.settle()
        assert fast.reading


def test_a_caller_that_was_stuck_before_the_101_stops_the_target(plane: Plane) -> None:
    """A pipelined upgrade waits like any request, and its tunnel begins with what the caller takes."""
    _, wire = plane.caller()
    target = plane.ask(wire, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n" + ASK)
    wire.stuck = True
    target.take()
    target.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000)
    plane.settle()
    assert target.take() == b""
    wire.unstick()
    plane.settle()
    assert target.take().startswith(b"GET /ws ")
    target.feed(SWITCHED + b"hi")
    plane.settle()
    assert wire.take().endswith(b"hi")


def test_a_probe_is_over_with_the_101() -> None:
    """A tunnel may last for hours: as a probe it would keep its endpoint's breaker half-open as long."""
    yaml = YAML.replace(
        "['http://10.0.0.1:80']",
        "['http://10.0.0.1:80'], breaker: {consecutive: 1, open: 1s, probes: 1, ramp: 1s}",
    )
    with Plane(yaml) as plane:
        _, wire = plane.caller()
        plane.ask(wire).reset()
        plane.settle()
        (endpoint,) = plane.server.pools["t"].endpoints
        assert not endpoint.breaker.admits()
        plane.wait(2)
        tunnel(plane)
        assert tunnels(plane) == 1
        assert endpoint.breaker.probes_in_flight == 0


moves = st.tuples(
    st.sampled_from(["caller", "target"]), st.sampled_from(["feed", "feed", "feed", "stuck", "unstick", "end", "wait"])
)


@given(st.lists(moves, max_size=30), st.binary(max_size=20), st.binary(max_size=20))
def test_what_goes_in_comes_out(script: list[tuple[str, str]], behind: bytes, first: bytes) -> None:
    """Whatever the turns: bytes arrive in order and once, all of them from a side that ends in order; gauges return."""
    with Plane() as plane:
        _, wire, target = tunnel(plane, behind, first)
        assert wire.take().endswith(b"\r\n\r\n" + first)
        sides = {"caller": (wire, target), "target": (target, wire)}
        fed = {"caller": behind, "target": b""}
        ended: set[str] = set()
        for number, (who, what) in enumerate(script):
            this, other = sides[who]
            if what == "feed" and who not in ended and not this.closing:
                data = b"%d;" % number * (30_000 if number % 5 == 0 else 1)
                fed[who] += data
                this.feed(data)
            elif what == "stuck":
                this.stuck = True
            elif what == "unstick":
                this.unstick()
            elif what == "end" and who not in ended and not this.closing and this.reading:
                ended.add(who)
                this.end()
            elif what == "wait":
                plane.wait(1)
            plane.settle(3)
            assert fed[who].startswith(other.sent)
        for side in (wire, target):
            side.unstick()
            plane.settle()
        assert (target.sent, wire.sent) == (fed["caller"], fed["target"])
        for who in {"caller", "target"} - ended:
            sides[who][0].end()
            plane.settle()
        assert wire.lost
        assert target.lost
        assert outcomes(plane) == [None]
        assert tunnels(plane) == 0
        (event,) = plane.log.events
        assert (event.request_bytes, event.response_bytes) == (len(fed["caller"]), len(first + fed["target"]))
