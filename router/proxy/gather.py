"""*Gather* and *decide*: from a request head and some body to a target.

Responsible for: the request body (framing, limits, holding what is read before there is a connection), reading as much
of it as the table needs, and the decision.
Does not know: endpoints, responses.

Rules: the body is read to decide only where the table asks for it, and never beyond ``inspect_bytes``; one that cannot
be read counts as absent, and is counted.
"""

from random import random
from time import monotonic
from typing import TYPE_CHECKING, Final

from router import counters
from router.proxy.admit import admit, draw
from router.proxy.bodies import TooLargeError, Upload, chunked_content
from router.proxy.exchange import Exchange
from router.proxy.framing import FramingError
from router.proxy.phase import CONNECT, GATHER, HEAD, QUEUE, WAIT
from router.proxy.picking import await_response
from router.proxy.record import GATHER_WORD
from router.proxy.request_head import CHUNKED, RequestHead
from router.proxy.sending import keep_sent, request_lines
from router.proxy.shadow import mirror
from router.routing.decide import RoutePlan
from router.routing.match import NeedBody

if TYPE_CHECKING:
    from router.proxy.downstream import Downstream
    from router.proxy.server import Server

OUTBOX_BYTES: Final = 64 * 1024  # request body held while a connection is made; the caller is not read beyond


def begin(server: "Server", caller: "Downstream", head: RequestHead, rest: bytes, now: float) -> None:
    """Begin an exchange with the bytes that came behind its head.

    When they are all of its body and a connection is free, which is nearly always, the phases up to *send* are this
    function: one after another they cost more (``docs/decisions/0030-hot-path.md``). Otherwise they run one by one.
    """
    request_id = head.request_id or head.id.encode()
    length = head.length
    endpoint = None
    drawn = False
    if length == len(rest) and length <= server.limits.body_bytes:
        if server.table.timed:
            head.now, head.claims = now + server.wall_offset, server.identity.claims
        plan = server.table.find(head)
        if isinstance(plan, RoutePlan) and plan.direct:
            if plan.timed and not head.now:
                head.now, head.claims = now + server.wall_offset, server.identity.claims
            decision = plan.decide(head)
            pool = server.pools[decision.target]
            gate = pool.gate
            if pool.straight and (gate is None or gate.free()):
                endpoint = pool.choose(decision.key, random)
                drawn = plan.limited and draw(server, decision, head.client, now) == 0.0
            upstream = endpoint.reuse() if endpoint is not None and drawn == plan.limited else None
            if endpoint is not None and upstream is not None and upstream.transport is not None:
                timeouts = endpoint.timeouts
                exchange = Exchange(
                    server, caller, server.table, server.pools, head, request_id, now, now, HEAD, decision,
                    decision.target, 0.0, True, length, 1, 1, pool.row, endpoint, upstream, timeouts,
                    now + timeouts.total, rest if length <= plan.replay_bytes else None, True, server.turn,
                )  # fmt: skip
                caller.exchange = exchange
                upstream.user = exchange
                endpoint.active += 1
                server.words[pool.row + counters.TARGET_INFLIGHT] += 1
                if gate is not None:
                    exchange.gate = gate
                server.cork(upstream.transport, request_lines(exchange, rest, endpoint))
                if decision.shadows:
                    exchange.mirrored = True
                    mirror(exchange, rest)
                sent = monotonic()
                exchange.overhead = sent - now
                caller.watch(sent + min(timeouts.first_byte, timeouts.total))
                return
    caller.exchange = exchange = Exchange(server, caller, server.table, server.pools, head, request_id, now, now)
    exchange.chosen = endpoint
    exchange.drawn = drawn
    start(exchange, rest)


def start(exchange: "Exchange", data: bytes) -> None:
    """Begin, with the bytes that came behind the head."""
    length = exchange.head.length
    if length == 0:
        exchange.request_done = True
        exchange.caller.held = data
    elif length > exchange.server.limits.body_bytes:
        exchange.refuse(413, "body_too_large", "the request body is too large")
        return
    elif 0 < length <= len(data):
        exchange.request_done = True
        exchange.request_bytes = length
        exchange.outbox += data[:length]
        exchange.caller.held = data[length:]
    else:
        exchange.caller.paused = 0.0
        exchange.upload = Upload(length, exchange.server.limits.body_bytes)
        body = _take(exchange, data)
        if body is None:
            return
        exchange.outbox += body
    _decide(exchange)


def more(exchange: "Exchange", data: bytes) -> None:
    """Take further bytes of the request body."""
    body = _take(exchange, data)
    if body is None:
        return
    if exchange.shadow is not None:
        exchange.shadow.upload(exchange, body)
    if exchange.upstream is not None:
        if body:
            keep_sent(exchange, body)
            exchange.upstream.write(body)
        await_response(exchange, monotonic())
        return
    exchange.outbox += body
    if exchange.phase == GATHER:
        _decide(exchange)
    elif exchange.phase in (CONNECT, WAIT, QUEUE) and len(exchange.outbox) > OUTBOX_BYTES:
        exchange.caller.read(on=False)


def _take(exchange: "Exchange", data: bytes) -> bytes | None:
    """Return what is to be forwarded of some bytes of the body; None if they had to be refused."""
    upload = exchange.upload
    if upload is None:
        raise RuntimeError("bytes of a body that is complete")
    try:
        body = upload.feed(data)
    except TooLargeError:
        exchange.refuse(413, "body_too_large", "the request body is too large")
        return None
    except FramingError as error:
        exchange.refuse(400, "bad_chunk", f"the request body is malformed: {error}")
        return None
    exchange.request_bytes = upload.received
    if upload.done:
        exchange.request_done = True
        exchange.caller.held = upload.rest
    return body


def _decide(exchange: "Exchange") -> None:
    """Find route, unit, arm and target; gather the body first where that needs it."""
    request = exchange.head
    if exchange.table.timed:
        _time(exchange)
    plan = exchange.table.find(request)
    if plan is None:
        exchange.server.words[counters.NOT_ROUTED] += 1
        exchange.refuse(404, "no_route", "no route matches this request", keep=exchange.request_done)
        return
    if isinstance(plan, RoutePlan) and plan.timed:
        _time(exchange)
    if isinstance(plan, NeedBody) or (plan.needs_body and plan.wants_body(request)):
        if _gathered(exchange, plan.inspect_bytes):
            _decide(exchange)
        else:
            exchange.watch_body(monotonic())
        return
    decision = exchange.decision = plan.decide(request)
    exchange.target = decision.target
    if request.invalid:
        exchange.server.words[GATHER_WORD["invalid"]] += 1
    if plan.admits:
        admit(exchange, decision)
    else:
        exchange.pick()


def _time(exchange: "Exchange") -> None:
    """Give the request its moment, and what verifies its token, once."""
    request = exchange.head
    if not request.now:
        request.now, request.claims = exchange.started + exchange.server.wall_offset, exchange.server.identity.claims


def _gathered(exchange: "Exchange", limit: int) -> bool:
    """Set the request's body as far as it may be read; False while more of it is to come."""
    head = exchange.head
    words = exchange.server.words
    if head.fields.get(b"content-encoding", b"identity").lower() != b"identity":
        words[GATHER_WORD["encoded"]] += 1
        exchange.head.body = b""
    elif head.length > limit or exchange.request_bytes > limit:
        words[GATHER_WORD["too_large"]] += 1
        exchange.head.body = b""
    elif exchange.request_done:
        body = bytes(exchange.outbox)
        exchange.head.body = chunked_content(body) if head.length == CHUNKED else body
    else:
        exchange.say_continue()
        return False
    return True
