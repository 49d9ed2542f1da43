"""How long a staged rollout takes.

Responsible for: the shortest and the longest time, and why there is no longest.
Does not know: traffic.

Rules: pure. Time that counts, as of ``clock``: without pauses. A step lasts as long as its hold at least; the longest
is bounded only where a deadline ends it. Shadow and bake are over with their hold, given traffic.
"""

from typing import NamedTuple

from router.config.schema import Allocate
from router.rollout.rung import rungs


class Times(NamedTuple):
    """How long a rollout takes.

    Attributes:
        shortest_s: In seconds.
        longest_s: In seconds, to its end, good or bad; None when it is unbounded.
        unbounded: The steps that may last for ever, as people count them.
    """

    shortest_s: float
    longest_s: float | None
    unbounded: tuple[str, ...]


def times(allocate: Allocate) -> Times:
    """Return how long a staged rollout takes."""
    shortest = longest = 0.0
    endless: list[str] = []
    for rung in rungs(allocate):
        shortest += rung.hold
        ends = rung.deadline is not None and rung.on_deadline != "hold"
        if rung.step == "stage" and not ends:
            endless.append(f"stage {rung.stage + 1}")
        longest += rung.deadline if ends and rung.deadline is not None else rung.hold
    return Times(shortest, None if endless else longest, tuple(endless))
