"""The batches of a rolling replacement: which endpoints of either side are in use after each.

Responsible for: how many endpoints each batch moves, which, and the share of units that follows.
Does not know: when a batch may move, health.

Rules: pure. As many endpoints are in use as each side has, at any time: the first of the new side and the rest of the
old one, in the order of the file. The share follows the weights of those in use.
"""

from collections.abc import Sequence
from math import ceil

from msgspec import Struct

from router.rollout.fitness import EndpointNow


class Split(Struct, frozen=True):
    """The endpoints that are in use after a batch.

    Attributes:
        old: Base URLs of the old side.
        new: Base URLs of the new side.
        share: Share of units that the new side gets.
    """

    old: tuple[str, ...]
    new: tuple[str, ...]
    share: float


def sizes(count: int, batch: float) -> tuple[int, ...]:
    """Return how many endpoints are moved after each batch: ceil(k · batch · count), each more than the one before.

    Args:
        count: Endpoints of each side.
        batch: Share of them that one batch moves, above 0.
    """
    # Rounded: 0.07 · 100 is a little more than 7 in binary.
    found = {min(count, ceil(round(k * batch * count, 9))) for k in range(1, ceil(1 / batch) + 1)}
    return tuple(sorted(found))


def split(old: Sequence[EndpointNow], new: Sequence[EndpointNow], moved: int) -> Split:
    """Return what is in use when some endpoints are moved.

    Args:
        old: Endpoints of the old side.
        new: As many of the new side.
        moved: How many are moved.
    """
    kept, come = old[moved:], new[:moved]
    gone = sum(each.weight for each in come)
    whole = gone + sum(each.weight for each in kept)
    return Split(tuple(each.url for each in kept), tuple(each.url for each in come), gone / whole if gone else 0.0)


def in_use(endpoints: Sequence[EndpointNow]) -> tuple[str, ...]:
    """Return the base URLs of those that are in use now."""
    return tuple(each.url for each in endpoints if each.in_use)
