"""How long it takes to attribute and add up: ``python -m benchmarks.fold``.

Responsible for: a synthetic archive of 2 million exchanges and 4 million outcomes, folded with a limit on memory, in
wall time, CPU time and memory at its peak. With ``--report`` every exchange is of another unit, and what a report needs
is added up: ten metrics of all kinds, five slices, days and tenure.
Does not know: what is computed.

Rules: the archive is made before the clock starts; the fold runs in a process of its own, so that the peak is its own.
The smallest of several runs counts, for others may use the machine.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from msgspec import structs

from benchmarks.synthetic import START, Shape, make
from router.analysis.engine import duckdb_engine
from router.analysis.fold import fold
from router.analysis.history import Epoch, History, Phase
from router.archive.engine import Limits
from router.archive.reading import open_archive
from router.config.schema import Arm, Covariate, Experiment, Measured, Metric

GOAL_S: Final = 5.0
REPORT_GOAL_S: Final = 10.0
MEMORY_BYTES: Final = 1024**3
REPORT_MEMORY_BYTES: Final = 2 * 1024**3
THREADS: Final = 2
METRICS: Final = (
    Metric(name="ctr", kind="proportion", outcome="click", window=3600.0, goal="up"),
    Metric(
        name="revenue",
        kind="mean",
        outcome="purchase",
        window=3 * 86400.0,
        goal="up",
        cap=0.999,
        covariate=Covariate(outcome="purchase", before=7 * 86400.0),
    ),
    Metric(name="revenue_per_click", kind="ratio", numerator="purchase", denominator="click", goal="up"),
    Metric(name="errors", kind="ratio", exchange="failed", goal="down"),
    Metric(name="p99", kind="quantile", exchange="duration", q=0.99, goal="down"),
)
MORE: Final = (
    Metric(name="purchases", kind="count", outcome="purchase", window=86400.0, goal="up", cap=0.999),
    Metric(name="back", kind="retention", outcome="click", day=1, goal="up"),
    Metric(name="bought", kind="funnel", steps=("click", "purchase"), window=86400.0, goal="up"),
    Metric(name="median", kind="quantile", outcome="purchase", q=0.9, window=3 * 86400.0, goal="up"),
    Metric(name="seconds", kind="mean", exchange="duration", window=86400.0, goal="down"),
)
SLICES: Final = ("country", "device", "tier", "new_unit", "weekday")
EXPERIMENT: Final = Experiment(
    name="ranker-v2",
    route="ranker",
    arms=(Arm(name="control", target="a", weight=50), Arm(name="treatment", target="b", weight=50)),
    metrics=Measured(primary="ctr", secondary=tuple(metric.name for metric in METRICS[1:])),
)


def reported() -> tuple[Experiment, tuple[Metric, ...]]:
    """Return an experiment with ten metrics and five slices, and the metrics."""
    metrics = (*METRICS, *MORE)
    measured = Measured(primary="ctr", secondary=tuple(metric.name for metric in metrics[1:]))
    return structs.replace(EXPERIMENT, metrics=measured, slices=SLICES), metrics


def measure(folder: Path, *, report: bool) -> dict[str, Any]:
    """Fold an archive once, and return what it took."""
    experiment, metrics = reported() if report else (EXPERIMENT, METRICS)
    memory = REPORT_MEMORY_BYTES if report else MEMORY_BYTES
    begun = START.timestamp()
    arms = {"control": 50.0, "treatment": 50.0}
    history = History(
        {"ranker-v2": (Phase(1, 1, begun, None, tuple(arms), "control", clustered=False),)},
        {"ranker-v2": (Epoch(1, 1, 0, begun, arms),)},
    )
    started, cpu = time.perf_counter(), time.process_time()
    with open_archive(folder, Limits(threads=THREADS, memory_bytes=memory)) as archive:
        found = fold(duckdb_engine(archive.connection), [experiment], metrics, history, begun + 30 * 86400)
    took = {"wall_s": time.perf_counter() - started, "cpu_s": time.process_time() - cpu}
    (stage,) = found.experiments["ranker-v2"].stages
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**took, "peak_mib": peak, "exposures": stage.exposures, "units": stage.units}


def main() -> None:
    """Make an archive, fold it several times, and print the smallest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exchanges", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--keyed", choices=("unit", "request_id", "assignment"), default="unit")
    parser.add_argument("--report", action="store_true", help="2 million units, ten metrics of all kinds, five slices")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.folder is not None:
        print(json.dumps(measure(given.folder, report=given.report)))
        return
    with tempfile.TemporaryDirectory(prefix="router-fold-") as text:
        folder = Path(text)
        shape = Shape(exposures=given.exchanges, outcomes=2 * given.exchanges, keyed=given.keyed)
        if given.report:
            shape = structs.replace(shape, units=given.exchanges, everybody=True, attributed=True)
        make(folder, shape)
        runs = []
        for _ in range(given.runs):
            command = [sys.executable, "-m", "benchmarks.fold", "--folder", str(folder)]
            command += ["--report"] if given.report else []
            runs.append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
        best = min(runs, key=lambda run: float(run["wall_s"]))
        events = 3 * given.exchanges
        print(f"{given.exchanges:,} exchanges and {2 * given.exchanges:,} outcomes keyed by {given.keyed}")
        memory = REPORT_MEMORY_BYTES if given.report else MEMORY_BYTES
        metrics, goal = (len(METRICS), GOAL_S) if not given.report else (len(reported()[1]), REPORT_GOAL_S)
        print(f"{best['units']:,} units, {len(SLICES) if given.report else 0} slices")
        print(f"{metrics} metrics, {THREADS} threads, {memory // 1024**2} MiB for DuckDB; best of {given.runs}")
        print(f"wall {best['wall_s']:.2f} s (goal: {goal:.0f} s at 2,000,000), CPU {best['cpu_s']:.2f} s")
        print(f"{events / best['wall_s']:,.0f} events folded a second; {best['peak_mib']:.0f} MiB at the peak")
        print("all runs, wall/CPU s: " + ", ".join(f"{run['wall_s']:.2f}/{run['cpu_s']:.2f}" for run in runs))


if __name__ == "__main__":
    main()
