"""Where releases are, as the admin API shows them.

Responsible for: the shape of that answer.
Does not know: how anything is decided (``router.rollout``), HTTP.

Rules: reads only what the driver keeps; no nan and no infinity.
"""

from typing import Any

import msgspec

from router.config.schema import Experiment
from router.control.driver import Driver
from router.events.model import Revision
from router.rollout.rung import rungs


def release_view(experiment: Experiment, revision: Revision, driver: Driver) -> dict[str, Any] | None:
    """Return where a release is and why; None for an experiment that is none."""
    if not experiment.allocate.driven:
        return None
    name = experiment.name
    progress = driver.present(name, revision)
    if progress is None:
        return {"kind": experiment.allocate.use, "step": None, "problem": driver.problems.get(name)}
    found: dict[str, Any] = msgspec.to_builtins(progress)
    # What is at its default is left out in the journal; programs want it.
    shown = {each.name: getattr(progress, each.name) for each in msgspec.structs.fields(progress)} | found
    observed = driver.observed.get(name)
    fresh = observed is not None and observed.phase == revision.runs[name].phase
    return {
        **shown,
        "approvals": msgspec.to_builtins(progress.approvals),
        "steps": _steps(experiment),
        "trail": [{"step": step, "time": time} for step, time in progress.trail],
        "observed": msgspec.to_builtins(observed) if fresh else None,
        "problem": driver.problems.get(name),
    }


def _steps(experiment: Experiment) -> list[dict[str, Any]]:
    """Return the steps that a release has, in order; empty where they are not known beforehand."""
    if experiment.allocate.use != "rollout":
        return []
    return [
        {"step": rung.step, "stage": rung.stage, "share": rung.share, "hold": rung.hold, "approve": rung.approve}
        for rung in rungs(experiment.allocate)
    ]
