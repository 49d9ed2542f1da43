"""The keys of bandits: what each policy needs, and what would not work."""

import pytest

from router.config.allocate import WarmUp
from tests.config.sample import SMALL, loaded, mistakes

METRICS = """\
metrics:
  - {name: ctr, kind: proportion, outcome: click, window: 1h, goal: up}
  - {name: late, kind: proportion, outcome: click, goal: up}
  - {name: revenue, kind: mean, outcome: revenue, window: 1h, goal: up}
  - {name: rate, kind: ratio, numerator: revenue, denominator: click, window: 1h, goal: up}
  - {name: back, kind: retention, outcome: visit, day: 1, goal: up}
"""


def text(allocate: str, more: str = "", measured: str = "ctr, secondary: [late, revenue, rate, back]") -> str:
    """Write a configuration with a bandit."""
    return f"{METRICS}{SMALL}    metrics: {{primary: {measured}}}\n    allocate: {{{allocate}}}\n{more}"


def wrong(allocate: str, more: str = "", **given: str) -> list[str]:
    """Give the mistakes without file and line."""
    return [line.partition(": ")[2] for line in mistakes(text(allocate, more, **given))]


def test_a_bandit_has_its_options_with_units() -> None:
    """Durations are seconds, shares parts of one, and what is not said has a safe default."""
    keys = "use: thompson, reward: ctr, period: 1d, floor: 2%, half_life: 7d, warm_up: {units: 500, time: 2d}"
    allocate = loaded(text(keys)).config.experiments[0].allocate
    assert (allocate.period, allocate.floor, allocate.half_life) == (86400.0, 0.02, 604800.0)
    assert allocate.warm_up == WarmUp(units=500, time=172800.0)
    plain = loaded(text("use: thompson, reward: back, period: 1d")).config.experiments[0].allocate
    assert (plain.floor, plain.update, plain.warm_up, plain.half_life) == (0.01, 10.0, WarmUp(units=100), None)
    assert plain.bandit
    assert plain.slotted == 86400.0


@pytest.mark.parametrize(
    "fine",
    [
        "use: top_two_thompson, reward: revenue, period: 1d, leader: 0.6",
        "use: ucb, reward: ctr, period: 1d",
        "use: kl_ucb, reward: revenue, period: 1d, range: [0, 100], control_share: 20%",
        "use: epsilon_greedy, reward: revenue, period: 1d, epsilon: 5%",
        "use: successive_elimination, reward: ctr, period: 1d, delta: 1%",
    ],
)
def test_each_policy_loads_with_its_own_keys(fine: str) -> None:
    """The names of the interface and their options."""
    assert loaded(text(fine)).config.experiments[0].allocate.bandit


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("use: thompson, period: 1d", '"reward" is missing'),
        ("use: thompson, reward: ctr", '"period" is missing'),
        ("use: thompson, reward: clicks, period: 1d", 'metric "clicks"'),
        ("use: thompson, reward: late, period: 1d", "has no window"),
        ("use: thompson, reward: rate, period: 1d", "has no value of one unit"),
        ("use: ucb, reward: revenue, period: 1d", "needs rewards between 0 and 1"),
        ("use: thompson, reward: ctr, period: 1d, range: [0, 1]", "between 0 and 1 as it is"),
        ("use: thompson, reward: revenue, period: 1d, range: [1, 0]", "is not below its second"),
        ("use: thompson, reward: revenue, period: 1d, range: [1]", "two numbers"),
        ("use: thompson, reward: ctr, period: 1d, floor: 50%", "leaves nothing to allocate among 2 arms"),
        ("use: thompson, reward: ctr, period: 1d, control_share: 99%", "leaves nothing to allocate"),
        ("use: ucb, reward: ctr, period: 1d, floor: 0", "effects can only be told with a floor"),
        ("use: thompson, reward: ctr, period: 1d, epsilon: 5%", "has no effect with thompson"),
        ("use: successive_elimination, reward: ctr, period: 1d, half_life: 1d", "has no effect with successive"),
        ("use: fixed, floor: 5%", "has no effect with fixed"),
        ("use: fixed, period: 1d", "has no effect with fixed"),
        ("use: thompson, reward: ctr, period: 1d, slot: 1h", "only switchback has slots"),
        ("use: thompson, reward: ctr, period: 100ms", "too small"),
        ("use: thompson, reward: ctr, period: 1d, update: 0s", "too small"),
    ],
)
def test_what_would_not_work_is_said(keys: str, said: str) -> None:
    """One mistake each, at its key, with the reason."""
    found = wrong(keys)
    assert len(found) == 1, found
    assert said in found[0]
    assert found[0].startswith("$.experiments[0].allocate")


def test_a_request_has_no_period() -> None:
    """Each is drawn anyway; without a period it is fine."""
    assert wrong("use: thompson, reward: ctr", "    unit: [request]\n") == []
    found = wrong("use: thompson, reward: ctr, period: 1d", "    unit: [request]\n")
    assert "each request is drawn anew" in found[0]


def test_a_reward_is_measured_by_the_experiment() -> None:
    """Else nothing of it would be recorded."""
    found = wrong("use: thompson, reward: revenue, period: 1d", measured="ctr")
    assert "is not measured here" in found[0]


def test_an_arm_that_nobody_gets_cannot_warm_up() -> None:
    """Its first observations come from the weights of the file."""
    found = mistakes(text("use: thompson, reward: ctr, period: 1d").replace("weight: 5}", "weight: 0}"))
    assert any("cannot warm up an arm of weight 0" in line for line in found)
