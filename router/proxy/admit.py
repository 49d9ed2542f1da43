"""*Admit*: between the decision and the pick, on routes that limit or degrade.

Responsible for: the order in which a request is asked whether it may go on: the route's rate, then what gives way at
the load of its target; and whether it goes to one target or to several.
Does not know: how rates and loads are counted, endpoints.

Rules: the assignment stays what it is, whoever serves. Which requests of a share are shed is drawn for each by itself:
by unit, the same users would be shed all the time.
"""

from random import random
from time import monotonic
from typing import TYPE_CHECKING

from router.proxy import fanout
from router.proxy.request_head import Refusal
from router.routing.admission import retry_after
from router.routing.degrade import reached

if TYPE_CHECKING:
    from router.proxy.exchange import Exchange
    from router.proxy.server import Server
    from router.routing.decide import Decision

_TOO_MANY = Refusal(429, "rate_limit", "there are more requests than the route takes")


def admit(exchange: "Exchange", decision: "Decision") -> None:
    """Send an exchange on to its target, or to another, or end it."""
    server = exchange.server
    plan = decision.route
    fan = plan.fan(decision) if plan.fans else None
    if fan is not None and not fanout.gathered(exchange, fan):
        return
    if plan.limited and not exchange.drawn:
        wait = draw(server, decision, exchange.head.client, monotonic())
        if wait:
            exchange.count_shed("rate_limit")
            exchange.retry_after = retry_after(wait)
            exchange.turn_away(_TOO_MANY)
            return
    gate = exchange.pools[decision.target].gate
    level = reached(plan.levels, gate.share()) if plan.levels and gate is not None else None
    if level is not None:
        exchange.level = level
        if level.shed and random() < level.shed:  # noqa: S311  # a share of requests, not secrecy
            exchange.shed("degrade")
            return
        if level.target is not None:
            exchange.target = level.target
            fan = None
    if fan is None or not fanout.begin(exchange, fan):
        exchange.pick()


def draw(server: "Server", decision: "Decision", client: str, now: float) -> float:
    """Draw from a route's rate; 0 if the request is within it, else the seconds until one would be."""
    limiter = server.limiters.get(decision.route.name)
    if limiter is None:  # the revision in force has none any more
        return 0.0
    return limiter.take(None if decision.unit is None else decision.key, client, now)
