"""One copy of a request on its way to a shadow, and the answer that comes back.

Responsible for: getting a connection, sending the copy, reading its answer to the end without holding more of it than
is compared, and the deadlines in between, which are the shadow target's own.
Does not know: whether there was room for it, or what becomes of its end (``shadow``).

Rules: nothing here touches the exchange that is copied. A copy ends once, with an answer or with a fault. It is
repeated at most once, on a new connection, when a kept one turned out to be dead and it cannot run twice.
"""

from time import monotonic
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from router.proxy.bodies import Download
from router.proxy.framing import FramingError
from router.proxy.judge import ENDPOINTS_OWN, SERVER_ERROR
from router.proxy.phase import BODY, CONNECT, DONE, HEAD
from router.proxy.receive import MAX_INTERIM, MAX_RESPONSE_HEAD
from router.proxy.response_head import UNTIL_CLOSE, ResponseHead
from router.routing.recover import IDEMPOTENT
from router.routing.sample import ShadowPlan

if TYPE_CHECKING:
    from asyncio import Transport

    from router.proxy.endpoint import Endpoint
    from router.proxy.server import Server
    from router.proxy.shadow import Mirror, Shadows
    from router.proxy.upstream import Upstream

# More of an answer is not read: it is not compared anyway, and a target that floods must not take the worker's time.
MAX_ANSWER: Final = 16 * 1024 * 1024


class Copy(Struct, gc=False, eq=False):
    """A copy: an ``endpoint.Claim`` and an ``upstream.User``. Times are seconds of ``time.monotonic``."""

    # Per copy
    shadows: "Shadows"
    server: "Server"
    plan: ShadowPlan
    method: bytes
    endpoint: "Endpoint"
    primary: "Mirror | None"  # with whose answer it is compared
    request: bytes  # until an answer begins
    began: float
    deadline: float
    total_at: float
    phase: int = CONNECT
    upstream: "Upstream | None" = None
    turn: int = -1  # of the server, while what was sent may still be held back
    attempts: int = 0
    ticket: int = 0  # of a probe
    # The answer
    held: bytes = b""  # the beginning of a head
    interim: int = 0
    download: Download | None = None
    reusable: bool = False
    status: int = 0
    size: int = 0  # bytes of the body so far
    body: bytes | bytearray | None = b""  # None once there is more than is compared
    fault: str | None = None
    seconds: float = 0.0

    def connect(self, *, fresh: bool) -> None:
        """Get a connection, and send the copy on it."""
        endpoint = self.endpoint
        self.attempts += 1
        endpoint.active += 1
        if endpoint.standing.probing:
            self.ticket = endpoint.breaker.enter()
        upstream = None if fresh else endpoint.reuse()
        if upstream is not None and upstream.transport is not None:
            self._send(upstream, upstream.transport)
        else:
            self.phase = CONNECT
            waits = endpoint.claim(self)
            longest = endpoint.timeouts.connect
            self.deadline = min(monotonic() + (longest if waits else 2 * longest), self.total_at)

    def connected(self, upstream: "Upstream") -> None:
        """Take the connection and send the copy."""
        if self.phase == CONNECT and upstream.transport is not None:
            self.deadline = min(monotonic() + self.endpoint.timeouts.first_byte, self.total_at)
            self._send(upstream, upstream.transport)

    def _send(self, upstream: "Upstream", transport: "Transport") -> None:
        """Send the copy, behind what is sent to others in this turn."""
        upstream.user = self
        self.upstream = upstream
        self.phase = HEAD
        server = self.server
        self.turn = server.turn
        server.cork(transport, self.request)

    def not_connected(self, fault: str) -> None:
        """There is no connection."""
        if self.phase == CONNECT:
            self.end(fault)

    def upstream_writable(self, *, writable: bool) -> None:
        """Do nothing: all there is to send was handed over, and is bounded."""

    def upstream_data(self, data: bytes) -> None:
        """Take bytes of the answer."""
        if self.phase == BODY:
            self._more(data)
        elif self.turn == self.server.turn:  # nothing was sent yet: nobody asked for this
            self._repeat("malformed", sent=False)
        elif self.held or self.method == b"HEAD":
            self._begin(data)
        else:
            head = self.server.responses.ordinary(data)
            if head is not None and head.end + head.length == len(data) and head.end <= MAX_RESPONSE_HEAD:
                self._whole(head, data)
            else:
                self._begin(data)

    def _whole(self, head: ResponseHead, data: bytes) -> None:
        """Do all that is to do for an ordinary answer that came in one piece: what is nearly always the case."""
        now = monotonic()
        endpoint = self.endpoint
        upstream, self.upstream = self.upstream, None
        self.phase = DONE
        self.request = b""
        self.status = head.status
        self.size = head.length
        self.body = data[head.end :] if head.length <= self.plan.answer_bytes else None
        self.seconds = now - self.began
        endpoint.observe(self.seconds)
        self._judge(now)
        endpoint.active -= 1
        if self.ticket:
            endpoint.breaker.leave()
            self.ticket = 0
        if upstream is not None:
            endpoint.give_back(upstream, now)
        self.shadows.ended(self)

    def upstream_ended(self) -> bool:
        """A shadow that has ended its answer needs no more of the request."""
        return False

    def upstream_lost(self, error: Exception | None) -> None:
        """The connection ended before the answer was complete, or is what completes it."""
        upstream, self.upstream = self.upstream, None
        if self.phase == BODY:
            clean = error is None and self.download is not None and self.download.end() is not None
            self.end(None if clean else "truncated")
        elif upstream is not None and upstream.used and not self.held and not self.interim:
            self._repeat("reset", sent=self.turn != self.server.turn)
        else:
            self.end("reset")

    def expire(self, now: float) -> None:
        """The deadline of the phase has passed."""
        if now >= self.total_at:
            self.end("timeout_total")
        else:
            self.end({CONNECT: "pool_timeout", BODY: "timeout_idle"}.get(self.phase, "timeout_first_byte"))

    def cancel(self) -> None:
        """Give up, and tell nobody."""
        self._leave(keep=False)

    def end(self, fault: str | None) -> None:
        """End, with the answer that has come or with a fault (``counters.FAULTS``)."""
        now = monotonic()
        self.seconds = now - self.began
        self.fault = fault
        self._judge(now)
        self._leave(keep=fault is None and self.reusable)
        self.shadows.ended(self)

    def _judge(self, now: float) -> None:
        """Tell the breaker, by the rules of ``judge``."""
        endpoint = self.endpoint
        fault = self.fault
        if fault is None and self.status < SERVER_ERROR:
            self.server.words[endpoint.succeeded] += 1
            if self.ticket:
                endpoint.breaker.passed(self.ticket, now)
        elif fault is None or fault in ENDPOINTS_OWN or (fault == "timeout_total" and self.phase == HEAD):
            endpoint.breaker.failed(self.ticket, self.began, now)

    def _leave(self, *, keep: bool) -> None:
        """Leave the endpoint, and hold nothing but the answer any more."""
        endpoint = self.endpoint
        if self.phase == CONNECT:
            endpoint.withdraw(self)
        self.phase = DONE
        self.request = self.held = b""
        self.download = None
        endpoint.active -= 1
        if self.ticket:
            endpoint.breaker.leave()
            self.ticket = 0
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            if keep:
                endpoint.give_back(upstream, monotonic())
            else:
                upstream.close()

    def _repeat(self, fault: str, *, sent: bool) -> None:
        """Send the copy on a new connection, if it cannot run twice (RFC 9110 9.2.2); else end with a fault."""
        if self.attempts > 1 or (sent and self.method not in IDEMPOTENT):
            self.end(fault)
            return
        request = self.request
        self._leave(keep=False)
        self.request = request
        self.connect(fresh=True)

    def _begin(self, data: bytes) -> None:
        """Take bytes of the answer's head, and what came with it."""
        if self.held:
            data = self.held + data
            self.held = b""
        responses = self.server.responses
        head = responses.ordinary(data) if self.method != b"HEAD" else None
        if head is None:
            end = data.find(b"\r\n\r\n") + 4
            if end < 4 and len(data) <= MAX_RESPONSE_HEAD:
                self.held = data
                return
            found = responses.read(data[:end], self.method) if end >= 4 else "too long"
            if isinstance(found, str):
                self.end("malformed")
                return
            head = found
        if head.end > MAX_RESPONSE_HEAD:
            self.end("malformed")
        elif head.status < 200:
            self._interim(head, data[head.end :])
        else:
            self._answer(head, data[head.end :])

    def _interim(self, head: ResponseHead, rest: bytes) -> None:
        """Pass over a 1xx answer."""
        self.interim += 1
        if head.status == 101 or self.interim > MAX_INTERIM:
            self.end("malformed")
        elif rest:
            self._begin(rest)

    def _answer(self, head: ResponseHead, rest: bytes) -> None:
        """Take the final head, and what came with it."""
        self.phase = BODY
        self.endpoint.observe(monotonic() - self.began)
        self.status = head.status
        self.request = b""
        self.reusable = head.keep_alive
        self.download = Download(head.length, http11=False)  # as for a caller that knows no chunks: the content alone
        if head.length == UNTIL_CLOSE:
            self.reusable = False
        self.body = bytearray()
        self._more(rest)

    def _more(self, data: bytes) -> None:
        """Take bytes of the answer's body."""
        download = self.download
        if download is None:
            raise RuntimeError("bytes of an answer that is complete")
        try:
            content = download.feed(data)
        except FramingError:
            self.end("malformed")
            return
        self.size += len(content)
        body = self.body
        if isinstance(body, bytearray):
            if self.size <= self.plan.answer_bytes:
                body += content
            else:
                self.body = None
        if download.done:
            self.reusable = self.reusable and not download.surplus
            self.end(None)
        elif self.size > MAX_ANSWER:
            self.reusable = False
            self.end(None)
        else:
            self.deadline = min(monotonic() + self.endpoint.timeouts.idle, self.total_at)
            if self.shadows.tires(len(data)):
                self.read(on=False)

    def read(self, *, on: bool) -> None:
        """Stop or begin again to read the answer."""
        if self.upstream is not None and on != self.upstream.reading:
            self.upstream.read(on=on)
            self.deadline = min(monotonic() + self.endpoint.timeouts.idle, self.total_at)
