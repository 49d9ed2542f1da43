"""What follows from a decision about a release once traffic was moved.

Responsible for: handing each effect besides ``Shift`` to what carries it out.
Does not know: how anything is decided, written, sent or rendered.

Rules: nothing here waits or fails; traffic was moved before.
"""

from collections import deque
from collections.abc import Iterable
from logging import getLogger
from typing import Final, NamedTuple

from router.config.schema import Experiment
from router.control.decisions import Decisions
from router.control.notices import Notices
from router.events.model import Revision
from router.rollout.effect import Effect, PostMortem, Record, Say
from router.rollout.observed import Observed

log = getLogger(__name__)

KEPT: Final = 64  # reports that are to be written


class Due(NamedTuple):
    """A post-mortem report that is to be written.

    Attributes:
        experiment: About which experiment.
        run: Its run.
        cause: What fired.
        observed: What the decision was made from.
    """

    experiment: str
    run: int
    cause: str
    observed: Observed


class Aftermath:
    """Hands effects on.

    Attributes:
        reports: The reports that are to be written, oldest first.
    """

    def __init__(self, decisions: Decisions, notices: Notices) -> None:
        # Per process
        self.reports: deque[Due] = deque(maxlen=KEPT)
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
        for effect in effects:
            if isinstance(effect, Record):
                decided = self._decisions.record(effect.decided, revision.number)
                log.info("release %r: %s: %s", name, decided.action, decided.reason)
            elif isinstance(effect, Say):
                self._notices.tell(effect, name, revision, seen.found)
            elif isinstance(effect, PostMortem):
                self.reports.append(Due(name, revision.runs[name].number, effect.cause, seen))
