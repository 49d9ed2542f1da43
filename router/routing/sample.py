"""Which requests a shadow gets a copy of.

Responsible for: ``compile_shadow`` and ``sampled``.
Does not know: how copies are made, or whether there is room for one.

Rules: a function of route, shadow target, share and unit alone, so a unit's requests are copied all or not at all: a
session is whole at the shadow, on every worker and replica. Salted apart from every experiment, so an arm's units are
sampled like any others. Raising the share only adds units. A request without a unit is its own.
"""

from collections.abc import Mapping
from typing import Final

from mmh3 import mmh3_x64_128_utupledigest as digest
from msgspec import Struct

from router.config.schema import Shadow
from router.counters import shadow_key
from router.routing.bucket import arm_prefix
from router.routing.compare import Rules, compile_rules

POINTS: Final = 1 << 64


class ShadowPlan(Struct, frozen=True):
    """A shadow of a route, compiled.

    Attributes:
        target: Name of the target that gets the copies.
        row: First word of its counter row.
        prefix: What is hashed in front of a unit.
        threshold: The unit is sampled if its point on 0 ... 2^64 - 1 is below.
        inflight: Copies under way, in the whole router.
        body_bytes: Longest request body that is copied.
        rules: How answers are compared; None when they are not.
        answer_bytes: Longest answer that is kept to be compared; 0 when none is.
    """

    target: str
    row: int
    prefix: bytes
    threshold: int
    inflight: int
    body_bytes: int
    rules: Rules | None
    answer_bytes: int


def compile_shadow(route: str, shadow: Shadow, slots: Mapping[str, int]) -> ShadowPlan:
    """Compile a shadow of a route.

    Raises:
        KeyError: If its counter row is missing.
    """
    rules = compile_rules(shadow.compare) if shadow.compare is not None else None
    return ShadowPlan(
        target=shadow.target,
        row=slots[shadow_key(route, shadow.target)],
        # Route and target make it a salt of its own; experiments have theirs.
        prefix=arm_prefix(f"shadow\0{route}\0{shadow.target}", ""),
        threshold=int(shadow.share * POINTS),
        inflight=shadow.inflight,
        body_bytes=shadow.body_bytes,
        rules=rules,
        answer_bytes=rules.body_bytes if rules is not None else 0,
    )


def sampled(shadows: tuple[ShadowPlan, ...], unit: bytes) -> tuple[ShadowPlan, ...]:
    """Return the shadows that get a copy of what a unit, in UTF-8, asks for."""
    return tuple(shadow for shadow in shadows if digest(shadow.prefix + unit)[0] < shadow.threshold)
