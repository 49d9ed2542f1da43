"""What a fold found, as one JSON document.

Responsible for: names and shape of what programs read.
Does not know: how it is shown to people, files.

Rules: pure, and plain data only: sums as they are, so that whoever reads it can merge and test; estimates beside them.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from router.analysis.aggregates import Cell, Place
from router.analysis.estimate import estimate
from router.analysis.post_stratify import by_arm
from router.analysis.result import Folded, Result, Stage
from router.config.schema import Metric

NOTE = (
    "Plain estimates with standard errors, each phase by itself: what verdicts are made of, and none themselves. "
    "Looking at them often makes no difference significant."
)

UNFROZEN = (
    "Outcomes count whenever they were received, also after their unit's window: a look at all that is known by now, "
    "at a horizon fixed beforehand. No sequential test may be made of it."
)


def document(folded: Folded) -> dict[str, Any]:
    """Return all that was found."""
    return {
        "now": folded.now,
        "note": NOTE,
        "experiments": {name: experiment_document(result) for name, result in folded.experiments.items()},
    }


def experiment_document(result: Result) -> dict[str, Any]:
    """Return what was found of one experiment."""
    metrics = {metric.name: metric for metric in result.plan.metrics}
    return {
        "control": result.plan.control,
        "frozen": result.plan.frozen,
        "metrics": [_definition(metric) for metric in result.plan.metrics],
        "phases": [_phase(stage, result, metrics) for stage in result.stages],
        "outcomes": {name: msgspec.to_builtins(stray) for name, stray in result.strays.items()},
        "credits": [
            {"run": run, "phase": phase, "outcome": outcome, **msgspec.to_builtins(found)}
            for ((run, phase), outcome), found in result.credits.items()
        ],
    }


def _definition(metric: Metric) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(metric)
    return {key: value for key, value in plain.items() if value not in (None, [])}


def _phase(stage: Stage, result: Result, metrics: Mapping[str, Metric]) -> dict[str, Any]:
    cells, strata = sorted(result.cells.items()), result.plan.strata
    here = [(place, cell) for place, cell in cells if (place.run, place.phase) == stage.phase.place]
    weighted = {name: by_arm(metric, dict(here), strata) for name, metric in metrics.items()} if strata else {}
    return {
        "run": stage.phase.run,
        "phase": stage.phase.phase,
        "start": stage.phase.start,
        "end": stage.phase.end,
        "exposures": stage.exposures,
        "overrides": stage.overrides,
        "bots": stage.bots,
        "units": stage.units,
        "excluded": stage.crossed,
        "excluded_by_arm": stage.crossed_by_arm,
        "outcomes": {name: msgspec.to_builtins(fates) for name, fates in stage.fates.items()},
        "cells": [_cell(place, cell, metrics) for place, cell in here],
        "post_stratified": msgspec.to_builtins(weighted),
    }


def _cell(place: Place, cell: Cell, metrics: Mapping[str, Metric]) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(cell)
    for name, known in plain["metrics"].items():
        known["estimate"] = msgspec.to_builtins(estimate(metrics[name], cell.metrics[name]))
        if cell.metrics[name].sketch is not None:
            known["sketch"] = [[bucket, count] for bucket, count in sorted(known["sketch"]["counts"].items())]
    return {"arm": place.arm, "slice": dict(zip(place.slicing, place.values, strict=True)), **plain}
