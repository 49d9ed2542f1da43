"""What a release may cost."""

import pytest

from router.guardrail.evidence import BUCKETS, ArmEvidence
from router.rollout import machine
from router.rollout.risk import design_effect, failure_probability
from tests.rollout.build import NOW, begun, experiment, fine


def _arm(exchanges: int, failures: int) -> ArmEvidence:
    """Spread counts evenly over the buckets."""

    def spread(count: int) -> tuple[int, ...]:
        return tuple(count // BUCKETS + (index < count % BUCKETS) for index in range(BUCKETS))

    return ArmEvidence(exchanges=spread(exchanges), failures=spread(failures))


def test_without_data_the_chance_is_the_prior() -> None:
    """Nothing known is no comfort: 15 % of releases fail."""
    assert failure_probability(ArmEvidence(), ArmEvidence()) == pytest.approx(0.15, abs=0.002)


def test_clean_traffic_lowers_the_chance_and_failures_raise_it() -> None:
    """Exchanges without a failure speak for the new arm, twice control's failures against it."""
    assert failure_probability(_arm(2000, 0), _arm(2000, 0)) < 0.001
    assert failure_probability(_arm(10_000, 100), _arm(10_000, 100)) < 0.001
    assert failure_probability(_arm(10_000, 300), _arm(10_000, 100)) > 0.99


def test_the_posterior_is_that_of_the_conditional_binomial() -> None:
    """30 failures against 10 over as many exchanges: scipy's quadrature of prior and binomial gives 0.7155."""
    assert failure_probability(_arm(1000, 30), _arm(1000, 10), 2.0) == pytest.approx(0.7155, abs=0.002)


def test_failures_of_few_units_count_for_less() -> None:
    """As many failures from two buckets say less than from all of them."""
    few = ArmEvidence(exchanges=(100,) * BUCKETS, failures=(100, 100) + (0,) * (BUCKETS - 2))
    assert design_effect(few) > 50
    assert design_effect(_arm(25_600, 200)) == 1.0
    control = _arm(25_600, 60)
    assert failure_probability(few, control) < failure_probability(_arm(25_600, 200), control)


def test_a_stage_with_too_much_risk_is_not_entered() -> None:
    """``max_risk`` holds a release where it is, until the risk at the next share is low enough."""
    stages = "[{share: 5%, hold: 60s}, {share: 50%, hold: 60s}]"
    ramp = experiment(f"stages: {stages}, impact: 1000, max_risk: 10")
    progress = begun(ramp)
    held, _ = machine.step(ramp, progress, fine(risk={"failure_probability": 0.05, "impact": 1000.0}), NOW)
    assert (held.share, held.holding) == (progress.share, "risk")
    held, _ = machine.step(ramp, progress, fine(), NOW)
    assert held.holding == "risk"
    passed, _ = machine.step(ramp, held, fine(risk={"failure_probability": 0.01, "impact": 1000.0}), NOW)
    assert passed.share == 0.5
