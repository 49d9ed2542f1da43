"""One request and its response, phase by phase.

accept → parse (``downstream``) → **gather** → **decide** → **pick** → **send** → **receive** → **finish**

Responsible for: the order of the phases, the deadlines between them, and what the caller sees when one of them fails.
Does not know: how heads are read, where an assignment comes from, how connections are kept.

Rules: the table is read once, at the start, and used to the end. ``finish`` always runs, once. Bytes go through as
they come, in both directions, and a side that cannot take them stops the other. A caller that goes away cancels the
attempt in whatever phase it is. Before the first byte of the response a fault becomes a problem document; after it, an
end that no one can take for a clean one; unless ``rescue`` finds another way to an answer. A request whose kept
connection turned out to be dead is sent once more on a new one, where it cannot run twice; that is no failed attempt.
"""

from time import monotonic
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from router.config import schema
from router.proxy import judge, leaving, picking, problem, receive
from router.proxy.bodies import Download, Upload
from router.proxy.deadlines import NEVER
from router.proxy.phase import BODY, CONNECT, DONE, GATHER, HEAD, QUEUE
from router.proxy.record import FAULT_OFFSET, GATHER_WORD, REFUSAL_WORD, SHED_OFFSET, record
from router.proxy.request_head import Refusal, RequestHead
from router.proxy.rescue import CAUSE_OFFSET, rescue

if TYPE_CHECKING:
    from asyncio import TimerHandle

    from router.proxy.downstream import Downstream
    from router.proxy.endpoint import Endpoint
    from router.proxy.fanout import Fan
    from router.proxy.gate import Gate
    from router.proxy.hedge import Hedge
    from router.proxy.pool import TargetPool
    from router.proxy.remember import Coming
    from router.proxy.response_head import ResponseHead
    from router.proxy.reward import Reading
    from router.proxy.server import Server
    from router.proxy.shadow import Mirror
    from router.proxy.upstream import Upstream
    from router.routing.decide import Decision
    from router.routing.degrade import Level
    from router.routing.steps import Step
    from router.routing.table import Table

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
    target: str = ""  # of the present attempt
    overhead: float = 0.0  # seconds spent in the router itself
    # The request
    request_done: bool = False
    request_bytes: int = 0
    # The attempt
    attempts: int = 0  # at all targets
    tries: int = 0  # at the present one
    row: int = 0  # first word of the target's counters
    endpoint: "Endpoint | None" = None
    upstream: "Upstream | None" = None
    timeouts: schema.TargetTimeouts = _NO_TIMEOUTS
    total_at: float = NEVER
    kept: bytes | bytearray | None = None  # what was sent of the body, while the request can be sent again
    sent: bool = False  # whether a target may have got any of it
    turn: int = -1  # of the server, while what was sent may still be held back
    fault: str | None = None
    target_failed: bool = False
    chosen: "Endpoint | None" = None  # picked before it was known that no connection is free
    ticket: int = 0  # of a probe
    began: float = 0.0  # when the present attempt did; 0 when it was with the exchange
    asked_at: float = 0.0  # when the whole request was sent; 0 when it was with the exchange
    avoid: "Endpoint | None" = None  # where the attempt before failed
    hedge: "Hedge | None" = None  # a second request, sent or to be sent
    hedged: str | None = None  # what became of it
    # After a failed one
    cause: str | None = None  # why the first one that fallbacks are for failed
    step: "Step | None" = None  # the fallback that is to answer
    next_step: int = 0
    passed: tuple[str, ...] = ()  # targets tried before
    gate: "Gate | None" = None  # where it waits for a slot, or has one
    level: "Level | None" = None  # what gave way
    drawn: bool = False  # whether it is within its route's rate
    retry_after: int = 0  # seconds, for a caller that is turned away
    retrying: "TargetPool | None" = None  # in whose budget the present attempt is
    timer: "TimerHandle | None" = None
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
    coming: "Coming | None" = None  # the answer, where it is kept for others who ask the same
    reading: "Reading | None" = None  # what is read of the answer
    # Its copies
    mirrored: bool = False
    shadow: "Mirror | None" = None
    fan: "Fan | None" = None  # where it goes to several targets

    def say_continue(self) -> None:
        """Answer ``Expect: 100-continue``, once, and only while nothing of the body has come (RFC 9110 10.1.1)."""
        if self.head.expects and not self.request_bytes and not self.interim:
            self.interim = 1
            self.caller.write(CONTINUE)

    # --- pick and send ----------------------------------------------------------------------------------------

    def pick(self, *, fresh: bool = False, admitted: bool = False) -> None:
        """Choose an endpoint of the present target, and get a connection to it (``picking.pick``)."""
        picking.pick(self, fresh=fresh, admitted=admitted)

    def admitted(self) -> None:
        """Take the slot that has become free."""
        picking.admitted(self)

    def connected(self, upstream: "Upstream") -> None:
        """Take the connection and send what is there of the request."""
        picking.send(self, upstream)

    def not_connected(self, fault: str) -> None:
        """There is no connection; when it was for want of descriptors, those that lie idle are given up for it."""
        if self.phase != CONNECT:
            return
        if fault == "local" and self.endpoint is not None and self.server.close_idle():
            self.endpoint.claim(self)
        else:
            self.fail(fault)

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

    def upstream_ended(self) -> bool:
        """A target that has ended its answer needs no more of the request."""
        return False

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
        elif upstream is not None and upstream.used and leaving.may_repeat(self) and not self._hedging():
            leaving.repeat(self)
        else:
            self.fail("reset")

    def _hedging(self) -> bool:
        """Return whether a second request is under way."""
        return self.hedge is not None and self.hedge.endpoint is not None

    # --- ends -------------------------------------------------------------------------------------------------

    def expire(self, now: float) -> None:
        """The deadline of the phase has passed."""
        if self.phase == BODY and not self.caller.writable:
            self.outcome_fault = "client_stalled"
            self.cut()
        elif self.phase == QUEUE:
            late = now >= self.total_at
            leaving.leave_queue(self)
            self.shed("deadline" if late else "queue_timeout")
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
        self.finish(monotonic())

    def refuse(self, status: int, cause: str, detail: str, *, keep: bool = False) -> None:
        """End with an answer of the router's own that blames the request."""
        self.server.words[REFUSAL_WORD[cause]] += 1
        self.outcome_fault = cause
        self._end(Refusal(status, cause, detail), keep=keep)

    def fail(self, fault: str) -> None:
        """The attempt failed: go on another way, or end with an answer of the router's own that blames the target.

        An answer that has begun is cut.
        """
        self.blame(fault)
        if self.hedge is not None and self.hedge.stand_in(fault):
            return
        if self.replied or not rescue(self, fault):
            self.give_up(fault)

    def shed(self, cause: str) -> None:
        """The target has too much to do for this exchange: go on another way, or turn the caller away.

        Args:
            cause: One of ``counters.SHED_CAUSES``.
        """
        self.count_shed(cause)
        self.retry_after = self.retry_after or 1
        self.row = self.pools[self.target].row
        self.fail("shed")

    def count_shed(self, cause: str) -> None:
        """Count that the exchange is not let through."""
        if self.decision is not None:
            self.server.words[self.decision.route.row + SHED_OFFSET[cause]] += 1

    def give_up(self, fault: str) -> None:
        """End with an answer of the router's own that blames targets which were blamed before."""
        self.outcome_fault = fault
        self._end(problem.FAULTS[fault], keep=self.request_done)

    def turn_away(self, refusal: Refusal) -> None:
        """End with an answer that blames neither the request nor a target."""
        self.outcome_fault = refusal.cause
        self._end(refusal, keep=self.request_done)

    def refused_by_status(self, head: "ResponseHead", rest: bytes) -> bool:
        """The target answered with an error: go on another way; False when its answer is the only one."""
        self.blame("status")
        if self.hedge is not None and self.hedge.stand_in("status"):
            return True
        upstream, endpoint = self.upstream, self.endpoint
        whole = head.keep_alive and self.request_done and head.length == len(rest)
        self.upstream = None
        if not rescue(self, "status", head.status):
            self.upstream = upstream
            return False
        if upstream is not None:
            if whole and endpoint is not None:
                endpoint.give_back(upstream, monotonic())
            else:
                upstream.close()
        return True

    def blame(self, fault: str) -> None:
        """Count a failed attempt; the first is the one that says how the arm does (intention to treat)."""
        self.server.words[self.row + FAULT_OFFSET[fault]] += 1
        judge.failed(self, fault)
        if self.fault is None:
            self.fault = fault
            self.target_failed = fault != "local"

    def _end(self, refusal: Refusal, *, keep: bool) -> None:
        if self.replied:
            self.cut()
            return
        self.step = None
        head, content = problem.parts(refusal, self.request_id)
        if self.retry_after and refusal.status in {429, 503}:
            head += b"retry-after: %d\r\n" % self.retry_after
        self.answer(refusal.status, head, b"" if self.head.method == b"HEAD" else content, keep=keep)

    def answer(self, status: int, lines: bytes, content: bytes, *, keep: bool) -> None:
        """End with an answer that no target gave.

        Args:
            status: Its status code.
            lines: Status line and fields, each with its CRLF.
            content: What follows them.
            keep: Whether the request was read to its end, so that the connection can carry another.
        """
        self.keep = keep and self.head.keep_alive and not self.server.draining
        self.status = status
        self.replied = True
        self.first_byte_at = monotonic()
        self.response_bytes = len(content)
        own = (self.server.exposed(self), receive.connection_line(self), b"\r\n")
        self.caller.write(b"".join((lines, *own, content)))
        self.finish(self.first_byte_at)
        self.caller.exchange_done(keep=self.keep)

    def cut(self) -> None:
        """End so that the caller sees that the response is not complete."""
        self.finish(monotonic())
        self.caller.cut(reset=self.ends_by_close)

    def complete(self) -> None:
        """The response is whole."""
        now = monotonic()
        self.overhead += now - self.arrived
        judge.succeeded(self, now)
        upstream = self.upstream
        if upstream is not None and self.endpoint is not None and self.reusable and self.request_done:
            self.upstream = None
            self.endpoint.give_back(upstream, now)
        self.finish(now)
        self.caller.exchange_done(keep=self.keep)

    def finish(self, now: float) -> None:
        """The last phase of every exchange."""
        if self.phase == CONNECT and self.endpoint is not None:
            self.endpoint.withdraw(self)
        leaving.leave_queue(self)
        self.phase = DONE
        if self.hedge is not None:
            self.hedge.end("cancelled")
        leaving.stop_waiting(self)
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.close()
        leaving.leave_endpoint(self)
        if self.coming is not None:
            self.coming.end(now)
        if self.step is not None and self.replied:
            self.server.words[self.step.row + CAUSE_OFFSET[self.cause or ""]] += 1
        record(self, now)
