"""Requests that no two servers read alike: every one is refused before a byte of it reaches a target.

Each test is named after a row of the hardening table or a trap of the request parser. All end in the same promise:
a problem document, the connection closed, nothing behind it answered, nothing forwarded, the cause counted.
"""

import pytest

from tests.harness import Proxy, Target, status_of
from tests.hostile.wire import SMUGGLED, assert_refused, assert_untouched, head, problem

TRANSFER_ENCODINGS = [
    pytest.param(lines, id=name)
    for name, lines in {
        "gzip": [b"Transfer-Encoding: gzip"],
        "gzip, chunked": [b"Transfer-Encoding: gzip, chunked"],
        "chunked, gzip": [b"Transfer-Encoding: chunked, gzip"],
        "chunked, identity": [b"Transfer-Encoding: chunked, identity"],
        "identity": [b"Transfer-Encoding: identity"],
        "identity, chunked": [b"Transfer-Encoding: identity, chunked"],
        "chunked, chunked": [b"Transfer-Encoding: chunked, chunked"],
        "chunked twice": [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
        "chunked then gzip": [b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip"],
        "gzip then chunked": [b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"],
        "identity then chunked": [b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked"],
        "xchunked": [b"Transfer-Encoding: xchunked"],
        "chunkedx": [b"Transfer-Encoding: chunkedx"],
        "parameter": [b"Transfer-Encoding: chunked;q=1"],
        "parameter with space": [b"Transfer-Encoding: chunked ; foo=bar"],
        "empty": [b"Transfer-Encoding: "],
        "empty then chunked": [b"Transfer-Encoding:", b"Transfer-Encoding: chunked"],
        "leading comma": [b"Transfer-Encoding: ,chunked"],
        "trailing comma": [b"Transfer-Encoding: chunked,"],
        "only a comma": [b"Transfer-Encoding: ,"],
        "vertical tab before": [b"Transfer-Encoding: \x0bchunked"],
        "vertical tab after": [b"Transfer-Encoding: chunked\x0b"],
        "form feed": [b"Transfer-Encoding: \x0cchunked"],
        "no-break space": [b"Transfer-Encoding: \xa0chunked"],
        "no-break space after": [b"Transfer-Encoding: chunked\xa0"],
        "quoted": [b'Transfer-Encoding: "chunked"'],
        "single quoted": [b"Transfer-Encoding: 'chunked'"],
        "two words": [b"Transfer-Encoding: chunked chunked"],
        "split word": [b"Transfer-Encoding: chun ked"],
        "NUL": [b"Transfer-Encoding: chunked\x00"],
        "dotless": [b"Transfer-Encoding: chunKed\xcc\x81"],
        "folded": [b"Transfer-Encoding:\r\n chunked"],
        "folded coding": [b"Transfer-Encoding: gzip,\r\n chunked"],
        "space before the colon": [b"Transfer-Encoding : chunked"],
        "tab before the colon": [b"Transfer-Encoding\t: chunked"],
        "bare CR": [b"Transfer-Encoding: chunked\rX: y"],
        "HTTP/2 trailers coding": [b"Transfer-Encoding: trailers"],
    }.items()
]


@pytest.mark.parametrize("lines", TRANSFER_ENCODINGS)
def test_transfer_encoding_not_exactly_chunked(proxy: Proxy, target: Target, lines: list[bytes]) -> None:
    """A transfer coding that is not exactly ``chunked``, once, is refused and never guessed (RFC 9112 6.1, 6.3)."""
    request = head(*lines, start=b"POST / HTTP/1.1") + b"5\r\nhello\r\n0\r\n\r\n" + SMUGGLED
    response = proxy.send(request)
    status = status_of(response)
    assert status in {400, 501}
    (cause,) = proxy.refusals()
    assert cause in {"bad_transfer_encoding", "bad_request"}
    assert_refused(proxy, target, response, status, cause)


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([b"Transfer-Encoding: gzip, chunked"], id="list"),
        pytest.param([b"Transfer-Encoding: gzip"], id="gzip"),
        pytest.param([b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"], id="twice"),
        pytest.param([b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"], id="two lines"),
        pytest.param([b"Transfer-Encoding: chunked;q=1"], id="parameter"),
        pytest.param([b"Transfer-Encoding: \xa0chunked"], id="no-break space"),
    ],
)
def test_a_transfer_coding_that_is_well_formed_is_counted_as_one(
    proxy: Proxy, target: Target, lines: list[bytes]
) -> None:
    """What is wrong with the transfer coding is counted under that cause, in one line or in several (RFC 9112 6.1)."""
    response = proxy.send(head(*lines, start=b"POST / HTTP/1.1") + b"0\r\n\r\n")
    assert_refused(proxy, target, response, status_of(response), "bad_transfer_encoding")


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([b"Content-Length: 5", b"Transfer-Encoding: chunked"], id="length first"),
        pytest.param([b"Transfer-Encoding: chunked", b"Content-Length: 5"], id="coding first"),
        pytest.param([b"Content-Length: 0", b"Transfer-Encoding: chunked"], id="zero"),
        pytest.param([b"transfer-encoding: CHUNKED", b"content-length: 30"], id="case"),
        pytest.param([b"Content-Length: 5", b"Transfer-Encoding: identity"], id="identity"),
        pytest.param([b"Content-Length: 5", b"Transfer-Encoding: gzip"], id="gzip"),
        pytest.param([b"Content-Length: 5", b"X: y", b"Transfer-Encoding: xchunked"], id="unknown"),
    ],
)
def test_content_length_and_transfer_encoding(proxy: Proxy, target: Target, lines: list[bytes]) -> None:
    """Both framings together are refused, whichever comes first (RFC 9112 6.1, 6.3)."""
    response = proxy.send(head(*lines, start=b"POST / HTTP/1.1") + b"0\r\n\r\n" + SMUGGLED)
    status = status_of(response)
    assert status in {400, 501}
    (cause,) = proxy.refusals()
    assert cause in {"bad_length", "bad_transfer_encoding"}
    assert_refused(proxy, target, response, status, cause)


@pytest.mark.parametrize("connection", [b"close", b"keep-alive"])
def test_transfer_encoding_in_http_1_0(proxy: Proxy, target: Target, connection: bytes) -> None:
    """A transfer coding in HTTP/1.0 is faulty framing, and refused (RFC 9112 6.1)."""
    request = head(b"Transfer-Encoding: chunked", b"Connection: " + connection, start=b"POST / HTTP/1.0")
    response = proxy.send(request + b"0\r\n\r\n" + SMUGGLED)
    assert_refused(proxy, target, response, 400, "bad_transfer_encoding")


CONTENT_LENGTHS = [
    pytest.param(lines, id=name)
    for name, lines in {
        "twice the same": [b"Content-Length: 5", b"Content-Length: 5"],
        "twice different": [b"Content-Length: 5", b"Content-Length: 6"],
        "twice, far apart": [b"Content-Length: 5", b"A: b", b"C: d", b"content-length: 0"],
        "list": [b"Content-Length: 5, 5"],
        "list of different": [b"Content-Length: 5,6"],
        "plus": [b"Content-Length: +5"],
        "minus": [b"Content-Length: -5"],
        "minus zero": [b"Content-Length: -0"],
        "hex": [b"Content-Length: 0x5"],
        "octal": [b"Content-Length: 0o5"],
        "hex digit": [b"Content-Length: a"],
        "underscore": [b"Content-Length: 1_0"],
        "space within": [b"Content-Length: 1 0"],
        "empty": [b"Content-Length: "],
        "nothing": [b"Content-Length:"],
        "65 bits": [b"Content-Length: 18446744073709551616"],
        "64 bits": [b"Content-Length: 18446744073709551615"],
        "19 digits": [b"Content-Length: 9223372036854775808"],
        "thirty digits": [b"Content-Length: " + b"9" * 30],
        "many zeros": [b"Content-Length: " + b"0" * 40 + b"5"],
        "Arabic digit": ["Content-Length: \u0665".encode()],
        "fullwidth digit": ["Content-Length: \uff15".encode()],
        "superscript": [b"Content-Length: \xb2"],
        "fraction": [b"Content-Length: 5.0"],
        "exponent": [b"Content-Length: 5e0"],
        "semicolon": [b"Content-Length: 5;"],
        "quoted": [b'Content-Length: "5"'],
        "vertical tab": [b"Content-Length: \x0b5"],
        "form feed": [b"Content-Length: 5\x0c"],
        "no-break space": [b"Content-Length: 5\xa0"],
        "NUL": [b"Content-Length: 5\x00"],
        "space before the colon": [b"Content-Length : 5"],
        "tab before the colon": [b"Content-Length\t: 5"],
        "folded": [b"Content-Length: 5\r\n 0"],
        "folded at once": [b"Content-Length:\r\n 5"],
        "word": [b"Content-Length: five"],
    }.items()
]


@pytest.mark.parametrize("lines", CONTENT_LENGTHS)
def test_content_length_not_one_number(proxy: Proxy, target: Target, lines: list[bytes]) -> None:
    """A Content-Length that is not exactly one run of ASCII digits is refused (RFC 9112 6.3, RFC 9110 8.6)."""
    response = proxy.send(head(*lines, start=b"POST / HTTP/1.1") + b"hello" + SMUGGLED)
    (cause,) = proxy.refusals()
    assert cause in {"bad_length", "bad_request"}
    assert_refused(proxy, target, response, 400, cause)


@pytest.mark.parametrize("value", [b"+5", b"5, 5", b"18446744073709551616", b"\xb2", b"", b"0x5", b"1_0"])
def test_what_is_wrong_with_a_length_is_counted_as_one(proxy: Proxy, target: Target, value: bytes) -> None:
    """A malformed Content-Length is counted under that cause, whichever parser found it (RFC 9112 6.3)."""
    response = proxy.send(head(b"Content-Length: " + value, start=b"POST / HTTP/1.1"))
    assert_refused(proxy, target, response, 400, "bad_length")


HOSTS = [
    pytest.param(lines, id=name)
    for name, lines in {
        "missing": [],
        "empty": [b"Host: "],
        "twice different": [b"Host: a", b"Host: b"],
        "twice the same": [b"Host: a", b"Host: a"],
        "twice, other case": [b"Host: a", b"hOST: a"],
        "two in one": [b"Host: a b"],
        "user": [b"Host: user@a"],
        "user and password": [b"Host: user:pass@a"],
        "path": [b"Host: a/b"],
        "query": [b"Host: a?b"],
        "fragment": [b"Host: a#b"],
        "URL": [b"Host: http://a"],
        "port of letters": [b"Host: a:http"],
        "two ports": [b"Host: a:80:81"],
        "port too long": [b"Host: a:800000"],
        "negative port": [b"Host: a:-80"],
        "only a port": [b"Host: :80"],
        "open bracket": [b"Host: [::1"],
        "close bracket": [b"Host: ::1]"],
        "bare IPv6": [b"Host: ::1"],
        "empty brackets": [b"Host: []"],
        "junk behind brackets": [b"Host: [::1]x"],
        "obs-text": [b"Host: \xe4.example"],
        "quotes": [b'Host: "a"'],
        "angle": [b"Host: <a>"],
        "backslash": [b"Host: a\\b"],
        "caret": [b"Host: a^b"],
        "tab within": [b"Host: a\tb"],
        "control": [b"Host: a\x01"],
        "DEL": [b"Host: a\x7f"],
        "NUL": [b"Host: a\x00b"],
    }.items()
]


@pytest.mark.parametrize("lines", HOSTS)
def test_missing_double_or_invalid_host(proxy: Proxy, target: Target, lines: list[bytes]) -> None:
    """A request without exactly one valid Host is refused (RFC 9112 3.2)."""
    response = proxy.send(head(*lines, host=None) + SMUGGLED)
    (cause,) = proxy.refusals()
    assert cause in {"bad_host", "bad_request"}
    assert_refused(proxy, target, response, 400, cause)


@pytest.mark.parametrize("lines", [[], [b"Host: a", b"Host: b"], [b"Host: user@a"], [b"Host: a/b"], [b"Host: "]])
def test_what_is_wrong_with_the_host_is_counted_as_one(proxy: Proxy, target: Target, lines: list[bytes]) -> None:
    """A well-formed field with an unusable Host is counted under that cause (RFC 9112 3.2)."""
    assert_refused(proxy, target, proxy.send(head(*lines, host=None)), 400, "bad_host")


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([b"Host: user@h"], id="user"),
        pytest.param([b"Host: h", b"Host: h"], id="twice"),
        pytest.param([b"Host: a b"], id="space"),
        pytest.param([], id="missing"),
    ],
)
def test_invalid_host_beside_an_absolute_target(proxy: Proxy, target: Target, lines: list[bytes]) -> None:
    """An absolute target replaces the Host but does not excuse an invalid one (RFC 9112 3.2)."""
    response = proxy.send(head(*lines, start=b"GET http://h/ HTTP/1.1", host=None))
    assert_refused(proxy, target, response, 400, "bad_host")


REQUEST_LINES = [
    pytest.param(line, status, cause, id=name)
    for name, (line, status, cause) in {
        "HTTP/0.9": (b"GET /", 400, "bad_request"),
        "no version, space": (b"GET / ", 400, "bad_request"),
        "no target": (b"GET HTTP/1.1", 400, "bad_request"),
        "empty target": (b"GET  HTTP/1.1", 400, "bad_request"),
        "only a method": (b"GET", 400, "bad_request"),
        "leading space": (b" GET / HTTP/1.1", 400, "bad_request"),
        "leading tab": (b"\tGET / HTTP/1.1", 400, "bad_request"),
        "trailing space": (b"GET / HTTP/1.1 ", 400, "bad_request"),
        "two spaces before target": (b"GET  / HTTP/1.1", 400, "bad_request"),
        "two spaces before version": (b"GET /  HTTP/1.1", 400, "bad_request"),
        "tabs": (b"GET\t/\tHTTP/1.1", 400, "bad_request"),
        "tab in target": (b"GET /a\tb HTTP/1.1", 400, "bad_request"),
        "space in target": (b"GET /a b HTTP/1.1", 400, "bad_request"),
        "injected version": (b"GET / HTTP/1.1 HTTP/1.1", 400, "bad_request"),
        "control in target": (b"GET /a\x01 HTTP/1.1", 400, "bad_request"),
        "DEL in target": (b"GET /a\x7f HTTP/1.1", 400, "bad_request"),
        "NUL in target": (b"GET /a\x00 HTTP/1.1", 400, "bad_request"),
        "obs-text in target": (b"GET /\xe4 HTTP/1.1", 400, "bad_request"),
        "fragment": (b"GET /a#b HTTP/1.1", 400, "bad_request"),
        "fragment in a query": (b"GET /a?b#c HTTP/1.1", 400, "bad_request"),
        "relative target": (b"GET a HTTP/1.1", 400, "bad_request"),
        "asterisk": (b"GET * HTTP/1.1", 400, "bad_request"),
        "asterisk with POST": (b"POST * HTTP/1.1", 400, "bad_request"),
        "asterisk and path": (b"OPTIONS */a HTTP/1.1", 400, "bad_request"),
        "authority form": (b"GET h:80 HTTP/1.1", 400, "bad_request"),
        "other scheme": (b"GET ftp://h/ HTTP/1.1", 400, "bad_request"),
        "absolute without authority": (b"GET http:///a HTTP/1.1", 400, "bad_host"),
        "absolute with user": (b"GET http://u:p@h/ HTTP/1.1", 400, "bad_host"),
        "absolute with fragment": (b"GET http://h/a#b HTTP/1.1", 400, "bad_request"),
        "absolute, fragment at once": (b"GET http://h#b HTTP/1.1", 400, "bad_request"),
        "absolute with bad port": (b"GET http://h:x/ HTTP/1.1", 400, "bad_host"),
        "CONNECT": (b"CONNECT h:443 HTTP/1.1", 501, "method"),
        "CONNECT to a path": (b"CONNECT / HTTP/1.1", 501, "method"),
        "TRACE": (b"TRACE / HTTP/1.1", 501, "method"),
        "extension method": (b"FOO / HTTP/1.1", 501, "method"),
        "WebDAV method": (b"PROPFIND / HTTP/1.1", 501, "method"),
        "lower-case method": (b"get / HTTP/1.1", 501, "method"),
        "method not a token": (b"G(T / HTTP/1.1", 400, "bad_request"),
        "method of obs-text": (b"G\xc4T / HTTP/1.1", 400, "bad_request"),
        "method with colon": (b"GET: / HTTP/1.1", 400, "bad_request"),
        "empty method": (b" / HTTP/1.1", 400, "bad_request"),
        "HTTP/2.0": (b"GET / HTTP/2.0", 505, "version"),
        "HTTP/3.0": (b"GET / HTTP/3.0", 505, "version"),
        "HTTP/1.2": (b"GET / HTTP/1.2", 505, "version"),
        "HTTP/0.9 named": (b"GET / HTTP/0.9", 505, "version"),
        "HTTP/9.9": (b"GET / HTTP/9.9", 505, "version"),
        "version without dot": (b"GET / HTTP/11", 400, "bad_request"),
        "version without minor": (b"GET / HTTP/1", 400, "bad_request"),
        "long version": (b"GET / HTTP/1.10", 400, "bad_request"),
        "leading zero": (b"GET / HTTP/01.1", 400, "bad_request"),
        "comma": (b"GET / HTTP/1,1", 400, "bad_request"),
        "lower-case version": (b"GET / http/1.1", 400, "bad_request"),
        "other protocol": (b"GET / ICAP/1.0", 400, "bad_request"),
        "RTSP": (b"GET / RTSP/1.0", 400, "bad_request"),
        "version with text": (b"GET / HTTP/1.1x", 400, "bad_request"),
        "obs-text in version": (b"GET / HTTP/1.\xb9", 400, "bad_request"),
        "bare CR": (b"GET /\rX HTTP/1.1", 400, "bad_request"),
        "CR at the end": (b"GET / HTTP/1.1\r", 400, "bad_request"),
    }.items()
]


@pytest.mark.parametrize(("line", "status", "cause"), REQUEST_LINES)
def test_request_line(proxy: Proxy, target: Target, line: bytes, status: int, cause: str) -> None:
    """A request line that is not exactly METHOD SP TARGET SP HTTP/1.x is refused (RFC 9112 2.3, 3)."""
    assert_refused(proxy, target, proxy.send(head(start=line) + SMUGGLED), status, cause)


@pytest.mark.parametrize(
    ("line", "status", "cause"),
    [pytest.param(*case.values, id=case.id) for case in REQUEST_LINES if case.id not in {"bare CR", "CR at the end"}],
)
def test_a_bad_request_line_need_not_wait_for_the_rest(
    proxy: Proxy, target: Target, line: bytes, status: int, cause: str
) -> None:
    """What can be seen in the first line alone is refused no later than when the head is whole (RFC 9112 3)."""
    with proxy.caller() as caller:
        caller.send(line + b"\r\n")
        caller.send(b"Host: h\r\n\r\n")
        assert_refused(proxy, target, caller.rest(), status, cause)


HEADER_LINES = [
    pytest.param(lines, id=name)
    for name, lines in {
        "space before the colon": b"X : y",
        "tab before the colon": b"X\t: y",
        "no colon": b"XY",
        "empty name": b": y",
        "space as a name": b" : y",
        "obs-fold with space": b"X: y\r\n z",
        "obs-fold with tab": b"X: y\r\n\tz",
        "obs-fold at once": b"X:\r\n y",
        "fold before any field": b" X: y",
        "bare CR": b"X: a\rb",
        "bare CR and colon": b"X: a\rY: b",
        "bare LF": b"X: a\nY: b",
        "bare LF in a name": b"X\nY: b",
        "NUL in a value": b"X: a\x00b",
        "NUL in a name": b"X\x00: a",
        "BEL": b"X: \x07",
        "ESC": b"X: \x1b[2J",
        "DEL in a value": b"X: \x7f",
        "DEL in a name": b"X\x7f: a",
        "vertical tab": b"X: a\x0bb",
        "obs-text in a name": b"X\xe4: a",
        "space in a name": b"X Y: a",
        "parenthesis in a name": b"X(Y): a",
        "quote in a name": b'"X": a',
        "at in a name": b"X@Y: a",
        "slash in a name": b"X/Y: a",
        "bracket in a name": b"[X]: a",
        "comma in a name": b"X,Y: a",
        "semicolon in a name": b"X;Y: a",
        "equals in a name": b"X=Y: a",
        "CR before the colon": b"X\r: a",
        "two CR": b"X: a\r",
        "second request line": b"GET /smuggled HTTP/1.1",
    }.items()
]


@pytest.mark.parametrize("lines", HEADER_LINES)
def test_header_line(proxy: Proxy, target: Target, lines: bytes) -> None:
    """A field line that is not NAME ":" VALUE is refused, never dropped or mended (RFC 9112 2.2, 5; RFC 9110 5.5)."""
    response = proxy.send(head(lines, b"Z: z") + SMUGGLED)
    assert_refused(proxy, target, response, 400, "bad_request")


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"GET / HTTP/1.1\nHost: h\n\n", id="everywhere"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: h\n\n", id="at the end"),
        pytest.param(b"GET / HTTP/1.1\nHost: h\r\n\r\n", id="request line"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", id="between fields"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: h\r\n\n", id="empty line"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: h\n\r\n\r\n", id="before the empty line"),
        pytest.param(b"\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", id="leading"),
        pytest.param(b"GET / HTTP/1.1\r\rHost: h\r\r", id="CR everywhere, then LF", marks=[]),
    ],
)
def test_bare_line_feed_is_answered_at_once(proxy: Proxy, target: Target, raw: bytes) -> None:
    """A line that ends in LF alone is refused without waiting for more, and never forwarded (RFC 9112 2.2)."""
    if b"\n" not in raw:
        raw += b"\n"
    assert_refused(proxy, target, proxy.send(raw), 400, "bad_request")


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(64)), id="TLS 1.3 hello"),
        pytest.param(b"\x16\x03\x01", id="TLS record header"),
        pytest.param(b"\x80\x2e\x01\x03\x01", id="SSL 2 hello"),
        pytest.param(b"\x05\x01\x00", id="SOCKS"),
        pytest.param(b"\x00\x01\x02", id="NUL"),
        pytest.param(b"\xff\xfe", id="BOM"),
        pytest.param(b"{}\r\n", id="JSON"),
    ],
)
def test_another_protocol_is_answered_at_once(proxy: Proxy, target: Target, raw: bytes) -> None:
    """Bytes that can never become a request, such as a TLS hello, do not wait for a time-out (RFC 9112 3)."""
    assert_refused(proxy, target, proxy.send(raw), 400, "bad_request")


def test_http_2_preface(proxy: Proxy, target: Target) -> None:
    """The HTTP/2 connection preface gets a 505 that says so (RFC 9113 3.4)."""
    response = proxy.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
    assert_refused(proxy, target, response, 505, "version")
    assert "HTTP/2" in str(problem(response)["detail"])


@pytest.mark.parametrize("count", [3, 50])
def test_leading_empty_lines_are_bounded(proxy: Proxy, target: Target, count: int) -> None:
    """Empty lines before a request are ignored only up to a bound (RFC 9112 2.2)."""
    assert_refused(proxy, target, proxy.send(b"\r\n" * count + head()), 400, "bad_request")


def test_leading_empty_lines_are_bounded_across_packets(proxy: Proxy, target: Target) -> None:
    """The bound on leading empty lines does not start again with each packet (RFC 9112 2.2)."""
    with proxy.caller() as caller:
        for _ in range(3):
            caller.send(b"\r", b"\n")
        assert_refused(proxy, target, caller.rest(), 400, "bad_request")


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_unknown_expectation(proxy: Proxy, target: Target, method: bytes) -> None:
    """An expectation that is not 100-continue is answered with 417 and not forwarded (RFC 9110 10.1.1)."""
    request = head(b"Expect: 200-ok", b"Content-Length: 2", start=method + b" / HTTP/1.1") + b"ab"
    assert_refused(proxy, target, proxy.send(request), 417, "expectation")


def test_connection_option_flood(proxy: Proxy, target: Target) -> None:
    """A Connection field of very many options is refused: each costs a search of the head (RFC 9110 7.6.1)."""
    options = b", ".join(b"x%d" % index for index in range(64))
    assert_refused(proxy, target, proxy.send(head(b"Connection: " + options)), 400, "bad_request")


def test_a_refused_head_request_gets_no_content(proxy: Proxy, target: Target) -> None:
    """An answer to HEAD has no content, also when it is a refusal (RFC 9110 9.3.2)."""
    response = proxy.send(head(start=b"HEAD / HTTP/1.1", host=None))
    assert status_of(response) == 400
    assert response.endswith(b"\r\n\r\n")
    assert_untouched(proxy, target)


def test_the_routers_own_answers_carry_a_date(proxy: Proxy) -> None:
    """An answer that the router makes itself has a Date, as that of any origin server (RFC 9110 6.6.1)."""
    assert b"\r\ndate: " in proxy.send(head(host=None)).lower()
