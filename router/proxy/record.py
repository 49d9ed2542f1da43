"""What is kept of an exchange: counters and an event.

Responsible for: the words and the fields that an exchange leaves behind, once.
Does not know: how the exchange went on; it reads the finished object.
"""

from random import random
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from router import counters, histogram
from router.events.model import Exchange as Event
from router.proxy.request_head import METHODS

if TYPE_CHECKING:
    from router.proxy.exchange import Exchange
    from router.routing.decide import Decision

MAX_PATH: Final = 256
NONE: Final[dict[str, float | str]] = {}
SWITCHING: Final = 101
FAULT_OFFSET: Final = {fault: counters.TARGET_FAULTS + index for index, fault in enumerate(counters.FAULTS)}
REFUSAL_WORD: Final = {cause: counters.REFUSED + index for index, cause in enumerate(counters.REFUSALS)}
SHED_OFFSET: Final = {cause: counters.ROUTE_SHED + index for index, cause in enumerate(counters.SHED_CAUSES)}
GATHER_WORD: Final = {cause: counters.GATHER + index for index, cause in enumerate(counters.GATHER_CAUSES)}

_METHOD: Final = {method: method.decode() for method in METHODS}
_bucket = histogram.bucket
_SHORT_BUCKETS = histogram.SHORT_BUCKETS
_SHORT_US = histogram.SHORT_US
_CODE_SLOT = counters.CODE_SLOT
_SECONDS = counters.PAIR_SECONDS + histogram.HISTOGRAM_BUCKETS
_SECONDS_SUM = counters.PAIR_SECONDS + histogram.HISTOGRAM_SUM
_FIRST_BYTE = counters.PAIR_FIRST_BYTE + histogram.HISTOGRAM_BUCKETS
_FIRST_BYTE_SUM = counters.PAIR_FIRST_BYTE + histogram.HISTOGRAM_SUM
_TIMES_FIRST_BYTE = counters.TIMES_FIRST_BYTE
_OVERHEAD = counters.OVERHEAD + histogram.HISTOGRAM_BUCKETS
_OVERHEAD_SUM = counters.OVERHEAD + histogram.HISTOGRAM_SUM


def record(exchange: "Exchange", ended: float) -> None:  # noqa: C901  # each exchange pays for each call
    """Count a decided exchange and log it.

    Args:
        exchange: The exchange, finished.
        ended: When, in seconds of ``time.monotonic``.
    """
    server = exchange.server
    decision = exchange.decision
    if decision is None:
        return
    if exchange.shadow is not None:
        exchange.shadow.ended(exchange, ended)
    words = server.words
    duration = ended - exchange.started
    other = exchange.step or exchange.level
    pair = decision.pair if other is None else other.pair or decision.pair
    if exchange.fan is not None:
        if not exchange.fan.ended(exchange):  # one of several requests; the caller's own exchange is what counts
            return
        pair = exchange.fan.pair or pair
    words[pair + _CODE_SLOT[exchange.status]] += 1
    us = int(duration * 1e6)
    if exchange.status != SWITCHING:  # how long a tunnel lasts says nothing about how fast a model is
        words[pair + _SECONDS_SUM] += us
        words[pair + _SECONDS + (_SHORT_BUCKETS[us] if us < _SHORT_US else _bucket(us))] += 1
    first_byte = None
    if exchange.replied:
        first_byte = exchange.first_byte_at - exchange.started
        us = int(first_byte * 1e6)
        words[pair + _FIRST_BYTE_SUM] += us
        words[pair + _FIRST_BYTE + (_SHORT_BUCKETS[us] if us < _SHORT_US else _bucket(us))] += 1
    us = int(exchange.overhead * 1e6)
    words[_OVERHEAD_SUM] += us
    words[_OVERHEAD + (_SHORT_BUCKETS[us] if us < _SHORT_US else _bucket(us))] += 1
    words[pair + counters.PAIR_REQUEST_BYTES] += exchange.request_bytes
    words[pair + counters.PAIR_RESPONSE_BYTES] += exchange.response_bytes
    for cell in decision.cells:
        words[cell] += 1
        if exchange.target_failed:
            words[cell + counters.ARM_FAILURES] += 1
    if decision.times:
        _time(exchange, decision.times, duration, first_byte)
    if decision.unit is None:
        words[decision.route.row + counters.ROUTE_NO_UNIT] += 1
    if exchange.outcome_fault == "client_gone":
        words[decision.route.row + counters.ROUTE_CLIENT_GONE] += 1
    if decision.enrolments or random() < server.unenrolled:  # noqa: S311  # sampling, not secrecy
        _log(exchange, _event(exchange, decision, duration, first_byte))


def _time(exchange: "Exchange", times: tuple[int, ...], duration: float, first_byte: float | None) -> None:
    """Count how long an exchange of a release took, by cluster of units.

    A tunnel says nothing, and what did not finish counts as what it was allowed to take, as in its event; so does the
    first byte of an answer that no target gave.
    """
    if exchange.status == SWITCHING:
        return
    deadline = None if exchange.outcome_fault is None else _deadline(exchange)
    if deadline is not None:
        duration = max(duration, deadline)
        first_byte = first_byte if exchange.served else deadline
    words = exchange.server.words
    us = int(duration * 1e6)
    last = _SHORT_BUCKETS[us] if us < _SHORT_US else _bucket(us)
    for row in times:
        words[row + last] += 1
    if first_byte is not None:
        us = int(first_byte * 1e6)
        first = _TIMES_FIRST_BYTE + (_SHORT_BUCKETS[us] if us < _SHORT_US else _bucket(us))
        for row in times:
            words[row + first] += 1


def _log(exchange: "Exchange", event: Event) -> None:
    log = exchange.server.log if exchange.reading is None else exchange.reading
    log.append(event if exchange.fan is None else replace(event, fanout=exchange.fan.event))


def _event(exchange: "Exchange", decision: "Decision", duration: float, first_byte: float | None) -> Event:
    """Describe an exchange; durations in seconds."""
    head = exchange.head
    return Event(
        head.id,
        exchange.started + exchange.server.wall_offset,
        head.id if head.request_id is None else head.request_id.decode("latin-1"),
        exchange.table.number,
        decision.route.name,
        _METHOD[head.method],
        head.path[:MAX_PATH].decode("latin-1"),
        exchange.status,
        exchange.attempts,
        duration,
        first_byte,
        exchange.request_bytes,
        exchange.response_bytes,
        exchange.target if exchange.served else None,
        decision.unit,
        decision.unit_source,
        decision.enrolments,
        exchange.target_failed,
        exchange.fault,
        exchange.outcome_fault,
        exchange.cause if exchange.step is not None else None,
        exchange.step.name if exchange.step is not None else None,
        exchange.hedged,
        exchange.level.at if exchange.level is not None else None,
        decision.attributes,
        decision.bot,
        decision.holdouts,
        None if exchange.outcome_fault is None else _deadline(exchange),
        NONE if exchange.reading is None else exchange.reading.rewards,
    )


def _deadline(exchange: "Exchange") -> float | None:
    """Return how long an exchange was allowed to take that did not finish; None when it was only turned away.

    A model that refuses at once, or whose callers give up, would otherwise have the best latencies of all.
    """
    if exchange.status and not exchange.attempts and not exchange.target_failed:
        return None
    return exchange.table.targets[exchange.target].timeouts.total
