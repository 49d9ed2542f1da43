"""Evidence about releases from the shared counters.

Responsible for: the rows of an experiment's arms in the present phase, summed over workers, as ``Evidence``.
Does not know: what is concluded from it (``router.guardrail``).

Rules: reads only. What cannot be read is said in ``Evidence.problem``, never taken for zero.
"""

from router import counters
from router.config.schema import Experiment
from router.events.model import Revision
from router.guardrail.evidence import BUCKETS, ArmEvidence, Evidence
from router.segment import Segment, fold


class Gather:
    """Reads counters.

    Args:
        segment: The counters.
    """

    def __init__(self, segment: Segment) -> None:
        self._segment = segment

    def read(self, revision: Revision, experiment: Experiment, now: float) -> Evidence:
        """Return what is known of an experiment's arms in the present phase.

        Args:
            revision: The present revision.
            experiment: One of its experiments.
            now: Unix seconds.
        """
        run = revision.runs[experiment.name]
        arms: dict[str, ArmEvidence] = {}
        problem = None
        for arm in experiment.arms:
            slot = revision.slots.get(counters.arm_key(experiment.name, run.number, run.phase, arm.name))
            if slot is None:
                problem = f"arm {arm.name!r} has no counters in run {run.number}, phase {run.phase}"
                continue
            words = fold(self._segment, slot, counters.ARM_WORDS)
            # Failures are read after exchanges, word by word, while workers count on.
            failures = words[counters.ARM_FAILURES : counters.ARM_FAILURES + BUCKETS]
            exchanges = [max(pair) for pair in zip(words[:BUCKETS], failures, strict=True)]
            arms[arm.name] = ArmEvidence(exchanges=tuple(exchanges), failures=tuple(failures))
        return Evidence(time=now, run=run.number, phase=run.phase, arms=arms, problem=problem)
