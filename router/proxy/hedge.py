"""A second request to a target that takes long to answer the first.

Responsible for: when the second is sent, which of the two answers counts, and what becomes of the other.
Does not know: how an answer is passed on; that of the second becomes the exchange's own attempt before it is.

Rules: only requests that may run twice, only whole ones whose body is at hand, only within a share of the target's live
requests, and only where no other request waits for the target. Nothing of an answer goes to the caller before the other
request is cancelled. An answer of 500 or more, or another fault, decides nothing while the other request is under way.
Each request that was sent is counted as in flight for just as long as it is.
"""

from asyncio import TimerHandle
from random import random
from time import monotonic
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from router import counters
from router.config import schema
from router.proxy import receive
from router.proxy.judge import ENDPOINTS_OWN
from router.proxy.leaving import leave
from router.proxy.phase import CONNECT, HEAD
from router.proxy.record import FAULT_OFFSET
from router.proxy.sending import kept_body, replay_bytes, request_lines
from router.routing.recover import may_hedge, may_run_again

if TYPE_CHECKING:
    from router.proxy.endpoint import Endpoint
    from router.proxy.exchange import Exchange
    from router.proxy.pool import TargetPool
    from router.proxy.upstream import Upstream

_RESULT: Final = {result: counters.TARGET_HEDGES + index for index, result in enumerate(counters.HEDGES)}


class Hedge(Struct, eq=False):
    """The second request of an exchange: an ``endpoint.Claim`` and an ``upstream.User``.

    Attributes:
        exchange: Whose it is.
        pool: The target's.
        policy: What the target says.
        timer: Until it is sent.
        endpoint: Where it was sent; None before, and when it is over or the exchange's own attempt.
        upstream: The connection, once there is one.
        began: When it was sent, in seconds of ``time.monotonic``.
        held: The beginning of its answer.
        interim: 1xx answers so far.
        claimed: Where it waits for a connection as the exchange's own attempt.
    """

    exchange: "Exchange"
    pool: "TargetPool"
    policy: schema.Hedge
    timer: TimerHandle | None = None
    endpoint: "Endpoint | None" = None
    upstream: "Upstream | None" = None
    began: float = 0.0
    held: bytes = b""
    interim: int = 0
    claimed: "Endpoint | None" = None

    # --- the second request -----------------------------------------------------------------------------------

    def send(self) -> None:
        """Send the request once more: nothing has come of the first."""
        self.timer = None
        exchange, pool = self.exchange, self.pool
        words = exchange.server.words
        decision = exchange.decision
        if decision is None or exchange.held or exchange.interim:
            return
        room = pool.gate is None or pool.gate.spare()
        if not room or not may_hedge(self.policy, words[pool.row + counters.TARGET_INFLIGHT], pool.hedging):
            words[pool.row + _RESULT["denied"]] += 1
            return
        endpoint = pool.pick(decision.key, random, spare=True, avoid=exchange.endpoint)
        if endpoint is None or endpoint.standing.probing:  # a request that somebody waits for is the better probe
            return
        self.endpoint = endpoint
        self.began = monotonic()
        endpoint.active += 1
        words[pool.row + counters.TARGET_INFLIGHT] += 1
        pool.hedging += 1
        exchange.attempts += 1
        upstream = endpoint.reuse()
        if upstream is not None:
            self.connected(upstream)
        else:
            endpoint.claim(self)

    def connected(self, upstream: "Upstream") -> None:
        """Take the connection and send the request."""
        exchange = self.exchange
        if self.claimed is not None:
            self.claimed = exchange.hedge = None
            exchange.connected(upstream)
        elif self.endpoint is not None:
            upstream.user = self
            self.upstream = upstream
            upstream.write(request_lines(exchange, kept_body(exchange) or b"", self.endpoint))

    def not_connected(self, fault: str) -> None:
        """There is no connection."""
        exchange = self.exchange
        if self.claimed is not None:
            self.claimed = exchange.hedge = None
            exchange.not_connected(fault)
        elif self.endpoint is not None:
            self._fail(fault)

    def upstream_data(self, data: bytes) -> None:
        """Take bytes of the answer; once its head is whole, it is known whether it counts."""
        seen = len(self.held)
        data = self.held + data
        while True:
            end = data.find(b"\r\n\r\n", max(0, seen - 3)) + 4
            if end < 4:
                self.held = data
                if not receive.may_become_head(data, seen):
                    self._fail("malformed")
                return
            head = self.exchange.server.responses.read(data[:end], self.exchange.head.method)
            if isinstance(head, str) or head.end > receive.MAX_RESPONSE_HEAD or head.status == 101:
                self._fail("malformed")
                return
            if head.status >= 200:
                break
            self.interim += 1
            if self.interim > receive.MAX_INTERIM:
                self._fail("malformed")
                return
            data, seen = data[end:], 0
        if head.status >= receive.SERVER_ERROR:
            self._fail("status")
        else:
            self._win(data)

    def upstream_lost(self, error: Exception | None) -> None:  # noqa: ARG002  # User's signature
        """The connection ended before an answer."""
        self.upstream = None
        self._fail("reset")

    def upstream_ended(self) -> bool:
        """Return that nothing more is sent: the request was sent as a whole."""
        return False

    def upstream_writable(self, *, writable: bool) -> None:
        """The request is sent as a whole; nothing waits for it."""

    # --- which one counts -------------------------------------------------------------------------------------

    def stand_in(self, fault: str) -> bool:
        """The first request failed: go on with this one; False when there is none, or no time for it."""
        if self.endpoint is None or fault == "timeout_total":
            return False
        self._count("rescued")
        self._become_first()
        return True

    def end(self, result: str) -> None:
        """Cancel the second request, sent or not.

        Args:
            result: One of ``counters.HEDGES``, if it was sent.
        """
        self.exchange.hedge = None
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.claimed is not None:
            self.claimed.withdraw(self)
            self.claimed = None
        endpoint, self.endpoint = self.endpoint, None
        if endpoint is None:
            return
        self._count(result)
        endpoint.withdraw(self)
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.close()
        endpoint.active -= 1
        self.exchange.server.words[self.pool.row + counters.TARGET_INFLIGHT] -= 1
        self.pool.hedging -= 1
        if self.pool.gate is not None:
            self.pool.gate.leave(monotonic() - self.began)

    def _fail(self, fault: str) -> None:
        """The second request failed, and the first is still under way."""
        endpoint = self.endpoint
        self.exchange.server.words[self.pool.row + FAULT_OFFSET[fault]] += 1
        if endpoint is not None and fault in ENDPOINTS_OWN:
            endpoint.breaker.failed(0, self.began, monotonic())
        self.end("failed")

    def _win(self, data: bytes) -> None:
        """The second request is answered, and the first is not."""
        exchange = self.exchange
        now = monotonic()
        if exchange.endpoint is not None and exchange.phase == HEAD:
            exchange.endpoint.observe(now - (exchange.asked_at or exchange.started))  # it takes at least that long
        self.held = b""
        self._count("won")
        self._become_first()
        exchange.arrived = now
        receive.take(exchange, data)

    def _become_first(self) -> None:
        """Cancel the first request, and make the second the exchange's attempt."""
        exchange = self.exchange
        exchange.hedge = None
        leave(exchange)
        endpoint, self.endpoint = self.endpoint, None
        upstream, self.upstream = self.upstream, None
        self.pool.hedging -= 1
        exchange.endpoint = endpoint
        exchange.gate = self.pool.gate
        exchange.began = exchange.asked_at = self.began
        timeouts = exchange.timeouts
        if upstream is None:
            exchange.phase = CONNECT
            exchange.hedge = self
            self.claimed = endpoint
            exchange.caller.watch(min(self.began + 2 * timeouts.connect, exchange.total_at))
            return
        upstream.user = exchange
        exchange.upstream = upstream
        exchange.phase = HEAD
        exchange.sent = True
        exchange.kept = bytes(exchange.outbox)
        exchange.outbox.clear()
        exchange.held = self.held
        exchange.caller.watch(min(self.began + timeouts.first_byte, exchange.total_at))

    def _count(self, result: str) -> None:
        self.exchange.server.words[self.pool.row + _RESULT[result]] += 1
        self.exchange.hedged = result


def prepare(exchange: "Exchange", policy: schema.Hedge) -> None:
    """Have the request of an exchange sent a second time after a while, where that may be.

    Args:
        exchange: The exchange, whose request is whole and not answered.
        policy: What the target says.
    """
    body = exchange.outbox if exchange.kept is None else exchange.kept
    at_hand = exchange.phase == CONNECT or exchange.kept is not None
    if (
        exchange.hedge is not None or exchange.head.upgrade or not at_hand or len(body) > replay_bytes(exchange)
        or not may_run_again(exchange.head.method, exchange.head.fields, None)
    ):  # fmt: skip
        return
    hedge = exchange.hedge = Hedge(exchange, exchange.pools[exchange.target], policy)
    hedge.timer = exchange.server.loop.call_later(policy.after, hedge.send)
