"""Shadows on scripted transports: the caller's answer is the same whatever a shadow does."""

from collections.abc import Iterator
from typing import Final

import pytest

from router import counters
from tests.proxy.memory import GET, OK, Plane, Wire

PRIMARY, SHADOW = "10.0.0.1", "10.0.0.2"
YAML: Final = """\
events: {unenrolled: 100%}
targets:
  - {name: t, endpoints: ['http://10.0.0.1:80']}
  - {name: s, endpoints: ['http://10.0.0.2:80'], timeouts: {first_byte: 2s, idle: 3s, total: 9s}}
routes:
  - name: all
    target: t
    shadow: [{target: s, share: 100%, inflight: 3, body_bytes: 1KiB, compare: {body_bytes: 4KiB}}]
"""
POST = b"POST /x?y=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\npay"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def plane() -> Iterator[Plane]:
    """A data plane with a target and a shadow, all of whose copies have been accounted for in the end."""
    with Plane(YAML) as made:
        yield made
        made.settle()
        if not made.server.connections:
            assert under_way(made) == 0


def answer(body: bytes, status: int = 200) -> bytes:
    """Return an answer."""
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


def row(plane: Plane) -> int:
    """Return the first word of the shadow's row."""
    return plane.revision.slots[counters.shadow_key("all", "s")]


def under_way(plane: Plane) -> int:
    """Return the gauge of copies."""
    return plane.words[row(plane) + counters.SHADOW_INFLIGHT]


def results(plane: Plane) -> dict[str, int]:
    """Return how many copies ended how."""
    words = plane.words[row(plane) + counters.SHADOW_COUNTS :]
    return {name: words[index] for index, name in enumerate(counters.SHADOW_RESULTS) if words[index]}


def wires(plane: Plane, host: str) -> list[Wire]:
    """Return the connections to an address that are open."""
    return [wire for wire in plane.targets if wire.peer == host and not wire.closing]


def ask(plane: Plane, wire: Wire, request: bytes = GET) -> tuple[Wire, Wire]:
    """Send a request; return the connections on which it and its copy went."""
    before = {id(made): len(made.sent) for made in plane.targets}
    wire.feed(request)
    plane.settle()
    grown = [made for made in plane.targets if len(made.sent) > before.get(id(made), 0)]
    (primary,) = (made for made in grown if made.peer == PRIMARY)
    (copy,) = (made for made in grown if made.peer == SHADOW)
    return primary, copy


def reply(plane: Plane, target: Wire, data: bytes) -> None:
    """Have a target send."""
    target.feed(data)
    plane.settle()


@pytest.mark.parametrize("request_bytes", [GET, POST, b"POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\nx"])
def test_a_copy_is_the_request_with_a_mark(plane: Plane, request_bytes: bytes) -> None:
    """Line, fields, id and body are those that the primary gets; only Host may be the shadow's own."""
    for _ in range(2):  # the first on new connections, the second on kept ones
        _, wire = plane.caller()
        primary, copy = ask(plane, wire, request_bytes)
        sent, copied = primary.take(), copy.take()
        assert copied.count(b"\r\nx-router-shadow: 1\r\n") == 1
        assert b"x-request-id: " in copied
        assert copied.replace(b"x-router-shadow: 1\r\n", b"").replace(b"10.0.0.2", b"10.0.0.1") == sent
        reply(plane, primary, OK)
        reply(plane, copy, OK)
        wire.end()
        plane.settle()
    assert len(wires(plane, SHADOW)) == 1
    assert results(plane) == {"agree": 2}


def test_the_mark_of_a_caller_goes_nowhere(plane: Plane) -> None:
    """Nobody but the router can say that a request is a copy."""
    _, wire = plane.caller()
    primary, copy = ask(plane, wire, GET[:-2] + b"x-router-shadow: 1\r\n\r\n")
    assert b"x-router-shadow" not in primary.sent
    assert copy.sent.count(b"x-router-shadow") == 1
    reply(plane, primary, OK)


@pytest.mark.parametrize("shadow_first", [True, False])
@pytest.mark.parametrize(
    ("primary_body", "shadow_body", "result", "differences"),
    [
        (b'{"a":[1,2.0]}', b'{"a":[1,2.0]}', "agree", ()),
        (b'{"a":[1,2.0]}', b'{ "a": [1, 2.0000000001] }', "agree", ()),
        (b'{"a":[1,2.0]}', b'{"a":[1,3.0]}', "differ", ("/a/1",)),
        (b"x" * 5000, b"x" * 5000, "not_comparable", ("a body is longer than compare.body_bytes",)),
    ],
)
def test_answers_are_compared(
    plane: Plane,
    primary_body: bytes,
    shadow_body: bytes,
    result: str,
    differences: tuple[str, ...],
    *,
    shadow_first: bool,
) -> None:
    """Whichever comes first, in one piece or in several, the two are compared, counted and logged once."""
    _, wire = plane.caller()
    for pieces in (1, 2, 7):
        primary, copy = ask(plane, wire)
        turns = [(primary, answer(primary_body)), (copy, answer(shadow_body))]
        for target, data in reversed(turns) if shadow_first else turns:
            size = len(data) // pieces + 1
            for at in range(0, len(data), size):
                reply(plane, target, data[at : at + size])
        assert wire.take().endswith(primary_body)
    assert results(plane) == {result: 3}
    events = plane.log.shadows
    assert [event.result for event in events] == [result] * 3
    assert events[0].differences == differences
    assert events[0].agree == {"agree": True, "differ": False}.get(result)
    assert [event.id for event in events] == [event.id for event in plane.log.events]
    assert (events[0].primary, events[0].primary_status, events[0].primary_bytes) == ("t", 200, len(primary_body))
    assert (events[0].shadow, events[0].shadow_status, events[0].shadow_bytes) == ("s", 200, len(shadow_body))


def test_framing_does_not_count(plane: Plane) -> None:
    """Chunks, a length and an end by the connection are ways to send the same content."""
    _, wire = plane.caller()
    primary, copy = ask(plane, wire)
    reply(plane, primary, CHUNKED + b"2\r\n[1\r\n")
    reply(plane, primary, b"2\r\n,2\r\n1\r\n]\r\n0\r\n\r\n")
    reply(plane, copy, b"HTTP/1.1 200 OK\r\n\r\n[1, 2")
    reply(plane, copy, b"]")
    copy.end()
    plane.settle()
    assert results(plane) == {"agree": 1}
    primary, copy = ask(plane, wire)
    reply(plane, copy, CHUNKED + b"5\r\n[1,2]\r\n0\r\n\r\n")
    reply(plane, primary, answer(b"[1,2]"))
    assert results(plane) == {"agree": 2}


def test_interim_answers_of_a_shadow_are_passed_over(plane: Plane) -> None:
    """They reach nobody, and the final answer counts."""
    _, wire = plane.caller()
    primary, copy = ask(plane, wire)
    reply(plane, copy, b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK)
    reply(plane, primary, OK)
    assert wire.sent.count(b"HTTP/1.1 ") == 1
    assert results(plane) == {"agree": 1}


def test_the_answer_to_head_has_no_body(plane: Plane) -> None:
    """A length in it is not waited for."""
    _, wire = plane.caller()
    primary, copy = ask(plane, wire, b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
    for target in (primary, copy):
        reply(plane, target, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
    assert results(plane) == {"agree": 1}
    assert len(wires(plane, SHADOW)) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 20,
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        CHUNKED + b"zz\r\n",
        b"x" * 70_000,
    ],
)
@pytest.mark.parametrize("end", ["end", "reset"])
def test_whatever_a_shadow_says_the_caller_gets_its_answer(plane: Plane, data: bytes, end: str) -> None:
    """A dead or talkative shadow is counted, its connection is dropped, and nothing of it reaches the caller."""
    _, wire = plane.caller()
    primary, copy = ask(plane, wire, POST)
    if data:
        reply(plane, copy, data)
    getattr(copy, end)()
    plane.settle()
    reply(plane, primary, OK)
    assert wire.sent.endswith(b"\r\n\r\nok")
    assert wire.sent.count(b"HTTP/1.1 ") == 1
    assert results(plane) == {"failed": 1}
    assert plane.log.shadows[0].fault is not None
    assert wires(plane, SHADOW) == []


def test_a_shadow_that_cannot_be_reached_is_a_failed_one(plane: Plane) -> None:
    """Refused, as any fault, concerns the copy alone."""
    _, wire = plane.caller()
    wire.feed(GET)
    plane.loop.outcomes.clear()
    made = plane.loop.create_connection

    async def refuse(factory: object, host: str = "", *rest: object, **more: object) -> object:
        if host == SHADOW:
            raise ConnectionRefusedError
        return await made(factory, host, *rest, **more)  # type: ignore[arg-type]

    plane.loop.create_connection = refuse  # type: ignore[method-assign, assignment]
    plane.settle()
    (primary,) = wires(plane, PRIMARY)
    reply(plane, primary, OK)
    assert wire.sent.endswith(b"ok")
    assert results(plane) == {"failed": 1}
    assert plane.log.shadows[0].fault == "refused"


def test_a_shadow_that_never_answers_holds_its_places_and_nothing_else(plane: Plane) -> None:
    """Requests go on while all places are taken; further copies are dropped and counted, and places come back."""
    _, wire = plane.caller()
    for number in range(20):
        wire.feed(GET)
        plane.settle()
        (primary,) = (made for made in wires(plane, PRIMARY) if made.take())
        reply(plane, primary, OK)
        assert wire.take().endswith(b"ok")
        assert under_way(plane) == min(number + 1, 3)
    assert results(plane) == {"dropped_inflight": 17}
    plane.wait(2.5)
    assert results(plane) == {"dropped_inflight": 17, "failed": 3}
    assert {event.fault for event in plane.log.shadows} == {"timeout_first_byte"}
    assert under_way(plane) == 0
    assert plane.inflight() == 0


def test_a_shadow_that_cannot_be_connected_to_holds_nothing_up(plane: Plane) -> None:
    """Connecting has the shadow target's time-out."""
    plane.loop.stalled.add(SHADOW)
    _, wire = plane.caller()
    wire.feed(GET)
    plane.settle()
    (primary,) = wires(plane, PRIMARY)
    reply(plane, primary, OK)
    assert wire.take().endswith(b"ok")
    assert under_way(plane) == 1
    plane.wait(2.5)
    assert results(plane) == {"failed": 1}
    assert plane.log.shadows[0].fault in {"pool_timeout", "connect_timeout"}


def test_a_shadow_that_falls_silent_or_takes_too_long_is_cut(plane: Plane) -> None:
    """The time-outs are those of the shadow's target, whatever the primary's are."""
    _, wire = plane.caller()
    primary, copy = ask(plane, wire)
    reply(plane, primary, OK)
    reply(plane, copy, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx")
    plane.wait(2.5)
    assert under_way(plane) == 1
    plane.wait(3.5)
    assert plane.log.shadows[0].fault == "timeout_idle"
    primary, copy = ask(plane, wire)
    reply(plane, primary, OK)
    reply(plane, copy, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx")
    plane.wait(9.5)
    assert plane.log.shadows[1].fault == "timeout_total"


def test_a_shadow_that_takes_nothing_does_not_stop_the_caller(plane: Plane) -> None:
    """Its back-pressure ends at its own connection."""
    _, wire = plane.caller()
    primary, copy = ask(plane, wire)
    copy.stuck = True
    reply(plane, primary, OK)
    reply(plane, copy, OK)
    body = b"x" * 1000
    primary, _ = ask(plane, wire, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n" + body)
    assert wire.reading
    reply(plane, primary, OK)
    assert wire.take().endswith(b"ok")
    plane.wait(2.5)
    assert under_way(plane) == 0


def test_a_flood_is_read_without_being_held_and_is_cut(plane: Plane) -> None:
    """What is not compared is not kept, and an endless answer ends."""
    _, wire = plane.caller()
    primary, copy = ask(plane, wire)
    reply(plane, primary, OK)
    (under,) = plane.server.shadows._under_way
    copy.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
    for _ in range(20):
        copy.feed(b"x" * 1024 * 1024)
        assert under.body is None
        plane.wait(0.05)
    assert copy.closing
    assert results(plane) == {"not_comparable": 1}


def test_long_answers_are_read_at_a_bounded_rate(plane: Plane) -> None:
    """A shadow that floods is not read until the next tick, so that it cannot take the time of the others."""
    _, wire = plane.caller()
    primary, copy = ask(plane, wire)
    reply(plane, primary, OK)
    copy.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 1_400_000)
    assert copy.reading
    copy.feed(b"x" * 1_400_000)
    assert not copy.reading
    plane.wait(0.05)
    assert copy.reading
    reply(plane, copy, b"x" * 200_000)
    assert results(plane) == {"not_comparable": 1}
    assert plane.log.shadows[0].shadow_bytes == 3_000_000


def test_an_upgrade_is_not_copied(plane: Plane) -> None:
    """What two peers say to each other after it is nobody else's."""
    _, wire = plane.caller()
    wire.feed(GET[:-2] + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n")
    plane.settle()
    assert wires(plane, SHADOW) == []
    assert results(plane) == {"dropped_upgrade": 1}
    assert under_way(plane) == 0


def test_a_breaker_of_its_own() -> None:
    """Failures in a row open the breaker for copies, which are dropped then; the target's own stays closed."""
    with Plane(
        YAML.replace("timeouts: {first", "breaker: {consecutive: 2, open: 5s, probes: 1}, timeouts: {first")
    ) as plane:
        _, wire = plane.caller()
        for _ in range(2):
            primary, copy = ask(plane, wire, POST)
            copy.reset()
            plane.settle()
            reply(plane, primary, OK)
        wire.feed(POST)
        plane.settle()
        reply(plane, wires(plane, PRIMARY)[0], OK)
        assert results(plane) == {"failed": 2, "dropped_unavailable": 1}
        assert plane.server.pools["s"].direct
        plane.wait(6)
        primary, copy = ask(plane, wire, POST)
        reply(plane, primary, OK)
        reply(plane, copy, OK)
        assert results(plane) == {"failed": 2, "dropped_unavailable": 1, "agree": 1}
        assert plane.server.shadows.pools["s"].endpoints[0].breaker.probes_in_flight == 0


def test_a_body_that_is_too_long_is_not_copied(plane: Plane) -> None:
    """Dropped and counted, known in advance, or found while it comes in chunks; the primary gets all of it."""
    _, wire = plane.caller()
    for request in (
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1025\r\n\r\n" + b"x" * 1025,
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + b"190\r\n" + b"x" * 400 + b"\r\n",
    ):
        wire.feed(request)
        plane.settle()
        if b"chunked" in request:
            for _ in range(3):
                wire.feed(b"190\r\n" + b"x" * 400 + b"\r\n")
            wire.feed(b"0\r\n\r\n")
            plane.settle()
        (primary,) = wires(plane, PRIMARY)
        assert primary.take().count(b"x") >= 1025
        reply(plane, primary, OK)
    assert results(plane) == {"dropped_body": 2}
    assert under_way(plane) == 0
    assert wires(plane, SHADOW) == []


@pytest.mark.parametrize(
    "pieces",
    [
        [b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nab", b"cd", b"ef"],
        [b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\nExpect: 100-continue\r\n\r\n", b"abc", b"def"],
        [
            b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
            b"c\r\n3\r\ndef\r\n0\r\n",
            b"\r\n",
        ],
    ],
)
def test_a_body_that_comes_in_pieces_is_copied_when_it_is_whole(plane: Plane, pieces: list[bytes]) -> None:
    """The shadow sees no part of a request that could stay a part; an expectation is the router's to answer."""
    _, wire = plane.caller()
    for piece in pieces[:-1]:
        wire.feed(piece)
        plane.settle()
        assert wires(plane, SHADOW) == []
        assert under_way(plane) == 1
    wire.feed(pieces[-1])
    plane.settle()
    (primary,), (copy,) = wires(plane, PRIMARY), wires(plane, SHADOW)
    assert copy.sent.replace(b"x-router-shadow: 1\r\n", b"") == primary.sent
    assert b"xpect" not in copy.sent
    reply(plane, primary, OK)
    reply(plane, copy, OK)
    assert results(plane) == {"agree": 1}


@pytest.mark.parametrize("how", ["caller", "primary", "early"])
def test_half_a_body_is_never_copied(plane: Plane, how: str) -> None:
    """When the caller leaves, the target does, or it answers early, the copy is dropped and counted."""
    _, wire = plane.caller()
    wire.feed(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc")
    plane.settle()
    (primary,) = wires(plane, PRIMARY)
    if how == "early":
        reply(plane, primary, OK)
    else:
        (wire if how == "caller" else primary).reset()
    plane.settle()
    assert wires(plane, SHADOW) == []
    assert results(plane) == {"dropped_incomplete": 1}
    assert under_way(plane) == 0


def test_a_caller_that_leaves_does_not_cancel_the_copy(plane: Plane) -> None:
    """The shadow's answer is read, and the comparison says that there was none to compare it with."""
    _, wire = plane.caller()
    _, copy = ask(plane, wire)
    wire.reset()
    plane.settle()
    reply(plane, copy, OK)
    assert results(plane) == {"primary_failed": 1}
    assert plane.log.shadows[0].primary_fault == "client_gone"
    assert len(wires(plane, SHADOW)) == 1


def test_an_answer_of_the_router_itself_is_not_compared(plane: Plane) -> None:
    """A primary that failed is no measure for the shadow."""
    _, wire = plane.caller()
    primary, copy = ask(plane, wire, POST)
    primary.reset()
    plane.settle()
    assert b" 502 " in wire.take()
    reply(plane, copy, OK)
    assert results(plane) == {"primary_failed": 1}


def test_an_answer_of_a_fallback_is_not_compared() -> None:
    """Neither is one that another target gave in place of the one that the unit was assigned to."""
    with Plane(YAML.replace("target: t\n", "target: t\n    fallback: [{respond: {json: [1]}}]\n")) as plane:
        _, wire = plane.caller()
        primary, copy = ask(plane, wire)
        reply(plane, copy, answer(b"[1]"))
        reply(plane, primary, answer(b"no", 503))
        assert wire.take().strip().endswith(b"[1]")
        assert results(plane) == {"primary_failed": 1}
        assert plane.log.shadows[0].primary_fault == "fallback"


def test_an_answer_of_a_cheaper_target_is_not_compared() -> None:
    """Under load a route may send requests elsewhere; the comparison says so."""
    yaml = YAML.replace("80']}", "80'], concurrency: {max: 2}}", 1).replace(
        "target: t\n", "target: t\n    degrade: [{when: {inflight: 0.5}, target: c}]\n"
    )
    cheap = "targets:\n  - {name: c, endpoints: ['http://10.0.0.3:80']}"
    with Plane(yaml.replace("targets:", cheap)) as plane:
        _, first = plane.caller()
        primary, copy = ask(plane, first)
        _, second = plane.caller()
        second.feed(GET)
        plane.settle()
        (cheaper,) = wires(plane, "10.0.0.3")
        for target in (primary, cheaper, *wires(plane, SHADOW)):
            reply(plane, target, OK)
        assert results(plane) == {"agree": 1, "primary_failed": 1}
        assert {event.primary_fault for event in plane.log.shadows} == {None, "degraded"}
        assert copy in wires(plane, SHADOW)


def test_a_dead_kept_connection_is_replaced_where_a_copy_cannot_run_twice(plane: Plane) -> None:
    """As for the primary: what was not sent, or is idempotent, goes on a new connection; a POST that was sent fails."""
    _, wire = plane.caller()
    for request, expected in ((GET, {"agree": 2}), (POST, {"agree": 3, "failed": 1})):
        primary, copy = ask(plane, wire)
        reply(plane, primary, OK)
        reply(plane, copy, OK)
        primary, copy = ask(plane, wire, request)
        copy.end()
        plane.settle()
        reply(plane, primary, OK)
        for other in wires(plane, SHADOW):
            reply(plane, other, OK)
        assert results(plane) == expected


def test_bytes_that_nobody_asked_for_are_nobodys_answer(plane: Plane) -> None:
    """What a kept connection says before the copy was sent on it is not that copy's answer."""
    _, wire = plane.caller()
    primary, copy = ask(plane, wire)
    reply(plane, primary, OK)
    reply(plane, copy, OK)
    plane.loop.run_until_complete(feed_both(wire, copy))
    plane.settle()
    (primary,), (fresh,) = wires(plane, PRIMARY), wires(plane, SHADOW)
    assert fresh is not copy
    reply(plane, primary, OK)
    reply(plane, fresh, OK)
    assert results(plane) == {"agree": 2}


async def feed_both(wire: Wire, copy: Wire) -> None:
    """Have a request and a stray answer come in within one turn."""
    wire.feed(POST)
    copy.feed(answer(b"stray"))


def test_a_reload_lets_copies_end(plane: Plane) -> None:
    """Copies under way are compared as they began, also when the shadow is gone from the configuration."""
    _, wire = plane.caller()
    primary, copy = ask(plane, wire)
    plane.swap(YAML.replace("shadow: [{target: s", "shadow: [{target: t"))
    reply(plane, primary, OK)
    reply(plane, copy, OK)
    assert wire.take().endswith(b"ok")
    assert results(plane) == {"agree": 1}
    assert under_way(plane) == 0
    assert wires(plane, SHADOW) == []


def test_a_drain_does_not_wait_for_shadows(plane: Plane) -> None:
    """At the end, what is under way is dropped and counted."""
    _, wire = plane.caller()
    primary, _ = ask(plane, wire)
    plane.server.drain()
    reply(plane, primary, OK)
    wire.end()
    plane.settle()
    assert not plane.server.connections
    assert under_way(plane) == 1
    plane.close_all()
    assert results(plane) == {"cancelled": 1}
    assert under_way(plane) == 0


def test_places_of_other_workers_count(plane: Plane) -> None:
    """``inflight`` means the whole router."""
    other = memoryview(bytearray(8 * len(plane.words))).cast("q")
    plane.server.shadows._others.append(other)
    other[row(plane) + counters.SHADOW_INFLIGHT] = 3
    _, wire = plane.caller()
    wire.feed(GET)
    plane.settle()
    assert results(plane) == {"dropped_inflight": 1}
    (primary,) = wires(plane, PRIMARY)
    reply(plane, primary, OK)


def test_comparing_has_a_share_of_the_time(plane: Plane) -> None:
    """What is due beyond it waits for the next tick, holding its place."""
    _, wire = plane.caller()
    plane.server.shadows._spent = 1.0
    primary, copy = ask(plane, wire)
    reply(plane, primary, answer(b"[1]"))
    reply(plane, copy, answer(b"[1.0]"))
    assert under_way(plane) == 1
    assert results(plane) == {}
    plane.wait(0.05)
    assert results(plane) == {"agree": 1}
    assert under_way(plane) == 0


def test_shadows_are_in_no_other_count(plane: Plane) -> None:
    """Neither in-flight nor faults of any target, nor the exchanges of any pair."""
    _, wire = plane.caller()
    primary, copy = ask(plane, wire)
    target = plane.revision.slots[counters.target_key("s")]
    assert plane.words[target + counters.TARGET_INFLIGHT] == 0
    copy.reset()
    reply(plane, primary, OK)
    faults = plane.words[target + counters.TARGET_FAULTS : target + counters.TARGET_FAULTS + len(counters.FAULTS)]
    assert sum(faults) == 0
    assert counters.pair_key("all", "s") not in plane.revision.slots


def test_without_a_comparison_copies_are_only_counted() -> None:
    """No answer is kept and nothing logged."""
    with Plane(YAML.replace(", compare: {body_bytes: 4KiB}", "")) as plane:
        _, wire = plane.caller()
        for data in (OK, b"garbage\r\n\r\n"):
            primary, copy = ask(plane, wire)
            assert wire.protocol.exchange.shadow is None
            reply(plane, primary, OK)
            reply(plane, copy, data)
        assert results(plane) == {"answered": 1, "failed": 1}
        assert plane.log.shadows == []


def test_several_shadows_each_have_their_copy() -> None:
    """They do not depend on each other."""
    yaml = YAML.replace("[{target: s", "[{target: t, share: 100%, inflight: 1, compare: {}}, {target: s")
    with Plane(yaml) as plane:
        _, wire = plane.caller()
        wire.feed(GET)
        plane.settle()
        copies = [made for made in plane.targets if b"x-router-shadow" in made.sent]
        (primary,) = (made for made in plane.targets if made not in copies)
        assert sorted(made.peer for made in copies) == [PRIMARY, SHADOW]
        copies[0].reset()
        reply(plane, copies[1], OK)
        reply(plane, primary, OK)
        assert sorted(event.result for event in plane.log.shadows) == ["agree", "failed"]
