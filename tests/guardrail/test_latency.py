"""Guardrails on quantiles of times: e-values from histograms, verdicts on traffic that is known."""

from math import exp, log

import numpy as np
import pytest
from msgspec import structs

from router.config.schema import Arm, Experiment, Guardrail, Measured, Metric
from router.events.rollout import Found
from router.guardrail.evidence import ArmEvidence, Evidence
from router.guardrail.judge import judge
from router.guardrail.latency import excluded
from router.guardrail.limit import Limit
from router.guardrail.memory import Memory
from router.histogram import bucket

METRICS = {"p95": Metric(name="p95", kind="quantile", goal="down", exchange="duration", q=0.95)}
RELEASE = Experiment(
    name="new-model",
    route="predict",
    arms=(Arm(name="stable", target="v1", weight=1), Arm(name="canary", target="v2", weight=1)),
    metrics=Measured(primary="p95", guardrails=(Guardrail(metric="p95", ratio=1.5),)),
)
MARGIN = Limit(ratio=1.5, difference=None, words="")


class Times:
    """Histograms of both arms, that grow look by look: log-normal around 50 ms."""

    def __init__(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed)
        self.counts = np.zeros((2, 32, 240), dtype=np.int64)

    def add(self, scale: float, requests: int = 100) -> None:
        """Count requests; canary's take ``scale`` times as long."""
        for arm, longer in enumerate((scale, 1.0)):
            times = self.generator.lognormal(log(50_000 * longer), 0.4, requests)
            clusters = self.generator.integers(0, 32, requests)
            np.add.at(self.counts[arm], (clusters, np.array([bucket(int(time)) for time in times])), 1)

    def evidence(self) -> Evidence:
        """Return what has been counted."""
        arms = {
            name: ArmEvidence(exchanges=(*map(int, counts.sum(axis=1)), *[0] * 224), latency=counts)
            for name, counts in zip(("canary", "stable"), self.counts, strict=True)
        }
        return Evidence(time=0.0, run=1, phase=1, arms=arms)


def last(scale: float, looks: int, late: int = 0, seed: int = 1) -> tuple[Found, int]:
    """Return the last thing found, and at which look that was: at the first failure, or the end."""
    times, memory, said = Times(seed), Memory(), []
    for look in range(looks):
        times.add(scale if look >= late else 1.0)
        found, memory = judge(RELEASE, METRICS, times.evidence(), memory, 60.0 * look)
        said.append(found[1])
        if found[1].status == "fail":
            break
    return said[-1], len(said) - 1


def test_a_version_twice_as_slow_fails() -> None:
    """Twice the p95 where one and a half times is allowed is found in minutes, with both quantiles in the reason."""
    found, look = last(2.0, 60)
    assert (found.name, found.status, found.margin) == ("p95 ratio 1.5", "fail", 1.5)
    assert look < 30
    assert found.estimate == pytest.approx(2.0, rel=0.25)
    assert "p95 of duration: canary" in found.reason


def test_a_version_that_slows_down_after_hours_is_found() -> None:
    """Four hours at the same pace do not hide that it is twice as slow now."""
    found, look = last(2.0, 300, late=240)
    assert found.status == "fail"
    assert 240 <= look < 280


def test_without_exchanges_in_a_phase_nothing_is_compared() -> None:
    """What failed in one phase says nothing of the next until both arms have exchanges in it."""
    times, memory, before = Times(1), Memory(), []
    for look in range(60):
        times.add(3.0)
        found, memory = judge(RELEASE, METRICS, times.evidence(), memory, 60.0 * look)
        before.append(found[1].status)
    empty = structs.replace(Times(1).evidence(), phase=2)
    found, _ = judge(RELEASE, METRICS, empty, memory, 3600.0)
    assert (before[-1], found[1].status) == ("fail", "inconclusive")


def test_the_same_pace_passes() -> None:
    """An arm with the same times is shown to be within the margin."""
    assert last(1.0, 60)[0].status == "pass"


def test_between_the_same_and_the_margin_nothing_is_said() -> None:
    """At the margin an arm neither passes nor fails."""
    assert last(1.5, 40)[0].status == "inconclusive"


def test_times_that_are_not_counted_are_inconclusive() -> None:
    """Without histograms nothing is known."""
    evidence = Evidence(time=0.0, run=1, phase=1, arms={"canary": ArmEvidence(), "stable": ArmEvidence()})
    found, memory = judge(RELEASE, METRICS, evidence, Memory(), 0.0)
    assert (found[1].status, memory.paces) == ("inconclusive", {})


def test_the_chance_of_a_wrong_pass_is_below_the_level() -> None:
    """At the margin itself, of 400 runs of 50 looks, at most 1 % + 3 standard errors ever reach an e-value of 100."""
    generator = np.random.default_rng(7)
    wrong = 0
    for _ in range(400):
        times = generator.lognormal(0, 0.4, (2, 50, 20)) * np.array([1.5, 1.0])[:, None, None] * 50_000
        index = np.vectorize(bucket, otypes=[np.int64])(times.astype(np.int64))
        counts = np.zeros((2, 32, 240), dtype=np.int64)
        for look in range(0, 50, 5):
            for arm in (0, 1):
                seen = index[arm, look : look + 5].ravel()
                np.add.at(counts[arm], (generator.integers(0, 32, len(seen)), seen), 1)
            if excluded(counts[0], counts[1], 0.95, MARGIN) >= log(100):
                wrong += 1
                break
    assert wrong <= 400 * 0.01 + 3 * (400 * 0.01) ** 0.5


def test_without_slow_exchanges_it_is_the_rule_of_three() -> None:
    """With control's quantile known and nothing of treatment beyond, the e-value is q^-n times a weight of 10 %."""
    control = np.zeros((32, 240), dtype=np.int64)
    control[:, 100], control[:, 160] = 940_000, 60_000
    treatment = np.zeros((32, 240), dtype=np.int64)
    treatment[:, 90] = 5
    found = excluded(treatment, control, 0.95, MARGIN)
    assert 0.1 <= exp(found) / 0.95 ** -(32 * 5) <= 1.0
