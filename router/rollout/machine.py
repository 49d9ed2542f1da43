"""What happens next to a release, whatever drives it.

Responsible for: handing the question to what drives the experiment (``allocate.use``).
Does not know: any of the answers.

Rules: pure: no clock, no files, no chance. Whoever replays the same observations gets the same release.
"""

from collections.abc import Mapping
from types import ModuleType
from typing import Final, Protocol, cast

from router.config.schema import Experiment
from router.events.rollout import Progress
from router.rollout import blue_green, ladder, rolling
from router.rollout.observed import Asked, Observed
from router.rollout.turn import Refused, Turn


class Drive(Protocol):
    """What a kind of release decides: a module of this package."""

    def begin(self, experiment: Experiment, run: int, now: float, *, trusted: bool = False) -> Turn:
        """Begin a run."""

    def step(self, experiment: Experiment, progress: Progress, observed: Observed, now: float) -> Turn:
        """Decide what happens next."""

    def act(
        self, experiment: Experiment, progress: Progress, asked: Asked, observed: Observed, now: float
    ) -> Turn | Refused:
        """Do what a person asks for."""


_DRIVES: Final[Mapping[str, ModuleType]] = {"rollout": ladder, "blue_green": blue_green, "rolling": rolling}


def begin(experiment: Experiment, run: int, now: float, *, trusted: bool = False) -> Turn:
    """Begin a run of a release.

    Args:
        experiment: The experiment.
        run: Its run.
        now: Unix seconds.
        trusted: Whether the version served before and may skip steps.
    """
    return _drive(experiment).begin(experiment, run, now, trusted=trusted)


def step(experiment: Experiment, progress: Progress, observed: Observed, now: float) -> Turn:
    """Decide what happens next.

    Args:
        experiment: The experiment.
        progress: Where its release is.
        observed: What is known.
        now: Unix seconds.

    Returns:
        Where it is then, and what is to be done; a ``Shift`` among the effects says that the progress is to be kept in
        the journal.
    """
    return _drive(experiment).step(experiment, progress, observed, now)


def act(experiment: Experiment, progress: Progress, asked: Asked, observed: Observed, now: float) -> Turn | Refused:
    """Do what a person asks for, or say why not.

    Args:
        experiment: The experiment.
        progress: Where its release is.
        asked: What is asked for, by whom and why.
        observed: What is known.
        now: Unix seconds.
    """
    return _drive(experiment).act(experiment, progress, asked, observed, now)


def _drive(experiment: Experiment) -> Drive:
    return cast("Drive", _DRIVES[experiment.allocate.use])
