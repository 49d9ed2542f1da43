"""Keeping an exchange's answer for others that ask the same, and giving it to them.

Responsible for: what of an exchange goes to ``question`` and ``last_good``, and the answer that comes out again.
Does not know: which answers may be kept, or for how long.

Rules: only on routes that keep answers, and only those of the assigned target or the route's own with all it can do,
never a fallback's, nor one that gave way to load.
An answer is kept once all of it has come.
"""

from time import monotonic
from typing import TYPE_CHECKING

from msgspec import Struct

from router.proxy import question
from router.proxy.sending import kept_body
from router.routing.steps import Written

if TYPE_CHECKING:
    from router.proxy.exchange import Exchange
    from router.proxy.last_good import LastGood
    from router.proxy.response_head import ResponseHead


class Coming(Struct, gc=False, eq=False):
    """An answer that is coming in and is kept once it is whole.

    Attributes:
        store: Where it is kept then.
        key: Of the question.
        lines: Status line and fields.
        born: When it was made, in seconds of ``time.monotonic``.
        length: Bytes that it is going to have.
        body: Those that have come.
    """

    store: "LastGood"
    key: bytes
    lines: bytes
    born: float
    length: int
    body: bytearray

    def end(self, now: float) -> None:
        """Keep the answer, if it is whole, and give back what was set aside."""
        self.store.give_back(self.length)
        if len(self.body) == self.length:
            self.store.put(self.key, self.lines, bytes(self.body), self.born, now)


def begin(exchange: "Exchange", head: "ResponseHead", body: bytes) -> Coming | None:
    """Begin to keep an answer, where it may be kept.

    Args:
        exchange: The exchange, on a route that keeps answers.
        head: The answer's head.
        body: What came of its content with the head.
    """
    found = _keepable(exchange, head)
    if found is None:
        return None
    store, key, good = found
    if not store.set_aside(head.length):
        return None
    return Coming(store, key, good.lines, exchange.arrived - good.age, head.length, bytearray(body))


def _keepable(exchange: "Exchange", head: "ResponseHead") -> "tuple[LastGood, bytes, question.Good] | None":
    """Return where an answer may be kept, for which question, and what of its head; None when it may not be."""
    decision = exchange.decision
    second_best = exchange.step is not None or exchange.level is not None
    if decision is None or second_best or not exchange.request_done:
        return None
    store = exchange.server.last_good.get(decision.route.name)
    good = question.good(head, decision) if store is not None else None
    if store is None or good is None:
        return None
    key = question.key(exchange.head, kept_body(exchange), decision)
    return None if key is None else (store, key, good)


def whole(exchange: "Exchange", head: "ResponseHead", body: bytes) -> None:
    """Keep an answer that came as a whole, where it may be kept."""
    found = _keepable(exchange, head)
    if found is not None:
        store, key, good = found
        now = exchange.arrived
        store.put(key, good.lines, body, now - good.age, now)


def recall(exchange: "Exchange", body: bytes | None) -> Written | None:
    """Return the last good answer to what an exchange asks, with its age.

    Args:
        exchange: The exchange, on a route that keeps answers.
        body: The request's whole body as it came; None when it is not at hand.
    """
    decision = exchange.decision
    if decision is None or not exchange.request_done:
        return None
    store = exchange.server.last_good.get(decision.route.name)
    key = question.key(exchange.head, body, decision) if store is not None else None
    if store is None or key is None:
        return None
    now = monotonic()
    kept = store.get(key, now)
    if kept is None:
        return None
    return Written(200, kept.lines + b"age: %d\r\n" % (now - kept.born), kept.body)
