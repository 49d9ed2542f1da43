"""Whether the arms got the units that their weights promised: a test that may be watched continuously.

Responsible for: the anytime-valid p-value of a sample ratio, under weights that change while it is watched, and the
chi-square test that people know beside it.
Does not know: where counts come from, what follows from a mismatch (``router.analysis.quality``).

The test is the multinomial e-process of Lindon and Malek, "Anytime-Valid Inference for Multinomial Count Data" (NeurIPS
2022, arXiv 2011.03567): the units' arms under the weights in force (the null) against a Dirichlet mixture of other
shares. With theta the weights' shares, n_a the units of arm a and n their sum, the Bayes factor of one block is

    G(c) / G(c + n) * product over a of  G(c m_a + n_a) / G(c m_a) / theta_a^n_a        (G is the gamma function)

where ``m`` is the centre and ``c`` the concentration of the Dirichlet distribution. Its mean under the null is 1 for
any m and c that were fixed before the block's units came, so the product over blocks is a martingale, whatever happened
in earlier blocks; by Ville's inequality the probability that it ever exceeds 1/alpha is at most alpha. The paper has
constant weights, m = theta and c = kappa, and then carries on with the posterior. Here weights change, so the posterior
is carried over by how each arm did against what it was due. With N_a the units so far and E_a those due so far,

    m_a  is proportional to  theta_a * (kappa theta_a + N_a) / (kappa theta_a + E_a)
    c    = the smallest of   kappa + E_a / theta_a

so c is the number of units, at the present weights, that would have taught as much about the arm of which least is
known. Under constant weights both are the paper's posterior exactly, so it does not matter where a block is cut.

Rules: pure. A unit counts once, against the weights at its first exposure. Order within a block does not matter; blocks
come in the order in which their weights were in force. A unit in an arm of weight 0 cannot be under the null: p is 0.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import exp, inf, lgamma, log
from typing import Final

import numpy as np
from msgspec import Struct
from scipy.special import chdtrc

# kappa of Optimizely's ssrm_test, for imbalances of half a percent, and one for gross imbalances of few units. The
# e-process is the mean of both, and so is one itself; that costs at most a factor 2 in p.
CONCENTRATIONS: Final = (100.0, 10_000.0)
# Cochran (1954): the chi-square distribution is a good approximation when every expected count is at least this.
EXPECTED_MIN: Final = 5.0


class Block(Struct, frozen=True):
    """Units that came under the same weights.

    Attributes:
        epoch: Orders blocks; with ``site`` their key when counts of several logs are merged.
        weights: Relative weights of all arms; shares are these over their sum.
        units: Units by arm of their first exposure; an arm without any may be left out.
        site: Region and cluster that had weights of their own; empty for the process's own.
    """

    epoch: int
    weights: dict[str, float]
    units: dict[str, int]
    site: str = ""


class ChiSquare(Struct, frozen=True):
    """A test of the same null at a fixed horizon: to be read once, at the end.

    Attributes:
        statistic: The quadratic form of observed less expected; Pearson's X^2 when weights were constant.
        degrees: Degrees of freedom.
        p: The p-value; too small too often when it is looked at repeatedly.
    """

    statistic: float
    degrees: int
    p: float


class SampleRatio(Struct, frozen=True):
    """What the units say about the weights.

    Attributes:
        units: Units counted.
        observed: Units by arm.
        expected: Units that each arm was due.
        evidence: Logarithm of the e-process after the last block; infinite when a unit was impossible.
        p: Anytime-valid p-value, of the most evidence after any block: under the null, ever at or below alpha with a
            probability of at most alpha.
        impossible: Units in an arm that had no weight then, or is none of the experiment.
        chi_square: The chi-square test; None when an expected count is below ``EXPECTED_MIN``, there are fewer than
            two arms with a weight, or a unit was impossible.
    """

    units: int
    observed: dict[str, int]
    expected: dict[str, float]
    evidence: float
    p: float
    impossible: int
    chi_square: ChiSquare | None


def log_bayes_factor(units: Sequence[int], alpha: Sequence[float], null: Sequence[float]) -> float:
    """Return the logarithm of the Bayes factor of one block, Dirichlet mixture over null.

    Args:
        units: Units of each arm.
        alpha: Parameters of the Dirichlet distribution, above 0.
        null: Shares under the null, above 0.
    """
    whole = sum(alpha)
    moved = lgamma(whole) - lgamma(whole + sum(units))
    return moved + sum(lgamma(a + n) - lgamma(a) - n * log(q) for n, a, q in zip(units, alpha, null, strict=True))


def merge(*logs: Iterable[Block]) -> list[Block]:
    """Add up blocks of the same epoch and site, as of logs that hold different units.

    Raises:
        ValueError: If an epoch has different weights in two of them.
    """
    found: dict[tuple[int, str], Block] = {}
    for block in (block for blocks in logs for block in blocks):
        key = block.epoch, block.site
        known = found.get(key, Block(block.epoch, block.weights, {}, block.site))
        if known.weights != block.weights:
            raise ValueError(f"epoch {block.epoch} has weights {known.weights} and {block.weights}")
        arms = known.units.keys() | block.units.keys()
        units = {arm: known.units.get(arm, 0) + block.units.get(arm, 0) for arm in sorted(arms)}
        found[key] = Block(block.epoch, block.weights, units, block.site)
    return [found[key] for key in sorted(found)]


def sample_ratio(blocks: Iterable[Block], concentrations: Sequence[float] = CONCENTRATIONS) -> SampleRatio:
    """Test the units of all blocks against the weights that were in force.

    Args:
        blocks: In the order in which their weights were in force; taken as looked at after each of them.
        concentrations: Each makes an e-process with its kappa; their mean is used.
    """
    tested = [block for block in blocks if any(block.units.values())]
    arms = sorted({arm for block in tested for arm in (*block.weights, *block.units)})
    observed, expected = dict.fromkeys(arms, 0), dict.fromkeys(arms, 0.0)
    logs = [0.0] * len(concentrations)
    p = 1.0
    impossible = 0
    for block in tested:
        null = _shares(block.weights)
        count = sum(block.units.values())
        impossible += sum(units for arm, units in block.units.items() if arm not in null)
        if not impossible:
            units = [block.units.get(arm, 0) for arm in null]
            for index, kappa in enumerate(concentrations):
                alpha = _carried(null, observed, expected, kappa)
                logs[index] += log_bayes_factor(units, alpha, list(null.values()))
            p = min(p, exp(-max(_log_mean_exp(logs), 0.0)))
        for arm, units_of in block.units.items():
            observed[arm] += units_of
        for arm, share in null.items():
            expected[arm] += count * share
    return SampleRatio(
        units=sum(observed.values()),
        observed=observed,
        expected=expected,
        evidence=inf if impossible else _log_mean_exp(logs),
        p=0.0 if impossible else p,
        impossible=impossible,
        chi_square=None if impossible else _chi_square(tested, observed, expected),
    )


def deviations(tested: SampleRatio) -> str:
    """Say of each arm how many units it has and was due."""
    return ", ".join(
        f"{arm} has {tested.observed[arm]}, was due {due:.0f}" for arm, due in tested.expected.items() if due > 0
    )


def _shares(weights: Mapping[str, float]) -> dict[str, float]:
    """Return the shares of the arms that have a weight."""
    whole = sum(weights.values())
    return {arm: weight / whole for arm, weight in weights.items() if weight > 0}


def _carried(
    null: Mapping[str, float], observed: Mapping[str, int], expected: Mapping[str, float], kappa: float
) -> list[float]:
    """Return the Dirichlet parameters for the next block: what earlier ones taught, under the weights of this one."""
    centre = [share * (kappa * share + observed[arm]) / (kappa * share + expected[arm]) for arm, share in null.items()]
    concentration = min(kappa + expected[arm] / share for arm, share in null.items())
    return [concentration * part / sum(centre) for part in centre]


def _log_mean_exp(logs: Sequence[float]) -> float:
    largest = max(logs)
    return largest + log(sum(exp(each - largest) for each in logs) / len(logs))


def _chi_square(
    blocks: Sequence[Block], observed: Mapping[str, int], expected: Mapping[str, float]
) -> ChiSquare | None:
    """Return (O - E)' V^-1 (O - E) with V the sum of the blocks' multinomial covariances, and its p-value.

    V is that of independent units with shares that differ by block (Rao, Linear Statistical Inference, 6b); one arm is
    left out, since the differences add up to 0. Pooling weights into one expectation instead would be conservative.
    """
    cells = [arm for arm, count in expected.items() if count > 0]
    if len(cells) < 2 or min(expected[arm] for arm in cells) < EXPECTED_MIN:
        return None
    kept = cells[:-1]
    covariance = np.zeros((len(kept), len(kept)))
    for block in blocks:
        shares = _shares(block.weights)
        theta = np.array([shares.get(arm, 0.0) for arm in kept])
        covariance += sum(block.units.values()) * (np.diag(theta) - np.outer(theta, theta))
    difference = np.array([observed[arm] - expected[arm] for arm in kept])
    statistic = float(difference @ np.linalg.lstsq(covariance, difference, rcond=None)[0])
    return ChiSquare(statistic, len(kept), float(chdtrc(len(kept), statistic)))
