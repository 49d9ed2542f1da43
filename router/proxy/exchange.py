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
from router.proxy import problem
from router.proxy.bodies import CHUNKED, UNTIL_CLOSE, Download, FramingError, TooLargeError, Upload, chunked_content
from router.proxy.deadlines import NEVER
from router.proxy.grammar import BROKEN_LINE
from router.proxy.record import FAULT_OFFSET, GATHER_WORD, REFUSAL_WORD, record
from router.proxy.request_head import IDEMPOTENT, RequestHead
from router.proxy.response_head import ResponseHead
from router.routing.decide import RoutePlan
from router.routing.match import NeedBody

if TYPE_CHECKING:
    from router.proxy.downstream import Downstream
    from router.proxy.pool import Endpoint, TargetPool
    from router.proxy.server import Server
    from router.proxy.upstream import Upstream
    from router.routing.decide import Decision
    from router.routing.table import Table

GATHER, CONNECT, HEAD, BODY, DONE = range(5)

MAX_RESPONSE_HEAD: Final = 64 * 1024
OUTBOX_BYTES: Final = 64 * 1024  # request body held while a connection is made; the caller is not read beyond
REPEATABLE_BYTES: Final = 64 * 1024  # largest request body kept to be sent again
MAX_INTERIM: Final = 16  # 1xx answers to one request
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
SERVER_ERROR: Final = 500
_NO_TIMEOUTS: Final = schema.TargetTimeouts()


def begin(server: "Server", caller: "Downstream", head: RequestHead, rest: bytes, now: float) -> None:
    """Begin an exchange with the bytes that came behind its head.

    When they are all of its body and a connection is free, which is nearly always, the phases up to *send* are this
    function: one after another they cost 3 µs more (``docs/decisions/0030-hot-path.md``). Otherwise they run one by one.
    """
    request_id = head.request_id or head.id.encode()
    length = head.length
    endpoint = None
    if length == len(rest) and length <= server.limits.body_bytes:
        plan = server.table.find(head)
        if isinstance(plan, RoutePlan) and not plan.needs_body:
            decision = plan.decide(head)
            pool = server.pools[decision.target]
            endpoint = pool.pick(decision.key, random)
            upstream = endpoint.reuse()
            if upstream is not None and upstream.transport is not None:
                timeouts = endpoint.timeouts
                exchange = Exchange(
                    server, caller, server.table, server.pools, head, request_id, now, now, HEAD, decision, 0.0, True, length, 1,
                    pool.row, endpoint, upstream, timeouts, now + timeouts.total,
                    rest if length <= REPEATABLE_BYTES else None,
                )  # fmt: skip
                caller.exchange = exchange
                upstream.user = exchange
                endpoint.active += 1
                server.words[pool.row + counters.TARGET_INFLIGHT] += 1
                server.cork(upstream.transport, exchange.request_lines(rest))
                sent = monotonic()
                exchange.overhead = sent - now
                caller.watch(sent + min(timeouts.first_byte, timeouts.total))
                return
    caller.exchange = exchange = Exchange(server, caller, server.table, server.pools, head, request_id, now, now)
    exchange.chosen = endpoint
    exchange.start(rest)


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
    fault: str | None = None
    target_failed: bool = False
    chosen: "Endpoint | None" = None  # picked before it was known that no connection is free
    upload: Upload | None = None
    outbox: list[bytes] = []  # what is to be sent of the body
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

    # --- gather and decide ------------------------------------------------------------------------------------

    def start(self, data: bytes) -> None:
        """Begin, with the bytes that came behind the head."""
        length = self.head.length
        if length == 0:
            self.request_done = True
            self.caller.held = data
        elif length > self.server.limits.body_bytes:
            self.refuse(413, "body_too_large", "the request body is too large")
            return
        elif 0 < length <= len(data):
            self.request_done = True
            self.request_bytes = length
            if length == len(data):
                self.outbox.append(data)
            else:
                self.outbox.append(data[:length])
                self.caller.held = data[length:]
        else:
            self.upload = Upload(length, self.server.limits.body_bytes)
            if not self._take(data):
                return
        self._decide()

    def request_data(self, data: bytes) -> None:
        """Take further bytes of the request body."""
        if not self._take(data):
            return
        if self.upstream is not None:
            self.repeatable = None
            self.upstream.write(b"".join(self.outbox))
            self.outbox.clear()
            self._await_response(monotonic())
        elif self.phase == GATHER:
            self._decide()
        elif self.phase == CONNECT and sum(map(len, self.outbox)) > OUTBOX_BYTES:
            self.caller.read(on=False)

    def _take(self, data: bytes) -> bool:
        """Put what the request body has in some bytes into the outbox; False if they had to be refused."""
        upload = self.upload
        if upload is None:
            raise RuntimeError("bytes of a body that is complete")
        try:
            body = upload.feed(data)
        except TooLargeError:
            self.refuse(413, "body_too_large", "the request body is too large")
            return False
        except FramingError as error:
            self.refuse(400, "bad_chunk", f"the request body is malformed: {error}")
            return False
        if body:
            self.outbox.append(body)
        self.request_bytes = upload.received
        if upload.done:
            self.request_done = True
            self.caller.held = upload.rest
        return True

    def _decide(self) -> None:
        """Find route, unit, arm and target; gather the body first where that needs it."""
        request = self.head
        plan = self.table.find(request)
        if plan is None:
            self.server.words[counters.NOT_ROUTED] += 1
            self.refuse(404, "no_route", "no route matches this request", keep=self.request_done)
            return
        if isinstance(plan, NeedBody) or (plan.needs_body and plan.wants_body(request)):
            if self._gathered(plan.inspect_bytes):
                self._decide()
            else:
                self._watch_body(monotonic())
            return
        self.decision = plan.decide(request)
        if request.invalid:
            self.server.words[GATHER_WORD["invalid"]] += 1
        self._pick(fresh=False)

    def _gathered(self, limit: int) -> bool:
        """Set the request's body as far as it may be read; False while more of it is to come."""
        head = self.head
        words = self.server.words
        if head.fields.get(b"content-encoding", b"identity").lower() != b"identity":
            words[GATHER_WORD["encoded"]] += 1
            self.head.body = b""
        elif head.length > limit or self.request_bytes > limit:
            words[GATHER_WORD["too_large"]] += 1
            self.head.body = b""
        elif self.request_done:
            body = b"".join(self.outbox)
            self.head.body = chunked_content(body) if head.length == CHUNKED else body
        else:
            self._say_continue()
            return False
        return True

    def _say_continue(self) -> None:
        """Answer ``Expect: 100-continue``, once, and only while nothing of the body has come (RFC 9110 10.1.1)."""
        if self.head.expects and not self.request_bytes and not self.interim:
            self.interim = 1
            self.caller.write(CONTINUE)

    # --- pick and send ----------------------------------------------------------------------------------------

    def _pick(self, *, fresh: bool) -> None:
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
            endpoint.claim(self)
            now = monotonic()
            self.overhead += now - self.arrived
            # The endpoint has its own time-out for connecting; this one is for waiting in its queue.
            self.caller.watch(min(now + 2 * self.timeouts.connect, self.total_at))

    def connected(self, upstream: "Upstream") -> None:
        """Take the connection and send what is there of the request."""
        if self.phase != CONNECT:
            return
        upstream.user = self
        self.upstream = upstream
        self.phase = HEAD
        body = b"".join(self.outbox)
        self.outbox.clear()
        self.repeatable = body if self.request_done and len(body) <= REPEATABLE_BYTES else None
        upstream.write(self.request_lines(body))
        if not self.request_done:
            self._say_continue()
            self.caller.read(on=True)
        now = monotonic()
        self.overhead += now - self.arrived
        self._await_response(now)

    def request_lines(self, body: bytes) -> bytes:
        """Return the head to send, with the router's own fields, and the body behind it."""
        head = self.head
        parts = [head.forward]
        if not head.authority and self.endpoint is not None:
            parts.append(b"host: %b\r\n" % self.endpoint.authority)
        if head.request_id is None:
            parts += (b"x-request-id: ", self.request_id, b"\r\n")
        if self.decision is not None:
            parts.append(self.decision.head)
        parts += self.caller.forwarded(head)
        parts.append(body)
        return b"".join(parts)

    def not_connected(self, fault: str) -> None:
        """There is no connection."""
        if self.phase == CONNECT:
            self._fail(fault)

    def _await_response(self, now: float) -> None:
        if self.phase == BODY:
            return
        if self.request_done:
            self.caller.watch(min(now + self.timeouts.first_byte, self.total_at))
        else:
            self._watch_body(now)

    def _watch_body(self, now: float) -> None:
        self.caller.watch(min(now + self.server.timeouts.body_read, self.total_at))

    # --- receive ----------------------------------------------------------------------------------------------

    def upstream_data(self, data: bytes) -> None:
        """Take bytes of the response."""
        now = self.arrived = monotonic()
        if self.phase == BODY:
            self._receive(data)
            return
        if self.held:
            data = self.held + data
            self.held = b""
        responses = self.server.responses
        head = responses.ordinary(data) if self.head.method != b"HEAD" else None
        if head is not None:
            if head.end + head.length == len(data) and self._answer_whole(head, data, now):
                return
        else:
            end = data.find(b"\r\n\r\n") + 4
            if end < 4:
                self._hold(data)
                return
            found = responses.read(data[:end], self.head.method)
            if isinstance(found, str):
                self._fail("malformed")
                return
            head = found
        if head.end > MAX_RESPONSE_HEAD:
            self._fail("malformed")
        elif head.status < 200:
            self._interim(head, data[head.end :])
        else:
            self._answer(head, data[head.end :])

    def _answer_whole(self, head: ResponseHead, data: bytes, now: float) -> bool:
        """Do all of *receive* and *finish* for an ordinary answer that came in one piece; False if it is not so ordinary.

        As in ``begin``, what is nearly always the case is one function.
        """
        server = self.server
        caller = self.caller
        endpoint = self.endpoint
        upstream = self.upstream
        request = self.head
        if (
            endpoint is None or upstream is None or not self.request_done or server.draining or caller.held
            or not request.http11 or not request.keep_alive or head.end > MAX_RESPONSE_HEAD
        ):  # fmt: skip
            return False
        server.cork(caller.transport, b"".join((head.forward, server.exposed(self), b"\r\n", data[head.end :])))
        self.phase = DONE
        self.status = head.status
        self.replied = self.served = True
        self.first_byte_at = now
        self.response_bytes = head.length
        if head.status >= SERVER_ERROR:
            self.target_failed = True
        self.upstream = self.endpoint = None
        endpoint.active -= 1
        server.words[self.row + counters.TARGET_INFLIGHT] -= 1
        endpoint.observe(now - self.started)
        ended = monotonic()
        self.overhead += ended - now
        endpoint.give_back(upstream, ended)
        record(self, ended)
        caller.ready(ended)
        return True

    def _hold(self, data: bytes) -> None:
        """Keep the beginning of a response head, unless it cannot become one."""
        if len(data) > MAX_RESPONSE_HEAD or data[:7] != b"HTTP/1."[: len(data)] or BROKEN_LINE.search(data) is not None:
            self._fail("malformed")
        else:
            self.held = data

    def _interim(self, head: ResponseHead, rest: bytes) -> None:
        """Pass on a 1xx answer, where the caller can understand it, and go on waiting for the final one."""
        self.interim += 1
        if head.status == 101 or self.interim > MAX_INTERIM:  # no one asked for another protocol
            self._fail("malformed")
            return
        if self.head.http11 and head.status != 100:  # 100 is the router's own to say
            self.caller.write(head.forward + b"\r\n")
        if rest:
            self.upstream_data(rest)

    def _answer(self, head: ResponseHead, rest: bytes) -> None:
        """Pass on the final head and what came with it."""
        server = self.server
        caller = self.caller
        http11 = self.head.http11
        length = head.length
        self.phase = BODY
        self.status = head.status
        self.reusable = head.keep_alive
        if head.status >= SERVER_ERROR:
            self.target_failed = True
        framing = b""
        if 0 <= length <= len(rest):
            done = True
            body = rest
            if length != len(rest):
                self.reusable = False  # bytes that nobody asked for
                body = rest[:length]
        else:
            download = self.download = Download(length, http11=http11)
            if length < 0:
                framing = b"transfer-encoding: chunked\r\n" if http11 else b""
                self.ends_by_close = not http11
            try:
                body = download.feed(rest)
            except FramingError:
                self._fail("malformed")
                return
            done = download.done
            if length == UNTIL_CLOSE or download.surplus:
                self.reusable = False
        # RFC 9112 9.5: a connection whose request was not read to its end cannot carry another.
        self.keep = self.head.keep_alive and self.request_done and not self.ends_by_close and not server.draining
        now = self.first_byte_at = self.arrived
        self.replied = self.served = True
        self.response_bytes = len(body)
        lines = (head.forward, server.exposed(self), framing, self._connection(), b"\r\n", body)
        caller.write(b"".join(lines))
        if self.endpoint is not None:
            self.endpoint.observe(now - self.started)
        if done:
            self._complete()
        else:
            caller.watch(min(now + self.timeouts.idle, self.total_at))

    def _connection(self) -> bytes:
        """Return the header line that says what becomes of the caller's connection."""
        if not self.keep:
            return b"connection: close\r\n"
        return b"" if self.head.http11 else b"connection: keep-alive\r\n"

    def _receive(self, data: bytes) -> None:
        """Pass on bytes of the response body."""
        download = self.download
        if download is None:
            raise RuntimeError("bytes of a response that is complete")
        try:
            body = download.feed(data)
        except FramingError:
            self._fail("malformed")
            return
        if body:
            self.response_bytes += len(body)
            self.caller.write(body)
        if download.done:
            if download.surplus:
                self.reusable = False
            self._complete()
        elif self.phase == BODY:
            self.caller.deadline = min(self.arrived + self.timeouts.idle, self.total_at)

    def caller_writable(self) -> None:
        """Read the target again: the caller takes the response again."""
        if self.upstream is not None:
            self.upstream.read(on=True)
        if self.phase == BODY:
            self.caller.watch(min(monotonic() + self.timeouts.idle, self.total_at))

    def upstream_writable(self, *, writable: bool) -> None:
        """Let a target that takes the request slowly slow the caller down."""
        self.caller.read(on=writable)

    def upstream_lost(self, error: Exception | None) -> None:
        """The connection ended before the response was complete, or is what completes it."""
        upstream, self.upstream = self.upstream, None
        if self.phase == BODY and self.download is not None:
            last = self.download.end() if error is None else None
            if last is None:
                self._fail("truncated")
            else:
                self.caller.write(last)
                self._complete()
        elif upstream is not None and upstream.used and self.repeatable is not None and self._may_repeat():
            self.outbox.append(self.repeatable)
            self._leave_endpoint()
            self._pick(fresh=True)
        else:
            self._fail("reset")

    def _may_repeat(self) -> bool:
        """Return whether the request can be sent again without any risk that it runs twice (RFC 9110 9.2.2)."""
        if self.held or self.interim or self.attempts > 1:
            return False
        return self.head.method in IDEMPOTENT or b"idempotency-key" in self.head.fields

    # --- ends -------------------------------------------------------------------------------------------------

    def expire(self, now: float) -> None:
        """The deadline of the phase has passed."""
        if now >= self.total_at:
            self._fail("timeout_total")
        elif self.phase == GATHER or (self.phase == HEAD and not self.request_done and self.caller.reading):
            if self.phase == GATHER:
                self.server.words[GATHER_WORD["incomplete"]] += 1
            self.refuse(408, "body_timeout", "the request body did not come in time")
        elif self.phase == BODY and not self.caller.writable:
            self.outcome_fault = "client_stalled"
            self._cut()
        else:
            self._fail({CONNECT: "pool_timeout", BODY: "timeout_idle"}.get(self.phase, "timeout_first_byte"))

    def gone(self) -> None:
        """The caller went away: cancel whatever is under way."""
        self.outcome_fault = "client_gone"
        self._finish(monotonic())

    def refuse(self, status: int, cause: str, detail: str, *, keep: bool = False) -> None:
        """End with an answer of the router's own that blames the request."""
        self.server.words[REFUSAL_WORD[cause]] += 1
        self.outcome_fault = cause
        self._end(status, cause, detail, keep=keep)

    def _fail(self, fault: str) -> None:
        """End with an answer of the router's own that blames the target; or cut the answer that has begun."""
        self.server.words[self.row + FAULT_OFFSET[fault]] += 1
        self.fault = self.outcome_fault = fault
        self.target_failed = self.target_failed or fault != "local"
        status, detail = problem.STATUS[fault]
        self._end(status, fault, detail, keep=self.request_done)

    def _end(self, status: int, cause: str, detail: str, *, keep: bool) -> None:
        if self.replied:
            self._cut()
            return
        self.keep = keep and self.head.keep_alive and not self.server.draining
        lines = self.server.exposed(self) + self._connection()
        answer = problem.answer(status, cause, detail, self.request_id, lines, head=self.head.method == b"HEAD")
        self.status = status
        self.replied = True
        self.first_byte_at = monotonic()
        self.response_bytes = len(answer)
        self.caller.write(answer)
        self._finish(self.first_byte_at)
        self.caller.exchange_done(keep=self.keep)

    def _cut(self) -> None:
        """End so that the caller sees that the response is not complete."""
        self._finish(monotonic())
        self.caller.cut(reset=self.ends_by_close)

    def _complete(self) -> None:
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
