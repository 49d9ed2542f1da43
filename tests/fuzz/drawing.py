"""Messages to draw: right ones, ones with a part of the grammar exchanged for a treacherous one, and damaged bytes.

Responsible for: what the fuzzing tests send.
Does not know: what must become of it.
"""

from itertools import pairwise

from hypothesis import strategies as st

METHODS = [b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"PATCH", b"OPTIONS"]
TARGETS = [b"/", b"/a?b=c", b"/a/../b", b"//a", b"/%zz?", b"http://x/y?z", b"http://x", b"*", b"/a#b", b"/\xe4", b"a"]
NAMES = [
    b"Host", b"Content-Length", b"Transfer-Encoding", b"Connection", b"X-User-Id", b"X_User_Id", b"Cookie", b"Expect",
    b"x-router-route", b"X-Request-Id", b"Upgrade", b"TE", b"Keep-Alive", b"Via", b"X-Forwarded-For", b"Trailer",
    b"X-Forwarded-Proto", b"Accept", b"X-Hop", b"Content-Encoding", b"Idempotency-Key", b"Proxy-Connection", b"X Y",
    b"", b"X\xe4", b"Content_Length", b"Transfer_Encoding", b"Content-Length\x00", b"Host ",
]  # fmt: skip
VALUES = [
    b"h", b"h:80", b"5", b"0", b"05", b"5, 5", b"+5", b"\xd9\xa5", b"18446744073709551621", b"chunked", b"CHUNKED",
    b"chunked, chunked", b"gzip, chunked", b"chunked, identity", b"\x0bchunked", b"close", b"keep-alive",
    b"keep-alive, x-hop", b"upgrade", b"websocket", b"h2c", b"100-continue", b"content-length, host, via", b"u-1", b"",
    b" ", b"a\tb", b"a\x00b", b"a\x7f", b"a\rb", b"a\nb", b"\xe4", b"[::1]", b"u@h", b"a\r\n b", b"1.2.3.4, 5.6.7.8",
]  # fmt: skip
# One at a time these make a message that servers read differently, or that must not reach a target as it is.
TRAPS = [
    b"Host: evil\r\n", b"host: h\r\n", b"Host : evil\r\n", b"Content-Length: 5\r\n", b"content-length: 0\r\n",
    b"Content-Length: +5\r\n", b"Content-Length: 5, 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Content-Length:5 \r\n",
    b"Transfer-Encoding: \x0bchunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n", b"Transfer-Encoding : chunked\r\n",
    b"Transfer-Encoding:\r\n chunked\r\n", b"X_User_Id: u-2\r\n", b"Content_Length: 5\r\n", b"X-Router-Arm: x\r\n",
    b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"Upgrade: h2c\r\n", b"Connection: x-hop\r\nX-Hop: 1\r\n",
    b"Connection: content-length, host, x-forwarded-for\r\n", b"TE: trailers\r\n", b"Expect: 100-continue\r\n",
    b"X-Forwarded-For: 6.6.6.6\r\n", b"X-Forwarded-Proto: https\r\n", b"X-Request-Id: a\r\nX-Request-Id: b\r\n",
    b"X: a\nY: b\r\n", b"X: a\rY: b\r\n", b"X: a\r\n b\r\n", b"X\r\n", b": x\r\n", b"X: \x00\r\n", b"X: \x7f\r\n",
    b"\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n", b"Keep-Alive: timeout=5\r\n", b"Proxy-Connection: close\r\n",
]  # fmt: skip
SIZES = [b"5", b"05", b"5 ", b"5;a=b", b"5 ;a", b"0x5", b"+5", b"-5", b"5\r", b"6", b"4", b"", b"ffffffffffffffff5"]
STATUSES = [b"200 OK", b"204 No Content", b"304 Not Modified", b"503 Busy", b"404", b"404 ", b"103 Early Hints"]
ODD_STATUSES = [b"100 Continue", b"101 Switching", b"2000 OK", b"600 x", b"20 OK", b"200 O\x01K", b"abc", b""]

VERSIONS = [b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 "]
PLAIN = [
    b"X-User-Id: u-1\r\n",
    b"Accept:*/*\r\n",
    b"Connection: keep-alive\r\n",
    b"Connection: close\r\n",
    b"X-Request-Id: r\r\n",
]

rare = st.sampled_from([False] * 14 + [True])


@st.composite
def _lines(draw: st.DrawFn) -> bytes:
    """Draw some field lines: good ones, and half of the time a treacherous one or one put together at random."""
    plain = b"".join(draw(st.lists(st.sampled_from(PLAIN), max_size=2)))
    match draw(st.integers(0, 7)):
        case 0 | 1 | 2:
            return plain + draw(st.sampled_from(TRAPS))
        case 3:
            separators = st.sampled_from([b": "] * 12 + [b":", b" : ", b":\t", b""])
            ends = st.sampled_from([b"\r\n"] * 20 + [b"\n", b"\r", b"\r\r\n"])
            return plain + b"".join(draw(st.tuples(st.sampled_from(NAMES), separators, st.sampled_from(VALUES), ends)))
    return plain


@st.composite
def _chunked(draw: st.DrawFn) -> bytes:
    """Draw a chunked body of words of five bytes; now and then with a size, an end or a trailer that is not right."""
    parts = []
    for _ in range(draw(st.integers(0, 3))):
        size = draw(st.sampled_from(SIZES)) if draw(rare) else draw(st.sampled_from([b"5", b"5;x=y", b"00005"]))
        parts += [size, b"\r\n", b"hello", draw(st.sampled_from([b"\r\n"] * 30 + [b"\n", b"", b"\r\n\r\n"]))]
    trailer = draw(st.sampled_from([b""] * 9 + [b"A: b\r\n", b"Host: evil\r\n"] * 3 + [b"A b\r\n", b"A: b\n"]))
    return b"".join(
        (*parts, draw(st.sampled_from([b"0"] * 12 + [b"00", b"0;x"] * 3 + [b"", b"0 "])), b"\r\n", trailer, b"\r\n")
    )


@st.composite
def _framed(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Draw the field line that frames a body, and the body."""
    match draw(st.sampled_from(["none", "length", "chunks"] * 4 + ["both"])):
        case "length":
            body = draw(st.sampled_from([b"", b"hello", b"0\r\n\r\n", b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"]))
            return b"Content-Length: %d\r\n" % len(body), body
        case "chunks":
            return b"Transfer-Encoding: chunked\r\n", draw(_chunked())
        case "both":
            return b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", draw(_chunked())
    return b"", b""


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Draw one request, nearly right."""
    odd = draw(rare)
    method = draw(st.sampled_from([*METHODS, b"CONNECT", b"get", b"G(T", b""] if odd else METHODS))
    target = draw(st.sampled_from(TARGETS if draw(rare) else TARGETS[:4]))
    version = draw(st.sampled_from(VERSIONS if draw(rare) else [b"HTTP/1.1"] * 9 + [b"HTTP/1.0"]))
    framing, body = draw(_framed())
    host = b"" if draw(rare) else draw(st.sampled_from([b"Host: h\r\n", b"host:h:80\r\n", b"Host: a.b \r\n"]))
    more = draw(_lines())
    parts = draw(st.permutations([host, framing, more]))
    before = draw(st.sampled_from([b""] * 9 + [b"\r\n", b"\r\n\r\n"]))
    return b"%b%b %b %b\r\n%b\r\n%b" % (before, method, target, version, b"".join(parts), body)


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    """Draw one answer, nearly right, with the interim ones before it."""
    status = draw(st.sampled_from(ODD_STATUSES if draw(rare) else STATUSES))
    version = draw(st.sampled_from(VERSIONS if draw(rare) else [b"HTTP/1.1"] * 9 + [b"HTTP/1.0"]))
    framing, body = draw(_framed())
    if not framing and draw(st.booleans()):
        body = b"until the end"
    parts = draw(st.permutations([framing, draw(_lines())]))
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n" * draw(st.sampled_from([0] * 6 + [1, 2, 17]))
    return b"%b%b %b\r\n%b\r\n%b" % (interim, version, status, b"".join(parts), body)


changes: st.SearchStrategy[list[tuple[str, int, int]]] = st.lists(
    st.tuples(
        st.sampled_from(["change", "add", "lose", "cut", "twice", "swap"]),
        st.integers(0, 400),
        st.sampled_from(b"\r\n\x00 :;,0159afxHC\t\xff_-#"),
    ),
    max_size=2,
) | st.just([])
cuts = st.one_of(
    st.lists(st.integers(0, 600), max_size=12),
    st.integers(1, 7).map(lambda step: list(range(0, 1200, step))),  # in pieces of equal size, down to single bytes
)


def damage(data: bytes, drawn: list[tuple[str, int, int]]) -> bytes:
    """Change bytes: one becomes another, comes in or goes; the rest goes; a piece comes twice; two change places."""
    changed = bytearray(data)
    for kind, where, byte in drawn:
        at = where % (len(changed) + 1)
        match kind:
            case "add":
                changed.insert(at, byte)
            case "cut":
                del changed[at:]
            case "twice":
                changed[at:at] = changed[at : at + byte % 16]
            case "swap" if at + 1 < len(changed):
                changed[at], changed[at + 1] = changed[at + 1], changed[at]
            case "change" if at < len(changed):
                changed[at] = byte
            case "lose" if at < len(changed):
                del changed[at]
    return bytes(changed)


def pieces(data: bytes, drawn: list[int]) -> list[bytes]:
    """Cut bytes at some places."""
    places = sorted({0, len(data), *(cut for cut in drawn if cut < len(data))})
    return [data[start:end] for start, end in pairwise(places)]
