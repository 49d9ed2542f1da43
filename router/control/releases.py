"""What a decision about a release or a kill does: another revision first, then whatever follows from it.

Responsible for: from what somebody asks or the driver decides to the revision that has it so, and who hears of it.
Does not know: how anything is decided (``router.rollout``), how a revision is compiled, written down and published.

Rules: whoever calls ``ask``, ``drive`` or ``switch`` holds the lock of changes. Traffic is moved first; when that
fails, nothing else happens. What is so already makes no revision and may be confirmed, whatever its tag.
"""

import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from router.config.mistake import Mistake
from router.control import switch
from router.control.aftermath import asking
from router.control.decisions import Decisions
from router.control.driver import Decide, Driver
from router.control.kill import find, tag
from router.control.notices import Notices
from router.control.seat import Asked, Stale
from router.control.state import Refusal, State, current
from router.control.steer import Move, steer
from router.control.switched import Switched
from router.events.model import Revision
from router.events.rollout import Progress
from router.rollout import observed
from router.rollout.effect import Say, Shift
from router.rollout.turn import Refused, Turn


class Commit(Protocol):
    """Compiles, writes down and publishes a revision."""

    async def __call__(self, following: State, revision: Revision, *, urgent: bool) -> Refusal | None:
        """Do so; return why that could not be done."""


class Present(NamedTuple):
    """The present state, and the way to another one.

    Attributes:
        state: Returns the present state.
        commit: Publishes the one that follows.
    """

    state: Callable[[], State]
    commit: Commit


class Releases:
    """Has decisions about releases, and kills, come into force."""

    def __init__(self, present: Present, driver: Driver, switched: Switched, heard: tuple[Decisions, Notices]) -> None:
        """Begin with nothing.

        Args:
            present: The present state, and the way to another one.
            driver: What is known of releases, and where they go next.
            switched: Watches what a change of traffic does.
            heard: The decision log, and who is told.
        """
        # Per process
        self._present = present
        self._driver = driver
        self._switched = switched
        self._decisions, self._notices = heard

    async def ask(self, name: str, what: observed.Ask, asked: Asked) -> Revision | Refusal | Stale | Refused:
        """Do what a person asks of a release.

        Args:
            name: Its experiment.
            what: What is asked for.
            asked: Who asks, why, and what they saw.

        Raises:
            LookupError: If there is no such experiment.
        """
        revision = self._revision()
        experiment = find(revision.config, name)
        if not experiment.allocate.driven:
            return Refused(
                f"{name!r} is no release: its weights are those of `allocate.use: {experiment.allocate.use}`"
            )
        wish = observed.Asked(what=what, by=asked.by, reason=asked.reason)
        turn = self._driver.act(experiment, revision, wish, time.time())
        if not isinstance(turn, Refused) and not turn[1]:  # what is so already may be confirmed, as in switch
            return revision
        if asked.tag is not None and asked.tag != tag(revision, name):
            return Stale()
        if isinstance(turn, Refused):
            return turn
        problem = await self._carry_out(name, turn)
        if problem is not None:
            return Refusal((Mistake(f"experiment {name}", 0, "", problem),))
        revision = self._revision()
        self._notices.tell(asking(what, asked, name, revision.number), name, revision)
        return revision

    async def drive(self, name: str, choose: Decide) -> str | None:
        """Decide about a release, and have it so; return why that could not be done.

        Args:
            name: Its experiment.
            choose: Decides from the present revision; None when there is nothing to do.
        """
        turn = choose(self._revision())
        return await self._carry_out(name, turn) if turn is not None and not isinstance(turn, Refused) else None

    async def switch(
        self, decided: tuple[State, Revision] | Refusal, name: str, asked: Asked
    ) -> Revision | Refusal | Stale:
        """Have a kill or its end come into force.

        Args:
            decided: What was decided from the present state.
            name: The experiment.
            asked: Who asks, why, and what they saw.
        """
        if isinstance(decided, Refusal):
            return decided
        following, revision = decided
        present = self._revision()
        if revision is present:  # RFC 9110 13.1.1: what is so already may be confirmed, whatever If-Match says
            return present
        if asked.tag is not None and asked.tag != tag(present, name):
            return Stale()
        refused = await self._present.commit(following, revision, urgent=revision.cause == "kill")
        if refused is not None:
            return refused
        present = self._revision()
        told = self._decisions.record(switch.told(present, name, asked.reason), present.number)
        said = f"{told.action} by {told.by}: {told.reason}"
        self._notices.tell(Say(event=told.action, severity="warning", text=said, key=told.id), name, present)
        return present

    async def _carry_out(self, name: str, turn: Turn) -> str | None:
        """Move traffic first, then let the rest follow; return why traffic could not be moved."""
        decided_at = time.monotonic()
        shift = next((each for each in turn[1] if isinstance(each, Shift)), None)
        if shift is not None:
            before = self._revision().rollouts.get(name)
            refused = await self._move(name, turn[0], before, shift)
            if refused is not None:
                return "; ".join(str(mistake) for mistake in refused.mistakes)
            self._switched.after(name, before, self._revision(), decided_at)
        revision = self._revision()
        self._driver.settle(find(revision.config, name), turn, revision)
        return None

    async def _move(self, name: str, progress: Progress, before: Progress | None, shift: Shift) -> Refusal | None:
        """Publish the revision in which traffic goes as decided, unless it does so already."""
        state = self._present.state()
        said = f"release {name!r}: {progress.reason}"
        move = Move(progress=progress, mirror=shift.mirror, endpoints=shift.endpoints, said=said)
        back = before is not None and progress.share < before.share
        decided = steer(state, {name: move}, (shift.cause, progress.by, time.time()), back=back)
        if isinstance(decided, Refusal):
            return decided
        following, revision = decided
        if revision is current(state):
            return None
        return await self._present.commit(following, revision, urgent=shift.urgent)

    def _revision(self) -> Revision:
        return current(self._present.state())


def stands_still(revision: Revision, name: str) -> bool:
    """Return whether ``resume`` is about a release: it is paused or was taken back, and is not killed."""
    progress = revision.rollouts.get(name)
    if progress is None or name in revision.killed or name not in revision.weights:
        return False
    return progress.status == "paused" or progress.step in ("rolled_back", "aborted")
