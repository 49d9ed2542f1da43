"""One request to two rankers: what the caller gets, whatever becomes of either."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from router import counters
from router.events.model import Fanout
from router.routing.bucket import choose
from tests.proxy.memory import Plane, Wire

ALLOCATE = "use: interleave, list: /items, id: /id"
CONFIG = """
server: {{expose: [request-id, arm, target]}}
targets:
  - {{name: t, endpoints: ['http://10.0.0.1:80']}}
  - {{name: u, endpoints: ['http://10.0.0.2:80']}}
  - {{name: spare, endpoints: ['http://10.0.0.3:80']}}
routes:
  - {{name: r, target: t, unit: [header:x-user], fallback_on: [unavailable, timeout, 5xx], fallback: [{fallback}]}}
experiments:
  - name: e
    route: r
    arms: [{{name: a, target: t, weight: 1}}, {{name: b, target: u, weight: {weight}}}]
    allocate: {{{allocate}}}
"""
ASK = b"GET /?q=1 HTTP/1.1\r\nHost: h\r\nX-User: ann\r\nAccept-Encoding: gzip\r\n\r\n"


def config(*, allocate: str = ALLOCATE, weight: float = 1, fallback: str = "") -> str:
    """Return a configuration with one experiment."""
    return CONFIG.format(allocate=allocate, weight=weight, fallback=fallback)


def items(*names: str, **more: Any) -> bytes:
    """Return an answer with a ranked list."""
    return reply(json.dumps({"by": names[0] if names else "", "items": [{"id": name} for name in names], **more}))


def reply(body: str | bytes, *lines: str, status: str = "200 OK", kind: str = "application/json") -> bytes:
    """Return an answer."""
    data = body.encode() if isinstance(body, str) else body
    head = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(data)}", *lines]
    return "\r\n".join([*head, "", ""]).encode() + data


class Asked:
    """A caller that has asked, and the rankers that were asked."""

    def __init__(self, plane: Plane, request: bytes = ASK) -> None:
        self.plane = plane
        _, self.caller = plane.caller()
        before = {id(wire): len(wire.sent) for wire in plane.targets}
        self.caller.feed(request)
        plane.settle()
        asked = {wire.peer: wire for wire in plane.targets if len(wire.sent) > before.get(id(wire), 0)}
        self.first, self.second = asked["10.0.0.1"], asked["10.0.0.2"]

    @property
    def own(self) -> tuple[Wire, Wire]:
        """Return the ranker of the unit's arm, and the other."""
        arm = self.arm
        return (self.first, self.second) if arm == "a" else (self.second, self.first)

    @property
    def arm(self) -> str:
        """Return the arm of the unit."""
        return str(choose("e", [("a", 1), ("b", 1)], "ann"))

    def feed(self, wire: Wire, data: bytes) -> None:
        """A ranker answers."""
        wire.feed(data)
        self.plane.settle()

    def body(self) -> Any:
        """Return what the caller got as JSON."""
        head, _, content = self.caller.sent.partition(b"\r\n\r\n")
        assert int(re.findall(rb"(?i)content-length: (\d+)", head)[0]) == len(content)
        return json.loads(content)

    def event(self) -> Any:
        """Return the only event."""
        (event,) = self.plane.log.events
        return event

    def fan(self) -> Fanout:
        """Return what it says of the rankers."""
        fan = self.event().fanout
        assert isinstance(fan, Fanout)
        return fan


def counts(plane: Plane) -> dict[tuple[str, str], int]:
    """Return what became of each arm's part, as it was counted."""
    found = {}
    for arm in ("a", "b"):
        row = plane.revision.slots[counters.fan_key("e", arm)] + counters.FAN_COUNTS
        for index, result in enumerate(counters.FAN_RESULTS):
            if plane.words[row + index]:
                found[arm, result] = plane.words[row + index]
    return found


def test_a_caller_gets_a_merge_of_both_lists() -> None:
    """Both rankers are asked, and everything but the list is the answer of the unit's arm."""
    with Plane(config()) as plane:
        asked = Asked(plane)
        own, other = asked.own
        assert b"\r\nx-router-experiments: e=a\r\n" in asked.first.sent
        assert b"\r\nx-router-experiments: e=b\r\n" in asked.second.sent
        assert b"gzip" not in own.sent
        asked.feed(other, items("x", "b", "c"))
        assert asked.caller.sent == b""
        asked.feed(own, items("a", "b", "c", n=1e3))
        body = asked.body()
        assert (body["by"], body["n"]) == ("a", 1000.0)
        shown = [item["id"] for item in body["items"]]
        assert {shown[0], shown[1]} in ({"a", "x"}, {"a", "b"}, {"x", "b"})
        assert len(shown) == len(set(shown)) == 3
        event, fan = asked.event(), asked.fan()
        assert (event.status, event.attempts, event.failed, event.target) == (
            200,
            2,
            False,
            f"{'tu'[asked.arm == 'b']}",
        )
        assert fan.items == tuple(shown)
        assert fan.arms == {"a": "combined", "b": "combined"}
        assert abs(sum(1 if team == 0 else -1 for team in fan.teams[:2])) == 0
        assert counts(plane) == {("a", "combined"): 1, ("b", "combined"): 1}


def truncate(wire: Wire) -> None:
    """End in the middle of an answer."""
    wire.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")
    wire.end()


BROKEN: dict[str, Callable[[Wire], object]] = {
    "reset": lambda wire: wire.reset(),
    "ends": lambda wire: wire.end(),
    "malformed": lambda wire: wire.feed(b"SMTP\r\n\r\n"),
    "truncated": truncate,
    "500": lambda wire: wire.feed(reply("{}", status="500 Oops")),
    "404": lambda wire: wire.feed(reply("{}", status="404 Gone")),
    "304": lambda wire: wire.feed(b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n"),
    "gzip": lambda wire: wire.feed(reply("....", "Content-Encoding: gzip")),
    "html": lambda wire: wire.feed(reply("<b>", kind="text/html")),
    "not JSON": lambda wire: wire.feed(reply('{"items": [')),
    "no list": lambda wire: wire.feed(reply('{"items": {"id": 1}}')),
    "no ids": lambda wire: wire.feed(reply('{"items": [{"id": "a"}, {"key": 1}]}')),
    "too large": lambda wire: wire.feed(reply('{"items": [], "x": "' + "x" * 300_000 + '"}')),
    "far too large": lambda wire: wire.feed(reply('{"items": [], "x": "' + "x" * 900_000 + '"}')[:-9]),
}


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("kind", list(BROKEN))
def test_one_ranker_that_fails_costs_nobody_an_answer(kind: str, which: int, *, first: bool) -> None:
    """Whatever becomes of one ranker, before or after the other has answered, the other's list is served as it is."""
    with Plane(config()) as plane:
        asked = Asked(plane)
        bad, good = asked.own if which == 0 else asked.own[::-1]
        if first:
            BROKEN[kind](bad)
            plane.settle()
        asked.feed(good, items("g", "h"))
        if not first:
            assert asked.caller.sent == b""
            BROKEN[kind](bad)
            plane.settle()
        assert [item["id"] for item in asked.body()["items"]] == ["g", "h"]
        event = asked.event()
        assert event.status == 200
        assert event.target == ("t" if good is asked.first else "u")
        assert "alone" in asked.fan().arms.values()
        plane.settle()


def test_both_fail_and_a_fallback_answers() -> None:
    """When no ranker has an answer, the exchange goes on as after any failed attempt."""
    with Plane(config(fallback="{target: spare}")) as plane:
        asked = Asked(plane)
        asked.first.reset()
        asked.feed(asked.second, reply("{}", status="503 Full"))
        plane.settle()
        (spare,) = [wire for wire in plane.targets if wire.peer == "10.0.0.3"]
        asked.feed(spare, items("s"))
        assert asked.body()["by"] == "s"
        event = asked.event()
        assert (event.target, event.fallback_to, event.failed) == ("spare", "spare", True)
        assert set(asked.fan().arms.values()) == {"failed"}


def test_both_fail_without_a_fallback() -> None:
    """An error of a ranker's is better than one of the router's; of two the unit's arm's."""
    with Plane(config()) as plane:
        asked = Asked(plane)
        own, other = asked.own
        asked.feed(other, reply("{}", status="503 Full"))
        asked.feed(own, reply("{}", status="500 Oops"))
        assert asked.caller.sent.startswith(b"HTTP/1.1 500")
    with Plane(config()) as plane:
        asked = Asked(plane)
        asked.first.reset()
        asked.second.reset()
        plane.settle()
        assert asked.caller.sent.startswith(b"HTTP/1.1 502")


def test_a_slow_ranker_is_left_out() -> None:
    """After the deadline what is there is served; where nothing is, the first that comes."""
    with Plane(config(allocate=ALLOCATE + ", deadline: 5ms")) as plane:
        asked = Asked(plane)
        asked.feed(asked.own[1], items("g"))
        plane.loop.run_until_complete(plane.sleep(0.02))
        plane.settle()
        assert asked.body()["by"] == "g"
        assert asked.event().failed
        assert sorted(asked.fan().arms.values()) == ["alone", "late"]
        plane.log.events.clear()
        asked = Asked(plane)
        plane.loop.run_until_complete(plane.sleep(0.02))
        assert asked.caller.sent == b""
        asked.feed(asked.second, items("h"))
        assert asked.body()["by"] == "h"


def test_both_answer_at_length_and_the_units_own_streams() -> None:
    """What is longer than what is read is not held: the unit's own arm goes on where it was stopped."""
    with Plane(config(allocate=ALLOCATE + ", answer_bytes: 1KiB")) as plane:
        asked = Asked(plane)
        own, other = asked.own
        long = reply("x" * 200_000)
        asked.feed(other, long[:150_000])
        assert not other.reading
        asked.feed(own, long[:150_000])
        assert own.reading
        assert other.aborted
        assert len(asked.caller.sent) > 140_000
        asked.feed(own, long[150_000:])
        assert asked.caller.sent.endswith(b"x" * 200_000)
        assert asked.event().response_bytes == 200_000


def test_a_long_request_goes_to_one_arm() -> None:
    """A body that is longer than what is sent twice streams to the unit's own arm alone."""
    with Plane(config(allocate=ALLOCATE + ", body_bytes: 10B")) as plane:
        _, caller = plane.caller()
        head = ASK.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 20\r\n\r\n")
        caller.feed(head + b"0" * 5)
        plane.settle()
        (target,) = plane.targets
        caller.feed(b"0" * 15)
        target.feed(items("a"))
        plane.settle()
        assert plane.log.events[0].fanout is None
        assert set(counts(plane)) == {("a", "skipped"), ("b", "skipped")}


@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_in_pieces_goes_to_both(*, chunked: bool) -> None:
    """It is waited for, and both get all of it."""
    with Plane(config()) as plane:
        _, caller = plane.caller()
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 8"
        pieces = [b"4\r\nabcd\r\n", b"4\r\nefgh\r\n0\r\n\r\n"] if chunked else [b"abcd", b"efgh"]
        caller.feed(ASK.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\n" + framing + b"\r\n\r\n"))
        for piece in pieces:
            plane.settle()
            assert plane.targets == []
            caller.feed(piece)
        plane.settle()
        assert [target.sent.endswith(b"".join(pieces)) for target in plane.targets] == [True, True]
        for target in plane.targets:
            target.feed(items("a", "b"))
        plane.settle()
        assert b'"items":[{"id": "a"},{"id": "b"}]' in caller.sent


def test_a_caller_that_goes_away_cancels_both() -> None:
    """Nobody works for a caller that is gone."""
    with Plane(config()) as plane:
        asked = Asked(plane)
        asked.caller.end()
        plane.settle()
        assert asked.first.aborted
        assert asked.second.aborted
        assert asked.fan().arms == {"a": "cancelled", "b": "cancelled"}


@pytest.mark.parametrize("request_line", [b"HEAD", b"GET"])
def test_no_more_than_one_is_asked_where_there_is_nothing_to_merge(request_line: bytes) -> None:
    """An answer without a body has no list, and an arm of weight 0 is not asked."""
    with Plane(config(weight=0 if request_line == b"GET" else 1)) as plane:
        target = plane.ask(plane.caller()[1], ASK.replace(b"GET", request_line))
        target.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        plane.settle()
        assert plane.log.events[0].fanout is None


ENSEMBLE = "use: ensemble, at: /score"


@pytest.mark.parametrize(
    ("combine", "answers", "value"),
    [
        ("mean", ("1", "2.5"), b"1.75"),
        ("median", ("1", "2.5"), b"1.75"),
        ("vote", ('"no"', '"yes"'), b'"no"'),
        ("vote", ("1e0", "1"), b"1e0"),
    ],
)
def test_an_ensemble_answers_with_what_its_values_come_to(combine: str, answers: tuple[str, str], value: bytes) -> None:
    """The answer is the first arm's, whoever the unit's is, with the combined value in it."""
    with Plane(config(allocate=f"{ENSEMBLE}, combine: {combine}")) as plane:
        asked = Asked(plane)
        asked.feed(asked.second, reply(f'{{"score": {answers[1]}, "by": "b"}}'))
        asked.feed(asked.first, reply(f'{{"score": {answers[0]}, "by": "a"}}'))
        assert asked.caller.sent.endswith(b'{"score":%b,"by":"a"}' % value)
        assert asked.fan().base == "a"
        assert asked.event().target == "t"


@pytest.mark.parametrize("other", ['{"score": "high"}', '{"score": 1e999}', '{"score": true}', '{"points": 1}', "[]"])
def test_one_of_an_ensemble_that_has_no_number_is_left_out(other: str) -> None:
    """What is no finite number is none of the ensemble's; with one left, it serves alone."""
    with Plane(config(allocate=ENSEMBLE)) as plane:
        asked = Asked(plane)
        asked.feed(asked.first, reply(other))
        asked.feed(asked.second, reply('{"score": 2}'))
        assert asked.caller.sent.endswith(b'{"score": 2}')
        assert asked.fan().arms == {"a": "no_value", "b": "alone"}


THREE = """
targets:
  - {name: t, endpoints: ['http://10.0.0.1:80'], breaker: {open: 10s, probes: 2}}
  - {name: u, endpoints: ['http://10.0.0.2:80'], breaker: {open: 10s, probes: 2}}
  - {name: v, endpoints: ['http://10.0.0.3:80'], breaker: {open: 10s, probes: 2}}
routes: [{name: r, target: t, unit: [header:x-user]}]
experiments:
  - name: e
    route: r
    arms: [{name: a, target: t, weight: 1}, {name: b, target: u, weight: 1}, {name: c, target: v, weight: 1}]
    allocate: {use: ensemble, at: /score, combine: median}
"""


def ask_three(plane: Plane, *scores: str, fails: frozenset[str] = frozenset()) -> tuple[bytes, Fanout]:
    """Ask an ensemble of three; return what the caller got, and what the event says."""
    plane.log.events.clear()
    _, caller = plane.caller()
    before = {id(wire): len(wire.sent) for wire in plane.targets}
    caller.feed(ASK)
    plane.settle()
    asked = {wire.peer: wire for wire in plane.targets if len(wire.sent) > before.get(id(wire), 0)}
    for number, score in enumerate(scores, start=1):
        wire = asked.get(f"10.0.0.{number}")
        if wire is not None:
            wire.feed(reply(f'{{"score": {score}}}', status="500 Oops" if wire.peer in fails else "200 OK"))
            plane.settle()
    (event,) = plane.log.events
    caller.end()
    plane.settle()
    assert isinstance(event.fanout, Fanout)
    return caller.sent.partition(b"\r\n\r\n")[2], event.fanout


def test_a_model_that_stands_apart_is_left_out_and_tried_again() -> None:
    """As an endpoint that breaks: not asked for a while, then a few probes, whose values do not count yet."""
    with Plane(THREE) as plane:
        for _ in range(20):
            body, fan = ask_three(plane, "1.0", "1.1", "9")
            assert (body, fan.arms["c"]) == (b'{"score":1.1}', "apart")
        body, fan = ask_three(plane, "1.0", "1.1", "9")
        assert (json.loads(body)["score"], fan.arms) == (1.05, {"a": "combined", "b": "combined", "c": "dropped"})
        plane.wait(12.0)
        body, fan = ask_three(plane, "1.0", "1.1", "9")
        assert (json.loads(body)["score"], fan.arms["c"]) == (1.05, "unused")
        assert ask_three(plane, "1.0", "1.1", "9")[1].arms["c"] == "dropped"
        plane.wait(25.0)
        for _ in range(2):
            body, fan = ask_three(plane, "1.0", "1.1", "1.2")
            assert (json.loads(body)["score"], fan.arms["c"]) == (1.05, "unused")
        plane.wait(26.0)
        assert ask_three(plane, "1.0", "1.1", "1.2")[0] == b'{"score":1.1}'


def test_a_model_that_fails_is_left_out_and_the_last_serves_alone() -> None:
    """Of three that fail one after the other, one is left, and it is asked alone, and streams."""
    with Plane(THREE) as plane:
        for _ in range(20):
            ask_three(plane, "1", "2", "3", fails=frozenset({"10.0.0.2", "10.0.0.3"}))
        body, fan = ask_three(plane, "1")
        assert (body, fan.arms) == (b'{"score": 1}', {"a": "alone", "b": "dropped", "c": "dropped"})
        assert plane.log.events[0].failed == (choose("e", [("a", 1), ("b", 1), ("c", 1)], "ann") != "a")


def test_nobody_is_blamed_for_what_all_refuse() -> None:
    """A request that no model can answer says nothing of the models."""
    with Plane(THREE) as plane:
        for _ in range(25):
            _, fan = ask_three(plane, "true", "null", '"x"')
            assert "dropped" not in fan.arms.values()


def test_two_that_differ_are_both_kept() -> None:
    """Of two nobody can say which is wrong."""
    with Plane(config(allocate=ENSEMBLE)) as plane:
        for _ in range(25):
            plane.log.events.clear()
            asked = Asked(plane)
            asked.feed(asked.first, reply('{"score": 1}'))
            asked.feed(asked.second, reply('{"score": 100}'))
            assert asked.fan().arms == {"a": "combined", "b": "combined"}
            asked.caller.end()
            plane.settle()


def test_callers_of_http_1_0_and_chunked_rankers() -> None:
    """A merge has a length, whatever framing the rankers use and whatever the caller knows."""
    with Plane(config()) as plane:
        asked = Asked(plane, ASK.replace(b"HTTP/1.1", b"HTTP/1.0"))
        body = items("a", "b").partition(b"\r\n\r\n")[2]
        chunked = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        asked.feed(asked.first, chunked + b"%x\r\n%b\r\n" % (len(body), body))
        asked.feed(asked.first, b"0\r\n\r\n")
        asked.feed(asked.second, b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + items("a", "b"))
        assert asked.caller.sent.startswith(b"HTTP/1.1 200 OK\r\n")
        assert [item["id"] for item in asked.body()["items"]] == ["a", "b"]
        assert b"\r\nconnection: close\r\n" in asked.caller.sent


def test_what_a_body_said_of_itself_is_left_out() -> None:
    """A merged body has another digest, and no part of it can be asked for; the rest of the head is the ranker's."""
    with Plane(config()) as plane:
        asked = Asked(plane)
        for wire in (asked.first, asked.second):
            more = ('ETag: "1"', "Content-MD5: x", "Accept-Ranges: bytes", "X-Model: m", "X-Router-Arm: forged")
            asked.feed(wire, reply('{"items": []}', *more))
        head = asked.caller.sent.partition(b"\r\n\r\n")[0].lower()
        assert b"x-model: m" in head
        assert not [name for name in (b"etag", b"content-md5", b"accept-ranges", b"forged") if name in head]
        assert head.count(b"x-router-arm: %b" % asked.arm.encode()) == 1


def test_what_follows_on_the_connection_is_carried() -> None:
    """A request that waits behind one to both rankers begins when that is answered."""
    with Plane(config()) as plane:
        asked = Asked(plane, ASK + ASK.replace(b"q=1", b"q=2"))
        asked.feed(asked.first, items("a"))
        assert b"q=2" not in asked.first.sent
        asked.feed(asked.second, items("a"))
        plane.settle()
        for wire in (asked.first, asked.second):
            assert b"q=2" in wire.sent
            asked.feed(wire, items("b"))
        assert asked.caller.sent.count(b"HTTP/1.1 200 OK") == 2


def test_a_caller_that_expects_is_told_to_continue() -> None:
    """A body that is waited for is asked for."""
    with Plane(config()) as plane:
        _, caller = plane.caller()
        head = ASK.replace(b"GET", b"POST").replace(
            b"\r\n\r\n", b"\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        caller.feed(head)
        plane.settle()
        assert caller.sent == b"HTTP/1.1 100 Continue\r\n\r\n"
        caller.feed(b"ok")
        plane.settle()
        assert len(plane.targets) == 2


def test_the_last_ranker_streams_and_is_cut_where_it_ends() -> None:
    """Once the other has failed, bytes go on as they come, and a truncated answer never looks whole."""
    with Plane(config()) as plane:
        asked = Asked(plane)
        own, other = asked.own
        asked.feed(other, reply("{}", status="500 Oops"))
        asked.feed(own, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        assert asked.caller.sent.endswith(b"abc")
        own.end()
        plane.settle()
        assert asked.caller.closing
        assert (asked.event().outcome_fault, asked.event().failed) == ("truncated", True)


def test_the_last_ranker_may_fail_and_fall_back() -> None:
    """An exchange that was handed over goes on as any other after a failed attempt, and to no target twice."""
    with Plane(config(fallback="{target: t}, {target: u}, {target: spare}")) as plane:
        asked = Asked(plane)
        own, other = asked.own
        other.reset()
        plane.settle()
        plane.settle()
        asked.feed(own, reply("{}", status="500 Oops"))
        plane.settle()
        (spare,) = [wire for wire in plane.targets if wire.peer == "10.0.0.3"]
        asked.feed(spare, items("s"))
        assert asked.body()["by"] == "s"
        assert (asked.event().fallback_to, asked.event().target) == ("spare", "spare")


def test_a_swap_meanwhile_changes_nothing() -> None:
    """Requests under way end with the table they began with, though the experiment is gone."""
    with Plane(config()) as plane:
        asked = Asked(plane)
        plane.swap(config().partition("experiments:")[0])
        asked.feed(asked.first, items("a", "b"))
        asked.feed(asked.second, items("b", "a"))
        assert sorted(item["id"] for item in asked.body()["items"]) == ["a", "b"]
        assert asked.fan().arms == {"a": "combined", "b": "combined"}


def test_shadows_are_compared_with_the_merge() -> None:
    """A copy goes out once, and its answer is compared with what the caller got."""
    shadow = "unit: [header:x-user], shadow: [{target: spare, share: 100%, compare: {}}],"
    with Plane(config().replace("unit: [header:x-user],", shadow)) as plane:
        asked = Asked(plane)
        (copy,) = [wire for wire in plane.targets if wire.peer == "10.0.0.3"]
        for wire in (asked.first, asked.second):
            asked.feed(wire, items("a"))
        asked.feed(copy, reply('{"by": "a", "items": [{"id": "a"}]}'))
        (event,) = plane.log.shadows
        assert event.agree


@pytest.mark.parametrize("retries", [0, 1])
def test_retries_of_a_target_are_its_own(retries: int) -> None:
    """A ranker that says it may be asked again is, while the other waits."""
    retry = f"['http://10.0.0.1:80'], retry: {{attempts: {retries}, backoff: 1ms}}"
    text = config().replace("['http://10.0.0.1:80']", retry) if retries else config()
    with Plane(text) as plane:
        asked = Asked(plane)
        asked.feed(asked.second, items("b", "a"))
        asked.feed(asked.first, reply("{}", status="503 Full"))
        if not retries:
            assert asked.body()["by"] == "b"
            return
        assert asked.caller.sent == b""
        plane.loop.run_until_complete(plane.sleep(0.01))
        plane.settle()
        again = [
            wire for wire in plane.targets if wire.peer == "10.0.0.1" and wire.sent.count(b"GET ") and not wire.lost
        ][-1]
        asked.feed(again, items("a", "b"))
        assert sorted(item["id"] for item in asked.body()["items"]) == ["a", "b"]
        assert asked.event().attempts == 3
