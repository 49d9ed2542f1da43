"""What becomes of an exchange whose attempt failed: the same target again, the next fallback, or the end.

Responsible for: which faults are whose cause, when repeating is safe and affordable, and the order of a route's
fallbacks.
Does not know: connections, time-outs, how a step (``steps``) answers.

Rules: only before the first byte of a response. A request is repeated at the same target only where it cannot run
twice against its sender's will (RFC 9110 9.2.2), and only within a budget, so that retries do not bury a target that is
down. A fallback may answer any method: the first attempt is cancelled, and the sender named it as acceptable. No target
is asked twice by a chain.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from router.config.schema import Hedge, Retry
from router.routing.steps import Step, TargetStep

# Fault of an attempt (``counters.FAULTS``) to the cause that fallbacks name.
CAUSE: Final[Mapping[str, str]] = {
    "refused": "unavailable",
    "connect_timeout": "unavailable",
    "reset": "unavailable",
    "timeout_first_byte": "timeout",
    "timeout_idle": "timeout",
    "timeout_total": "timeout",
    "malformed": "unavailable",
    "truncated": "unavailable",
    "tls": "unavailable",
    "dns": "unavailable",
    "pool_timeout": "unavailable",
    "local": "unavailable",
    "unavailable": "unavailable",
    "breaker_open": "breaker_open",
    "shed": "shed",
    "status": "5xx",
}

# Worth another attempt at the same target. Not ``timeout_total``, which leaves no time; not what the target is spared.
RETRIED: Final = frozenset(
    {"refused", "connect_timeout", "reset", "timeout_first_byte", "malformed", "tls", "dns", "status"}
)
RETRIED_STATUS: Final = frozenset({502, 503, 504})  # a gateway's, or of too much to do
MIN_HEDGES: Final = 1  # always affordable: a second request at a time harms no target
MIN_RETRIES: Final = 3  # always affordable, as in Envoy's retry budget

IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS"})  # RFC 9110 9.2.2


def next_step(steps: Sequence[Step], begin: int, causes: Collection[str], passed: Collection[str]) -> int | None:
    """Return the index of the next fallback.

    Args:
        steps: The route's.
        begin: The first index that was not tried.
        causes: The cause of the first failure and that of the last; a step is for either.
        passed: Targets that were tried; when the request cannot be sent again, all of them (``everything``).
    """
    for index in range(begin, len(steps)):
        step = steps[index]
        if not step.causes.isdisjoint(causes) and not (isinstance(step, TargetStep) and step.name in passed):
            return index
    return None


def may_run_again(method: bytes, fields: Mapping[bytes, Any], retry: Retry | None) -> bool:
    """Return whether a request that may have reached a target may be sent again (RFC 9110 9.2.2)."""
    if method in IDEMPOTENT or b"idempotency-key" in fields:
        return True
    return retry is not None and method.decode("latin-1") in retry.methods


def affordable(retry: Retry, live: int, retrying: int) -> bool:
    """Return whether the budget has room for another further attempt.

    Args:
        retry: What the target says.
        live: Requests to the target under way.
        retrying: Those of them that are further attempts.
    """
    return retrying < max(MIN_RETRIES, retry.budget * live)


def may_hedge(hedge: Hedge, live: int, hedging: int) -> bool:
    """Return whether there is room for another second request to a target.

    Args:
        hedge: What the target says.
        live: Requests to the target under way, second ones included.
        hedging: The second ones.
    """
    return hedging < max(MIN_HEDGES, hedge.max * live)


def backoff_s(retry: Retry, attempt: int, u: float) -> float:
    """Return how long to wait before a further attempt, in seconds: full jitter (Brooker 2015).

    Args:
        retry: What the target says.
        attempt: 1 for the first further attempt.
        u: Uniform in [0, 1).
    """
    return u * retry.backoff * float(1 << (attempt - 1))
