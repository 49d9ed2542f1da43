"""Holding drills: one revision after another, each timed until every worker serves it.

Responsible for: the order of a drill, its clock, ending it whatever happens, and what is told of it.
Does not know: what the revisions are (``router.control.drill``), how one is published.

Rules: the lock of changes is not held while workers are waited for: nothing, a kill above all, waits for a drill.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from logging import getLogger
from typing import Protocol

from router.control import drill
from router.control.aftermath import Aftermath
from router.control.kill import find, tag
from router.control.publish import Publisher
from router.control.seat import Asked, Stale
from router.control.state import Refusal, State, current
from router.events.model import Revision
from router.events.rollout import Decided
from router.rollout.effect import Record, Say
from router.rollout.turn import Refused

log = getLogger(__name__)

_LOOK_S = 0.005

Step = tuple[State, Revision]
Choose = Callable[[State], Step | Refusal | Refused | Stale | None]
Made = Revision | Refusal | Refused | Stale | None


class Make(Protocol):
    """Publishes what is decided from the present state."""

    def __call__(self, choose: Choose, *, urgent: bool) -> Awaitable[Made]:
        """Publish it."""


class Drills:
    """Holds drills."""

    def __init__(self, publisher: Publisher, make: Make, aftermath: Aftermath, present: Callable[[], Revision]) -> None:
        # Per process
        self._present = present
        self._publisher = publisher
        self._make = make
        self._aftermath = aftermath

    async def hold(self, name: str, asked: Asked) -> Decided | Refusal | Stale | Refused:
        """Rehearse a kill, its end, and where it is a release a rollback; return what was written down.

        Args:
            name: The experiment.
            asked: Who asks, why, and what they saw.

        Raises:
            LookupError: If there is no such experiment.
        """
        took: dict[str, float] = {}

        def kill(state: State) -> Step | Stale | Refused:
            decided = drill.begin(state, name, time.time(), asked.by)
            if isinstance(decided, Refused):
                return decided
            return Stale() if asked.tag is not None and asked.tag != tag(current(state), name) else decided

        try:
            made = await self._timed("kill_s", kill, took, urgent=True)
        finally:
            ended = await self._timed(
                "resume_s", lambda state: drill.end(state, name, time.time(), asked.by), took, urgent=False
            )
        if made is None or not isinstance(made, Revision):
            return made if made is not None else Refused("nothing was to be done")
        if isinstance(ended, Revision):
            await self._timed(
                "rollback_s", lambda state: drill.roll_back(state, name, time.time(), asked.by), took, urgent=True
            )
        return self._tell(name, took, asked)

    async def clear(self, names: Iterable[str]) -> None:
        """End drills that the end of a predecessor cut short."""
        for name in names:
            log.warning("a drill of experiment %r was cut short; it is resumed", name)
            await self._make(lambda state, name=name: drill.end(state, name, time.time(), "router"), urgent=False)  # type: ignore[misc]

    def _tell(self, name: str, took: dict[str, float], asked: Asked) -> Decided:
        revision = self._present()
        line = drill.told(revision, name, took, (asked.by, asked.reason, time.time()))
        said = Say(
            event="drill", severity="info", text=f"{name}: drill: {line.reason}", key=f"{name}-drill-{line.time}"
        )
        self._aftermath.take(find(revision.config, name), revision, (Record(decided=line), said), None)
        return line

    async def _timed(self, what: str, choose: Choose, took: dict[str, float], *, urgent: bool) -> Made:
        """Publish, and note how long it took until every worker served it."""
        began = time.monotonic()
        made = await self._make(choose, urgent=urgent)
        if isinstance(made, Revision):
            while time.monotonic() - began < drill.LIMIT_S:
                if self._publisher.reached(made.number):
                    took[what] = time.monotonic() - began
                    break
                await asyncio.sleep(_LOOK_S)
        return made
