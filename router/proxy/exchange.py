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

from random import getrandbits, random
from time import monotonic
from typing import TYPE_CHECKING, Final

from router import counters
from router.proxy import problem
from router.proxy.bodies import CHUNKED, UNTIL_CLOSE, Download, FramingError, TooLargeError, Upload, chunked_content
from router.proxy.heads import IDEMPOTENT, RequestHead, ResponseHead
from router.proxy.record import FAULT_OFFSET, GATHER_WORD, REFUSAL_WORD, record
from router.routing.match import NeedBody
from router.routing.request import Request

if TYPE_CHECKING:
    from router.proxy.downstream import Downstream
    from router.proxy.pool import Endpoint
    from router.proxy.server import Server
    from router.proxy.upstream import Upstream
    from router.routing.decide import Decision

GATHER, CONNECT, HEAD, BODY, DONE = range(5)

MAX_RESPONSE_HEAD: Final = 64 * 1024
OUTBOX_BYTES: Final = 64 * 1024  # request body held while a connection is made; the caller is not read beyond
REPLAY_BYTES: Final = 64 * 1024  # largest request kept to be repeated
MAX_INTERIM: Final = 16  # 1xx answers to one request
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
SERVER_ERROR: Final = 500


class Exchange:
    """An exchange: a ``pool.Claim`` and an ``upstream.User``."""

    __slots__ = (
        "_body", "_download", "_held", "_interim", "_keep", "_outbox", "_picked", "_reusable", "_timeouts", "_upload", "arrived",
        "attempts", "caller", "decision", "endpoint", "ends_by_close", "fault", "first_byte_at", "head", "id", "outcome_fault",
        "overhead", "phase", "replied", "request", "request_bytes", "request_done", "request_id", "response_bytes",
        "row", "served", "server", "started", "status", "table", "target_failed", "total_at", "upstream",
    )  # fmt: skip

    request: Request
    endpoint: "Endpoint"

    def __init__(self, server: "Server", caller: "Downstream", head: RequestHead, started: float) -> None:
        # Per exchange
        self.server = server
        self.caller = caller
        self.head = head
        self.started = self.arrived = started
        self.table = server.table
        self.id = "%032x" % getrandbits(128)
        self.request_id = head.request_id or self.id.encode()
        self.phase = GATHER
        self.decision: Decision | None = None
        self.overhead = 0.0
        # The request
        self.request_done = head.length == 0
        self.request_bytes = 0
        self._upload: Upload | None = None
        self._outbox: list[bytes] = []
        # The attempt
        self.attempts = 0
        self.upstream: Upstream | None = None
        self.fault: str | None = None
        self.target_failed = False
        self._picked = False
        self._body: bytes | None = None  # what was sent of the request behind its head, while it can be sent again
        # The response
        self.replied = False  # whether any byte of it went to the caller
        self.served = False  # whether the target gave it
        self.ends_by_close = False  # whether only the end of the connection marks its end
        self.status = 0
        self.first_byte_at = 0.0
        self.response_bytes = 0
        self.outcome_fault: str | None = None
        self._held = b""
        self._interim = 0
        self._keep = head.keep_alive
        self._reusable = False
        self._download: Download | None = None

    # --- gather and decide ------------------------------------------------------------------------------------

    def start(self, data: bytes) -> None:
        """Begin, with the bytes that came behind the head."""
        head = self.head
        self.request = Request(
            self.id, head.method, head.path, head.query, head.host, self.caller.client_of(head.fields), head.fields
        )
        length = head.length
        if length == 0:
            self.caller.held = data
        elif length > self.server.limits.body_bytes:
            self.refuse(413, "body_too_large", "the request body is too large")
            return
        elif 0 < length <= len(data):
            self.request_done = True
            self.request_bytes = length
            self.caller.held = data[length:]
            self._outbox.append(data[:length])
        else:
            self._upload = Upload(length, self.server.limits.body_bytes)
            if not self._take(data):
                return
        self._decide()

    def request_data(self, data: bytes) -> None:
        """Take further bytes of the request body."""
        if not self._take(data):
            return
        if self.upstream is not None:
            self._body = None
            self.upstream.write(b"".join(self._outbox))
            self._outbox.clear()
            self._await_response(monotonic())
        elif self.phase == GATHER:
            self._decide()
        elif self.phase == CONNECT and sum(map(len, self._outbox)) > OUTBOX_BYTES:
            self.caller.read(on=False)

    def _take(self, data: bytes) -> bool:
        """Put what the request body has in some bytes into the outbox; False if they had to be refused."""
        upload = self._upload
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
            self._outbox.append(body)
        self.request_bytes = upload.received
        if upload.done:
            self.request_done = True
            self.caller.held = upload.rest
        return True

    def _decide(self) -> None:
        """Find route, unit, arm and target; gather the body first where that needs it."""
        request = self.request
        plan = self.table.find(request)
        if plan is None:
            self.server.words[counters.NOT_ROUTED] += 1
            self.refuse(404, "no_route", "no route matches this request", keep=self.request_done)
            return
        if isinstance(plan, NeedBody) or (plan.needs_body and plan.wants_body(request)):
            if not self._gathered(plan.inspect_bytes):
                self._watch_body(monotonic())
                return
            self._decide()
            return
        decision = self.decision = plan.decide(request)
        if request.invalid:
            self.server.words[GATHER_WORD["invalid"]] += 1
        self.row = self.server.rows[decision.target]
        self._timeouts = self.server.pools[decision.target].target.timeouts
        self.total_at = self.started + self._timeouts.total
        self._pick(fresh=False)

    def _gathered(self, limit: int) -> bool:
        """Set the request's body as far as it may be read; False while more of it is to come."""
        head = self.head
        words = self.server.words
        if head.fields.get(b"content-encoding", b"identity").lower() != b"identity":
            words[GATHER_WORD["encoded"]] += 1
            self.request.body = b""
        elif head.length > limit or self.request_bytes > limit:
            words[GATHER_WORD["too_large"]] += 1
            self.request.body = b""
        elif self.request_done:
            body = b"".join(self._outbox)
            self.request.body = chunked_content(body) if head.length == CHUNKED else body
        else:
            if head.expects and not self.request_bytes and not self._interim:
                self._interim = 1
                self.caller.write(CONTINUE)
            return False
        return True

    # --- pick and send ----------------------------------------------------------------------------------------

    def _pick(self, *, fresh: bool) -> None:
        """Choose an endpoint, and get a connection to it."""
        decision = self.decision
        if decision is None:
            raise RuntimeError("an endpoint is picked before the target is decided")
        endpoint = self.endpoint = self.server.pools[decision.target].pick(decision.key, random)
        self.attempts += 1
        self._picked = True
        endpoint.active += 1
        self.server.words[self.row + counters.TARGET_INFLIGHT] += 1
        self.phase = CONNECT
        upstream = endpoint.take(self, fresh=fresh, careful=self.head.method not in IDEMPOTENT)
        if upstream is not None:
            self.connected(upstream)
        else:
            now = monotonic()
            self.overhead += now - self.arrived
            # The endpoint has its own time-out for connecting; this one is for waiting in its queue.
            self.caller.watch(min(now + 2 * self._timeouts.connect, self.total_at))

    def connected(self, upstream: "Upstream") -> None:
        """Take the connection and send what is there of the request."""
        if self.phase != CONNECT:
            return
        upstream.user = self
        self.upstream = upstream
        self.phase = HEAD
        head = self.head
        caller = self.caller
        lines = [head.forward]
        if not head.authority:
            lines.append(b"host: %b\r\n" % self.endpoint.authority)
        if head.request_id is None:
            lines.append(b"x-request-id: %b\r\n" % self.request_id)
        decision = self.decision
        if decision is not None:
            lines.append(decision.head)
        lines.append(caller.forwarded(head))
        lines.append(b"\r\n")
        outbox = self._outbox
        body = outbox[0] if len(outbox) == 1 else b"".join(outbox)
        outbox.clear()
        if self.request_done and len(body) <= REPLAY_BYTES:
            self._body = body
        lines.append(body)
        upstream.write(b"".join(lines))
        if not self.request_done:
            if head.expects and not self.request_bytes and not self._interim:
                self._interim = 1
                caller.write(CONTINUE)
            caller.read(on=True)
        now = monotonic()
        self.overhead += now - self.arrived
        self._await_response(now)

    def not_connected(self, fault: str) -> None:
        """There is no connection."""
        if self.phase == CONNECT:
            self._fail(fault)

    def _await_response(self, now: float) -> None:
        if self.phase == BODY:
            return
        if self.request_done:
            self.caller.watch(min(now + self._timeouts.first_byte, self.total_at))
        else:
            self._watch_body(now)

    def _watch_body(self, now: float) -> None:
        self.caller.watch(now + self.server.timeouts.body_read)

    # --- receive ----------------------------------------------------------------------------------------------

    def upstream_data(self, data: bytes) -> None:
        """Take bytes of the response."""
        self.arrived = monotonic()
        if self.phase == BODY:
            self._receive(data)
            return
        if self._held:
            data = self._held + data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            if len(data) > MAX_RESPONSE_HEAD or not b"HTTP/1."[: len(data)] == data[:7]:
                self._fail("malformed")
            else:
                self._held = data
            return
        self._held = b""
        head = self.server.responses.read(data[: end + 4], self.head.method)
        if isinstance(head, str) or end > MAX_RESPONSE_HEAD:
            self._fail("malformed")
        elif head.status < 200:
            self._interim_answer(head, data[end + 4 :])
        else:
            self._answer(head, data[end + 4 :])

    def _interim_answer(self, head: ResponseHead, rest: bytes) -> None:
        """Pass on a 1xx answer, where the caller can understand it, and go on waiting for the final one."""
        self._interim += 1
        if head.status == 101 or self._interim > MAX_INTERIM:  # no one asked for another protocol
            self._fail("malformed")
            return
        if self.head.http11 and head.status != 100:  # 100 is the router's own to say
            self.caller.write(head.forward + b"\r\n")
        if rest:
            self.upstream_data(rest)

    def _answer(self, head: ResponseHead, rest: bytes) -> None:
        """Pass on the final head and what came with it."""
        now = self.arrived
        server = self.server
        caller = self.caller
        http11 = self.head.http11
        self.replied = self.served = True
        self.first_byte_at = now
        self.status = head.status
        self.target_failed = self.target_failed or head.status >= SERVER_ERROR
        self.endpoint.observe(now - self.started)
        self._reusable = head.keep_alive
        self.phase = BODY
        lines = [head.forward, server.exposed(self)]
        length = head.length
        body = rest
        if 0 <= length <= len(rest):
            done = True
            if len(rest) > length:
                self._reusable = False
                body = rest[:length]
        else:
            download = self._download = Download(length, http11=http11)
            if length < 0:
                if http11:
                    lines.append(b"transfer-encoding: chunked\r\n")
                else:
                    self._keep = False
                    self.ends_by_close = True
            try:
                body = download.feed(rest)
            except FramingError:
                self._fail_target("malformed")
                self._cut()
                return
            done = download.done
            self._reusable = self._reusable and length != UNTIL_CLOSE and not download.surplus
        # RFC 9112 9.5: a connection whose request was not read to its end cannot carry another.
        self._keep = self._keep and self.request_done and not server.draining
        if not self._keep:
            lines.append(b"connection: close\r\n")
        elif not http11:
            lines.append(b"connection: keep-alive\r\n")
        lines.append(b"\r\n")
        if body:
            lines.append(body)
            self.response_bytes = len(body)
        caller.write(b"".join(lines))
        if done:
            self._complete()
        else:
            caller.watch(min(now + self._timeouts.idle, self.total_at))

    def _receive(self, data: bytes) -> None:
        """Pass on bytes of the response body."""
        download = self._download
        if download is None:
            raise RuntimeError("bytes of a response that is complete")
        try:
            body = download.feed(data)
        except FramingError:
            self._fail_target("malformed")
            self._cut()
            return
        if body:
            self.response_bytes += len(body)
            self.caller.write(body)
        if download.done:
            self._reusable = self._reusable and not download.surplus
            self._complete()
        elif self.phase == BODY:
            self.caller.deadline = min(self.arrived + self._timeouts.idle, self.total_at)

    def caller_writable(self) -> None:
        """Read the target again: the caller takes the response again."""
        if self.upstream is not None:
            self.upstream.read(on=True)
        if self.phase == BODY:
            self.caller.watch(min(monotonic() + self._timeouts.idle, self.total_at))

    def upstream_writable(self, *, writable: bool) -> None:
        """Let a target that takes the request slowly slow the caller down."""
        self.caller.read(on=writable)

    def upstream_lost(self, error: Exception | None) -> None:
        """The connection ended before the response was complete, or is what completes it."""
        upstream, self.upstream = self.upstream, None
        if self.phase == BODY and self._download is not None:
            last = self._download.end() if error is None else None
            if last is None:
                self._fail_target("truncated")
                self._cut()
                return
            self.caller.write(last)
            self._complete()
        elif upstream is not None and upstream.used and self._body is not None and self._may_repeat():
            self._outbox.append(self._body)
            self._leave_endpoint()
            self._pick(fresh=True)
        else:
            self._fail("reset")

    def _may_repeat(self) -> bool:
        """Return whether the request can be sent again without any risk that it runs twice (RFC 9110 9.2.2)."""
        if self._held or self._interim or self.attempts > 1:
            return False
        return self.head.method in IDEMPOTENT or b"idempotency-key" in self.head.fields

    # --- ends -------------------------------------------------------------------------------------------------

    def expire(self, now: float) -> None:
        """The deadline of the phase has passed."""
        if self.phase == GATHER or (self.phase == HEAD and not self.request_done and self.caller.reading):
            if self.phase == GATHER:
                self.server.words[GATHER_WORD["incomplete"]] += 1
            self.refuse(408, "body_timeout", "the request body did not come in time")
        elif self.phase == BODY and not self.caller.writable:
            self.outcome_fault = "client_stalled"
            self._cut()
        else:
            if now >= self.total_at:
                fault = "timeout_total"
            elif self.phase == CONNECT:
                fault = "pool_timeout"
            else:
                fault = "timeout_idle" if self.phase == BODY else "timeout_first_byte"
            self._fail(fault)

    def gone(self) -> None:
        """The caller went away: cancel whatever is under way."""
        self.outcome_fault = "client_gone"
        self._finish()

    def refuse(self, status: int, cause: str, detail: str, *, keep: bool = False) -> None:
        """End with an answer of the router's own that blames the request."""
        self.server.words[REFUSAL_WORD[cause]] += 1
        self.outcome_fault = cause
        self._end(status, cause, detail, keep=keep)

    def _fail(self, fault: str) -> None:
        """End with an answer of the router's own that blames the target; or cut the answer that has begun."""
        self._fail_target(fault)
        status, detail = problem.STATUS[fault]
        self._end(status, fault, detail, keep=self.request_done)

    def _fail_target(self, fault: str) -> None:
        self.server.words[self.row + FAULT_OFFSET[fault]] += 1
        self.fault = self.fault or fault
        self.outcome_fault = fault
        self.target_failed = self.target_failed or fault != "local"

    def _end(self, status: int, cause: str, detail: str, *, keep: bool) -> None:
        if self.phase == DONE:
            return
        if self.replied:
            self._cut()
            return
        caller = self.caller
        keep = keep and self._keep and not self.server.draining
        lines = self.server.exposed(self)
        if not keep:
            lines += b"connection: close\r\n"
        elif not self.head.http11:
            lines += b"connection: keep-alive\r\n"
        answer = problem.answer(status, cause, detail, self.request_id, lines, head=self.head.method == b"HEAD")
        self.status = status
        self.replied = True
        self.first_byte_at = monotonic()
        self.response_bytes = len(answer)
        caller.write(answer)
        self._finish()
        caller.exchange_done(keep=keep)

    def _cut(self) -> None:
        """End so that the caller sees that the response is not complete."""
        self._finish()
        self.caller.cut()

    def _complete(self) -> None:
        """The response is whole."""
        now = monotonic()
        self.overhead += now - self.arrived
        upstream = self.upstream
        if upstream is not None and self._reusable and self.request_done:
            self.upstream = None
            self.endpoint.give_back(upstream, now)
        self._finish(now)
        self.caller.exchange_done(keep=self._keep)

    def _finish(self, now: float | None = None) -> None:
        """The last phase of every exchange."""
        if self.phase == DONE:
            return
        if self.phase == CONNECT:
            self.endpoint.withdraw(self)
        self.phase = DONE
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.close()
        self._leave_endpoint()
        record(self, monotonic() if now is None else now)

    def _leave_endpoint(self) -> None:
        if self._picked:
            self._picked = False
            self.endpoint.active -= 1
            self.server.words[self.row + counters.TARGET_INFLIGHT] -= 1
