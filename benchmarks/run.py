"""The whole benchmark: `make bench`, or `python -m benchmarks.run --help`.

Responsible for: which cases run, in which order, and where the results go.
Does not know: how a case measures.

Rules: everything it starts is ended by pid, also after Ctrl-C or SIGTERM, and what was measured until then is written
all the same. Readings are kept in ``benchmarks/.work/readings.json``; `--report` writes the report from them again.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path

import msgspec

# As a script (`python benchmarks/run.py`) the folder above is not on the path unless the project is installed.
ROOT = Path(__file__).resolve().parent.parent
sys.path[:] = [str(ROOT), *(entry for entry in sys.path if Path(entry or ".").resolve() != ROOT / "benchmarks")]

from benchmarks import cases, faults, idle, machine, peers, plots, process, report, targets  # noqa: E402 - the path comes first
from benchmarks.closed import LOAD_CORE, Bench  # noqa: E402
from benchmarks.peers import WORK, Peer  # noqa: E402
from benchmarks.result import Reading, Readings  # noqa: E402

CASES = ("requests", "mirror", "table", "experiments", "latency", "streams", "bodies", "memory", "faults")
PROXIES = ("nginx", "haproxy", "envoy", "envoy-matched", "router")
MIRRORING = ("nginx", "envoy", "router")
IDLE_CONNECTIONS = 10_000


def arguments() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description="Measure the router against nginx, HAProxy and Envoy.")
    parser.add_argument("--only", default=",".join(CASES), help=f"cases, of {','.join(CASES)} (default all)")
    parser.add_argument("--proxies", default=",".join(PROXIES), help=f"proxies, of {','.join(PROXIES)} (default all)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each proxy in each case (default 5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a run (default 3)")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 1 second; a look, not a result")
    parser.add_argument("--report", action="store_true", help="measure nothing; write the report of the last run again")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks", help="folder of RESULTS.md and plots/")
    options = parser.parse_args()
    for given, known in ((options.only, CASES), (options.proxies, PROXIES)):
        unknown = set(given.split(",")) - set(known)
        if unknown:
            parser.error(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(known)}")
    if options.quick:
        options.rounds, options.seconds = 2, 1.0
    return options


class Run(msgspec.Struct, frozen=True):
    """What is kept of a run besides its readings."""

    context: report.Context
    readings: list[Reading]


def main() -> int:
    """Measure, write, and say what was reached."""
    options = arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    kept = WORK / "readings.json"
    if options.report:
        write(msgspec.json.decode(kept.read_bytes(), type=Run), options.output)
        return 0
    found = peers.find(("nginx", "wrk", "haproxy", "envoy"))
    if "nginx" not in found or "wrk" not in found or (os.cpu_count() or 1) <= LOAD_CORE:
        print("nothing can be measured without nginx (the backend), wrk (the load) and two cores")
        return 1
    found["router"] = Peer("router", f"{sys.executable} -m router", metadata.version("router"))
    load_average = " ".join(f"{value:.2f}" for value in os.getloadavg())
    readings = Readings()
    try:
        with process.Programs(WORK / "run") as programs:
            for reading in measure(Bench(found, programs, WORK / "run"), options):
                readings.rows.append(reading)
        status = 0
    except KeyboardInterrupt:
        print("interrupted; writing what was measured")
        status = 130
    finally:
        # Also after an error: what was measured until then took minutes.
        run = Run(context_of(readings, options, found, load_average), readings.rows)
        kept.write_bytes(msgspec.json.encode(run))
    write(run, options.output)
    return status


def context_of(
    readings: Readings, options: argparse.Namespace, found: dict[str, Peer], load_average: str
) -> report.Context:
    """Return what the report says besides the numbers."""
    half, slowest = cases.half_load(readings.rows)
    return report.Context(
        machine=machine.describe(found),
        date=time.strftime("%Y-%m-%d"),
        revision=machine.revision(),
        command=" ".join(["python -m benchmarks.run", *sys.argv[1:]]),
        rounds=options.rounds,
        seconds=options.seconds,
        half=half,
        slowest=slowest,
        load_average=load_average,
    )


def measure(bench: Bench, options: argparse.Namespace) -> Iterator[Reading]:
    """Yield the readings of the chosen cases."""
    names = [name for name in options.proxies.split(",") if name.removesuffix("-matched") in bench.peers]
    chosen = options.only.split(",")
    pace = cases.Pace(rounds=options.rounds, seconds=options.seconds, warm=min(1.0, options.seconds))
    # The load is made in this process or started by it; the proxies are moved to their own core as they start.
    os.sched_setaffinity(0, {LOAD_CORE})
    bench.start_backend()
    first: list[Reading] = []
    if "requests" in chosen:
        for reading in cases.requests(bench, names, pace):
            first.append(reading)
            yield reading
    half, _slowest = cases.half_load(first)
    rest = {
        "mirror": partial(cases.mirror, bench, [name for name in names if name in MIRRORING], pace),
        "table": partial(cases.table, bench, pace),
        "experiments": partial(cases.experiments, pace),
        "latency": partial(cases.latency, bench, names, pace, half),
        "streams": partial(cases.streams, bench, without_matched(names), pace),
        "bodies": partial(cases.bodies, bench, without_matched(names), pace),
        "memory": partial(cases.memory, bench, without_matched(names), idle.possible(IDLE_CONNECTIONS)),
        "faults": partial(faults.measure, bench, pace),
    }
    for name, case in rest.items():
        if name in chosen and (name not in ("table", "experiments", "faults") or "router" in names):
            yield from case()


def without_matched(names: Sequence[str]) -> list[str]:
    """Return the proxies without the second Envoy, which differs per request only."""
    return [name for name in names if not name.endswith("-matched")]


def write(run: Run, folder: Path) -> None:
    """Write the report and the plots, and print what was reached."""
    readings = Readings(run.readings)
    reached = list(targets.judge(readings, run.context.half))
    drawn = plots.draw(readings, folder / "plots", run.context.half)
    (folder / "RESULTS.md").write_text(report.write(readings, reached, run.context, drawn))
    print("\n".join(report.lines(reached)))
    print(f"written: {folder / 'RESULTS.md'}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except process.ProgramError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
