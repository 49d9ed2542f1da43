"""One of several targets that a request goes to, and what comes back from it.

Responsible for: standing in the caller's place for the exchange with that target: keeping what it is sent, up to a
length, and stopping the target there.
Does not know: the other targets, what is made of the answers (``fanout``).

Rules: the exchange is one like any other, so endpoint, pool, slot, breaker, retries and time-outs of the target are as
for any request. Nothing goes to the caller from here. An answer that is longer than what is read stays as it is, with
the target stopped, until somebody decides what becomes of it.
"""

from time import monotonic
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

from router.proxy.bodies import chunked_content
from router.proxy.deadlines import NEVER
from router.proxy.framing import FramingError
from router.proxy.phase import HEAD
from router.proxy.response_head import CHUNKED, ResponseHead
from router.routing.reward import unreadable

if TYPE_CHECKING:
    from router.proxy.downstream import Downstream
    from router.proxy.exchange import Exchange
    from router.proxy.fanout import Fan
    from router.proxy.request_head import RequestHead
    from router.routing.fanout import Answer, Seat

OK: Final = 200
_HEAD_BYTES: Final = 64 * 1024  # of an answer, with the router's own fields
_STATUS_AT: Final = len(b"HTTP/1.1 ")


class Member(Struct, eq=False):
    """A target among several; to its exchange a caller, and a ``deadlines.Item``.

    Attributes:
        fan: Whose member it is.
        seat: The arm.
        caller: The caller's connection.
        exchange: With the target; None before it began, and once it is over or given away.
        given: Whether it is the caller's own now.
        sent: What would have gone to the caller.
        stalled: Whether the target is stopped, because the answer is longer than what is read.
        over: Whether the exchange has ended.
        result: What came of it, once that is known; one of ``counters.FAN_RESULTS``.
        head: Head of the answer, when a whole one came.
        content: Its content.
        answer: What can be combined of it.
        fault: Why there is no whole answer.
        failed: Whether an attempt failed, through the target's fault.
        first_fault: Why the first did.
        attempts: How many there were.
        began: When it was asked, in seconds of ``time.monotonic``; 0 when it was not.
        ticket: Of a probe of the arm, after it was left out for a while.
    """

    # What an exchange looks at in a caller: nothing is behind the request, and answers take the phases one by one.
    held = b""
    reading = False
    writable = True
    paused = 0.0

    fan: "Fan"
    seat: "Seat"
    caller: "Downstream"
    exchange: "Exchange | None" = None
    given: bool = False
    deadline: float = NEVER
    due: float = NEVER
    sent: bytearray = field(default_factory=bytearray)
    stalled: bool = False
    over: bool = False
    result: str | None = None
    head: ResponseHead | None = None
    content: bytes = b""
    answer: "Answer | None" = None
    fault: str | None = None
    failed: bool = False
    first_fault: str | None = None
    attempts: int = 0
    began: float = 0.0
    ticket: int = 0

    # --- what its exchange asks of a caller -------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Keep bytes of the answer; 1xx answers are not passed on."""
        if not self.sent and data[_STATUS_AT : _STATUS_AT + 1] == b"1":
            return
        if self.given:
            self.caller.write(data)
        if self.exchange is None:
            return
        self.sent += data
        if not self.fan.holds(self, len(data)) and not self.stalled:
            self.stalled = True
            if self.exchange.upstream is not None:
                self.exchange.upstream.read(on=False)
            self.fan.notice()

    def read(self, *, on: bool) -> None:
        """Do nothing: the request is whole, so nobody is slowed down by a target that takes it slowly."""

    def watch(self, deadline: float) -> None:
        """Set the deadline of the exchange."""
        if self.given:
            self.caller.watch(deadline)
        elif self.exchange is not None:
            self.exchange.server.wheel.watch(self, NEVER if self.stalled else deadline)

    def expire(self, now: float) -> None:
        """The deadline has passed."""
        if self.exchange is not None and not self.stalled:
            self.exchange.expire(now)

    def forwarded(self, head: "RequestHead") -> tuple[bytes, bytes, bytes]:
        """Return the header lines that tell the target where the request came from."""
        return self.caller.forwarded(head)

    def exchange_done(self, *, keep: bool) -> None:  # noqa: ARG002  # a caller's signature
        """The exchange has ended, with an answer of the target's or of the router's own."""
        self._end()

    def cut(self, *, reset: bool) -> None:  # noqa: ARG002  # a caller's signature
        """The exchange has ended in the middle of an answer."""
        self._end()

    # --- its end ----------------------------------------------------------------------------------------------

    def _end(self) -> None:
        exchange = self._leave()
        if exchange is None:
            return
        self.over = True
        self.fault = exchange.outcome_fault
        self.failed, self.first_fault = exchange.target_failed, exchange.fault
        self.attempts = exchange.attempts
        if self.fault is None and exchange.served:
            self._examine(exchange)
        else:
            self.result = "failed"
            self.fault = self.fault or "malformed"
        self.fan.notice()

    def _examine(self, exchange: "Exchange") -> None:
        """Take the answer apart, and find out what can be combined of it."""
        raw = bytes(self.sent)
        end = raw.find(b"\r\n\r\n") + 4
        head = exchange.server.responses.read(raw[:end], exchange.head.method)
        if isinstance(head, str):
            raise TypeError(f"the router's own answer cannot be read: {head}")
        try:
            self.content = chunked_content(raw[end:]) if head.length == CHUNKED else raw[end:]
        except FramingError as error:
            raise RuntimeError("the router's own framing cannot be read") from error
        self.head = head
        self.sent.clear()
        plan = self.fan.plan
        reason = unreadable(head.forward.lower())
        if head.status != OK:
            self.result = "failed"
        elif reason is not None:
            self.result = reason
        elif len(self.content) > plan.answer_bytes:
            self.result = "too_large"
        else:
            self.answer = plan.answer(self.content)
            self.result = "no_value" if self.answer is None else None

    def drop(self) -> None:
        """Do not ask: what the arm contributed of late was of no use."""
        self.over = True
        self.result, self.fault = "dropped", "breaker_open"
        self.failed, self.first_fault = True, "breaker_open"

    def cancel(self, result: str) -> None:
        """End the exchange, whose answer nobody waits for any more."""
        exchange = self._leave()
        if exchange is None:
            return
        self.over = True
        self.result = result
        self.attempts = exchange.attempts
        now = monotonic()
        if exchange.phase == HEAD and exchange.endpoint is not None:  # it takes at least that long
            exchange.endpoint.observe(now - (exchange.asked_at or exchange.began or exchange.started))
        exchange.finish(now)

    def give(self) -> "Exchange | None":
        """Give the exchange away: it is the caller's own from now on."""
        exchange = self._leave()
        self.given = exchange is not None
        return exchange

    def _leave(self) -> "Exchange | None":
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.server.wheel.forget(self)
        return exchange

    def limit(self) -> int:
        """Return how much of the answer is kept, with its head and as it is framed."""
        return _HEAD_BYTES + 2 * self.fan.plan.answer_bytes

    @property
    def status(self) -> int:
        """Return the status of the answer; 0 without one."""
        if self.head is not None:
            return self.head.status
        return self.exchange.status if self.exchange is not None and self.exchange.replied else 0
