"""Chunked bodies: laws under any split and any damage, against a strict reference written here."""

import re
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from router.proxy.framing import MAX_EXTENSIONS, MAX_LINE, MAX_TRAILERS, Chunked, FramingError

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
SAFE = rb"[^\x00-\x08\x0a-\x1f\x7f]*"
SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;" + SAFE + rb")?\r\n")
TRAILER = re.compile(TOKEN + rb":" + SAFE + rb"\r\n")


class Decoded(NamedTuple):
    """What a chunked body holds."""

    content: bytes
    rest: bytes


def reference(data: bytes) -> Decoded | None:
    """Decode a whole chunked body strictly (RFC 9112 7.1); None when it is not one."""
    at = 0
    content = b""
    while True:
        line = SIZE.match(data, at)
        if line is None:
            return None
        size, at = int(line[1], 16), line.end()
        if not size:
            break
        if data[at + size : at + size + 2] != b"\r\n" or len(data) < at + size + 2:
            return None
        content += data[at : at + size]
        at += size + 2
    while (line := TRAILER.match(data, at)) is not None:
        at = line.end()
    return Decoded(content, data[at + 2 :]) if data[at : at + 2] == b"\r\n" else None


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut bytes at some places."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


class Read(NamedTuple):
    """What became of a body."""

    forwarded: bytes
    content: bytes
    rest: bytes
    payload: int


def read(parts: list[bytes], *, collect: bool = False) -> Read | None:
    """Feed a body in parts; None when it is refused or not whole."""
    chunked = Chunked(collect=collect)
    out = b""
    for index, part in enumerate(parts):
        try:
            out += chunked.feed(part)
        except FramingError:
            return None
        if chunked.done:
            content = b"".join(chunked.pieces or ())
            return Read(out, content, chunked.rest + b"".join(parts[index + 1 :]), chunked.payload)
    return None


extensions = st.sampled_from([b"", b";a", b";a=b", b' ;a="x;y"', b";\xe4", b"\t;a = b"])
chunk = st.tuples(st.binary(min_size=1, max_size=40), extensions, st.sampled_from([b"%x", b"%X", b"%05x"]))
trailers = st.lists(st.sampled_from([b"A: b\r\n", b"Host: evil\r\n", b"X-y:\r\n", b"Z:  \xe4 \r\n"]), max_size=3)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Draw a valid chunked body, and its content."""
    chunks = draw(st.lists(chunk, max_size=5))
    data = b"".join(
        size % len(content) + extension + b"\r\n" + content + b"\r\n" for content, extension, size in chunks
    )
    last = draw(st.sampled_from([b"0", b"000"])) + draw(extensions) + b"\r\n"
    return data + last + b"".join(draw(trailers)) + b"\r\n", b"".join(content for content, _, _ in chunks)


cuts = st.lists(st.integers(0, 1000), max_size=12)


@given(bodies(), st.binary(max_size=20), cuts)
def test_any_valid_body_under_any_split(body: tuple[bytes, bytes], behind: bytes, where: list[int]) -> None:
    """The content and what comes behind are the same however a body is cut, with or without collecting."""
    data, content = body
    parts = split(data + behind, where)
    for collect in (False, True):
        result = read(parts, collect=collect)
        assert result is not None
        assert reference(result.forwarded) == Decoded(content, b"")
        assert result.rest == behind
        assert result.payload == len(content)
        if collect:
            assert result.content == content


@given(bodies(), cuts)
def test_what_is_forwarded_has_no_extensions_and_no_trailers(body: tuple[bytes, bytes], where: list[int]) -> None:
    """Only sizes and data travel on (RFC 9112 7.1.1, 7.1.2)."""
    result = read(split(body[0], where))
    assert result is not None
    assert b";" not in re.sub(rb"(?s)([0-9A-Fa-f]+)\r\n", b"", result.forwarded) or b";" in body[1]
    assert result.forwarded.endswith(b"0\r\n\r\n")
    assert b"Host: evil" not in result.forwarded.replace(body[1], b"")


@given(bodies(), st.data(), cuts)
def test_any_damage_is_refused_or_read_as_the_reference_reads_it(
    body: tuple[bytes, bytes], data: st.DataObject, where: list[int]
) -> None:
    """A body with any bytes changed, added or lost is refused, or means what a strict reader makes of it."""
    damaged = bytearray(body[0])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(0, len(damaged) - 1)))
        kind = data.draw(st.sampled_from(["change", "add", "lose"]))
        byte = data.draw(st.sampled_from(b"\r\n\x00 ;:0123456789abcfxg\t\xff-+") | st.integers(0, 255))
        if kind == "change" and damaged:
            damaged[at] = byte
        elif kind == "add":
            damaged.insert(at, byte)
        elif damaged:
            del damaged[at]
    result = read(split(bytes(damaged), where))
    expected = reference(bytes(damaged))
    if result is None:
        # Refused, or waiting for bytes that do not come: never so where the reference has a whole body.
        assert expected is None
    else:
        assert expected is not None
        assert reference(result.forwarded) == Decoded(expected.content, b"")
        assert result.rest == expected.rest


@given(st.binary(max_size=200), cuts)
@example(b"5\r\nhello\r\n0\r\n\r\n", [])
@example(b"0\r\n\r\n0\r\n\r\n", [5])
def test_no_bytes_raise_anything_else(data: bytes, where: list[int]) -> None:
    """Arbitrary bytes are a body, the beginning of one, or a FramingError."""
    result = read(split(data, where))
    expected = reference(data)
    assert (result is None) == (expected is None)


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "in bytes"])
@pytest.mark.parametrize(
    "body",
    [
        b"1;" + b"a" * (MAX_LINE + 1) + b"\r\nx\r\n0\r\n\r\n",
        (b"1;" + b"a" * 4000 + b"\r\nx\r\n") * (MAX_EXTENSIONS // 4000 + 1) + b"0\r\n\r\n",
        b"0\r\nA: " + b"b" * (MAX_LINE + 1) + b"\r\n\r\n",
        b"0\r\n" + b"A: bbbb\r\n" * (MAX_TRAILERS // 7 + 1) + b"\r\n",
        b"1" * 17 + b"\r\n",
    ],
    ids=["extension", "extensions", "trailer", "trailers", "size"],
)
def test_lines_are_bounded(body: bytes, *, whole: bool) -> None:
    """A line or a sum of lines beyond its bound is refused, whichever way it arrives (RFC 9112 7.1.1)."""
    parts = [body] if whole else [body[at : at + 1] for at in range(len(body))]
    assert read(parts) is None
    chunked = Chunked()
    with pytest.raises(FramingError):
        feed(chunked, parts)


def feed(chunked: Chunked, parts: list[bytes]) -> None:
    """Feed parts one after another."""
    for part in parts:
        chunked.feed(part)


def test_an_endless_line_is_refused_before_it_fills_memory() -> None:
    """What is held of an incomplete line is bounded (DESIGN 9.6)."""
    for start in (b"1;", b"0\r\nA: "):
        chunked = Chunked()
        chunked.feed(start)
        with pytest.raises(FramingError):
            feed(chunked, [b"a" * 1000] * 100)


def test_nothing_is_held_back_but_an_incomplete_line() -> None:
    """Data passes as it comes; only a size line or a trailer waits for its end (hardening 2.2, last row)."""
    chunked = Chunked()
    assert chunked.feed(b"5") == b""
    assert chunked.feed(b"\r") == b""
    assert chunked.feed(b"\nhe") == b"5\r\nhe"
    assert chunked.feed(b"llo") == b"llo"
    assert chunked.feed(b"\r") == b""
    end = chunked.feed(b"\n0\r\n") + chunked.feed(b"A: b\r\n")
    assert end.startswith(b"\r\n")
    assert not chunked.done
    assert end + chunked.feed(b"\r\nGET") == b"\r\n0\r\n\r\n"
    assert (chunked.done, chunked.rest, chunked.payload) == (True, b"GET", 5)
