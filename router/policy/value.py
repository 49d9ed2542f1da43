"""What a policy would have earned per observation: the off-policy estimators.

Responsible for: IPS, clipped IPS, SNIPS, the direct method, doubly robust and switch, each with a standard error by
clusters and an interval.
Does not know: where the policy's probabilities come from, which estimate to believe (``advice``).

Rules: pure. With w = π(a|x)/p, r the reward, q̂ a model of it and V the estimate, of n observations:

- IPS Σ w r / n (Horvitz and Thompson 1952); clipped with min(w, M) (Ionides 2008; Bottou et al., JMLR 2013);
- SNIPS Σ w r / Σ w (Hájek 1971; Swaminathan and Joachims, NeurIPS 2015), by the delta method;
- direct method Σ_i Σ_a π(a|x) q̂(x, a) / n, its error with that of the regression;
- doubly robust Σ_i [Σ_a π(a|x) q̂(x, a) + w (r - q̂(x, a_i))] / n (Dudík, Langford and Li, ICML 2011), q̂ cross-fitted;
- switch, the same without corrections where w > M (SWITCH-DR of Wang, Agarwal and Dudík, ICML 2017).

Standard errors are those of a mean of influences over clusters, intervals by Student's t with g - 1 degrees of freedom.
A policy that learns from the log itself gives weights that depend on earlier rows only: estimates stay unbiased, and
intervals are those of a martingale, for large samples.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Final, Literal

import numpy as np
from msgspec import Struct
from scipy import stats

from router.analysis.estimate import NotEnough
from router.inference.effect import Interval
from router.policy.log import Floats, Log
from router.policy.overlap import Overlap, cluster_error, importance, overlap
from router.policy.reward_model import Fitted, cross_fit, fit

Method = Literal["ips", "clipped_ips", "snips", "direct", "doubly_robust", "switch", "replay"]

NAMES: Final[dict[Method, str]] = {
    "ips": "IPS",
    "clipped_ips": "clipped IPS",
    "snips": "SNIPS",
    "direct": "direct method",
    "doubly_robust": "doubly robust",
    "switch": "switch",
    "replay": "replay",
}


class Value(Struct, frozen=True, tag="value", kw_only=True):
    """What a policy would have earned, by one method.

    Attributes:
        method: The method.
        value: Reward per observation, in the reward's own unit.
        standard_error: Of it.
        interval: Where it lies, at ``level``.
        level: Coverage of the interval.
        notes: What a reader has to know, one sentence each.
    """

    method: Method
    value: float
    standard_error: float
    interval: Interval
    level: float
    notes: tuple[str, ...] = ()


class Estimates(Struct, frozen=True, kw_only=True):
    """What a policy would have earned, by every method.

    Attributes:
        overlap: How much of the log speaks about it.
        values: Method to its value, or why it has none.
    """

    overlap: Overlap
    values: dict[Method, Value | NotEnough]


@dataclass(frozen=True, slots=True, eq=False)
class _Parts:
    """What the estimators share: weights, the policy's probabilities, the level of intervals."""

    log: Log
    probabilities: Floats
    weights: Floats
    known: Overlap
    alpha: float


def estimate_value(log: Log, probabilities: Floats, clip: float, alpha: float = 0.05) -> Estimates:
    """Estimate what a policy would have earned, by every method.

    Args:
        log: The log; its propensities are taken to be true.
        probabilities: Of each arm by the policy; rows sum to 1; shape (n, arms).
        clip: Weight above which IPS clips and switch switches.
        alpha: Share of intervals that may miss.

    Raises:
        ValueError: If probabilities are none, or alpha or the clip is outside of its range.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha lies between 0 and 1, not at {alpha}")
    if not (clip > 0 and isfinite(clip)):
        raise ValueError(f"weights are clipped at a number above 0, not at {clip}")
    _check(log, probabilities)
    weights = importance(log, probabilities)
    known = overlap(log, weights, clip)
    parts = _Parts(log, probabilities, weights, known, alpha)
    why = _nothing(log)
    with np.errstate(over="ignore", invalid="ignore"):  # what is beyond a number becomes NotEnough (``valued``)
        values = {method: NotEnough(why, log.n) if why else work(parts) for method, work in _METHODS.items()}
    return Estimates(overlap=known, values=values)


def _check(log: Log, probabilities: Floats) -> None:
    if probabilities.shape != (log.n, len(log.arms)):
        raise ValueError(f"a policy gives each of {len(log.arms)} arms a probability for each of {log.n} observations")
    if log.n and not (
        (probabilities >= -1e-9).all() and (np.abs(probabilities.sum(axis=1) - 1) < 1e-6).all()
    ):  # a number that is none compares false
        raise ValueError("the probabilities of a policy are at least 0 and sum to 1")


def _nothing(log: Log) -> str | None:
    if log.n == 0:
        return "there are no observations"
    if log.clusters < 2:
        return "there is one unit"
    if log.reward.min() == log.reward.max():
        return f"every reward is {log.reward[0]:g}, so nothing tells policies apart"
    return None


def valued(method: Method, value: float, error: float, groups: int, alpha: float) -> Value | NotEnough:
    """Put an estimate with its interval together.

    Args:
        method: The method.
        value: The estimate.
        error: Its standard error.
        groups: Independent clusters that it is made of.
        alpha: Share of intervals that may miss.
    """
    if not (isfinite(value) and isfinite(error)):
        return NotEnough("its numbers are beyond any that a computer has", groups)
    half = float(stats.t.ppf(1 - alpha / 2, groups - 1)) * error
    return Value(
        method=method,
        value=value,
        standard_error=error,
        interval=Interval(value - half, value + half),
        level=1 - alpha,
    )


def _of_mean(parts: _Parts, method: Method, earned: Floats) -> Value | NotEnough:
    """Return the mean of what observations are taken to have earned."""
    value = float(earned.mean())
    return valued(method, value, cluster_error(earned - value, parts.log), parts.known.clusters, parts.alpha)


def _unmatched(parts: _Parts) -> NotEnough | None:
    if parts.known.matched:
        return None
    return NotEnough("the log has no observation of an arm that this policy would take", parts.log.n)


def _ips(parts: _Parts) -> Value | NotEnough:
    return _unmatched(parts) or _of_mean(parts, "ips", parts.weights * parts.log.reward)


def _clipped_ips(parts: _Parts) -> Value | NotEnough:
    clipped = np.minimum(parts.weights, parts.known.clip)
    return _unmatched(parts) or _of_mean(parts, "clipped_ips", clipped * parts.log.reward)


def _snips(parts: _Parts) -> Value | NotEnough:
    lacking = _unmatched(parts)
    if lacking is not None:
        return lacking
    matched = parts.log.reward[parts.weights > 0]
    if matched.min() == matched.max():
        return NotEnough(f"the {len(matched)} rewards that count are all {matched[0]:g}", len(matched))
    value = float((parts.weights * parts.log.reward).sum() / parts.weights.sum())
    influence = parts.weights * (parts.log.reward - value) / parts.known.mean
    return valued("snips", value, cluster_error(influence, parts.log), parts.known.clusters, parts.alpha)


def _direct(parts: _Parts) -> Value | NotEnough:
    log, model = parts.log, fit(parts.log)
    if lacking := [name for name in model.unseen if parts.probabilities[:, log.place(name)].any()]:
        return NotEnough(f"the log has no observation of arm {lacking[0]}, so no model of it", log.n)
    earned = (parts.probabilities * (log.context @ model.coefficients.T)).sum(axis=1)
    value = float(earned.mean())
    influence = earned - value + _of_model(log, model, parts.probabilities)
    return valued("direct", value, cluster_error(influence, log), parts.known.clusters, parts.alpha)


def _of_model(log: Log, model: Fitted, reliance: Floats) -> Floats:
    """Return what rows add to n times an estimate by way of the models' coefficients; shape (n,).

    A regression's coefficients vary by A⁻¹ Σ x (r - xᵀθ). An estimate that uses each row's prediction for an arm
    ``reliance`` times gets, of row i, (Σ_j reliance_j x_j)ᵀ A⁻¹ x_i (r_i - x_iᵀθ).

    Args:
        log: The log.
        model: The models.
        reliance: Shape (n, arms).
    """
    influence = np.zeros(log.n)
    for place in range(len(log.arms)):
        rows = log.arm == place
        reach = (reliance[:, place] @ log.context) @ model.inverse[place]
        residual = log.reward[rows] - log.context[rows] @ model.coefficients[place]
        influence[rows] = (log.context[rows] @ reach) * residual
    return influence


def _corrected(parts: _Parts, method: Method, weights: Floats) -> Value | NotEnough:
    lacking = _unmatched(parts)
    if lacking is not None:
        return lacking
    log, rows = parts.log, np.arange(parts.log.n)
    predicted = cross_fit(log)
    earned = (parts.probabilities * predicted).sum(axis=1) + weights * (log.reward - predicted[rows, log.arm])
    value = float(earned.mean())
    # Where every row is corrected the models' errors cancel; where switch does not, they count.
    reliance = parts.probabilities.copy()
    reliance[rows, log.arm] -= weights
    influence = earned - value + _of_model(log, fit(log), reliance)
    return valued(method, value, cluster_error(influence, log), parts.known.clusters, parts.alpha)


def _doubly_robust(parts: _Parts) -> Value | NotEnough:
    return _corrected(parts, "doubly_robust", parts.weights)


def _switch(parts: _Parts) -> Value | NotEnough:
    return _corrected(parts, "switch", np.where(parts.weights <= parts.known.clip, parts.weights, 0.0))


_METHODS: Final[dict[Method, Callable[[_Parts], Value | NotEnough]]] = {
    "ips": _ips,
    "clipped_ips": _clipped_ips,
    "snips": _snips,
    "direct": _direct,
    "doubly_robust": _doubly_robust,
    "switch": _switch,
}
