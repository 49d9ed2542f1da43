"""Guardrails against control on metrics of the log, from what the log says."""

import pytest
from msgspec import structs

from router.config.schema import Arm, Experiment, Guardrail, Measured, Metric
from router.guardrail.change import judge_change
from router.guardrail.evidence import ArmEvidence, Evidence
from router.guardrail.judge import judge
from router.guardrail.memory import Memory
from router.guardrail.rate import Levels
from router.guardrail.seen import Known

CTR = Metric(name="ctr", kind="proportion", goal="up", outcome="click")
COST = Metric(name="cost", kind="ratio", goal="down", exchange="header:x-cost")
LEVELS = Levels(0.001, 0.01)
DOWN_8 = Known(
    value=0.092,
    control=0.1,
    change=-0.08,
    change_low=-0.12,
    change_high=-0.04,
    difference=-0.008,
    difference_low=-0.012,
    difference_high=-0.004,
    units=(9000, 9000),
)
LEVEL = structs.replace(DOWN_8, change=0.0, change_low=-0.04, change_high=0.04, difference=0.0)
LEVEL = structs.replace(LEVEL, difference_low=-0.004, difference_high=0.004)


@pytest.mark.parametrize(
    ("guardrail", "known", "status"),
    [
        pytest.param(Guardrail(metric="ctr", relative=-0.05), DOWN_8, "fail", id="down-more-than-5%"),
        pytest.param(Guardrail(metric="ctr", relative=-0.1), DOWN_8, "inconclusive", id="worse-within-10%"),
        pytest.param(Guardrail(metric="ctr", relative=-0.2), DOWN_8, "pass", id="worse-but-surely-within-20%"),
        pytest.param(Guardrail(metric="ctr", ratio=0.95), DOWN_8, "fail", id="less-than-0.95-times"),
        pytest.param(Guardrail(metric="ctr", absolute=-0.005), DOWN_8, "fail", id="half-a-point-less"),
        pytest.param(Guardrail(metric="ctr", relative=-0.05), LEVEL, "pass", id="no-change"),
        pytest.param(Guardrail(metric="ctr", relative=-0.03), LEVEL, "inconclusive", id="not-enough-for-3%"),
        pytest.param(Guardrail(metric="cost", ratio=1.02), LEVEL, "inconclusive", id="cost-not-enough"),
        pytest.param(Guardrail(metric="cost", ratio=1.1), DOWN_8, "pass", id="cheaper-is-no-harm"),
    ],
)
def test_a_change_is_held_against_the_margin(guardrail: Guardrail, known: Known, status: str) -> None:
    """It fails beyond the margin once the arm is surely worse, and passes once it is surely within."""
    metric = COST if guardrail.metric == "cost" else CTR
    found = judge_change(guardrail, metric, lambda _name, _alpha: known, LEVELS)
    assert (found.name, found.status, found.alpha) == (guardrail.title, status, 0.001)
    assert found.counts == {"treatment_units": 9000.0, "control_units": 9000.0}


def test_without_the_log_nothing_is_said() -> None:
    """A log that is not read, or says too little, neither passes nor fails."""
    guardrail = Guardrail(metric="ctr", relative=-0.05)
    assert judge_change(guardrail, CTR, None, LEVELS).status == "inconclusive"
    found = judge_change(guardrail, CTR, lambda _name, _alpha: "not enough data: 3 units", LEVELS)
    assert (found.status, found.reason) == ("inconclusive", "not enough data: 3 units")


def test_a_control_of_nothing_is_beaten_by_anything_worse() -> None:
    """No multiple of 0 can be held: it fails when the arm is worse, and never passes."""
    guardrail = Guardrail(metric="cost", ratio=1.1)
    worse = Known(value=0.1, control=0.0, difference=0.1, difference_low=0.05, difference_high=0.2)
    assert judge_change(guardrail, COST, lambda _name, _alpha: worse, LEVELS).status == "fail"
    same = Known(value=0.0, control=0.0, difference=0.0, difference_low=-0.05, difference_high=0.05)
    assert judge_change(guardrail, COST, lambda _name, _alpha: same, LEVELS).status == "inconclusive"


def test_they_are_judged_with_the_others() -> None:
    """Each guardrail of the file has its verdict, in the order of the file, at its stage's level."""
    experiment = Experiment(
        name="new-model",
        route="predict",
        arms=(Arm(name="stable", target="v1", weight=1), Arm(name="canary", target="v2", weight=1)),
        metrics=Measured(
            primary="ctr",
            guardrails=(Guardrail(metric="ctr", relative=-0.05), Guardrail(metric="errors", ratio=2.0)),
        ),
    )
    metrics = {"ctr": CTR, "errors": Metric(name="errors", kind="ratio", goal="down", exchange="failed")}
    arms = {"canary": ArmEvidence(), "stable": ArmEvidence()}
    evidence = Evidence(time=0.0, run=1, phase=1, arms=arms)
    found, _ = judge(experiment, metrics, evidence, Memory(), 0.0, lambda _name, _alpha: DOWN_8)
    assert [(each.name, each.status) for each in found] == [
        ("nothing answers", "inconclusive"),
        ("ctr relative -5%", "fail"),
        ("errors ratio 2", "inconclusive"),
    ]
