"""How much of a log speaks about another policy: importance weights and what they come to.

Responsible for: weights w = π(a|x) / p, effective sample sizes, and what clipping them does.
Does not know: rewards, estimates.

Rules: pure. The effective sample size is Kish's, (Σw)²/Σw² (Kish, Survey Sampling, 1965, section 11.7), over clusters:
of one unit with a thousand rows there is one.
"""

from math import sqrt

import numpy as np
from msgspec import Struct

from router.policy.log import Floats, Log


class Overlap(Struct, frozen=True):
    """What the importance weights of a policy on a log come to.

    Attributes:
        n: Observations.
        clusters: Clusters that they are of.
        matched: Observations whose arm the policy would have taken with a probability above 0.
        effective: Effective sample size, in clusters; 0 when nothing matches.
        mean: Mean of the weights: 1 in expectation when all that the policy takes could have been taken.
        mean_error: Its standard error, by clusters.
        largest: The largest weight.
        clip: Above which weights are clipped.
        clipped: Share of the observations above it.
        lost: Share of the weights' sum that clipping takes away.
    """

    n: int
    clusters: int
    matched: int
    effective: float
    mean: float
    mean_error: float
    largest: float
    clip: float
    clipped: float
    lost: float


def importance(log: Log, probabilities: Floats) -> Floats:
    """Return the weight of each observation; shape (n,).

    Args:
        log: The log, with true propensities.
        probabilities: Of each arm by the policy; shape (n, arms).
    """
    taken: Floats = probabilities[np.arange(log.n), log.arm] / log.propensity
    return taken


def default_clip(n: int) -> float:
    """Return √n, where clipping costs no consistency (Ionides, Truncated Importance Sampling, JCGS 2008)."""
    return max(1.0, sqrt(n))


def overlap(log: Log, weights: Floats, clip: float) -> Overlap:
    """Return what weights come to.

    Args:
        log: The log.
        weights: Of its observations; shape (n,).
        clip: Above which they are clipped.
    """
    if log.n == 0:
        return Overlap(0, 0, 0, 0.0, 0.0, 0.0, 0.0, clip, 0.0, 0.0)
    sums = np.bincount(log.cluster, weights=weights)
    squares = float((sums**2).sum())
    total = float(weights.sum())
    over = weights > clip
    return Overlap(
        n=log.n,
        clusters=log.clusters,
        matched=int((weights > 0).sum()),
        effective=total * total / squares if squares > 0 else 0.0,
        mean=total / log.n,
        mean_error=cluster_error(weights - total / log.n, log),
        largest=float(weights.max()),
        clip=clip,
        clipped=float(over.mean()),
        lost=float((weights - clip)[over].sum()) / total if total > 0 else 0.0,
    )


def cluster_error(influence: Floats, log: Log) -> float:
    """Return the standard error of a mean whose observations have given influences, clusters being independent.

    √(g/(g-1) Σ_g (Σ_{i∈g} ψ_i)²) / n, which for clusters of one row is s/√n. 0 for fewer than two clusters.

    Args:
        influence: ψ, what an observation adds to n times the error; its mean is 0; shape (n,).
        log: The log.
    """
    g = log.clusters
    if g < 2:
        return 0.0
    sums = np.bincount(log.cluster, weights=influence)
    return sqrt(float((sums**2).sum()) * g / (g - 1)) / log.n
