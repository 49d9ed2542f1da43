"""What an attempt says about its endpoint.

Responsible for: which ends of an attempt the breaker hears of.
Does not know: what the breaker makes of them (``routing.breaker``), how an attempt ended so.

Rules: each attempt is judged once, at its end; a tunnel by its 101, and once more if the endpoint breaks it off. Only
what the endpoint did counts: not a status below 500, not a caller that went away or is slow, not what this process
could not do for want of a descriptor or memory (``local``), not a wait for a place in the pool, not an answer that is
longer than ``timeouts.total`` allows.
"""

from time import monotonic
from typing import TYPE_CHECKING, Final

from router.proxy.phase import HEAD

if TYPE_CHECKING:
    from router.proxy.exchange import Exchange

ENDPOINTS_OWN: Final = frozenset(
    {
        "refused", "connect_timeout", "reset", "timeout_first_byte", "timeout_idle", "malformed", "truncated", "tls",
        "dns", "status",
    }
)  # fmt: skip
SERVER_ERROR: Final = 500


def failed(exchange: "Exchange", fault: str) -> None:
    """Note that the present attempt failed; before it leaves its endpoint."""
    endpoint = exchange.endpoint
    if endpoint is None:
        return
    exchange.avoid = endpoint
    # The total time-out falls upon whoever is waited for.
    waited_for = fault == "timeout_total" and exchange.phase == HEAD and exchange.request_done
    judged_by_status = exchange.replied and exchange.status >= SERVER_ERROR
    if (fault in ENDPOINTS_OWN or waited_for) and not judged_by_status:
        endpoint.breaker.failed(exchange.ticket, exchange.began or exchange.started, monotonic())


def succeeded(exchange: "Exchange", now: float) -> None:
    """Note that the present attempt ended with a whole answer; before it leaves its endpoint."""
    endpoint = exchange.endpoint
    if endpoint is not None and exchange.status < SERVER_ERROR:
        exchange.server.words[endpoint.succeeded] += 1
        ticket, exchange.ticket = exchange.ticket, 0
        if ticket:  # its place is free now, though a tunnel may go on for hours
            endpoint.breaker.leave()
            endpoint.breaker.passed(ticket, now)
