"""Whether a target takes one more exchange now, later, or not at all.

Responsible for: the decision at a target's ``concurrency``, and who gets a slot that has become free.
Does not know: exchanges, connections, shared memory, clocks. Numbers in, a word out.

Rules: a request that cannot be served in time is refused at once: to let it wait first makes it fail later and keeps
others waiting. The wait to be expected is Little's law: those before it, times what one takes, divided by how many are
served at once. Within a worker the order is first come, first served; between workers it is not, but no worker may keep
the others from their share for long.
"""

from math import ceil
from typing import Final, Literal

from msgspec import Struct

Verdict = Literal["admit", "wait", "queue_full", "queue_timeout", "deadline"]

SERVICE_WEIGHT: Final = 0.1  # of the newest time in the moving average of service times
LONGEST_RETRY_AFTER_S: Final = 3600


class Limit(Struct, frozen=True):
    """A target's ``concurrency``, for the whole router; the time in seconds."""

    max: int
    queue: int
    queue_timeout: float


class Load(Struct, frozen=True):
    """What a target has to do at a moment, in the whole router unless it says otherwise.

    Attributes:
        inflight: Exchanges that it is working on.
        queued: Exchanges that wait for it.
        ahead: Those of this worker.
        service: Recent time that it works on one, in seconds; 0 before the first was seen.
    """

    inflight: int
    queued: int
    ahead: int
    service: float


def admit(limit: Limit, load: Load, remaining: float) -> Verdict:
    """Decide about one more exchange.

    Args:
        limit: What is allowed.
        load: What there is to do.
        remaining: Seconds that the exchange has left.

    Returns:
        ``admit`` or ``wait``, or the cause for which it is shed: the queue is full, or the expected wait is longer than
        what is left or than ``queue_timeout``.
    """
    if load.inflight < limit.max and not load.ahead:
        return "admit"
    if load.queued >= limit.queue:
        return "queue_full"
    wait = expected_wait(limit, load)
    if wait > remaining:
        return "deadline"
    return "queue_timeout" if wait > limit.queue_timeout else "wait"


def expected_wait(limit: Limit, load: Load) -> float:
    """Return the seconds until those that wait now have their slots; the next to come is the first after them."""
    return load.queued * load.service / limit.max


def hands_on(limit: Limit, own: int, elsewhere: int, workers: int) -> bool:
    """Return whether a worker leaves a slot that it has just freed to the others.

    Args:
        limit: What is allowed.
        own: Exchanges of this worker that the target goes on working on.
        elsewhere: Exchanges that wait in other workers.
        workers: Number of workers.
    """
    return elsewhere > 0 and (own + 1) * workers > limit.max


def observe(service: float, seconds: float) -> float:
    """Return the moving average of service times after one more; the first is taken as it is."""
    return service + SERVICE_WEIGHT * (seconds - service) if service else seconds


def retry_after(seconds: float) -> int:
    """Return what ``Retry-After`` says for a wait: whole seconds, at least 1 (RFC 9110 10.2.3), at most an hour."""
    return min(max(1, ceil(seconds)), LONGEST_RETRY_AFTER_S)
