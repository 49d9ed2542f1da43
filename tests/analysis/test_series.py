"""Series: traffic, cells by day of first exposure, and what units do in each day of their tenure."""

from math import floor

import pytest
from msgspec.structs import astuple

from router.analysis.aggregates import Cell, Moments, Place
from router.analysis.fold import fold_one
from router.analysis.history import History, Phase
from router.analysis.plan import MOST_DAYS, Plan
from router.analysis.result import Result, TenurePlace
from router.config.schema import Metric
from tests.analysis import logs

DAY = 86400.0
METRICS = {
    "any": Metric(name="m", kind="proportion", outcome="click", window=DAY, goal="up"),
    "spent": Metric(name="m", kind="mean", outcome="click", goal="up"),
    "clicks": Metric(name="m", kind="count", outcome="click", window=2 * DAY, goal="up"),
    "worth": Metric(name="m", kind="ratio", numerator="click", denominator="visit", goal="up"),
    "errors": Metric(name="m", kind="ratio", exchange="failed", goal="down"),
    "cost": Metric(name="m", kind="mean", exchange="duration", goal="down"),
}


def log() -> tuple[list[logs.Row], list[logs.Row]]:
    """Make 40 units that come over five days, and again; one is in both arms."""
    exposures = [
        logs.exposure(
            number,
            unit=f"u{number % 40}",
            arm="ab"[number % 2] if number != 83 else "a",
            time=number * 4000.0 + (number // 40) * 20000.0,
            failed=number % 7 == 0,
            duration=float(number % 5 + 1),
        )
        for number in range(120)
    ]
    outcomes = [
        logs.outcome(
            number,
            unit=f"u{number * 7 % 40}",
            outcome=("click", "visit")[number % 2],
            value=float(number % 4),
            time=number * 3100.0,
        )
        for number in range(200)
    ]
    return exposures, outcomes


def found(metric: Metric, now: float) -> Result:
    """Fold the log."""
    history = History({"e": (Phase(1, 1, 0.0, 5.5 * DAY),)})
    return fold_one(logs.engine(*log()), Plan("e", (metric,)), history, now)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_days_add_up_to_everybody(metric: Metric) -> None:
    """Merging the cells of all days of first exposure gives the cell of the arm."""
    known = found(metric, 7 * DAY)
    for arm in "ab":
        merged = Cell()
        for place, cell in known.series.days.items():
            merged = merged.merge(cell) if place.arm == arm else merged
        whole = known.cells[Place(1, 1, arm)]
        assert merged.units == whole.units
        assert astuple(merged.metrics["m"].units) == pytest.approx(astuple(whole.metrics["m"].units))
    assert not any(place.slicing == ("day",) for place in known.cells)


def test_traffic_is_what_each_arm_got_each_day() -> None:
    """Exchanges, of whichever unit, by the day they came in."""
    exposures, _ = log()
    expected: dict[tuple[str, str], int] = {}
    for row in exposures:
        key = row["arm"], str(floor(row["time"] / DAY))
        expected[key] = expected.get(key, 0) + 1
    known = found(METRICS["any"], 7 * DAY).series.traffic
    assert {(place.arm, place.values[0]): number for place, number in known.items()} == expected


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
@pytest.mark.parametrize("now", [3.2 * DAY, 9 * DAY])
def test_tenure_counts_all_units_whose_day_is_over(metric: Metric, now: float) -> None:
    """What a unit does in a day since its first exposure, also nothing; of days within the phase that are over."""
    exposures, outcomes = log()
    seen = [row for row in exposures if row["time"] <= now]
    units: dict[str, list[logs.Row]] = {}
    for row in seen:
        units.setdefault(row["unit"], []).append(row)
    expected: dict[TenurePlace, list[tuple[float, float]]] = {}
    for unit, rows in units.items():
        if len({row["arm"] for row in rows}) > 1:
            continue
        first = min(row["time"] for row in rows)
        for day in range(floor((min(now, 5.5 * DAY) - first) / DAY)):
            begin = first + day * DAY
            mine = [row for row in rows if begin <= row["time"] < begin + DAY]
            got = [row for row in outcomes if row["unit"] == unit and begin <= row["time"] < begin + DAY]
            place = TenurePlace(1, 1, rows[0]["arm"], day)
            expected.setdefault(place, []).append(value(metric, mine, got))
    known = found(metric, now).series.tenure["m"]
    assert set(known) == set(expected)
    for place, pairs in expected.items():
        sums = Moments(
            len(pairs),
            sum(y for y, _ in pairs),
            sum(y * y for y, _ in pairs),
            sum(x for _, x in pairs),
            sum(x * x for _, x in pairs),
            sum(x * y for y, x in pairs),
        )
        assert astuple(known[place]) == pytest.approx(astuple(sums))


def value(metric: Metric, exchanges: list[logs.Row], outcomes: list[logs.Row]) -> tuple[float, float]:
    """Return what a unit did, and its denominator."""
    if metric.exchange is not None:
        measured = [float(row[metric.exchange]) for row in exchanges]
        return sum(measured), float(len(measured)) if metric.kind == "ratio" else 0.0
    clicks = [row["value"] for row in outcomes if row["outcome"] == "click"]
    if metric.kind == "ratio":
        return sum(clicks), sum(row["value"] for row in outcomes if row["outcome"] == "visit")
    return {"proportion": float(bool(clicks)), "count": float(len(clicks)), "mean": sum(clicks)}[metric.kind], 0.0


def test_series_are_bounded() -> None:
    """However long a phase lasts, at most 400 days are told apart."""
    exposures = [logs.exposure(number, time=number * DAY) for number in range(900)]
    outcomes = [logs.outcome(number, time=number * DAY + 5.0) for number in range(900)]
    made = Plan("e", (METRICS["any"],))
    known = fold_one(logs.engine(exposures, outcomes), made, History(), 900 * DAY - 1).series
    assert len(known.traffic) == MOST_DAYS
    assert sum(known.traffic.values()) == 900
    assert len(known.tenure["m"]) == MOST_DAYS
    assert all(sums.n == 1 for sums in known.tenure["m"].values())


def test_units_in_two_arms_are_counted_by_the_first() -> None:
    """Whoever crosses leaves one arm for another; which one may tell a broken experiment."""
    known = found(METRICS["any"], 9 * DAY)
    assert known.stages[0].crossed == 1
    assert known.stages[0].crossed_by_arm == {"b": 1}
