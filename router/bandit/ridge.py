"""Linear models of what each arm earns in a context: sums that merge, and what follows from them.

Responsible for: the sums of a ridge regression for each arm, their decay, coefficients with their covariance, draws of
coefficients, and the shares that linear Thompson sampling and LinUCB give the arms in a context.
Does not know: features (``router.bandit.encode``), when anything is computed, how workers score.

Rules: pure, with a generator where it draws. ``merge`` is associative and commutative (up to rounding). Rewards count
less their mean over all arms, so that an arm of which little is known is taken to be like the others, not to earn 0,
whatever unit rewards have. Linear Thompson (Agrawal and Goyal, ICML 2013) draws θ̃ from N(θ̂, v A⁻¹) with
A = XᵀX + λI and the residual variance v of all arms together; LinUCB (Li, Chu, Langford and Schapire, WWW 2010) takes
the largest θ̂·x + a √(xᵀ A⁻¹ x).
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_CELLS: Final = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Ridge:
    """Sums over the observations of each arm, of features x, the first of which is 1, and rewards r.

    Attributes:
        matrix: Σ x xᵀ; shape (arms, d, d).
        moment: Σ x r; shape (arms, d).
        squares: Σ r²; shape (arms,).
    """

    matrix: Floats
    moment: Floats
    squares: Floats

    @classmethod
    def empty(cls, arms: int, width: int) -> Self:
        """Return the sums of no observations."""
        return cls(np.zeros((arms, width, width)), np.zeros((arms, width)), np.zeros(arms))

    @property
    def counts(self) -> Floats:
        """Observations of each arm; decayed ones count less than 1."""
        return self.matrix[:, 0, 0]

    def merge(self, other: Self) -> Self:
        """Return the sums of the observations of both."""
        return type(self)(self.matrix + other.matrix, self.moment + other.moment, self.squares + other.squares)

    def decay(self, factor: float) -> Self:
        """Return the sums as if each observation were ``factor`` of one.

        Raises:
            ValueError: If the factor is not from 0 to 1.
        """
        if not 0 <= factor <= 1:
            raise ValueError(f"observations decay by a factor from 0 to 1, not {factor}")
        return type(self)(self.matrix * factor, self.moment * factor, self.squares * factor)

    def add(self, arm: Ints, reward: Floats, context: Floats, share: Floats | None = None) -> Self:
        """Return the sums with further observations.

        Args:
            arm: Place of each one's arm; shape (m,).
            reward: Shape (m,).
            context: Shape (m, d).
            share: How much of an observation each one is; None is 1; shape (m,).
        """
        matrix, moment, squares = self.matrix.copy(), self.moment.copy(), self.squares.copy()
        for place in np.unique(arm):
            rows = arm == place
            x, r = context[rows], reward[rows]
            weighted = x if share is None else x * share[rows, None]
            matrix[place] += weighted.T @ x
            moment[place] += weighted.T @ r
            squares[place] += float((r * r).sum() if share is None else (r * r * share[rows]).sum())
        return type(self)(matrix, moment, squares)

    def project(self, change: Floats) -> Self:
        """Return the sums for features ``change @ x`` instead of x; shape of ``change`` (new d, d)."""
        return type(self)(change @ self.matrix @ change.T, self.moment @ change.T, self.squares)


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """What is known of the coefficients of each arm.

    Attributes:
        coefficients: θ̂; shape (arms, d).
        inverse: A⁻¹; shape (arms, d, d).
        root: L with L Lᵀ = A⁻¹; shape (arms, d, d).
        variance: Residual variance of all arms together.
    """

    coefficients: Floats
    inverse: Floats
    root: Floats
    variance: float


def posterior(sums: Ridge, ridge: float) -> Posterior:
    """Return what sums say of the coefficients.

    Args:
        sums: The sums.
        ridge: λ, in observations: what the belief that features do not matter weighs.

    Raises:
        ValueError: If λ is not above 0.
    """
    if not ridge > 0:
        raise ValueError(f"the ridge is above 0, not {ridge}")
    total = float(sums.counts.sum())
    mean = float(sums.moment[:, 0].sum()) / total if total > 0 else 0.0
    arms, width = sums.moment.shape
    moment = sums.moment - mean * sums.matrix[:, :, 0]
    squares = np.maximum(0.0, sums.squares - 2 * mean * sums.moment[:, 0] + mean * mean * sums.counts)
    root = np.stack([_root(sums.matrix[place] + ridge * np.eye(width), ridge) for place in range(arms)])
    inverse = root @ root.transpose(0, 2, 1)
    coefficients = np.einsum("kij,kj->ki", inverse, moment)
    # Σ (r - xᵀθ̂)² + λ|θ̂|² = Σ r² - θ̂ᵀb; over all arms, with one observation's worth of Σ r²/n for a start.
    rest = float(np.maximum(0.0, squares - np.einsum("ki,ki->k", coefficients, moment)).sum())
    start = float(squares.sum()) / total if total > 0 else 1.0
    variance = (rest + start) / (total + 1)
    coefficients[:, 0] += mean
    return Posterior(coefficients, inverse, root, variance)


def _root(matrix: Floats, least: float) -> Floats:
    """Return L with L Lᵀ = A⁻¹, the only one that is upper triangular: a little more data changes draws a little.

    Args:
        matrix: A, whose eigenvalues are at least ``least`` but for rounding.
        least: λ.
    """
    try:
        lower = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:  # numbers far from 0 that hardly vary: what rounding took is put back
        values, vectors = np.linalg.eigh(matrix)
        lower = np.linalg.cholesky((vectors * np.maximum(values, least)) @ vectors.T)
    root: Floats = np.linalg.inv(lower).T
    return root


def draw(known: Posterior, draws: int, rng: np.random.Generator) -> Floats:
    """Return draws of the coefficients of each arm; shape (draws, arms, d)."""
    arms, width = known.coefficients.shape
    normal = rng.standard_normal((draws, arms, width))
    spread = np.sqrt(known.variance) * np.einsum("kij,nkj->nki", known.root, normal)
    drawn: Floats = known.coefficients + spread
    return drawn


def shares_won(drawn: Floats, context: Floats) -> Floats:
    """Return the share of draws in which each arm is the best, for each context; shape (m, arms).

    Args:
        drawn: What ``draw`` returns.
        context: Shape (m, d).
    """
    draws, arms, width = drawn.shape
    flat = drawn.reshape(draws * arms, width).T
    out = np.empty((len(context), arms))
    step = max(1, _CELLS // (draws * arms))  # contexts at a time, so that memory does not grow with all of them
    for begin in range(0, len(context), step):
        part = context[begin : begin + step]
        best = (part @ flat).reshape(len(part), draws, arms).argmax(axis=2)
        for place in range(arms):
            out[begin : begin + step, place] = (best == place).mean(axis=1)
    return out


def upper_bounds(known: Posterior, context: Floats, alpha: float) -> Floats:
    """Return LinUCB's bound of each arm in each context, θ̂·x + a √(xᵀ A⁻¹ x); shape (m, arms)."""
    spread = np.einsum("mi,kij,mj->mk", context, known.inverse, context, optimize=True)
    bounds: Floats = context @ known.coefficients.T + alpha * np.sqrt(np.maximum(spread, 0.0))
    return bounds


def mix(shares: Floats, floor: float) -> Floats:
    """Return shares of which each arm has at least a floor: f + (1 - n f) w; shape (m, arms).

    Raises:
        ValueError: If the floors of all arms together are more than everything.
    """
    arms = shares.shape[1]
    if not 0 <= floor * arms <= 1:
        raise ValueError(f"{arms} arms cannot each have at least {floor:g}")
    mixed: Floats = floor + (1 - arms * floor) * shares
    return mixed
