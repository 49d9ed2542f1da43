"""CPU time per request of any proxy, beside the peers: `python -m benchmarks.quick --help`.

Responsible for: the shortest way to one number while working on a hot path.
Does not know: anything about the proxy but a command line or a pid, and its port.

The proxy under test must pass requests to `http://127.0.0.1:BACKEND` (default 18100), where an nginx answers.
"""

import argparse
import shlex
import signal
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import load, peers, process
from benchmarks.closed import PROXY_CORE, Bench, Sample

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLE = """\
examples:
  python -m benchmarks.quick --compare router,nginx,envoy
  python -m benchmarks.quick --command 'router serve config/bench.yaml' --port 8080 --compare nginx,envoy
  python -m benchmarks.quick --pid 1234 --port 8080 --connections 128 --rounds 3
"""


def arguments() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subject = parser.add_mutually_exclusive_group()
    subject.add_argument("--command", help="command line that runs the proxy in the foreground")
    subject.add_argument("--pid", type=int, help="pid of a proxy that runs already; its threads are pinned to core 0")
    parser.add_argument("--port", type=int, default=8080, help="port of the proxy under test (default 8080)")
    parser.add_argument("--backend", type=int, default=18100, help="port on which the backend answers (default 18100)")
    parser.add_argument("--connections", type=int, default=32, help="connections that wrk keeps busy (default 32)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each proxy, in turn (default 5)")
    parser.add_argument("--seconds", type=float, default=3, help="length of a run (default 3)")
    parser.add_argument(
        "--compare", default="", help="whom to measure in turn: router,nginx,haproxy,envoy,envoy-matched"
    )
    return parser.parse_args()


def main() -> int:
    """Measure and print the table."""
    options = arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that SIGTERM, too, ends what was started
    names = [name for name in options.compare.split(",") if name]
    found = peers.find(sorted({"nginx", "wrk", *(name.removesuffix("-matched") for name in names if name != "router")}))
    found["router"] = peers.Peer("router", f"{sys.executable} -m router", "")
    names = [name for name in names if name.removesuffix("-matched") in found]
    with tempfile.TemporaryDirectory() as folder, process.Programs(Path(folder)) as programs:
        bench = Bench(found, programs, Path(folder))
        bench.start_backend(options.backend)
        samples = measure(bench, options, names)
    show(samples)
    return 0


def measure(bench: Bench, options: argparse.Namespace, names: list[str]) -> dict[str, list[Sample]]:
    """Run every proxy in turn, ``rounds`` times; only the one that is measured runs meanwhile."""
    samples: dict[str, list[Sample]] = {}
    subjects: dict[str, Callable[[], Sample]] = {name: partial(run_peer, bench, name, options) for name in names}
    if options.command or options.pid:
        subjects = {"this": partial(run_subject, bench, options), **subjects}
    for number in range(options.rounds):
        for name, run in subjects.items():
            sample = run()
            samples.setdefault(name, []).append(sample)
            print(
                f"round {number + 1}/{options.rounds} {name}: {sample.all_us:.2f} µs, {sample.rate:.0f}/s",
                file=sys.stderr,
            )
    return samples


def run_peer(bench: Bench, name: str, options: argparse.Namespace) -> Sample:
    """Start a peer, warm it up for a second, measure it and end it."""
    with bench.proxy(name) as proxy:
        bench.run(proxy.pid, proxy.port, options.connections, 1)
        return bench.run(proxy.pid, proxy.port, options.connections, options.seconds)


def run_subject(bench: Bench, options: argparse.Namespace) -> Sample:
    """Measure the proxy under test, started for this run or running already."""
    if options.pid:
        process.pin(options.pid, PROXY_CORE)
        return bench.run(options.pid, options.port, options.connections, options.seconds)
    program = bench.programs.start("this", shlex.split(options.command), PROXY_CORE, {"PYTHONUNBUFFERED": "1"})
    try:
        process.wait_answer(options.port, program, load.PATH)
        bench.run(program.pid, options.port, options.connections, 1)
        return bench.run(program.pid, options.port, options.connections, options.seconds)
    finally:
        bench.programs.stop(program)


def show(samples: dict[str, list[Sample]]) -> None:
    """Print medians, spreads, and ratios of the first row to the others.

    *others* is the share of the proxy's core that something else took: above a few percent, distrust the row.
    """
    columns = ("worker µs", "all µs", "req/s", "p50 µs", "p99 µs", "MiB", "others %")
    print(
        "\n" + f"{'proxy':14} {columns[0]:>20}" + "".join(f" {name:>8}" for name in columns[1:]) + "   first row ÷ this"
    )
    first = 0.0
    for name, rows in samples.items():
        worker = statistics.median(row.worker_us for row in rows)
        spread = f"{worker:.2f} ({min(row.worker_us for row in rows):.1f}-{max(row.worker_us for row in rows):.1f})"
        rest = (
            statistics.median(row.all_us for row in rows),
            statistics.median(row.rate for row in rows),
            statistics.median(row.p50_us for row in rows),
            statistics.median(row.p99_us for row in rows),
            statistics.median(row.resident_bytes for row in rows) / 2**20,
            statistics.median(row.disturbed for row in rows) * 100,
        )
        first = first or worker
        print(f"{name:14} {spread:>20}" + "".join(f" {value:8.1f}" for value in rest) + f"   {first / worker:.2f}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except process.ProgramError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
