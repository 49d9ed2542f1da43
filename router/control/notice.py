"""Saying in the log when an endpoint is left alone, and when it is back.

Responsible for: one line for each change of a breaker, whichever worker made it.
Does not know: why it was made; the counters of faults say that.

Rules: reads the shared words only, as workers do. A breaker that opens and closes between two looks is said by its
count of openings, so no opening is missed.
"""

import asyncio
from collections.abc import Callable
from logging import getLogger
from time import monotonic
from typing import Final, NamedTuple

from router import counters
from router.events.model import Revision
from router.routing.breaker import CLOSED, HALF_OPEN, OPEN, RAMP, Register, enabled
from router.segment import Segment, fold

log = getLogger(__name__)

LOOK_S: Final = 0.5


class Seen(NamedTuple):
    """What was seen last of one endpoint."""

    state: int
    openings: int


class Notice:
    """Remembers what was said."""

    def __init__(self, segment: Segment) -> None:
        # Per process
        self._segment = segment
        # Per endpoint of the present revision
        self._seen: dict[int, Seen] = {}

    async def run(self, revision: Callable[[], Revision]) -> None:
        """Look until cancelled."""
        while True:
            self.look(revision(), monotonic())
            await asyncio.sleep(LOOK_S)

    def look(self, revision: Revision, now: float) -> None:
        """Say what changed since the last look.

        Args:
            revision: The present one.
            now: Seconds of the monotonic clock.
        """
        now_ms = int(now * 1000)
        seen: dict[int, Seen] = {}
        for target in revision.config.targets:
            if not enabled(target.breaker):
                continue
            for endpoint in target.endpoints:
                row = revision.slots[counters.endpoint_key(target.name, endpoint.url)]
                word = max(block[row + counters.ENDPOINT_STATE] for block in self._segment.blocks)
                register = Register.of(word).at(now_ms, target.breaker)
                openings = fold(self._segment, row + counters.ENDPOINT_OPENINGS, 1)[0]
                # What a process that starts anew finds was said by its predecessor.
                before = self._seen.get(row, Seen(register.state, openings))
                seen[row] = Seen(register.state, openings)
                if openings > before.openings:
                    log.warning(
                        "target %s: %s fails and is left alone for %.0f s openings=%d",
                        target.name, endpoint.url, register.open_ms(target.breaker) / 1000, openings,
                    )  # fmt: skip
                if before.state in (OPEN, HALF_OPEN) and register.state in (RAMP, CLOSED):
                    log.info("target %s: %s is back", target.name, endpoint.url)
        self._seen = seen
