"""Request heads: parse, refuse, and cut what must not travel on.

Responsible for: the rules of RFC 9110 and 9112 on one head, as a function from bytes to a frozen description or to the
reason it is refused.
Does not know: connections, routes, time.

Rules: a head is first held against the strict grammar of an ordinary request: one pattern, nothing in it that changes
framing or is not forwarded. Any other is read with care: llhttp (httptools) judges its syntax; what llhttp lets through
although it must not is checked here, each check beside the sentence that asks for it. A test shows that both ways of
reading agree on what is ordinary. Bytes stay bytes: a field that is forwarded is never re-encoded, re-ordered or merged.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

import httptools

from router.proxy.grammar import (
    BROKEN_LINE,
    CONTROLS,
    MAX_LENGTH_DIGITS,
    NAME,
    OPTIONS,
    SINGLE,
    VALUE,
    Silent,
    connection_options,
    fields_pattern,
    lines_pattern,
    trie,
    without,
)
from router.routing.request import Request

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
# Fields whose presence makes a request one that is read with care.
_CAREFUL: Final = frozenset(REQUEST_FIELDS) - {b"host", b"content-length", b"connection", b"x-request-id"}
_MAX_CONNECTION_OPTIONS: Final = 32

METHODS: Final = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS"})
IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS"})  # RFC 9110 9.2.2

_HOST: Final = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(?::([0-9]{0,5}))?")  # RFC 3986 3.2.2
_ABSOLUTE: Final = re.compile(rb"(?i:https?)://([^/?]*)(.*)", re.DOTALL)
_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VERSION: Final = re.compile(rb"HTTP/[0-9]\.[0-9]")
_REQUEST_ID: Final = re.compile(rb"[\x21-\x7e]{1,128}")
_UNDERSCORED: Final = re.compile(rb"\r\n([^:\r\n]*_[^:\r\n]*):[^\r]*")
_TWICE: Final = {
    b"host": "bad_host", b"content-length": "bad_length", b"transfer-encoding": "bad_transfer_encoding"
}  # fmt: skip
_LISTS: Final = {b"cookie": b"; ", b"connection": b", ", b"x-forwarded-for": b", ", b"te": b", ", b"expect": b", "}


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


class RequestHead(Request, gc=False):
    """A request head that may be carried: what routing sees of the request, and what the proxy needs besides.

    Attributes:
        authority: Host and port as asked for; empty when HTTP/1.0 did not say.
        length: Content length in bytes, or ``CHUNKED``.
        http11: Whether the version is 1.1.
        keep_alive: Whether the caller's connection may carry another request.
        expects: Whether the caller waits for 100 (Continue).
        request_id: ``x-request-id``, if there is a usable one.
        forward: Request line and fields to send on, without the final empty line.
        end: Length of the head as it came, in bytes.
    """

    authority: bytes = b""
    length: int = 0
    http11: bool = True
    keep_alive: bool = True
    expects: bool = False
    request_id: bytes | None = None
    forward: bytes = b""
    end: int = 0


class RequestReader:
    """Reads request heads: one for each table, since the table says which fields its routes need."""

    __slots__ = ("_max_fields", "_names", "_ordinary", "_pattern")

    def __init__(self, names: Iterable[bytes], max_fields: int) -> None:
        """Compile for some lower-case field names and a number of fields that a head may have."""
        self._names = tuple(sorted(names))
        self._pattern = fields_pattern({*REQUEST_FIELDS, *names})
        # A route that reads one of the proxy's own fields is rare enough to read all its requests with care.
        self._ordinary = None if {*names} & {*REQUEST_FIELDS} else _ordinary_pattern(self._names)
        self._max_fields = max_fields

    def ordinary(self, data: bytes, ident: str = "", client: str = "") -> RequestHead | None:
        """Read the head of an ordinary request at the beginning of some bytes.

        Returns:
            None when there is no whole head, or one that ``read`` must judge.
        """
        match = self._ordinary.match(data) if self._ordinary is not None else None
        if match is None:
            return None
        end = match.end()
        if end > 4 * self._max_fields and data.count(b"\r\n", 0, end) - 2 > self._max_fields:
            return None
        method, path, query, authority, host, length, request_id, *values, keep_alive = match.groups()
        fields = {}
        for name, value in zip(self._names, values):  # noqa: B905  # as many by construction, and strict=True costs
            if value is not None:
                fields[name] = value.rstrip(b" \t")
        if keep_alive is None:
            forward = data[: end - 2]
        else:
            start, stop = match.span(8 + len(values))
            forward = data[:start] + data[stop : end - 2]
        return RequestHead(
            ident, method, path, query[1:] if query else b"", host.lower(), client, fields, None, False, None,
            authority, int(length) if length else 0, True, True, False, request_id, forward, end,
        )  # fmt: skip

    def read(self, raw: bytes, ident: str = "", client: str = "") -> RequestHead | Refusal:
        """Read a whole head, from the first byte of the request line to the empty line."""
        head = self._read(raw)
        if isinstance(head, RequestHead):
            head.id = ident
            head.client = client
            head.end = len(raw)
        return head

    def _read(self, raw: bytes) -> RequestHead | Refusal:
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
        if len(raw.translate(None, CONTROLS)) != len(raw):
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
            elif name in SINGLE:
                return Refusal(400, _TWICE[name], f"{name.decode()} appears twice")
            elif name in _LISTS:
                fields[name] += _LISTS[name] + value
            elif name == b"x-request-id":
                fields[name] = b""  # two are none: the target must see one
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
                # RFC 9112 3.2.2: the authority of an absolute target replaces Host, which must be there and valid.
                if http11 and (authority is None or _HOST.fullmatch(authority) is None):
                    return Refusal(400, "bad_host", "the Host field is missing or not HOST or HOST:PORT")
                authority, target = absolute[1], absolute[2]
                if not target.startswith(b"/"):  # RFC 9112 3.2.4: OPTIONS without a path is about the server as a whole
                    target = b"*" if method == b"OPTIONS" and not target else b"/" + target
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
            if len(text) > MAX_LENGTH_DIGITS or not text.isdigit():
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
            named = [name for name in options if name not in OPTIONS]
            if start is not None:
                named.append(b"host")
            if unusable_id:
                named.append(b"x-request-id")
                request_id = None
            if named:
                lines = without(lines, named)
            if b"_" in lines:
                # X_User_Id may be read as X-User-Id behind us: a forged identity. nginx drops these too.
                lines = _UNDERSCORED.sub(b"", lines)
            forward = b"%b%b\r\n" % (start or b"%b %b HTTP/1.1" % (method, target), lines)
        else:
            forward = raw[:-2]
        path, _, query = target.partition(b"?")
        return RequestHead(
            "", method, path, query, host, "", fields, None, False, None, authority or b"", length, http11,
            b"close" not in options if http11 else b"keep-alive" in options, expects, request_id, forward,
        )  # fmt: skip


def _ordinary_pattern(names: tuple[bytes, ...]) -> re.Pattern[bytes]:
    """Compile the grammar of an ordinary request; names are fields whose values are wanted.

    Each alternative of a line is either a field that is read, at most once (a group that is set already fails the
    match), or any field but those that need care.
    """
    careful = trie({*_CAREFUL, b"host", b"content-length", b"connection", b"x-request-id", b"x-router-*", *names})
    lines = [
        rb"(?i:host):[ \t]*+(?(4)(?!))(([A-Za-z0-9._~-]++)(?::[0-9]{1,5})?)[ \t]*+",
        rb"(?i:content-length):[ \t]*+(?(6)(?!))([0-9]{1,%d})[ \t]*+" % MAX_LENGTH_DIGITS,
        rb"(?i:x-request-id):[ \t]*+(?(7)(?!))([\x21-\x7e]{1,128}+)[ \t]*+",
    ]
    for group, name in enumerate(names, start=8):
        lines.append(rb"(?i:%b):[ \t]*+(?(%d)(?!))(%b)" % (re.escape(name), group, VALUE))
    lines.append(rb"(?!(?i:%b):)%b:%b" % (careful, NAME, VALUE))
    keep_alive = 8 + len(names)
    return re.compile(
        rb"(%b) (/[\x21\x22\x24-\x3e\x40-\x7e]*+)(\?[\x21\x22\x24-\x7e]*+)? HTTP/1\.1"
        rb"(?:\r\n(?:%b)|(?(%d)(?!))(\r\n(?i:connection:[ \t]*+keep-alive)[ \t]*+(?=\r)))*+(?(4)|(?!))\r\n\r\n"
        % (b"|".join(sorted(METHODS)), b"|".join(lines), keep_alive)
    )


def refuse_version(version: bytes) -> Refusal:
    """Say what is wrong with a version that is neither 1.0 nor 1.1."""
    if version == b"HTTP/2.0":
        return Refusal(505, "version", "HTTP/2 is not supported; use HTTP/1.1")
    if _VERSION.fullmatch(version) is not None:
        return Refusal(505, "version", "only HTTP/1.1 and HTTP/1.0 are supported")
    return Refusal(400, "bad_request", "the version is malformed")


def judge_start(raw: bytes) -> Refusal | None:
    """Look at the beginning of a head that is not whole yet: refuse at once what can never become one.

    A bare LF, a NUL or a TLS hello would otherwise wait for the header time-out.
    """
    line_end = raw.find(b"\n")
    if BROKEN_LINE.search(raw) is not None:
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


def _cause(error: httptools.HttpParserError) -> str:
    text = str(error)
    if "Transfer-Encoding" in text:
        return "bad_transfer_encoding"
    return "bad_length" if "Content-Length" in text else "bad_request"


_SILENT: Final = Silent()
_REQUEST_LINES: Final = lines_pattern(_REQUEST_CUT)
