"""One HTTP/1.1 connection as a client: a request out, a whole answer in, again.

Responsible for: finding the end of an answer under every framing (length, chunked, end of connection, HEAD, 1xx), and
telling its owner how the request ended, once.
Does not know: schedules, latencies, or what becomes of a failure.

Rules: an answer that is cut short is a failure, never an answer; bodies are counted and not kept.
"""

import asyncio
import re
from typing import Final, Protocol, cast

import httptools

_FRAMED: Final = re.compile(rb"\r\n(?:content-length|transfer-encoding)[ \t]*:", re.IGNORECASE)
_LARGEST_HEAD_BYTES: Final = 256 * 1024


def final_head(data: bytes) -> bytes:
    """Return the head of the final answer, with the heads of interim ones (1xx) passed over."""
    while True:
        head, _, rest = data.partition(b"\r\n\r\n")
        if head[9:10] != b"1":
            return head
        data = rest


class Owner(Protocol):
    """Who is told how requests end."""

    head_only: bool

    def answered(self, connection: "Connection", status: int) -> None:
        """Take note of a whole answer; the connection may be ``usable`` for another request."""

    def broken(self, connection: "Connection", cause: str | None) -> None:
        """Take note that the connection is gone; ``cause`` says why a request failed, None that none was running."""

    def received(self, size: int) -> None:
        """Take note of bytes that came."""


class Connection(asyncio.Protocol):
    """A connection of the generator."""

    # Per connection: owner, parser, transport, usable. Per request: the others.
    __slots__ = (
        "busy",
        "complete",
        "delimited",
        "head",
        "intended",
        "owner",
        "parser",
        "sent",
        "status",
        "transport",
        "usable",
    )

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.parser = httptools.HttpResponseParser(self)
        self.transport: asyncio.Transport | None = None
        self.usable = False
        self.busy = False
        self.complete = False
        self.delimited = False
        self.head: bytes | None = None
        self.intended = 0.0
        self.sent = 0.0
        self.status = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Become usable."""
        self.transport = cast("asyncio.Transport", transport)
        self.usable = True

    def send(self, request: bytes, intended: float, now: float) -> None:
        """Send a request; the owner hears of its end exactly once."""
        assert self.transport is not None  # noqa: S101 - a connection is given out only once it is made
        self.busy = True
        self.complete = False
        self.delimited = False
        self.status = 0
        self.head = b""
        self.intended = intended
        self.sent = now
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; it calls ``on_message_complete`` at the end of the answer."""
        self.owner.received(len(data))
        if not self.busy:
            self.fail("unexpected bytes")
            return
        if self.head is not None:
            self.head += data
            if len(self.head) > _LARGEST_HEAD_BYTES:
                self.fail("malformed answer")
                return
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.usable = self.usable and not self.complete
            if not self.complete:
                self.fail("malformed answer")
                return
        if self.complete:
            self.finish()

    def on_headers_complete(self) -> None:
        """Note the status, and how the end of the answer will be known."""
        status = self.parser.get_status_code()
        if status < 200 or self.head is None:
            return
        self.status = status
        if not self.parser.should_keep_alive():
            self.usable = False
            self.delimited = not _FRAMED.search(final_head(self.head))
        self.head = None
        if self.owner.head_only:
            # Whatever length it names, the answer has no body (RFC 9110, section 9.3.2); the parser cannot be told.
            self.parser = httptools.HttpResponseParser(self)
            self.complete = True

    def on_message_complete(self) -> None:
        """Note the end of the answer; interim answers (1xx) have ends too and are passed over."""
        if not self.owner.head_only and self.parser.get_status_code() >= 200:
            self.complete = True

    def finish(self) -> None:
        """Hand the answer to the owner, who may send the next request at once if the connection is still usable."""
        self.busy = self.complete = False
        if not self.usable:
            self.close()
        self.owner.answered(self, self.status)

    def fail(self, cause: str | None) -> None:
        """Close, and tell the owner once."""
        failed = self.busy
        self.busy = False
        known = self.usable or failed
        self.close()
        if known:
            self.owner.broken(self, cause if failed else None)

    def close(self) -> None:
        """Close without waiting for anything."""
        self.usable = False
        if self.transport is not None:
            self.transport.abort()

    def eof_received(self) -> None:
        """Let the transport close: the end of the connection may be the end of the answer."""

    def connection_lost(self, error: Exception | None) -> None:
        """Tell a finished close-delimited answer from a broken one (RFC 9112, section 6.3, rule 8)."""
        if self.busy and self.delimited and error is None:
            self.finish()
        else:
            self.fail("connection closed")
