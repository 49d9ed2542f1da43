"""Where a message body ends (RFC 9112 section 6 and 7).

Responsible for: walking a chunked body in whatever pieces it arrives, refusing what is not exactly chunked, and giving
back bytes that may be forwarded as they are.
Does not know: connections, heads, or who sends.

Rules: what comes out is what came in, minus chunk extensions and trailers, which no one downstream of us needs and
which have carried smuggling attacks; nothing is forwarded that was not understood; the memory held is one size line.
"""

import re
from typing import Final

# RFC 9112 7.1: chunk-size is 1*HEXDIG. Sixteen digits are 64 bits, far past any limit on a body.
_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})\r\n")
# RFC 9112 7.1.1: chunk-ext starts with ";", after optional ("bad") white space. Controls, bare CR and LF included, never.
_EXTENDED_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})([ \t]*;[^\x00-\x08\x0a-\x1f\x7f]*)\r\n")
_SIZE_PREFIX: Final = re.compile(rb"[0-9A-Fa-f]{1,16}(?:\r|[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*\r?)?)?")
_TRAILER_LINE: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\x00-\x08\x0a-\x1f\x7f]*")

MAX_LINE: Final = 4096  # one size line with its extension, or one trailer line
MAX_EXTENSIONS: Final = 16 * 1024  # all extensions of a body together (precedent: hyper caps them at 16 KiB)
MAX_TRAILERS: Final = 16 * 1024  # all trailer lines of a body together

_SIZE, _DATA, _DATA_END, _TRAILERS, _DONE = range(5)


class FramingError(ValueError):
    """The bytes are not a chunked body."""


class Chunked:
    """An incremental reader of one chunked body.

    ``feed`` takes bytes as they come and returns the bytes to forward. After ``done`` is true, ``rest`` holds what came
    behind the body. ``payload`` counts the bytes of content; ``pieces``, when it is a list, collects them.
    """

    __slots__ = ("_extensions", "_held", "_left", "_state", "_trailers", "done", "payload", "pieces", "rest")

    def __init__(self, *, collect: bool = False) -> None:
        self._state = _SIZE
        self._held = b""
        self._left = 0
        self._extensions = 0
        self._trailers = 0
        self.payload = 0
        self.pieces: list[bytes] | None = [] if collect else None
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes and return those to forward.

        Raises:
            FramingError: the bytes cannot belong to a chunked body.
        """
        if self._state == _SIZE and not self._held and self.pieces is None:
            # A streamed event is one chunk in one packet: the whole of this method in the common case.
            line = _SIZE_LINE.match(data)
            if line is not None:
                size = int(line[1], 16)
                if size and line.end() + size + 2 == len(data) and data.endswith(b"\r\n"):
                    self.payload += size
                    return data
        return self._walk(data)

    def _walk(self, data: bytes) -> bytes:
        if self._held:
            data = self._held + data
            self._held = b""
        out: list[bytes] = []
        at = 0  # next byte to look at
        kept = 0  # everything before this byte is already in `out` or was cut
        while at < len(data) and self._state != _DONE:
            if self._state == _DATA:
                at = self._take_data(data, at)
            elif self._state == _DATA_END:
                end = data[at : at + 2]
                if end == b"\r\n":
                    at += 2
                    self._state = _SIZE
                elif end == b"\r":
                    return self._hold(out, data, kept, at)
                else:
                    raise FramingError("a chunk is not followed by CRLF")
            elif self._state == _SIZE:
                line = _SIZE_LINE.match(data, at) or _EXTENDED_LINE.match(data, at)
                if line is None:
                    self._check_partial_size(data, at)
                    return self._hold(out, data, kept, at)
                if line.lastindex == 2:
                    self._extensions += len(line[2])
                    if self._extensions > MAX_EXTENSIONS or len(line[2]) > MAX_LINE:
                        raise FramingError("chunk extensions are too long")
                    out.append(data[kept : line.end(1)])
                    kept = line.end(2)
                at = line.end()
                self._left = int(line[1], 16)
                self._state = _DATA if self._left else _TRAILERS
                if not self._left:
                    out.append(data[kept:at])
                    kept = at
            else:
                end_of_line = data.find(b"\r\n", at)
                if end_of_line < 0:
                    if len(data) - at > MAX_LINE or b"\n" in data[at:]:
                        raise FramingError("a trailer line is malformed")
                    self._held = data[at:]
                    return b"".join(out)
                at = self._take_trailer(data, at, end_of_line)
                kept = at - 2 if self._state == _DONE else at
        if self._state == _DONE:
            self.done = True
            self.rest = data[at:]
        if not out:
            return data if kept == 0 and at == len(data) else data[kept:at]
        out.append(data[kept:at])
        return b"".join(out)

    def _take_data(self, data: bytes, at: int) -> int:
        end = min(len(data), at + self._left)
        self.payload += end - at
        self._left -= end - at
        if self.pieces is not None:
            self.pieces.append(data[at:end])
        if not self._left:
            self._state = _DATA_END
        return end

    def _take_trailer(self, data: bytes, at: int, end: int) -> int:
        if end == at:
            self._state = _DONE
            return end + 2
        self._trailers += end - at
        if self._trailers > MAX_TRAILERS:
            raise FramingError("trailers are too long")
        # RFC 9110 6.5.1: a trailer must not be merged into the header; it is dropped, so only its form is checked.
        if _TRAILER_LINE.fullmatch(data, at, end) is None:
            raise FramingError("a trailer line is malformed")
        return end + 2

    @staticmethod
    def _check_partial_size(data: bytes, at: int) -> None:
        if len(data) - at > MAX_LINE or _SIZE_PREFIX.fullmatch(data, at) is None:
            raise FramingError("a chunk size is malformed")

    def _hold(self, out: list[bytes], data: bytes, kept: int, at: int) -> bytes:
        """Keep the incomplete line for the next bytes; forward what lies before it."""
        self._held = data[at:]
        out.append(data[kept:at])
        return b"".join(out)
