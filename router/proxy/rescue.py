"""After a failed attempt: the same target again, a fallback, or nothing.

Responsible for: carrying out what ``routing.recover`` says about an exchange, before the first byte of its response.
Does not know: how an attempt is made or fails.

Rules: the failed attempt is cancelled before another begins. A request whose body was not kept goes to no other target,
but an answer that needs none can still be given.
"""

from email.utils import formatdate
from random import random
from time import monotonic
from typing import TYPE_CHECKING, Final

from router import counters
from router.proxy import remember
from router.proxy.leaving import leave
from router.proxy.phase import UNSENT, WAIT
from router.proxy.sending import kept_body
from router.routing.recover import (
    CAUSE,
    RETRIED,
    RETRIED_STATUS,
    affordable,
    backoff_s,
    may_run_again,
    next_step,
)
from router.routing.steps import CachedStep, TargetStep, Written, WrittenStep

if TYPE_CHECKING:
    from router.proxy.exchange import Exchange

CAUSE_OFFSET: Final = {cause: index for index, cause in enumerate(counters.CAUSES)}


def rescue(exchange: "Exchange", fault: str, status: int = 0) -> bool:
    """Go on after a failed attempt, where there is a way; False when there is none, and nothing has changed then.

    Args:
        exchange: The exchange; nothing of a response went to its caller.
        fault: Why the attempt failed, one of ``counters.FAULTS``.
        status: The target's status, when that is the fault.
    """
    return _again(exchange, fault, status) or fall_back(exchange, CAUSE[fault])


def _again(exchange: "Exchange", fault: str, status: int) -> bool:
    """Try the same target again, after a moment, where it says so."""
    retry = exchange.pools[exchange.target].target.retry
    if (
        retry is None or exchange.tries > retry.attempts or fault not in RETRIED
        or (status and status not in RETRIED_STATUS) or not _repeatable(exchange)
        or (exchange.sent and not may_run_again(exchange.head.method, exchange.head.fields, retry))
    ):  # fmt: skip
        return False
    pool = exchange.pools[exchange.target]
    words = exchange.server.words
    live = words[pool.row + counters.TARGET_INFLIGHT] + pool.waiting
    if not affordable(retry, live, pool.retrying):
        words[pool.row + counters.TARGET_RETRIES_DENIED] += 1
        return False
    wait = backoff_s(retry, exchange.tries, random())  # noqa: S311  # jitter, not secrecy
    if monotonic() + wait >= exchange.total_at:
        return False
    leave(exchange)
    pool.retrying += 1
    pool.waiting += 1
    exchange.retrying = pool
    words[pool.row + counters.TARGET_RETRIES] += 1
    exchange.phase = WAIT
    exchange.caller.watch(exchange.total_at)
    exchange.timer = exchange.server.loop.call_later(wait, exchange.pick)
    return True


def spare(exchange: "Exchange", fault: str) -> bool:
    """Return whether a fallback would answer if the present target could not be asked at all."""
    return _next(exchange, CAUSE[fault]) is not None


def _next(exchange: "Exchange", cause: str) -> tuple[int, Written | None] | None:
    """Return the index of the next fallback for a cause that can answer, and its answer unless that is a target's."""
    decision = exchange.decision
    if decision is None or not decision.route.fallback:
        return None
    steps = decision.route.fallback
    # A body that was not kept cannot go to any target: as if all had been tried.
    passed = exchange.passed if _repeatable(exchange) else [step.name for step in steps]
    begin = exchange.next_step
    causes = exchange.cause or cause, cause
    while (index := next_step(steps, begin, causes, (*passed, exchange.target))) is not None:
        step = steps[index]
        if isinstance(step, TargetStep):
            return index, None
        answer = _answer(exchange, step)
        if answer is not None:
            return index, answer
        begin = index + 1
    return None


def fall_back(exchange: "Exchange", cause: str) -> bool:
    """Let the next fallback that is for the cause, and has an answer, answer."""
    decision = exchange.decision
    found = _next(exchange, cause)
    if decision is None or found is None:
        return False
    index, answer = found
    leave(exchange)
    exchange.passed = (*exchange.passed, exchange.target)
    exchange.cause = exchange.cause or cause
    exchange.next_step = index + 1
    step = exchange.step = decision.route.fallback[index]
    if answer is not None:
        content = b"" if exchange.head.method == b"HEAD" else answer.content
        exchange.answer(answer.status, answer.head, content, keep=exchange.request_done)
    else:
        exchange.target = step.name
        exchange.tries = 0
        exchange.sent = False
        exchange.pick()
    return True


def _answer(exchange: "Exchange", step: CachedStep | WrittenStep) -> Written | None:
    """Return the answer of a step that needs no target; None when it has none for this request."""
    if isinstance(step, CachedStep):
        return remember.recall(exchange, kept_body(exchange))
    written = step.answer(exchange.head)
    if written is None:
        return None
    date = b"date: %b\r\n" % formatdate(usegmt=True).encode()  # RFC 9110 6.6.1: who has a clock sends it
    return Written(written.status, written.head + date, written.content)


def _repeatable(exchange: "Exchange") -> bool:
    """Return whether all that was sent of the request is still at hand, so that it can be sent from its beginning."""
    return exchange.phase in UNSENT or exchange.kept is not None
