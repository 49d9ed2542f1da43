"""Which parts of a day to merge, so that the number of files stays bounded.

Responsible for: deciding which neighbours become one.
Does not know: how they are merged, when.

Parts have tiers by size, each ``FAN`` times the one below. Neighbours (by batch) are merged once ``FAN`` of a tier are
next to each other, smaller ones between them included: the size-tiered compaction of LSM trees. So a row is written
once more for each tier, and a day has less than ``FAN`` parts of a tier. A day that is over is merged by twos.

Rules: pure. Nothing above ``LARGEST_BYTES`` is to be written.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from msgspec import Struct

from router.archive.layout import Part

FAN: Final = 8
FAN_LATER: Final = 2
TIER_BYTES: Final = 64 * 1024
LARGEST_BYTES: Final = 256 * 1024 * 1024


class Merge(Struct, frozen=True):
    """Neighbouring parts of one kind and day that become one.

    Attributes:
        parts: By batch; at least two.
    """

    parts: tuple[Part, ...]

    @property
    def batches(self) -> tuple[int, int]:
        """The first and the last batch."""
        return self.parts[0].first, self.parts[-1].last


def plan(parts: Sequence[Part], today: str) -> list[Merge]:
    """Return what to merge now, at most one merge for each kind and day.

    Args:
        parts: Those that count.
        today: The present UTC day, ``YYYY-MM-DD``.
    """
    merges = []
    for (_, day), group in groupby(sorted(parts, key=_partition), key=lambda part: (part.kind, part.day)):
        run = _run(list(group), FAN if day >= today else FAN_LATER)
        if run:
            merges.append(Merge(tuple(run)))
    return merges


def tier(size: int) -> int:
    """Return the tier of a part of some bytes, from 0."""
    result = 0
    while size > TIER_BYTES:
        size //= FAN
        result += 1
    return result


def _partition(part: Part) -> tuple[str, str, int]:
    return part.kind, part.day, part.first


def _run(parts: Sequence[Part], fan: int) -> list[Part]:
    """Return neighbours to merge, of the lowest tier that has enough of them; none when no tier has."""
    tiers = [tier(part.size) for part in parts]
    for level in sorted(set(tiers)):
        run: list[Part] = []
        for part, own in zip(parts, tiers, strict=True):
            fits = own <= level and sum(one.size for one in run) + part.size <= LARGEST_BYTES
            if not fits:
                if _enough(run, level, fan):
                    return run
                run = []
            if own <= level:
                run.append(part)
        if _enough(run, level, fan):
            return run
    return []


def _enough(run: Sequence[Part], level: int, fan: int) -> bool:
    return len(run) > 1 and sum(tier(part.size) == level for part in run) >= fan
