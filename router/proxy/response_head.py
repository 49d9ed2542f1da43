"""Response heads: parse, distrust, and cut what must not travel on.

Responsible for: the rules of RFC 9110 and 9112 on the head of a target's answer, as a function from bytes to a frozen
description or to the reason it cannot be trusted.
Does not know: connections, what was asked beyond its method, time.

Rules: as for requests (``heads``). How a body is framed is decided here and nowhere else: httptools cannot be told that
an answer is one to HEAD, nor that the connection ended.
"""

import re
from collections.abc import Iterable
from typing import Final

import httptools
from msgspec import Struct

from router.proxy.grammar import (
    CONTROLS,
    MAX_LENGTH_DIGITS,
    OPTIONS,
    SINGLE,
    VALUE,
    Silent,
    connection_options,
    fields_pattern,
    lines_pattern,
    other_lines,
    without,
)
from router.proxy.upgrade import granted

CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2
_FIELDS: Final = (
    b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"proxy-connection", b"trailer", b"upgrade",
    b"te",
)  # fmt: skip
_CUT: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"trailer", b"upgrade", b"te", b"transfer-encoding"}
)
KNOWN_HEADS: Final = 256  # kept of late, each of at most KNOWN_BYTES
KNOWN_BYTES: Final = 1024
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [^\r]*)?")


class ResponseHead(Struct, frozen=True, gc=False):
    """A response head that may be carried.

    ``length``: content length in bytes, -1 chunked, -2 until the connection closes. ``forward``: status line and fields
    without framing by ``Transfer-Encoding`` and without the final empty line. ``end``: bytes of the head as it came.
    ``upgrade``: what a 101 switches to, as the target wrote it.
    """

    status: int
    length: int
    keep_alive: bool
    forward: bytes
    end: int
    upgrade: tuple[bytes, ...] = ()


class ResponseReader:
    """Reads response heads. ``hide`` are fields of the target's answer that the router sets itself."""

    __slots__ = ("_cut", "_known", "_lines", "_ordinary", "_pattern")

    def __init__(self, hide: Iterable[bytes] = ()) -> None:
        self._cut = _CUT.union(hide)
        self._lines = lines_pattern(self._cut)
        self._pattern = fields_pattern({*_FIELDS, *hide})
        self._ordinary = _ordinary_pattern(self._cut)
        self._known: dict[bytes, ResponseHead] = {}

    def ordinary(self, data: bytes) -> ResponseHead | None:
        """Read the head of an ordinary answer, of stated length and not to HEAD, at the beginning of some bytes.

        Under load, answers of one length differ in their date at most, so that within a second their heads are the
        same bytes: those read of late are kept, which costs 0.3 µs where reading costs 1.5.

        Returns:
            None when there is no whole head, or one that ``read`` must judge.
        """
        raw = data[: data.find(b"\r\n\r\n") + 4]
        known = self._known.get(raw)
        if known is not None:
            return known
        match = self._ordinary.match(data)
        if match is None:
            return None
        status, length, keep_alive = match.groups()
        end = match.end()
        if keep_alive is None:
            forward = data[: end - 2]
        else:
            start, stop = match.span(3)
            forward = data[: start - 2] + data[stop : end - 2]
        head = ResponseHead(int(status), int(length), True, forward, end)
        if end <= KNOWN_BYTES:
            if len(self._known) >= KNOWN_HEADS:
                self._known.clear()
            self._known[raw] = head
        return head

    def read(self, raw: bytes, method: bytes) -> ResponseHead | str:
        """Read a whole head; a string says why the answer cannot be trusted."""
        line_end = raw.find(b"\r\n")
        line = _STATUS_LINE.fullmatch(raw, 0, line_end)
        if line is None:
            return "the status line is malformed"
        fault = _syntax_fault(raw)
        if fault is not None:
            return fault
        status = int(line[2])
        http11 = line[1] == b"1"
        fields: dict[bytes, bytes] = {}
        cut = False
        for name, value in self._pattern.findall(raw):
            name = name.lower()  # noqa: PLW2901  # the name as sent is of no use
            cut = cut or name in self._cut or name.startswith(b"x-router-")
            if name not in fields:
                fields[name] = value.rstrip(b" \t")
            elif name in SINGLE:
                return f"{name.decode()} appears twice"
            else:
                fields[name] += b", " + value
        options = connection_options(fields.get(b"connection", b""))
        length = _response_length(status, method, fields, http11=http11)
        if isinstance(length, str):
            return length
        named = [name for name in options if name not in OPTIONS]
        if status < 200 or status == 204:  # RFC 9110 8.6: no Content-Length in 1xx and 204
            named.append(b"content-length")
        lines = self._lines.sub(b"", raw[line_end:-4]) if cut else raw[line_end:-4]
        if named:
            lines = without(lines, named)
        keep_alive = b"close" not in options if http11 else b"keep-alive" in options
        upgrade = granted(fields, options) if status == 101 and http11 else ()
        forward = b"HTTP/1.1%b%b\r\n" % (raw[8:line_end], lines)
        return ResponseHead(status, length, keep_alive, forward, len(raw), upgrade)


def _syntax_fault(raw: bytes) -> str | None:
    """Say what is wrong with the syntax of a head."""
    try:
        httptools.HttpResponseParser(_SILENT).feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass  # 101 is judged by the exchange, which knows whether it was asked for
    except httptools.HttpParserError as error:
        return str(error)
    return None if len(raw.translate(None, CONTROLS)) == len(raw) else "the head has control characters"


def _ordinary_pattern(cut: Iterable[bytes]) -> re.Pattern[bytes]:
    """Compile the grammar of an ordinary answer: nothing in it but its length concerns the connection."""
    lines = [
        other_lines({*cut, *_FIELDS}),
        rb"(?i:content-length):[ \t]*+(?(2)(?!))([0-9]{1,%d})[ \t]*+" % MAX_LENGTH_DIGITS,
        rb"(?(3)(?!))((?i:connection:[ \t]*+keep-alive)[ \t]*+)",
    ]
    return re.compile(
        rb"HTTP/1\.1 (20[0-35-9]|[45][0-9][0-9])(?: %b)?(?:\r\n(?:%b))*(?(2)|(?!))\r\n\r\n" % (VALUE, b"|".join(lines))
    )


def _response_length(status: int, method: bytes, fields: dict[bytes, bytes], *, http11: bool) -> int | str:
    """Apply RFC 9112 6.3 to a response: length in bytes, -1 chunked, -2 until close; a string says what is wrong."""
    coding = fields.get(b"transfer-encoding")
    text = fields.get(b"content-length")
    if text is not None and (len(text) > MAX_LENGTH_DIGITS or not text.isdigit()):
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


_SILENT: Final = Silent()
