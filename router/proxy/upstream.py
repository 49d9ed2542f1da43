"""One connection to an endpoint.

Responsible for: bytes to and from the endpoint, handed to the exchange that has the connection now; and noticing that
an unused connection is of no more use.
Does not know: what the bytes mean, which exchange comes next, or how connections are kept.

Rules: one exchange at a time. Bytes on a connection that nobody uses are an answer nobody asked for: the connection is
closed and they reach no one (aiohttp's pool gave them to the next request: aio-libs/aiohttp#13656).
"""

import asyncio
import select
import socket
import struct
from collections.abc import Callable
from typing import Protocol

_GONE = select.POLLIN | select.POLLHUP | select.POLLERR | select.POLLRDHUP
WRITE_HIGH_BYTES = 64 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, for 0 s


class User(Protocol):
    """Who has a connection."""

    def upstream_data(self, data: bytes) -> None:
        """Take bytes of the response."""

    def upstream_lost(self, error: Exception | None) -> None:
        """The connection ended: with an error, or at the endpoint's wish."""

    def upstream_ended(self) -> bool:
        """The endpoint ended its data in order; return whether to go on sending."""

    def upstream_writable(self, *, writable: bool) -> None:
        """The endpoint stopped, or began again, to take what it is sent."""


def _forget_nothing(_: "Upstream") -> None:
    return


class Upstream(asyncio.Protocol):
    """A connection; made by ``Endpoint`` and given back to it."""

    __slots__ = ("_ended", "_forget", "_poll", "idle_since", "opened", "reading", "secure", "transport", "used", "user")

    def __init__(self, forget: Callable[["Upstream"], None]) -> None:
        # Per connection
        self._forget = forget
        self._poll: select.poll | None = None
        self.transport: asyncio.Transport | None = None
        self._ended = False  # whether the endpoint ended its data in order
        self.secure = False
        self.opened = False  # whether it ever was a connection
        self.used = False  # whether it has served an exchange before
        self.idle_since = 0.0
        # Per exchange
        self.user: User | None = None
        self.reading = True

    # A stream's transport is what asyncio passes here, though it declares any.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Set the connection up."""
        self.transport = transport
        self.opened = True
        self.secure = transport.get_extra_info("sslcontext") is not None
        transport.set_write_buffer_limits(high=WRITE_HIGH_BYTES)
        self._poll = select.poll()
        self._poll.register(transport.get_extra_info("socket").fileno(), _GONE)

    def data_received(self, data: bytes) -> None:
        """Hand bytes to the exchange; without one, they are an answer that nobody asked for."""
        if self.user is not None:
            self.user.upstream_data(data)
        else:
            self.close()

    def eof_received(self) -> bool:
        """Note that the endpoint ended its data in order; the transport closes now, if its user does not object."""
        self._ended = True
        return self.user is not None and self.user.upstream_ended()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the exchange, and the endpoint."""
        self.transport = None
        self._forget(self)
        if exc is None and not self._ended:
            # A TLS connection that ends without close_notify was cut, by whomever (RFC 9112 9.8).
            exc = ConnectionResetError("the connection ended without an end of its data")
        user, self.user = self.user, None
        if user is not None:
            user.upstream_lost(exc)

    def pause_writing(self) -> None:
        """Tell the exchange that the endpoint does not take what it is sent."""
        if self.user is not None:
            self.user.upstream_writable(writable=False)

    def resume_writing(self) -> None:
        """Tell the exchange that the endpoint takes bytes again."""
        if self.user is not None:
            self.user.upstream_writable(writable=True)

    def write(self, data: bytes) -> None:
        """Send bytes; what cannot be sent now is buffered, and ``upstream_writable`` says when to stop."""
        if self.transport is not None:
            self.transport.write(data)

    def read(self, *, on: bool) -> None:
        """Stop or begin again to read, so that a slow caller slows the endpoint down."""
        if self.transport is not None and on != self.reading:
            self.reading = on
            if on:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

    def abandon(self) -> None:
        """Give up a connection that was still being made: nobody hears of it any more.

        A time-out may come in the turn in which it was made. uvloop closes it then without a word to its protocol.
        """
        transport, self.transport = self.transport, None
        self.opened = False
        self._forget = _forget_nothing
        if transport is not None:
            transport.abort()

    def is_stale(self) -> bool:
        """Ask the kernel whether the endpoint has closed, or sent something, since the event loop last looked."""
        return self.transport is None or self.transport.is_closing() or bool(self._poll and self._poll.poll(0))

    def end_data(self) -> None:
        """End what is sent, and go on reading."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write_eof()

    def end(self) -> None:
        """End the connection when everything is sent; its user hears of that."""
        if self.transport is not None:
            self.transport.close()

    def reset(self) -> None:
        """End the connection with an error that the endpoint sees; its user hears no more of it."""
        if self.transport is not None:
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.close()

    def close(self) -> None:
        """End the connection at once; its user, if any, hears no more of it."""
        self.user = None
        if self.transport is not None:
            self.transport.abort()
