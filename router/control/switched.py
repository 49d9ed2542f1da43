"""How long a change of traffic took: from the decision until all workers served it, and the old side had nothing left.

Responsible for: watching acknowledgements and what the old side works on after a switch, and the line of the decision
log that says so.
Does not know: why traffic was moved, who writes the line down.

Rules: reads only, and never waits for anybody: what takes longer than ``LIMIT_S`` is told as that. The last new request
of the old side comes before the last acknowledgement. What the old side works on are the exchanges of its target,
whoever sent them there, so the time is never too short.
"""

import asyncio
import time
from typing import Final

from msgspec import Struct

from router.control.aftermath import Aftermath
from router.control.kill import find
from router.control.publish import Publisher
from router.control.readiness_now import inflight
from router.events.model import Revision
from router.events.rollout import Decided, Progress
from router.rollout.effect import Effect, Record, Say
from router.rollout.fitness import sides
from router.segment import Segment

LIMIT_S: Final = 30.0
_LOOK_S: Final = 0.01
_MOST: Final = 32  # watched at once


class Moved(Struct, frozen=True):
    """A change of traffic that was published.

    Attributes:
        experiment: The release.
        revision: The revision that did it.
        target: The target of the side that traffic left.
        began: When it was decided, in seconds of the monotonic clock.
        cause: What it was, for people.
    """

    experiment: str
    revision: Revision
    target: str
    began: float
    cause: str


class Switched:
    """Owns what is watched."""

    def __init__(self, segment: Segment, publisher: Publisher, aftermath: Aftermath) -> None:
        """Begin with nothing.

        Args:
            segment: The shared counters.
            publisher: The way to the workers.
            aftermath: Takes what is to be written down and told.
        """
        # Per process
        self._segment = segment
        self._publisher = publisher
        self._aftermath = aftermath
        self._tasks: set[asyncio.Task[None]] = set()

    def after(self, name: str, before: Progress | None, revision: Revision, began: float) -> None:
        """Watch what a decision did, if it moved everybody from one side to the other.

        Args:
            name: The release.
            before: Where it was before; None before it began.
            revision: The revision that was published.
            began: When it was decided, in seconds of the monotonic clock.
        """
        progress = revision.rollouts.get(name)
        if progress is None or before is None or progress.kind != "blue_green" or progress.share == before.share:
            return
        old, new = sides(find(revision.config, name))
        left = old if progress.share > before.share else new
        if left.target is not None:
            self.watch(Moved(name, revision, left.target, began, "switch" if left is old else "switch back"))

    def watch(self, moved: Moved) -> None:
        """Watch a change of traffic from now on; one too many is not watched."""
        if len(self._tasks) < _MOST:
            task = asyncio.create_task(self._watch(moved))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Watch no more."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, moved: Moved) -> None:
        numbers: dict[str, float] = {}
        end = moved.began + LIMIT_S
        while "drained_s" not in numbers and time.monotonic() < end:
            # In this order: what was in flight before the acknowledgement does not count as the last of it.
            if "acknowledged_s" not in numbers and self._publisher.reached(moved.revision.number):
                numbers["acknowledged_s"] = time.monotonic() - moved.began
            if "acknowledged_s" in numbers and not inflight(moved.revision, self._segment, moved.target):
                numbers["drained_s"] = time.monotonic() - moved.began
            else:
                await asyncio.sleep(_LOOK_S)
        left = inflight(moved.revision, self._segment, moved.target)
        experiment = find(moved.revision.config, moved.experiment)
        self._aftermath.take(experiment, moved.revision, effects(moved, numbers, left, time.time()), None)


def effects(moved: Moved, numbers: dict[str, float], left: int, now: float) -> tuple[Effect, ...]:
    """Return what is to be written down, and told, of a change of traffic.

    Args:
        moved: The change.
        numbers: ``acknowledged_s`` and ``drained_s``, as far as it came.
        left: Exchanges that the old side still works on.
        now: Unix seconds.
    """
    name, revision = moved.experiment, moved.revision
    progress, run = revision.rollouts.get(name), revision.runs[name]
    if "acknowledged_s" not in numbers:
        reason = f"after {LIMIT_S:g} s not all workers serve revision {revision.number}"
    elif "drained_s" not in numbers:
        reason = (
            f"all workers served it after {numbers['acknowledged_s']:.2f} s; after {LIMIT_S:g} s target "
            f"{moved.target} still works on {left} exchanges"
        )
    else:
        reason = (
            f"all workers served it after {numbers['acknowledged_s']:.2f} s, and target {moved.target} had nothing "
            f"left to do after {numbers['drained_s']:.2f} s"
        )
    late = "drained_s" not in numbers
    line = Decided(
        id="",
        time=now,
        experiment=name,
        run=run.number,
        phase=run.phase,
        revision=revision.number,
        step=progress.step if progress is not None else "",
        share=progress.share if progress is not None else 0.0,
        action="switched",
        reason=f"{moved.cause}: {reason}",
        numbers={**numbers, "inflight": float(left)} if late else numbers,
    )
    if not late:
        return (Record(decided=line),)
    return Record(decided=line), Say(
        event="switch",
        severity="warning",
        text=f"{name}: {moved.cause}: {reason}",
        key=f"{name}-{revision.number}-switched",
    )
