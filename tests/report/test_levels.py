"""The check for interference between two experiments."""

from typing import Any

import numpy as np
import pytest
from msgspec import structs

from router.analysis.aggregates import Aggregate, Cell, Place
from router.analysis.estimate import NotEnough
from router.analysis.slots import Slots, SlotSums
from router.config.allocate import Allocate
from router.config.schema import Arm, Experiment, Metric
from router.inference.effect import Effect
from router.report.levels import Side, TwoLevels, two_levels
from tests.report.build import CTR, NOW, cell, draw, evidence, experiment, moments

METRICS = (CTR,)
UNITS = {"control": draw(1, 4_000, 0.10), "treatment": draw(2, 4_000, 0.15)}


def by_units(arms: dict[str, Cell] | None = None, **more: Any) -> Side:
    """Give an experiment that assigns users."""
    made = structs.replace(experiment(), name="users", **more)
    return Side(made, evidence(made, arms or UNITS, metrics=METRICS))


def tenants(seed: int, chance: float) -> Cell:
    """Draw 60 tenants of 50 users, and their sums."""
    rng = np.random.default_rng(seed)
    clicks = rng.binomial(50, np.clip(chance + 0.02 * rng.standard_normal(60), 0.01, 0.99)).astype(float)
    ones = np.concatenate([np.arange(50) < number for number in clicks]).astype(float)
    known = Aggregate(units=moments(ones), clusters=moments(clicks, np.full(60, 50.0)))
    return structs.replace(cell({"ctr": ones}), metrics={"ctr": known})


def by_clusters(effect: float = 0.05, **more: Any) -> Side:
    """Give an experiment that assigns tenants."""
    made = structs.replace(experiment(), name="tenants", **{"unit": ("header:x-tenant",), **more})
    return Side(made, evidence(made, {"control": tenants(3, 0.1), "treatment": tenants(4, 0.1 + effect)},
                               metrics=METRICS))  # fmt: skip


def difference(found: TwoLevels) -> Effect:
    """Return the difference of the only arm."""
    known = found.arms["treatment"].difference
    assert isinstance(known, Effect)
    return known


@pytest.mark.parametrize(("effect", "seen"), [(0.05, "No interference is seen"), (0.2, "Units influence each other")])
def test_other_effects_by_clusters_are_seen(effect: float, seen: str) -> None:
    """Where both designs find the same there is nothing to see; which is named first does not matter."""
    found = two_levels(by_units(), by_clusters(effect), NOW)
    assert (found.by_units, found.by_clusters, found.metric) == ("users", "tenants", "ctr")
    assert difference(found).notes[0].startswith(seen)
    assert two_levels(by_clusters(effect), by_units(), NOW) == found


def test_slots_of_time_are_clusters() -> None:
    """A switchback is compared by its slots."""
    made = structs.replace(experiment(), name="slots", allocate=Allocate(use="switchback", slot=3600.0))
    known = evidence(made, UNITS, metrics=METRICS)
    rng = np.random.default_rng(5)
    treated = rng.random(240) < 0.5
    rates = 0.1 + 0.05 * treated + 0.02 * rng.standard_normal(240)
    sums = tuple(
        SlotSums("treatment" if treated[each] else "control", 3600 * each, "", 50 * float(rates[each]), 50.0)
        for each in range(240)
    )
    result = structs.replace(known.result, slots={(1, 1): Slots(3600.0, sums)})
    found = two_levels(by_units(), Side(made, known._replace(result=result)), NOW)
    assert isinstance(found.arms["treatment"].cluster, Effect)
    assert found.arms["treatment"].cluster.method.startswith("switchback")
    assert not difference(found).notes[0].startswith("Units influence")


def test_too_little_data_says_whose() -> None:
    """An empty arm is no effect, and no exception."""
    found = two_levels(by_units({"control": UNITS["control"], "treatment": Cell()}), by_clusters(), NOW)
    known = found.arms["treatment"].difference
    assert isinstance(known, NotEnough)
    assert known.reason.startswith("by units: ")


def _other_arms(made: Experiment) -> Experiment:
    return structs.replace(made, arms=(made.arms[0], Arm(name="treatment", target="elsewhere", weight=1.0)))


OTHER = Metric(name="ctr", kind="proportion", outcome="click", window=7200.0, goal="up")


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (by_units(), "both assign units"),
        (by_clusters(unit=("request",)), "assigns requests"),
        (by_clusters(allocate=Allocate(use="thompson", reward="ctr")), "is a bandit"),
        (by_clusters(allocate=Allocate(use="ensemble", at="/s")), "merges its arms' answers"),
        (Side(_other_arms(by_clusters().experiment), by_clusters().evidence), "different arms"),
        (by_clusters(control="treatment"), "different arms"),
    ],
    ids=range(6),
)
def test_what_cannot_be_compared_is_refused(other: Side, sentence: str) -> None:
    """Two designs of one question are needed; a sentence says what is wrong."""
    with pytest.raises(ValueError, match=sentence):
        two_levels(by_units(), other, NOW)


def test_other_metrics_and_empty_experiments_are_refused() -> None:
    """The same metric by another window is another one; without exposures there is nothing."""
    side = by_clusters()
    plan = structs.replace(side.evidence.result.plan, metrics=(OTHER,))
    result = structs.replace(side.evidence.result, plan=plan)
    with pytest.raises(ValueError, match="same primary metric"):
        two_levels(by_units(), Side(side.experiment, side.evidence._replace(result=result)), NOW)
    empty: dict[Place, Cell] = {}
    result = structs.replace(side.evidence.result, stages=(), cells=empty)
    with pytest.raises(ValueError, match="exposed nobody yet"):
        two_levels(by_units(), Side(side.experiment, side.evidence._replace(result=result)), NOW)
