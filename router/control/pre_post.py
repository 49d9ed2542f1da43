"""What failed before a switch and after it, side by side.

Responsible for: exchanges and failures of the old arm in the run's earlier phases and of the new one in the present
phase, from the shared counters.
Does not know: guardrails. It is no test: the two are of different times, and whatever changed meanwhile is in the
difference, so nothing is decided from it.

Rules: reads only. What a restart of the whole router emptied is left out.
"""

from router import counters
from router.config.schema import Experiment
from router.events.model import Revision
from router.rollout.fitness import sides
from router.segment import Segment, fold


def pre_post(revision: Revision, segment: Segment, experiment: Experiment) -> dict[str, float]:
    """Return ``pre_exchanges``, ``pre_failures``, ``post_exchanges`` and ``post_failures``.

    Args:
        revision: The present revision.
        segment: The shared counters.
        experiment: The release.

    Returns:
        Nothing while both arms have units, or when nothing was counted on either side.
    """
    name, run = experiment.name, revision.runs[experiment.name]
    old, new = sides(experiment)
    if revision.weights[name].get(old.name, 0) > 0:
        return {}
    before = [_counted(revision, segment, (name, run.number, phase, old.name)) for phase in range(1, run.phase)]
    pre = [sum(column) for column in zip((0, 0), *before, strict=True)]
    post = _counted(revision, segment, (name, run.number, run.phase, new.name))
    if not pre[0] or not post[0]:
        return {}
    names = ("pre_exchanges", "pre_failures", "post_exchanges", "post_failures")
    return dict(zip(names, map(float, (*pre, *post)), strict=True))


def _counted(revision: Revision, segment: Segment, key: tuple[str, int, int, str]) -> tuple[int, int]:
    base = revision.slots.get(counters.arm_key(*key))
    if base is None:
        return 0, 0
    row = fold(segment, base, counters.ARM_FAILURES + counters.UNIT_BUCKETS)
    exchanges = row[counters.ARM_EXCHANGES : counters.ARM_EXCHANGES + counters.UNIT_BUCKETS]
    return sum(exchanges), sum(row[counters.ARM_FAILURES :])
