"""How far an experiment is: whether effects may be read, whether it is over, and what more data would bring.

Responsible for: sizes, times, the end that was planned, series over days, and what would change a decision.
Does not know: verdicts; formulas of methods.

Rules: pure. Effects by day are those of the units first exposed until then, as far as their windows are over now.
Values do not change once a window is over, so this is what was known when those windows closed.
"""

from collections.abc import Mapping, Sequence
from math import ceil, floor, log10
from typing import Final, NamedTuple

from router.analysis.aggregates import Aggregate, Cell, Moments
from router.analysis.estimate import Estimate, NotEnough, estimate
from router.analysis.finding import duration
from router.analysis.result import Result, Stage
from router.config.schema import Experiment, Metric
from router.inference.effect import Asked, Effect
from router.inference.readable import Planned, readable
from router.report import verdict
from router.report.compare import Compare, is_adaptive
from router.report.guardrail import known
from router.report.report import Check, Day, Readable, Slope, Studied
from router.report.trend import Point, point, slope

MOST_DAYS: Final = 40
DAY_S: Final = 86400.0
TOO_FAR: Final = 5.0
"""How many half-widths an effect may be short: 25 times the present data."""
_ALWAYS: Final = Readable(now=True, reason="always valid: it may be read at any time, and as often as one likes")


class End(NamedTuple):
    """How far an experiment is from the end that was planned.

    Attributes:
        readable: Whether effects may be read.
        ended: Whether the test is over.
    """

    readable: Readable
    ended: bool


def end_of(experiment: Experiment, stage: Stage, cells: Sequence[Cell], now: float) -> End:
    """Return how far a phase is.

    Args:
        experiment: The experiment.
        stage: The phase.
        cells: What is known of its arms, control's first.
        now: Unix seconds.
    """
    over = stage.phase.end is not None
    decide = experiment.decide
    if decide.method != "fixed" or is_adaptive(experiment):
        return End(_ALWAYS, over)
    if stage.phase.start is None:
        return End(Readable(now=False, reason="when the phase began is not known"), ended=False)
    primary = experiment.metrics.primary if experiment.metrics is not None else ""
    units = min((units_of(cell, primary) for cell in cells), default=0)
    found = readable(Planned(decide.units, decide.duration), units, stage.phase.start, now)
    return End(Readable(now=found.readable, reason=f"fixed horizon: {found.reason}"), found.readable)


def units_of(cell: Cell, metric: str) -> int:
    """Return the units of a cell whose value of a metric is known."""
    known_of = cell.metrics.get(metric, Aggregate())
    return known_of.units.n or max(0, cell.units - known_of.immature - known_of.missing if known_of.sketch else 0)


def lines(experiment: Experiment, stage: Stage, cells: tuple[Cell, Cell], now: float, end: End) -> tuple[Check, ...]:
    """Return the lines of the checklist about sizes and times.

    Args:
        experiment: The experiment.
        stage: The phase.
        cells: What is known of the arm, and of control.
        now: Unix seconds.
        end: How far it is.
    """
    decide = experiment.decide
    primary = experiment.metrics.primary if experiment.metrics is not None else ""
    counts = [units_of(cell, primary) for cell in cells]
    waiting = sum(cell.metrics.get(primary, Aggregate()).immature for cell in cells)
    waits = f"; {waiting:,} wait for their window" if waiting else ""
    enough = f"{counts[0]:,} units, and {counts[1]:,} of control; each needs {decide.min_units:,}{waits}"
    found = [_line(verdict.ENOUGH, enough, ok=min(counts) >= decide.min_units)]
    if decide.min_duration is not None:
        start, stop = stage.phase.start, stage.phase.end if stage.phase.end is not None else now
        lasted = 0.0 if start is None else max(0.0, stop - start)
        said = f"{duration(lasted)} of at least {duration(decide.min_duration)}"
        found.append(_line(verdict.LONG, said, ok=start is not None and lasted >= decide.min_duration))
    found.append(_line(verdict.READABLE, end.readable.reason, ok=end.readable.now))
    changing = any(cell.metrics.get(primary, Aggregate()).provisional for cell in cells)
    said = "a unit counts once, with what it was when its window closed"
    if changing:
        said = f"values of {primary} may still change: give it a window, or wait until the phase is over"
    found.append(_line(verdict.FINAL, said, ok=not changing))
    return tuple(found)


def _line(name: str, evidence: str, *, ok: bool) -> Check:
    return Check(name=name, status="pass" if ok else "unknown", hard=True, evidence=evidence)


def change(phase: Studied, primary: Metric) -> tuple[str, ...]:
    """Say what would change the decision."""
    said: list[str] = []
    for arm in phase.arms:
        said += [
            f"{arm.arm}: {line.name}: {line.evidence}"
            for line in arm.checklist
            if line.hard and line.status != "pass" and line.name not in (verdict.PRIMARY, verdict.ENOUGH)
        ]
        if not arm.measures or arm.verdict == "ship":
            continue
        effect, direction = arm.measures[0].effect, arm.measures[0].direction
        if isinstance(effect, Effect) and direction == "not shown":
            said.append(f"{arm.arm}: {_more(effect, phase, primary)}")
        elif isinstance(effect, NotEnough):
            said.append(f"{arm.arm}: {effect.reason}")
    return tuple(dict.fromkeys(said))


def _more(effect: Effect, phase: Studied, primary: Metric) -> str:
    """Say how many more units would show the present effect; in proportion, as widths go with one over root n."""
    good = effect.value if primary.goal == "up" else -effect.value
    end = effect.interval.low if effect.value > 0 else effect.interval.high
    if good <= 0 or end is None:
        return f"an effect of {primary.name} in the other direction"
    reach = abs(effect.value - end)
    units = effect.treatment.n + effect.control.n
    ratio = reach / abs(effect.value)
    if ratio > TOO_FAR:
        return f"a larger effect of {primary.name}: it would take too many units to show the present one"
    more = _rounded(units * (ratio * ratio - 1))
    rate = _rate(phase)
    time = f", about {duration(more / rate)} at the present rate" if rate else ""
    return f"about {more:,} more units{time}, if the effect stays what it is"


def _rounded(count: float) -> int:
    """Return a number with two digits, at least 1: what is in proportion has no more."""
    size = 10.0 ** max(0, floor(log10(max(count, 1.0))) - 1)
    return max(1, int(ceil(count / size) * size))


def _rate(phase: Studied) -> float | None:
    """Return how many units come in a second; None when that is not known."""
    if phase.start is None or not phase.days:
        return None
    lasted = phase.days[-1].time - phase.start
    return sum(phase.units.values()) / lasted if lasted > 0 else None


def days(result: Result, stage: Stage, arms: tuple[str, ...], compare: Compare | None, asked: Asked) -> tuple[Day, ...]:
    """Return how the primary metric went, day by day of first exposures.

    Args:
        result: What the fold found.
        stage: The phase.
        arms: Its arms, control first.
        compare: How effects are compared; None while they may not be read.
        asked: Level of the intervals.
    """
    metric, (run, phase) = result.plan.metrics[0], stage.phase.place
    by_day: dict[int, dict[str, Cell]] = {}
    for place, cell in result.series.days.items():
        if (place.run, place.phase) == (run, phase):
            by_day.setdefault(int(place.values[0]), {})[place.arm] = cell
    traffic: dict[int, dict[str, int]] = {}
    for place, exchanges in result.series.traffic.items():
        if (place.run, place.phase) == (run, phase):
            traffic.setdefault(int(place.values[0]), {})[place.arm] = exchanges
    ordered = sorted(by_day)
    step = max(1, ceil(len(ordered) / MOST_DAYS))
    shown = set(ordered[::-1][::step])
    sums: dict[str, Aggregate] = {}
    units = dict.fromkeys(arms, 0)
    out: list[Day] = []
    for day in ordered:
        for arm, cell in by_day[day].items():
            sums[arm] = sums.get(arm, Aggregate()).merge(known(cell, metric))
            units[arm] = units.get(arm, 0) + cell.units
        if day in shown:
            out.append(_day(day, metric, (dict(units), sums, traffic.get(day, {})), arms, (compare, asked)))
    return tuple(out)


def _day(
    day: int,
    metric: Metric,
    counted: tuple[Mapping[str, int], Mapping[str, Aggregate], Mapping[str, int]],
    arms: tuple[str, ...],
    how: tuple[Compare | None, Asked],
) -> Day:
    units, sums, exchanges = counted
    compare, asked = how
    found = {arm: estimate(metric, sums[arm]) for arm in arms if arm in sums}
    effects = {}
    for arm in arms[1:]:
        if compare is not None and arm in sums and arms[0] in sums:
            effect = compare(metric, sums[arm], sums[arms[0]], asked)
            if isinstance(effect, Effect):
                effects[arm] = effect
    return Day(
        time=(day + 1) * DAY_S,
        units=units,
        outcomes={arm: each.value for arm, each in found.items() if isinstance(each, Estimate)},
        effects=effects,
        exchanges=exchanges,
    )


def slopes(result: Result, stage: Stage, arm: str, control: str) -> tuple[Slope | NotEnough, ...]:
    """Return how the primary effect of an arm goes with the day of the first exposure, and with tenure.

    Args:
        result: What the fold found.
        stage: The phase.
        arm: The arm.
        control: The control arm.
    """
    metric, place = result.plan.metrics[0], stage.phase.place
    if metric.kind == "quantile":
        return (NotEnough("not for quantiles", 0),)
    ratio = metric.kind == "ratio"
    by_day = {
        (where.arm, int(where.values[0])): known(cell, metric)
        for where, cell in result.series.days.items()
        if (where.run, where.phase) == place
    }
    if any(each.clusters is not None for each in by_day.values()):
        return (NotEnough("units hold several users", 0),)
    tenure = {
        (where.arm, where.day): sums
        for where, sums in result.series.tenure.get(metric.name, {}).items()
        if (where.run, where.phase) == place
    }
    first = {key: each.units for key, each in by_day.items()}
    return (
        slope("day", _points(first, arm, control, ratio=ratio)),
        slope("tenure", _points(tenure, arm, control, ratio=ratio)),
    )


def _points(sums: Mapping[tuple[str, int], Moments], arm: str, control: str, *, ratio: bool) -> list[Point]:
    found = [
        point(day, sums[arm, day], sums[control, day], ratio=ratio)
        for where, day in sorted(sums)
        if where == arm and (control, day) in sums
    ]
    return [each for each in found if each is not None]
