"""Kills: who is killed, what weights follow from that, and what a kill belongs to.

Responsible for: the weights of a configuration under its kills, which kills a new configuration keeps, and the tag that
says whether an experiment is still what somebody saw.
Does not know: revisions' numbers, history (``state``), the journal, HTTP.

Rules: pure. A kill lasts until ``resume``: no edit of a file, restore or restart ends it. It belongs to what was
killed, so an experiment that vanished and returns with the same arms is still killed; one that returns with other arms,
targets, versions or salt is another experiment, and free.
"""

import hashlib
from collections.abc import Mapping

import msgspec

from router.config.schema import Config, Experiment
from router.control.refuse import identity
from router.events.model import Kill, Revision

Weights = dict[str, dict[str, float]]

_DIGITS = 16


def find(config: Config, name: str) -> Experiment:
    """Return an experiment.

    Raises:
        LookupError: If the configuration has none of that name.
    """
    for experiment in config.experiments:
        if experiment.name == name:
            return experiment
    raise LookupError(f"there is no experiment {name!r}")


def control_arm(experiment: Experiment) -> str:
    """Return the arm that is the baseline."""
    return experiment.control if experiment.control is not None else experiment.arms[0].name


def made(config: Config, experiment: Experiment, by: str, reason: str | None, now: float) -> Kill:
    """Make the kill of an experiment."""
    arm = control_arm(experiment)
    return Kill(by=by, reason=reason, time=now, arm=arm, identity=_digest(identity(config, experiment)))


def kept(killed: Mapping[str, Kill], before: Config, coming: Config) -> dict[str, Kill]:
    """Return the kills that hold under a new configuration, those of experiments that it lacks included."""
    running = {experiment.name for experiment in before.experiments}
    returning = {experiment.name: experiment for experiment in coming.experiments if experiment.name not in running}
    return {
        name: kill
        for name, kill in killed.items()
        if name not in returning or kill.identity == _digest(identity(coming, returning[name]))
    }


def written(experiment: Experiment) -> dict[str, float]:
    """Return the weights before any allocator said something: the file's; of a release all units have control."""
    if experiment.allocate.driven:
        control = control_arm(experiment)
        return {arm.name: float(arm.name == control) for arm in experiment.arms}
    return {arm.name: arm.weight for arm in experiment.arms}


def weigh(config: Config, free: Mapping[str, Mapping[str, float]], killed: Mapping[str, Kill]) -> Weights:
    """Return the weights that are served: a killed experiment has everything on its control arm.

    Args:
        config: The configuration.
        free: What each experiment's allocator gives; the weights of the file for one that is missing.
        killed: The kills.
    """
    weights: Weights = {}
    for experiment in config.experiments:
        given = free.get(experiment.name) or written(experiment)
        kill = killed.get(experiment.name)
        if kill is not None:
            # The arm that was the control then: another `control:` in the file shall not move traffic.
            control = kill.arm if kill.arm in given else control_arm(experiment)
            given = {arm.name: float(arm.name == control) for arm in experiment.arms}
        weights[experiment.name] = dict(given)
    return weights


def tag(revision: Revision, name: str) -> str:
    """Return what changes with an experiment's configuration, run, phase, kill or step, and with nothing else.

    Raises:
        LookupError: If there is no such experiment.
    """
    experiment = find(revision.config, name)
    run = revision.runs[name]
    targets = [target for target in revision.config.targets if target.name in {arm.target for arm in experiment.arms}]
    versions = {target.name: target.version for target in targets}
    parts = [experiment, versions, run.number, run.phase, revision.killed.get(name)]
    if (progress := revision.rollouts.get(name)) is not None:
        parts.append([progress.step, progress.stage, progress.status])
    return _digest(parts)


def _digest(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()[:_DIGITS]
