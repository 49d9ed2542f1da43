"""What happened lately, from counts that only grow.

Responsible for: the difference between totals now and totals a while ago.
Does not know: what is counted, by whom, who reads the clock.

Rules: bounded by ``SLOTS`` snapshots; the beginning of the window is a slot's, so it reaches back between the window
and a slot more.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

# As Hystrix' rolling buckets; what is forgotten at once is a tenth of the window.
SLOTS: Final = 10


class Counts(NamedTuple):
    """Attempts at an endpoint, by what came of them.

    Slow ones are among those that succeeded, or were given up because another endpoint was faster (``hedge``).
    """

    succeeded: int = 0
    failed: int = 0
    slow: int = 0


class Window:
    """The last ``length_s`` seconds. Times are seconds of one clock that does not go back."""

    __slots__ = ("_next", "_slot_s", "_snapshots")

    def __init__(self, length_s: float) -> None:
        self._slot_s = length_s / SLOTS
        self._snapshots: deque[tuple[float, Counts]] = deque(maxlen=SLOTS + 1)
        self._next = 0.0

    def roll(self, now: float, totals: Callable[[], Counts]) -> None:
        """Remember the totals when a slot begins; called often."""
        if now >= self._next:
            self._next = now + self._slot_s
            self._snapshots.append((now, totals()))

    def clear(self, now: float, totals: Counts) -> None:
        """Forget what was before."""
        self._snapshots.clear()
        self._snapshots.append((now, totals))
        self._next = now + self._slot_s

    def since(self, now: float, totals: Counts) -> Counts:
        """Return what was counted within the window, given the totals now."""
        oldest = now - self._slot_s * (SLOTS + 1)
        snapshots = self._snapshots
        while len(snapshots) > 1 and snapshots[0][0] < oldest:
            snapshots.popleft()
        if not snapshots:
            return Counts()
        before = snapshots[0][1]
        return Counts(*(new - old for new, old in zip(totals, before, strict=True)))
