"""Response heads as a law: nothing raises, and what is passed on is framed as the caller needs it."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from router.proxy.response_head import CHUNKED, KNOWN_BYTES, KNOWN_HEADS, UNTIL_CLOSE, ResponseHead, ResponseReader
from tests.proxy.test_heads import ends, field_lines, names, separators, values

READER = ResponseReader([b"x-request-id"])
PLAIN = ResponseReader()
HOP_BY_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade", b"transfer-encoding"}

status_lines = st.sampled_from(
    [
        b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK", b"HTTP/1.1 404 Not Found", b"HTTP/1.1 204 No Content", b"HTTP/1.1 304",
        b"HTTP/1.1 103 Early Hints", b"HTTP/1.0 200 OK", b"HTTP/1.1 200", b"HTTP/1.1 200 ", b"HTTP/1.1 503 \xe4",
        b"HTTP/1.1 600 x", b"HTTP/2 200", b"HTTP/1.1 2000", b"HTTP/1.1  200", b"", b"HTTP/1.1 200 a\x01b",
        b"HTTP/1.1 206 P",
    ]
)  # fmt: skip


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """Draw something like a response head, whole."""
    lines = draw(st.lists(st.tuples(names, separators, values, ends), max_size=6))
    data = draw(status_lines) + b"\r\n" + b"".join(b"".join(line) for line in lines) + b"\r\n"
    return data[: data.find(b"\r\n\r\n") + 4] if b"\r\n\r\n" in data else data + b"\r\n"


def assert_forwardable(head: ResponseHead, hidden: set[bytes]) -> None:
    """Assert what holds for the head of every answer that is passed on."""
    assert head.forward.endswith(b"\r\n")
    assert not head.forward.endswith(b"\r\n\r\n")
    assert re.search(rb"(?<!\r)\n|\r(?!\n)|\0", head.forward) is None
    assert head.forward.startswith(b"HTTP/1.1 %d" % head.status)
    fields = field_lines(head.forward)
    found = [name for name, _ in fields]
    assert not (HOP_BY_HOP | hidden) & set(found)
    assert not any(name.startswith(b"x-router-") for name in found)
    assert found.count(b"content-length") <= 1
    if head.length in {CHUNKED, UNTIL_CLOSE}:
        assert b"content-length" not in found
    if head.status < 200 or head.status == 204:
        assert b"content-length" not in found
        assert head.length == 0


@given(heads(), st.sampled_from([b"GET", b"HEAD", b"POST"]))
@example(b"HTTP/1.1 200 OK\r\nX-Request-Id: r\r\nContent-Length: 2\r\n\r\n", b"GET")
@example(b"HTTP/1.1 200 OK\r\nConnection: x-hop\r\nX-Hop: 1\r\nContent-Length: 2\r\n\r\n", b"GET")
def test_any_head_is_passed_on_or_distrusted(raw: bytes, method: bytes) -> None:
    """Whatever the bytes, the reader returns a head that may be passed on or says why not, and never raises."""
    for reader, hidden in ((READER, {b"x-request-id"}), (PLAIN, set())):
        result = reader.read(raw, method)
        if isinstance(result, str):
            assert result
        else:
            assert_forwardable(result, hidden)
            assert result.end == len(raw)
            if method == b"HEAD":
                assert result.length == 0


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_raising(data: bytes) -> None:
    """Arbitrary bytes raise nothing."""
    READER.read(data + b"\r\n\r\n", b"GET")
    READER.ordinary(data)


@given(heads(), st.binary(max_size=20))
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n", b"ok")
@example(b"HTTP/1.1 200 OK\r\nX-Request-Id: r\r\nContent-Length: 2\r\n\r\n", b"ok")
@example(b"HTTP/1.1 205 R\r\nContent-Length: 0\r\n\r\n", b"")
def test_the_quick_way_agrees_with_the_careful_one(raw: bytes, behind: bytes) -> None:
    """What is taken for ordinary is read just as ``read`` reads it."""
    for reader in (READER, PLAIN):
        quick = reader.ordinary(raw + behind)
        if quick is not None:
            assert quick == reader.read(raw, b"GET")


@pytest.mark.parametrize(
    ("raw", "method", "length"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", b"GET", 7),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", b"HEAD", 0),
        (b"HTTP/1.1 304 OK\r\nContent-Length: 7\r\n\r\n", b"GET", 0),
        (b"HTTP/1.1 204 OK\r\n\r\n", b"GET", 0),
        (b"HTTP/1.1 103 OK\r\n\r\n", b"GET", 0),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", b"GET", CHUNKED),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"HEAD", 0),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"GET", UNTIL_CLOSE),
        (b"HTTP/1.0 200 OK\r\n\r\n", b"POST", UNTIL_CLOSE),
    ],
)
def test_length_of_a_body(raw: bytes, method: bytes, length: int) -> None:
    """Where a response ends follows the seven rules in order (RFC 9112 6.3)."""
    head = READER.read(raw, method)
    assert isinstance(head, ResponseHead)
    assert head.length == length


def test_an_answer_that_was_seen_before_is_read_the_same() -> None:
    """A head that is known is read as it was the first time, whatever follows it; few are kept, and no long ones."""
    reader = ResponseReader()
    raw = b"HTTP/1.1 200 OK\r\nDate: now\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n"
    first = reader.ordinary(raw + b"ok")
    assert first == reader.ordinary(raw + b"no") == PLAIN.ordinary(raw)
    assert reader.ordinary(raw[:-1]) is None
    for number in range(3 * KNOWN_HEADS):
        reader.ordinary(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % number)
        assert len(reader._known) <= KNOWN_HEADS
    long = b"HTTP/1.1 200 OK\r\nX: %b\r\nContent-Length: 2\r\n\r\n" % (b"x" * KNOWN_BYTES)
    assert reader.ordinary(long) is not None
    assert long not in reader._known
