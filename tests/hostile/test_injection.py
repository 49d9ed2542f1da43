"""Line ends and controls of callers and targets stay within the value that they came in."""

import json
from pathlib import Path
from typing import Final

import pytest

from router.admin.metrics import Metrics
from router.events.log import EventLog
from tests.harness import Proxy, Target, simple_yaml
from tests.hostile.wire import LOG_ALL, NO_CONTENT, head, post

EVIL: Final = "a\r\nx-router-route: forged\r\n\r\nGET /smuggled HTTP/1.1\r\n\x1b[2J\x00\x7f\u2028"
ESCAPED: Final = b"a%0d%0ax-router-route:%20forged%0d%0a%0d%0aGET%20/smuggled%1b%5b2J%00%7f%E2%80%A8"
UNITS: Final = {
    "query": ("query:user", head(start=b"GET /?user=%b HTTP/1.1" % ESCAPED)),
    "cookie": ("cookie:uid", head(b"Cookie: uid=" + ESCAPED)),
    "json": ("json:/user", post(json.dumps({"user": EVIL}).encode())),
}


@pytest.mark.parametrize("kind", UNITS)
def test_a_unit_ends_no_line_wherever_it_goes(target: Target, tmp_path: Path, kind: str) -> None:
    """Not in the request to the target, nor in the answer, nor in the event log on the disk."""
    source, request = UNITS[kind]
    routes = (f"{{name: r, target: t, unit: ['{source}']}}",)
    arms = "[{name: a, target: t, weight: 1}, {name: b, target: t, weight: 1}]"
    yaml = simple_yaml(target.url, routes=routes, server="expose: [arm, target]")
    target.answer(NO_CONTENT)
    with Proxy(f"{yaml}{LOG_ALL}experiments: [{{name: e, route: r, arms: {arms}}}]\n") as proxy:
        with proxy.caller() as caller:
            caller.send(request)
            response = caller.response()
        event = proxy.event()
        settings = proxy.revision.config.events
    (received,) = target.requests
    fields = received.partition(b"\r\n\r\n")[0] + b"\r\n"
    assert fields.count(b"\r\nx-router-route: ") == fields.count(b"\r\nx-router-route: r\r\n") == 1
    assert len(response.field(b"x-router-arm")) == 1
    assert event.unit
    log = EventLog(tmp_path, 0, settings, lambda _: None)
    log.append(event)
    log.close(10.0)
    (segment,) = tmp_path.glob("exchange-*.ndjson")
    written = segment.read_bytes()
    assert written.count(b"\n") == 1
    assert not any(byte < 0x20 for byte in written[:-1])
    assert json.loads(written)["unit"] == event.unit


REFUSED: Final = [
    b"GET /\x1b[2J HTTP/1.1\r\nHost: h\r\n\r\n",
    b"G\x1bT / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: \x1b[2J\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nX-Secret\x01: v\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\x1b\r\n\r\n",
    b"GET / EVIL/1.1\r\nHost: h\r\n\r\n",
]


@pytest.mark.parametrize("request_bytes", REFUSED)
def test_a_refusal_repeats_nothing_of_the_request(proxy: Proxy, request_bytes: bytes) -> None:
    """The detail of a problem is a sentence of the router's own, without a byte that somebody chose."""
    with proxy.caller() as caller:
        caller.send(request_bytes)
        said = caller.response().body.decode()
    assert json.loads(said)["detail"]
    assert not any(word in said for word in ("2J", "\\u001b", "Secret", "EVIL", "u0001"))


@pytest.mark.parametrize("words", ["too long \x1b[2J", "50\r\nx-evil: 1", "y" * 300])
def test_the_words_of_a_targets_answer_end_no_line(proxy: Proxy, target: Target, words: str) -> None:
    """A reason phrase or field with a line end is not passed on as one, and names nothing to the caller."""
    target.answer(b"HTTP/1.1 200 %b\r\nX: 1\nx-router-arm: forged\r\nContent-Length: 0\r\n\r\n" % words.encode())
    with proxy.caller() as caller:
        caller.send(head())
        response = caller.response()
    assert response.status == 502
    assert response.field(b"x-evil") == response.field(b"x-router-arm") == []
    assert b"2J" not in response.body


def test_nothing_of_a_request_becomes_a_label(proxy: Proxy, target: Target) -> None:
    """Labels are names of the configuration and words of the router's own, so their number is bounded."""
    metrics = Metrics(proxy.segment, lambda: proxy.revision)
    target.answer(NO_CONTENT, times=3)
    before = {(sample.name, *sample.labels.values()) for family in metrics.collect() for sample in family.samples}
    for path in (b"/evil1", b"/evil2?evil3", b"/evil4"):
        with proxy.caller() as caller:
            caller.send(
                head(b"X-User-Id: evil5", b"X-Evil6: 7", start=b"GET %b HTTP/1.1" % path, host=b"evil8.example")
            )
            assert caller.response().status == 204
    after = {(sample.name, *sample.labels.values()) for family in metrics.collect() for sample in family.samples}
    assert not any("evil" in text for sample in after - before for text in sample)
    text, _ = metrics.render()
    assert b"evil" not in text
