"""Attribution: what a database finds is what the rules say, on any log."""

from collections import defaultdict
from math import isclose
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from router.analysis.aggregates import ACCURACY, Aggregate, Cell, Fates, Moments, Place
from router.analysis.fold import fold_one
from router.analysis.history import History, Phase
from router.analysis.plan import Plan
from router.analysis.result import Result, Stray
from router.config.schema import Covariate, Metric
from tests.analysis import logs, oracle
from tests.analysis.oracle import Found

METRICS = (
    Metric(name="ctr", kind="proportion", outcome="click", window=5.0, goal="up"),
    Metric(
        name="spent",
        kind="mean",
        outcome="buy",
        window=10.0,
        grace=2.0,
        goal="up",
        covariate=Covariate(outcome="buy", before=8.0),
    ),
    Metric(name="buys", kind="count", outcome="buy", goal="up"),
    Metric(name="settled", kind="count", outcome="click", grace=5.0, goal="up"),
    Metric(name="per-click", kind="ratio", numerator="buy", denominator="click", window=12.0, goal="up"),
    Metric(name="path", kind="funnel", steps=("visit", "click", "buy"), window=20.0, goal="up"),
    Metric(name="median", kind="quantile", outcome="buy", q=0.5, window=10.0, goal="up"),
    Metric(name="errors", kind="ratio", exchange="failed", goal="down"),
    Metric(name="p99", kind="quantile", exchange="duration", q=0.99, goal="down"),
    Metric(name="cost", kind="mean", exchange="header:x-cost", goal="down"),
    Metric(name="bad", kind="proportion", exchange="json:/bad", goal="down"),
    Metric(name="first", kind="mean", exchange="first_byte", goal="down"),
    Metric(name="early-errors", kind="ratio", exchange="failed", window=8.0, goal="down"),
    Metric(name="early-cost", kind="quantile", exchange="header:x-cost", q=0.5, window=9.0, grace=1.0, goal="down"),
)


@pytest.mark.fuzz
@settings(max_examples=10)
@given(st.data(), st.booleans(), st.booleans(), st.sampled_from([30.0, 45.0, 70.0]), st.booleans())
def test_the_fold_finds_what_the_rules_say(
    data: st.DataObject,
    clustered: bool,  # noqa: FBT001
    bots: bool,  # noqa: FBT001
    now: float,
    frozen: bool,  # noqa: FBT001
) -> None:
    """Whatever comes when, twice or never: every unit is in one cell, and every outcome has one fate."""
    exposures = data.draw(logs.exposures(clustered=clustered))
    outcomes = data.draw(logs.outcomes(clustered=clustered))
    metrics = tuple(data.draw(st.lists(st.sampled_from(METRICS), min_size=1, max_size=4, unique=True)))
    plan = Plan("e", metrics, ("country", "new_unit", "cache"), ("tier",), bots, clustered, frozen=frozen)
    folded = fold_one(logs.engine(exposures, outcomes), plan, History({"e": logs.PHASES}), now)
    expected = oracle.attribute(exposures, outcomes, plan, logs.PHASES, now)
    _same_stages(expected, folded)
    _same_cells(expected, folded, [row for row in exposures if row["time"] <= now], clustered=clustered)


def _same_stages(expected: Found, folded: Result) -> None:
    units: dict[tuple[int, int], set[str]] = defaultdict(set)
    crossed: dict[tuple[int, int], set[str]] = defaultdict(set)
    for (run, phase, unit, _), observation in expected.observations.items():
        units[run, phase].add(unit)
        if observation.crossed:
            crossed[run, phase].add(unit)
    for stage in folded.stages:
        place = stage.phase.place
        assert (stage.units, stage.crossed) == (len(units[place]), len(crossed[place]))
        for name, fates in stage.fates.items():
            known = expected.fates.get((*place, name))
            if known is not None:
                assert {key: getattr(fates, key) for key in known} == known
    assert {name: stray.unmatched for name, stray in folded.strays.items()} == expected.unmatched


def _same_cells(expected: Found, folded: Result, exposures: list[logs.Row], *, clustered: bool) -> None:
    places: dict[Place, list[oracle.Observation]] = defaultdict(list)
    for who, observation in expected.observations.items():
        if not observation.crossed:
            early = any(row["time"] < observation.entered for row in observation.own)
            known = early or observation.seen < observation.first
            seen = {key: str(value) for key, value in observation.exposures[0]["attributes"].items()}
            seen["new_unit"] = "returning" if known else "new"
            users = (row["time"] for row in exposures if (row["user"] or row["unit"]) == who[3])
            seen["cache"] = "warm" if any(time < observation.entered for time in users) else "cold"
            for by in folded.plan.slicings:
                values = tuple(seen.get(name, "(absent)") for name in by)
                places[Place(who[0], who[1], observation.arm, by, values)].append(observation)
    assert set(folded.cells) == set(places), (set(folded.cells) - set(places), set(places) - set(folded.cells))
    for place, observations in places.items():
        _same_cell(expected, folded.cells[place], observations, folded.plan, clustered=clustered)


def _same_cell(
    expected: Found, cell: Cell, observations: list[oracle.Observation], plan: Plan, *, clustered: bool
) -> None:
    exposures = [row for observation in observations for row in observation.exposures]
    assert cell.units == len(observations)
    assert (cell.exchanges, cell.failures) == (len(exposures), sum(row["failed"] for row in exposures))
    assert cell.unfinished == sum(not row["finished"] for row in exposures)
    assert cell.clusters == (len({observation.who[:3] for observation in observations}) if clustered else None)
    for metric in plan.metrics:
        known = [expected.values[observation.who, metric.name] for observation in observations]
        aggregate = cell.metrics[metric.name]
        assert aggregate.immature == sum(state == "immature" for state, _, _ in known)
        assert aggregate.missing == sum(state == "missing" for state, _, _ in known)
        pairs = [(y, x or 0.0) for _, y, x in known if y is not None]
        _same_sums(pairs, aggregate.units)
        _same_weights(observations, known, aggregate, metric)
        if metric.kind == "funnel":
            depths = [expected.depths.get((one.who, metric.name), 0) for one in observations]
            assert aggregate.steps == tuple(sum(depth >= step for depth in depths) for step in (1, 2, 3))
        if metric.kind == "quantile":
            found = [oracle.measures(metric, one) for one in observations]
            values = [value for each in found for value in each]
            values = values if metric.exchange is not None else [y for y, _ in pairs]
            assert aggregate.sketch is not None
            assert aggregate.sketch.total == len(values)
            _same_below(observations, found, aggregate, metric)


def _by_unit(observations: list[oracle.Observation]) -> list[list[int]]:
    """Return the places of the observations of each cluster; of what is independent."""
    units: dict[oracle.Who, list[int]] = defaultdict(list)
    for place, one in enumerate(observations):
        units[(*one.who[:3], "")].append(place)
    return list(units.values())


def _same_below(
    observations: list[oracle.Observation], found: list[list[float]], aggregate: Aggregate, metric: Metric
) -> None:
    """Exchanges at or below the threshold are counted by unit."""
    if metric.exchange is None or aggregate.below is None or aggregate.threshold is None:
        assert metric.exchange is None or not any(found)
        return
    most = aggregate.threshold * (1 + 1e-9)
    pairs = []
    for places in _by_unit(observations):
        values = [value for place in places for value in found[place]]
        if values:
            pairs.append((float(sum(value <= most for value in values)), float(len(values))))
    _same_sums(pairs, aggregate.below)


def _same_weights(
    observations: list[oracle.Observation],
    known: list[tuple[str, float | None, float | None]],
    aggregate: Aggregate,
    metric: Metric,
) -> None:
    """Values of units count as often as their arm was unlikely."""
    if metric.kind == "quantile" and metric.exchange is not None:
        assert aggregate.weighted is None
        return
    pairs = []
    for places in _by_unit(observations):
        parts = []
        for place in places:
            y, x = known[place][1:]
            chance = observations[place].exposures[0]["propensity"]
            if y is not None and chance:
                size = (x or 0.0) if metric.kind == "ratio" else 1.0
                parts.append((y / chance, size / chance))
        if parts:
            pairs.append((sum(y for y, _ in parts), sum(x for _, x in parts)))
    assert aggregate.weighted is not None
    _same_sums(pairs, aggregate.weighted)


def _same_sums(pairs: list[tuple[float, float]], moments: Moments) -> None:
    assert moments.n == len(pairs)
    sums = (
        (moments.y, sum(y for y, _ in pairs)),
        (moments.yy, sum(y * y for y, _ in pairs)),
        (moments.x, sum(x for _, x in pairs)),
        (moments.xx, sum(x * x for _, x in pairs)),
        (moments.xy, sum(x * y for y, x in pairs)),
    )
    assert all(isclose(found, known, rel_tol=1e-9, abs_tol=1e-9) for found, known in sums), sums


@pytest.mark.fuzz
@settings(max_examples=4)
@given(st.data(), st.booleans(), st.randoms())
def test_the_order_of_events_changes_nothing(data: st.DataObject, clustered: bool, random: Random) -> None:  # noqa: FBT001
    """Events may come in in any order: the live fold of all of them is the offline one."""
    exposures = data.draw(logs.exposures(clustered=clustered))
    outcomes = data.draw(logs.outcomes(clustered=clustered))
    metrics = tuple(data.draw(st.lists(st.sampled_from(METRICS), min_size=1, max_size=2, unique=True)))
    plan = Plan("e", metrics, ("country",), (), clustered=clustered)
    history = History({"e": logs.PHASES})
    offline = fold_one(logs.engine(exposures, outcomes), plan, history, 70.0)
    random.shuffle(exposures)
    random.shuffle(outcomes)
    live = fold_one(logs.engine(exposures, outcomes), plan, history, 70.0)
    assert live == offline


NINE = 1_795_338_000.0  # 2026-11-22T09:00:00Z


def _at(clock: str) -> float:
    hour, minute = map(int, clock.split(":"))
    return NINE + (hour - 9) * 3600 + minute * 60


def test_the_worked_example_is_what_it_says() -> None:
    """Each unit and each fate of docs/analysis.md."""
    seen = [
        ("ann", "9:10", "treatment", False),
        ("ann", "9:50", "treatment", False),
        ("bob", "9:30", "control", False),
        ("hal", "9:20", "control", False),
        ("cid", "11:40", "treatment", False),
        ("dora", "10:00", "control", False),
        ("dora", "10:20", "treatment", False),
        ("eve", "10:00", "control", True),
    ]
    clicks = ["ann 9:40", "ann 10:05", "bob 9:20", "bob 10:45", "cid 11:50", "cid 12:10"]
    clicks += [f"{name} 10:05" for name in ("dora", "eve", "fay")]
    exposures = [
        logs.exposure(number, unit=unit, time=_at(clock), arm=arm, override=forced)
        for number, (unit, clock, arm, forced) in enumerate(seen)
    ]
    exposures.append(logs.exposure(99, unit="gus", time=_at("12:10"), phase=2))
    outcomes = [
        logs.outcome(number, unit=unit, time=_at(clock))
        for number, (unit, clock) in enumerate(click.split() for click in [*clicks, "gus 12:15"])
    ]
    outcomes.append(logs.outcome(99, unit="hal", time=_at("9:50"), received=_at("11:00")))
    ctr = Metric(name="ctr", kind="proportion", outcome="click", window=3600.0, goal="up")
    history = History({"e": (Phase(1, 1, NINE, _at("12:00")), Phase(1, 2, _at("12:00")))})
    found = fold_one(logs.engine(exposures, outcomes), Plan("e", (ctr,)), history, _at("12:30"))
    first, second = found.stages
    assert (first.units, first.crossed, first.overrides) == (5, 1, 1)
    assert first.fates["ctr"] == Fates(attributed=3, early=1, late=2, immature=0, excluded=1, overdue=1)
    assert second.fates["ctr"] == Fates(immature=1)
    assert found.strays["ctr"] == Stray(total=11, future=0, unmatched=2)
    control, treatment = (found.cells[Place(1, 1, arm)].metrics["ctr"] for arm in ("control", "treatment"))
    assert (control.units, control.cut) == (Moments(2, 0.0, 0.0), 0)
    assert (treatment.units, treatment.cut) == (Moments(2, 2.0, 2.0), 1)
    assert found.cells[Place(1, 2, "a")].metrics["ctr"].immature == 1
    patient = structs.replace(ctr, grace=3600.0)
    waited = fold_one(logs.engine(exposures, outcomes), Plan("e", (patient,)), history, _at("12:30"))
    assert waited.cells[Place(1, 1, "control")].metrics["ctr"].units == Moments(2, 1.0, 1.0)


LATE = [logs.outcome(1, time=3.0), logs.outcome(2, time=4.0, received=20.0)]
VISITS = Metric(name="visits", kind="count", outcome="click", window=5.0, goal="up")


def _visits(metric: Metric, now: float, *, frozen: bool = True) -> Aggregate:
    made = Plan("e", (metric,), frozen=frozen)
    history = History({"e": (Phase(1, 1, 0.0, 15.0), Phase(1, 2, 15.0))})
    return fold_one(logs.engine([logs.exposure(1)], LATE), made, history, now).cells[Place(1, 1, "a")].metrics["visits"]


@pytest.mark.parametrize("now", [5.0, 10.0, 19.0, 20.0, 1e6])
def test_a_value_that_has_entered_never_changes(now: float) -> None:
    """From the moment a unit's window closes, every later look finds the same, whatever is received meanwhile."""
    assert _visits(VISITS, 4.9).immature == 1
    assert _visits(VISITS, now) == _visits(VISITS, 5.0)
    assert _visits(VISITS, now).units.y == 1.0


def test_a_look_at_all_that_is_known_is_provisional() -> None:
    """Late labels count when values are not frozen, and the sums say that no sequential test may read them."""
    known = _visits(VISITS, 30.0, frozen=False)
    assert (known.units.y, known.provisional) == (2.0, True)


def test_values_without_a_window_may_change_until_a_grace_is_over() -> None:
    """While the phase lasts, and after it for as long as outcomes of its time may be received."""
    endless = structs.replace(VISITS, window=None)
    assert [_visits(endless, now).units.y for now in (10.0, 30.0)] == [1.0, 2.0]
    assert _visits(endless, 30.0).provisional
    settled = structs.replace(endless, grace=2.0)
    assert [_visits(settled, now).provisional for now in (10.0, 16.9, 17.0)] == [True, True, False]
    assert _visits(settled, 30.0) == _visits(settled, 17.0)
    errors = Metric(name="visits", kind="ratio", exchange="failed", goal="down")
    assert [_visits(errors, now).provisional for now in (14.0, 15.0)] == [True, False]


def test_a_cap_is_a_quantile_of_both_arms_together() -> None:
    """Values above it count as it, in both arms; zeros count among the values."""
    values = [0.0] * 50 + [float(value) for value in range(1, 51)]
    exposures = [logs.exposure(number, unit=f"u{number}", arm="ab"[number % 2]) for number in range(100)]
    outcomes = [logs.outcome(number, unit=f"u{number}", value=value) for number, value in enumerate(values)]
    spent = Metric(name="spent", kind="mean", outcome="click", cap=0.9, goal="up")
    found = fold_one(logs.engine(exposures, outcomes), Plan("e", (spent,)), History(), 10.0)
    known = [cell.metrics["spent"] for cell in found.cells.values()]
    (cap,) = {one.cap for one in known}
    assert cap is not None
    assert isclose(cap, 40.0, rel_tol=ACCURACY)
    assert isclose(sum(one.units.y for one in known), sum(min(value, cap) for value in values))
