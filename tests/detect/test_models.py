"""Seasons and novelty: the detectors that need a library's model."""

from itertools import pairwise

import numpy as np
import pytest

from router.detect.chart import Cusum, Ewma
from router.detect.novelty import Model, NoveltyPlan, NoveltyState, take_row
from router.detect.run_length import with_run_length
from router.detect.season import SeasonPlan, SeasonState, take_slot
from router.detect.stream import Plan, Said

SLOTS = 48
MODELS = ("isolation_forest", "autoencoder")


def course(seed: int, periods: int, drop_at: int = -1) -> list[float]:
    """Return a daily course with noise, and from a point on a lasting drop."""
    generator = np.random.default_rng(seed)
    at = np.arange(periods * SLOTS)
    values = 100 + 40 * np.sin(2 * np.pi * at / SLOTS) + 3 * generator.standard_normal(len(at))
    return [float(each) for each in np.where((drop_at >= 0) & (at >= drop_at), values - 25, values)]


def season(values: list[float | None]) -> list[Said]:
    """Return what is said of each point of a stream with a course."""
    rest = Plan(chart=with_run_length(Ewma(0.2), 20_000))
    plan, state, said = SeasonPlan(rest=rest, slots=SLOTS), SeasonState(), []
    for slot, value in enumerate(values):
        state, each = take_slot(plan, state, slot, value)
        said.append(each)
        assert len(state.points) <= 4 * SLOTS
    return said


def test_a_daily_course_is_no_anomaly() -> None:
    """Ups and downs of 40 that come each day are expected, although noise is 3; and nothing is said before two days."""
    said = season([*course(1, 10)])
    assert {each.status for each in said[: 2 * SLOTS]} == {"learning"}
    assert not [each for each in said if each.change]
    errors = [abs((each.expected or 0) - (each.value or 0)) for each in said[-SLOTS:]]
    assert np.mean(errors) < 6


def test_a_drop_that_is_within_the_daily_range_is_found() -> None:
    """At its highest, 25 less is a value that the stream often has: only the course tells that it is wrong."""
    drop_at = 6 * SLOTS + SLOTS // 4
    begun = [at for at, each in enumerate(season([*course(2, 8, drop_at)])) if each.change == "begun"]
    assert begun
    assert drop_at <= begun[0] <= drop_at + 6


def test_gaps_and_a_constant_do_not_break_a_season() -> None:
    """Missing points are filled for the fit alone; what never changes has no anomaly."""
    values: list[float | None] = [None if at % 7 == 0 else value for at, value in enumerate(course(3, 6))]
    assert not [each for each in season(values) if each.change]
    assert not [each for each in season([5.0] * (6 * SLOTS)) if each.change]


def rows(seed: int, count: int) -> list[tuple[float, ...]]:
    """Return rows of two pairs of correlated values."""
    mixing = np.array([[1, 0.9, 0, 0], [0, 0.3, 0, 0], [0, 0, 1, 0.9], [0, 0, 0, 0.3]])
    return [tuple(map(float, row)) for row in np.random.default_rng(seed).standard_normal((count, 4)) @ mixing]


@pytest.mark.parametrize("model", MODELS)
def test_a_row_unlike_all_others_is_found_though_each_value_is_usual(model: str) -> None:
    """Two values that always went together part; one such row is not enough, a few are."""
    plan = NoveltyPlan(
        model="autoencoder" if model == "autoencoder" else "isolation_forest",
        chart=with_run_length(Cusum(1.0), 10_000, "up"),
        reference=200,
    )
    state, fitted, said = NoveltyState(), None, []
    odd = [(1.8, -1.8, 1.8, -1.8)] * 10
    for row in [*rows(1, 260), *odd]:
        state, fitted, each = take_row(plan, state, fitted, row)
        said.append(each)
    begun = [at for at, each in enumerate(said) if each.change == "begun"]
    assert len(begun) == 1
    assert 261 <= begun[0] <= 269


@pytest.mark.parametrize("model", MODELS)
def test_a_model_is_a_function_of_its_reference(model: str) -> None:
    """Made again after a restart it says the same, and ranks of rows it has not seen are uniform enough."""
    plan = NoveltyPlan(
        model="autoencoder" if model == "autoencoder" else "isolation_forest", chart=Cusum(), reference=300
    )
    reference, new = rows(2, 300), rows(3, 80)
    first, again = Model(plan, reference), Model(plan, reference)
    scores = [first.score(row) for row in new]
    assert scores[:5] == [again.score(row) for row in new[:5]]
    assert np.mean(scores) == pytest.approx(0, abs=0.3)
    assert all(np.isfinite(each) for each in (*scores, first.score((1e99, -1e99, 0.0, 0.0))))


def test_a_row_with_something_missing_is_missing() -> None:
    """Neither learned nor judged."""
    plan = NoveltyPlan(model="isolation_forest", chart=Cusum(), reference=40)
    for row in [(None, 1.0), (float("nan"), 1.0), ()]:
        state, _, said = take_row(plan, NoveltyState(), None, row)
        assert (state, said.status) == (NoveltyState(), "missing")


def test_scores_of_ranks_rise_with_what_is_unlike() -> None:
    """The farther out, the higher the score, up to what the reference can tell."""
    model = Model(NoveltyPlan(model="autoencoder", chart=Cusum(), reference=300), rows(4, 300))
    scores = [model.score((each, -each, 0.0, 0.0)) for each in (0.0, 0.5, 1.0, 2.0, 4.0)]
    assert all(before <= after for before, after in pairwise(scores))
    assert scores[-1] > 2
