"""Two connections as one, once the target has switched to the protocol that the caller asked for (RFC 9110 7.8).

Responsible for: bytes both ways with back-pressure both ways, the end of each direction, and how long both may be
silent.
Does not know: what the bytes mean, nor how the exchange came to its 101.

Rules: nothing is held here: a side that takes nothing stops the other. An end of data in one direction is passed on
and leaves the other open, unless one side is TLS, which ends both directions at once here. What is no end in order on
one side is none on the other. ``idle`` is of both directions together; ``total`` bounds exchanges that end by
themselves, so it does not cut a tunnel (``docs/decisions/0034-tunnels.md``). Neither connection carries anything else
afterwards.
"""

from time import monotonic
from typing import TYPE_CHECKING

from router import counters
from router.proxy.deadlines import NEVER
from router.proxy.upgrade import upgrade_lines

if TYPE_CHECKING:
    from router.proxy.exchange import Exchange
    from router.proxy.response_head import ResponseHead
    from router.proxy.upstream import Upstream


class Tunnel:
    """What the two connections of an exchange have become; an ``upstream.User`` and a ``deadlines.Item``."""

    __slots__ = (
        "_caller", "_caller_ended", "_exchange", "_halves", "_idle_s", "_over", "_target_ended", "_upstream", "_wheel",
        "_words", "deadline", "due",
    )  # fmt: skip

    def __init__(self, exchange: "Exchange", upstream: "Upstream") -> None:
        # Per connection
        self.deadline = NEVER
        self.due = NEVER
        self._exchange = exchange
        self._caller = exchange.caller
        self._upstream = upstream
        self._idle_s = exchange.timeouts.idle
        self._wheel = exchange.server.wheel
        self._words = exchange.server.words
        self._halves = not exchange.caller.secure and not upstream.secure  # whether one direction can end alone
        self._caller_ended = False  # whether the caller ended its data in order
        self._target_ended = False
        self._over = False

    def begin(self, head: "ResponseHead", rest: bytes) -> None:
        """Pass the 101 on, and what either side has sent behind its head."""
        exchange = self._exchange
        caller = self._caller
        self._words[counters.TUNNELS] += 1
        self._upstream.user = self
        held = caller.tunnelled(self)
        exchange.response_bytes = len(rest)
        self._moved()
        if not caller.writable:  # answers before this one
            self._upstream.read(on=False)
        lines = (head.forward, exchange.server.exposed(exchange), upgrade_lines(head.upgrade), b"\r\n", rest)
        caller.write(b"".join(lines))
        if held:
            self.caller_data(held)

    def _moved(self) -> None:
        """Begin the time anew that both directions may be silent."""
        deadline = self.deadline = monotonic() + self._idle_s
        if deadline < self.due:
            self._wheel.file(self)

    # --- the caller's side ------------------------------------------------------------------------------------

    def caller_data(self, data: bytes) -> None:
        """Take bytes from the caller."""
        self._exchange.request_bytes += len(data)
        self._upstream.write(data)
        self._moved()

    def caller_writable(self, *, writable: bool) -> None:
        """Stop the target while the caller takes nothing."""
        if not self._target_ended:
            self._upstream.read(on=writable)

    def caller_ends(self) -> bool:
        """The caller ended its data in order; return whether it can still be sent to."""
        self._caller_ended = True
        if not self._halves or self._target_ended:
            self._end(in_order=True)
            return False
        self._upstream.end_data()
        self._moved()
        return True

    def caller_lost(self) -> None:
        """The caller's connection is gone."""
        self._exchange.outcome_fault = "client_gone"
        self._end(in_order=False)

    # --- the target's side ------------------------------------------------------------------------------------

    def upstream_data(self, data: bytes) -> None:
        """Take bytes from the target."""
        if not self._over:
            self._exchange.response_bytes += len(data)
            self._caller.write(data)
            self._moved()

    def upstream_writable(self, *, writable: bool) -> None:
        """Stop the caller while the target takes nothing."""
        if not self._over and not self._caller_ended:
            self._caller.read(on=writable)

    def upstream_ended(self) -> bool:
        """The target ended its data in order; return whether it can still be sent to."""
        self._target_ended = True
        if self._over:
            return False
        if not self._halves or self._caller_ended:
            self._end(in_order=True)
            return False
        self._caller.end_data()
        self._moved()
        return True

    def upstream_lost(self, error: Exception | None) -> None:  # noqa: ARG002  # an end in order was told before
        """The target's connection is gone."""
        if self._over:
            self._wheel.forget(self)
            return
        if not self._target_ended:
            self._exchange.blame("truncated")
            self._exchange.outcome_fault = "truncated"
        self._end(in_order=False)

    # --- ends -------------------------------------------------------------------------------------------------

    def expire(self, now: float) -> None:  # noqa: ARG002  # as of every item
        """Nothing went either way for too long; or, at the end, the target has not taken what was sent."""
        if self._over:
            self._upstream.close()
        else:
            self._exchange.outcome_fault = "timeout_idle" if self._caller.writable else "client_stalled"
            self._end(in_order=False)

    def abort(self) -> None:
        """End both connections now, because the router ends."""
        self._exchange.outcome_fault = "drained"
        self._end(in_order=False)

    def _end(self, *, in_order: bool) -> None:
        """End both connections: in order, when all that was sent is to arrive."""
        self._over = True
        self._words[counters.TUNNELS] -= 1
        self._exchange.finish(monotonic())
        if in_order:
            self._moved()
            self._caller.end()
            self._upstream.end()
        else:
            self._wheel.forget(self)
            self._caller.cut(reset=True)
            self._upstream.reset()
