"""The fallbacks ``cached`` and ``rules`` on scripted transports: who gets which answer again, and who never does."""

import re
from typing import Any

import pytest

from router import counters
from tests.proxy.memory import Plane

YAML = """\
events: {unenrolled: 100%}
targets:
  - {name: t, endpoints: ['http://10.0.0.1:80'], timeouts: {first_byte: 50ms}}
  - {name: u, endpoints: ['http://10.0.0.2:80']}
routes:
  - name: r
    target: t
    unit: [header:x-user]
    attributes: {tier: header:x-tier, age: query:age, item: json:/item}
    fallback:
      - {target: u, causes: [timeout]}
      - cached: {ttl: 10m, size: 1MiB}
      - rules:
          - {if: {">=": [{var: age}, 18]}, respond: {json: adult}}
          - {if: {in: [{var: tier}, [gold, silver]]}, respond: {status: 203, json: [1, 2]}}
"""
EXPERIMENT = """\
experiments:
  - name: e
    route: r
    arms: [{name: a, target: t, weight: 1}, {name: b, target: u, weight: 0}]
overrides: [{unit: qa, experiment: e, arm: a}]
"""
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nDate: then\r\nETag: 1\r\n\r\ngood"


def request(target: str = "/", method: str = "POST", body: bytes = b"question", **fields: str) -> bytes:
    """Write a request."""
    lines = {
        "Host": "h",
        "Content-Length": str(len(body)),
        **{name.replace("_", "-"): text for name, text in fields.items()},
    }
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {target} HTTP/1.1\r\n{text}\r\n".encode() + body


def ask(plane: Plane, asked: bytes, answers: tuple[bytes, ...] | None) -> bytes:
    """Ask on a new connection, have the target answer, or reset for None, and return what the caller got."""
    _, wire = plane.caller()
    target = plane.ask(wire, asked)
    while answers is None and not wire.sent:  # a request on a kept connection is repeated on a new one
        for made in plane.targets:
            made.end()
        plane.settle()
    for data in answers or ():
        target.feed(data)
        plane.settle()
    plane.settle()
    got = wire.take()
    wire.end()
    plane.settle()
    return got


def learn(plane: Plane, asked: bytes, *answers: bytes) -> None:
    """Have an exchange end well."""
    ask(plane, asked, answers or (ANSWER,))


def fallback(plane: Plane, asked: bytes) -> str:
    """Ask while the target resets, and return which fallback answered; ``502`` when none did."""
    got = ask(plane, asked, None)
    found = re.search(rb"\r\nx-router-fallback: (\w+)\r\n", got)
    return found[1].decode() if found else got.split(b" ")[1].decode()


def answered(plane: Plane, to: str, cause: str = "unavailable") -> int:
    """Return how often a fallback answered."""
    row = plane.revision.slots[counters.fallback_key("r", to)]
    return plane.words[row + counters.CAUSES.index(cause)]


def test_the_last_good_answer_is_given_again() -> None:
    """When the target cannot answer, its last good answer to the same question is: whole, with its age, and marked."""
    with Plane(YAML) as plane:
        learn(plane, request(x_user="1"), ANSWER.replace(b"good", b"best"))
        learn(plane, request(x_user="1"))
        got = ask(plane, request(x_user="1"), None)
        head, _, content = got.partition(b"\r\n\r\n")
        assert content == b"good"
        lines = head.split(b"\r\n")
        assert lines[0] == b"HTTP/1.1 200 OK"
        assert {b"Date: then", b"ETag: 1", b"Content-Length: 4", b"age: 0", b"x-router-fallback: cached"} < set(lines)
        assert b"\r\nx-request-id: " in head
        assert answered(plane, "cached") == 1
        event = plane.log.events[-1]
        assert (event.fallback, event.fallback_to, event.fault, event.failed) == (
            "unavailable",
            "cached",
            "reset",
            True,
        )
        assert (event.status, event.target) == (200, None)


def test_age_counts_on() -> None:
    """An answer that came with an age is that much older."""
    with Plane(YAML) as plane:
        learn(plane, request(), ANSWER.replace(b"ETag: 1", b"Age: 30"))
        assert b"\r\nage: 30\r\n" in ask(plane, request(), None)


def test_an_answer_in_pieces_is_kept_when_it_is_whole() -> None:
    """A body that comes in pieces is kept once all of it has come, and not when it is cut."""
    with Plane(YAML) as plane:
        learn(plane, request(), ANSWER[:-3], b"oo", b"d")
        assert ask(plane, request(), None).endswith(b"\r\n\r\ngood")
        _, wire = plane.caller()
        target = plane.ask(wire, request("/2"))
        target.feed(ANSWER[:-2])
        target.end()
        plane.settle()
        assert fallback(plane, request("/2")) == "502"
        assert plane.server.last_good["r"].coming == 0


def test_a_caller_that_leaves_leaves_nothing_behind() -> None:
    """What was set aside for an answer is free again when its caller goes away in the middle."""
    with Plane(YAML) as plane:
        _, wire = plane.caller()
        plane.ask(wire, request()).feed(ANSWER[:-2])
        plane.settle()
        assert plane.server.last_good["r"].coming == 4
        wire.reset()
        plane.settle()
        assert plane.server.last_good["r"].coming == 0
        assert fallback(plane, request()) == "502"


@pytest.mark.parametrize(
    ("learnt", "asked"),
    [
        ({}, {"target": "/other"}),
        ({}, {"target": "/?a=1"}),
        ({}, {"method": "GET"}),
        ({}, {"body": b"another"}),
        ({"x_user": "1"}, {"x_user": "2"}),
        ({"x_user": "1"}, {}),
        ({"x_tier": "a"}, {"x_tier": "b"}),
        ({"accept": "a/b"}, {"accept": "a/c"}),
        ({"accept_encoding": "gzip"}, {}),
        ({"cookie": "a=1"}, {"cookie": "a=2"}),
        ({}, {"Host": "other"}),
        ({"authorization": "x"}, {}),
        ({}, {"authorization": "x"}),
        ({"authorization": "x"}, {"authorization": "x"}),
        ({"cache_control": "no-store"}, {}),
    ],
)
def test_what_differs_gets_no_answer(learnt: dict[str, Any], asked: dict[str, Any]) -> None:
    """One user's answer never reaches another, nor an answer another question, nor any a request with credentials."""
    with Plane(YAML) as plane:
        learn(plane, request(**learnt))
        assert fallback(plane, request(**asked)) == "502"


@pytest.mark.parametrize(
    "answers",
    [
        (ANSWER.replace(b"200 OK", b"404 No"),),
        (ANSWER.replace(b"200 OK", b"206 Part"),),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n",),
        (ANSWER.replace(b"ETag: 1", b"Content-Type: text/event-stream"),),
        (ANSWER.replace(b"ETag: 1", b"Set-Cookie: a=1"),),
        (ANSWER.replace(b"ETag: 1", b"Cache-Control: private"),),
        (ANSWER.replace(b"ETag: 1", b"Cache-Control: no-store"),),
        (ANSWER.replace(b"ETag: 1", b"Vary: User-Agent"),),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n" + bytes(70_000),),
    ],
)
def test_what_is_not_kept(answers: tuple[bytes, ...]) -> None:
    """Errors, streams, answers for one caller and large ones are not given again."""
    with Plane(YAML) as plane:
        learn(plane, request(), *answers)
        assert fallback(plane, request()) == "502"


def test_only_the_targets_own_answers_are_kept() -> None:
    """An answer of a fallback is not the last good one."""
    with Plane(YAML) as plane:
        _, wire = plane.caller()
        plane.ask(wire, request())
        plane.wait(0.3)
        plane.targets[-1].feed(ANSWER)
        plane.settle()
        assert b"x-router-fallback: u\r\n" in wire.take()
        assert fallback(plane, request()) == "502"


def test_an_answer_that_gave_way_to_load_is_not_kept() -> None:
    """What a model says when it is told to drop features is not the last good answer."""
    yaml = YAML.replace("first_byte: 50ms}}", "first_byte: 50ms}, concurrency: {max: 2}}")
    yaml += "    degrade: [{when: {inflight: 0.5}, header: {x-degrade: '1'}}]\n"
    with Plane(yaml) as plane:
        _, busy = plane.caller()
        occupied = plane.ask(busy, request("/busy"))
        learn(plane, request())
        assert len(plane.server.last_good["r"]) == 0
        occupied.feed(ANSWER)
        plane.settle()
        learn(plane, request())
        assert len(plane.server.last_good["r"]) == 2


@pytest.mark.parametrize("first", ["cached", "u"])
def test_a_request_that_is_shed_has_all_fallbacks(first: str) -> None:
    """A request that its target is spared goes down the whole chain: nothing of it was sent, and all is at hand."""
    yaml = YAML.replace("first_byte: 50ms}}", "first_byte: 50ms}, concurrency: {max: 2}}")
    yaml += "    degrade: [{when: {inflight: 0.5}, shed: 100%}]\n"
    if first == "u":
        yaml = yaml.replace("causes: [timeout]", "causes: [timeout, shed]")
    with Plane(yaml) as plane:
        learn(plane, request())
        _, busy = plane.caller()
        plane.ask(busy, request("/busy"))
        _, wire = plane.caller()
        wire.feed(request())
        plane.settle()
        if first == "u":
            plane.targets[-1].feed(ANSWER)
            plane.settle()
        assert b"\r\nx-router-fallback: %b\r\n" % first.encode() in wire.take()
        assert answered(plane, first, "shed") == 1


def test_overrides_neither_leave_answers_nor_get_them() -> None:
    """A forced arm's answers are for whoever forced it; an assigned unit has its own."""
    with Plane(YAML + EXPERIMENT) as plane:
        learn(plane, request(x_user="qa"))
        assert fallback(plane, request(x_user="qa")) == "502"
        learn(plane, request(x_user="1"))
        assert fallback(plane, request(x_user="1")) == "cached"


def test_a_body_that_was_not_kept_is_no_question() -> None:
    """A request whose body is longer than ``replay_bytes`` neither leaves an answer nor gets one."""
    with Plane(YAML.replace("    unit:", "    replay_bytes: 4\n    unit:")) as plane:
        learn(plane, request())
        assert len(plane.server.last_good["r"]) == 0
        learn(plane, request(body=b"ask"))
        assert fallback(plane, request(body=b"ask")) == "cached"


def test_a_request_that_never_came_to_a_target_gets_the_answer_too() -> None:
    """Without a connection nothing was sent, and the question is at hand."""
    with Plane(YAML) as plane:
        learn(plane, request())
        plane.targets[-1].end()
        plane.settle()
        plane.loop.outcomes.extend([ConnectionRefusedError()] * 3)
        _, wire = plane.caller()
        wire.feed(request())
        plane.settle()
        assert wire.take().endswith(b"good")
        assert plane.log.events[-1].fault == "refused"


def test_a_reload_keeps_the_answers() -> None:
    """Answers stay while the route keeps some, whatever else changes, and go when it does not any more."""
    with Plane(YAML) as plane:
        learn(plane, request())
        plane.swap(
            YAML.replace("{target: u,", "{target: t,").replace("target: t\n", "target: u\n").replace("10m", "5m")
        )
        assert fallback(plane, request()) == "cached"
        plane.swap(YAML.replace("      - cached: {ttl: 10m, size: 1MiB}\n", ""))
        assert fallback(plane, request()) == "502"
        assert plane.server.last_good == {}
        plane.swap(YAML)
        assert fallback(plane, request()) == "502"


def test_an_attribute_that_is_read_from_elsewhere_is_another_question() -> None:
    """When an attribute changes its source, what was kept for its values is nobody's any more."""
    with Plane(YAML) as plane:
        learn(plane, request(x_tier="1"))
        plane.swap(YAML.replace("header:x-tier", "header:x-account"))
        assert fallback(plane, request(x_account="1")) == "502"


@pytest.mark.parametrize(
    ("asked", "status", "content"),
    [
        ({"target": "/?age=18"}, 200, b'"adult"\n'),
        ({"target": "/?age=9", "x_tier": "gold"}, 203, b"[1,2]\n"),
        ({"target": "/?age=100", "x_tier": "gold"}, 200, b'"adult"\n'),
        ({"x_tier": "silver"}, 203, b"[1,2]\n"),
    ],
)
def test_rules(asked: dict[str, Any], status: int, content: bytes) -> None:
    """The first rule that is true of the attributes answers; numbers in them are text, and compare as numbers."""
    with Plane(YAML) as plane:
        got = ask(plane, request(**asked), None)
        assert got.startswith(b"HTTP/1.1 %d " % status)
        assert got.endswith(b"\r\n\r\n" + content)
        assert b"\r\nx-router-fallback: rules\r\n" in got
        assert answered(plane, "rules") == 1


@pytest.mark.parametrize("asked", [{}, {"target": "/?age=17"}, {"target": "/?age="}, {"x_tier": "bronze"}])
def test_without_a_true_rule_the_next_step_answers(asked: dict[str, Any]) -> None:
    """When no rule is true, the next fallback is asked, or the failure is told."""
    with Plane(YAML) as plane:
        assert fallback(plane, request(**asked)) == "502"
        assert answered(plane, "rules") == 0
    with Plane(YAML + "      - respond: {json: default}\n") as plane:
        assert fallback(plane, request(**asked)) == "respond"


BODY_RULE = YAML.replace("{in: [{var: tier}, [gold, silver]]}", "{'===': [{var: item}, x]}")


@pytest.mark.parametrize("pieces", [1, 40])
def test_rules_on_the_body(pieces: int) -> None:
    """An attribute that is read from the body is there, in however many pieces the body came."""
    with Plane(BODY_RULE) as plane:
        asked = request(body=b'{"item": "x"}')
        _, wire = plane.caller()
        size = -(-len(asked) // pieces)
        for begin in range(0, len(asked), size):
            wire.feed(asked[begin : begin + size])
        plane.settle()
        (target,) = plane.targets
        target.end()
        plane.settle()
        assert b"\r\nx-router-fallback: rules\r\n" in wire.take()


def test_a_route_without_rules_on_the_body_does_not_wait_for_it() -> None:
    """Attributes that no rule asks for are not read: the request streams to its target."""
    with Plane(YAML) as plane:
        assert not plane.server.table.routes["r"].needs_body
        _, wire = plane.caller()
        plane.ask(wire, request(body=b'{"item": "x"}')[:-5])
    with Plane(BODY_RULE) as plane:
        assert plane.server.table.routes["r"].needs_body
        _, wire = plane.caller()
        wire.feed(request(body=b'{"item": "x"}')[:-5])
        plane.settle()
        assert plane.targets == []
