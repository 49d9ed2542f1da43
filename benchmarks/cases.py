"""The cases: what is measured, for every proxy in turn, over the rounds.

Responsible for: the order of runs within a round, and which values of a run are kept.
Does not know: how results are summed up or shown.

Rules: within a round every proxy has its turn before the next round begins, each started fresh and warmed up, and only
one runs at a time. A proxy that cannot be measured in a case is left out of it with one line that says why.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from benchmarks import configs, idle, load, process, stream, targeting
from benchmarks.closed import Bench, Proxy
from benchmarks.process import ProgramError
from benchmarks.result import Reading, middle
from router.bench import generator, plan
from router.bench.plan import BenchError

Values = Iterable[tuple[str, dict[str, float]]]
MIB = 1024 * 1024
RATES = (1000, 2000, 5000)
OPEN_CONNECTIONS = 64
SMALL, LARGE = "1 route, 1 experiment", "1,000 routes, 100 experiments"
TABLES = {SMALL: (1, 1), LARGE: (1000, 100)}


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how often everything is measured."""

    rounds: int
    seconds: float
    warm: float = 1.0


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One case, whom it measures, the port of a backend other than the usual one, and whether requests are copied."""

    case: str
    names: Sequence[str]
    pace: Pace
    backend: int = 0
    mirror: bool = False


def in_turn(bench: Bench, job: Job, measure: Callable[[Proxy], Values]) -> Iterator[Reading]:
    """Start each proxy in each round, and yield what ``measure`` says about it."""
    names = list(job.names)
    for turn in range(job.pace.rounds):
        for name in list(names):
            try:
                with bench.proxy(name, job.backend, mirror=job.mirror) as proxy:
                    for at, values in measure(proxy):
                        yield told(Reading(case=job.case, proxy=name, at=at, turn=turn, values=values), job.pace)
            except (ProgramError, BenchError) as error:
                print(f"skipped: {name} in {job.case}: {error}")
                names.remove(name)


def told(reading: Reading, pace: Pace) -> Reading:
    """Print one line about a run that has ended."""
    shown = ", ".join(f"{key} {value:.4g}" for key, value in list(reading.values.items())[:4])
    what = f"{reading.case} round {reading.turn + 1}/{pace.rounds} {reading.proxy} {reading.at}"
    print(f"{time.strftime('%H:%M:%S')} {what}: {shown}", flush=True)
    return reading


def requests(bench: Bench, names: Sequence[str], pace: Pace) -> Iterator[Reading]:
    """Measure CPU time per request and requests per second, with 32 and 128 busy connections."""

    def measure(proxy: Proxy) -> Values:
        bench.run(proxy.pid, proxy.port, 32, pace.warm)
        for connections in (32, 128):
            sample = bench.run(proxy.pid, proxy.port, connections, pace.seconds)
            values = {"worker_us": sample.worker_us, "all_us": sample.all_us, "rate": sample.rate}
            yield f"c={connections}", {**values, "disturbed": sample.disturbed}

    return in_turn(bench, Job(case="requests", names=names, pace=pace), measure)


def table(bench: Bench, pace: Pace) -> Iterator[Reading]:
    """Measure the router with one route and experiment, and with 1,000 and 100, the loaded one last in the file."""
    for turn in range(pace.rounds):
        # Who comes first alternates, so that neither always follows the other's warm caches.
        for at, (routes, experiments) in sorted(TABLES.items(), reverse=turn % 2 == 0):
            try:
                with bench.proxy("router", routes=routes, experiments=experiments) as proxy:
                    bench.run(proxy.pid, proxy.port, 32, pace.warm)
                    sample = bench.run(proxy.pid, proxy.port, 32, pace.seconds)
            except ProgramError as error:
                print(f"skipped: table: {error}")
                return
            values = {"worker_us": sample.worker_us, "all_us": sample.all_us}
            yield told(Reading(case="table", proxy="router", at=at, turn=turn, values=values), pace)


def experiments(pace: Pace) -> Iterator[Reading]:
    """Measure what deciding costs with 1, 10 and 50 experiments on a route, in this process."""
    for turn in range(pace.rounds):
        for found in targeting.costs(rounds=20):
            values = {key: value for key, value in found._asdict().items() if key != "experiments"}
            at = str(found.experiments)
            yield told(Reading(case="experiments", proxy="router", at=at, turn=turn, values=values), pace)


def mirror(bench: Bench, names: Sequence[str], pace: Pace) -> Iterator[Reading]:
    """Measure CPU time per request with every request copied to a second target."""

    def measure(proxy: Proxy) -> Values:
        bench.run(proxy.pid, proxy.port, 32, pace.warm)
        before = bench.served()
        sample = bench.run(proxy.pid, proxy.port, 32, pace.seconds)
        copies = (bench.served() - before) / (sample.rate * pace.seconds) - 1
        values = {"worker_us": sample.worker_us, "all_us": sample.all_us, "rate": sample.rate, "copies": copies}
        yield "c=32", {**values, "disturbed": sample.disturbed}

    return in_turn(bench, Job(case="mirror", names=names, pace=pace, mirror=True), measure)


def half_load(readings: Iterable[Reading]) -> tuple[int, str]:
    """Return half of the most requests per second of the slowest proxy, in hundreds, and who that is."""
    most: dict[str, list[float]] = {}
    for row in readings:
        if row.case == "requests" and row.at == "c=32":
            most.setdefault(row.proxy, []).append(row.values["rate"])
    medians = {name: found.median for name, rates in most.items() if (found := middle(rates))}
    if not medians:
        return 5000, "nobody; 10,000 requests/s assumed"
    slowest = min(medians, key=lambda name: medians[name])
    return max(100, round(medians[slowest] / 200) * 100), slowest


def latency(bench: Bench, names: Sequence[str], pace: Pace, half: int) -> Iterator[Reading]:
    """Measure latency at offered rates in an open loop, directly at the backend and through each proxy."""
    rates = sorted({*(rate for rate in RATES if rate < half * 1.5), half})

    def measure(proxy: Proxy) -> Values:
        offer(proxy.port, min(rates), pace.warm)
        for rate in rates:
            yield str(rate), offer(proxy.port, rate, pace.seconds)

    return in_turn(bench, Job(case="latency", names=["direct", *names], pace=pace), measure)


def offer(port: int, rate: int, seconds: float) -> dict[str, float]:
    """Offer requests at a rate from this process; return quantiles of latency in microseconds.

    Raises:
        BenchError: A request failed, so that there is nothing to compare.
    """
    fields = tuple(f"{name}: {value}" for name, value in load.FIELDS.items())
    options = plan.Options(
        rate=rate,
        seconds=seconds,
        connections=OPEN_CONNECTIONS,
        method="POST",
        headers=(*fields, "X-User-Id: user-{n}"),
        body=load.BODY,
    )
    finished = generator.run(plan.make(f"http://127.0.0.1:{port}{load.PATH}", options), lambda _share: None)
    latencies, lateness = finished.tally.latency.spread(), finished.tally.lateness.spread()
    if finished.tally.failures or latencies is None:
        raise BenchError(f"at {rate}/s: {finished.tally.failures}")
    late = lateness.quantiles if lateness is not None else {}
    values = {**latencies.quantiles, **{f"late_{name}": value for name, value in late.items()}}
    return {**values, "waited": finished.tally.waited, "busy": finished.busy}


def bodies(bench: Bench, names: Sequence[str], pace: Pace) -> Iterator[Reading]:
    """Measure bytes per second and CPU time per mebibyte, for bodies of one mebibyte down and up."""
    down = load.script(bench.folder, configs.LARGE, "GET", "")
    up = load.script(bench.folder, configs.UPLOAD, "POST", "x" * MIB)

    def measure(proxy: Proxy) -> Values:
        for direction, lua in (("down", down), ("up", up)):
            sample = bench.run(proxy.pid, proxy.port, 8, pace.seconds, lua)
            yield (
                direction,
                {"bytes_per_s": sample.rate * MIB, "worker_us": sample.worker_us, "all_us": sample.all_us},
            )

    return in_turn(bench, Job(case="bodies", names=names, pace=pace), measure)


def streams(bench: Bench, names: Sequence[str], pace: Pace) -> Iterator[Reading]:
    """Measure CPU time per server-sent event, at about 10,000 events per second over 50 streams."""
    with stream.backend(bench) as port:

        def measure(proxy: Proxy) -> Values:
            events, seconds, used = stream.measure(proxy, pace.seconds)
            yield (
                f"{stream.STREAMS} streams",
                {
                    "worker_us": max(used.values()) / 1000 / events,
                    "all_us": sum(used.values()) / 1000 / events,
                    "rate": events / seconds,
                },
            )

        yield from in_turn(bench, Job(case="streams", names=names, pace=pace, backend=port), measure)


def memory(bench: Bench, names: Sequence[str], connections: int) -> Iterator[Reading]:
    """Measure the memory of a warm, idle proxy, and what idle keep-alive connections add."""

    def measure(proxy: Proxy) -> Values:
        before = process.cpu_ns(proxy.pid)
        bench.run(proxy.pid, proxy.port, 32, 1)
        used = process.spent(before, process.cpu_ns(proxy.pid))
        worker = max(used, key=lambda pid: used[pid])
        one, every = process.memory([worker]), process.memory(used)
        yield (
            "idle",
            {
                "worker_resident": one[0],
                "worker_proportional": one[1],
                "all_resident": every[0],
                "all_proportional": every[1],
            },
        )
        with idle.connections(proxy.port, connections):
            full = process.memory(used)
            yield (
                f"{connections} connections",
                {"added_proportional": full[1] - every[1], "added_resident": full[0] - every[0]},
            )

    return in_turn(bench, Job(case="memory", names=names, pace=Pace(rounds=1, seconds=1)), measure)
