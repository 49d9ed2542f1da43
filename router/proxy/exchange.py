"""One request and its response, phase by phase.

accept → parse (``downstream``) → **gather** → **decide** → **pick** → **send** → **receive** → **finish**

Responsible for: the order of the phases, the deadlines between them, and what the caller sees when one of them fails.
Does not know: how heads are read, where an assignment comes from, how connections are kept.

Rules: the table is read once, at the start, and used to the end. ``_finish`` always runs, once. Bytes go through as
they come, in both directions, and a side that cannot take them stops the other. A caller that goes away cancels the
attempt in whatever phase it is. Before the first byte of the response a fault becomes a problem document; after it, an
end that no one can take for a clean one. A request is repeated at most once, on a new connection, when a kept one
turned out to be dead, and only where it cannot run twice.
"""

from random import random
from time import monotonic
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from router import counters
from router.config import schema
from router.proxy import problem, receive
from router.proxy.bodies import Download, Upload
from router.proxy.deadlines import NEVER
from router.proxy.phase import BODY, CONNECT, DONE, GATHER, HEAD
from router.proxy.record import FAULT_OFFSET, GATHER_WORD, REFUSAL_WORD, record
from router.proxy.request_head import IDEMPOTENT, Refusal, RequestHead

if TYPE_CHECKING:
    from router.proxy.downstream import Downstream
    from router.proxy.endpoint import Endpoint
    from router.proxy.pool import TargetPool
    from router.proxy.server import Server
    from router.proxy.upstream import Upstream
    from router.routing.decide import Decision
    from router.routing.table import Table

REPEATABLE_BYTES: Final = 64 * 1024  # largest request body kept to be sent again
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_NO_TIMEOUTS: Final = schema.TargetTimeouts()


class Exchange(Struct, gc=False, eq=False):
    """An exchange: a ``pool.Claim`` and an ``upstream.User``.

    A Struct because one is made for each request, and C fills in its defaults. Times are seconds of ``time.monotonic``.
    """

    # Per exchange
    server: "Server"
    caller: "Downstream"
    table: "Table"
    pools: "dict[str, TargetPool]"  # of the same revision as the table
    head: RequestHead
    request_id: bytes
    started: float
    arrived: float  # when the bytes came that are being worked on
    phase: int = GATHER
    decision: "Decision | None" = None
    overhead: float = 0.0  # seconds spent in the router itself
    # The request
    request_done: bool = False
    request_bytes: int = 0
    # The attempt
    attempts: int = 0
    row: int = 0  # first word of the target's counters
    endpoint: "Endpoint | None" = None
    upstream: "Upstream | None" = None
    timeouts: schema.TargetTimeouts = _NO_TIMEOUTS
    total_at: float = NEVER
    repeatable: bytes | None = None  # what was sent of the body, while the request can be sent again
    turn: int = -1  # of the server, while what was sent may still be held back
    fault: str | None = None
    target_failed: bool = False
    chosen: "Endpoint | None" = None  # picked before it was known that no connection is free
    upload: Upload | None = None
    outbox: bytearray = bytearray()  # what is to be sent of the body
    # The response
    replied: bool = False  # whether any byte of it went to the caller
    served: bool = False  # whether the target gave it
    ends_by_close: bool = False  # whether only the end of the connection marks its end
    keep: bool = True  # whether the caller's connection can carry another exchange
    reusable: bool = False  # whether the target's can
    status: int = 0
    first_byte_at: float = 0.0
    response_bytes: int = 0
    outcome_fault: str | None = None
    held: bytes = b""  # the beginning of a head
    interim: int = 0  # 1xx answers so far
    download: Download | None = None

    def say_continue(self) -> None:
        """Answer ``Expect: 100-continue``, once, and only while nothing of the body has come (RFC 9110 10.1.1)."""
        if self.head.expects and not self.request_bytes and not self.interim:
            self.interim = 1
            self.caller.write(CONTINUE)

    # --- pick and send ----------------------------------------------------------------------------------------

    def pick(self, *, fresh: bool) -> None:
        """Choose an endpoint, and get a connection to it."""
        decision = self.decision
        if decision is None:
            raise RuntimeError("an endpoint is picked before the target is decided")
        server = self.server
        pool = self.pools[decision.target]
        endpoint = self.endpoint = self.chosen or pool.pick(decision.key, random)
        self.chosen = None
        self.timeouts = endpoint.timeouts
        self.total_at = self.started + self.timeouts.total
        self.row = pool.row
        self.attempts += 1
        self.phase = CONNECT
        endpoint.active += 1
        server.words[pool.row + counters.TARGET_INFLIGHT] += 1
        upstream = None if fresh else endpoint.reuse()
        if upstream is not None:
            self.connected(upstream)
        else:
            waits = endpoint.claim(self)
            now = monotonic()
            self.overhead += now - self.arrived
            # The endpoint times the connecting itself; what is timed here is the wait for a place in its pool.
            longest = self.timeouts.connect if waits else 2 * self.timeouts.connect
            self.caller.watch(min(now + longest, self.total_at))

    def connected(self, upstream: "Upstream") -> None:
        """Take the connection and send what is there of the request."""
        if self.phase != CONNECT:
            return
        upstream.user = self
        self.upstream = upstream
        self.phase = HEAD
        body = bytes(self.outbox)
        self.outbox.clear()
        self.repeatable = body if self.request_done and len(body) <= REPEATABLE_BYTES else None
        upstream.write(self.request_lines(body))
        if not self.request_done:
            self.say_continue()
            self.caller.read(on=True)
        now = monotonic()
        self.overhead += now - self.arrived
        self.await_response(now)

    def request_lines(self, body: bytes) -> bytes:
        """Return the head to send, with the router's own fields, and the body behind it."""
        head = self.head
        decision = self.decision
        host = made = ident = end = b""
        if not head.authority and self.endpoint is not None:
            host = b"host: %b\r\n" % self.endpoint.authority
        if head.request_id is None:
            made, ident, end = b"x-request-id: ", self.request_id, b"\r\n"
        origin, asked, end_of_head = self.caller.forwarded(head)
        own = decision.head if decision is not None else b""
        return b"".join((head.forward, host, made, ident, end, own, origin, asked, end_of_head, body))

    def not_connected(self, fault: str) -> None:
        """There is no connection."""
        if self.phase == CONNECT:
            self.fail(fault)

    def await_response(self, now: float) -> None:
        """Set the deadline of what is waited for: the rest of the request, or the response."""
        if self.phase == BODY:
            return
        if self.request_done:
            self.caller.watch(min(now + self.timeouts.first_byte, self.total_at))
        else:
            self.watch_body(now)

    def watch_body(self, now: float) -> None:
        """Set the deadline of further bytes of the request body: for silence, and for all that came so far.

        A caller that drips is always heard of, so silence alone would let it hold a request for ever. The time in which
        it was not read is not its own.
        """
        patience = self.server.timeouts.body_read
        deadline = min(now + patience, self.total_at)
        rate = self.server.limits.body_rate
        if rate and self.caller.reading:
            deadline = min(deadline, self.started + self.caller.paused + patience + self.request_bytes / rate)
        self.caller.watch(deadline)

    # --- receive ----------------------------------------------------------------------------------------------

    def upstream_data(self, data: bytes) -> None:
        """Take bytes of the response."""
        self.arrived = monotonic()
        if self.phase == BODY:
            receive.more(self, data)
        else:
            receive.take(self, data)

    def caller_writable(self) -> None:
        """Read the target again: the caller takes the response again."""
        if self.upstream is not None:
            self.upstream.read(on=True)
        if self.phase == BODY:
            self.caller.watch(min(monotonic() + self.timeouts.idle, self.total_at))

    def upstream_writable(self, *, writable: bool) -> None:
        """Let a target that takes the request slowly slow the caller down."""
        self.caller.read(on=writable)
        if not self.request_done and self.phase == HEAD:
            self.watch_body(monotonic())

    def upstream_lost(self, error: Exception | None) -> None:
        """The connection ended before the response was complete, or is what completes it."""
        upstream, self.upstream = self.upstream, None
        if self.phase == BODY and self.download is not None:
            last = self.download.end() if error is None else None
            if last is None:
                self.fail("truncated")
            else:
                self.caller.write(last)
                self.complete()
        elif upstream is not None and upstream.used and self._may_repeat():
            self._repeat()
        else:
            self.fail("reset")

    def leave_connection(self) -> None:
        """Send the request on another connection: this one was of no use before anything was sent on it."""
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.close()
        if self.repeatable is None:
            self.fail("malformed")
        else:
            self._repeat()

    def _repeat(self) -> None:
        if self.repeatable is not None:
            self.outbox += self.repeatable
        self.turn = -1
        self._leave_endpoint()
        self.pick(fresh=True)

    def _may_repeat(self) -> bool:
        """Return whether the request can be sent again without any risk that it runs twice (RFC 9110 9.2.2)."""
        if self.repeatable is None:
            return False
        if self.turn == self.server.turn:  # nothing was sent yet
            return True
        if self.held or self.interim or self.attempts > 1:
            return False
        return self.head.method in IDEMPOTENT or b"idempotency-key" in self.head.fields

    # --- ends -------------------------------------------------------------------------------------------------

    def expire(self, now: float) -> None:
        """The deadline of the phase has passed."""
        if self.phase == BODY and not self.caller.writable:
            self.outcome_fault = "client_stalled"
            self.cut()
        elif now >= self.total_at:
            self.fail("timeout_total")
        elif self.phase == GATHER or (self.phase == HEAD and not self.request_done and self.caller.reading):
            if self.phase == GATHER:
                self.server.words[GATHER_WORD["incomplete"]] += 1
            self.refuse(408, "body_timeout", "the request body did not come in time")
        else:
            self.fail({CONNECT: "pool_timeout", BODY: "timeout_idle"}.get(self.phase, "timeout_first_byte"))

    def gone(self) -> None:
        """The caller went away: cancel whatever is under way."""
        self.outcome_fault = "client_gone"
        self._finish(monotonic())

    def refuse(self, status: int, cause: str, detail: str, *, keep: bool = False) -> None:
        """End with an answer of the router's own that blames the request."""
        self.server.words[REFUSAL_WORD[cause]] += 1
        self.outcome_fault = cause
        self._end(Refusal(status, cause, detail), keep=keep)

    def fail(self, fault: str) -> None:
        """End with an answer of the router's own that blames the target; or cut the answer that has begun."""
        self.server.words[self.row + FAULT_OFFSET[fault]] += 1
        self.fault = self.outcome_fault = fault
        self.target_failed = self.target_failed or fault != "local"
        self._end(problem.FAULTS[fault], keep=self.request_done)

    def _end(self, refusal: Refusal, *, keep: bool) -> None:
        if self.replied:
            self.cut()
            return
        self.keep = keep and self.head.keep_alive and not self.server.draining
        lines = self.server.exposed(self) + receive.connection_line(self)
        answer = problem.answer(refusal, self.request_id, lines, head=self.head.method == b"HEAD")
        self.status = refusal.status
        self.replied = True
        self.first_byte_at = monotonic()
        self.response_bytes = len(answer) - answer.find(b"\r\n\r\n") - 4
        self.caller.write(answer)
        self._finish(self.first_byte_at)
        self.caller.exchange_done(keep=self.keep)

    def cut(self) -> None:
        """End so that the caller sees that the response is not complete."""
        self._finish(monotonic())
        self.caller.cut(reset=self.ends_by_close)

    def complete(self) -> None:
        """The response is whole."""
        now = monotonic()
        self.overhead += now - self.arrived
        upstream = self.upstream
        if upstream is not None and self.endpoint is not None and self.reusable and self.request_done:
            self.upstream = None
            self.endpoint.give_back(upstream, now)
        self._finish(now)
        self.caller.exchange_done(keep=self.keep)

    def _finish(self, now: float) -> None:
        """The last phase of every exchange."""
        if self.phase == CONNECT and self.endpoint is not None:
            self.endpoint.withdraw(self)
        self.phase = DONE
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.close()
        self._leave_endpoint()
        record(self, now)

    def _leave_endpoint(self) -> None:
        endpoint, self.endpoint = self.endpoint, None
        if endpoint is not None:
            endpoint.active -= 1
            self.server.words[self.row + counters.TARGET_INFLIGHT] -= 1
