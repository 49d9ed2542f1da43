"""Any bytes, in any pieces, at any moment, from both sides: nothing escapes, leaks, or is answered twice."""

import re
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.proxy.memory import Plane, Wire

pytestmark = pytest.mark.fuzz

REQUESTS = [
    b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n",
    b"HEAD /%d HTTP/1.1\r\nHost: h\r\nX-User: u\r\n\r\n",
    b"POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /%d HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\nA: b\r\n\r\n",
    b"PUT /%d HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
    b"GET /%d HTTP/1.0\r\n\r\n",
    b"GET /%d HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"GET /%d HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    b'POST /body/%d HTTP/1.1\r\nHost: h\r\nContent-Length: 14\r\n\r\n{"user": "u1"}',
    b"OPTIONS * HTTP/1.1\r\nHost: h\r\nX: %d\r\n\r\n",
    b"BREW /%d HTTP/1.1\r\nHost: h\r\n\r\n",
    b"\r\nGET http://h/%d HTTP/1.1\r\nHost: h\r\n\r\n",
]
ANSWERS = [
    b"HTTP/1.1 200 OK\r\nX-N: %d\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nX-N: %d\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX-N: %d\r\n\r\nok",
    b"HTTP/1.1 204 No Content\r\nX-N: %d\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nX-N: %d\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 503 Busy\r\nX-N: %d\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nX-N: %d\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 101 Switching\r\n\r\n",
    b"garbage",
]
# Time-outs are short, because passing time costs a turn of the wheel for each tick.
BODY_YAML = """
server: {timeouts: {keepalive: 2s, header_read: 1s, body_read: 1s}}
events: {unenrolled: 100%}
targets:
  - name: t
    endpoints: ['http://10.0.0.1:80']
    pool: {max: 2, idle: 1s}
    timeouts: {connect: 1s, first_byte: 1s, idle: 1s, total: 3s}
routes:
  - {name: body, target: t, match: {path: /body}, unit: ['json:/user']}
  - {name: all, target: t}
"""

text = st.sampled_from(REQUESTS)
mutations = st.lists(
    st.tuples(
        st.sampled_from(["change", "add", "lose", "cut"]),
        st.integers(0, 200),
        st.sampled_from(b"\r\n\x00 :;,0159afxHC\t\xff"),
    ),
    max_size=2,
)
steps = st.one_of(
    st.tuples(st.just("request"), st.tuples(text, mutations, st.lists(st.integers(0, 200), max_size=3))),
    st.tuples(st.just("bytes"), st.binary(max_size=12)),
    st.tuples(
        st.just("answer"), st.tuples(st.sampled_from(ANSWERS), mutations, st.lists(st.integers(0, 99), max_size=3))
    ),
    st.tuples(st.sampled_from(["target end", "target reset", "caller end", "caller reset"]), st.none()),
    st.tuples(st.sampled_from(["caller stuck", "target stuck", "unstick", "refuse", "reload", "drain"]), st.none()),
    st.tuples(st.just("time"), st.sampled_from([0.1, 0.6, 1.2, 2.5, 4.0])),
    st.tuples(st.just("turn"), st.integers(1, 8)),
)


def damage(data: bytes, changes: list[tuple[str, int, int]]) -> bytes:
    """Change some bytes."""
    changed = bytearray(data)
    for kind, where, byte in changes:
        at = where % (len(changed) + 1)
        if kind == "add":
            changed.insert(at, byte)
        elif kind == "cut":
            del changed[at:]
        elif at < len(changed):
            if kind == "change":
                changed[at] = byte
            else:
                del changed[at]
    return bytes(changed)


def feed(wire: Wire, data: bytes, cuts: list[int]) -> None:
    """Bytes arrive in some pieces."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in pairwise(places):
        if not wire.closing:
            wire.feed(data[start:end])


class Story:
    """One caller, its targets, and what they did."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.callers: list[Wire] = []
        self.sent = 0
        self.answered = 0

    def caller(self) -> Wire:
        """Return the caller, a new one when the last has gone."""
        if not self.callers or self.callers[-1].closing:
            self.callers.append(self.plane.caller()[1])
        return self.callers[-1]

    def target(self) -> Wire | None:
        """Return the newest connection to a target that is open."""
        return next((wire for wire in reversed(self.plane.targets) if not wire.closing), None)

    def play(self, action: str, argument: object) -> None:  # noqa: C901, PLR0912  # a table of actions
        """Do one step."""
        target = self.target()
        match action, argument:
            case "request", (bytes(template), list(changes), list(cuts)):
                self.sent += 1
                feed(self.caller(), damage(template % self.sent, changes), cuts)
            case "bytes", bytes(data):
                self.caller().feed(data)
            case "answer", (bytes(template), list(changes), list(cuts)):
                if target is not None:
                    self.answered += 1
                    answer = template % self.answered if b"%d" in template else template
                    feed(target, damage(answer, changes), cuts)
            case "target end", _:
                if target is not None:
                    target.end()
            case "target reset", _:
                if target is not None:
                    target.reset()
            case "caller end", _:
                self.caller().end()
            case "caller reset", _:
                self.caller().reset()
            case "caller stuck", _:
                self.caller().stuck = True
            case "target stuck", _:
                if target is not None:
                    target.stuck = True
            case "unstick", _:
                for wire in (*self.callers, *self.plane.targets):
                    if not wire.lost:
                        wire.unstick()
            case "refuse", _:
                self.plane.loop.outcomes.append(ConnectionRefusedError())
            case "reload", _:
                self.plane.swap(BODY_YAML)
            case "drain", _:
                self.plane.server.drain()
            case "time", float(seconds):
                self.plane.wait(seconds)
            case "turn", int(turns):
                self.plane.settle(turns)


@settings(max_examples=2 * settings().max_examples, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, max_size=25))
def test_any_story_ends_well(script: list[tuple[str, object]]) -> None:
    """Nothing escapes, gauges return to zero, each answer goes out at most once, and every connection ends in time."""
    with Plane(BODY_YAML) as plane:
        story = Story(plane)
        for action, argument in script:
            story.play(action, argument)
        plane.settle()
        for caller in story.callers:
            seen = re.findall(rb"X-N: (\d+)", caller.sent)
            assert len(set(seen)) == len(seen)
            assert [int(number) for number in seen] == sorted(int(number) for number in seen)
        everyone = [number for caller in story.callers for number in re.findall(rb"X-N: (\d+)\r", caller.sent)]
        assert len(set(everyone)) == len(everyone)
        for _ in range(8):  # longer than all time-outs together
            plane.wait(4)
        assert plane.inflight() == 0
        assert not plane.server.connections
        assert all(wire.lost for wire in story.callers)
        assert all(wire.lost for wire in plane.targets)
        for event in plane.log.events:
            assert event.attempts in {1, 2}
            assert event.status == 0 or 200 <= event.status <= 599


@settings(max_examples=settings().max_examples, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(text, min_size=1, max_size=5), st.lists(st.integers(0, 2000), max_size=12), st.sampled_from(ANSWERS[:2])
)
def test_valid_pipelines_in_any_pieces(templates: list[bytes], cuts: list[int], answer: bytes) -> None:
    """Valid requests, pipelined and cut anywhere, are each answered once and in order."""
    with Plane(BODY_YAML) as plane:
        _, wire = plane.caller()
        data = b"".join(template % index for index, template in enumerate(templates))
        feed(wire, data, cuts)
        number = 0
        for _ in templates:
            plane.settle()
            for target in plane.targets:
                received = target.take()
                if received:
                    number += 1
                    target.feed(_bodiless(answer % number) if received.startswith(b"HEAD ") else answer % number)
        plane.settle()
        seen = [int(found) for found in re.findall(rb"X-N: (\d+)", wire.sent)]
        assert seen == list(range(1, number + 1))
        assert len(re.findall(rb"HTTP/1\.1 (?!100)\d\d\d ", wire.sent)) <= len(templates)


def _bodiless(answer: bytes) -> bytes:
    return answer[: answer.index(b"\r\n\r\n") + 4]
