"""Predictions with their labels, as an Ibis expression.

Responsible for: which label belongs to which prediction of an experiment's run.
Does not know: what a prediction is worth (``router.detect.score``), how anything is run (``engine``).

Rules: a label is an outcome. One that names a request belongs to its prediction; one that names a unit, or an
assignment, to the unit's last prediction before it. Forced exposures and bots never count. A prediction counts once,
with the label that came first.
"""

from typing import Final

import ibis
from ibis.expr import types as ir
from msgspec import Struct

from router.analysis.engine import Engine

MOST: Final = 100_000
"""Pairs that are looked at; of more, those with the smallest ids."""


class Asked(Struct, frozen=True):
    """Which predictions.

    Attributes:
        experiment: Of which experiment.
        run: Of which run of it.
        source: Where the prediction is: ``response:/POINTER``.
        outcome: Outcome that is the label.
        begin: Predictions from then on, in unix seconds.
        end: And before then.
        now: Labels that were received later do not count.
    """

    experiment: str
    run: int
    source: str
    outcome: str
    begin: float
    end: float
    now: float


def labelled(engine: Engine, asked: Asked) -> dict[str, list[tuple[str, float]]]:
    """Return arm to the predictions with their labels.

    Args:
        engine: Runs the query.
        asked: Which predictions.
    """
    found: dict[str, list[tuple[str, float]]] = {}
    for row in engine.rows(_pairs(engine, asked)):
        if row["prediction"] is not None and row["value"] is not None:
            found.setdefault(row["arm"], []).append((row["prediction"], float(row["value"])))
    return found


def _pairs(engine: Engine, asked: Asked) -> ir.Table:
    seen = engine.table("exposures")
    seen = seen.filter(
        seen.experiment == asked.experiment,
        seen.run == asked.run,
        seen.time >= asked.begin,
        seen.time < asked.end,
        ~seen.override,
        ~seen.bot,
    )
    seen = seen.select(
        "exchange",
        "arm",
        "request_id",
        "unit",
        "unit_hash",
        asked_at=seen.time,
        prediction=engine.text(seen.rewards, asked.source),
    )
    seen = seen.filter(seen.prediction.notnull())
    labels = engine.table("outcomes")
    labels = labels.filter(labels.outcome == asked.outcome, labels.received <= asked.now, labels.value.notnull())
    parts = [_matched(seen, labels, key, keyed) for keyed, key in _KEYS.items()]
    every = ibis.union(*parts)
    # Of the predictions that a label could belong to, the last before it; of labels of a prediction the first.
    latest = every.group_by("id").mutate(last=every.asked_at.max())
    latest = latest.filter(latest.asked_at == latest["last"])
    return (
        latest.group_by("exchange")
        .aggregate(
            arm=latest.arm.min(),
            prediction=latest.prediction.min(),
            value=latest.value.argmin(latest.received),
        )
        .order_by("exchange")
        .limit(MOST)
    )


_KEYS: Final = {"request_id": "request_id", "unit": "unit", "assignment": "unit_hash"}


def _matched(seen: ir.Table, labels: ir.Table, key: str, keyed: str) -> ir.Table:
    own = labels.filter(labels.keyed == keyed).select("id", "value", "received", key, labelled_at="time")
    found = own.join(seen, key)
    if keyed != "request_id":
        found = found.filter(found.asked_at <= found.labelled_at)
    return found.select("id", "exchange", "arm", "prediction", "value", "received", "asked_at")
