"""The plots of a report, each an SVG that a page can hold as it is.

Responsible for: what is drawn, colours that the colour-blind can tell apart, names for screen readers.
Does not know: the page (``page``), effects.

Matplotlib comes with the extra ``analysis`` and is imported when the first plot is drawn, not before. Its settings are
those of the process, so one thread draws at a time.

Rules: the same report gives the same bytes. Text stays text, so that it can be read, searched and made larger; what
comes from a configuration is escaped by Matplotlib. Arms differ by colour and by marker.
"""

import io
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from html import escape
from math import ceil
from typing import Any, Final

from msgspec import Struct

from router.config.schema import Metric
from router.inference.effect import Effect, Interval
from router.report.digits import is_share, slice_in_words, unit
from router.report.report import Report, Sliced, Studied

WIDTH: Final = 5.6  # inches; a phone shows it at two thirds, and letters stay legible
HEIGHT: Final = 3.0
ROW: Final = 0.3
MOST_ROWS: Final = 40
MOST_TICKS: Final = 7
DAY_S: Final = 86400.0
# Okabe and Ito's palette, which the colour-blind can tell apart; control is grey.
CONTROL: Final = "#5c5c5c"
COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS: Final = "osD^vP"
STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "axes.axisbelow": True,
    "text.parse_math": False,
}


class Plot(Struct, frozen=True):
    """One plot.

    Attributes:
        title: What it shows.
        description: The same in a sentence, for those who do not see it.
        svg: The markup.
    """

    title: str
    description: str
    svg: str


Draw = Callable[[Any, Any], None]
"""Draws on a figure and its axes."""


def plots(report: Report, metric: Metric) -> tuple[Plot, ...]:
    """Return the plots of the latest phase; those without data are left out.

    Args:
        report: The report.
        metric: Its primary metric.
    """
    if not report.phases:
        return ()
    phase = report.phases[0]
    arms = (report.control, *(arm.arm for arm in phase.arms))
    found: list[Plot] = []
    if any(day.effects for day in phase.days):
        found.append(_effects(phase, arms, metric))
    for slicing in dict.fromkeys(each.slicing for each in phase.slices):
        forest = _forest([each for each in phase.slices if each.slicing == slicing], arms, metric)
        found += [] if forest is None else [forest]
    if any(day.outcomes for day in phase.days):
        found.append(_outcomes(phase, arms, metric))
    if any(day.exchanges for day in phase.days):
        found.append(_traffic(phase, arms))
    if any(sum(day.units.values()) for day in phase.days):
        found.append(_sample_ratio(phase, arms))
    return tuple(found)


def _effects(phase: Studied, arms: Sequence[str], metric: Metric) -> Plot:
    """Draw the effect with its interval against time."""

    def draw(_figure: Any, axes: Any) -> None:
        axes.axhline(0, color="#222222", linewidth=0.8)
        scale, mark = _scale(metric)
        for place, arm in enumerate(arms[1:]):
            shown = [(day.time, day.effects[arm]) for day in phase.days if arm in day.effects]
            if not shown:
                continue
            times = [_date(time) for time, _ in shown]
            values = [scale * effect.value for _, effect in shown]
            ends = [_ends(effect, scale) for _, effect in shown]
            axes.vlines(times, [low for low, _ in ends], [high for _, high in ends], color=_colour(place), linewidth=1)
            axes.fill_between(
                times, [low for low, _ in ends], [high for _, high in ends], color=_colour(place), alpha=0.2
            )
            axes.plot(times, values, color=_colour(place), marker=_marker(place), markersize=3, label=arm)
        axes.set_ylabel(f"{metric.name}: arm less control{mark}")
        axes.legend(frameon=False)
        _dates(axes, phase)

    last = {arm: day.effects[arm] for day in phase.days for arm in arms[1:] if arm in day.effects}
    said = "; ".join(f"{arm}: {effect.value:.3g} at the end" for arm, effect in last.items())
    title = f"Effect on {metric.name} over time, with intervals"
    return drawn_plot(title, f"Effect of each arm on {metric.name} by day of the first exposure. {said}.", draw)


def _forest(found: Sequence[Sliced], arms: Sequence[str], metric: Metric) -> Plot | None:
    """Draw the effect in each slice of one slicing, all arms beside each other; None where no slice has any."""
    levels = list(dict.fromkeys(level.values for each in found for level in each.levels))[:MOST_ROWS]
    known = {
        (each.arm, level.values): level.effect
        for each in found
        for level in each.levels
        if isinstance(level.effect, Effect)
    }
    if not known:
        return None
    scale, mark = _scale(metric)

    def draw(_figure: Any, axes: Any) -> None:
        axes.axvline(0, color="#222222", linewidth=0.8)
        for place, arm in enumerate(arms[1:]):
            shift = (place - (len(arms) - 2) / 2) * 0.7 / max(1, len(arms) - 1)
            for row, values in enumerate(levels):
                effect = known.get((arm, values))
                if effect is not None:
                    low, high = _ends(effect, scale)
                    axes.plot([low, high], [row + shift] * 2, color=_colour(place), linewidth=1.5)
                    axes.plot([scale * effect.value], [row + shift], color=_colour(place), marker=_marker(place))
            axes.plot([], [], color=_colour(place), marker=_marker(place), label=arm)
        axes.set_yticks(range(len(levels)), [slice_in_words(found[0].slicing, values)[:32] for values in levels])
        axes.set_ylim(len(levels) - 0.4, -0.6)
        axes.set_xlabel(f"{metric.name}: arm less control{mark}")
        if len(arms) > 2:
            axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))

    title = f"Effect on {metric.name} by {' and '.join(found[0].slicing)}"
    said = "; ".join(f"{arm}, {' · '.join(values)}: {effect.value:.3g}" for (arm, values), effect in known.items())
    return drawn_plot(title, f"{title}. {said}.", draw, rows=len(levels) * max(1, len(arms) - 1))


def _outcomes(phase: Studied, arms: Sequence[str], metric: Metric) -> Plot:
    """Draw the metric of each arm over all units until each day."""
    scale, mark = _scale(metric)

    def draw(_figure: Any, axes: Any) -> None:
        for place, arm in enumerate(arms):
            shown = [(day.time, scale * day.outcomes[arm]) for day in phase.days if arm in day.outcomes]
            _line(axes, place, arm, shown)
        axes.set_ylabel(f"{metric.name}{mark}")
        axes.legend(frameon=False)
        _dates(axes, phase)

    ends = {arm: day.outcomes[arm] for day in phase.days for arm in arms if arm in day.outcomes}
    said = "; ".join(f"{arm}: {value:.4g}" for arm, value in ends.items())
    title = f"{metric.name} of each arm, all units so far"
    return drawn_plot(
        title, f"Cumulative {metric.name} of each arm by day of the first exposure. At the end {said}.", draw
    )


def _traffic(phase: Studied, arms: Sequence[str]) -> Plot:
    """Draw which share of the exchanges of each day each arm has."""

    def draw(_figure: Any, axes: Any) -> None:
        days = [day for day in phase.days if sum(day.exchanges.values())]
        below = [0.0] * len(days)
        for place, arm in enumerate(arms):
            shares = [100 * day.exchanges.get(arm, 0) / sum(day.exchanges.values()) for day in days]
            colour = CONTROL if not place else _colour(place - 1)
            axes.bar([_date(day.time) for day in days], shares, bottom=below, color=colour, width=0.8, label=arm)
            below = [low + share for low, share in zip(below, shares, strict=True)]
        axes.set_ylabel("exchanges of the day, %")
        axes.set_ylim(0, 100)
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
        _dates(axes, phase)

    return drawn_plot("Traffic shares", "Share of each day's exchanges that each arm served.", draw)


def _sample_ratio(phase: Studied, arms: Sequence[str]) -> Plot:
    """Draw each arm's share of the units so far, beside what its weights promise."""
    whole = sum(phase.expected.values())

    def draw(_figure: Any, axes: Any) -> None:
        for place, arm in enumerate(arms):
            shown = [
                (day.time, 100 * day.units.get(arm, 0) / sum(day.units.values()))
                for day in phase.days
                if sum(day.units.values())
            ]
            _line(axes, place, arm, shown)
            if whole and arm in phase.expected:
                colour = CONTROL if not place else _colour(place - 1)
                axes.axhline(100 * phase.expected[arm] / whole, color=colour, linewidth=1, linestyle="--")
        axes.set_ylabel("units so far, %")
        axes.legend(frameon=False)
        _dates(axes, phase)

    said = "; ".join(f"{arm}: {units:,} units" for arm, units in phase.units.items())
    return drawn_plot("Sample ratio", f"Each arm's share of units; dashed, what its weights promise. {said}.", draw)


def _line(axes: Any, place: int, arm: str, shown: Sequence[tuple[float, float]]) -> None:
    colour = CONTROL if not place else _colour(place - 1)
    marker = "x" if not place else _marker(place - 1)
    times, values = [_date(time) for time, _ in shown], [value for _, value in shown]
    axes.plot(times, values, color=colour, marker=marker, markersize=3, label=arm)


def drawn_plot(title: str, description: str, draw: Draw, *, rows: int = 0) -> Plot:
    """Draw one plot in the style of all of them.

    Args:
        title: What it shows.
        description: The same for those who do not see it.
        draw: Draws it.
        rows: Rows that it has; 0 for one of the usual height.
    """
    from matplotlib import rc_context  # noqa: PLC0415 - see the module's rules
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415 - the same
    from matplotlib.figure import Figure  # noqa: PLC0415 - the same

    out = io.StringIO()
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, max(1.5, 0.9 + ROW * rows) if rows else HEIGHT), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure, figure.subplots())
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    return Plot(title, description, _inline(out.getvalue(), title, description))


def _inline(svg: str, title: str, description: str) -> str:
    """Return what a page can hold: without prolog and sizes, with a name, and with identifiers of its own."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    own = re.sub(r"[^A-Za-z0-9]+", "-", title).strip("-").lower() or "plot"
    body = re.sub(r'\bid="([^"]+)"', rf'id="{own}.\1"', body)
    body = re.sub(r'href="#([^"]+)"', rf'href="#{own}.\1"', body).replace("xlink:href", "href")
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{own}.\1)", body)
    head = re.match(r"<svg[^>]*>", body)
    if head is None:  # pragma: no cover - what Matplotlib writes begins so
        raise ValueError("there is no SVG")
    box = re.search(r'viewBox="[^"]+"', head[0])
    opened = f'<svg {box[0] if box else ""} role="img" aria-label="{escape(title)}">'
    return f"{opened}<title>{escape(title)}</title><desc>{escape(description)}</desc>{body[head.end() :].strip()}"


def _scale(metric: Metric) -> tuple[float, str]:
    """Return what values are multiplied by, and the unit that is shown."""
    if is_share(metric):
        return 100.0, ", %"
    return 1.0, f", {unit(metric)}" if unit(metric) else ""


def _ends(effect: Effect, scale: float) -> tuple[float, float]:
    interval: Interval = effect.interval
    low = effect.value if interval.low is None else interval.low
    return scale * low, scale * (effect.value if interval.high is None else interval.high)


def _dates(axes: Any, phase: Studied) -> None:
    """Mark days, few enough to be read, with a day of room on both sides: one day alone is a series, too."""
    times = [day.time for day in phase.days]
    step = max(1, ceil(len(times) / MOST_TICKS))
    shown = times[::-1][::step]
    axes.set_xlim(_date(times[0] - DAY_S), _date(times[-1] + DAY_S))
    # A point stands at the end of its day, which has the name of the day.
    axes.set_xticks([_date(time) for time in shown], [_date(time - DAY_S).strftime("%m-%d") for time in shown])
    axes.set_xlabel(f"day, until {_date(times[-1] - DAY_S):%Y-%m-%d} (UTC)")


def _date(time: float) -> datetime:
    return datetime.fromtimestamp(time, UTC)


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]


def _marker(place: int) -> str:
    return MARKERS[place % len(MARKERS)]
