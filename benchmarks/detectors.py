"""How often detectors are wrong on healthy streams, and how late they are on streams that change.

    python -m benchmarks.detectors [--days 300] [--into docs/rollouts.md]

Each detector as an entry of ``watch`` with severity ``warning`` has it: a point a minute (seasonal: five), limits for
one false alarm in 30 days of one stream. Healthy streams of 30 days each, ``--days`` in all, count false alarms.
Then, after a day in control, a shift comes, and the median time to the alarm of 40 streams is printed, in points; ``-``
where fewer than half were found within a day, or where a healthy stream alarms each day.

The streams: independent Gaussian points; neighbours correlated at 0.6; a daily course of five standard deviations;
failures of 100 exchanges a minute at 0.1 %; failures of 1,000 a minute at 1 % whose rate itself scatters by a tenth.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from router.config.schema import Watch
from router.config.watching import Detector
from router.control.detecting import plan_of
from router.detect.drift import DriftPlan, DriftState, take_values
from router.detect.novelty import Model, NoveltyPlan
from router.detect.season import SeasonPlan, SeasonState, take_slot
from router.detect.stream import Plan, Point, Said, State, take

DAY: Final = 1440
NOMINAL_DAYS: Final = 30
SHIFTS: Final = (0.5, 1.0, 3.0)
RUNS: Final = 40
BEGIN: Final = "<!-- detectors -->"
END: Final = "<!-- /detectors -->"
Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Generator = np.random.Generator
Step = Callable[[Point, int], Said]


class Made(NamedTuple):
    """A kind of stream.

    Attributes:
        name: What it is called.
        share: Whether its points are shares.
        make: Points of a stream: generator, how many, from which on there is a shift, and how large it is.
    """

    name: str
    share: bool
    make: Callable[[Generator, int, int, float], list[Point]]


def shifted(count: int, begin: int, shift: float) -> Array:
    """Return a step."""
    return np.where(np.arange(count) >= begin, shift, 0.0)


def values(found: Array) -> list[Point]:
    """Return points."""
    return [Point(float(each)) for each in found]


def gaussian(generator: Generator, count: int, begin: int, shift: float) -> list[Point]:
    """Return independent points."""
    return values(100 + 5 * (generator.standard_normal(count) + shifted(count, begin, shift)))


def correlated(generator: Generator, count: int, begin: int, shift: float) -> list[Point]:
    """Return points whose neighbours are correlated at 0.6."""
    noise = generator.standard_normal(count) * np.sqrt(1 - 0.36)
    found = np.empty(count)
    last = 0.0
    for at in range(count):
        found[at] = last = 0.6 * last + noise[at]
    return values(100 + 5 * (found + shifted(count, begin, shift)))


def daily(generator: Generator, count: int, begin: int, shift: float, slots: int = DAY) -> list[Point]:
    """Return points with a daily course."""
    course = 5 * np.sin(2 * np.pi * np.arange(count) / slots)
    return values(100 + 5 * (course + generator.standard_normal(count) + shifted(count, begin, shift)))


def failures(exchanges: int, share: float, scatter: float) -> Callable[[Generator, int, int, float], list[Point]]:
    """Return how streams of failures are made; a shift is in standard deviations of the count."""

    def make(generator: Generator, count: int, begin: int, shift: float) -> list[Point]:
        spread = np.sqrt(exchanges * share * (1 - share) + (scatter * exchanges * share) ** 2)
        rates = share * generator.gamma(1 / scatter**2, scatter**2, count) if scatter else np.full(count, share)
        found = np.clip(rates + shifted(count, begin, shift) * spread / exchanges, 0, 1)
        return [Point.of_share(int(each), exchanges) for each in generator.binomial(exchanges, found)]

    return make


STREAMS: Final = (
    Made("Gaussian", share=False, make=gaussian),
    Made("correlated 0.6", share=False, make=correlated),
    Made("daily course", share=False, make=daily),
    Made("rare failures", share=True, make=failures(100, 0.001, 0.0)),
    Made("failures", share=True, make=failures(1000, 0.01, 0.1)),
)
CHARTS: Final[tuple[Detector, ...]] = ("shewhart", "ewma", "cusum", "page_hinkley", "change_point")


def step_of(detector: Detector, *, share: bool) -> Step:
    """Return a detector as an entry of ``watch`` has it."""
    metric = "error_rate" if share else "rate"
    plan = plan_of(Watch(metric=metric, detector=detector, direction="both"))
    if isinstance(plan, Plan):
        held = plan if share else _plain(plan)
        return _stream(held)
    if isinstance(plan, SeasonPlan):
        return _season(SeasonPlan(rest=plan.rest, slots=plan.slots))
    raise TypeError(detector)


def _plain(plan: Plan) -> Plan:
    from msgspec.structs import replace  # noqa: PLC0415 - here alone

    return replace(plan, kind="value")


def _stream(plan: Plan) -> Step:
    state = State()

    def step(point: Point, _slot: int) -> Said:
        nonlocal state
        state, said = take(plan, state, point)
        return said

    return step


def _season(plan: SeasonPlan) -> Step:
    state = SeasonState()

    def step(point: Point, slot: int) -> Said:
        nonlocal state
        state, said = take_slot(plan, state, slot, point.value)
        return said

    return step


def begun(step: Step, points: Iterable[Point]) -> list[int]:
    """Return the points at which episodes began."""
    return [at for at, point in enumerate(points) if step(point, at).change == "begun"]


def row(detector: Detector, made: Made, days: int, per_day: int = DAY) -> tuple[str, float, list[str]]:
    """Return a line of the table: false alarms in 30 days, and median delays."""
    generator = np.random.default_rng([94, per_day, len(made.name), len(detector)])
    month = NOMINAL_DAYS * per_day
    months = max(1, days // NOMINAL_DAYS)
    alarms = sum(
        len(begun(step_of(detector, share=made.share), made.make(generator, month, month, 0.0))) for _ in range(months)
    )
    learned = 4 * per_day if detector == "seasonal" else per_day
    runs = RUNS // 8 if detector == "seasonal" else RUNS
    delays = []
    for shift in SHIFTS:
        late: list[float] = []
        for _ in range(runs if alarms < months * NOMINAL_DAYS else 0):
            found = begun(step_of(detector, share=made.share), made.make(generator, learned + per_day, learned, shift))
            after = [at - learned + 1 for at in found if at >= learned]
            late.append(after[0] if after else np.inf)
        delays.append(median_of(late))
    return f"`{detector}`", alarms / months, delays


def median_of(late: list[float]) -> str:
    """Return the median of some delays, as text."""
    median = float(np.median(late)) if late else np.inf
    return f"{median:.0f}" if np.isfinite(median) else "-"


def novelty(detector: Detector, days: int) -> tuple[str, float, list[str]]:
    """Return the line of a model of four correlated values; a shift is of two of them, apart."""
    plan = plan_of(Watch(detector=detector))
    if not isinstance(plan, NoveltyPlan):
        raise TypeError(detector)
    generator = np.random.default_rng(95)
    mixing = np.array([[1, 0.8, 0, 0], [0, 0.6, 0, 0], [0, 0, 1, 0.8], [0, 0, 0, 0.6]])
    months = max(1, days // NOMINAL_DAYS)

    def alarms(count: int, begin: int, shift: float) -> list[int]:
        rows = generator.standard_normal((plan.reference + count, 4)) @ mixing
        rows[plan.reference + begin :] += np.array([shift, -shift, 0, 0])
        table = [tuple(each) for each in rows.tolist()]
        model = Model(plan, table[: plan.reference])
        charted = Plan(chart=plan.chart, kind="score", direction="up", learn=10)
        return begun(_stream(charted), [Point(each) for each in model.scores(table[plan.reference :])])

    found = sum(len(alarms(NOMINAL_DAYS * DAY, NOMINAL_DAYS * DAY, 0.0)) for _ in range(months))
    delays = []
    for shift in SHIFTS:
        late = [next((at - 99 for at in alarms(100 + DAY, 100, shift) if at >= 100), np.inf) for _ in range(RUNS // 4)]
        delays.append(median_of(late))
    return f"`{detector}`", found / months, delays


def drift(detector: Detector, days: int) -> tuple[str, float, list[str]]:
    """Return the line of a test of values, 500 an hour; delays are in windows of 500."""
    plan = plan_of(Watch(json="/x", detector=detector))
    if not isinstance(plan, DriftPlan):
        raise TypeError(detector)
    generator = np.random.default_rng(96)

    def alarms(windows: int, begin: int, shift: float) -> list[int]:
        state, found, unit = DriftState(), [], 0
        reference = plan.reference // plan.window
        for window in range(reference + windows):
            moved = shift if window >= reference + begin else 0.0
            for part, end in enumerate(((window + 0.0) * 3600, (window + 1.0) * 3600)):
                some = generator.lognormal(moved, 1.0, plan.window // 2)
                state, said = take_values(plan, state, [(unit + at, float(x)) for at, x in enumerate(some)], end)
                unit += len(some)
                if part and said.change == "begun":
                    found.append(window - reference)
        return found

    months = max(1, days // NOMINAL_DAYS)
    false = sum(len(alarms(NOMINAL_DAYS * 24, NOMINAL_DAYS * 24, 0.0)) for _ in range(months))
    delays = []
    for shift in SHIFTS:
        late = [next((at for at in alarms(30, 1, shift) if at >= 1), np.inf) for _ in range(RUNS // 4)]
        delays.append(median_of(late))
    return f"`{detector}`", false / months, delays


def table(days: int) -> Iterable[str]:
    """Yield the lines of the table, as they are known."""
    yield "| detector | healthy stream | false alarms in 30 days | shift of 0.5 deviations | of 1 | of 3 |"
    yield "|---|---|---:|---:|---:|---:|"
    for made in STREAMS:
        for detector in CHARTS:
            yield line(made.name, *row(detector, made, days))
    slots = 288
    course = Made("daily course", share=False, make=lambda g, n, b, s: daily(g, n, b, s, slots))
    yield line(course.name, *row("seasonal", course, min(days, 120), slots))
    yield line("Gaussian", *row("seasonal", STREAMS[0], min(days, 120), slots))
    yield line("four values", *novelty("isolation_forest", min(days, 60)))
    yield line("four values", *novelty("autoencoder", days))
    yield line("values, 500 an hour", *drift("psi", days))
    yield line("values, 500 an hour", *drift("ks", days))


def line(stream: str, detector: str, false: float, delays: list[str]) -> str:
    """Return one line of the table."""
    return f"| {detector} | {stream} | {false:.1f} | {' | '.join(delays)} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=300)
    parser.add_argument("--into", type=Path)
    asked = parser.parse_args()
    begun_at = time.monotonic()
    lines = []
    for each in table(asked.days):
        lines.append(each)
        print(each, flush=True)
    print(f"{time.monotonic() - begun_at:.0f} s", file=sys.stderr)
    if asked.into is not None:
        text = asked.into.read_text("utf-8")
        before, _, rest = text.partition(BEGIN)
        _, _, after = rest.partition(END)
        asked.into.write_text(f"{before}{BEGIN}\n\n" + "\n".join(lines) + f"\n\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
