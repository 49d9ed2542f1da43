"""How the chance of a wrong rollback is shared."""

import pytest
from msgspec.structs import replace

from router.config.schema import Allocate, Arm, Experiment, Guardrail, Measured, Metric
from router.guardrail import share

METRICS = {
    "converts": Metric(name="converts", kind="proportion", outcome="converts", window=60.0, goal="up"),
    "errors": Metric(name="errors", kind="ratio", exchange="failed", goal="down"),
    "p99": Metric(name="p99", kind="quantile", exchange="duration", q=0.99, goal="down"),
}
ERRORS = Guardrail(metric="errors", ratio=2.0)
P99 = Guardrail(metric="p99", ratio=1.5)


def experiment(*guardrails: Guardrail) -> Experiment:
    """Return a release with guardrails."""
    arms = (Arm(name="control", target="v1"), Arm(name="treatment", target="v2"))
    measured = Measured(primary="converts", guardrails=guardrails)
    return Experiment(name="e", route="r", arms=arms, allocate=Allocate(use="rollout"), metrics=measured)


def test_levels_of_all_that_can_stop_a_release_add_up_to_alpha() -> None:
    """Bonferroni: the fast path and every guardrail together, whatever their weights."""
    given = (ERRORS, P99, replace(P99, ratio=2.0), replace(ERRORS, ratio=3.0))
    release = experiment(*given)
    levels = [share.guard_level(release, each, METRICS) for each in given]
    assert sum(levels) + share.fast_level(release) == pytest.approx(share.alpha(release))


def test_a_guardrail_on_failures_has_three_times_the_level_of_others() -> None:
    """Failures are rarest, so each has to count."""
    release = experiment(ERRORS, P99)
    errors, p99 = (share.guard_level(release, each, METRICS) for each in (ERRORS, P99))
    assert errors == pytest.approx(3 * p99)


def test_what_only_warns_takes_nothing_from_what_stops() -> None:
    """Warnings and dry runs have a level of their own."""
    warns = replace(P99, action="warn")
    alone = share.guard_level(experiment(ERRORS), ERRORS, METRICS)
    beside = experiment(ERRORS, warns, replace(P99, dry_run=True))
    assert share.guard_level(beside, ERRORS, METRICS) == alone
    assert 0 < share.guard_level(beside, warns, METRICS) <= alone
