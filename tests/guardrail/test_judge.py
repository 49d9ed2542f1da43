"""Guardrails that read counters: verdicts on traffic that is known."""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import numpy as np
import pytest

from router.config.schema import Arm, Experiment, Guardrail, Measured, Metric
from router.events.rollout import Found
from router.guardrail.evidence import ArmEvidence, Evidence
from router.guardrail.judge import judge
from router.guardrail.memory import Memory

METRICS = {"errors": Metric(name="errors", kind="ratio", goal="down", exchange="failed")}
NOBODY = ArmEvidence()


def release(*guardrails: Guardrail) -> Experiment:
    """Make a release of two arms."""
    return Experiment(
        name="new-model",
        route="predict",
        arms=(Arm(name="stable", target="v1", weight=1), Arm(name="canary", target="v2", weight=1)),
        metrics=Measured(primary="errors", guardrails=guardrails or (Guardrail(metric="errors", ratio=2.0),)),
    )


class Rates(NamedTuple):
    """Chances of a failure, and requests per look."""

    canary: float
    stable: float
    requests: tuple[int, int] = (50, 50)


class Traffic:
    """Counts of both arms, that grow look by look."""

    def __init__(self, seed: int = 1) -> None:
        self.generator = np.random.default_rng(seed)
        self.exchanges = np.zeros((2, 256), dtype=np.int64)
        self.failures = np.zeros((2, 256), dtype=np.int64)

    def add(self, rates: Rates) -> None:
        """Count the requests of one look."""
        for arm, chance in enumerate((rates.canary, rates.stable)):
            buckets = self.generator.integers(0, 256, rates.requests[arm])
            np.add.at(self.exchanges[arm], buckets, 1)
            np.add.at(self.failures[arm], buckets[self.generator.random(len(buckets)) < chance], 1)

    def evidence(self, now: float, phase: int = 1) -> Evidence:
        """Return what has been counted."""
        canary, stable = (
            ArmEvidence(exchanges=tuple(map(int, seen)), failures=tuple(map(int, failed)))
            for seen, failed in zip(self.exchanges, self.failures, strict=True)
        )
        return Evidence(time=now, run=1, phase=phase, arms={"canary": canary, "stable": stable})


def looks(traffic: Traffic, rates: Rates, count: int, experiment: Experiment | None = None) -> Iterator[list[Found]]:
    """Yield what is found, look by look, half a minute apart."""
    memory = Memory()
    for look in range(count):
        traffic.add(rates)
        found, memory = judge(experiment or release(), METRICS, traffic.evidence(30.0 * look), memory, 30.0 * look)
        yield list(found)


def test_a_version_with_ten_times_the_errors_is_found() -> None:
    """0.1 % → 1 % at 100 requests a minute and arm fails within an hour, with an estimate beyond the margin."""
    failed = next(found for found in looks(Traffic(), Rates(0.01, 0.001), 120) if found[1].status == "fail")[1]
    assert (failed.name, failed.action, failed.margin) == ("errors ratio 2", "rollback", 2.0)
    assert failed.estimate is None or failed.estimate > 2
    assert failed.low is None or failed.low >= 1
    assert failed.statistic is not None
    assert failed.threshold is not None
    assert failed.statistic >= failed.threshold


def test_a_version_without_errors_passes() -> None:
    """Without any failure the difference is below half a point after a thousand clean exchanges or so of each arm."""
    statuses = [found[1].status for found in looks(Traffic(), Rates(0.0, 0.0), 40)]
    assert statuses[:20] == ["inconclusive"] * 20
    assert statuses[-1] == "pass"


def test_one_user_with_a_thousand_failures_rolls_nothing_back() -> None:
    """A caller whose every request fails is one unit, however many requests it sends."""
    traffic, memory = Traffic(), Memory()
    for look in range(20):
        traffic.add(Rates(0.001, 0.001, (200, 200)))
        traffic.exchanges[0, 7] += 50
        traffic.failures[0, 7] += 50
        found, memory = judge(release(), METRICS, traffic.evidence(30.0 * look), memory, 30.0 * look)
        assert [each.status for each in found] != ["pass", "fail"]
    assert traffic.failures[0].sum() >= 1000


def test_without_failures_in_control_the_arm_fails_all_the_same() -> None:
    """No failures in control are evidence: given all failures, they should fall on both arms."""
    failed = next(found for found in looks(Traffic(), Rates(0.02, 0.0), 60) if found[1].status == "fail")[1]
    assert failed.counts["control_failures"] == 0
    assert failed.estimate is None


def test_a_version_that_turns_bad_after_hours_is_found_about_as_fast() -> None:
    """Six healthy hours delay the alarm by less than twice the time that it takes from the start."""
    experiment, rates = release(), Rates(0.05, 0.001)
    fresh = next(look for look, found in enumerate(looks(Traffic(3), rates, 100)) if found[1].status == "fail")
    traffic, memory = Traffic(3), Memory()
    late: Found | None = None
    delay = 0
    for look in range(800):
        traffic.add(rates if look >= 720 else Rates(0.001, 0.001))
        found, memory = judge(experiment, METRICS, traffic.evidence(30.0 * look), memory, 30.0 * look)
        if look < 720:
            assert found[1].status != "fail"
        elif found[1].status == "fail":
            late, delay = found[1], look - 720
            break
    assert late is not None
    assert delay <= 2 * fresh + 2
    assert late.counts["since"] >= 30.0 * 600


def test_a_failed_measurement_is_an_error_and_past_its_budget_it_is_told() -> None:
    """Errors are neither passes nor failures; the sixth in a row is past the budget."""
    memory, past = Memory(), []
    for look in range(7):
        broken = Evidence(time=0.0, run=1, phase=1, arms={}, problem="the counters cannot be read")
        found, memory = judge(release(), METRICS, broken, memory, float(look))
        assert {each.status for each in found} == {"error"}
        past.append(found[1].counts["past_budget"])
    assert past == [0, 0, 0, 0, 0, 1, 1]


def test_counts_that_fall_are_an_error_and_begin_anew() -> None:
    """What contradicts itself is not judged, and the look after is."""
    traffic = Traffic()
    traffic.add(Rates(0.01, 0.01, (500, 500)))
    _, memory = judge(release(), METRICS, traffic.evidence(0.0), Memory(), 0.0)
    found, memory = judge(release(), METRICS, Traffic().evidence(1.0), memory, 1.0)
    assert {each.status for each in found} == {"error"}
    found, memory = judge(release(), METRICS, traffic.evidence(2.0), memory, 2.0)
    assert {each.status for each in found} & {"error"} == set()


@pytest.mark.parametrize(
    ("canary", "stable", "status"),
    [
        pytest.param((5, 5), (30, 0), "fail", id="all-of-five-fail-while-control-answers"),
        pytest.param((5, 4), (30, 0), "pass", id="one-answer-is-an-answer"),
        pytest.param((4, 4), (30, 0), "inconclusive", id="too-few"),
        pytest.param((5, 5), (30, 30), "inconclusive", id="control-is-down-as-well"),
        pytest.param((5, 5), (0, 0), "inconclusive", id="no-control"),
        pytest.param((0, 0), (30, 0), "inconclusive", id="no-traffic"),
    ],
)
def test_what_never_answers_is_taken_back_at_once(
    canary: tuple[int, int], stable: tuple[int, int], status: str
) -> None:
    """The fast path takes no more than five failures of different callers."""
    arms = {
        name: ArmEvidence(
            exchanges=tuple(int(index < seen) for index in range(256)),
            failures=tuple(int(index < failed) for index in range(256)),
        )
        for name, (seen, failed) in (("canary", canary), ("stable", stable))
    }
    found, _ = judge(release(), METRICS, Evidence(time=0.0, run=1, phase=1, arms=arms), Memory(), 0.0)
    assert (found[0].name, found[0].status) == ("nothing answers", status)


def test_one_caller_is_not_everybody() -> None:
    """A single unit whose requests all fail does not trip the fast path."""
    one = ArmEvidence(exchanges=(100, *[0] * 255), failures=(100, *[0] * 255))
    rest = ArmEvidence(exchanges=(10,) * 256)
    evidence = Evidence(time=0.0, run=1, phase=1, arms={"canary": one, "stable": rest})
    found, _ = judge(release(), METRICS, evidence, Memory(), 0.0)
    assert found[0].status == "inconclusive"


def test_memory_survives_encoding() -> None:
    """What is remembered can be written down and read, in the middle of a run, with the same verdicts."""
    traffic, memory, stored = Traffic(), Memory(), Memory()
    for look in range(60):
        traffic.add(Rates(0.01, 0.01))
        evidence = traffic.evidence(30.0 * look, phase=1 + look // 40)
        if look == 40:
            traffic = Traffic(2)
            evidence = traffic.evidence(30.0 * look, phase=2)
        found, memory = judge(release(), METRICS, evidence, memory, 30.0 * look)
        again, stored = judge(release(), METRICS, evidence, stored, 30.0 * look)
        stored = msgspec.json.decode(msgspec.json.encode(stored), type=Memory)
        assert again == found
    assert stored == memory


def test_arms_without_traffic_are_inconclusive() -> None:
    """Nothing counted is nothing known."""
    evidence = Evidence(time=0.0, run=1, phase=1, arms={"canary": NOBODY, "stable": NOBODY})
    found, _ = judge(release(), METRICS, evidence, Memory(), 0.0)
    assert [each.status for each in found] == ["inconclusive", "inconclusive"]


def test_a_version_that_dies_after_answering_is_taken_back() -> None:
    """An hour of answers does not protect it: twenty failures in a row while control answers are enough."""
    traffic, memory = Traffic(), Memory()
    statuses = []
    for look in range(130):
        traffic.add(Rates(1.0 if look >= 120 else 0.001, 0.001, (20, 20)))
        now = 30.0 * look
        found, memory = judge(release(), METRICS, traffic.evidence(now), memory, now)
        statuses.append((found[0].status, found[0].fast))
    assert statuses[:120] == [statuses[0]] * 120
    assert ("fail", True) in statuses[121:126]


def test_a_window_of_the_metric_does_not_keep_it_from_being_guarded() -> None:
    """A guard looks at all exchanges; the window is for reports."""
    windowed = {"errors": Metric(name="errors", kind="ratio", goal="down", exchange="failed", window=60.0)}
    traffic = Traffic()
    traffic.add(Rates(0.0, 0.0))
    found, _ = judge(release(), windowed, traffic.evidence(0.0), Memory(), 0.0)
    assert [each.name for each in found] == ["nothing answers", "errors ratio 2"]
