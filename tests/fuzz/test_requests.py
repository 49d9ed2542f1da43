"""Requests of any bytes, in any pieces: one verdict, and nothing sent on that two servers could read differently."""

import re
from typing import NamedTuple

import httptools
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from router.proxy.heads import RequestReader
from router.proxy.request_head import RequestHead
from tests.fuzz.drawing import TRAPS, changes, cuts, damage, pieces, requests
from tests.fuzz.reading import Message, read_requests, sent_on_wrongly
from tests.proxy.memory import Plane

pytestmark = pytest.mark.fuzz
MANY = settings(max_examples=2 * settings().max_examples, suppress_health_check=[HealthCheck.too_slow])

MADE = re.compile(rb"x-request-id: [0-9a-f]{32}\r\n")
YAML = (
    "targets: [{name: t, endpoints: ['http://10.0.0.1:80']}]\n"
    "routes: [{name: body, target: t, match: {path: /a}, unit: ['json:/user', 'header:x-user-id']}, "
    "{name: all, target: t}]\n"
)
# What Connection may name without effect: RFC 9110 7.6.1 is about fields of one connection, and these are of the
# message, or the router's own, set after the removal.
NEEDED = {
    b"close", b"upgrade", b"host", b"content-length", b"transfer-encoding", b"content-encoding", b"content-type",
    b"x-request-id", b"via", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-router-route",
}  # fmt: skip
READER = RequestReader([b"x-user-id"], 100)


class Outcome(NamedTuple):
    """What became of a caller's bytes."""

    forwarded: bytes  # all that targets got, in order
    statuses: list[int]  # of the final answers
    ended: bool


def play(parts: list[bytes]) -> Outcome:
    """Send pieces to a data plane whose target answers each whole request."""
    with Plane(YAML) as plane:
        _, wire = plane.caller()
        answered: dict[int, int] = {}

        def answer() -> None:
            for _ in range(20):
                plane.settle()
                idle = True
                for number, target in enumerate(plane.targets):
                    for message in read_requests(target.sent, forwarded=True).messages[answered.get(number, 0) :]:
                        answered[number] = answered.get(number, 0) + 1
                        idle = False
                        if not target.closing:
                            bodiless = message.start[0] == b"HEAD"
                            target.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + b"ok" * (not bodiless))
                if idle:
                    return

        for part in parts:
            if wire.closing:
                break
            wire.feed(part)
            answer()
        answer()
        statuses = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d\d\d) ", wire.sent) if status != b"100"]
        forwarded = MADE.sub(b"x-request-id: made\r\n", b"".join(target.sent for target in plane.targets))
        return Outcome(forwarded, statuses, wire.closing or wire.eof)


def verdict(outcome: Outcome) -> tuple[list[bool], bool]:
    """Return what must not depend on the pieces: which requests were carried, and whether the connection ended."""
    return [status < 400 for status in outcome.statuses], outcome.ended


def key(message: Message) -> tuple[bytes, bytes]:
    """Return what makes a request the same before and behind the router."""
    return message.start[0], message.content


streams = st.tuples(st.lists(requests(), min_size=1, max_size=3), changes).map(
    lambda drawn: damage(b"".join(drawn[0]), drawn[1])
)


def assert_same_in_pieces(data: bytes, where: list[int]) -> None:
    """Assert that the same requests are carried, refused, and sent on byte for byte."""
    whole, cut = play([data]), play(pieces(data, where))
    assert verdict(cut) == verdict(whole)
    one, other = (read_requests(outcome.forwarded, forwarded=True) for outcome in (whole, cut))
    assert one.messages == other.messages
    # What was under way when a body turned out malformed may have come further in one case than in the other.
    assert one.rest.startswith(other.rest) or other.rest.startswith(one.rest)


def assert_unambiguous(data: bytes, where: list[int]) -> None:
    """Assert that what is sent on is exactly the grammar to two other readers, and what the caller meant."""
    outcome = play(pieces(data, where))
    read = read_requests(outcome.forwarded, forwarded=True)
    assert read.off == ""
    assert [sent_on_wrongly(message) for message in read.messages] == [""] * len(read.messages)
    assert _llhttp_counts(outcome.forwarded) == len(read.messages)
    meant = read_requests(data).messages
    assert [key(message) for message in read.messages] == [key(message) for message in meant[: len(read.messages)]]
    for sent, message in zip(read.messages, meant, strict=False):
        options = {option.strip(b" \t").lower() for option in b",".join(message.values(b"connection")).split(b",")}
        assert not (options - NEEDED) & {name for name, _ in sent.fields}


@settings(MANY)
@given(streams, cuts)
@example(b"\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", list(range(40)))
def test_any_pieces_get_the_same_verdict_and_send_the_same_on(data: bytes, where: list[int]) -> None:
    """However a caller's bytes are cut, the same requests are carried, refused, and sent on byte for byte."""
    assert_same_in_pieces(data, where)


@settings(MANY)
@given(streams, cuts)
def test_nothing_ambiguous_is_sent_on(data: bytes, where: list[int]) -> None:
    """What reaches targets is exactly the grammar to a second reader, and to a third; and is what the caller meant."""
    assert_unambiguous(data, where)


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize("framing", [b"", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"])
@pytest.mark.parametrize("trap", TRAPS)
def test_each_trap(trap: bytes, framing: bytes, version: bytes) -> None:
    """Each treacherous line alone, before and behind the framing, with a request behind, whole and byte by byte."""
    body = {b"": b"", b"C": b"hello", b"T": b"5\r\nhello\r\n0\r\n\r\n"}[framing[:1]]
    for lines in (trap + framing, framing + trap):
        start = b"POST" if framing else b"GET"
        data = b"%b / HTTP/%b\r\nHost: h\r\n%b\r\n%b" % (start, version, lines, body)
        data += b"GET /behind HTTP/1.1\r\nHost: h\r\n\r\n"
        for where in ([], list(range(len(data)))):
            assert_unambiguous(data, where)
        assert_same_in_pieces(data, list(range(len(data))))


@given(requests(), changes)
def test_both_ways_to_read_a_head_agree(request: bytes, drawn: list[tuple[str, int, int]]) -> None:
    """A head that is ordinary is read with care to the same end."""
    data = damage(request, drawn)
    head = READER.ordinary(data)
    if head is not None:
        careful = READER.read(data[: head.end])
        assert isinstance(careful, RequestHead)
        for name in (
            "method",
            "path",
            "query",
            "host",
            "authority",
            "length",
            "http11",
            "keep_alive",
            "forward",
            "end",
        ):
            assert getattr(careful, name) == getattr(head, name), name
        assert careful.fields.get(b"x-user-id") == head.fields.get(b"x-user-id")


def _llhttp_counts(data: bytes) -> int:
    """Count the messages that httptools finds."""
    counted: list[int] = []

    class Count:
        def on_message_complete(self) -> None:
            counted.append(1)

    while data:
        try:
            httptools.HttpRequestParser(Count()).feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:  # what follows is HTTP again, as nothing here grants a tunnel
            data = data[upgrade.args[0] :]
        else:
            break
    return len(counted)
