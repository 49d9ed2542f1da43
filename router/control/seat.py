"""What goes in and out of the control process's own work, as frozen data.

Responsible for: what the supervisor gave it, who asks for a change, and what became of one that was not made.
Does not know: how changes are made (``router.control.loop``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from router.config.folder import survey
from router.config.load import Loaded, Site, load
from router.config.mistake import ConfigError, Mistake
from router.control.publish import Publisher
from router.events.model import Revision
from router.segment import Segment

_HERE: Final = Site()


@dataclass(frozen=True, slots=True)
class Source:
    """Where the configuration comes from.

    Attributes:
        path: A file or a folder.
        site: Whose configuration of a folder.
    """

    path: Path
    site: Site = _HERE

    def load(self) -> Loaded:
        """Read it.

        Raises:
            ConfigError: With every mistake.
        """
        return load(self.path, self.site)

    def watched(self) -> frozenset[Path]:
        """Return every file that has a say in it, and the folders in which one may appear."""
        try:
            folder = survey(self.path)
        except ConfigError:
            return frozenset({self.path})
        return frozenset({self.path, *folder.folders, *folder.every()})


@dataclass(frozen=True, slots=True)
class Rejected:
    """The configuration on disk that is not served.

    Attributes:
        time: When it was refused, in unix seconds.
        mistakes: Why.
    """

    time: float
    mistakes: tuple[Mistake, ...]


@dataclass(frozen=True, slots=True)
class Stale:
    """A change that was asked for on the ground of a revision that is no longer the present one."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks to kill or resume an experiment.

    Attributes:
        by: Who.
        reason: Why.
        tag: What ``kill.tag`` gave of the experiment when they looked; None if that does not matter.
    """

    by: str
    reason: str | None = None
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class Seat:
    """What the control process was given by the supervisor.

    Attributes:
        segment: The shared counters.
        publisher: The way to the workers.
        tell: Takes each new configuration, for the supervisor's part in it.
    """

    segment: Segment
    publisher: Publisher
    tell: Callable[[Revision], None]
