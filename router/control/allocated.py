"""What allocators gave, over changes of everything else.

Responsible for: which weights of bandits a new configuration or a restore keeps, and which coming ones still hold.
Does not know: how weights were computed, ticks (``router.control.tick``).

Rules: pure. What a bandit has learned belongs to its run: as long as arms, targets, versions and salt are the same, no
edit of a file and no restore changes its weights. The weights of the file are those of its warm-up: an edit of them
counts until the first tick. A kill takes the weights; after its end the file's are in force until the next tick.
Where a release is decides the weights of its experiment, in the same run; before its first step control has everybody.
"""

from collections.abc import Collection, Mapping
from typing import Final, TypedDict

from router.config.schema import Config, Experiment
from router.control.kill import Weights, control_arm
from router.control.refuse import identity
from router.events.model import Coming, Revision, Run
from router.events.rollout import Progress


def given(before: Revision, config: Config) -> Weights:
    """Return the weights of bandits and releases that hold under a configuration.

    Args:
        before: The present revision.
        config: The configuration that follows it.
    """
    known = {experiment.name: experiment for experiment in before.config.experiments}
    return released(before, config) | {
        experiment.name: before.weights[experiment.name]
        for experiment in config.experiments
        if (old := known.get(experiment.name)) is not None
        and experiment.name not in before.killed
        and _learned(before, old)
        and experiment.allocate.bandit
        and identity(before.config, old) == identity(config, experiment)
    }


def released(before: Revision, config: Config) -> Weights:
    """Return the weights of releases that hold under a configuration, killed ones included: a kill comes after."""
    known = {experiment.name: experiment for experiment in before.config.experiments}
    return {
        experiment.name: shared(experiment, before.rollouts[experiment.name].share)
        for experiment in config.experiments
        if experiment.allocate.driven
        and experiment.name in before.rollouts
        and (old := known.get(experiment.name)) is not None
        and identity(before.config, old) == identity(config, experiment)
    }


def shared(experiment: Experiment, share: float) -> dict[str, float]:
    """Return the weights of a release of two arms.

    Args:
        experiment: The experiment.
        share: The share of units that the new arm has.
    """
    control = control_arm(experiment)
    return {arm.name: 1 - share if arm.name == control else share for arm in experiment.arms}


class Release(TypedDict):
    """What a revision says of releases, besides weights."""

    rollouts: dict[str, Progress]
    mirrors: dict[str, float]
    endpoints: dict[str, tuple[str, ...]]


NOTHING: Final[Release] = {"rollouts": {}, "mirrors": {}, "endpoints": {}}


def kept_release(
    before: Revision, config: Config, following: Mapping[str, Run], killed: Collection[str] = ()
) -> Release:
    """Return what goes on of releases: where those are that stay in their run, and what that needs.

    Everybody is on the control arm of a killed one, so all endpoints of that are in use.
    """
    driven = {experiment.name: experiment for experiment in config.experiments if experiment.allocate.driven}
    rollouts = {
        name: progress
        for name, progress in before.rollouts.items()
        if name in driven and progress.run == following[name].number and str(driven[name].allocate.use) == progress.kind
    }
    urls = {target.name: {endpoint.url for endpoint in target.endpoints} for target in config.targets}
    replacing = {
        arm.target
        for name in rollouts
        for arm in driven[name].arms
        if name not in killed or arm.name != control_arm(driven[name])
    }
    return Release(
        rollouts=rollouts,
        mirrors={name: share for name, share in before.mirrors.items() if name in rollouts},
        endpoints={
            target: kept
            for target, used in before.endpoints.items()
            if target in replacing and (kept := tuple(url for url in used if url in urls.get(target, ())))
        },
    )


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
