"""Where releases are, as the admin API and the metrics show them.

Responsible for: the shape of that answer, and the families of the metrics.
Does not know: how anything is decided (``router.rollout``), HTTP.

Rules: reads only what the driver keeps; no nan and no infinity.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from prometheus_client.core import Metric

from router.admin.family import gauge_of
from router.config.schema import Experiment
from router.control.driver import Driver
from router.events.model import Revision
from router.events.rollout import Progress
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


class StageMetrics:
    """The families of releases, read from the driver."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def collect(self, revision: Revision) -> Iterator[Metric]:
        """Yield all of them."""
        names = ("router_rollout_stage", "router_rollout_share", "router_rollout_risk", "router_rollout_failed")
        stage, share, risk, failed = families = tuple(gauge_of(name) for name in names)
        for experiment in revision.config.experiments:
            name = experiment.name
            if not experiment.allocate.driven:
                continue
            failed.add_metric([name], name in self._driver.problems)
            progress = self._driver.present(name, revision)
            if progress is None:
                continue
            stage.add_metric([name], _stage(experiment, progress))
            share.add_metric([name], 0.0 if name in revision.killed else progress.share)
            observed = self._driver.observed.get(name)
            if observed is not None and "risk" in observed.risk:
                risk.add_metric([name], observed.risk["risk"])
        yield from families


def _stage(experiment: Experiment, progress: Progress) -> int:
    """Return the number of a stage; what comes after the last one counts on."""
    last = len(experiment.allocate.ladder) if experiment.allocate.use == "rollout" else 1
    if progress.step in ("stage", "batch"):
        return progress.stage + 1
    return {"bake": last + 1, "done": last + 2}.get(progress.step, 0)
