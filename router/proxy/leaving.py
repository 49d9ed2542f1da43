"""The end of an attempt: what it held is given back, whatever comes next.

Responsible for: connection, slot, probe and budget of an attempt that is over; and sending a request once more whose
kept connection was dead.
Does not know: whether there is another way to an answer (``rescue``).
"""

from time import monotonic
from typing import TYPE_CHECKING

from router import counters
from router.proxy.phase import CONNECT, QUEUE
from router.routing.recover import may_run_again

if TYPE_CHECKING:
    from router.proxy.exchange import Exchange


def leave(exchange: "Exchange") -> None:
    """Cancel the present attempt, and be ready for another."""
    if exchange.hedge is not None:
        exchange.hedge.end("cancelled")
    if exchange.phase == CONNECT and exchange.endpoint is not None:
        exchange.endpoint.withdraw(exchange)
    upstream, exchange.upstream = exchange.upstream, None
    if upstream is not None:
        upstream.close()
    stop_waiting(exchange)
    leave_queue(exchange)
    leave_endpoint(exchange)
    if exchange.kept is not None:
        exchange.outbox = bytearray(exchange.kept) + exchange.outbox
        exchange.kept = None
    exchange.held = b""
    exchange.turn = -1


def leave_connection(exchange: "Exchange") -> None:
    """Send the request on another connection: this one was of no use before anything was sent on it."""
    upstream, exchange.upstream = exchange.upstream, None
    if upstream is not None:
        upstream.close()
    if exchange.kept is None:
        exchange.fail("malformed")
    else:
        repeat(exchange)


def repeat(exchange: "Exchange") -> None:
    """Send the request on a new connection; the attempt before counts for nothing."""
    leave(exchange)
    exchange.tries -= 1
    exchange.pick(fresh=True, admitted=True)


def may_repeat(exchange: "Exchange") -> bool:
    """Return whether the request can be sent again without any risk that it runs twice (RFC 9110 9.2.2)."""
    if exchange.kept is None or not exchange.request_done:
        return False
    if exchange.turn == exchange.server.turn:  # nothing was sent yet
        return True
    head = exchange.head
    return not exchange.held and not exchange.interim and may_run_again(head.method, head.fields, None)


def stop_waiting(exchange: "Exchange") -> None:
    """Make no further attempt at the time that one was to be made."""
    timer, exchange.timer = exchange.timer, None
    if timer is not None:
        timer.cancel()
        exchange.pools[exchange.target].waiting -= 1


def leave_queue(exchange: "Exchange") -> None:
    """Wait for no slot any more."""
    if exchange.phase == QUEUE and exchange.gate is not None:
        exchange.gate.withdraw(exchange)
        exchange.gate = None
        exchange.phase = CONNECT


def leave_endpoint(exchange: "Exchange") -> None:
    """Give back what the attempt held of its endpoint and target."""
    settle(exchange)
    endpoint, exchange.endpoint = exchange.endpoint, None
    if endpoint is not None:
        endpoint.active -= 1
        exchange.server.words[exchange.row + counters.TARGET_INFLIGHT] -= 1
    gate, exchange.gate = exchange.gate, None
    if gate is not None:
        gate.leave(monotonic() - (exchange.began or exchange.started))


def settle(exchange: "Exchange") -> None:
    """It is known how the attempt went: it is no probe any more, and no retry."""
    if exchange.ticket and exchange.endpoint is not None:
        exchange.endpoint.breaker.leave()
    exchange.ticket = 0
    retrying, exchange.retrying = exchange.retrying, None
    if retrying is not None:
        retrying.retrying -= 1
