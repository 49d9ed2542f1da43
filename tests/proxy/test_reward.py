"""Rewards that answers say themselves: in the event, and never in the way of the answer."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from router import counters
from router.events.model import Exchange
from router.proxy import reward
from router.routing.reward import BODY_BYTES
from tests.proxy.memory import Plane, Wire

GPU, FLAGGED = "header:x-gpu-seconds", "json:/safety/flagged"
BODY = json.dumps({"safety": {"flagged": True}}).encode()
UNIT = b"GET / HTTP/1.1\r\nHost: h\r\nx-user-id: u\r\n\r\n"


def yaml(*, sample: str = "100%", route: str = "", experiment: bool = True) -> str:
    """Configure a route with two rewards on it."""
    arms = "[{name: a, target: t, weight: 1}, {name: b, target: t, weight: 1}]"
    measured = "metrics: {primary: gpu, secondary: [flagged]}"
    lines = [
        "events: {unenrolled: 100%}",
        "targets: [{name: t, endpoints: ['http://10.0.0.1:80']}, {name: other, endpoints: ['http://10.0.0.2:80']}]",
        f"routes: [{{name: r, target: t, unit: [header:x-user-id]{route}}}]",
        "metrics:",
        f"  - {{name: gpu, kind: mean, goal: down, exchange: '{GPU}'}}",
        f"  - {{name: flagged, kind: proportion, goal: down, exchange: '{FLAGGED}', sample: {sample}}}",
        f"experiments: [{{name: e, route: r, arms: {arms}, {measured}}}]" if experiment else "",
    ]
    return "\n".join(lines)


def answer(*fields: bytes, body: bytes = BODY, status: bytes = b"200 OK", kind: bytes = b"application/json") -> bytes:
    """Write an answer of stated length."""
    lines = [b"HTTP/1.1 " + status, b"Content-Type: " + kind, b"Content-Length: %d" % len(body), *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunked(*pieces: bytes) -> bytes:
    """Write an answer in chunks."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@contextmanager
def serving(**options: Any) -> Iterator[Plane]:
    """Serve a route with rewards."""
    with Plane(yaml(**options)) as plane:
        yield plane
        plane.wait(0.05)
        assert plane.server.rewards.held == 0


def ask(plane: Plane, *pieces: bytes, request: bytes = UNIT) -> Wire:
    """Send a request whose answer comes in pieces; return the caller's side."""
    _, wire = plane.caller()
    target = plane.ask(wire, request)
    for piece in pieces:
        target.feed(piece)
        plane.settle()
    return wire


def logged(plane: Plane) -> Exchange:
    """Return the one event, after the tick."""
    plane.wait(0.05)
    (event,) = plane.log.events
    return event


def counted(plane: Plane) -> dict[str, int]:
    """Return the counts that are not 0."""
    words = plane.words
    found = {name: words[counters.REWARDS + place] for place, name in enumerate(counters.REWARD_RESULTS)}
    return {name: count for name, count in found.items() if count}


def whole(data: bytes) -> list[bytes]:
    """Send it in one piece."""
    return [data]


def by_byte(data: bytes) -> list[bytes]:
    """Send each byte alone."""
    return [data[place : place + 1] for place in range(len(data))]


@pytest.mark.parametrize("cut", [whole, by_byte])
@pytest.mark.parametrize("made", [answer(b"X-GPU-Seconds: 0.5"), chunked(BODY[:9], BODY[9:])])
def test_an_answer_says_its_rewards_however_it_comes(made: bytes, cut: Callable[[bytes], list[bytes]]) -> None:
    """In one piece or in many, with a length or in chunks: the event has them, and the share of the sample."""
    with serving() as plane:
        ask(plane, *cut(made))
        gpu = {GPU: 0.5} if b"GPU" in made else {}
        assert logged(plane).rewards == {**gpu, "sampled": 1.0, FLAGGED: 1.0}
        assert counted(plane) == ({"read": 2} if gpu else {"read": 1, "absent": 1})


def test_the_caller_gets_the_answer_before_anything_is_read() -> None:
    """Bodies are looked into in the tick; the answer has gone long before, as it came."""
    with serving() as plane:
        wire = ask(plane, answer())
        assert wire.sent.endswith(BODY)
        assert plane.log.events == []
        assert logged(plane).rewards[FLAGGED] == 1.0


def test_a_stream_goes_on_while_it_is_copied() -> None:
    """Each piece is with the caller before the next has come."""
    with serving() as plane:
        _, wire = plane.caller()
        target = plane.ask(wire, UNIT)
        data = answer()
        target.feed(data[:-5])
        plane.settle()
        assert wire.sent.endswith(BODY[:-5])
        target.feed(data[-5:])
        plane.settle()
        assert logged(plane).rewards[FLAGGED] == 1.0


def test_a_unit_outside_the_sample_has_its_headers_read_only() -> None:
    """Without the key ``sampled``: what is not observed is not 0. Its event does not wait."""
    with serving(sample="0%") as plane:
        ask(plane, answer(b"x-gpu-seconds: 2"))
        assert [event.rewards for event in plane.log.events] == [{GPU: 2.0}]


def test_a_unit_is_sampled_in_all_its_exchanges_or_in_none() -> None:
    """Whichever connection and time."""
    with serving(sample="50%") as plane:
        for _ in range(3):
            for user in range(20):
                ask(plane, answer(), request=UNIT.replace(b": u", b": u%d" % user))
        plane.wait(0.05)
        seen: dict[str | None, set[bool]] = {}
        for event in plane.log.events:
            seen.setdefault(event.unit, set()).add("sampled" in event.rewards)
        assert all(len(kinds) == 1 for kinds in seen.values())
        assert {kind for kinds in seen.values() for kind in kinds} == {True, False}


@pytest.mark.parametrize(
    ("made", "result"),
    [
        (answer(b"Content-Encoding: gzip"), "encoded"),
        (answer(kind=b"text/event-stream"), "not_json"),
        (answer(body=b" " * (BODY_BYTES + 1)), "too_large"),
        (chunked(*[b" " * 60_000] * 10), "too_large"),
        (chunked(*[b" " * 10] * 50_000), "too_large"),
        (answer(body=b""), "absent"),
        (answer(body=b"{oops"), "absent"),
        (answer(body=b'{"safety":{"flagged":"yes"}}'), "not_a_number"),
    ],
)
def test_a_body_without_a_reward_is_counted_as_such(made: bytes, result: str) -> None:
    """It was looked at, or is one that never has any, so the key ``sampled`` is there."""
    with serving() as plane:
        wire = ask(plane, made)
        assert logged(plane).rewards == {"sampled": 1.0}
        assert counted(plane) == ({"absent": 2} if result == "absent" else {"absent": 1, result: 1})
        assert wire.sent


def test_an_answer_that_grows_too_long_is_dropped_on_the_way() -> None:
    """Nothing more of it is held, and the caller gets all of it."""
    with serving() as plane:
        _, wire = plane.caller()
        target = plane.ask(wire, UNIT)
        data = chunked(*[b" " * 60_000] * 10)
        for place in range(0, len(data), 60_000):
            target.feed(data[place : place + 60_000])
            plane.settle()
            assert plane.server.rewards.held <= 2 * BODY_BYTES + reward.ENTRY_BYTES
        assert logged(plane).rewards == {"sampled": 1.0}
        assert counted(plane) == {"absent": 1, "too_large": 1}
        assert wire.sent.endswith(b"0\r\n\r\n")


def test_an_answer_to_head_has_no_body_to_read() -> None:
    """Its header fields count."""
    with serving() as plane:
        ask(plane, answer(b"x-gpu-seconds: 1", body=b""), request=UNIT.replace(b"GET", b"HEAD"))
        assert logged(plane).rewards == {GPU: 1.0, "sampled": 1.0}


def test_an_answer_that_was_cut_has_no_reward_of_its_body() -> None:
    """Half a document says nothing; its header was said."""
    with serving() as plane:
        _, wire = plane.caller()
        target = plane.ask(wire, UNIT)
        target.feed(answer(b"x-gpu-seconds: 3")[:-5])
        target.reset()
        plane.settle()
        assert logged(plane).rewards == {GPU: 3.0}
        assert counted(plane) == {"read": 1, "incomplete": 1}


def test_without_room_nothing_is_collected_and_nothing_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the router could not look at is not observed."""
    monkeypatch.setattr(reward, "ROOM_BYTES", reward.ENTRY_BYTES + 10)
    with serving() as plane:
        wire = ask(plane, answer())
        assert wire.sent.endswith(BODY)
        assert [event.rewards for event in plane.log.events] == [{}]
        assert counted(plane) == {"absent": 1, "no_room": 1}
        ask(plane, *by_byte(answer()))
        assert counted(plane) == {"absent": 2, "no_room": 2}


def test_reading_takes_a_part_of_each_tick_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is due beyond it waits for the next, in order."""
    monkeypatch.setattr(reward, "READ_S", 0.0)
    with serving() as plane:
        for _ in range(3):
            ask(plane, answer())
        for count in (1, 2, 3):
            plane.wait(0.05)
            assert len(plane.log.events) == count


def test_what_waits_at_the_end_is_logged_without_its_body() -> None:
    """A worker that ends loses no exchange over this."""
    with serving() as plane:
        ask(plane, answer(b"x-gpu-seconds: 1"))
        plane.close_all()
        assert [event.rewards for event in plane.log.events] == [{GPU: 1.0}]


def test_a_fallback_targets_answer_is_what_the_unit_got() -> None:
    """Intention to treat: the reward is of the answer that the caller got, and the event says who gave it."""
    with serving(route=", fallback_on: [5xx], fallback: [{target: other}]") as plane:
        _, wire = plane.caller()
        first = plane.ask(wire, UNIT)
        first.feed(answer(b"x-gpu-seconds: 9", status=b"500 Oops"))
        plane.settle()
        second = plane.targets[-1]
        assert second is not first
        second.feed(answer(b"x-gpu-seconds: 1"))
        plane.settle()
        event = logged(plane)
        assert (event.target, event.failed, event.rewards) == ("other", True, {GPU: 1.0, "sampled": 1.0, FLAGGED: 1.0})


def test_an_answer_that_no_target_gave_has_none() -> None:
    """What somebody wrote beforehand costs and flags nothing."""
    with serving(
        route=", fallback_on: [5xx], fallback: [{respond: {status: 200, json: {safety: {flagged: 1}}}}]"
    ) as plane:
        ask(plane, answer(b"x-gpu-seconds: 9", status=b"500 Oops"))
        assert logged(plane).rewards == {}
        assert counted(plane) == {}


def test_an_error_that_the_caller_gets_is_an_answer() -> None:
    """A target that fails for want of a fallback has used its seconds."""
    with serving() as plane:
        ask(plane, answer(b"x-gpu-seconds: 9", status=b"500 Oops"))
        assert logged(plane).rewards[GPU] == 9.0


def test_an_exchange_in_no_experiment_is_not_read() -> None:
    """There is nothing to compare it with."""
    with serving() as plane:
        ask(plane, answer(b"x-gpu-seconds: 9"), request=UNIT.replace(b"x-user-id", b"x-nobody"))
        assert [event.rewards for event in plane.log.events] == [{}]
        assert counted(plane) == {}


def test_a_last_good_answer_is_kept_beside() -> None:
    """A route may keep answers and read rewards."""
    with serving(route=", fallback: [{cached: {ttl: 1m, size: 1MiB}}]") as plane:
        ask(plane, answer(b"x-gpu-seconds: 1"))
        assert logged(plane).rewards[GPU] == 1.0
        assert len(plane.server.last_good["r"]) == 1
