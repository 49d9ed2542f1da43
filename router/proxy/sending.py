"""What is sent of a request, and what of it is kept to be sent again.

Responsible for: the head that a target gets, and how much of the body is at hand.
Does not know: connections, or when anything is sent.
"""

from typing import TYPE_CHECKING

from router.proxy.phase import UNSENT

if TYPE_CHECKING:
    from router.proxy.endpoint import Endpoint
    from router.proxy.exchange import Exchange


def request_lines(exchange: "Exchange", body: bytes, endpoint: "Endpoint | None", mark: bytes = b"") -> bytes:
    """Return the head to send to an endpoint, with the router's own fields, and the body behind it."""
    head = exchange.head
    decision = exchange.decision
    host = made = ident = end = b""
    if not head.authority and endpoint is not None:
        host = b"host: %b\r\n" % endpoint.authority
    if head.request_id is None:
        made, ident, end = b"x-request-id: ", exchange.request_id, b"\r\n"
    origin, asked, end_of_head = exchange.caller.forwarded(head)
    own = decision.head if decision is not None else b""
    if exchange.level is not None and exchange.step is None:
        own += exchange.level.head
    return b"".join((head.forward, host, made, ident, end, own, mark, origin, asked, end_of_head, body))


def replay_bytes(exchange: "Exchange") -> int:
    """Return how much of the body to keep: of one that is still coming, only where it may be of use."""
    decision = exchange.decision
    if decision is None:
        return 0
    useful = (
        exchange.request_done or decision.route.fallback or exchange.pools[exchange.target].target.retry is not None
    )
    return decision.route.replay_bytes if useful else 0


def keep_sent(exchange: "Exchange", body: bytes) -> None:
    """Keep more of the body, or none of it when that is too much."""
    if exchange.kept is not None:
        if len(exchange.kept) + len(body) <= replay_bytes(exchange):
            if not isinstance(exchange.kept, bytearray):
                exchange.kept = bytearray(exchange.kept)
            exchange.kept += body
        else:
            exchange.kept = None


def kept_body(exchange: "Exchange") -> bytes | None:
    """Return all of the body that has come, chunks and all; None when some of it was sent and not kept."""
    if exchange.kept is None and exchange.phase not in UNSENT:
        return None
    if isinstance(exchange.kept, bytes) and not exchange.outbox:
        return exchange.kept
    return bytes(exchange.kept or b"") + bytes(exchange.outbox)
