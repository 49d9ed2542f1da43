"""Many questions at once: p-values, and levels of intervals, that count how many were asked.

Responsible for: Bonferroni, Holm (1979) and Benjamini-Hochberg (1995) over metrics, arms or slices.
Does not know: which questions belong together, which is the caller's to say; tests.

| method | what is bounded by alpha | its intervals |
|---|---|---|
| bonferroni | chance of any wrong rejection | 1 - alpha/m each: all of them hold at once |
| holm | the same, with more power | 1 - alpha/m each: all hold at once; a rejection by Holm alone may hold 0 |
| benjamini_hochberg | expected share of rejections that are wrong | 1 - R alpha/m each, for R rejections |

The last are Benjamini and Yekutieli's (2005): of the intervals of what was rejected, at most alpha are expected wrong.

Rules: pure. A question without an answer counts with p = 1: how many are asked was decided beforehand, and must not
change with the data. Benjamini and Hochberg hold for independent, and for positively dependent, questions.
"""

from collections.abc import Sequence
from math import isfinite
from typing import Literal, get_args

from msgspec import Struct
from scipy.stats import false_discovery_control

Method = Literal["bonferroni", "holm", "benjamini_hochberg", "none"]


class Corrected(Struct, frozen=True):
    """The answers to several questions, each in the order in which they were given.

    Attributes:
        p: Adjusted p-values: reject where one is at most alpha; None where there was none.
        rejected: Which are rejected.
        alphas: What intervals have to be asked for, so that they count the questions.
    """

    p: tuple[float | None, ...]
    rejected: tuple[bool, ...]
    alphas: tuple[float, ...]


def correct(ps: Sequence[float | None], method: Method, alpha: float) -> Corrected:
    """Correct for the number of questions.

    Args:
        ps: A p-value for each question; None where there is not enough data.
        method: The correction; ``none`` returns what was given.
        alpha: What the correction bounds; above 0, below 1.

    Raises:
        ValueError: If a p-value or alpha is out of its range, or the method is unknown.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha lies between 0 and 1, not at {alpha}")
    for p in ps:
        if p is not None and not (isfinite(p) and 0 <= p <= 1):
            raise ValueError(f"a p-value lies between 0 and 1, not at {p}")
    if method not in get_args(Method):
        raise ValueError(f"{method!r} is no correction; there are {', '.join(get_args(Method))}")
    if not ps or method == "none":
        return Corrected(tuple(ps), tuple(p is not None and p <= alpha for p in ps), (alpha,) * len(ps))
    found = _adjusted([1.0 if p is None else p for p in ps], method)
    adjusted = tuple(None if p is None else value for p, value in zip(ps, found, strict=True))
    rejected = tuple(p is not None and p <= alpha for p in adjusted)
    selected = max(1, sum(rejected)) if method == "benjamini_hochberg" else 1
    return Corrected(adjusted, rejected, (alpha * selected / len(ps),) * len(ps))


def _adjusted(ps: Sequence[float], method: Method) -> list[float]:
    if method == "benjamini_hochberg":
        return [float(p) for p in false_discovery_control(ps)]
    if method == "bonferroni":
        return [min(1.0, p * len(ps)) for p in ps]
    out, largest = [0.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        largest = max(largest, min(1.0, ps[place] * (len(ps) - rank)))
        out[place] = largest
    return out
