"""Guardrails outrank the bandit: an arm that breaks a hard one gets nobody, whatever it earns."""

from msgspec import structs

from router.analysis.aggregates import Aggregate, Cell, Moments
from router.analysis.result import Folded
from router.config.schema import Allocate, Guardrail, Measured
from router.control.allot import broken
from router.control.measure import Snapshot
from router.events.model import Run
from tests.report.build import NOW, evidence, experiment

RUN = Run(number=1, phase=1, epoch=3)


def _arm(failures: float) -> Cell:
    """Give an arm of 5000 units with ten exchanges each, of which so many fail; its units weigh 2."""
    n, x = 5000, 50_000.0
    units = Moments(n, failures, 2 * failures, x, 10 * x, 10 * failures)
    weighted = Moments(n, 2 * failures, 8 * failures, 2 * x, 40 * x, 40 * failures)
    clicks = Aggregate(units=Moments(n, 500.0, 500.0), weighted=Moments(n, 1000.0, 2000.0, 2.0 * n, 4.0 * n, 2000.0))
    return Cell(units=n, metrics={"ctr": clicks, "errors": Aggregate(units=units, weighted=weighted)})


def _snapshot(failures: float) -> Snapshot:
    found = evidence(_EXPERIMENT, {"control": _arm(500.0), "treatment": _arm(failures)})
    return Snapshot(NOW, 0.1, {}, (), Folded(NOW, {"e": found.result}))


_EXPERIMENT = structs.replace(
    experiment(Measured(primary="ctr", guardrails=(Guardrail(metric="errors", ratio=1.5),))),
    allocate=Allocate(use="thompson", reward="ctr"),
)


def test_an_arm_that_breaks_a_hard_guardrail_is_stopped() -> None:
    """By the propensity-weighted interval, which may be looked at at every tick."""
    assert broken(_EXPERIMENT, RUN, _snapshot(2500.0)) == {"treatment"}
    assert broken(_EXPERIMENT, RUN, _snapshot(520.0)) == frozenset()


def test_a_soft_guardrail_stops_nobody() -> None:
    """It is told in the report."""
    soft = Measured(primary="ctr", guardrails=(Guardrail(metric="errors", ratio=1.5, action="warn"),))
    assert broken(structs.replace(_EXPERIMENT, metrics=soft), RUN, _snapshot(2500.0)) == frozenset()


def test_another_phase_stops_nobody() -> None:
    """What broke before a change of the experiment says nothing of it now; nor does what was not looked at."""
    assert broken(_EXPERIMENT, structs.replace(RUN, phase=2), _snapshot(2500.0)) == frozenset()
    assert broken(_EXPERIMENT, RUN, None) == frozenset()
