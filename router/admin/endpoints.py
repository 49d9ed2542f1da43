"""How the endpoints of the present configuration stand, read from the shared counters.

Responsible for: breaker, health and load of each endpoint, for ``/metrics`` and ``/v1/targets``.
Does not know: who writes the counters, HTTP.

Rules: reads only. What the words say is worked out as the workers do it (``routing.breaker``, ``routing.readiness``),
so that both are of one opinion.
"""

import time
from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

from router import counters
from router.config.schema import Endpoint
from router.events.model import Revision
from router.routing.breaker import NAMES, Register, enabled
from router.routing.fanout import standing_rules
from router.routing.readiness import NAMES as HEALTH_NAMES
from router.routing.readiness import Readiness
from router.segment import Segment, fold

# Of ``router_breaker_state``: in use, on its way back, left alone.
STATE_VALUES: Final = {"closed": 0, "ramp": 1, "half_open": 1, "open": 2}


class Standing(Struct, frozen=True):
    """One endpoint.

    Attributes:
        target: Name of its target.
        endpoint: Its part of the configuration.
        register: Its breaker.
        openings: How often that opened.
        readiness: What it says about itself; None where it is not asked.
        active: Exchanges that it is working on.
        in_use: Whether it gets exchanges; a release may leave it out.
    """

    target: str
    endpoint: Endpoint
    register: Register
    openings: int
    readiness: Readiness | None
    active: int
    in_use: bool = True


def standings(revision: Revision, segment: Segment, now_ms: int | None = None) -> Iterator[Standing]:
    """Yield how each endpoint stands; ``now_ms`` is milliseconds of the monotonic clock, by default the present."""
    if now_ms is None:
        now_ms = time.monotonic_ns() // 1_000_000
    control = segment.block(segment.workers)
    for target in revision.config.targets:
        for endpoint in target.endpoints:
            row = revision.slots[counters.endpoint_key(target.name, endpoint.url)]
            words = fold(segment, row, counters.ENDPOINT_WORDS)
            written = max(block[row + counters.ENDPOINT_STATE] for block in segment.blocks)
            register = Register.of(written).at(now_ms, target.breaker) if enabled(target.breaker) else Register()
            word = control[row + counters.ENDPOINT_HEALTH]
            yield Standing(
                target=target.name,
                endpoint=endpoint,
                register=register,
                openings=words[counters.ENDPOINT_OPENINGS],
                readiness=Readiness.of(word) if target.health is not None else None,
                active=words[counters.ENDPOINT_ACTIVE],
                in_use=endpoint.url in revision.endpoints.get(target.name, (endpoint.url,)),
            )


def memberships(revision: Revision | None, segment: Segment, now_ms: int) -> Iterator[tuple[str, str, Register]]:
    """Yield experiment, arm and how it stands, of each arm of those that send a request to several."""
    targets = {target.name: target for target in revision.config.targets} if revision is not None else {}
    for experiment in revision.config.experiments if revision is not None else ():
        if revision is not None and experiment.allocate.use in counters.FANS:
            for arm in experiment.arms:
                row = revision.slots[counters.fan_key(experiment.name, arm.name)]
                written = max(block[row + counters.ENDPOINT_STATE] for block in segment.blocks)
                rules = standing_rules(targets[arm.target or ""].breaker)
                yield experiment.name, arm.name, Register.of(written).at(now_ms, rules)


def view(standing: Standing, offset_s: float) -> dict[str, Any]:
    """Return an endpoint as the admin API shows it.

    Args:
        standing: How it stands.
        offset_s: Unix time less the monotonic clock's, in seconds.
    """
    register, readiness = standing.register, standing.readiness
    shown: dict[str, Any] = {
        "url": standing.endpoint.url,
        "weight": standing.endpoint.weight,
        "active": standing.active,
        "in_use": standing.in_use,
        "breaker": {
            "state": NAMES[register.state],
            "since": register.stamp_ms / 1000 + offset_s if register.stamp_ms else None,
            "openings": standing.openings,
        },
        "health": None,
    }
    if readiness is not None:
        shown["health"] = {
            "state": HEALTH_NAMES[readiness.state],
            "since": readiness.since_ms / 1000 + offset_s if readiness.since_ms else None,
        }
    return shown
