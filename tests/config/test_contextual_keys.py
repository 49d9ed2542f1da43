"""The keys of policies that look at the request: what each needs, and what would not work."""

import pytest

from router.config.contextual import Feature
from tests.config.sample import loaded, mistakes

TEXT = """\
targets:
  - {name: a, endpoints: [http://127.0.0.1:8001]}
  - {name: b, endpoints: [http://127.0.0.1:8002]}
routes:
  - {name: r, target: a, unit: [header:x-user-id], attributes: {tier: header:x-tier, age: header:x-age}}
metrics:
  - {name: ctr, kind: proportion, outcome: click, window: 1h, goal: up}
experiments:
  - name: e
    route: r
    unit: UNIT
    arms: [{name: control, target: a, weight: 95}, {name: treatment, target: b, weight: 5}]
    metrics: {primary: ctr}
    allocate: {reward: ctr, KEYS}
"""


def text(keys: str, unit: str = "[request]") -> str:
    """Write a configuration with a policy; ``LT`` is linear Thompson sampling."""
    keys = keys.replace("LT", "use: linear_thompson")
    return TEXT.replace("KEYS", keys).replace("UNIT", unit)


def test_features_are_names_categories_or_numbers() -> None:
    """A name is a category; the rest has defaults."""
    keys = "use: linear_thompson, features: [tier, {number: age}], draws: 256, floor: 2%"
    allocate = loaded(text(keys)).config.experiments[0].allocate
    assert allocate.features == (Feature(category="tier"), Feature(number="age"))
    assert [feature.name for feature in allocate.features] == ["tier", "age"]
    assert (allocate.draws, allocate.floor, allocate.ridge, allocate.bandit) == (256, 0.02, 1.0, True)
    keys = (
        "use: lin_ucb, features: [{category: tier, values: [gold, free]}], floor: 1%, alpha: 0.5, warm_up: {units: 9}"
    )
    allocate = loaded(text(keys)).config.experiments[0].allocate
    assert allocate.features == (Feature(category="tier", values=("gold", "free")),)
    assert (allocate.alpha, allocate.warm_up.units) == (0.5, 9)


@pytest.mark.parametrize(
    ("keys", "unit", "said"),
    [
        ("LT", "[request]", 'key "features" is missing'),
        ("LT, features: [tier]", "[header:x-user-id]", "say unit: [request]"),
        (
            "LT, features: [tier], period: 1d",
            "[request]",
            "period: has no effect with linear_thompson",
        ),
        (
            "LT, features: [colour]",
            "[request]",
            'route "r" has no attribute "colour"; it has: age, tier',
        ),
        ("LT, features: [tier, tier]", "[request]", 'attribute "tier" is a feature already'),
        (
            "LT, features: [{category: tier, number: age}]",
            "[request]",
            "is either a category or a number",
        ),
        ("LT, features: [{}]", "[request]", "is either a category or a number"),
        ("LT, features: [{number: age, values: [a]}]", "[request]", "a number has no values"),
        ("LT, features: [tier], draws: 100", "[request]", "draws"),
        ("LT, features: [tier], alpha: 2", "[request]", "alpha: has no effect with linear_thompson"),
        ("LT, features: [tier], control_share: 5%", "[request]", "control_share: has no effect"),
        ("LT, features: [tier], floor: 60%", "[request]", "leaves nothing to allocate among 2 arms"),
        ("use: lin_ucb, features: [tier]", "[request]", "without a floor above 0 nothing is learned of the others"),
        ("use: lin_ucb, features: [tier], floor: 0%", "[request]", "without a floor above 0"),
        ("use: lin_ucb, features: [tier], floor: 1%, draws: 128", "[request]", "draws: has no effect with lin_ucb"),
        ("use: thompson, features: [tier]", "[request]", "features: has no effect with thompson"),
    ],
)
def test_what_would_not_work_is_refused_with_the_reason(keys: str, unit: str, said: str) -> None:
    """Each mistake names its key, and the way out."""
    assert any(said in mistake for mistake in mistakes(text(keys, unit))), mistakes(text(keys, unit))
