"""Whether the propensities of a log are true: without that, nothing can be said of another policy.

Responsible for: finding what proves that they are not, and saying it in a sentence.
Does not know: any policy, where the weights in force come from.

Rules: pure. A log that passes is not proved true; one that fails is proved false. What is looked for: a propensity that
is absent or no probability; one that differs from the weights that were in force; and arms that were taken far more
often, or more rarely, than their propensities say. The last finds a constant 1/n that somebody logged under a policy
that was not uniform, which makes every off-policy estimate wrong without a trace.
"""

from math import isfinite, sqrt

import numpy as np

from router.analysis.estimate import NotEnough
from router.policy.log import Floats, Log

# Sum of 1/p over the rows of an arm against their number: with at least FEWEST rows, the chance that true propensities
# are so far off is below 1e-6 (a Poisson count of 30 beyond 5 of its own standard deviations).
DEVIATIONS = 5.0
FEWEST = 30
# A propensity that was logged is the share that the weights in force gave, up to rounding in JSON.
TOLERANCE = 1e-6
# No arm is given less (`router.bandit.mix`), and the weight of anything rarer would be beyond all others together.
LEAST = 1e-12


def distrust(log: Log, in_force: Floats | None = None) -> NotEnough | None:
    """Return why the propensities of a log cannot be believed; None when nothing speaks against them.

    Args:
        log: The log.
        in_force: Probability of the arm that was taken by the weights in force, not a number where these are not known
            (a policy that looks at the request); shape (n,). None when none are known.
    """
    found = _malformed(log) or (None if in_force is None else _contradicted(log, in_force)) or _unbalanced(log)
    return None if found is None else NotEnough(found, log.n)


def _malformed(log: Log) -> str | None:
    bad = ~((log.propensity >= LEAST) & (log.propensity <= 1))
    if not bad.any():
        return None
    first = float(log.propensity[int(np.argmax(bad))])
    said = f"the first is {first:g}" if isfinite(first) else "the first has none"
    return (
        f"{int(bad.sum())} of {log.n} observations have no true propensity ({said}): it is the probability with which "
        "the arm was taken, above 0 and at most 1, and without it no other policy can be evaluated"
    )


def _contradicted(log: Log, in_force: Floats) -> str | None:
    known = np.isfinite(in_force)
    wrong = known & ~(np.abs(log.propensity - np.where(known, in_force, 0.0)) <= TOLERANCE)
    if not wrong.any():
        return None
    first = int(np.argmax(wrong))
    return (
        f"{int(wrong.sum())} of {log.n} observations have a propensity that the weights in force contradict: the first "
        f"says {log.propensity[first]:g} of arm {log.arms[log.arm[first]]}, and the weights gave {in_force[first]:g}; "
        "log the probability that was used, not 1/n"
    )


def _unbalanced(log: Log) -> str | None:
    """Compare, for each arm, the sum of 1/p over its rows with the number of all rows, which it is in expectation.

    Only more than that is looked for: an arm that could not be taken for a while has less, rightly.
    """
    for place, name in enumerate(log.arms):
        taken = log.propensity[log.arm == place]
        if len(taken) < FEWEST:
            continue
        # Clusters whose rows share one draw vary as clusters do, not as rows.
        spread = _spread(log, place)
        excess = (float((1 / taken).sum()) - log.n) / spread
        if excess > DEVIATIONS:
            return (
                f"arm {name} was taken {len(taken)} times in {log.n}, {excess:.1f} standard deviations more often than "
                "its logged propensities say: they are not the probabilities that were used"
            )
    return None


def _spread(log: Log, place: int) -> float:
    inverse = np.where(log.arm == place, 1 / log.propensity, 0.0)
    by_cluster = np.bincount(log.cluster, weights=inverse)
    return sqrt(float((by_cluster**2).sum()))
