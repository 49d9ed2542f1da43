"""Which endpoints of a release get traffic next, and so have to pass its smoke tests.

Responsible for: their base URLs, for every kind of release.
Does not know: tests, who runs them.

Rules: pure. What has traffic already is judged by that, and not tested.
"""

from collections.abc import Mapping

from router.config.schema import Experiment
from router.events.rollout import Progress
from router.rollout.batches import sizes, split
from router.rollout.fitness import EndpointNow, sides


def coming(
    experiment: Experiment, progress: Progress, endpoints: Mapping[str, tuple[EndpointNow, ...]]
) -> tuple[EndpointNow, ...]:
    """Return the endpoints that get traffic next; none where nothing is to be tested.

    Args:
        experiment: The release.
        progress: Where it is.
        endpoints: Arm to its endpoints as they stand.
    """
    allocate = experiment.allocate
    old, new = (endpoints.get(arm.name, ()) for arm in sides(experiment))
    if progress.status == "over" or not allocate.tests or not new:
        return ()
    if progress.step == "preview":
        return new
    if progress.step != "batch" or len(old) != len(new):
        return ()
    steps = sizes(len(new), allocate.batch)
    planned = split(old, new, steps[min(progress.stage, len(steps) - 1)])
    return tuple(each for each in new if each.url in planned.new and not each.in_use)
