"""Request heads as a law: nothing raises, what is accepted can be forwarded, and both ways of reading agree."""

import contextlib
import re

import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from router import counters
from router.proxy.careful import judge_start
from router.proxy.grammar import connection_options
from router.proxy.heads import RequestReader
from router.proxy.request_head import Refusal, RequestHead

READER = RequestReader([b"x-user-id", b"cookie"], 50)
NARROW = RequestReader([b"x-user-id"], 2)
HOP_BY_HOP = {
    b"connection",
    b"keep-alive",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"upgrade",
    b"http2-settings",
    b"expect",
    b"x-forwarded-for",
    b"x-forwarded-proto",
    b"x-forwarded-host",
}

methods = st.sampled_from([b"GET", b"POST", b"HEAD", b"OPTIONS", b"PUT", b"get", b"FOO", b"CONNECT", b"G(T", b""])
targets = st.sampled_from(
    [
        b"/",
        b"/a?b=c",
        b"/a?",
        b"*",
        b"http://a/b",
        b"http://a",
        b"https://u@a/",
        b"/a#b",
        b"a",
        b"/\xe4",
        b"/%zz?#",
        b"//a",
    ]
) | st.binary(max_size=8).map(lambda data: b"/" + data)
versions = st.sampled_from([b"HTTP/1.1"] * 6 + [b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.2", b"http/1.1", b"HTTP/1.1 "])
names = st.sampled_from(
    [
        b"Host", b"host", b"Content-Length", b"Transfer-Encoding", b"Connection", b"X-User-Id", b"X_User_Id", b"Cookie",
        b"x-router-route", b"X-Request-Id", b"Expect", b"Upgrade", b"TE", b"Keep-Alive", b"Via", b"X-Forwarded-For",
        b"Accept", b"X-Hop", b"Content-Encoding", b"Idempotency-Key", b"Trailer", b"X Y", b"X ", b"", b"X\xe4",
    ]
)  # fmt: skip
values = st.sampled_from(
    [
        b"h", b"h:80", b"5", b"0", b"chunked", b"gzip, chunked", b"close", b"keep-alive", b"X-Hop",
        b"keep-alive, x-hop",
        b"u-1", b"a=1; b=2", b"100-continue", b"websocket", b"a_b", b"", b" ", b"a\tb", b"a\x00", b"a\x7f", b"a\rb",
        b"a\nb", b"\xe4", b"5, 5", b"+5", b"99999999999999999999", b"[::1]", b"u@h",
        b"content-length, host, x-request-id", b"upgrade", b"upgrade, x-hop", b"websocket, h2c", b"HTTP/2.0",
    ]
) | st.binary(max_size=6)  # fmt: skip
separators = st.sampled_from([b": "] * 8 + [b":", b" : ", b":\t", b":\r\n ", b""])
ends = st.sampled_from([b"\r\n"] * 12 + [b"\n", b"\r", b"\r\r\n"])


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """Draw something like a head, whole."""
    start = draw(methods) + b" " + draw(targets) + b" " + draw(versions) + b"\r\n"
    lines = draw(st.lists(st.tuples(names, separators, values, ends), max_size=8))
    if draw(st.booleans()):
        lines.insert(0, (b"Host", b": ", b"h.example:80", b"\r\n"))
    data = start + b"".join(name + separator + value + end for name, separator, value, end in lines)
    end = (data + b"\r\n").find(b"\r\n\r\n")
    return (data + b"\r\n")[: end + 4]


def field_lines(forward: bytes) -> list[tuple[bytes, bytes]]:
    """Split the lines of a forwarded head into names and values."""
    lines = forward.split(b"\r\n")[1:]
    assert lines.pop() == b""
    parts = [line.partition(b":") for line in lines]
    assert all(colon for _, colon, _ in parts)
    return [(name.lower(), value.strip(b" \t")) for name, _, value in parts]


def assert_asks(head: RequestHead, fields: list[tuple[bytes, bytes]]) -> None:
    """Assert that nothing hop-by-hop travels on but what asks for another protocol, and that only where it may."""
    hop = [(name, value) for name, value in fields if name in HOP_BY_HOP]
    if head.upgrade:
        (connection, option), (upgrade, protocols) = hop
        assert (connection, option, upgrade) == (b"connection", b"Upgrade", b"upgrade")
        assert {protocol.lower() for protocol in protocols.split(b", ")} == head.upgrade
        assert head.http11
        assert head.length == 0
        assert not {protocol.partition(b"/")[0] for protocol in head.upgrade} & {b"h2c", b"http"}
    else:
        assert hop == []


def assert_forwardable(head: RequestHead) -> None:
    """Assert what holds for the head of every request that is sent on."""
    assert head.forward.endswith(b"\r\n")
    assert not head.forward.endswith(b"\r\n\r\n")
    assert b"\0" not in head.forward
    assert re.search(rb"(?<!\r)\n|\r(?!\n)", head.forward) is None
    assert head.forward.startswith(head.method + b" ")
    assert head.forward.split(b"\r\n")[0].endswith(b" HTTP/1.1")
    fields = field_lines(head.forward)
    found = [name for name, _ in fields]
    assert found.count(b"host") == (1 if head.authority else 0)
    assert_asks(head, fields)
    assert not any(name.startswith(b"x-router-") or b"_" in name for name in found)
    lengths = [value for name, value in fields if name == b"content-length"]
    codings = [value.lower() for name, value in fields if name == b"transfer-encoding"]
    if head.length == -1:
        assert (lengths, codings) == ([], [b"chunked"])
    else:
        assert codings == []
        assert [int(value) for value in lengths] in ([head.length], [] if head.length == 0 else [head.length])
    assert found.count(b"x-request-id") == (0 if head.request_id is None else 1)
    # Another parser, whole and with a last line, agrees that this is one request.
    parser = httptools.HttpRequestParser(object())
    with contextlib.suppress(httptools.HttpParserUpgrade):
        parser.feed_data(head.forward + b"" if head.authority else head.forward)


@given(heads())
@example(b"GET / HTTP/1.1\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: h\r\nX_Y: z\r\n\r\n")
@example(b"\r\n\r\n")
def test_any_head_is_carried_or_refused(raw: bytes) -> None:
    """Whatever the bytes, the reader returns a head that may be forwarded or a counted refusal, and never raises."""
    result = READER.read(raw)
    if isinstance(result, Refusal):
        assert result.status in {400, 417, 431, 501, 505}
        assert result.cause in counters.REFUSALS
        assert result.detail
    else:
        assert_forwardable(result)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_raising(data: bytes) -> None:
    """Arbitrary bytes raise nothing in any of the three readers."""
    READER.read(data + b"\r\n\r\n")
    READER.ordinary(data)
    judge_start(data)


@pytest.mark.parametrize("reader", [READER, NARROW], ids=["two fields", "one field and few lines"])
@given(heads(), st.binary(max_size=30))
@example(b"GET / HTTP/1.1\r\n\r\n", b"")
@example(b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\nC: d\r\n\r\n", b"")
@example(b"GET /a?b HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\nX-User-Id: u \r\n\r\n", b"x")
@example(b"GET / HTTP/1.1\r\nHost: H\r\nX-User-Id:\r\nContent-Length: 05\r\n\r\n", b"")
def test_the_quick_way_agrees_with_the_careful_one(reader: RequestReader, raw: bytes, behind: bytes) -> None:
    """What is taken for ordinary is read just as ``read`` reads it; only white lies differ: hop-by-hop lines cut."""
    quick = reader.ordinary(raw + behind, "i", "c")
    if quick is None:
        return
    assert quick.end == len(raw)
    careful = reader.read(raw, "i", "c")
    assert isinstance(careful, RequestHead)
    assert_forwardable(quick)
    for name in ("id", "method", "path", "query", "host", "client", "authority", "length", "http11", "keep_alive"):
        assert getattr(quick, name) == getattr(careful, name), name
    for name in ("expects", "request_id", "end", "body"):
        assert getattr(quick, name) == getattr(careful, name), name
    assert quick.forward == careful.forward
    for field in (b"x-user-id", b"cookie"):
        assert quick.fields.get(field) == careful.fields.get(field), field
    # Of the proxy's own fields none is needed: their presence would not be ordinary.
    assert careful.fields.keys() <= {
        b"x-user-id",
        b"cookie",
        b"host",
        b"content-length",
        b"connection",
        b"x-request-id",
    }


@given(heads(), st.integers(0, 400))
def test_the_beginning_of_an_acceptable_head_is_not_refused(raw: bytes, cut: int) -> None:
    """What can still become an acceptable request is not refused before it is whole."""
    if isinstance(READER.read(raw), RequestHead):
        part = raw[: min(cut, len(raw) - 1)]
        if part.strip(b"\r\n"):
            assert judge_start(part) is None


def read(*lines: bytes, start: bytes = b"GET / HTTP/1.1") -> RequestHead:
    """Read a head that must be accepted, with Host."""
    head = READER.read(b"\r\n".join([start, b"Host: h", *lines, b"", b""]))
    assert isinstance(head, RequestHead)
    return head


def test_fields_for_routing() -> None:
    """Routing gets the first value of a field, all of ``cookie``, and nothing it did not name."""
    head = read(b"X-User-Id:  u-1\t", b"x-user-id: u-2", b"Cookie: a=1", b"cookie: b=2", b"Other: x")
    assert head.fields[b"x-user-id"] == b"u-1"
    assert head.fields[b"cookie"] == b"a=1; b=2"
    assert b"other" not in head.fields


def test_a_route_that_reads_one_of_the_proxys_own_fields() -> None:
    """A field that the proxy reads itself may be one that a route needs: all its requests are read with care."""
    reader = RequestReader([b"x-request-id", b"host"], 50)
    raw = b"GET / HTTP/1.1\r\nHost: h\r\nX-Request-Id: r\r\n\r\n"
    assert reader.ordinary(raw) is None
    head = reader.read(raw)
    assert isinstance(head, RequestHead)
    assert (head.fields[b"host"], head.fields[b"x-request-id"]) == (b"h", b"r")


def test_host_is_compared_in_lower_case_without_port() -> None:
    """Routes see the host as names are compared: without case and port (RFC 9110 4.2.3)."""
    head = READER.read(b"GET / HTTP/1.1\r\nHost: API.Example:8080\r\n\r\n")
    assert isinstance(head, RequestHead)
    assert (head.host, head.authority) == (b"api.example", b"API.Example:8080")
    quick = READER.ordinary(b"GET / HTTP/1.1\r\nHost: API.Example:8080\r\n\r\n")
    assert quick is not None
    assert quick.host == b"api.example"


@pytest.mark.parametrize("count", [50, 51])
@pytest.mark.parametrize("line", [b"a:", b"Accept-Something: value"])
def test_both_ways_count_fields(count: int, line: bytes) -> None:
    """The limit on fields is the same in both ways of reading, for the shortest lines too (RFC 6585 5)."""
    raw = b"GET / HTTP/1.1\r\nHost: h\r\n" + (line + b"\r\n") * (count - 1) + b"\r\n"
    result = READER.read(raw)
    if count <= 50:
        assert isinstance(result, RequestHead)
        assert READER.ordinary(raw) is not None
    else:
        assert isinstance(result, Refusal)
        assert result.cause == "too_many_headers"
        assert READER.ordinary(raw) is None


@pytest.mark.parametrize(
    ("version", "connection", "keep"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"close", False),
        (b"1.1", b"Keep-Alive", True),
        (b"1.1", b"x, CLOSE ,y", False),
        (b"1.1", b"keep-alive, close", False),
        (b"1.0", b"", False),
        (b"1.0", b"Keep-Alive", True),
        (b"1.0", b"close", False),
    ],
)
def test_whether_a_connection_persists(version: bytes, connection: bytes, *, keep: bool) -> None:
    """Persistence follows version and options (RFC 9112 9.3)."""
    lines = [b"Connection: " + connection] if connection else []
    assert read(*lines, start=b"GET / HTTP/" + version).keep_alive is keep


@given(st.lists(st.sampled_from([b"close", b" Keep-Alive ", b"", b"\tX", b"a b"]), max_size=6))
def test_connection_options_are_a_list(parts: list[bytes]) -> None:
    """Empty elements of a list are ignored, and names have no case (RFC 9110 5.6.1)."""
    expected = tuple(part.strip().lower() for part in parts if part.strip())
    assert connection_options(b",".join(parts)) == expected


def test_a_name_with_an_asterisk_is_that_name() -> None:
    """A header name may contain an asterisk, and means itself, not a wildcard (RFC 9110 5.6.2)."""
    reader = RequestReader([b"x-a*"], 50)
    raw = b"GET / HTTP/1.1\r\nHost: h\r\nX-Abc: wrong\r\nX-A*: right\r\n\r\n"
    head = reader.read(raw)
    assert isinstance(head, RequestHead)
    assert head.fields.get(b"x-a*") == b"right"
    assert b"x-abc" not in head.fields
