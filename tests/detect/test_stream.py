"""One watched stream: episodes, hostile points, false alarms."""

from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.detect.change_point import ChangePoint, with_rate
from router.detect.chart import Chart, Cusum, Direction, Ewma, PageHinkley, Shewhart, Sums, step
from router.detect.run_length import run_length, with_run_length
from router.detect.stream import Plan, Point, Said, State, take

CHARTS = (Shewhart(4.0), Ewma(0.1, 3.5), Cusum(0.5, 8.0), PageHinkley(0.25, 13.0))
HOSTILE = [0.0, -0.0, 1.0, -1e300, 1e300, 1e99, -1e99, 5e-324, float("nan"), float("inf"), float("-inf"), None]


def run(plan: Plan, points: list[Point]) -> list[Said]:
    """Return what is said of each point."""
    state, said = State(), []
    for point in points:
        state, each = take(plan, state, point)
        said.append(each)
    return said


def gaussian(seed: int, count: int, mean: float = 0.0) -> list[Point]:
    """Return points of a stream in control."""
    return [Point(float(value)) for value in mean + np.random.default_rng(seed).standard_normal(count)]


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: type(chart).__name__)
def test_a_departure_is_told_once_from_its_beginning_to_its_end(chart: Chart) -> None:
    """One episode begins soon after the shift and ends soon after it is over."""
    points = [*gaussian(1, 300, 50), *gaussian(2, 60, 56), *gaussian(3, 200, 50)]
    said = run(Plan(chart=chart), points)
    changes = [(at, each.change) for at, each in enumerate(said) if each.change is not None]
    assert [change for _, change in changes] == ["begun", "ended"]
    assert 300 <= changes[0][0] <= 305
    assert 360 <= changes[1][0] <= 450
    assert said[changes[0][0]].side == "up"
    assert said[changes[0][0]].expected == pytest.approx(50, abs=0.5)


def test_a_departure_that_stays_becomes_the_usual() -> None:
    """After ``adopt`` points the new level is learned, and nothing is told of it any more."""
    said = run(Plan(chart=Cusum(0.5, 8.0), adopt=100), [*gaussian(1, 200), *gaussian(2, 600, 5)])
    assert [each.change for each in said if each.change] == ["begun", "adopted"]
    assert said[-1].status == "quiet"
    assert said[-1].expected == pytest.approx(5, abs=0.3)


@pytest.mark.parametrize(("direction", "shift", "told"), [("up", 4, 1), ("up", -4, 0), ("down", -4, 1), ("down", 4, 0)])
def test_only_changes_in_the_direction_that_matters_are_told(direction: Direction, shift: int, told: int) -> None:
    """An error share that falls is no anomaly."""
    said = run(Plan(chart=Cusum(0.5, 9.0), direction=direction), [*gaussian(4, 100), *gaussian(5, 30, shift)])
    assert sum(each.change == "begun" for each in said) == told


@given(st.lists(st.one_of(st.sampled_from(HOSTILE), st.floats(), st.floats(-10, 10)), max_size=80))
@settings(deadline=None, max_examples=40)
@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: type(chart).__name__)
@pytest.mark.parametrize("kind", ["value", "log"])
def test_no_value_whatever_breaks_a_stream(chart: Chart, kind: str, values: list[float | None]) -> None:
    """What is said has no nan and no infinity, and state and answer can be written down and read."""
    plan = msgspec.convert({"chart": msgspec.to_builtins(chart), "kind": kind, "learn": 10}, Plan)
    state = State()
    for value in values:
        state, said = take(plan, state, Point(value))
        for number in (said.score, said.level, said.expected, state.baseline.mean, state.baseline.squares):
            assert number is None or np.isfinite(number)
        assert msgspec.json.decode(msgspec.json.encode(state), type=State) == state


@given(st.lists(st.tuples(st.integers(-3, 2**40), st.integers(-3, 2**40)), max_size=40))
@settings(deadline=None, max_examples=40)
def test_no_count_whatever_breaks_a_share(counts: list[tuple[int, int]]) -> None:
    """More failures than exchanges, or fewer than none, are a missing point; huge counts are counts."""
    plan, state = Plan(chart=Cusum(), kind="share", learn=10), State()
    for failures, exchanges in counts:
        state, said = take(plan, state, Point.of_share(failures, exchanges))
        assert (said.status == "missing") == (not 0 <= failures <= exchanges or exchanges < 1) or said.status == "alarm"
        assert said.score is None or abs(said.score) < 100


def test_missing_points_change_nothing() -> None:
    """A stream with gaps says of each point that is there what it would say without them, but for the correlation."""
    points = [*gaussian(6, 100), *gaussian(7, 20, 5)]
    gaps = [each for point in points for each in (point, Point(None))]
    begun = [at for at, each in enumerate(run(Plan(chart=Cusum(0.5, 9.0)), gaps)) if each.change == "begun"]
    assert len(begun) == 1
    assert 200 <= begun[0] <= 210


def test_page_hinkley_alarms_where_a_cusum_does() -> None:
    """The textbook's sum above its least value and the CUSUM with the same numbers alarm at the same points."""
    scores = np.random.default_rng(9).standard_normal(5000)
    total = least = 0.0
    sums, charted, textbook = Sums(), [], []
    for score in scores:
        total += float(score) - 0.25
        least = min(least, total)
        textbook.append(total - least > 5.0)
        sums, level = step(PageHinkley(0.25, 5.0), sums, float(score), "up")
        charted.append(level.beyond)
    # The chart's sum stops at 1.25 limits, so only beginnings are compared.
    begins = [at for at, (before, now) in enumerate(pairwise(textbook)) if now and not before]
    assert begins[0] == charted.index(True) - 1


@pytest.mark.parametrize("chart", CHARTS[:3], ids=lambda chart: type(chart).__name__)
def test_a_self_starting_stream_is_wrong_about_as_rarely_as_its_chart(chart: Chart) -> None:
    """In 6,000 points of streams that learn as they go there are as many alarms as stated: within 4.5 deviations."""
    plan = Plan(chart=with_run_length(chart, 500))
    alarms = 0
    for seed in range(3):
        state = State()
        for point in gaussian(100 + seed, 2000, 20):
            state, said = take(plan, state, point)
            if said.change == "begun":
                alarms += 1
                state = msgspec.structs.replace(state, since=None, sums=Sums())
    expected = 3 * (2000 - plan.learn) / run_length(with_run_length(chart, 500))
    assert abs(alarms - expected) < 4.5 * expected**0.5 + 5


def test_errors_that_are_rare_raise_no_alarm_and_many_do() -> None:
    """At one failure in ten minutes single ones are usual; a tenfold share is found."""
    generator = np.random.default_rng(10)
    plan = Plan(chart=with_run_length(Cusum(), 43_200, "up"), kind="share", direction="up")
    quiet = [Point.of_share(int(each), 100) for each in generator.binomial(100, 0.001, 3000)]
    bad = [Point.of_share(int(each), 100) for each in generator.binomial(100, 0.01, 60)]
    said = run(plan, [*quiet, *bad])
    begun = [at for at, each in enumerate(said) if each.change == "begun"]
    assert len(begun) == 1
    assert begun[0] >= 3000


def test_a_change_of_level_is_found_by_pelt_and_said_to_end() -> None:
    """Change points see a lasting small shift, and no change in 1,000 points of noise."""
    plan = Plan(chart=with_rate(ChangePoint(), 10_000))
    assert not [each for each in run(plan, gaussian(11, 1000)) if each.change]
    said = run(plan, [*gaussian(12, 300), *gaussian(13, 60, 2.5), *gaussian(14, 100)])
    assert [each.change for each in said if each.change] == ["begun", "ended"]
