"""The two bodies of an exchange, when they do not come in one piece with their heads.

Responsible for: how many bytes are still to come, what of them is forwarded, what came behind, and whether an end is
one.
Does not know: connections.

Rules: a body leaves framed as its receiver needs it: a length stays a length, chunks stay chunks for HTTP/1.1 and are
opened for HTTP/1.0, and what ends with the connection is given chunks, so that a cut can be told from an end.
"""

from typing import Final

from router.proxy.framing import Chunked

CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2
LAST_CHUNK: Final = b"0\r\n\r\n"


class TooLargeError(ValueError):
    """The body is larger than allowed."""


class Upload:
    """A request body. ``length`` in bytes, or ``CHUNKED``; ``limit`` in bytes of content."""

    __slots__ = ("_chunked", "_left", "_limit", "done", "received", "rest")

    def __init__(self, length: int, limit: int) -> None:
        self._left = length
        self._limit = limit
        self._chunked = Chunked() if length == CHUNKED else None
        self.received = 0
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """Take bytes and return those to forward.

        Raises:
            FramingError: the body is not chunked although it should be.
            TooLargeError: the body is larger than the limit.
        """
        if self._chunked is not None:
            out = self._chunked.feed(data)
            self.received = self._chunked.payload
            if self.received > self._limit:
                raise TooLargeError
            if self._chunked.done:
                self.done = True
                self.rest = self._chunked.rest
            return out
        size = len(data)
        if size < self._left:
            self._left -= size
            self.received += size
            return data
        self.received += self._left
        self.done = True
        if size == self._left:
            return data
        self.rest = data[self._left :]
        return data[: self._left]


class Download:
    """A response body.

    ``length``: bytes, ``CHUNKED`` or ``UNTIL_CLOSE``. ``http11``: whether the caller knows chunks.
    """

    __slots__ = ("_chunked", "_left", "_until_close", "_wrap", "done", "surplus")

    def __init__(self, length: int, *, http11: bool) -> None:
        self._left = length
        self._chunked = Chunked(collect=not http11) if length == CHUNKED else None
        self._until_close = length == UNTIL_CLOSE
        self._wrap = self._until_close and http11
        self.done = False
        self.surplus = False

    def feed(self, data: bytes) -> bytes:
        """Take bytes and return those to forward.

        Raises:
            FramingError: the body is not chunked although it should be.
        """
        chunked = self._chunked
        if chunked is not None:
            out = chunked.feed(data)
            if chunked.done:
                self.done = True
                self.surplus = bool(chunked.rest)
            if chunked.pieces is not None:
                out = b"".join(chunked.pieces)
                chunked.pieces.clear()
            return out
        if self._until_close:
            return b"%x\r\n%b\r\n" % (len(data), data) if self._wrap and data else data
        size = len(data)
        if size < self._left:
            self._left -= size
            return data
        self.done = True
        if size == self._left:
            return data
        self.surplus = True
        return data[: self._left]

    def end(self) -> bytes | None:
        """The connection ended: return what completes the body for the caller, or None if it was cut."""
        if not self._until_close:
            return None
        return LAST_CHUNK if self._wrap else b""


def chunked_content(body: bytes) -> bytes:
    """Return the content of a whole chunked body that was read before."""
    chunked = Chunked(collect=True)
    chunked.feed(body)
    return b"".join(chunked.pieces or ())
