"""What a linear policy learns from a log, and what a tick publishes of it."""

import math
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from router.analysis.history import History, Phase
from router.analysis.weights import in_force
from router.config.allocate import Allocate, WarmUp
from router.config.contextual import Feature
from router.config.schema import Arm, Experiment, Measured, Metric
from router.control.allot import allotment
from router.control.learn_linear import produce
from router.control.produce import Produced, Task, producer
from router.control.state import State, apply, resume
from router.control.tick import Allotment, tick
from router.events.model import Run
from router.events.policy import LinearModel
from router.routing.linear import lay_out, row_of, thompson
from tests.analysis.logs import Row, engine, exposure, outcome
from tests.control.build import NOW, loaded, started, yaml

CTR = Metric(name="ctr", kind="proportion", outcome="click", window=10.0, goal="up")
PAST = History(phases={"e": (Phase(1, 1, 0.0, None, ("a", "b"), "a", clustered=True),)})
WEIGHTS = {"a": 1.0, "b": 1.0}


def task(now: float, metric: Metric = CTR, **options: Any) -> Task:
    """Ask about a policy on tier."""
    given = {"use": "linear_thompson", "features": (Feature(category="tier"),), "warm_up": WarmUp(units=5), **options}
    experiment = Experiment(
        name="e",
        route="r",
        unit=("request",),
        arms=(Arm(name="a", target="t", weight=1), Arm(name="b", target="t", weight=1)),
        metrics=Measured(primary=metric.name),
        allocate=Allocate(reward=metric.name, **given),
    )
    return Task(experiment, metric, Run(number=1, phase=1, epoch=0), WEIGHTS, PAST, now)


def log(count: int) -> tuple[list[Row], list[Row]]:
    """Write requests of gold and free, of arms a and b; gold clicks in arm a, free in arm b."""
    seen, clicks = [], []
    for n in range(count):
        arm, tier = "ab"[n % 2], ("gold", "free")[n // 2 % 2]
        about = {"tier": tier}
        seen.append(exposure(n, time=float(n), arm=arm, unit=f"r{n}", user="u", request_id=f"r{n}", attributes=about))
        if (arm == "a") == (tier == "gold"):
            clicks.append(outcome(n, time=n + 1.0, keyed="request_id", request_id=f"r{n}", unit=None))
    return seen, clicks


def shares(model: LinearModel, tier: str | None) -> list[float]:
    """Return what a worker makes of a tier."""
    columns, width = lay_out(model.features)
    return thompson(model)(row_of(columns, width, [tier]))


def learned(found: Produced) -> LinearModel:
    """Return the model that there is."""
    assert found.policy is not None
    return found.policy


def test_what_callers_of_a_kind_like_is_what_they_get() -> None:
    """Clicks of gold in one arm and of free in the other come back as shares; the weights stay the file's."""
    found = producer("linear_thompson")(engine(*log(400)), task(1000.0), None)
    model = learned(found)
    assert shares(model, "gold")[0] > 0.99
    assert shares(model, "free")[1] > 0.99
    assert found.weights is None
    assert (model.seen, model.run, model.floor) == (400, 1, 0.01)
    standing = found.standing
    assert standing["arms"]["a"] == {
        "observations": 200, "effective": 200.0, "reward": 0.5, "posterior": None, "best": None, "next": None,
    }  # fmt: skip


def test_until_every_arm_is_warm_the_weights_of_the_file_hold() -> None:
    """Observations enter when their window closes; five of each arm are needed here."""
    known = engine(*log(400))
    assert produce(known, task(17.0), None).policy is None
    assert learned(produce(known, task(19.0), None)).seen == 10


@pytest.mark.parametrize("half_life", [None, 60.0])
def test_reading_bit_by_bit_is_reading_everything(half_life: float | None) -> None:
    """What is remembered is a shortcut: after a restart sums and draws are the same, up to rounding."""
    known = engine(*log(300))
    memory = None
    for now in (130, 480):
        step = produce(known, task(float(now), half_life=half_life), memory)
        memory, anew = step.memory, produce(known, task(float(now), half_life=half_life), None)
        one, other = (np.frombuffer(learned(each).numbers, dtype="<f4") for each in (step, anew))
        assert one == pytest.approx(other, abs=1e-4)
        assert step.standing["observations"] == anew.standing["observations"]
        assert all(
            math.isclose(step.standing["arms"][arm]["effective"], anew.standing["arms"][arm]["effective"], rel_tol=1e-9)
            for arm in "ab"
        )


def test_memory_of_another_definition_is_not_used() -> None:
    """Other features are learned from the beginning of the run."""
    known = engine(*log(100))
    memory = produce(known, task(1000.0), None).memory
    other = produce(known, task(1001.0, features=(Feature(category="tier", values=("free",)),)), memory)
    assert learned(other).features[0].values == ("free",)
    assert learned(other).seen == 100


def test_less_is_better_where_the_goal_is_down() -> None:
    """With clicks as a cost, gold gets the other arm."""
    found = produce(engine(*log(400)), task(1000.0, Metric(**{**CTR_KEYS, "goal": "down"})), None)
    assert shares(learned(found), "gold")[1] > 0.99
    assert found.standing["arms"]["a"]["reward"] == 0.5


CTR_KEYS: dict[str, Any] = {"name": "ctr", "kind": "proportion", "outcome": "click", "window": 10.0}


def test_a_stopped_arm_is_in_no_model_and_has_no_weight() -> None:
    """Guardrails outrank the policy: the other arm has everything, and there is nothing to choose."""
    found = produce(engine(*log(400)), replace(task(1000.0), stopped=frozenset({"b"})), None)
    assert found.policy is None
    assert found.weights == {"a": 1.0, "b": 0.0}


# --- Publishing -------------------------------------------------------------------------------------------------------

CONFIG = yaml(
    "1, 1",
    "unit: [request]\nmetrics: {primary: ctr}\nallocate: {use: linear_thompson, reward: ctr, features: [tier]}",
    top="metrics: [{name: ctr, kind: proportion, outcome: click, window: 1h, goal: up}]",
).replace("unit: [header:x-user-id]", "unit: [header:x-user-id], attributes: {tier: header:x-tier}", 1)


def model(seen: int, run: int = 1) -> LinearModel:
    """Return a model of nothing."""
    numbers = np.zeros((1, 2, 1), dtype="<f4").tobytes()
    return LinearModel(
        use="linear_thompson", run=run, features=(), arms=("old", "new"), floor=0.1, numbers=numbers, seen=seen
    )


def ticked(state: State, policy: LinearModel) -> State | None:
    """Return the state after a tick with a model; None when nothing is new."""
    made = tick(state, {"ramp": Allotment("linear_thompson", 1, 1, None, policy=policy)}, NOW + 10)
    return None if made is None else made[0]


def test_a_new_model_is_a_revision_with_an_epoch_of_its_own() -> None:
    """Weights stay; the log of ticks says from how many observations it was learned; the same model is nothing new."""
    state = started(CONFIG)
    made = tick(state, {"ramp": Allotment("linear_thompson", 1, 1, None, policy=model(7))}, NOW + 10)
    assert made is not None
    following, revision, entry = made
    assert revision.policies == {"ramp": model(7)}
    assert (revision.runs["ramp"].epoch, revision.weights) == (1, {"ramp": {"old": 1.0, "new": 1.0}})
    assert (entry.policies, entry.weights) == ({"ramp": 7}, {})
    assert ticked(following, model(7)) is None
    assert ticked(following, model(8)) is not None


def test_a_model_outlives_a_reload_and_the_control_process() -> None:
    """An edit of something else keeps it, and so does a control process that takes over from workers."""
    state = ticked(started(CONFIG), model(7))
    assert state is not None
    edited = apply(state, loaded(CONFIG.replace("window: 1h", "window: 2h")), NOW + 20, "file")
    assert isinstance(edited, tuple)
    assert edited[1].policies == {"ramp": model(7)}
    assert state.revision is not None
    forgetful = State(replace(state.revision, policies={}), state.history)
    taken = resume(forgetful, state.revision).revision
    assert taken is not None
    assert taken.policies == {"ramp": model(7)}


def test_no_weights_in_force_are_said_of_requests_that_had_their_own() -> None:
    """So no sample ratio is tested against the weights of the file."""
    state = started(CONFIG)
    assert in_force(state.history) == {}


def test_what_a_producer_says_is_what_is_allotted() -> None:
    """A model with or without weights, for the run and phase that was asked about."""
    asked = task(1.0)
    assert allotment(asked, None, model(1)) == Allotment("linear_thompson", 1, 1, None, policy=model(1))
    assert allotment(asked, {"a": 1.0, "b": 0.0}).weights == {"a": 1.0, "b": 0.0}
