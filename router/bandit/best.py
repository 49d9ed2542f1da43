"""The probability that an arm is the best.

Responsible for: P(mean of arm a is above those of all others), given independent posteriors.
Does not know: what posteriors are of, what is done with the probability.

It is the integral of f_a(x) times the product of F_b(x) over the other arms b. Each posterior is narrow or wide by
itself, so the range is cut at quantiles of every one of them and each piece is integrated by Gauss-Legendre; the
probabilities' own sum, which is 1, tells the error. With 6 nodes a piece it is below 1e-9 (``tests/bandit``).
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from scipy import special

from router.bandit.posterior import Posterior, Values

_RULE: Final = np.polynomial.legendre.leggauss(6)  # nodes and weights on [-1, 1]
# Quantiles of each posterior at which the range is cut: those of a normal distribution's -8 to 0 standard deviations.
_TAILS: Final = special.ndtr(np.linspace(-8.0, 0.0, 17))


def best(posteriors: Mapping[str, Posterior]) -> dict[str, float]:
    """Return, for each arm, the probability that its mean is the largest.

    Args:
        posteriors: Arm to the distribution of its mean.

    Returns:
        Shares that add up to 1.

    Raises:
        ValueError: If there are no arms.
    """
    if not posteriors:
        raise ValueError("there are no arms")
    each = tuple(posteriors.values())
    x, lengths = _grid(each)
    below = np.array([one.below(x) for one in each])
    others = _products_of_others(below)
    found = np.array([(one.density(x) * rest) @ lengths for one, rest in zip(each, others, strict=True)])
    whole = found / found.sum()
    return dict(zip(posteriors, map(float, whole), strict=True))


def _grid(each: tuple[Posterior, ...]) -> tuple[Values, Values]:
    """Return the nodes of all pieces, and the length that each stands for."""
    nodes, weights = _RULE
    cuts = np.unique(np.concatenate([one.quantiles(_TAILS) for one in each]))
    middle, half = (cuts[1:] + cuts[:-1]) / 2, (cuts[1:] - cuts[:-1]) / 2
    x = (middle[:, None] + half[:, None] * nodes).ravel()
    lengths = (half[:, None] * weights).ravel()
    return x, lengths


def _products_of_others(below: Values) -> Values:
    """Return, for each row, the product of all other rows; a row may hold zeros, so nothing is divided."""
    ones = np.ones_like(below[:1])
    before = np.concatenate([ones, np.cumprod(below[:-1], axis=0)])
    after = np.concatenate([np.cumprod(below[:0:-1], axis=0)[::-1], ones])
    found: Values = before * after
    return found
