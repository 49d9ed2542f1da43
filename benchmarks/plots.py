"""The plots of the report, as PNG files.

Responsible for: drawing readings with matplotlib.
Does not know: how they were taken.

Rules: a bar or line is the median, its whisker or band the smallest and largest round; colours stay with a proxy in
every plot.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.result import Middle, Readings
from benchmarks.targets import MIB, added

FLOOR_US = 10.0  # a logarithmic axis has no place for a difference of nothing
COLOURS = {
    "nginx": "#4c9a5b",
    "haproxy": "#8c6bb1",
    "envoy": "#d98b3a",
    "envoy-matched": "#b5562c",
    "router": "#1f5fa8",
}


def draw(readings: Readings, folder: Path, half: int) -> list[str]:
    """Draw everything that was measured; return the names of the files."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    cases = {row.case for row in readings.rows}
    if "requests" in cases:
        drawn.append(save(requests(readings), folder / "requests.png"))
    if "latency" in cases:
        drawn.append(save(latency(readings, half), folder / "latency.png"))
    if cases & {"streams", "bodies"}:
        drawn.append(save(streams_and_bodies(readings), folder / "streams-and-bodies.png"))
    if "memory" in cases:
        drawn.append(save(memory(readings), folder / "memory.png"))
    return drawn


def save(figure: Figure, path: Path) -> str:
    """Write a figure; return the file's name."""
    figure.savefig(path, dpi=110)
    return path.name


def bars(axes: Any, rows: Sequence[tuple[str, Middle | None]], scale: float = 1.0) -> None:
    """Draw one horizontal bar for each proxy, with its value beside it."""
    known = [(name, value) for name, value in rows if value is not None]
    for place, (name, value) in enumerate(known):
        median = value.median / scale
        whisker = [[median - value.low / scale], [value.high / scale - median]]
        axes.barh(place, median, xerr=whisker, color=COLOURS.get(name, "#888"), capsize=3, height=0.7)
        axes.annotate(
            f" {median:,.1f}" if median < 1000 else f" {median:,.0f}",
            (value.high / scale, place),
            va="center",
            fontsize=9,
        )
    axes.set_yticks(range(len(known)), [name for name, _value in known])
    axes.invert_yaxis()
    axes.margins(x=0.2)
    axes.set_xlim(left=0)
    axes.grid(visible=True, axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def requests(readings: Readings) -> Figure:
    """Draw CPU time per request, with what the router's other processes add, and requests per second."""
    figure = Figure(figsize=(11, 6), layout="constrained")
    axes = figure.subplots(2, 2)
    for row, at in enumerate(readings.parameters("requests")):
        names = readings.proxies("requests", at)
        bars(axes[row][0], [(name, readings.middle("requests", name, at, "all_us")) for name in names])
        axes[row][0].set_title(f"CPU µs per request, all processes, {at}", fontsize=11)
        bars(axes[row][1], [(name, readings.middle("requests", name, at, "rate")) for name in names])
        axes[row][1].set_title(f"requests per second, {at}", fontsize=11)
    return figure


def latency(readings: Readings, half: int) -> Figure:
    """Draw the latency added over direct by offered load."""
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    for axes, quantile in zip(figure.subplots(1, 2), ("p50", "p99"), strict=True):
        for name, colour in COLOURS.items():
            points = [
                (int(rate), value)
                for rate in sorted(readings.parameters("latency"), key=int)
                if (value := added(readings, name, rate, quantile)) is not None
            ]
            if points:
                rates = [rate for rate, _value in points]
                axes.plot(
                    rates, [max(value.median, FLOOR_US) for _rate, value in points], "o-", label=name, color=colour
                )
                axes.fill_between(
                    rates,
                    [max(value.low, FLOOR_US) for _rate, value in points],
                    [max(value.high, FLOOR_US) for _rate, value in points],
                    color=colour,
                    alpha=0.12,
                    linewidth=0,
                )
        axes.axvline(half, color="#999", linestyle=":", label="half load")
        axes.set(title=f"{quantile} added over direct, µs", xlabel="offered requests per second", xlim=(0, None))
        axes.set(yscale="log")
        axes.yaxis.set_major_formatter(lambda us, _place: f"{us:,.0f}")
        axes.grid(visible=True, alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


def streams_and_bodies(readings: Readings) -> Figure:
    """Draw CPU time per event, and throughput of large bodies in both directions."""
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    axes = figure.subplots(1, 3)
    for at in readings.parameters("streams"):
        names = readings.proxies("streams", at)
        bars(axes[0], [(name, readings.middle("streams", name, at, "all_us")) for name in names])
        axes[0].set_title("CPU µs per server-sent event", fontsize=11)
    for place, at in enumerate(readings.parameters("bodies"), start=1):
        names = readings.proxies("bodies", at)
        bars(axes[place], [(name, readings.middle("bodies", name, at, "bytes_per_s")) for name in names], MIB)
        axes[place].set_title(f"MiB/s, bodies of 1 MiB, {at}", fontsize=11)
    return figure


def memory(readings: Readings) -> Figure:
    """Draw memory when idle and what idle connections add."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    axes = figure.subplots(1, 2)
    names = readings.proxies("memory", "idle")
    bars(axes[0], [(name, readings.middle("memory", name, "idle", "all_proportional")) for name in names], MIB)
    axes[0].set_title("MiB of a warm idle proxy, all processes (PSS)", fontsize=11)
    for at in readings.parameters("memory"):
        if at != "idle":
            bars(axes[1], [(name, readings.middle("memory", name, at, "added_resident")) for name in names], MIB)
            axes[1].set_title(f"MiB added by {at} (RSS)", fontsize=11)
    return figure
