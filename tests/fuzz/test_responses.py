"""Answers of any bytes, in any pieces: one verdict, and nothing that is cut or ambiguous looks whole to the caller."""

from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from router.proxy.response_head import ResponseHead, ResponseReader
from tests.fuzz.drawing import changes, cuts, damage, pieces, responses
from tests.fuzz.reading import Message, read_responses
from tests.proxy.memory import Plane

pytestmark = pytest.mark.fuzz
MANY = settings(max_examples=2 * settings().max_examples, suppress_health_check=[HealthCheck.too_slow])

READER = ResponseReader([b"x-request-id"])
PROBLEM = b"application/problem+json"
asked = st.tuples(
    st.sampled_from([b"GET", b"GET", b"HEAD", b"POST"]), st.sampled_from([b"HTTP/1.1"] * 4 + [b"HTTP/1.0"])
)


class Outcome(NamedTuple):
    """What a caller got: ``final`` only if it is a whole answer of the target's."""

    interim: list[bytes]
    final: Message | None
    off: str  # what is not exactly the grammar
    behind: bytes
    aborted: bool


def play(parts: list[bytes], method: bytes, version: bytes, *, ended: bool) -> Outcome:
    """Ask once, have the target answer in pieces and then end the connection or fall silent, and read what came."""
    with Plane() as plane:
        _, wire = plane.caller()
        target = plane.ask(wire, method + b" / " + version + b"\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
        for part in parts:
            if target.closing:
                break
            target.feed(part)
            plane.settle(2)
        if ended:
            target.end()
        plane.settle()
        closed = (wire.closing and not wire.aborted) or wire.eof
        read = read_responses(wire.sent, [method], ended=closed)
        interim = [message.start[1] for message in read.messages if message.start[1] < b"200"]
        finals = [message for message in read.messages if message.start[1] >= b"200"]
        final = finals[0] if finals and finals[0].values(b"content-type") != [PROBLEM] else None
        return Outcome(interim, final, read.off, read.rest if finals else b"", wire.aborted)


def verdict(outcome: Outcome) -> tuple[list[bytes], bytes, bytes] | None:
    """Return what must not depend on the pieces."""
    if outcome.final is None:
        return None
    return outcome.interim, outcome.final.start[1], outcome.final.content


answers = st.tuples(st.lists(responses(), min_size=1, max_size=2), changes).map(
    lambda drawn: damage(b"".join(drawn[0]), drawn[1])
)


@settings(MANY)
@given(answers, cuts, asked, st.booleans())
def test_any_pieces_get_the_same_verdict(data: bytes, where: list[int], ask: tuple[bytes, bytes], ended: bool) -> None:  # noqa: FBT001  # drawn
    """However a target's bytes are cut, the caller gets the same whole answer, or none that looks whole."""
    assert verdict(play(pieces(data, where), *ask, ended=ended)) == verdict(play([data], *ask, ended=ended))


@settings(MANY)
@given(answers, cuts, asked, st.booleans())
@example(b"HTTP/1.1 200 OK\r\n\r\nuntil", [], (b"GET", b"HTTP/1.0"), False)
def test_what_looks_whole_is_whole(data: bytes, where: list[int], ask: tuple[bytes, bytes], ended: bool) -> None:  # noqa: FBT001  # drawn
    """What a caller takes for a whole answer is one to a second reader of the target's bytes, with the same content."""
    outcome = play(pieces(data, where), *ask, ended=ended)
    assert outcome.off == ""
    assert outcome.behind == b""
    if outcome.final is not None:
        meant = read_responses(data, [ask[0]], ended=ended).messages
        assert meant
        assert (meant[-1].start[1], meant[-1].content) == (outcome.final.start[1], outcome.final.content)


@given(responses(), changes)
def test_both_ways_to_read_a_head_agree(answer: bytes, drawn: list[tuple[str, int, int]]) -> None:
    """A head that is ordinary is read with care to the same end."""
    data = damage(answer, drawn)
    head = READER.ordinary(data)
    if head is not None:
        careful = READER.read(data[: head.end], b"GET")
        assert isinstance(careful, ResponseHead)
        assert careful == head
