"""What a bandit learns from a log: each observation once, whatever is remembered, late or missing."""

import math
from typing import Any

import pytest
from msgspec.structs import replace

from router.analysis.history import History, Phase
from router.config.allocate import Allocate, WarmUp
from router.config.schema import Arm, Experiment, Measured, Metric
from router.control.learn import SETTLE_S, learn
from router.control.produce import Produced, Task, producer
from router.events.model import Run
from tests.analysis.logs import Row, engine, exposure, outcome

CTR = Metric(name="ctr", kind="proportion", outcome="click", window=10.0, goal="up")
REVENUE = Metric(name="revenue", kind="mean", outcome="click", window=10.0, goal="up")
PAST = History(phases={"e": (Phase(1, 1, 0.0, None, ("a", "b"), "a", clustered=True),)})
WEIGHTS = {"a": 0.5, "b": 0.5}


def task(now: float, metric: Metric = CTR, run: int = 1, **options: Any) -> Task:
    """Ask about a bandit whose unit is a request."""
    options = {"use": "thompson", "warm_up": WarmUp(units=1), "floor": 0.0, **options}
    experiment = Experiment(
        name="e",
        route="r",
        unit=("request",),
        arms=(Arm(name="a", target="t", weight=1), Arm(name="b", target="t", weight=1)),
        metrics=Measured(primary=metric.name),
        allocate=Allocate(reward=metric.name, **options),
    )
    return Task(experiment, metric, Run(number=run, phase=1, epoch=0), WEIGHTS, PAST, now)


def log(count: int, every: float = 1.0) -> tuple[list[Row], list[Row]]:
    """Write requests of arms a and b in turn; every second of arm b has a click a second later."""
    seen = [
        exposure(n, time=n * every, arm="ab"[n % 2], unit=f"r{n}", user="u", request_id=f"r{n}") for n in range(count)
    ]
    clicks = [
        outcome(n, time=n * every + 1, keyed="request_id", request_id=f"r{n}", unit=None) for n in range(3, count, 4)
    ]
    return seen, clicks


def counts(found: Produced) -> dict[str, tuple[int, float | None]]:
    """Return observations and mean reward of each arm."""
    return {arm: (each["observations"], each["reward"]) for arm, each in found.standing["arms"].items()}


def test_an_observation_enters_when_its_window_closes() -> None:
    """A click that has not come yet is no failure: until then there is no observation."""
    known = engine(*log(100))
    assert counts(learn(known, task(9.9), None)) == {"a": (0, None), "b": (0, None)}
    assert counts(learn(known, task(10.0), None)) == {"a": (1, 0.0), "b": (0, None)}
    assert counts(learn(known, task(13.5), None)) == {"a": (2, 0.0), "b": (2, 0.5)}
    assert counts(learn(known, task(1000.0), None)) == {"a": (50, 0.0), "b": (50, 0.5)}


def test_what_is_received_after_the_window_is_not_counted() -> None:
    """An observation that entered does not change: late rewards have a fate of their own in the report."""
    seen, clicks = log(100)
    late = [{**each, "received": each["time"] + 50} for each in clicks]
    assert counts(learn(engine(seen, late), task(1000.0), None)) == {"a": (50, 0.0), "b": (50, 0.0)}


@pytest.mark.parametrize(("metric", "half_life"), [(CTR, 60.0), (REVENUE, None)])
def test_reading_bit_by_bit_is_reading_everything(metric: Metric, half_life: float | None) -> None:
    """What is remembered is a shortcut: after a restart posterior and weights are the same, up to rounding."""
    known = engine(*log(600))
    memory = None
    for now in (5, 300, 310, 700):
        step = learn(known, task(float(now), metric, half_life=half_life), memory)
        memory = step.memory
        anew = learn(known, task(float(now), metric, half_life=half_life), None)
        for arm in "ab":
            one, other = step.standing["arms"][arm], anew.standing["arms"][arm]
            assert one["observations"] == other["observations"]
            assert math.isclose(one["effective"], other["effective"], rel_tol=1e-9)
            assert one["best"] == pytest.approx(other["best"], abs=1e-9) or one["best"] is other["best"] is None
        assert step.weights == (None if anew.weights is None else pytest.approx(anew.weights))
    assert memory is not None
    assert memory.until == now - SETTLE_S


def test_lines_that_come_a_moment_late_are_counted() -> None:
    """A worker writes when an exchange ends: what settled is only what is older than that takes."""
    seen, clicks = log(100)
    first = learn(engine(seen[:50], clicks), task(100.0), None)
    assert learn(engine(seen, clicks), task(130.0), first.memory).standing["observations"] == 100


def test_what_was_remembered_of_something_else_is_forgotten() -> None:
    """Another run, another metric, another half-life: everything is read anew."""
    known = engine(*log(100))
    memory = learn(known, task(1000.0), None).memory
    assert learn(known, task(1000.0, run=2), memory).standing["observations"] == 0
    assert learn(known, task(1000.0, half_life=10.0), memory).standing["arms"]["a"]["effective"] < 50
    assert learn(known, task(1000.0, REVENUE), memory).standing["arms"]["b"]["posterior"]["kind"] == "student_t"
    assert learn(known, task(1000.0), "rubbish").standing["observations"] == 100


def test_warm_up_leaves_the_weights_alone() -> None:
    """Until each arm has its observations, and the run has lasted; then the allocator speaks."""
    known = engine(*log(100))
    waiting = learn(known, task(1000.0, warm_up=WarmUp(units=51)), None)
    assert (waiting.weights, waiting.standing["warm"]) == (None, False)
    assert learn(known, task(1000.0, warm_up=WarmUp(units=50, time=1001.0)), None).weights is None
    assert learn(known, task(1001.0, warm_up=WarmUp(units=50, time=1001.0)), None).weights is not None


def test_less_is_better_where_the_goal_says_so() -> None:
    """Of shares and of any numbers; the arm without clicks wins."""
    known = engine(*log(100))
    for metric in (CTR, REVENUE):
        weights = learn(known, task(1000.0, replace(metric, goal="down")), None).weights
        assert weights is not None
        assert weights["a"] > 0.99


def test_values_become_shares_of_their_range() -> None:
    """Those beyond are taken for the nearest end, and counted."""
    seen, clicks = log(100)
    worth = [{**each, "value": 8.0 if n % 5 else 30.0} for n, each in enumerate(clicks)]
    found = learn(engine(seen, worth), task(1000.0, REVENUE, range=(0.0, 10.0)), None)
    assert found.standing["arms"]["b"]["reward"] == pytest.approx((20 * 0.8 + 5 * 1.0) / 50)
    assert found.standing["beyond_range"] == 5
    assert found.standing["arms"]["b"]["posterior"]["kind"] == "beta"


def test_a_stopped_arm_is_at_nothing_even_in_warm_up() -> None:
    """Guardrails outrank the bandit: no floor, no share, at once."""
    known = engine(*log(100))
    for units in (1, 1000):
        asked = replace(task(1000.0, warm_up=WarmUp(units=units), floor=0.1), stopped=frozenset({"b"}))
        weights = learn(known, asked, None).weights
        assert weights is not None
        assert weights["b"] == 0.0
        assert weights["a"] > 0
    everything = replace(task(1000.0, warm_up=WarmUp(units=1000)), stopped=frozenset({"a", "b"}))
    assert learn(known, everything, None).weights == {"a": 1.0, "b": 0.0}
    resting = replace(task(1000.0, warm_up=WarmUp(units=1000)), stopped=frozenset({"b"}), weights={"a": 1.0, "b": 0.0})
    assert learn(known, resting, None).weights is None


def test_a_constant_reward_is_no_reason_for_anything() -> None:
    """Means that do not vary have no posterior; what is shown holds neither nan nor infinity."""
    found = learn(engine(log(100)[0], []), task(1000.0, REVENUE), None)
    assert found.weights == {"a": 0.5, "b": 0.5}
    assert found.standing["arms"]["a"]["posterior"] is None


def test_the_producer_of_a_policy_is_found_by_its_name() -> None:
    """Policies that read sums share one."""
    assert producer("thompson") is learn
