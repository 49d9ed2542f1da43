"""What follows from a decision about a release once traffic was moved.

Responsible for: handing each effect besides ``Shift`` to what carries it out.
Does not know: how anything is decided, written, sent or rendered.

Rules: nothing here waits or fails; traffic was moved before.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from logging import getLogger
from typing import Final, NamedTuple

from router.config.schema import Experiment
from router.control.decisions import Decisions
from router.control.notices import Notices
from router.control.seat import Asked
from router.events.model import Revision
from router.events.rollout import Decided
from router.rollout.effect import Effect, PostMortem, Record, Say
from router.rollout.observed import Ask, Observed

log = getLogger(__name__)

KEPT: Final = 64  # reports that are to be written


def asking(what: Ask, asked: Asked, name: str, revision: int) -> Say:
    """Return what people are told of what one of them asked for.

    Args:
        what: What.
        asked: Who, and why.
        name: The experiment.
        revision: Number of the revision after it.
    """
    why = f": {asked.reason}" if asked.reason else ""
    event = "approval" if what == "approve" else what
    return Say(event=event, severity="info", text=f"{name}: {what} by {asked.by}{why}", key=f"{what}-{revision}")


class Due(NamedTuple):
    """A post-mortem report that is to be written.

    Attributes:
        experiment: About which experiment.
        run: Its run.
        cause: What fired.
        decided: The line of the decision log.
    """

    experiment: str
    run: int
    cause: str
    decided: Decided


class Aftermath:
    """Hands effects on.

    Attributes:
        reports: The reports that are to be written, oldest first.
        waiting: Set when there is one.
    """

    def __init__(self, decisions: Decisions, notices: Notices) -> None:
        # Per process
        self.reports: deque[Due] = deque(maxlen=KEPT)
        self.waiting = asyncio.Event()
        self._decisions = decisions
        self._notices = notices

    def take(
        self, experiment: Experiment, revision: Revision, effects: Iterable[Effect], observed: Observed | None
    ) -> None:
        """Hand on what a decision asks for.

        Args:
            experiment: About which experiment.
            revision: The revision after it.
            effects: What is to be done; ``Shift`` is passed over.
            observed: What it was made from; None when nothing was looked at.
        """
        name, seen = experiment.name, observed if observed is not None else Observed(phase=0)
        decided: Decided | None = None
        for effect in effects:
            if isinstance(effect, Record):
                decided = self._decisions.record(effect.decided, revision.number)
                log.info("release %r: %s: %s", name, decided.action, decided.reason)
            elif isinstance(effect, Say):
                self._notices.tell(effect, name, revision, seen.found)
            elif isinstance(effect, PostMortem) and decided is not None:
                self.reports.append(Due(name, decided.run, effect.cause, decided))
                self.waiting.set()
