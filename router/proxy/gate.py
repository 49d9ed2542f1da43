"""The slots of a target with ``concurrency``, as one worker sees them.

Responsible for: counting what all workers have under way, the queue of this worker, and waking it.
Does not know: how an exchange is sent, or what becomes of one that is shed.

Rules: the words of all workers are summed when somebody asks, so a limit holds for the whole router; each may have read
the sum before another wrote, so it can be exceeded by the number of workers less one. A slot that this worker frees
goes to its own queue at once, one that another frees is noticed on the next tick; once a tick a worker that has more
than its share leaves a slot to the others. Who is not in the queue any more is not counted.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from router import counters
from router.routing import admission
from router.routing.admission import Limit, Load, Verdict


class Guest(Protocol):
    """Who asks for a slot."""

    def admitted(self) -> None:
        """Take the slot that has become free."""


class Gate:
    """A target's slots and this worker's queue for them."""

    __slots__ = ("_blocks", "_generous", "_loop", "_row", "_waiting", "_waking", "_words", "limit", "service")

    def __init__(self, limit: Limit, row: int, blocks: Sequence[memoryview], words: memoryview) -> None:
        """Begin with an empty queue; ``row`` is the first word of the target's counters, ``words`` are the worker's."""
        # Per target
        self.limit = limit
        self.service = 0.0
        self._row = row
        self._blocks = blocks
        self._words = words
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[Guest, None] = {}  # a queue from whose middle anybody can leave
        self._waking = False
        self._generous = False  # whether the next slot may be left to others

    def load(self) -> Load:
        """Return what the target has to do."""
        inflight, queued = self._sum(counters.TARGET_INFLIGHT), self._sum(counters.TARGET_QUEUED)
        return Load(inflight, queued, len(self._waiting), self.service)

    def free(self) -> bool:
        """Return whether there is a slot, and nobody before it: what ``enter`` would say, in a fifth of its time."""
        return not self._waiting and self._sum(counters.TARGET_INFLIGHT) < self.limit.max

    def share(self) -> float:
        """Return the share of slots that is in use."""
        return self._sum(counters.TARGET_INFLIGHT) / self.limit.max

    def enter(self, guest: Guest, remaining: float) -> Verdict:
        """Ask for a slot; one that is to wait is in the queue now, and hears of it by ``admitted``.

        Args:
            guest: Who asks.
            remaining: Seconds that it has left.
        """
        verdict = admission.admit(self.limit, self.load(), remaining)
        if verdict == "wait":
            self._waiting[guest] = None
            self._words[self._row + counters.TARGET_QUEUED] += 1
        return verdict

    def spare(self) -> bool:
        """Return whether a slot is free that nobody waits for, in any worker."""
        return self._sum(counters.TARGET_INFLIGHT) < self.limit.max and not self._sum(counters.TARGET_QUEUED)

    def withdraw(self, guest: Guest) -> None:
        """Leave the queue; not to be in it is no error."""
        if guest in self._waiting:
            del self._waiting[guest]
            self._words[self._row + counters.TARGET_QUEUED] -= 1

    def leave(self, seconds: float) -> None:
        """A slot was freed after some seconds of work."""
        self.service = admission.observe(self.service, seconds)
        if self._waiting and not self._waking:
            self._waking = True
            self._loop.call_soon(self._freed)

    def tick(self) -> None:
        """Look for slots that others have freed."""
        self._generous = True
        if self._waiting:
            self.wake()

    def wake(self) -> None:
        """Give free slots to those that wait, in their order."""
        while self._waiting and self._sum(counters.TARGET_INFLIGHT) < self.limit.max:
            guest = next(iter(self._waiting))
            self.withdraw(guest)
            guest.admitted()

    def open(self) -> None:
        """There is no limit any more: all that wait go in, once the change that removed it is complete."""
        self.limit = Limit(1 << 62, 0, self.limit.queue_timeout)
        self._loop.call_soon(self.wake)

    def _freed(self) -> None:
        self._waking = False
        own = self._words[self._row + counters.TARGET_INFLIGHT]
        elsewhere = self._sum(counters.TARGET_QUEUED) - len(self._waiting)
        if self._generous and admission.hands_on(self.limit, own, elsewhere, len(self._blocks)):
            self._generous = False
        else:
            self.wake()

    def _sum(self, offset: int) -> int:
        word = self._row + offset
        return sum([block[word] for block in self._blocks])
