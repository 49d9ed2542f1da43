"""A finished run as a drawing: latency by percentile, both on logarithmic scales.

Responsible for: the points of the curve, and writing them as SVG (by hand, nothing needed) or PNG (with matplotlib).
Does not know: how latencies were counted.

Rules: the x axis is 1 / (1 - percentile), the scale of HdrHistogram's plots, so that the tail has as much room as the
bulk; it ends at the last percentile for which at least one request was slower.
"""

import math
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from router.bench.plan import BenchError
from router.bench.report import Report, duration
from router.histogram import bounds_us

WIDTH: Final = 860
HEIGHT: Final = 480
LEFT, RIGHT, TOP, BOTTOM = 80, 30, 50, 60
PERCENTILES: Final = ("0", "50", "90", "99", "99.9", "99.99", "99.999")

Point = tuple[float, float]


def check(path: Path) -> None:
    """Raise ``BenchError`` when a file of this kind cannot be drawn here; called before the run."""
    if path.suffix == ".png" and find_spec("matplotlib") is None:
        raise BenchError("--plot FILE.png needs matplotlib (`pip install matplotlib`); FILE.svg needs nothing")


def draw(report: Report, path: Path) -> None:
    """Write the plot; the name's ending says which format.

    Raises:
        BenchError: Nothing was answered, or the file cannot be written.
    """
    if report.latency is None:
        raise BenchError(f"{path} is not drawn: no request was answered")
    points = curve(report.latency.buckets, report.latency.largest)
    title = f"{report.url}: {report.answered} answers at {report.rate:g}/s"
    try:
        if path.suffix == ".png":
            draw_png(points, title, path)
        else:
            path.write_text(svg(points, title), encoding="utf-8")
    except OSError as error:
        raise BenchError(f'--plot "{path}": {error.strerror}') from error


def curve(buckets: Sequence[int], largest: float) -> list[Point]:
    """Return (1 / (1 - percentile), microseconds) at the end of every used bucket; the last stands for one request."""
    total = sum(buckets)
    below = 0
    points: list[Point] = []
    for index, count in enumerate(buckets):
        if not count:
            continue
        if not points:
            points.append((1.0, max(1.0, float(bounds_us[index - 1] if index else 0))))
        below += count
        points.append((total / max(total - below, 1), max(1.0, min(float(bounds_us[index]), largest))))
    return points


def svg(points: Sequence[Point], title: str) -> str:
    """Return the drawing as a whole SVG document."""
    most = max(points[-1][0], 10.0)
    low = 10.0 ** math.floor(math.log10(min(us for _x, us in points)))
    high = max(10.0 ** math.ceil(math.log10(max(us for _x, us in points))), low * 10)

    def across(x: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log10(x) / math.log10(most)

    def down(us: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * math.log10(us / low) / math.log10(high / low)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">',
        '<g font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="28" font-size="15">{escape(title)}</text>',
    ]
    for name in PERCENTILES:
        x = 1 / (1 - float(name) / 100)
        if x <= most * 1.001:
            parts.append(line((across(x), TOP), (across(x), HEIGHT - BOTTOM)))
            parts.append(f'<text x="{across(x):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{name}</text>')
    for exponent in range(round(math.log10(low)), round(math.log10(high)) + 1):
        y = down(10.0**exponent)
        parts.append(line((LEFT, y), (WIDTH - RIGHT, y)))
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick(10.0**exponent)}</text>')
    path = " ".join(f"{across(x):.1f},{down(us):.1f}" for x, us in points)
    parts.append(f'<polyline points="{path}" fill="none" stroke="#1f5fa8" stroke-width="2"/>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        f'<text x="{middle}" y="{HEIGHT - 16}" text-anchor="middle">percentile of the answered requests</text>'
    )
    parts.append("</g></svg>\n")
    return "\n".join(parts)


def line(start: Point, end: Point) -> str:
    """Return one line of the grid."""
    return f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" stroke="#ddd"/>'


def tick(us: float) -> str:
    """Return a power of ten as an axis shows it."""
    return duration(us).replace(".00", "").replace(".0", "")


def draw_png(points: Sequence[Point], title: str, path: Path) -> None:
    """Draw with matplotlib, which ``check`` found."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - an optional library, looked for by ``check``

    figure = Figure(figsize=(8.6, 4.8), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([x for x, _us in points], [us / 1000 for _x, us in points])
    axes.set(
        xscale="log", yscale="log", title=title, xlabel="percentile of the answered requests", ylabel="latency, ms"
    )
    shown = [name for name in PERCENTILES if 1 / (1 - float(name) / 100) <= max(points[-1][0], 10.0) * 1.001]
    axes.set_xticks([1 / (1 - float(name) / 100) for name in shown], shown, minor=False)
    axes.minorticks_off()
    axes.grid(visible=True, alpha=0.4)
    figure.savefig(path, dpi=130)
