"""What a configuration may say of a staged rollout."""

import pytest

from router.config.load import load_text
from router.config.mistake import ConfigError

ERRORS = "{name: errors, kind: ratio, exchange: failed, goal: down}"
SLOW = "{name: ctr, kind: proportion, outcome: click, goal: up, window: 2h, grace: 30m}"

LATE = (
    'allocate.stages[0].hold: 1h is too short: the stage requires metric "ctr", which is known 150m after an exposure '
    "(its window and grace); hold longer, or require less"
)
ALONE = (
    "allocate.keep_control: leaves no control to compare with; that takes a guardrail with action rollback that needs "
    "none: at_most, at_least, slo or when"
)


def _text(allocate: str, arms: str = "{name: old, target: a}, {name: new, target: b}", metrics: str = "") -> str:
    measured = f"    metrics: {{{metrics}}}\n" if metrics else ""
    return (
        "targets:\n"
        "  - {name: a, endpoints: ['http://127.0.0.1:8001']}\n"
        "  - {name: b, endpoints: ['http://127.0.0.1:8002']}\n"
        "  - {name: c, endpoints: ['http://127.0.0.1:8003']}\n"
        "routes: [{name: r, target: a, unit: [header:x-user-id]}]\n"
        f"metrics: [{ERRORS}, {SLOW}]\n"
        "experiments:\n"
        "  - name: ramp\n"
        "    route: r\n"
        f"    arms: [{arms}]\n"
        f"    allocate: {{{allocate}}}\n" + measured
    )


def _mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        load_text(text.encode(), "router.yaml")
    return [f"{mistake.path}: {mistake.message}" for mistake in refused.value.mistakes]


def test_arms_of_a_release_need_no_weights_and_others_do() -> None:
    """The stages say the weights; a fixed split without them is refused as before."""
    load_text(_text("use: rollout").encode(), "router.yaml")
    missing = 'key "weight" is missing: relative share of units; 0 serves nobody but overrides'
    assert _mistakes(_text("use: fixed"))[0] == f"$.experiments[0].arms[0]: {missing}"


@pytest.mark.parametrize(
    ("allocate", "metrics", "expected"),
    [
        ("use: fixed, bake: 5m", "", "allocate.bake: has no effect, because only rollout has it"),
        ("use: fixed, max_risk: 1", "", "allocate.max_risk: has no effect, because only rollout has it"),
        (
            "use: rollout, stages: [{share: 5%, hold: 1h}, {share: 5%, hold: 1h}]",
            "",
            "allocate.stages[1].share: is 0.05; each stage has more than the one before, which has 0.05",
        ),
        (
            "use: rollout, stages: [{share: 5%, hold: 1h, deadline: 1h}]",
            "",
            "allocate.stages[0].deadline: is not after hold, so the stage could never be passed in time",
        ),
        (
            "use: rollout, stages: [{share: 5%, hold: 1h, require: [primary]}]",
            "",
            "allocate.stages[0].require: asks for the primary metric, and the experiment has no metrics",
        ),
        (
            "use: rollout, stages: [{share: 5%, hold: 1h, require: [primary]}]",
            "primary: ctr",
            LATE,
        ),
        (
            "use: rollout, stages: [{share: 5%, hold: 1h}]",
            "primary: errors, guardrails: [{metric: ctr, relative: -5%}]",
            LATE,
        ),
        (
            "use: rollout, keep_control: 0%",
            "primary: errors, guardrails: [{metric: errors, ratio: 2}]",
            ALONE,
        ),
    ],
)
def test_what_cannot_be_is_refused_with_the_way_out(allocate: str, metrics: str, expected: str) -> None:
    """Each mistake names its key, the value and what to do."""
    assert f"$.experiments[0].{expected}" in _mistakes(_text(allocate, metrics=metrics))


@pytest.mark.parametrize(
    ("arms", "expected"),
    [
        (
            "{name: x, target: a}, {name: y, target: b}, {name: z, target: c}",
            "arms: a rollout leads from one version to another, and there are 3 arms",
        ),
        (
            "{name: x, target: a}, {name: y, target: a}",
            "arms[1].target: is that of the other arm, so there is nothing to release",
        ),
    ],
)
def test_a_rollout_has_two_arms_that_are_two_targets(arms: str, expected: str) -> None:
    """It leads from one version to another."""
    assert f"$.experiments[0].{expected}" in _mistakes(_text("use: rollout", arms))


def test_a_metric_that_is_known_within_the_hold_may_be_required() -> None:
    """Neither a longer hold, nor a soft guardrail, nor one without a window is refused."""
    stages = "stages: [{share: 5%, hold: 3h, require: [guardrails, primary]}]"
    load_text(_text(f"use: rollout, {stages}", metrics="primary: ctr").encode(), "router.yaml")
    soft = "primary: errors, guardrails: [{metric: ctr, relative: -5%, action: warn}]"
    load_text(_text("use: rollout, stages: [{share: 5%, hold: 1s}]", metrics=soft).encode(), "router.yaml")
