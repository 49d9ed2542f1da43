"""The same expressions on ClickHouse: what is written once in Ibis finds the same on both databases."""

import json
import subprocess
import sys
from math import isclose
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from router.analysis.document import experiment_document
from router.analysis.fold import fold_one
from router.analysis.history import History
from router.analysis.plan import Plan
from tests.analysis import logs
from tests.analysis.test_attribution import METRICS

pytest.importorskip("chdb")

SLICES = ("country", "new_unit", "weekday", "volume", "cache", "latency")
# chdb takes over signal handlers and thread pools of the process that loads it, so that is one of its own.
PROGRAM = Path(__file__).with_name("clickhouse.py")


def rows(*, clustered: bool) -> tuple[list[logs.Row], list[logs.Row]]:
    """Make a log with something of everything: phases, crossed units, forced ones, every key, every fate."""
    exposures, outcomes = [], []
    for number in range(400):
        who = (number * 7) % 61
        run, phase = ((1, 1), (1, 2), (2, 1))[number % 3]
        unit = f"t{who % 9}" if clustered else f"u{who}"
        exposures.append(
            logs.exposure(
                number,
                time=(number % 3) * 20 + (number * 13 % 200) / 16,
                run=run,
                phase=phase,
                arm="ab"[(sum(map(ord, unit)) + (who % 17 == 0 and number % 5 == 0)) % 2],
                override=number % 29 == 0,
                propensity=(0.5, 0.25, None)[number % 3] if clustered else 0.5,
                unit=unit,
                user=None if clustered and who % 13 == 0 else f"u{who}",
                failed=number % 11 == 0,
                finished=number % 23 != 0,
                duration=0.001 * (1 + number % 97),
                first_byte=None if number % 4 == 0 else 0.0005 * (1 + number % 31),
                attributes=({}, {"country": "DE"}, {"country": "US", "tier": 'go"ld'})[who % 3],
                rewards=({}, {"header:x-cost": 0.5}, {"header:x-cost": 2.0, "json:/bad": 1.0})[number % 3],
            )
        )
        keys: tuple[dict[str, Any], ...] = (
            {"keyed": "unit", "unit": f"u{number % 70}"},
            {"keyed": "request_id", "request_id": f"r{number * 3 % 450}"},
            {"keyed": "assignment", "run": 1 + number % 2, "experiment": "e", "unit_hash": f"{1 + number % 2}/{unit}"},
        )
        outcomes.append(
            logs.outcome(
                number,
                outcome=logs.NAMES[number % 7 % 3],
                value=float(number % 19) - 2,
                time=(number * 17 % 1000) / 16,
                received=(number * 17 % 1000) / 16 + (0.0, 0.5, 9.0)[number % 3],
                **keys[number % 3],
            )
        )
    return exposures, outcomes


def test_clickhouse_finds_what_duckdb_finds(tmp_path: Path) -> None:
    """Over the same Parquet files, every count is equal and every sum is but for rounding."""
    known, folders = [], []
    for kind in ("plain", "clustered"):
        exposures, outcomes = rows(clustered=kind == "clustered")
        folder = tmp_path / kind
        folder.mkdir()
        for name, table in logs.tables(exposures, outcomes).items():
            pq.write_table(table, folder / f"{name}.parquet")
        plan = Plan("e", METRICS, SLICES, ("tier",), clustered=kind == "clustered")
        found = fold_one(logs.engine(exposures, outcomes), plan, History({"e": logs.PHASES}), 70.0)
        assert sum(stage.units for stage in found.stages) > 0
        known.append(experiment_document(found))
        folders.append(str(folder))
    ran = subprocess.run([sys.executable, str(PROGRAM), *folders], capture_output=True, check=False, timeout=100)
    assert ran.returncode == 0, ran.stderr.decode()[-2000:]
    assert _differences(json.loads(json.dumps(known)), json.loads(ran.stdout)) == []


def _differences(one: Any, other: Any, path: str = "$") -> list[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        keys = sorted({*one, *other})
        return [line for key in keys for line in _differences(one.get(key), other.get(key), f"{path}.{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [
            line
            for index, (left, right) in enumerate(zip(one, other, strict=True))
            for line in _differences(left, right, f"{path}[{index}]")
        ]
    if isinstance(one, float) and isinstance(other, float):
        return [] if isclose(one, other, rel_tol=1e-9, abs_tol=1e-9) else [f"{path}: {one} != {other}"]
    return [] if one == other else [f"{path}: {one} != {other}"]
