"""What a worker keeps over the requests that go to several arms.

Responsible for: the room for what is held of them, and for each arm a breaker of what it contributes.
Does not know: requests, answers, when one contributes nothing.

Rules: an arm that fails, is late, says nothing that can be combined or stands apart from the others in at least half of
the last minute's requests, of twenty at least, is not asked for as long as its target's ``breaker`` says; then a few
probes decide whether it is back (``router.routing.breaker``, in words of its own). Its endpoints' own breakers know
nothing of that, nor this of them.
"""

from collections.abc import Sequence
from random import random
from typing import Final

from router.counters import FANS, fan_key
from router.events.model import Revision
from router.routing.breaker import Breaker
from router.routing.fanout import standing_rules

ROOM_BYTES: Final = 64 * 1024 * 1024  # of requests and answers that a worker holds for arms


class Fans:
    """Room and breakers of one worker.

    Attributes:
        held: Bytes that are held.
    """

    __slots__ = ("_blocks", "_breakers", "_worker", "held")

    def __init__(self, blocks: Sequence[memoryview], worker: int) -> None:
        # Per process
        self._blocks = blocks
        self._worker = worker
        self._breakers: dict[int, Breaker] = {}  # by the first word of the arm's row
        self.held = 0

    def follow(self, revision: Revision, now: float) -> None:
        """Follow a change of the configuration; arms that stay keep their state."""
        targets = {target.name: target for target in revision.config.targets}
        breakers: dict[int, Breaker] = {}
        for experiment in revision.config.experiments:
            if experiment.allocate.use not in FANS:
                continue
            for arm in experiment.arms:
                row = revision.slots[fan_key(experiment.name, arm.name)]
                rules = standing_rules(targets[arm.target or ""].breaker)
                known = self._breakers.get(row)
                if known is None:
                    known = Breaker(rules, (self._blocks, self._worker, row), random, _unheard)
                    known.look(now)
                else:
                    known.reconfigure(rules, now)
                breakers[row] = known
        self._breakers = breakers

    def breaker(self, row: int) -> Breaker | None:
        """Return the breaker of an arm; None when the revision in force has no such arm."""
        return self._breakers.get(row)

    def take(self, size: int) -> bool:
        """Take room, if there is any."""
        if self.held + size > ROOM_BYTES:
            return False
        self.held += size
        return True

    def tick(self, now: float) -> None:
        """Follow other workers and the clock."""
        for breaker in self._breakers.values():
            breaker.look(now)


def _unheard() -> None:
    """Tell nobody: who asks for an arm looks at its breaker then."""
