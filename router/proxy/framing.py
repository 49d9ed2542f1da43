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
# RFC 9112 7.1.1: chunk-ext starts with ";", after optional ("bad") white space. Controls, bare CR and LF, never.
_EXTENDED_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})([ \t]*;[^\x00-\x08\x0a-\x1f\x7f]*)\r\n")
_SIZE_PREFIX: Final = re.compile(rb"[0-9A-Fa-f]{1,16}(?:\r|[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*\r?)?)?")
_TRAILER_LINE: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\x00-\x08\x0a-\x1f\x7f]*")

MAX_LINE: Final = 4096  # one size line with its extension, or one trailer line
MAX_EXTENSIONS: Final = 16 * 1024  # all extensions of a body together (precedent: hyper caps them at 16 KiB)
MAX_TRAILERS: Final = 16 * 1024  # all trailer lines of a body together

_SIZE, _DATA, _DATA_END, _TRAILERS = range(4)


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
        """Go through bytes part by part: ``out`` is what is forwarded so far, ``kept`` where the rest of it begins."""
        data = self._held + data
        self._held = b""
        out: list[bytes] = []
        at = kept = 0
        while at < len(data):
            if self._state == _DATA:
                at = self._take_data(data, at)
                continue
            end = self._line_end(data, at)
            if end < 0:  # the beginning of a line is kept until the rest of it comes
                self._held = data[at:]
                data = data[:at]
                break
            if self._state == _DATA_END:
                self._state = _SIZE
            elif self._state == _SIZE:
                extension = self._take_size(data, at, end)
                out.append(data[kept : end - 2 - extension])
                kept = end - 2 if self._left else end
                if not self._left:
                    out.append(b"\r\n")
            elif self._take_trailer(data, at, end - 2):
                out.append(b"\r\n")
                self.done = True
                self.rest = data[end:]
                return b"".join(out)
            at = end
        if (
            self._state != _TRAILERS
        ):  # trailers are not forwarded; the end of the last chunk goes with the end of the body
            out.append(data[kept:])
        return b"".join(out)

    def _line_end(self, data: bytes, at: int) -> int:
        """Return where the line ends, CRLF included; -1 when it is not whole yet but may become so."""
        if self._state == _DATA_END:
            if data.startswith(b"\r\n", at):
                return at + 2
            if data[at:] != b"\r":
                raise FramingError("a chunk is not followed by CRLF")
            return -1
        end = data.find(b"\r\n", at)
        if (end if end >= 0 else len(data)) - at > MAX_LINE:
            raise FramingError("a line is too long")
        if end >= 0:
            return end + 2
        if self._state == _SIZE and _SIZE_PREFIX.fullmatch(data, at) is None:
            raise FramingError("a chunk size is malformed")
        if b"\n" in data[at:]:
            raise FramingError("a trailer line is malformed")
        return -1

    def _take_size(self, data: bytes, at: int, end: int) -> int:
        """Read a size line and return how many bytes of it are extensions."""
        line = _SIZE_LINE.match(data, at) or _EXTENDED_LINE.match(data, at)
        if line is None or line.end() != end:
            raise FramingError("a chunk size is malformed")
        extension = len(line[2]) if line.lastindex == 2 else 0
        self._extensions += extension
        if self._extensions > MAX_EXTENSIONS or extension > MAX_LINE:
            raise FramingError("chunk extensions are too long")
        self._left = int(line[1], 16)
        self._state = _DATA if self._left else _TRAILERS
        return extension

    def _take_data(self, data: bytes, at: int) -> int:
        end = min(len(data), at + self._left)
        self.payload += end - at
        self._left -= end - at
        if self.pieces is not None:
            self.pieces.append(data[at:end])
        if not self._left:
            self._state = _DATA_END
        return end

    def _take_trailer(self, data: bytes, at: int, end: int) -> bool:
        """Check a line behind the last chunk; true for the empty one, the end."""
        if end == at:
            return True
        self._trailers += end - at
        if self._trailers > MAX_TRAILERS:
            raise FramingError("trailers are too long")
        # RFC 9110 6.5.1: a trailer must not be merged into the header; it is dropped, so only its form is checked.
        if _TRAILER_LINE.fullmatch(data, at, end) is None:
            raise FramingError("a trailer line is malformed")
        return False
