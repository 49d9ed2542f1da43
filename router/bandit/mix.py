"""From an allocator's shares to the weights of all arms.

Responsible for: the floor, control's own share, arms that were stopped, and warm-up.
Does not know: how shares were computed, when weights are published.

Rules: the floor is mixed in, f + (1 - n f) w, never clipped and made to add up again: that would give an arm below the
floor more than the others lose in proportion, and change the odds between those above it. A share of control's own
comes first, and then the allocator is asked about the other arms alone. An arm that a guardrail stopped gets nothing,
not even the floor: guardrails outrank the bandit. What remains less than ``LEAST`` is nothing: units are hashed by
-ln(u) / weight, and nobody would be assigned.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Final

from msgspec import Struct

from router.bandit.earned import Earned, Sums

LEAST: Final = 1e-9


class Terms(Struct, frozen=True):
    """What holds whatever an allocator says.

    Attributes:
        control: The arm that is the baseline.
        floor: Least share of each arm that runs.
        control_share: Share of control, whatever it earns; None if it competes as the others do.
        warm_up: Observations that each arm needs before anything is allocated.
    """

    control: str
    floor: float = 0.0
    control_share: float | None = None
    warm_up: int = 0


def warm(earned: Mapping[str, Sums], terms: Terms, stopped: Collection[str] = ()) -> bool:
    """Say whether each arm that runs has as many observations as warm-up asks for."""
    return all(rewards.count >= terms.warm_up for arm, rewards in earned.items() if arm not in stopped)


def weigh(
    ask: Callable[[Earned], Mapping[str, float]], earned: Earned, terms: Terms, stopped: Collection[str] = ()
) -> dict[str, float]:
    """Return the weight of each arm; they add up to 1.

    Args:
        ask: The allocator: gives shares of the arms that it is asked about.
        earned: What all arms have earned.
        terms: What holds in any case.
        stopped: Arms that get nothing.

    Raises:
        ValueError: If floor and control's share together leave nothing, or shares are none.
    """
    running = tuple(arm for arm in earned.arms if arm not in stopped)
    if not running:
        return {arm: float(arm == terms.control) for arm in earned.arms}
    fixed: dict[str, float] = {}
    if terms.control_share is not None and terms.control in running and len(running) > 1:
        fixed[terms.control] = terms.control_share
    free = tuple(arm for arm in running if arm not in fixed)
    left = 1 - sum(fixed.values()) - len(free) * terms.floor
    if left < 0:
        raise ValueError(f"a floor of {terms.floor} for {len(free)} arms leaves nothing to allocate")
    shares = checked(ask(earned.of(free)), free)
    given = {arm: fixed.get(arm, 0.0) for arm in earned.arms}
    for arm in free:
        given[arm] = terms.floor + left * shares[arm]
    kept = {arm: weight if weight >= LEAST else 0.0 for arm, weight in given.items()}
    whole = sum(kept.values())
    return {arm: weight / whole for arm, weight in kept.items()}


def checked(shares: Mapping[str, float], arms: Collection[str]) -> Mapping[str, float]:
    """Return shares that are some.

    Raises:
        ValueError: If they are not of these arms, one is below 0 or no number, or they do not add up to 1.
    """
    if set(shares) != set(arms) or not all(share >= 0 for share in shares.values()):
        raise ValueError(f"an allocator gave {dict(shares)} for the arms {', '.join(arms)}")
    whole = sum(shares.values())
    if not abs(whole - 1) < 1e-6:
        raise ValueError(f"an allocator's shares add up to {whole}, not to 1")
    return shares
