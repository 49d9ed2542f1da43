"""What allocators gave, over changes of everything else.

Responsible for: which weights of bandits a new configuration or a restore keeps, and which coming ones still hold.
Does not know: how weights were computed, ticks (``router.control.tick``).

Rules: pure. What a bandit has learned belongs to its run: as long as arms, targets, versions and salt are the same, no
edit of a file and no restore changes its weights. The weights of the file are those of its warm-up: an edit of them
counts until the first tick. A kill takes the weights; after its end the file's are in force until the next tick.
"""

from collections.abc import Mapping

from router.config.schema import Config, Experiment
from router.control.kill import Weights
from router.control.refuse import identity
from router.events.model import Coming, Revision, Run


def given(before: Revision, config: Config) -> Weights:
    """Return the weights of bandits that hold under a configuration.

    Args:
        before: The present revision.
        config: The configuration that follows it.
    """
    known = {experiment.name: experiment for experiment in before.config.experiments}
    return {
        experiment.name: before.weights[experiment.name]
        for experiment in config.experiments
        if (old := known.get(experiment.name)) is not None
        and experiment.name not in before.killed
        and _learned(before, old)
        and experiment.allocate.bandit
        and identity(before.config, old) == identity(config, experiment)
    }


def _learned(before: Revision, experiment: Experiment) -> bool:
    """Say whether its weights are an allocator's."""
    written = {arm.name: arm.weight for arm in experiment.arms}
    return experiment.allocate.bandit and before.weights[experiment.name] != written


def kept_coming(before: Revision, weights: Weights, following: Mapping[str, Run]) -> dict[str, Coming]:
    """Return the coming weights that still hold: of experiments that are where they were, with the same weights."""
    return {
        name: coming
        for name, coming in before.coming.items()
        if name in weights and weights[name] == before.weights[name] and following.get(name) == before.runs[name]
    }
