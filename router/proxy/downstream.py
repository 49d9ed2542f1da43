"""One caller connection.

Responsible for: finding request heads in the bytes, one exchange after another (pipelined ones wait their turn), the
time a caller may take, and how a connection ends.
Does not know: what an exchange does with a request.

Rules: nothing of a request that cannot be trusted goes anywhere: it is answered, counted by cause, and the connection
ends. A last answer is not lost to a reset: what the caller still sends is read and thrown away for a moment
(RFC 9112 9.6). What is held of a caller's bytes is bounded by one head, or one read behind an exchange.
"""

import asyncio
import socket
import struct
from random import getrandbits
from time import monotonic
from typing import TYPE_CHECKING, Final

from router.proxy import gather, problem
from router.proxy.careful import judge_start
from router.proxy.deadlines import NEVER
from router.proxy.record import REFUSAL_WORD
from router.proxy.request_head import Refusal, RequestHead
from router.proxy.signing import FIELD

if TYPE_CHECKING:
    from router.proxy.exchange import Exchange
    from router.proxy.server import Server
    from router.proxy.tunnel import Tunnel

WRITE_HIGH_BYTES: Final = 64 * 1024
HELD_BYTES: Final = 64 * 1024  # bytes behind an exchange under way; the caller is not read beyond
CORK_BYTES: Final = 4096  # a streamed event; more is part of a large body
MAX_REQUEST_LINE: Final = 16 * 1024
MAX_LEADING_CRLF: Final = 2  # RFC 9112 2.2: at least one empty line before a request is ignored
LINGER_S: Final = 2.0
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # SO_LINGER on, for 0 s

IDLE, READING, EXCHANGE, LINGER, CLOSED, TUNNEL = range(6)


class Downstream(asyncio.Protocol):
    """A caller connection; a ``deadlines.Item``."""

    __slots__ = (
        "_blanks", "_forwarded", "_unread_since", "client", "deadline", "due", "exchange", "held", "paused",
        "peer_trusted", "reading", "secure", "server", "state", "transport", "tunnel", "writable",
    )  # fmt: skip

    transport: asyncio.Transport

    def __init__(self, server: "Server") -> None:
        # Per worker
        self.server = server
        # Per connection
        self.deadline = NEVER
        self.due = NEVER
        self.client = ""
        self.peer_trusted = False
        self.secure = False
        self._forwarded = b""
        self.state = IDLE
        self.reading = True
        self.paused = 0.0  # seconds in which it was not read, since the body under way began
        self._unread_since = 0.0
        self.writable = True
        self.tunnel: Tunnel | None = None
        # Per request
        self.exchange: Exchange | None = None
        self.held = b""
        self._blanks = 0

    # --- the connection ---------------------------------------------------------------------------------------

    # A stream's transport is what asyncio passes here, though it declares any.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, or close it when there are too many."""
        self.transport = transport
        server = self.server
        if not server.admit(self):
            self.state = CLOSED
            transport.abort()
            return
        transport.set_write_buffer_limits(high=WRITE_HIGH_BYTES)
        peer = transport.get_extra_info("peername")
        self.client = peer[0].removeprefix("::ffff:") if isinstance(peer, tuple) else ""
        self.peer_trusted = server.trusts(self.client)
        self.secure = transport.get_extra_info("sslcontext") is not None
        self._forwarded = server.forwarded_lines(self.client, secure=self.secure)
        self.watch(monotonic() + server.timeouts.header_read)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """Cancel what is under way."""
        if self.state != CLOSED:
            self.state = CLOSED
            self.server.wheel.forget(self)
            exchange, self.exchange = self.exchange, None
            tunnel, self.tunnel = self.tunnel, None
            if exchange is not None:
                exchange.gone()
            elif tunnel is not None:
                tunnel.caller_lost()
        self.server.forget(self)

    def eof_received(self) -> bool:
        """Close: a caller that half-closes cannot be told from one that left; a tunnel passes it on."""
        return self.tunnel is not None and self.tunnel.caller_ends()

    def pause_writing(self) -> None:
        """Stop reading the target: the caller does not take what it sends."""
        self.writable = False
        if self.exchange is not None and self.exchange.upstream is not None:
            self.exchange.upstream.read(on=False)
        elif self.tunnel is not None:
            self.tunnel.caller_writable(writable=False)

    def resume_writing(self) -> None:
        """Go on where ``pause_writing`` stopped."""
        self.writable = True
        if self.exchange is not None:
            self.exchange.caller_writable()
        elif self.tunnel is not None:
            self.tunnel.caller_writable(writable=True)
        elif self.state == IDLE:
            self.read(on=True)
            self._next()

    # --- reading ----------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take bytes: of a head, of a body, or of what is pipelined behind an exchange."""
        state = self.state
        if state == EXCHANGE:
            exchange = self.exchange
            if exchange is not None and not exchange.request_done:
                exchange.arrived = monotonic()
                gather.more(exchange, data)
            else:
                self.held += data
                if len(self.held) > HELD_BYTES:
                    self.read(on=False)
        elif state <= READING:
            if self.writable:
                self._read_head(self.held + data, len(self.held))
            else:  # it does not take its answers: no further request begins
                self.held += data
                if len(self.held) > HELD_BYTES:
                    self.read(on=False)
        elif self.tunnel is not None:
            self.tunnel.caller_data(data)

    def _read_head(self, data: bytes, seen: int = 0) -> None:
        """Look for a whole head, and begin its exchange; in the first ``seen`` bytes no head ends."""
        server = self.server
        now = monotonic()
        # A head that dribbles in is not looked through from its beginning for each byte.
        if seen and not data.startswith(b"\r") and data.find(b"\r\n\r\n", max(0, seen - 3)) < 0:
            self._hold(data, seen, now)
            return
        ident = getrandbits(128).to_bytes(16).hex()
        found = server.requests.ordinary(data, ident, self.client)
        if found is not None and found.end <= min(server.limits.header_bytes, MAX_REQUEST_LINE):
            self.held = b""
            self._blanks = 0
            self.state = EXCHANGE
            gather.begin(server, self, found, data[found.end :], now)
            return
        while data.startswith(b"\r\n"):
            self._blanks += 1
            if self._blanks > MAX_LEADING_CRLF:
                self._refuse(Refusal(400, "bad_request", "empty lines before the request"))
                return
            data = data[2:]
        end = data.find(b"\r\n\r\n") + 4
        if end < 4:
            self._hold(data, 0, now)
            return
        if end > server.limits.header_bytes or (end > MAX_REQUEST_LINE and data.find(b"\r\n", 0, MAX_REQUEST_LINE) < 0):
            self._refuse(_too_large(data))
            return
        head = server.requests.read(data[:end], ident, self.client)
        if isinstance(head, RequestHead):
            if self.peer_trusted and b"x-forwarded-for" in head.fields:
                head.client = server.client_behind(self.client, head.fields[b"x-forwarded-for"])
            if FIELD in head.fields:
                head.forced = server.forced(head.fields[FIELD], now)
            self.held = b""
            self._blanks = 0
            self.state = EXCHANGE
            gather.begin(server, self, head, data[end:], now)
        else:
            self._refuse(head, head_only=data.startswith(b"HEAD "))

    def _hold(self, data: bytes, seen: int, now: float) -> None:
        """Keep the beginning of a head, of which ``seen`` bytes were judged before, unless it cannot become one."""
        if len(data) > self.server.limits.header_bytes or (len(data) > MAX_REQUEST_LINE and b"\r\n" not in data):
            self._refuse(_too_large(data))
            return
        if data and data != b"\r":
            refusal = judge_start(data, seen)
            if refusal is not None:
                self._refuse(refusal)
                return
        if data and self.state == IDLE:
            self.state = READING
            self.watch(now + self.server.timeouts.header_read)
        self.held = data

    def read(self, *, on: bool) -> None:
        """Stop or begin again to read the caller."""
        if on != self.reading and self.state != CLOSED:
            self.reading = on
            if on:
                self.paused += monotonic() - self._unread_since
                self.transport.resume_reading()
            else:
                self._unread_since = monotonic()
                self.transport.pause_reading()

    # --- what an exchange needs -------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send bytes, small ones at the end of this turn; ``writable`` turns false when the caller does not take them.

        Many are sent at once, so that a caller who does not take them stops the target before it has sent more: the
        event loop reads up to 32 times in a turn.
        """
        if self.state != CLOSED:
            if len(data) <= CORK_BYTES:
                self.server.cork(self.transport, data)
            else:
                self.server.uncork()
                self.transport.write(data)

    def watch(self, deadline: float) -> None:
        """Set the one deadline of this connection, in seconds of ``time.monotonic``."""
        self.deadline = deadline
        if deadline < self.due:
            self.server.wheel.file(self)

    def forwarded(self, head: RequestHead) -> tuple[bytes, bytes, bytes]:
        """Return the header lines that tell the target where the request came from, to the end of the head."""
        if self.peer_trusted or not head.http11:
            return self.server.forwarded_behind(self, head), b"", b""
        return self._forwarded, head.authority, b"\r\n\r\n"

    def ready(self, now: float) -> None:
        """The exchange is over and nothing waits behind it: expect the next request."""
        self.exchange = None
        self.state = IDLE
        deadline = self.deadline = now + self.server.timeouts.keepalive
        if deadline < self.due:
            self.server.wheel.file(self)

    def exchange_done(self, *, keep: bool) -> None:
        """The exchange has sent its answer: go on with the next request, or end the connection."""
        self.exchange = None
        if self.state == CLOSED:
            return
        if not keep:
            self._linger()
            return
        self.state = IDLE
        if not self.writable:  # no further request begins before it takes its answers
            self.watch(monotonic() + self.server.timeouts.keepalive)
            return
        if not self.reading:
            self.read(on=True)
        if self.held:
            self.server.loop.call_soon(self._next)
            self.watch(monotonic() + self.server.timeouts.header_read)
        else:
            self.watch(monotonic() + self.server.timeouts.keepalive)

    def tunnelled(self, tunnel: "Tunnel") -> bytes:
        """Carry a tunnel in place of the exchange; return what the caller has sent behind its request."""
        self.state = TUNNEL
        self.exchange = None
        self.tunnel = tunnel
        self.deadline = NEVER
        held, self.held = self.held, b""
        self.read(on=True)
        return held

    def end_data(self) -> None:
        """End what is sent, and go on reading."""
        self.server.uncork()
        if not self.transport.is_closing():
            self.transport.write_eof()

    def end(self) -> None:
        """End the connection once what was sent has been taken."""
        self.tunnel = None
        if self.state != CLOSED:
            self._close()

    def cut(self, *, reset: bool) -> None:
        """End the connection in the middle of an answer.

        What was sent is still delivered where the framing shows that more was to come. With ``reset``, for when only
        the end of the connection would mark the end of the body, the caller sees an error instead.
        """
        self.exchange = self.tunnel = None
        if self.state != CLOSED:
            self.server.uncork()
            if reset or not self.writable:
                # Closing alone would send FIN, which ends a body that is delimited by the connection's end.
                sock = self.transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                self.transport.abort()
            else:
                self._close()

    def abort(self) -> None:
        """End the connection now, as at the end of a drain."""
        if self.tunnel is not None:
            self.tunnel.abort()
        else:
            self.transport.abort()

    def is_idle(self) -> bool:
        """Return whether the connection carries nothing, and nothing of a request has come."""
        return self.state == IDLE and self.exchange is None and not self.held

    def close_if_idle(self) -> bool:
        """End a connection that carries nothing, as at shutdown."""
        if self.is_idle():
            self._close()
            return True
        return False

    def expire(self, now: float) -> None:
        """The deadline has passed."""
        if self.exchange is not None:
            self.exchange.expire(now)
        elif self.state == READING or self.held:
            self._refuse(Refusal(408, "header_timeout", "the request head did not come in time"))
        elif self.state == LINGER or not self.writable:  # it had its time to take what was sent
            self.transport.abort()
        elif self.state != CLOSED:
            self._close()

    # --- ends -------------------------------------------------------------------------------------------------

    def _next(self) -> None:
        """Begin the request that waited behind the one before."""
        if self.state == IDLE and self.held and self.writable:
            held, self.held = self.held, b""
            self._read_head(held)

    def _refuse(self, refusal: Refusal, *, head_only: bool = False) -> None:
        """Answer bytes that are no acceptable request, and end the connection."""
        server = self.server
        server.words[REFUSAL_WORD[refusal.cause]] += 1
        self.held = b""
        self.write(problem.answer(refusal, b"connection: close\r\n", head=head_only))
        self._linger()

    def _linger(self) -> None:
        """Close after the last answer, reading on for a moment so that a reset does not overtake it."""
        self.state = LINGER
        self.held = b""
        self.server.uncork()
        if self.transport.can_write_eof():
            self.read(on=True)
            self.transport.write_eof()
            self.watch(monotonic() + self._patience())
        else:
            self._close()

    def _close(self) -> None:
        """Close when what was sent is delivered, or after a moment."""
        self.server.uncork()
        self.state = LINGER
        self.held = b""
        patience = self._patience()
        self.transport.close()
        self.watch(monotonic() + patience)

    def _patience(self) -> float:
        """Return the seconds that the caller has to take what was sent: whole answers may be still on their way."""
        return self.server.timeouts.keepalive if self.transport.get_write_buffer_size() else LINGER_S


def _too_large(data: bytes) -> Refusal:
    """Say which part of a head is too large."""
    if data.find(b"\r\n", 0, MAX_REQUEST_LINE) < 0:
        return Refusal(414, "uri_too_long", f"the request line is longer than {MAX_REQUEST_LINE} bytes")
    return Refusal(431, "header_too_large", "the request head is too large")
