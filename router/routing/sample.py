"""Which requests a shadow gets a copy of.

Responsible for: ``compile_shadows`` and ``sampled``.
Does not know: how copies are made, or whether there is room for one; when a release is to have copies.

Rules: a function of route, shadow target, share and unit alone, so a unit's requests are copied all or not at all: a
session is whole at the shadow, on every worker and replica. Salted apart from every experiment, so an arm's units are
sampled like any others. Raising the share only adds units. A request without a unit is its own. A target gets one copy
of a request at most: where a release is to have copies of what its target gets as a shadow anyway, they are the same
ones, as many as the larger share, compared as the release says.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from mmh3 import mmh3_x64_128_utupledigest as digest
from msgspec import Struct
from msgspec.structs import replace

from router.config.schema import Config, Experiment, Route, Shadow
from router.counters import mirror_key, mirrored_target, shadow_key
from router.events.model import Revision
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
        tally: First word of the row of the release that the copies are for; -1 when they are for none.
    """

    target: str
    row: int
    prefix: bytes
    threshold: int
    inflight: int
    body_bytes: int
    rules: Rules | None
    answer_bytes: int
    tally: int = -1


def compile_shadows(route: Route, revision: Revision) -> tuple[ShadowPlan, ...]:
    """Compile who gets copies of a route's requests: its shadows, and releases that have no traffic yet.

    Raises:
        KeyError: If a counter row is missing.
    """
    slots = revision.slots
    shadows = {shadow.target: shadow for shadow in route.shadow}
    tallies: dict[str, int] = {}
    for release, found in mirrors(revision.config, revision.mirrors):
        if release.route == route.name:
            shadows[found.target] = _larger(shadows.get(found.target), found)
            tallies[found.target] = slots[mirror_key(release.name)]
    plans = [compile_shadow(route.name, shadow, slots) for shadow in shadows.values() if shadow.share > 0]
    return tuple(replace(plan, tally=tallies.get(plan.target, -1)) for plan in plans)


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


def mirrors(config: Config, shares: Mapping[str, float]) -> Iterator[tuple[Experiment, Shadow]]:
    """Yield the releases that are to have copies, each with the shadow that this is.

    Args:
        config: The configuration.
        shares: Experiment to the share of units whose requests are copied.
    """
    for experiment in config.experiments:
        share, asked = shares.get(experiment.name, 0.0), experiment.allocate.rehearsal
        target = mirrored_target(experiment)
        if share > 0 and asked is not None and target is not None:
            yield (
                experiment,
                Shadow(
                    target=target,
                    share=share,
                    inflight=asked.inflight,
                    body_bytes=asked.body_bytes,
                    compare=asked.compare,
                ),
            )


def _larger(one: Shadow | None, other: Shadow) -> Shadow:
    """Return a shadow that gets what either of two gets, and is compared as the second is."""
    if one is None:
        return other
    return replace(
        other,
        share=max(one.share, other.share),
        inflight=max(one.inflight, other.inflight),
        body_bytes=max(one.body_bytes, other.body_bytes),
    )


def sampled(shadows: tuple[ShadowPlan, ...], unit: bytes) -> tuple[ShadowPlan, ...]:
    """Return the shadows that get a copy of what a unit, in UTF-8, asks for."""
    return tuple(shadow for shadow in shadows if digest(shadow.prefix + unit)[0] < shadow.threshold)
