"""What the shared counters say of releases, and what guardrails make of it.

Responsible for: exchanges of the arms, what is known for and against either side, and what guardrails remember.
Does not know: what follows from it (``router.rollout``), the event log (``observe``).

Rules: reads only. What could not be read is said as a failed measurement, never as a pass.
"""

from typing import NamedTuple

from router import counters
from router.config.schema import Experiment
from router.events.model import Revision
from router.events.rollout import Found
from router.segment import Segment, fold


class Sensed(NamedTuple):
    """What is known of the arms of an experiment in its present phase.

    Attributes:
        exchanges: Arm to its exchanges.
        found: What the guardrails say.
        control: What is known against control; None when nothing is.
        ready: Whether the new arm can serve; None when that is not known.
    """

    exchanges: dict[str, int]
    found: tuple[Found, ...] = ()
    control: Found | None = None
    ready: Found | None = None


class Senses:
    """Looks at the arms of releases."""

    def __init__(self, segment: Segment) -> None:
        # Per process
        self._segment = segment

    def look(self, experiment: Experiment, revision: Revision, now: float) -> Sensed:  # noqa: ARG002 - guardrails need it
        """Look at the arms of a release.

        Args:
            experiment: Its experiment.
            revision: The present revision.
            now: Unix seconds.
        """
        run = revision.runs[experiment.name]
        exchanges: dict[str, int] = {}
        for arm in experiment.arms:
            key = counters.arm_key(experiment.name, run.number, run.phase, arm.name)
            base = revision.slots.get(key)
            row = fold(self._segment, base, counters.UNIT_BUCKETS) if base is not None else ()
            exchanges[arm.name] = int(sum(row))
        return Sensed(exchanges)
