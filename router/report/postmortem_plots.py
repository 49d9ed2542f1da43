"""The plots of a post-mortem report: errors and durations of both arms over time.

Responsible for: what is drawn.
Does not know: the page, how an SVG comes about (``plots``), which needs the extra ``analysis``.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from router.report.plots import COLOURS, CONTROL, drawn_plot
from router.report.postmortem import Point, PostMortem

MOST_MARKS = 12


def postmortem_plots(found: PostMortem) -> dict[str, str]:
    """Return titles of plots to their markup; none where there is nothing to draw."""
    if len({point.time for point in found.points}) < 2:
        return {}
    return dict(
        (
            _plot(found, "Failed exchanges", "failed, %", lambda point: 100 * point.failed / point.exchanges),
            _plot(found, "99th percentile of durations", "p99, ms", lambda point: 1000 * point.p99),
            _plot(found, "Median duration", "median, ms", lambda point: 1000 * point.p50),
            _plot(found, "Exchanges", "exchanges", lambda point: float(point.exchanges)),
        )
    )


def _plot(found: PostMortem, title: str, label: str, value: Callable[[Point], float]) -> tuple[str, str]:
    arms = ((found.control.arm, CONTROL, "x"), (found.new.arm, COLOURS[1], "o"))
    moved = [each for each in found.timeline if each.action in ("advance", "promote", "rollback", "abort", "switch")]

    def draw(_figure: Any, axes: Any) -> None:
        for arm, colour, marker in arms:
            points = [point for point in found.points if point.arm == arm and point.exchanges]
            _line(axes, points, value, {"color": colour, "marker": marker, "label": arm})
        for each in moved[-MOST_MARKS:]:
            ended = each.action in ("rollback", "abort")
            colour = "#a3240a" if ended else "#888888"
            axes.axvline(_date(each.time), color=colour, linewidth=1.2 if ended else 0.8, linestyle="--")
        axes.set_ylim(bottom=0)
        axes.set_ylabel(label)
        axes.legend(frameon=False)
        _times(axes, found.points)

    last = {arm: [value(point) for point in found.points if point.arm == arm][-3:] for arm, _, _ in arms}
    said = "; ".join(f"{arm}: {values[-1]:.3g} at the end" for arm, values in last.items() if values)
    described = f"{title} of each arm over time; dashed where shares changed, the last where it was taken back. {said}."
    return title, drawn_plot(title, described, draw).svg


def _line(axes: Any, points: Sequence[Point], value: Callable[[Point], float], style: dict[str, str]) -> None:
    axes.plot([_date(point.time) for point in points], [value(point) for point in points], markersize=3, **style)


def _times(axes: Any, points: Sequence[Point]) -> None:
    """Mark a few moments, with the day where there are several."""
    first, last = min(point.time for point in points), max(point.time for point in points)
    form = "%m-%d %H:%M" if last - first > 86400 else "%H:%M" if last - first > 600 else "%H:%M:%S"
    at = [first + (last - first) * step / 4 for step in range(5)]
    axes.set_xticks([_date(time) for time in at], [_date(time).strftime(form) for time in at])
    axes.set_xlabel("time, UTC")


def _date(time: float) -> datetime:
    return datetime.fromtimestamp(time, UTC)
