"""`RESULTS.md`: the readings as tables that a person can judge and repeat.

Responsible for: the text of the report.
Does not know: how a reading was taken.
"""

from collections.abc import Iterator, Sequence

import msgspec

from benchmarks import configs
from benchmarks.result import Middle, Readings, middle
from benchmarks.targets import MIB, Target, added

PLOTS = (
    ("requests.png", "CPU time per request and requests per second"),
    ("latency.png", "Latency added over direct, by offered load"),
    ("streams-and-bodies.png", "Server-sent events and bodies of one mebibyte"),
    ("memory.png", "Memory of a warm idle proxy, and of 10,000 idle connections"),
)


SET_UP = (
    "Each has one worker (thread or process) on core 0; backend and load are on core 1. Connections are kept on both "
    "sides. The request: POST of 13 header fields and about 130 bytes of JSON, from 1,000 users in turn; the answer: "
    "487 bytes. *worker* is the process that works most, *all* is every process of the proxy together."
)


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the report says besides the numbers."""

    machine: Sequence[tuple[str, str]]
    date: str
    revision: str
    command: str
    rounds: int
    seconds: float
    half: int
    slowest: str
    load_average: str


def write(readings: Readings, targets: Sequence[Target], context: Context, plots: Sequence[str]) -> str:
    """Return the whole report as Markdown."""
    parts = [
        "# Benchmark results",
        written_by(context),
        "\n".join(["## The machine", "", *table(("", ""), [list(row) for row in context.machine])]),
        quiet(readings, context),
        "\n".join(["## What was to be reached", "", *goals(targets)]),
        "\n".join(["## What was on", "", *switched_on(readings)]),
        "\n".join(["## Requests", "", *requests(readings)]),
        "\n".join(["## Every request mirrored", "", configs.MIRROR_IS_ON, "", *mirror(readings)]),
        "\n".join(["## Latency", "", *latency(readings, context)]),
        "\n".join(["## Server-sent events", "", *streams(readings)]),
        "\n".join(["## Bodies of one mebibyte", "", *bodies(readings)]),
        "\n".join(["## Memory", "", *memory(readings)]),
        "\n".join(["## Size of the route table", "", *routes(readings)]),
        "\n".join(["## Experiments on a route", "", *experiments(readings)]),
        "\n".join(["## When something goes wrong", "", *faults(readings)]),
    ]
    shown = [f"![{title}](plots/{name})" for name, title in PLOTS if name in plots]
    return "\n\n".join([*parts, *shown]) + "\n"


def written_by(context: Context) -> str:
    """Return where the numbers come from and how to read them."""
    return (
        f"Written by `{context.command}` on {context.date}, revision {context.revision}. Method: "
        "[decision 0020](../docs/decisions/0020-benchmark-method.md). Every value is the median of "
        f"{context.rounds} rounds with the smallest and largest in brackets; a ratio is taken within each round first. "
        "Memory is measured once."
    )


def quiet(readings: Readings, context: Context) -> str:
    """Say how quiet the machine was."""
    said = f"Load average when the run began: {context.load_average}."
    shares = middle([row.values["disturbed"] for row in readings.rows if "disturbed" in row.values])
    if shares is None:
        return said
    return f"{said} Others took {shares.median:.0%} of the proxy's core ({shares.low:.0%} to {shares.high:.0%})."


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table; without rows, a sentence."""
    if not rows:
        return ["Not measured in this run."]
    rule = ["---" if number == 0 else "---:" for number in range(len(head))]
    return [f"| {' | '.join(row)} |" for row in (head, rule, *rows)]


def number(value: Middle | None, digits: int = 1, scale: float = 1.0) -> str:
    """Return a median with its extremes."""
    if value is None:
        return "-"
    if value.low == value.high:
        return f"{value.median / scale:,.{digits}f}"
    return f"{value.median / scale:,.{digits}f} ({value.low / scale:,.{digits}f} to {value.high / scale:,.{digits}f})"


def goals(targets: Sequence[Target]) -> list[str]:
    """Return the goals with what was measured."""
    words = {True: "yes", False: "**no**", None: "not measured"}
    return table(
        ("goal", "limit", "measured", "reached"),
        [[target.what, target.limit, number(target.measured, 2), words[target.reached]] for target in targets],
    )


def switched_on(readings: Readings) -> list[str]:
    """Return what each proxy was told to do."""
    seen = dict.fromkeys(row.proxy for row in readings.rows if row.proxy in configs.WHAT_IS_ON)
    return [*(f"- **{name}**: {configs.WHAT_IS_ON[name]}" for name in seen), "", SET_UP]


def requests(readings: Readings) -> list[str]:
    """Return CPU time per request and requests per second."""
    rows = []
    for at in readings.parameters("requests"):
        for name in readings.proxies("requests", at):
            worker, every, rate = (
                readings.middle("requests", name, at, value) for value in ("worker_us", "all_us", "rate")
            )
            rows.append([f"{name}, {at}", number(worker), number(every), number(rate, 0)])
    lines = table(("", "CPU µs/request, worker", "CPU µs/request, all", "requests/s"), rows)
    note = "wrk, closed loop. Requests per second of the fast proxies are limited by core 1; CPU time compares them."
    return [note, "", *lines]


def mirror(readings: Readings) -> list[str]:
    """Return CPU time per request with every request mirrored."""
    rows = []
    for name in readings.proxies("mirror", "c=32"):
        values = [readings.middle("mirror", name, "c=32", value) for value in ("worker_us", "all_us", "rate", "copies")]
        digits = (1, 1, 0, 2)
        rows.append([name, *(number(value, places) for value, places in zip(values, digits, strict=True))])
    return table(("", "CPU µs/request, worker", "CPU µs/request, all", "requests/s", "copies a request"), rows)


def latency(readings: Readings, context: Context) -> list[str]:
    """Return the latency added over direct by offered load."""
    rows = []
    for rate in sorted(readings.parameters("latency"), key=int):
        for name in readings.proxies("latency", rate):
            title = f"{name}, {int(rate):,}/s" + (" (half load)" if rate == str(context.half) else "")
            if name == "direct":
                values = [readings.middle("latency", name, rate, quantile) for quantile in ("p50", "p90", "p99")]
                rows.append([f"*{title}, whole latency*", *(number(value, 0) for value in values)])
            else:
                rows.append([title, *(number(added(readings, name, rate, q), 0) for q in ("p50", "p90", "p99"))])
    note = (
        "Open loop, 64 connections, latency from the intended time of sending (corrected for coordinated omission); "
        "µs added over direct, quantile by quantile. Half load is half of the most requests per second of the slowest "
        f"proxy here ({context.slowest}): {context.half:,}/s."
    )
    return [note, "", *table(("", "p50", "p90", "p99"), rows)]


def streams(readings: Readings) -> list[str]:
    """Return CPU time per event."""
    rows = []
    for at in readings.parameters("streams"):
        for name in readings.proxies("streams", at):
            worker, every, rate = (
                readings.middle("streams", name, at, value) for value in ("worker_us", "all_us", "rate")
            )
            rows.append([f"{name}, {at}", number(worker, 2), number(every, 2), number(rate, 0)])
    return table(("", "CPU µs/event, worker", "CPU µs/event, all", "events/s"), rows)


def bodies(readings: Readings) -> list[str]:
    """Return throughput and CPU time per mebibyte."""
    rows = []
    for at in readings.parameters("bodies"):
        for name in readings.proxies("bodies", at):
            rate, every = (readings.middle("bodies", name, at, value) for value in ("bytes_per_s", "all_us"))
            rows.append([f"{name}, {at}", number(rate, 0, MIB), number(every, 0)])
    return table(("", "MiB/s", "CPU µs/MiB, all"), rows)


def memory(readings: Readings) -> list[str]:
    """Return memory when idle, and what idle connections add."""
    full = next((at for at in readings.parameters("memory") if at != "idle"), "")
    rows = []
    for name in readings.proxies("memory", "idle"):
        idle = [
            readings.middle("memory", name, "idle", value)
            for value in ("worker_resident", "worker_proportional", "all_resident", "all_proportional")
        ]
        plus = readings.middle("memory", name, full, "added_resident")
        count = int(full.split()[0]) if full else 1
        rows.append([name, *(number(value, 1, MIB) for value in (*idle, plus)), number(plus, 1, 1024 * count)])
    head = ("MiB", "worker RSS", "worker PSS", "all RSS", "all PSS", f"+ {full or 'connections'} (RSS)", "KiB each")
    return table(head, rows)


def routes(readings: Readings) -> list[str]:
    """Return the cost of a large table."""
    rows = [
        [at, *(number(readings.middle("table", "router", at, value)) for value in ("worker_us", "all_us"))]
        for at in readings.parameters("table")
    ]
    return table(("router", "CPU µs/request, worker", "CPU µs/request, all"), rows)


def experiments(readings: Readings) -> list[str]:
    """Return what deciding costs by the number of experiments."""
    keys = ("known", "new", "unkept", "exchange", "exchange_unkept")
    rows = [
        [at, *(number(readings.middle("experiments", "router", at, key)) for key in keys)]
        for at in sorted(readings.parameters("experiments"), key=int)
    ]
    note = (
        "In memory, CPU µs. Each experiment is a layer of its own with a rule over two attributes, its arms are values "
        "of a flag, and every unit is in all of them. *Known* units were seen before, *new* ones were not; *unkept* "
        "decisions depend on the query and are made anew each time. *Exchange* is all of an exchange's Python, "
        "deciding included."
    )
    head = ("experiments", "decide, known", "decide, new", "decide, unkept", "exchange, known", "exchange, unkept")
    return [note, "", *table(head, rows)]


def faults(readings: Readings) -> list[str]:
    """Return how long a dead target and a killed experiment are felt, and what slow readers take."""
    rows = []
    for at in readings.parameters("failover"):
        last, failed = (readings.middle("failover", "router", at, value) for value in ("last_failed_s", "failed"))
        rows.append([f"kill -9 of one of two endpoints, {at}: last failed request, ms", number(last, 1, 0.001)])
        rows.append([f"kill -9 of one of two endpoints, {at}: failed requests", number(failed, 0)])
    for at in readings.parameters("kill switch"):
        for value, what in (("last_treated_s", "last treated request"), ("acknowledged_s", "answer of the admin API")):
            found = readings.middle("kill switch", "router", at, value)
            rows.append([f"kill of an experiment, {at}: {what}, ms", number(found, 1, 0.001)])
    for at in readings.parameters("slow readers"):
        each = readings.middle("slow readers", "router", at, "each")
        rows.append([f"{at} of a stream of 10 MiB: memory of the worker for each, KiB", number(each, 0, 1024)])
    note = (
        "32 callers send one POST after another. Without `retry`, requests fail until the endpoint's breaker opens; "
        "with it, only those that the endpoint had taken. A breaker's probes find a target that stays dead again, a "
        "few requests each time, unless `health` is configured."
    )
    return [note, "", *table(("", "router"), rows)]


def lines(targets: Sequence[Target]) -> Iterator[str]:
    """Yield one line for each goal, for the terminal."""
    words = {True: "reached", False: "MISSED", None: "not measured"}
    for target in targets:
        yield f"{words[target.reached]:13} {target.what} {target.limit}: {number(target.measured, 2)}"
