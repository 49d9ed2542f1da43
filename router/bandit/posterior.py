"""What rewards say of an arm's mean: its posterior distribution.

Responsible for: Beta after rewards between 0 and 1, Student's t (of Normal-Inverse-Gamma) after any others.
Does not know: other arms, decisions.

Formulas, for n observations (with a half-life: what age has left of them) with sum s and mean m:

- Beta-Bernoulli: prior Beta(1, 1), posterior Beta(1 + s, 1 + n - s). Rewards that are fractions enter as they are; the
  posterior is then that of a Bernoulli trial with the same mean, whose variance is the largest for that mean, so the
  posterior is at least as wide as it has to be (Agrawal and Goyal, Analysis of Thompson Sampling, COLT 2012).
- Normal-Inverse-Gamma (Gelman et al., Bayesian Data Analysis, 3rd ed., section 3.3): prior m0, k0, a0, b0; posterior
  kn = k0 + n, mn = (k0 m0 + n m) / kn, an = a0 + n / 2, bn = b0 + SS / 2 + k0 n (m - m0)^2 / (2 kn). The mean's
  marginal is Student's t with 2 an degrees of freedom about mn with scale sqrt(bn / (an kn)). The prior weighs as one
  observation (Kass and Wasserman 1995, unit information): m0 and b0 are mean and variance of all arms together, k0 = 1,
  a0 = 1; so it makes no difference in which unit rewards are measured.
"""

from collections.abc import Mapping
from math import sqrt
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import special

from router.bandit.earned import Earned, Sums

Values = NDArray[np.float64]


class Posterior(Protocol):
    """The distribution of an arm's mean."""

    @property
    def mean(self) -> float:
        """Its mean."""
        ...

    def density(self, x: Values) -> Values:
        """Return the density at some values."""
        ...

    def below(self, x: Values) -> Values:
        """Return the probability of less than some values."""
        ...

    def quantiles(self, tails: Values) -> Values:
        """Return, for probabilities up to a half, the quantiles of that distance from either end."""
        ...


class Beta:
    """Beta distribution; both parameters are at least 1, so that its density has no pole."""

    __slots__ = ("alpha", "beta")

    def __init__(self, alpha: float, beta: float) -> None:
        self.alpha = alpha
        self.beta = beta

    @property
    def mean(self) -> float:
        """Its mean."""
        return self.alpha / (self.alpha + self.beta)

    def density(self, x: Values) -> Values:
        """Return the density."""
        a, b = self.alpha - 1, self.beta - 1
        found: Values = np.exp(
            special.xlogy(a, x) + special.xlog1py(b, -x) - float(special.betaln(self.alpha, self.beta))
        )
        return found

    def below(self, x: Values) -> Values:
        """Return the distribution function."""
        found: Values = special.betainc(self.alpha, self.beta, x)
        return found

    def quantiles(self, tails: Values) -> Values:
        """Return lower and upper quantiles."""
        low = special.betaincinv(self.alpha, self.beta, tails)
        high = special.betainccinv(self.alpha, self.beta, tails)
        return np.concatenate([low, high])


class StudentT:
    """Student's t about a centre."""

    __slots__ = ("centre", "degrees", "scale")

    def __init__(self, centre: float, scale: float, degrees: float) -> None:
        self.centre = centre
        self.scale = scale
        self.degrees = degrees

    @property
    def mean(self) -> float:
        """Its mean."""
        return self.centre

    def density(self, x: Values) -> Values:
        """Return the density."""
        half = (self.degrees + 1) / 2
        log_whole = special.gammaln(half) - special.gammaln(self.degrees / 2) - np.log(np.pi * self.degrees) / 2
        z = (x - self.centre) / self.scale
        found: Values = np.exp(log_whole - half * np.log1p(z * z / self.degrees)) / self.scale
        return found

    def below(self, x: Values) -> Values:
        """Return the distribution function."""
        found: Values = special.stdtr(self.degrees, (x - self.centre) / self.scale)
        return found

    def quantiles(self, tails: Values) -> Values:
        """Return lower and upper quantiles."""
        away = special.stdtrit(self.degrees, tails) * self.scale
        return np.concatenate([self.centre + away, self.centre - away])


def beta(rewards: Sums) -> Beta:
    """Return the posterior after rewards between 0 and 1; sums that rounding took out of bounds are put back."""
    gained = min(max(rewards.total, 0.0), rewards.weight)
    return Beta(1 + gained, 1 + rewards.weight - gained)


def normal(arms: Mapping[str, Sums]) -> dict[str, StudentT] | None:
    """Return the posteriors after rewards of any size; None as long as they do not vary, or there are none."""
    pooled = Sums()
    for rewards in arms.values():
        pooled = pooled.merge(rewards)
    if pooled.weight <= 0 or pooled.mean is None:
        return None
    variance = pooled.spread / pooled.weight
    if variance <= (1e-12 * pooled.mean) ** 2:  # what is left of a constant, after rounding
        return None
    return {arm: _student(rewards, pooled.mean, variance) for arm, rewards in arms.items()}


def _student(rewards: Sums, prior: float, variance: float) -> StudentT:
    n = rewards.weight
    mean = prior if rewards.mean is None else rewards.mean
    k, a = 1 + n, 1 + n / 2
    b = variance + rewards.spread / 2 + n * (mean - prior) ** 2 / (2 * k)
    return StudentT((prior + n * mean) / k, sqrt(b / (a * k)), 2 * a)


def posteriors(earned: Earned) -> Mapping[str, Posterior] | None:
    """Return the posterior of each arm; None where rewards of any size do not vary, and so say nothing yet."""
    if earned.bounded:
        return {arm: beta(rewards) for arm, rewards in earned.arms.items()}
    return normal(earned.arms)
