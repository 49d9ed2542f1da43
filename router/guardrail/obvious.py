"""The fast path: that nothing answers, without a least number of exchanges.

Responsible for: whether a new arm that never answered in a phase is to be taken back at once.
Does not know: guardrails of the configuration, which are judged beside it.

A bucket of units of an arm is *down* when each of its exchanges failed. When all of treatment's buckets are down, the
chance of that under no difference, given how many of both arms' are, is hypergeometric: C(D, k)/C(K, k) for k buckets
of treatment, K and D of both arms with exchanges and down. Units of different buckets are independent, so one caller
who sends what breaks every model counts once however often it is sent, and a control that is down as well makes the
chance 1. The chance over all looks of a phase is measured by ``benchmarks/guardrails.py`` for every rate of failures;
it stays below the level because fewer than ``LEAST`` exchanges, ``BUCKETS_DOWN`` buckets or a success end it.

Rules: pure; exact.
"""

from math import exp, lgamma
from typing import Final, Literal

from router.events.rollout import Found
from router.guardrail.evidence import ArmEvidence

NAME: Final = "nothing answers"
LEAST: Final = 5
"""Exchanges of the new arm, all failed."""
BUCKETS_DOWN: Final = 3
"""Buckets of units that they come from."""
ANSWERED: Final = 0.5
"""Share of control's exchanges that have to be answered."""


def judge_obvious(treatment: ArmEvidence, control: ArmEvidence, level: float) -> Found:
    """Say whether nothing answers at all.

    Args:
        treatment: What is known of the new arm.
        control: Of control.
        level: Chance of a wrong failure.
    """
    exchanges, failed = sum(treatment.exchanges), sum(treatment.failures)
    base, base_failed = sum(control.exchanges), sum(control.failures)
    chance = chance_of(treatment, control)
    said = f"{failed} of {exchanges} exchanges failed in the new arm, {base_failed} of {base} in control"
    status: Literal["pass", "fail", "inconclusive"] = "inconclusive"
    if not exchanges:
        reason = "no exchanges"
    elif failed < exchanges:
        status, reason = "pass", f"it answers: {said}"
    elif exchanges < LEAST or base - base_failed < ANSWERED * base or chance > level:
        reason = f"{said}; chance of that without a difference {chance:.2g}, level {level:.2g}"
    else:
        status, reason = "fail", f"nothing answers: {said}; chance of that without a difference {chance:.2g}"
    return Found(
        name=NAME,
        status=status,
        action="rollback",
        reason=reason,
        fast=status == "fail",
        estimate=failed / exchanges if exchanges else None,
        margin=1.0,
        statistic=chance,
        threshold=level,
        alpha=level,
        counts={
            "treatment_failures": failed,
            "treatment_exchanges": exchanges,
            "control_failures": base_failed,
            "control_exchanges": base,
        },
    )


def chance_of(treatment: ArmEvidence, control: ArmEvidence) -> float:
    """Return the chance that all buckets of treatment are down, given how many of both arms' are.

    Returns:
        1 when some are not, or when they are fewer than ``BUCKETS_DOWN``.
    """
    active, down = _buckets(treatment)
    others, others_down = _buckets(control)
    if active < BUCKETS_DOWN or down < active:
        return 1.0
    return exp(_log_choose(down + others_down, active) - _log_choose(active + others, active))


def _buckets(arm: ArmEvidence) -> tuple[int, int]:
    """Return how many buckets have exchanges, and how many are down."""
    pairs = [(count, failed) for count, failed in zip(arm.exchanges, arm.failures, strict=True) if count]
    return len(pairs), sum(count == failed for count, failed in pairs)


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
