"""Whether the new version of a release served everybody before.

Responsible for: fast re-promotion: what the history says of a version.
Does not know: what follows from it (``router.rollout``).

Rules: pure. A version is a target by name and ``version``; one without a version is never known again. The last thing
that happened to it counts: one that was rolled back since is not trusted. Only what is remembered counts (``HISTORY``
entries), so after many changes a version is new again.
"""

from collections.abc import Sequence

from router.config.schema import Config, Experiment
from router.control.kill import control_arm
from router.events.model import Revised

Version = tuple[str, str]


def served(history: Sequence[Revised], experiment: Experiment, config: Config, now: float) -> bool:
    """Say whether the new version of a release had everybody, so lately that it may skip stages.

    Args:
        history: The journal's entries, oldest first.
        experiment: The experiment.
        config: The configuration.
        now: Unix seconds.
    """
    window = experiment.allocate.repromote
    new, _ = _sides(config, experiment)
    if window is None or new is None:
        return False
    good = False
    for entry in history:
        for name, progress in entry.rollouts.items():
            other = next((each for each in entry.config.experiments if each.name == name), None)
            if other is None or other.route != experiment.route:
                continue
            led_to, led_from = _sides(entry.config, other)
            if led_to == new and progress.step in ("done", "rolled_back"):
                good = progress.step == "done" and now - entry.time <= window
            elif led_from == new and progress.step in ("rolled_back", "stage", "bake", "shadow"):
                good = now - entry.time <= window  # it was the version that everybody had
    return good


def _sides(config: Config, experiment: Experiment) -> tuple[Version | None, Version | None]:
    """Return the version that a release leads to, and that from which; None for one without a version."""
    control = control_arm(experiment)
    versions = {target.name: target.version for target in config.targets}
    found: list[Version | None] = [None, None]
    for arm in experiment.arms:
        version = versions.get(arm.target) if arm.target is not None else None
        if arm.target is not None and version is not None:
            found[arm.name == control] = (arm.target, version)
    return found[0], found[1]
