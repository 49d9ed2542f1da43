"""How the endpoints of a release stand now, read from the shared counters.

Responsible for: breaker and health of each endpoint of both sides, and what a side still works on.
Does not know: what follows, who writes the counters.

Rules: reads only. What the words say is worked out as the workers do it (``routing.breaker``, ``routing.readiness``).
Of an endpoint that is asked for its health and has not answered yet, nobody knows whether it is there.
"""

import time

from router import counters
from router.config.schema import Experiment, Target
from router.events.model import Revision
from router.rollout.fitness import EndpointNow
from router.routing.breaker import OPEN, Register, enabled
from router.routing.readiness import UNKNOWN, Readiness
from router.segment import Segment, fold


def endpoints(
    revision: Revision, segment: Segment, experiment: Experiment, now_ms: int | None = None
) -> dict[str, tuple[EndpointNow, ...]]:
    """Return how the endpoints of each arm stand, in the order of the file.

    Args:
        revision: The present revision.
        segment: The shared counters.
        experiment: The release.
        now_ms: Milliseconds of the monotonic clock; default the present.
    """
    moment = time.monotonic_ns() // 1_000_000 if now_ms is None else now_ms
    targets = {target.name: target for target in revision.config.targets}
    return {
        arm.name: tuple(_now(revision, segment, targets[arm.target], moment))
        for arm in experiment.arms
        if arm.target is not None
    }


def inflight(revision: Revision, segment: Segment, target: str) -> int:
    """Return how many exchanges a target is working on, over all workers."""
    return fold(segment, revision.slots[counters.target_key(target)] + counters.TARGET_INFLIGHT, 1)[0]


def _now(revision: Revision, segment: Segment, target: Target, now_ms: int) -> list[EndpointNow]:
    control, found = segment.block(segment.workers), []
    in_use = revision.endpoints.get(target.name)
    for endpoint in target.endpoints:
        row = revision.slots[counters.endpoint_key(target.name, endpoint.url)]
        written = max(block[row + counters.ENDPOINT_STATE] for block in segment.blocks)
        register = Register.of(written).at(now_ms, target.breaker) if enabled(target.breaker) else Register()
        usable: bool | None = register.state != OPEN
        if target.health is not None and usable:
            readiness = Readiness.of(control[row + counters.ENDPOINT_HEALTH])
            usable = None if readiness.state == UNKNOWN else readiness.ready
        found.append(EndpointNow(endpoint.url, endpoint.weight, usable, in_use is None or endpoint.url in in_use))
    return found
