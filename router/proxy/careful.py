"""Request heads that are not ordinary: read with care, and refused when in doubt.

Responsible for: the rules of RFC 9110 and 9112 on one head, each beside the sentence that asks for it; cutting what
must not travel on; and refusing the beginning of a head that can never become one.
Does not know: connections, routes, time.

Rules: llhttp (httptools) judges the syntax; what it lets through although it must not is checked here. A rule that is
broken raises within this module and comes out as a ``Refusal``.
"""

import re
from typing import Final, NamedTuple

import httptools

from router.proxy.grammar import (
    BROKEN_LINE,
    CONTROLS,
    MAX_LENGTH_DIGITS,
    OPTIONS,
    SINGLE,
    Silent,
    connection_options,
    lines_pattern,
    without,
)
from router.proxy.request_head import CHUNKED, METHODS, Refusal, RequestHead
from router.proxy.upgrade import asked, upgrade_lines

# Fields of a request that never travel on: hop-by-hop (RFC 9110 7.6.1), or set anew by us.
_CUT: Final = frozenset(
    {
        b"connection", b"expect", b"upgrade", b"te", b"keep-alive", b"proxy-connection", b"trailer", b"http2-settings",
        b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host",
    }
)  # fmt: skip
_MAX_CONNECTION_OPTIONS: Final = 32
_HOST: Final = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(?::([0-9]{0,5}))?")  # RFC 3986 3.2.2
_ABSOLUTE: Final = re.compile(rb"(?i:https?)://([^/?]*)(.*)", re.DOTALL)
_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VERSION: Final = re.compile(rb"HTTP/[0-9]\.[0-9]")
_REQUEST_ID: Final = re.compile(rb"[\x21-\x7e]{1,128}")
_UNDERSCORED: Final = re.compile(rb"\r\n([^:\r\n]*_[^:\r\n]*):[^\r]*")
_TWICE: Final = {
    b"host": "bad_host", b"content-length": "bad_length", b"transfer-encoding": "bad_transfer_encoding"
}  # fmt: skip
# Fields whose lines are one value when joined; of all others the first counts.
_LISTS: Final = {
    b"cookie": b"; ", b"connection": b", ", b"x-forwarded-for": b", ", b"te": b", ", b"expect": b", ",
    b"upgrade": b", ",
}  # fmt: skip


class _Line(NamedTuple):
    """The request line; ``rewritten`` is what goes out in place of it and Host, when that is not what came in."""

    method: bytes
    target: bytes
    http11: bool
    rewritten: bytes | None = None


class _RefusedError(Exception):
    """A rule is broken."""

    def __init__(self, status: int, cause: str, detail: str) -> None:
        super().__init__(detail)
        self.refusal = Refusal(status, cause, detail)


def read(raw: bytes, pattern: re.Pattern[bytes], max_fields: int) -> RequestHead | Refusal:
    """Read a whole head, from the first byte of the request line to the empty line.

    Args:
        raw: The head.
        pattern: Finds the fields that are wanted, and those of the proxy itself (``grammar.fields_pattern``).
        max_fields: How many fields a head may have.
    """
    try:
        return _read(raw, pattern, max_fields)
    except _RefusedError as error:
        return error.refusal


def _read(raw: bytes, pattern: re.Pattern[bytes], max_fields: int) -> RequestHead:
    line_end = raw.find(b"\r\n")
    line = _request_line(raw[:line_end])
    _check_syntax(raw, max_fields)
    fields = _fields(raw, pattern)
    line = _resolve_target(line, fields)
    authority = fields.get(b"host")
    length = _length(fields, http11=line.http11)
    options = connection_options(fields.get(b"connection", b""))
    if len(options) > _MAX_CONNECTION_OPTIONS:
        raise _RefusedError(400, "bad_request", "too many Connection options")
    request_id = fields.get(b"x-request-id")
    if request_id is not None and _REQUEST_ID.fullmatch(request_id) is None:
        request_id = None
    path, _, query = line.target.partition(b"?")
    upgrade = asked(fields, options, length) if line.http11 else ()
    forward = _forward(raw, line, fields, options) + upgrade_lines(upgrade)
    return RequestHead(
        "", line.method, path, query, _host(authority, http11=line.http11), "", fields, None, False, None, None, 0.0,
        None, authority or b"", length, line.http11,
        b"close" not in options if line.http11 else b"keep-alive" in options,
        _expects(fields, http11=line.http11) and length != 0, request_id, forward, len(raw),
        frozenset(protocol.lower() for protocol in upgrade),
    )  # fmt: skip


def _request_line(line: bytes) -> _Line:
    parts = line.split(b" ")
    if len(parts) != 3:
        raise _RefusedError(400, "bad_request", "the request line is not METHOD TARGET VERSION")
    method, target, version = parts
    if version not in {b"HTTP/1.1", b"HTTP/1.0"}:
        raise _wrong_version(version)
    if method not in METHODS:
        if _TOKEN.fullmatch(method) is None:
            raise _RefusedError(400, "bad_request", "the method is not a token")
        raise _RefusedError(501, "method", "this method is not supported")
    return _Line(method, target, version == b"HTTP/1.1")


def _check_syntax(raw: bytes, max_fields: int) -> None:
    try:
        httptools.HttpRequestParser(_SILENT).feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass  # whether it may ask is judged below, whether it gets it by the target
    except httptools.HttpParserError as error:
        text = str(error)
        cause = "bad_length" if "Content-Length" in text else "bad_request"
        cause = "bad_transfer_encoding" if "Transfer-Encoding" in text else cause
        raise _RefusedError(400, cause, f"the request head is malformed: {text}") from error
    if len(raw.translate(None, CONTROLS)) != len(raw):
        raise _RefusedError(400, "bad_request", "the request head has control characters")
    if raw.count(b"\r\n") - 2 > max_fields:
        raise _RefusedError(431, "too_many_headers", f"more than {max_fields} header fields")


def _fields(raw: bytes, pattern: re.Pattern[bytes]) -> dict[bytes, bytes]:
    fields: dict[bytes, bytes] = {}
    for found, text in pattern.findall(raw):
        name = found.lower()
        value = text.rstrip(b" \t")  # RFC 9110 5.5: white space around a value is not part of it
        if name not in fields:
            fields[name] = value
        elif name in SINGLE:
            raise _RefusedError(400, _TWICE[name], f"{name.decode()} appears twice")
        elif name in _LISTS:
            fields[name] += _LISTS[name] + value
        elif name == b"x-request-id":
            fields[name] = b""  # two are none: the target must see one
    return fields


def _resolve_target(line: _Line, fields: dict[bytes, bytes]) -> _Line:
    """Bring the request target to a path; the authority of an absolute one replaces Host (RFC 9112 3.2.2)."""
    method, target, http11, _ = line
    if b"#" in target:
        raise _RefusedError(400, "bad_request", "the request target has a fragment")  # RFC 9112 3.2
    if target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"):
        return line if http11 else line._replace(rewritten=b"%b %b HTTP/1.1" % (method, target))
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise _RefusedError(400, "bad_request", "the request target is neither a path nor a URL")
    _host(fields.get(b"host"), http11=http11)  # it must be there and valid, although it does not count
    authority, target = absolute[1], absolute[2]
    if not target.startswith(b"/"):  # RFC 9112 3.2.4: OPTIONS without a path is about the server as a whole
        target = b"*" if method == b"OPTIONS" and not target else b"/" + target
    fields[b"host"] = authority
    return _Line(method, target, http11, b"%b %b HTTP/1.1\r\nHost: %b" % (method, target, authority))


def _host(authority: bytes | None, *, http11: bool) -> bytes:
    """Return the host in lower case; empty when HTTP/1.0 did not name one."""
    if authority is None:
        if http11:
            raise _RefusedError(400, "bad_host", "the Host field is missing")  # RFC 9112 3.2
        return b""
    match = _HOST.fullmatch(authority)
    if match is None:
        raise _RefusedError(400, "bad_host", "the Host field is not HOST or HOST:PORT")
    return match[1].lower()


def _length(fields: dict[bytes, bytes], *, http11: bool) -> int:
    """Return the length of the body (RFC 9112 6.3)."""
    text = fields.get(b"content-length")
    coding = fields.get(b"transfer-encoding")
    if coding is not None:
        if not http11:  # RFC 9112 6.1: the framing of such a message is faulty
            raise _RefusedError(400, "bad_transfer_encoding", "Transfer-Encoding in an HTTP/1.0 request")
        if text is not None:
            raise _RefusedError(400, "bad_length", "both Content-Length and Transfer-Encoding")
        if coding.lower() != b"chunked":
            raise _RefusedError(501, "bad_transfer_encoding", "a transfer coding other than chunked")
        return CHUNKED
    if text is None:
        return 0
    if len(text) > MAX_LENGTH_DIGITS or not text.isdigit():
        raise _RefusedError(400, "bad_length", "Content-Length is not a number")
    return int(text)


def _expects(fields: dict[bytes, bytes], *, http11: bool) -> bool:
    """Return whether the caller waits for 100 (RFC 9110 10.1.1; from HTTP/1.0 the field is ignored)."""
    if not http11 or b"expect" not in fields:
        return False
    if fields[b"expect"].lower() != b"100-continue":
        raise _RefusedError(417, "expectation", "an expectation other than 100-continue")
    return True


def _forward(raw: bytes, line: _Line, fields: dict[bytes, bytes], options: tuple[bytes, ...]) -> bytes:
    """Return request line and fields without what must not travel on."""
    line_end = raw.find(b"\r\n")
    lines = raw[line_end:-4]
    if any(name in _CUT or name.startswith(b"x-router-") for name in fields):
        lines = _CUT_LINES.sub(b"", lines)
    named = [name for name in options if name not in OPTIONS]
    if line.rewritten is not None and b"\r\n" in line.rewritten:
        named.append(b"host")
    request_id = fields.get(b"x-request-id")
    if request_id is not None and _REQUEST_ID.fullmatch(request_id) is None:
        named.append(b"x-request-id")
    if named:
        lines = without(lines, named)
    if b"_" in lines:
        # X_User_Id may be read as X-User-Id behind us: a forged identity. nginx drops these too.
        lines = _UNDERSCORED.sub(b"", lines)
    return b"%b%b\r\n" % (line.rewritten or raw[:line_end], lines)


def _wrong_version(version: bytes) -> _RefusedError:
    if version == b"HTTP/2.0":
        return _RefusedError(505, "version", "HTTP/2 is not supported; use HTTP/1.1")
    if _VERSION.fullmatch(version) is not None:
        return _RefusedError(505, "version", "only HTTP/1.1 and HTTP/1.0 are supported")
    return _RefusedError(400, "bad_request", "the version is malformed")


def judge_start(raw: bytes, seen: int = 0) -> Refusal | None:
    """Look at the beginning of a head that is not whole yet: refuse at once what can never become one.

    A bare LF, a NUL or a TLS hello would otherwise wait for the header time-out.

    Args:
        raw: The beginning.
        seen: How many bytes of it were judged before.
    """
    if BROKEN_LINE.search(raw, max(0, seen - 1)) is not None:
        return Refusal(400, "bad_request", "the request head has a bare line feed or a NUL")
    if _TOKEN.match(raw) is None:
        return Refusal(400, "bad_request", "this is not an HTTP request")
    line_end = raw.find(b"\r\n")
    if line_end >= 0:
        try:
            _request_line(raw[:line_end])
        except _RefusedError as error:
            return error.refusal
    return None


_SILENT: Final = Silent()
_CUT_LINES: Final = lines_pattern(_CUT)
