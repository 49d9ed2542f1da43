"""A finished run as a table, a histogram in text, and JSON.

Responsible for: turning counts into what a person or a program reads.
Does not know: how they were counted.
"""

import math
from collections.abc import Iterator, Sequence

from msgspec import Struct
from rich.console import Console
from rich.table import Table

from router.bench.generator import Finished
from router.bench.plan import Plan
from router.bench.tally import Spread, doubt
from router.histogram import bounds_us

BAR = 50
LINES = 20


class Report(Struct, frozen=True, kw_only=True):
    """One run's result; times in microseconds, ``latency`` from the intended time to the last byte of an answer.

    ``waited`` counts requests that found no connection free; ``doubt`` says why the result is not valid, or is None.
    """

    url: str
    rate: float
    offered: int
    answered: int
    failed: int
    failures: dict[str, int]
    codes: dict[str, int]
    elapsed: float
    answered_rate: float
    received_bytes: int
    connections: int
    waited: int
    latency: Spread | None
    lateness: Spread | None
    generator_busy: float
    doubt: str | None


def make(url: str, plan: Plan, finished: Finished) -> Report:
    """Return the report of a run."""
    tally = finished.tally
    latency, lateness = tally.latency.spread(), tally.lateness.spread()
    return Report(
        url=url,
        rate=plan.rate,
        offered=plan.total,
        answered=tally.latency.count,
        failed=sum(tally.failures.values()),
        failures=dict(sorted(tally.failures.items())),
        codes={str(code): count for code, count in sorted(tally.codes.items())},
        elapsed=finished.elapsed,
        answered_rate=tally.latency.count / finished.elapsed,
        received_bytes=tally.received_bytes,
        connections=plan.connections,
        waited=tally.waited,
        latency=latency,
        lateness=lateness,
        generator_busy=finished.busy,
        doubt=doubt(latency, lateness, finished.busy),
    )


def show(report: Report, console: Console) -> None:
    """Print a report for a person."""
    console.print(
        f"{report.offered} requests at {report.rate:g}/s over {report.connections} connections: "
        f"{report.answered} answered ({report.answered_rate:.0f}/s), {report.failed} failed, "
        f"{report.received_bytes / 2**20:.1f} MiB received",
        highlight=False,
        soft_wrap=True,
    )
    table = Table()
    for name in ("", "count", "mean", *(report.latency.quantiles if report.latency else ()), "max"):
        table.add_column(name, no_wrap=True, justify="right" if name else "left")
    for name, spread in (("latency", report.latency), ("sent late", report.lateness)):
        if spread is not None:
            shown = [spread.quantiles.get(key, spread.largest) for key in (report.latency or spread).quantiles]
            table.add_row(name, str(spread.count), *(duration(us) for us in (spread.mean, *shown, spread.largest)))
    console.print(table)
    if report.latency is not None:
        for line in bars(report.latency.buckets):
            console.print(line, highlight=False, markup=False)
    for cause, count in report.failures.items():
        console.print(f"failed: {count} of {report.offered}: {cause}", highlight=False, markup=False)
    if report.waited:
        console.print(
            f"{report.waited} requests found no connection free; the wait is in their latency. "
            "If the target should take more at a time, give more --connections.",
            highlight=False,
            soft_wrap=True,
        )
    if report.doubt:
        console.print(f"NOT VALID: {report.doubt}", style="bold red", highlight=False, soft_wrap=True)


def duration(us: float) -> str:
    """Return a time with a fitting unit and three digits."""
    if us < 1e3:
        value, unit = us, "µs"
    elif us < 1e6:
        value, unit = us / 1e3, "ms"
    else:
        value, unit = us / 1e6, "s"
    digits = max(0, 2 - int(math.log10(value))) if value >= 1 else 2
    return f"{value:.{digits}f} {unit}"


def bars(buckets: Sequence[int]) -> Iterator[str]:
    """Yield the histogram as lines; neighbouring buckets are joined until there are at most ``LINES``."""
    used = [index for index, count in enumerate(buckets) if count]
    if not used:
        return
    first, last = used[0], used[-1]
    step = math.ceil((last - first + 1) / LINES)
    groups = [
        (bounds_us[min(start + step, len(buckets)) - 1], sum(buckets[start : start + step]))
        for start in range(first, last + 1, step)
    ]
    most = max(count for _bound, count in groups)
    for bound, count in groups:
        yield f"≤ {duration(bound):>8} {count:>9} {'█' * math.ceil(count / most * BAR)}"
