"""Request and response heads: parse, refuse, and cut what must not travel on.

Responsible for: the rules of RFC 9110 and 9112 on one head, as a function from bytes to a frozen description or to the
reason it is refused.
Does not know: connections, routes, time.

Rules: llhttp (httptools) judges the syntax of every head; what it lets through although it must not is checked here,
each check beside the sentence that asks for it. Bytes stay bytes: a field that is forwarded is never re-encoded,
re-ordered or merged.
"""

import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import httptools

# What the proxy itself reads of a request; the table adds the fields its routes need.
REQUEST_FIELDS: Final = (
    b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade", b"te", b"keep-alive",
    b"proxy-connection", b"trailer", b"http2-settings", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host",
    b"x-request-id", b"content-encoding", b"idempotency-key",
)  # fmt: skip
# Fields of a request that never travel on: hop-by-hop (RFC 9110 7.6.1), or set anew by us.
_REQUEST_CUT: Final = frozenset(
    {
        b"connection", b"expect", b"upgrade", b"te", b"keep-alive", b"proxy-connection", b"trailer", b"http2-settings",
        b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host",
    }
)  # fmt: skip
_RESPONSE_FIELDS: Final = (
    b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"proxy-connection", b"trailer", b"upgrade",
    b"te", b"proxy-authenticate", b"x-request-id",
)  # fmt: skip
_RESPONSE_CUT: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"trailer", b"upgrade", b"te", b"transfer-encoding"}
)
# RFC 9110 7.6.1: a field named in Connection is removed; but not one the message cannot do without, and these are either
# no fields or removed anyway.
_OPTIONS: Final = frozenset(
    {
        b"close",
        b"keep-alive",
        b"upgrade",
        b"te",
        b"host",
        b"content-length",
        b"transfer-encoding",
        b"content-encoding",
        b"content-type",
    }
)
_MAX_CONNECTION_OPTIONS: Final = 32

METHODS: Final = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS"})
IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS"})  # RFC 9110 9.2.2

# Controls that llhttp lets through in a field value (BEL, DEL …); RFC 9110 5.5 forbids them. HTAB, LF and CR stay.
_CONTROLS: Final = bytes(i for i in range(32) if i not in (9, 10, 13)) + b"\x7f"
_TARGET: Final = re.compile(rb"[\x21\x22\x24-\x7e]+")  # RFC 9112 3.2; no fragment, no raw bytes above 0x7e
_HOST: Final = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(?::([0-9]{0,5}))?")  # RFC 3986 3.2.2
_ABSOLUTE: Final = re.compile(rb"(?i:https?)://([^/?]*)(.*)", re.DOTALL)
_MAX_LENGTH_DIGITS: Final = 18  # what fits 63 bits; bytes.isdigit() is ASCII only and false for "", "+1", "1_0"
_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VERSION: Final = re.compile(rb"HTTP/[0-9]\.[0-9]")
_REQUEST_ID: Final = re.compile(rb"[\x21-\x7e]{1,128}")
_UNDERSCORED: Final = re.compile(rb"\r\n([^:\r\n]*_[^:\r\n]*):[^\r]*")
_BARE_LINE_FEED: Final = re.compile(rb"(?<!\r)\n")
_SINGLE: Final = frozenset({b"host", b"content-length", b"transfer-encoding"})
_LISTS: Final = {b"cookie": b"; ", b"connection": b", ", b"x-forwarded-for": b", ", b"te": b", ", b"expect": b", "}
_END: Final = -1  # in a trie: a word ends here
_ANY: Final = ord("*")  # in a trie: any rest of a name
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [^\r]*)?")


class Refusal(NamedTuple):
    """Why a request is not carried: status, counted cause (``counters.REFUSALS``) and a sentence for the caller."""

    status: int
    cause: str
    detail: str


class RequestLine(NamedTuple):
    """Method and target as sent, and whether the version is 1.1."""

    method: bytes
    target: bytes
    http11: bool


class RequestHead(NamedTuple):
    """A request head that may be carried.

    ``length`` is the content length in bytes, or -1 for a chunked body. ``fields`` maps lower-case names to first values,
    for the names the pattern reads. ``forward`` is the request line and fields to send on, without the final empty line.
    """

    method: bytes
    path: bytes
    query: bytes
    host: bytes
    authority: bytes
    fields: dict[bytes, bytes]
    length: int
    http11: bool
    keep_alive: bool
    expects: bool
    request_id: bytes | None
    forward: bytes


class ResponseHead(NamedTuple):
    """A response head that may be carried.

    ``length``: content length in bytes, -1 chunked, -2 until the connection closes. ``forward``: status line and fields
    without framing by ``Transfer-Encoding`` and without the final empty line.
    """

    status: int
    length: int
    keep_alive: bool
    sized: bool
    forward: bytes


def fields_pattern(names: Iterable[bytes]) -> re.Pattern[bytes]:
    """Compile the pattern that finds the given fields, and all of ``x-router-*``, in one pass over a head."""
    return re.compile(rb"\r\n((?i:" + _trie([*names, b"x-router-*"]) + rb")):[ \t]*+([^\r]*+)")


def _lines_pattern(names: Iterable[bytes]) -> re.Pattern[bytes]:
    """Compile the pattern of whole lines of the given fields, and of all of ``x-router-*``, to remove them."""
    return re.compile(rb"\r\n(?i:" + _trie([*names, b"x-router-*"]) + rb"):[^\r]*+")


def _trie(words: Iterable[bytes]) -> bytes:
    """Write words as one alternation with shared prefixes factored out: half the time of a flat list."""
    root: dict[int, Any] = {}
    for word in words:
        node = root
        for byte in word:
            node = node.setdefault(byte, {})
        node[_END] = {}
    return _alternation(root)


def _alternation(node: dict[int, Any]) -> bytes:
    branches = [
        rb"[^:\r]*+" if byte == _ANY else re.escape(bytes([byte])) + _alternation(child)
        for byte, child in sorted(node.items())
        if byte != _END
    ]
    if not branches:
        return b""
    if len(branches) == 1 and _END not in node:
        return branches[0]
    return b"(?:" + b"|".join(branches) + b")" + (b"?" if _END in node else b"")


class RequestReader:
    """Reads request heads: one for each table, since the table says which fields its routes need."""

    __slots__ = ("_max_fields", "_pattern")

    def __init__(self, names: Iterable[bytes], max_fields: int) -> None:
        self._pattern = fields_pattern({*REQUEST_FIELDS, *names})
        self._max_fields = max_fields

    def read(self, raw: bytes) -> RequestHead | Refusal:
        """Read a whole head, from the first byte of the request line to the empty line."""
        line_end = raw.find(b"\r\n")
        parts = raw[:line_end].split(b" ")
        if len(parts) != 3:
            return Refusal(400, "bad_request", "the request line is not METHOD TARGET VERSION")
        method, target, version = parts
        http11 = version == b"HTTP/1.1"
        if not http11 and version != b"HTTP/1.0":
            return refuse_version(version)
        if method not in METHODS:
            if _TOKEN.fullmatch(method) is None:
                return Refusal(400, "bad_request", "the method is not a token")
            return Refusal(501, "method", "this method is not supported")
        try:
            httptools.HttpRequestParser(_SILENT).feed_data(raw)
        except httptools.HttpParserUpgrade:
            pass  # no tunnel is made: the request is carried as if it had not asked (RFC 9110 7.8)
        except httptools.HttpParserError as error:
            return Refusal(400, _cause(error), f"the request head is malformed: {error}")
        if len(raw.translate(None, _CONTROLS)) != len(raw):
            return Refusal(400, "bad_request", "the request head has control characters")
        # A field takes four bytes at least ("a:" and CRLF), so short heads need no counting.
        if len(raw) > 4 * self._max_fields and raw.count(b"\r\n") - 2 > self._max_fields:
            return Refusal(431, "too_many_headers", f"more than {self._max_fields} header fields")
        fields: dict[bytes, bytes] = {}
        cut = False
        for name, value in self._pattern.findall(raw):
            name = name.lower()  # noqa: PLW2901  # the name as sent is of no use
            value = value.rstrip(b" \t")  # noqa: PLW2901  # RFC 9110 5.5: white space around a value is not part of it
            cut = cut or name in _REQUEST_CUT or name.startswith(b"x-router-")
            if name not in fields:
                fields[name] = value
            elif name in _SINGLE:
                return Refusal(400, "bad_host" if name == b"host" else "bad_length", f"{name.decode()} appears twice")
            elif name in _LISTS:
                fields[name] += _LISTS[name] + value
        return self._judge(raw, line_end, RequestLine(method, target, http11), fields, cut=cut)

    def _judge(
        self, raw: bytes, line_end: int, line: RequestLine, fields: dict[bytes, bytes], *, cut: bool
    ) -> RequestHead | Refusal:
        method, target, http11 = line
        authority = fields.get(b"host")
        start = None
        if not target.startswith(b"/"):
            absolute = _ABSOLUTE.fullmatch(target)
            if absolute is not None:
                # RFC 9112 3.2.2: the authority of an absolute target replaces Host.
                if authority is None and http11:
                    return Refusal(400, "bad_host", "the Host field is missing")
                authority, target = absolute[1], absolute[2]
                if not target.startswith(b"/"):
                    target = b"/" + target
                fields[b"host"] = authority
                start = b"%b %b HTTP/1.1\r\nHost: %b" % (method, target, authority)
            elif target != b"*" or method != b"OPTIONS":
                return Refusal(400, "bad_request", "the request target is neither a path nor a URL")
        if b"#" in target:
            return Refusal(400, "bad_request", "the request target has a fragment")  # RFC 9112 3.2
        if authority is None:
            if http11:
                return Refusal(400, "bad_host", "the Host field is missing")  # RFC 9112 3.2
            host = b""
        else:
            match = _HOST.fullmatch(authority)
            if match is None:
                return Refusal(400, "bad_host", "the Host field is not HOST or HOST:PORT")
            host = match[1].lower()
        length = 0
        text = fields.get(b"content-length")
        coding = fields.get(b"transfer-encoding")
        if coding is not None:
            if not http11:  # RFC 9112 6.1: the framing of such a message is faulty
                return Refusal(400, "bad_transfer_encoding", "Transfer-Encoding in an HTTP/1.0 request")
            if text is not None:
                return Refusal(400, "bad_length", "both Content-Length and Transfer-Encoding")
            if coding.lower() != b"chunked":
                return Refusal(501, "bad_transfer_encoding", "a transfer coding other than chunked")
            length = -1
        elif text is not None:
            if len(text) > _MAX_LENGTH_DIGITS or not text.isdigit():
                return Refusal(400, "bad_length", "Content-Length is not a number")
            length = int(text)
        expects = False
        if b"expect" in fields and http11:
            if fields[b"expect"].lower() != b"100-continue":
                return Refusal(417, "expectation", "an expectation other than 100-continue")
            expects = length != 0
        options: tuple[bytes, ...] = ()
        if b"connection" in fields or not http11:
            options = connection_options(fields.get(b"connection", b""))
            if len(options) > _MAX_CONNECTION_OPTIONS:
                return Refusal(400, "bad_request", "too many Connection options")
        request_id = fields.get(b"x-request-id")
        unusable_id = request_id is not None and _REQUEST_ID.fullmatch(request_id) is None
        if (
            start is not None
            or not http11
            or cut
            or unusable_id
            or (b"_" in raw and _UNDERSCORED.search(raw, line_end))
        ):
            lines = _REQUEST_LINES.sub(b"", raw[line_end:-4])
            named = [name for name in options if name not in _OPTIONS]
            if start is not None:
                named.append(b"host")
            if unusable_id:
                named.append(b"x-request-id")
                request_id = None
            if named:
                lines = _without(lines, named)
            if b"_" in lines:
                # X_User_Id may be read as X-User-Id behind us: a forged identity. nginx drops these too.
                lines = _UNDERSCORED.sub(b"", lines)
            forward = b"%b%b\r\n" % (start or b"%b %b HTTP/1.1" % (method, target), lines)
        else:
            forward = raw[:-2]
        path, _, query = target.partition(b"?")
        return RequestHead(
            method, path, query, host, authority or b"", fields, length, http11,
            b"close" not in options if http11 else b"keep-alive" in options, expects, request_id, forward,
        )  # fmt: skip


class ResponseReader:
    """Reads response heads. ``hide`` are fields of the target's answer that the router sets itself."""

    __slots__ = ("_cut", "_lines")

    def __init__(self, hide: Iterable[bytes] = ()) -> None:
        self._cut = _RESPONSE_CUT.union(hide)
        self._lines = _lines_pattern(self._cut)

    def read(self, raw: bytes, method: bytes) -> ResponseHead | str:
        """Read a whole head; a string says why the answer cannot be trusted."""
        line_end = raw.find(b"\r\n")
        line = _STATUS_LINE.fullmatch(raw, 0, line_end)
        if line is None:
            return "the status line is malformed"
        status = int(line[2])
        try:
            httptools.HttpResponseParser(_SILENT).feed_data(raw)
        except httptools.HttpParserUpgrade:
            pass  # 101 is judged by the exchange, which knows whether it was asked for
        except httptools.HttpParserError as error:
            return str(error)
        if len(raw.translate(None, _CONTROLS)) != len(raw):
            return "the head has control characters"
        http11 = line[1] == b"1"
        fields: dict[bytes, bytes] = {}
        cut = False
        for name, value in _RESPONSE_PATTERN.findall(raw):
            name = name.lower()  # noqa: PLW2901  # the name as sent is of no use
            cut = cut or name in self._cut or name.startswith(b"x-router-")
            if name not in fields:
                fields[name] = value.rstrip(b" \t")
            elif name in _SINGLE:
                return f"{name.decode()} appears twice"
            else:
                fields[name] += b", " + value
        options = connection_options(fields[b"connection"]) if b"connection" in fields else ()
        length = _response_length(status, method, fields, http11=http11)
        if isinstance(length, str):
            return length
        bodiless = status < 200 or status == 204
        if cut or not http11 or (bodiless and b"content-length" in fields):
            lines = self._lines.sub(b"", raw[line_end:-4])
            named = [name for name in options if name not in _OPTIONS]
            if bodiless:  # RFC 9110 8.6: no Content-Length in 1xx and 204
                named.append(b"content-length")
            if named:
                lines = _without(lines, named)
            forward = b"HTTP/1.1%b%b\r\n" % (raw[8:line_end], lines)
        else:
            forward = raw[:-2]
        keep_alive = b"close" not in options if http11 else b"keep-alive" in options
        return ResponseHead(status, length, keep_alive, b"content-length" in fields, forward)


def _response_length(status: int, method: bytes, fields: dict[bytes, bytes], *, http11: bool) -> int | str:
    """Apply RFC 9112 6.3 to a response: length in bytes, -1 chunked, -2 until close; a string says what is wrong."""
    coding = fields.get(b"transfer-encoding")
    text = fields.get(b"content-length")
    if text is not None and (len(text) > _MAX_LENGTH_DIGITS or not text.isdigit()):
        return "Content-Length is not a number"
    if coding is not None:
        if not http11:
            return "Transfer-Encoding in an HTTP/1.0 response"
        if text is not None:
            return "both Content-Length and Transfer-Encoding"
        if coding.lower() != b"chunked":
            return "a transfer coding other than chunked"
    if status < 200 or status in {204, 304} or method == b"HEAD":
        return 0
    if coding is not None:
        return -1
    return int(text) if text is not None else -2


def refuse_version(version: bytes) -> Refusal:
    """Say what is wrong with a version that is neither 1.0 nor 1.1."""
    if version == b"HTTP/2.0":
        return Refusal(505, "version", "HTTP/2 is not supported; use HTTP/1.1")
    if _VERSION.fullmatch(version) is not None:
        return Refusal(505, "version", "only HTTP/1.1 and HTTP/1.0 are supported")
    return Refusal(400, "bad_request", "the version is malformed")


def connection_options(value: bytes) -> tuple[bytes, ...]:
    """Split a Connection field into lower-case options."""
    return tuple(option for part in value.split(b",") if (option := part.strip(b" \t").lower()))


def judge_start(raw: bytes) -> Refusal | None:
    """Look at the beginning of a head that is not whole yet: refuse at once what can never become one.

    A bare LF, a NUL or a TLS hello would otherwise wait for the header time-out.
    """
    line_end = raw.find(b"\n")
    if b"\0" in raw or _BARE_LINE_FEED.search(raw) is not None:
        return Refusal(400, "bad_request", "the request head has a bare line feed or a NUL")
    line = raw if line_end < 0 else raw[: line_end - 1]
    if line_end >= 0:
        parts = line.split(b" ")
        if len(parts) != 3:
            return Refusal(400, "bad_request", "the request line is not METHOD TARGET VERSION")
        if parts[2] not in {b"HTTP/1.1", b"HTTP/1.0"}:
            return refuse_version(parts[2])
    if _TOKEN.match(raw) is None:
        return Refusal(400, "bad_request", "this is not an HTTP request")
    return None


def _without(lines: bytes, names: Iterable[bytes]) -> bytes:
    """Remove the named fields from header lines, each beginning at its CRLF."""
    alternation = b"|".join(re.escape(name) for name in sorted(names))
    return re.sub(rb"\r\n(?i:" + alternation + rb"):[^\r]*", b"", lines)


def _cause(error: httptools.HttpParserError) -> str:
    text = str(error)
    if "Transfer-Encoding" in text:
        return "bad_transfer_encoding"
    return "bad_length" if "Content-Length" in text else "bad_request"


class _Silent:
    """A parser's listener without callbacks: llhttp then judges a head in a third of the time."""


_SILENT: Final = _Silent()
_REQUEST_LINES: Final = _lines_pattern(_REQUEST_CUT)
_RESPONSE_PATTERN: Final = fields_pattern(_RESPONSE_FIELDS)
