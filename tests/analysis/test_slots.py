"""Sums of each slot of time of a switchback."""

from typing import Any

import pytest

from router.analysis import slots as module
from router.analysis.fold import fold
from router.analysis.history import History
from router.analysis.slots import Slots, SlotSums
from router.config.allocate import Allocate
from router.config.schema import Arm, Experiment, Measured, Metric
from tests.analysis.logs import Row, engine, exposure, outcome

CLICKS = Metric(name="clicks", kind="count", outcome="click", window=5.0, goal="up")
SHARE = Metric(name="share", kind="ratio", exchange="failed", goal="down")
P50 = Metric(name="p50", kind="quantile", exchange="duration", q=0.5, goal="down")


def found(metric: Metric, rows: list[Row], said: list[Row], **given: Any) -> dict[tuple[int, int], Slots]:
    """Fold one switchback with slots of ten seconds."""
    experiment = Experiment(
        name="e",
        route="r",
        arms=tuple(Arm(name=name, target=name, weight=1) for name in "ab"),
        allocate=Allocate(use="switchback", slot=10.0),
        metrics=Measured(primary=metric.name),
        **given,
    )
    return dict(fold(engine(rows, said), [experiment], [metric], History({}), 100.0).experiments["e"].slots)


def seen(number: int, begin: str, arm: str, user: str, **given: Any) -> Row:
    """Make an exposure of a user within a slot."""
    time = float(begin.rpartition("@")[2]) + number / 64
    return exposure(number, unit=begin, user=user, arm=arm, time=time, **given)


ROWS = [seen(1, "10", "a", "u"), seen(2, "10", "a", "v"), seen(3, "20", "b", "u", failed=True), seen(4, "98", "a", "w")]


def test_a_slot_has_the_sums_of_its_users() -> None:
    """Each user in it once; what is not known of yet, the last slot's, is in none."""
    said = [outcome(1, unit="u", time=11.0), outcome(2, unit="u", time=12.0), outcome(3, unit="u", time=21.0)]
    slots = found(CLICKS, ROWS, said)[1, 1]
    assert slots == Slots(10.0, (SlotSums("a", 10, "", 2.0, 2.0), SlotSums("b", 20, "", 1.0, 1.0)))


def test_a_ratio_has_its_denominator() -> None:
    """Exchanges, of a share of them."""
    assert [(slot.y, slot.x) for slot in found(SHARE, ROWS, [])[1, 1].found] == [(0.0, 2.0), (1.0, 1.0), (0.0, 1.0)]


def test_slots_of_tenants_are_told_apart() -> None:
    """The unit is whose slot it is, with its beginning, whatever signs a name has."""
    rows = [seen(1, "x@y@10", "a", "u"), seen(2, "z@10", "b", "v"), exposure(3, unit="old", time=1.0)]
    slots = found(SHARE, rows, [])[1, 1]
    assert [(slot.of, slot.begin, slot.arm) for slot in slots.found] == [("x@y", 10, "a"), ("z", 10, "b")]
    assert slots.left_out == 1


def test_the_oldest_slots_are_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded however short slots are."""
    monkeypatch.setattr(module, "MOST", 2)
    slots = found(SHARE, ROWS, [])[1, 1]
    assert ([slot.begin for slot in slots.found], slots.left_out) == ([20, 98], 1)


def test_a_quantile_has_no_sums_of_slots() -> None:
    """Quantiles do not add up."""
    assert found(P50, ROWS, []) == {}
