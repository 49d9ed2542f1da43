"""Values of bodies that are watched: in the event, of requests and responses, and never in the way."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from router.events.model import Exchange
from router.proxy import reward
from router.routing.reward import TEXT_CHARS
from tests.proxy.memory import Plane, Wire
from tests.proxy.test_reward import answer, chunked

SAID = json.dumps({"label": "spam", "confidence": 0.75, "tensor": [1, 2, 3]}).encode()
WATCH = """
  - {json: /confidence, sample: 100%}
  - {json: /label}
  - {json: /absent}
  - {json: /country, of: request, detector: psi}
  - {score: accuracy, prediction: /label, outcome: truth, positive: spam}
"""


def yaml(watch: str = WATCH, route: str = "") -> str:
    """Configure a route with an experiment that is watched."""
    arms = "[{name: a, target: t, weight: 1}, {name: b, target: t, weight: 1}]"
    return "\n".join(
        (
            "events: {unenrolled: 100%}",
            "targets: [{name: t, endpoints: ['http://10.0.0.1:80']}]",
            f"routes: [{{name: r, target: t, unit: [header:x-user-id]{route}}}]",
            f"experiments: [{{name: e, route: r, arms: {arms}}}]",
            f"watch:{watch}",
        )
    )


def posted(body: bytes, *fields: bytes) -> bytes:
    """Write a request with a body."""
    lines = [b"POST / HTTP/1.1", b"Host: h", b"x-user-id: u", b"Content-Length: %d" % len(body), *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@contextmanager
def serving(watch: str = WATCH, route: str = "") -> Iterator[Plane]:
    """Serve a route that is watched; in the end no room is taken."""
    with Plane(yaml(watch, route)) as plane:
        yield plane
        plane.wait(0.05)
        assert plane.server.rewards.held == 0


def ask(plane: Plane, request: bytes, *pieces: bytes) -> tuple[Wire, Exchange]:
    """Send a request whose answer comes in pieces; return the caller's side and the event."""
    _, wire = plane.caller()
    target = plane.ask(wire, request)
    for piece in pieces:
        target.feed(piece)
        plane.settle()
    plane.wait(0.05)
    return wire, plane.log.events[-1]


@pytest.mark.parametrize("made", [answer(body=SAID), chunked(SAID[:10], SAID[10:])], ids=["length", "chunks"])
def test_numbers_and_texts_of_both_bodies_are_in_the_event(made: bytes) -> None:
    """What is absent, or neither, is left out; the marks say whose bodies were looked into."""
    with serving() as plane:
        _, event = ask(plane, posted(b'{"country": "DE", "x": [1, 2]}'), made)
    assert event.rewards == {
        "sampled": 1.0,
        "sampled_request": 1.0,
        "response:/confidence": 0.75,
        "response:/label": "spam",
        "request:/country": "DE",
    }


def test_a_request_body_that_was_read_to_decide_is_looked_into_too() -> None:
    """One that comes in pieces is at hand where the route reads it anyway."""
    body = b'{"country": "FR", "user": "u7"}'
    with Plane(yaml(route=", inspect_bytes: 64KiB").replace("[header:x-user-id]", "[json:/user]")) as plane:
        _, wire = plane.caller()
        whole = posted(body)
        wire.feed(whole[:-5])
        target = plane.ask(wire, whole[-5:])
        target.feed(answer(body=SAID))
        plane.settle()
        plane.wait(0.05)
        event = plane.log.events[-1]
    assert event.rewards["request:/country"] == "FR"


@pytest.mark.parametrize(
    "request_", [posted(b"not json"), posted(b""), b"GET / HTTP/1.1\r\nHost: h\r\nx-user-id: u\r\n\r\n"]
)
def test_a_request_without_json_is_not_looked_into(request_: bytes) -> None:
    """No mark, so nothing is taken for absent."""
    with serving() as plane:
        _, event = ask(plane, request_, answer(body=SAID))
    assert "sampled_request" not in event.rewards
    assert event.rewards["response:/label"] == "spam"


def test_a_long_text_is_cut_and_lists_are_nothing() -> None:
    """What is logged is bounded, whatever a target says."""
    said = json.dumps({"label": "x" * 10_000, "confidence": [1]}).encode()
    with serving() as plane:
        _, event = ask(plane, posted(b"{}"), answer(body=said))
    assert event.rewards["response:/label"] == "x" * TEXT_CHARS
    assert "response:/confidence" not in event.rewards


def test_only_a_request_may_be_watched() -> None:
    """The answer's body is not collected then, and the request's is looked into all the same."""
    with serving("\n  - {json: /country, of: request, sample: 100%, detector: psi}") as plane:
        _, event = ask(plane, posted(b'{"country": "DE"}'), answer(body=b"x" * 100, kind=b"text/plain"))
    assert event.rewards == {"sampled_request": 1.0, "request:/country": "DE"}


def test_an_answer_that_was_cut_says_nothing_and_its_request_does() -> None:
    """Room that was taken for both is given back."""
    with serving() as plane:
        _, wire = plane.caller()
        target = plane.ask(wire, posted(b'{"country": "DE"}'))
        target.feed(answer(body=SAID)[:-4])
        plane.settle()
        target.reset()
        plane.settle()
        plane.wait(0.05)
        event = plane.log.events[-1]
    assert event.rewards == {"sampled_request": 1.0, "request:/country": "DE"}


def test_without_room_a_request_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exchange goes on, and claims nothing."""
    monkeypatch.setattr(reward, "ROOM_BYTES", 10)
    with serving() as plane:
        wire, event = ask(plane, posted(b'{"country": "DE"}'), answer(body=SAID))
        assert wire.sent.endswith(SAID)
    assert event.rewards == {}


def test_a_route_whose_bodies_are_not_watched_reads_nothing() -> None:
    """An entry that reads counters is no reason to look into bodies."""
    with Plane(yaml("\n  - {metric: p99}")) as plane:
        _, event = ask(plane, posted(b"{}"), answer(body=SAID))
    assert event.rewards == {}
