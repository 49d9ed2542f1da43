"""What a release may cost: the chance of a failure, times its impact, times the share of units that would have it.

Responsible for: the posterior chance that the new arm fails more than it may.
Does not know: guardrails, which decide; this is shown, and may keep a stage from being entered.

A failure is an error rate above ``margin`` times control's, and more than ``NEGLIGIBLE`` above it. What is known of the
ratio r of the rates, given all failures F of both arms, is a conditional binomial: of F failures, treatment's are
Bin(F, rn / (rn + m)) for n and m exchanges (Przyborowski and Wilenski, Biometrika 1940). The prior of log r is normal
around 0, so wide that 15 % of releases have r > 2: the middle of what DORA's reports call the change failure rate. The
posterior is computed on a grid. Exchanges of one unit are not independent: counts are divided by the design effect
(Kish 1965), estimated from the buckets of both arms, at least 1.

Rules: pure; needs numpy. Without data the chance is the prior's, never nothing.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from router.config.schema import Experiment
from router.events.rollout import Found
from router.guardrail.evidence import ArmEvidence, Evidence
from router.guardrail.judge import arms_of

MARGIN: Final = 2.0
NEGLIGIBLE: Final = 0.005
PRIOR_SD: Final = 0.669
"""Of log r: ln 2 / 1.036, the 85th percentile of the standard normal distribution."""
SURE: Final = 0.99
"""How likely control has to be worse than the new arm before nothing leads back to it."""
_GRID: Final = np.linspace(-8.0, 8.0, 3201)


def chances(experiment: Experiment, evidence: Evidence) -> dict[str, float]:
    """Return the chance of a failure and its impact, by name; empty when it could not be measured.

    Args:
        experiment: The experiment.
        evidence: What the counters say of its present phase.
    """
    if _unmeasured(experiment, evidence):
        return {}
    new, old = (evidence.arms[arm] for arm in arms_of(experiment))
    return {"failure_probability": failure_probability(new, old), "impact": experiment.allocate.impact}


def worse_control(experiment: Experiment, evidence: Evidence) -> Found | None:
    """Say that control fails more than the new arm; None when that is not known.

    Args:
        experiment: The experiment.
        evidence: What the counters say of its present phase.
    """
    if _unmeasured(experiment, evidence):
        return None
    new, old = arms_of(experiment)
    chance = failure_probability(evidence.arms[old], evidence.arms[new], margin=1.0)
    if chance < SURE:
        return None
    said = " and ".join(
        f"{sum(evidence.arms[arm].failures)} of {sum(evidence.arms[arm].exchanges)} in {arm}" for arm in (old, new)
    )
    return Found(
        name="control",
        status="fail",
        action="rollback",
        reason=f"control fails more than the new arm: {said}, with a chance of {chance:.4f}",
        statistic=chance,
        threshold=SURE,
    )


def _unmeasured(experiment: Experiment, evidence: Evidence) -> bool:
    return evidence.problem is not None or not set(arms_of(experiment)) <= evidence.arms.keys()


def failure_probability(treatment: ArmEvidence, control: ArmEvidence, margin: float = MARGIN) -> float:
    """Return the posterior chance that the new arm fails more than it may.

    Args:
        treatment: What is known of the new arm.
        control: What is known of control.
        margin: How many times control's rate it may have.
    """
    effect = design_effect(treatment, control)
    n, m = (sum(arm.exchanges) / effect for arm in (treatment, control))
    failed, base_failed = (sum(arm.failures) / effect for arm in (treatment, control))
    log_prior = -0.5 * (_GRID / PRIOR_SD) ** 2
    if n > 0 and m > 0:
        # log of rn/(rn + m) and of its complement, which never overflow.
        odds = _GRID + np.log(n / m)
        log_prior = log_prior - failed * np.logaddexp(0.0, -odds) - base_failed * np.logaddexp(0.0, odds)
    weights = np.exp(log_prior - log_prior.max())
    rate = (base_failed + 0.5) / (m + 1.0)
    beyond = np.exp(_GRID) > max(margin, 1.0 + NEGLIGIBLE / rate)
    return float(weights[beyond].sum() / weights.sum())


def design_effect(*arms: ArmEvidence) -> float:
    """Return how much larger the variance of error rates is than that of independent exchanges; at least 1."""
    between = independent = 0.0
    for arm in arms:
        exchanges, failures = (np.asarray(each, dtype=float) for each in (arm.exchanges, arm.failures))
        whole = exchanges.sum()
        if not 0 < failures.sum() < whole or np.count_nonzero(exchanges) < 2:
            continue
        rate = failures.sum() / whole
        between += _spread(exchanges, failures, rate)
        independent += whole * rate * (1 - rate)
    return max(1.0, between / independent) if independent > 0 else 1.0


def _spread(exchanges: NDArray[np.float64], failures: NDArray[np.float64], rate: float) -> float:
    """Return the variance of the sum of failures, from the residuals of buckets (the ratio estimator's)."""
    seen = np.count_nonzero(exchanges)
    return float(((failures - rate * exchanges) ** 2).sum() * seen / (seen - 1))
