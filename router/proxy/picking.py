"""*Pick* and *send*: from a target to a request on its way to one of its endpoints.

Responsible for: a slot of the target where it has a limit, an endpoint, a connection, and the deadlines until the
response.
Does not know: what becomes of an attempt that fails.
"""

from random import random
from time import monotonic
from typing import TYPE_CHECKING

from router import counters
from router.proxy import hedge, sending
from router.proxy.phase import BODY, CONNECT, HEAD, QUEUE
from router.proxy.rescue import spare
from router.proxy.shadow import mirror
from router.routing.admission import expected_wait, retry_after

if TYPE_CHECKING:
    from router.proxy.endpoint import Endpoint
    from router.proxy.exchange import Exchange
    from router.proxy.gate import Gate
    from router.proxy.pool import TargetPool
    from router.proxy.upstream import Upstream


def pick(exchange: "Exchange", *, fresh: bool = False, admitted: bool = False) -> None:
    """Choose an endpoint of the present target, and get a connection to it.

    Args:
        exchange: The exchange, decided.
        fresh: Whether to make a new connection.
        admitted: Whether a slot of the target is given already, where it has a limit.
    """
    decision = exchange.decision
    if decision is None:
        raise RuntimeError("an endpoint is picked before the target is decided")
    server = exchange.server
    pool = exchange.pools[exchange.target]
    if exchange.timer is not None:
        exchange.timer = None
        pool.waiting -= 1
    exchange.phase = CONNECT
    exchange.row = pool.row
    exchange.timeouts = pool.target.timeouts
    if exchange.tries == 0 and not admitted:
        exchange.total_at = (exchange.started if exchange.step is None else monotonic()) + exchange.timeouts.total
    if pool.gate is not None and not admitted and not _enter(exchange, pool, pool.gate):
        return
    endpoint = exchange.endpoint = exchange.chosen or _choose(exchange, pool, decision.key)
    exchange.chosen = None
    if endpoint is None:
        exchange.fail(pool.closed_by)
        return
    exchange.gate = pool.gate
    exchange.attempts += 1
    exchange.tries += 1
    exchange.began = monotonic()
    if endpoint.standing.probing:
        exchange.ticket = endpoint.breaker.enter()
    endpoint.active += 1
    server.words[pool.row + counters.TARGET_INFLIGHT] += 1
    _hedge(exchange)
    upstream = None if fresh else endpoint.reuse()
    if upstream is not None:
        exchange.connected(upstream)
    else:
        waits = endpoint.claim(exchange)
        now = monotonic()
        exchange.overhead += now - exchange.arrived
        # The endpoint times the connecting itself; what is timed here is the wait for a place in its pool.
        longest = exchange.timeouts.connect if waits else 2 * exchange.timeouts.connect
        exchange.caller.watch(min(now + longest, exchange.total_at))


def _choose(exchange: "Exchange", pool: "TargetPool", key: int) -> "Endpoint | None":
    if pool.direct and exchange.avoid is None:
        return pool.choose(key, random)
    return pool.pick(key, random, spare=spare(exchange, pool.closed_by), avoid=exchange.avoid)


def _enter(exchange: "Exchange", pool: "TargetPool", gate: "Gate") -> bool:
    """Ask for a slot; False when there is none now, and the exchange waits or has gone another way."""
    if not pool.usable and spare(exchange, pool.closed_by):  # a slot would be of no use
        exchange.fail(pool.closed_by)
        return False
    now = monotonic()
    verdict = gate.enter(exchange, exchange.total_at - now)
    if verdict == "admit":
        return True
    if verdict == "wait":
        exchange.overhead += now - exchange.arrived
        exchange.gate = gate
        exchange.phase = QUEUE
        exchange.caller.watch(min(now + gate.limit.queue_timeout, exchange.total_at))
    else:
        exchange.retry_after = retry_after(expected_wait(gate.limit, gate.load()))
        exchange.shed(verdict)
    return False


def admitted(exchange: "Exchange") -> None:
    """Take the slot that has become free."""
    exchange.gate = None
    exchange.arrived = monotonic()
    pick(exchange, admitted=True)


def send(exchange: "Exchange", upstream: "Upstream") -> None:
    """Take the connection and send what is there of the request."""
    if exchange.phase != CONNECT:
        return
    upstream.user = exchange
    exchange.upstream = upstream
    exchange.phase = HEAD
    body = bytes(exchange.outbox)
    exchange.outbox.clear()
    exchange.kept = body if len(body) <= sending.replay_bytes(exchange) else None
    exchange.sent = True
    upstream.write(sending.request_lines(exchange, body, exchange.endpoint))
    decision = exchange.decision
    if decision is not None and decision.shadows and not exchange.mirrored:
        exchange.mirrored = True
        mirror(exchange, body)
    if not exchange.request_done:
        exchange.say_continue()
        exchange.caller.read(on=True)
    now = monotonic()
    exchange.overhead += now - exchange.arrived
    await_response(exchange, now)


def _hedge(exchange: "Exchange") -> None:
    """Have a whole request sent once more after a while, where the target says so."""
    policy = exchange.pools[exchange.target].target.hedge
    if policy is not None and exchange.request_done:
        hedge.prepare(exchange, policy)


def await_response(exchange: "Exchange", now: float) -> None:
    """Set the deadline of what is waited for: the rest of the request, or the response."""
    if exchange.phase == BODY:
        return
    if exchange.request_done:
        exchange.asked_at = now
        _hedge(exchange)
        exchange.caller.watch(min(now + exchange.timeouts.first_byte, exchange.total_at))
    else:
        exchange.watch_body(now)
