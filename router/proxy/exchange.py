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

from random import random
from time import monotonic
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from router import counters
from router.config import schema
from router.proxy import hedge, judge, problem, receive
from router.proxy.bodies import Download, Upload
from router.proxy.deadlines import NEVER
from router.proxy.phase import BODY, CONNECT, DONE, GATHER, HEAD, QUEUE, WAIT
from router.proxy.record import FAULT_OFFSET, GATHER_WORD, REFUSAL_WORD, SHED_OFFSET, record
from router.proxy.request_head import Refusal, RequestHead
from router.proxy.rescue import CAUSE_OFFSET, rescue, spare
from router.proxy.shadow import mirror
from router.routing.admission import expected_wait, retry_after
from router.routing.recover import may_run_again

if TYPE_CHECKING:
    from asyncio import TimerHandle

    from router.proxy.downstream import Downstream
    from router.proxy.endpoint import Endpoint
    from router.proxy.gate import Gate
    from router.proxy.hedge import Hedge
    from router.proxy.pool import TargetPool
    from router.proxy.remember import Coming
    from router.proxy.response_head import ResponseHead
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
    # Its copies
    mirrored: bool = False
    shadow: "Mirror | None" = None

    def say_continue(self) -> None:
        """Answer ``Expect: 100-continue``, once, and only while nothing of the body has come (RFC 9110 10.1.1)."""
        if self.head.expects and not self.request_bytes and not self.interim:
            self.interim = 1
            self.caller.write(CONTINUE)

    # --- pick and send ----------------------------------------------------------------------------------------

    def pick(self, *, fresh: bool = False, admitted: bool = False) -> None:
        """Choose an endpoint of the present target, and get a connection to it.

        Args:
            fresh: Whether to make a new connection.
            admitted: Whether a slot of the target is given already, where it has a limit.
        """
        decision = self.decision
        if decision is None:
            raise RuntimeError("an endpoint is picked before the target is decided")
        server = self.server
        pool = self.pools[self.target]
        if self.timer is not None:
            self.timer = None
            pool.waiting -= 1
        self.phase = CONNECT
        self.row = pool.row
        self.timeouts = pool.target.timeouts
        if self.tries == 0 and not admitted:
            self.total_at = (self.started if self.step is None else monotonic()) + self.timeouts.total
        if pool.gate is not None and not admitted and not self._enter(pool.gate):
            return
        endpoint = self.endpoint = self.chosen or self._choose(pool, decision.key)
        self.chosen = None
        if endpoint is None:
            self.fail(pool.closed_by)
            return
        self.gate = pool.gate
        self.attempts += 1
        self.tries += 1
        self.began = monotonic()
        if endpoint.standing.probing:
            self.ticket = endpoint.breaker.enter()
        endpoint.active += 1
        server.words[pool.row + counters.TARGET_INFLIGHT] += 1
        self._hedge()
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

    def _choose(self, pool: "TargetPool", key: int) -> "Endpoint | None":
        if pool.direct and self.avoid is None:
            return pool.choose(key, random)
        return pool.pick(key, random, spare=spare(self, pool.closed_by), avoid=self.avoid)

    def _hedge(self) -> None:
        """Have a whole request sent once more after a while, where the target says so."""
        policy = self.pools[self.target].target.hedge
        if policy is not None and self.request_done:
            hedge.prepare(self, policy)

    def _enter(self, gate: "Gate") -> bool:
        """Ask for a slot; False when there is none now, and the exchange waits or has gone another way."""
        now = monotonic()
        verdict = gate.enter(self, self.total_at - now)
        if verdict == "admit":
            return True
        if verdict == "wait":
            self.overhead += now - self.arrived
            self.gate = gate
            self.phase = QUEUE
            self.caller.watch(min(now + gate.limit.queue_timeout, self.total_at))
        else:
            self.retry_after = retry_after(expected_wait(gate.limit, gate.load()))
            self.shed(verdict)
        return False

    def admitted(self) -> None:
        """Take the slot that has become free."""
        self.gate = None
        self.arrived = monotonic()
        self.pick(admitted=True)

    def connected(self, upstream: "Upstream") -> None:
        """Take the connection and send what is there of the request."""
        if self.phase != CONNECT:
            return
        upstream.user = self
        self.upstream = upstream
        self.phase = HEAD
        body = bytes(self.outbox)
        self.outbox.clear()
        self.kept = body if len(body) <= self.replay_bytes() else None
        self.sent = True
        upstream.write(self.request_lines(body, self.endpoint))
        decision = self.decision
        if decision is not None and decision.shadows and not self.mirrored:
            self.mirrored = True
            mirror(self, body)
        if not self.request_done:
            self.say_continue()
            self.caller.read(on=True)
        now = monotonic()
        self.overhead += now - self.arrived
        self.await_response(now)

    def replay_bytes(self) -> int:
        """Return how much of the body to keep: of one that is still coming, only where it may be of use."""
        decision = self.decision
        if decision is None:
            return 0
        useful = self.request_done or decision.route.fallback or self.pools[self.target].target.retry is not None
        return decision.route.replay_bytes if useful else 0

    def keep_sent(self, body: bytes) -> None:
        """Keep more of the body, or none of it when that is too much."""
        if self.kept is not None:
            if len(self.kept) + len(body) <= self.replay_bytes():
                if not isinstance(self.kept, bytearray):
                    self.kept = bytearray(self.kept)
                self.kept += body
            else:
                self.kept = None

    def kept_body(self) -> bytes | None:
        """Return all of the body that has come, chunks and all; None when some of it was sent and not kept."""
        if self.kept is None and self.phase not in {CONNECT, WAIT}:
            return None
        return bytes(self.kept or b"") + bytes(self.outbox)

    def request_lines(self, body: bytes, endpoint: "Endpoint | None", mark: bytes = b"") -> bytes:
        """Return the head to send to an endpoint, with the router's own fields, and the body behind it."""
        head = self.head
        decision = self.decision
        host = made = ident = end = b""
        if not head.authority and endpoint is not None:
            host = b"host: %b\r\n" % endpoint.authority
        if head.request_id is None:
            made, ident, end = b"x-request-id: ", self.request_id, b"\r\n"
        origin, asked, end_of_head = self.caller.forwarded(head)
        own = decision.head if decision is not None else b""
        if self.level is not None and self.step is None:
            own += self.level.head
        return b"".join((head.forward, host, made, ident, end, own, mark, origin, asked, end_of_head, body))

    def not_connected(self, fault: str) -> None:
        """There is no connection; when it was for want of descriptors, those that lie idle are given up for it."""
        if self.phase != CONNECT:
            return
        if fault == "local" and self.endpoint is not None and self.server.close_idle():
            self.endpoint.claim(self)
        else:
            self.fail(fault)

    def await_response(self, now: float) -> None:
        """Set the deadline of what is waited for: the rest of the request, or the response."""
        if self.phase == BODY:
            return
        if self.request_done:
            self.asked_at = now
            self._hedge()
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
        elif upstream is not None and upstream.used and self._may_repeat() and not self._hedging():
            self._repeat()
        else:
            self.fail("reset")

    def _hedging(self) -> bool:
        """Return whether a second request is under way."""
        return self.hedge is not None and self.hedge.endpoint is not None

    def leave_connection(self) -> None:
        """Send the request on another connection: this one was of no use before anything was sent on it."""
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.close()
        if self.kept is None:
            self.fail("malformed")
        else:
            self._repeat()

    def _repeat(self) -> None:
        """Send the request on a new connection; the attempt before counts for nothing."""
        self.leave_attempt()
        self.tries -= 1
        self.pick(fresh=True, admitted=True)

    def leave_attempt(self) -> None:
        """Cancel the present attempt, and be ready for another."""
        if self.hedge is not None:
            self.hedge.end("cancelled")
        if self.phase == CONNECT and self.endpoint is not None:
            self.endpoint.withdraw(self)
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.close()
        self._leave_queue()
        self._leave_endpoint()
        if self.kept is not None:
            self.outbox = bytearray(self.kept) + self.outbox
            self.kept = None
        self.held = b""
        self.turn = -1

    def _may_repeat(self) -> bool:
        """Return whether the request can be sent again without any risk that it runs twice (RFC 9110 9.2.2)."""
        if self.kept is None or not self.request_done:
            return False
        if self.turn == self.server.turn:  # nothing was sent yet
            return True
        return not self.held and not self.interim and may_run_again(self.head.method, self.head.fields, None)

    # --- ends -------------------------------------------------------------------------------------------------

    def expire(self, now: float) -> None:
        """The deadline of the phase has passed."""
        if self.phase == BODY and not self.caller.writable:
            self.outcome_fault = "client_stalled"
            self.cut()
        elif self.phase == QUEUE:
            late = now >= self.total_at
            self._leave_queue()
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
            self.outcome_fault = fault
            self._end(problem.FAULTS[fault], keep=self.request_done)

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
        self._leave_queue()
        self.phase = DONE
        if self.hedge is not None:
            self.hedge.end("cancelled")
        if self.timer is not None:
            self.timer.cancel()
            self.pools[self.target].waiting -= 1
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.close()
        self._leave_endpoint()
        if self.coming is not None:
            self.coming.end(now)
        if self.step is not None and self.replied:
            self.server.words[self.step.row + CAUSE_OFFSET[self.cause or ""]] += 1
        record(self, now)

    def _leave_queue(self) -> None:
        """Wait for no slot any more."""
        if self.phase == QUEUE and self.gate is not None:
            self.gate.withdraw(self)
            self.gate = None
            self.phase = CONNECT

    def _leave_endpoint(self) -> None:
        self.settle()
        endpoint, self.endpoint = self.endpoint, None
        if endpoint is not None:
            endpoint.active -= 1
            self.server.words[self.row + counters.TARGET_INFLIGHT] -= 1
        gate, self.gate = self.gate, None
        if gate is not None:
            gate.leave(monotonic() - self.began)

    def settle(self) -> None:
        """It is known how the attempt went: it is no probe any more, and no retry."""
        if self.ticket and self.endpoint is not None:
            self.endpoint.breaker.leave()
        self.ticket = 0
        retrying, self.retrying = self.retrying, None
        if retrying is not None:
            retrying.retrying -= 1
