"""Data quality as the admin API and ``/metrics`` show it.

Responsible for: the shape of those answers: marks of invalid data, findings, the report of an experiment.
Does not know: HTTP, how anything is found out (``router.analysis``), when (``router.control.fold``).

Rules: reads only. A mark is shown wherever its experiment is. What was not looked at yet is None, with the reason where
there is one, and never looks like what was found to be fine.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
from prometheus_client.core import GaugeMetricFamily, Metric

from router.admin.family import gauge_of
from router.admin.results import results_view
from router.analysis.finding import Finding, Insufficient
from router.analysis.promotion import may_promote
from router.analysis.trust import quality_document
from router.control.fold import Fold
from router.control.loop import Control
from router.events.model import Revision
from router.report.document import report_document

# Of ``router_data_quality`` and ``router_log_quality``; too little data has no value.
VALUES: Final = {"ok": 0, "warn": 1, "invalid": 2}


def marks_view(revision: Revision, fold: Fold, name: str) -> dict[str, Any]:
    """Return what is known of the data of an experiment, in short.

    Args:
        revision: The present revision.
        fold: The live fold.
        name: The experiment.

    Returns:
        ``invalid`` (the mark, or None) and ``quality``: status of the present phase and when that was so; the status is
        None before the first look.
    """
    mark = revision.invalid.get(name)
    snapshot = fold.snapshot
    quality = {
        "status": snapshot.worst(name, revision.runs[name]) if snapshot is not None else None,
        "time": snapshot.time if snapshot is not None else None,
        "problem": fold.problem,
    }
    return {"invalid": msgspec.to_builtins(mark), "quality": quality}


def with_marks(answer: dict[str, Any], revision: Revision) -> dict[str, Any]:
    """Add to an answer of ``/v1/assign`` why its experiments are invalid; None where they are not."""
    if answer["route"] is None:
        return answer
    reasons = {name: mark.reason for name, mark in revision.invalid.items()}
    shown = [{**each, "invalid": reasons.get(each["experiment"])} for each in answer["experiments"]]
    return {**answer, "invalid": reasons.get(answer["experiment"]), "experiments": shown}


def report_view(control: Control, name: str, now: float) -> dict[str, Any]:
    """Return everything that is known of the data of an experiment.

    Args:
        control: The control process.
        name: The experiment, which exists.
        now: Unix seconds.
    """
    revision, snapshot = control.revision, control.fold.snapshot
    run, mark = revision.runs[name], revision.invalid.get(name)
    present = snapshot.present(name, run) if snapshot is not None else None
    phases = snapshot.quality.get(name, ()) if snapshot is not None else ()
    folded = snapshot.folded if snapshot is not None else None
    report = snapshot.reports.get(name) if snapshot is not None else None
    return {
        "experiment": name,
        "revision": revision.number,
        "run": run.number,
        "phase": run.phase,
        "time": snapshot.time if snapshot is not None else None,
        "lag": now - snapshot.time if snapshot is not None else None,
        "problem": control.fold.problem,
        "invalid": msgspec.to_builtins(mark),
        "promotion": msgspec.to_builtins(may_promote(present, mark.reason if mark is not None else None)),
        "quality": [{**quality_document(phase), "present": phase is present} for phase in phases],
        "log": [msgspec.to_builtins(each) for each in snapshot.log] if snapshot is not None else [],
        "results": results_view(folded.experiments[name]) if folded is not None and name in folded.experiments else [],
        "unfolded": snapshot.unfolded if snapshot is not None else None,
        "unread": list(snapshot.unread) if snapshot is not None else [],
        "decision": msgspec.to_builtins(report.decision) if report is not None else None,
        "report": report_document(report) if report is not None else None,
    }


class QualityMetrics:
    """The families of data quality, read from the last snapshot."""

    def __init__(self, fold: Fold, clock: Callable[[], float] = time.time) -> None:
        """Read from a fold; ``clock`` gives unix seconds."""
        self._fold = fold
        self._clock = clock

    def collect(self, revision: Revision) -> Iterator[Metric]:
        """Yield all of them."""
        snapshot = self._fold.snapshot
        invalid, p, checks = map(
            gauge_of, ("router_experiment_invalid", "router_sample_ratio_p", "router_data_quality")
        )
        for experiment in revision.config.experiments:
            name = experiment.name
            invalid.add_metric([name], name in revision.invalid)
            present = snapshot.present(name, revision.runs[name]) if snapshot is not None else None
            if present is not None:
                p.add_metric([name], present.sample_ratio.p)
                _add(checks, [name], present.findings)
        yield from (invalid, p, checks)
        logged, lag, took, failed = map(
            gauge_of, ("router_log_quality", "router_fold_lag_seconds", "router_fold_seconds", "router_fold_failed")
        )
        if snapshot is not None:
            _add(logged, [], snapshot.log)
            lag.add_metric([], max(self._clock() - snapshot.time, 0.0))
            took.add_metric([], snapshot.took_s)
        failed.add_metric([], self._fold.problem is not None)
        yield from (logged, lag, took, failed)


def _add(family: GaugeMetricFamily, names: list[str], findings: tuple[Finding | Insufficient, ...]) -> None:
    for found in findings:
        if found.status in VALUES:
            family.add_metric([*names, found.check], VALUES[found.status])
