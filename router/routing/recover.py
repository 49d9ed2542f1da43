"""What becomes of an exchange whose attempt failed: the same target again, the next fallback, or the end.

Responsible for: which faults are whose cause, when repeating is safe and affordable, and the order of a route's
fallbacks.
Does not know: connections, time-outs, how a step answers.

Rules: only before the first byte of a response. A request is repeated at the same target only where it cannot run
twice against its sender's will (RFC 9110 9.2.2), and only within a budget, so that retries do not bury a target that is
down. A fallback may answer any method: the first attempt is cancelled, and the sender named it as acceptable. No target
is asked twice by a chain.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from msgspec import Struct

from router.config.schema import Respond, Retry, Route
from router.counters import fallback_key, pair_key

NO_TARGET: Final = ""  # the target's name in counters of answers that none gave

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
MIN_RETRIES: Final = 3  # always affordable, as in Envoy's retry budget

IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS"})  # RFC 9110 9.2.2


class TargetStep(Struct, frozen=True):
    """Another target.

    Attributes:
        name: Name of the target.
        causes: What it is for.
        row: First word of its counters (``counters.CAUSES``).
        pair: First word of the counter row of route and target.
    """

    name: str
    causes: frozenset[str]
    row: int
    pair: int


class RespondStep(Struct, frozen=True):
    """A fixed answer.

    Attributes:
        name: ``respond``.
        causes: What it is for.
        row: First word of its counters (``counters.CAUSES``).
        pair: First word of the counter row of the route and ``NO_TARGET``.
        status: Status code.
        head: Status line and fields that do not change, each with its CRLF.
        content: The content.
    """

    name: str
    causes: frozenset[str]
    row: int
    pair: int
    status: int
    head: bytes
    content: bytes


Step = TargetStep | RespondStep


def compile_steps(route: Route, slots: Mapping[str, int]) -> tuple[Step, ...]:
    """Compile a route's fallbacks.

    Raises:
        KeyError: If a counter row is missing.
        ValueError: If one is neither a target nor an answer.
    """
    steps: list[Step] = []
    for item in route.fallback:
        causes = frozenset(item.causes or route.fallback_on)
        if item.target is not None:
            row, pair = slots[fallback_key(route.name, item.target)], slots[pair_key(route.name, item.target)]
            steps.append(TargetStep(item.target, causes, row, pair))
        elif item.respond is not None:
            row, pair = slots[fallback_key(route.name, "respond")], slots[pair_key(route.name, NO_TARGET)]
            head, content = answer_lines(item.respond)
            steps.append(RespondStep("respond", causes, row, pair, item.respond.status, head, content))
        else:
            raise ValueError(f'route "{route.name}" has a fallback that is neither a target nor an answer')
    return tuple(steps)


def answer_lines(respond: Respond) -> tuple[bytes, bytes]:
    """Return status line and fixed fields, and the content, of an answer that somebody wrote."""
    try:
        phrase = HTTPStatus(respond.status).phrase
    except ValueError:
        phrase = ""
    line = b"HTTP/1.1 %d %b\r\n" % (respond.status, phrase.encode())
    if respond.status in {204, 304}:  # RFC 9110 6.4.1: no content
        return line, b""
    if respond.json is None:
        return line + b"content-length: 0\r\n", b""
    content = json.dumps(respond.json, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    return line + b"content-type: application/json\r\ncontent-length: %d\r\n" % len(content), content


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


def backoff_s(retry: Retry, attempt: int, u: float) -> float:
    """Return how long to wait before a further attempt, in seconds: full jitter (Brooker 2015).

    Args:
        retry: What the target says.
        attempt: 1 for the first further attempt.
        u: Uniform in [0, 1).
    """
    return u * retry.backoff * float(1 << (attempt - 1))
