"""Whether a share is above a value, or below it, at any time: exact one-sided tests of a coin, and their bounds.

Responsible for: e-values of "at most p" and "at least p" from successes and trials, bounds by inverting them.
Does not know: what succeeds, windows, design effects: who has dependent trials divides both counts by theirs.

Against "at most p" the e-value is the mean of likelihood ratios of chances q above p,

    M = mean over q of (q/p)^x ((1 - q)/(1 - p))^(n - x)        of x successes in n trials,

with the odds of q those of p times e^0.02, e^0.04, ... e^10.24. Each ratio grows with x, so M is a supermartingale
under *every* chance up to p, and ever reaches 1/alpha with a probability of at most alpha (Ville 1939; mixtures of
likelihood ratios: Robbins 1970). "At least p" is the same coin seen from the other side.

Rules: pure; logarithms throughout, so 0 of n, n of n and 10^9 trials are nothing special.
"""

from math import exp, inf, log, log1p
from typing import Final, Literal

_STEPS: Final = tuple(0.02 * 2**k for k in range(10))  # of log odds
_WEIGHT: Final = -log(len(_STEPS))
_HALVINGS: Final = 40

Side = Literal["above", "below"]


def log_e(successes: float, trials: float, p: float, side: Side) -> float:
    """Return the logarithm of the e-value for the chance being above p, or below it.

    Args:
        successes: From 0 to ``trials``.
        trials: At least 0.
        p: The chance; at 0 any success, and at 1 any failure, excludes it.
        side: ``above`` is evidence against "at most p".

    Returns:
        0 when nothing is known; infinity when what was seen cannot be.
    """
    if side == "below":
        return log_e(trials - successes, trials, 1 - p, "above")
    if p >= 1 or trials <= 0:
        return 0.0
    if p <= 0:
        return inf if successes > 0 else 0.0
    return _mean([successes * (step - _grown(p, step)) - (trials - successes) * _grown(p, step) for step in _STEPS])


def bound(successes: float, trials: float, enough: float, side: Side) -> float | None:
    """Return the value that a chance is above, or below, at any time.

    Args:
        successes: From 0 to ``trials``.
        trials: At least 0.
        enough: What the logarithm of the e-value has to reach, such as -log(alpha).
        side: ``above`` gives a lower bound, ``below`` an upper one.

    Returns:
        None where nothing but 0, or 1, is excluded.
    """
    if side == "below":
        found = bound(trials - successes, trials, enough, "above")
        return None if found is None else 1 - found
    low, high = 0.0, successes / trials if trials > 0 else 0.0
    if high <= 0 or log_e(successes, trials, 1e-12, "above") < enough:
        return None
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if log_e(successes, trials, middle, "above") >= enough else (low, middle)
    return low


def _grown(p: float, step: float) -> float:
    """Return -log((1 - q)/(1 - p)) where q has the odds of p times e^step: log(1 - p + p e^step)."""
    return log1p(p * (exp(step) - 1))


def _mean(logs: list[float]) -> float:
    most = max(logs)
    return most + log(sum(exp(each - most) for each in logs)) + _WEIGHT
