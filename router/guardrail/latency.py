"""Whether a quantile of one arm's times is further from control's than it may be, valid at any time.

Responsible for: the e-value against "beyond the margin" from histograms, the threshold above which an exchange is slow,
and slow exchanges by cluster of units as events of a ``Track``.
Does not know: verdicts (``pace``), what is timed.

*Beyond the margin* means that at least 1 - q of treatment's exchanges take longer than L(Q), with Q control's
q-quantile and L the margin: m Q, or Q + d. For each bucket of the histogram in which Q may lie, the e-value of control
against that times that of treatment against its consequence; the least of them holds wherever Q lies. Times in the
bucket of L count as longer, so buckets, at most 1/8 wide, make it stricter, never looser.

*No degradation* is tested by counting: an exchange is slow when it takes longer than a threshold, and treatment must
not have more slow exchanges than control. Any threshold will do that was fixed before the exchanges that it is applied
to; L of control's quantile so far makes the test look where the margin is.

Rules: pure. Both are divided by design effects as in ``compare``. Histograms count whole microseconds.
"""

from math import ceil, inf, log
from typing import Final

import numpy as np
import numpy.typing as npt

from router.guardrail.compare import arm_design
from router.guardrail.limit import Limit
from router.guardrail.track import Floats
from router.histogram import BUCKETS, bounds_us, bucket, quantile

Counts = npt.NDArray[np.int64]

_STEPS: Final = ((0.0, 0.2), (0.1, 0.2), (0.3, 0.25), (0.55, 0.2), (0.8, 0.15))
_LEAST_BEYOND: Final = 3
"""Control's exchanges beyond its quantile before there is a threshold."""


def clusters(counts: object) -> Counts:
    """Return an arm's histograms by cluster as an array: clusters x buckets; none where nothing is counted."""
    found = np.asarray(counts, dtype=np.int64)
    return found.reshape(-1, BUCKETS)


def threshold(control: Counts, q: float, limit: Limit) -> int | None:
    """Return the bucket above which an exchange is slow; None while control has too few.

    Args:
        control: Its histograms by cluster.
        q: Of the quantile.
        limit: How far is too far; differences in seconds.
    """
    whole = control.sum(axis=0)
    if whole.sum() * (1 - q) < _LEAST_BEYOND:
        return None
    value = quantile(whole.tolist(), q)
    return None if value is None else _reach(value, limit)


def slow(arm: Counts, above: int) -> Counts:
    """Return how many exchanges of each cluster are in buckets above one."""
    return np.asarray(arm[:, above + 1 :].sum(axis=1))


def quantiles(treatment: Counts, control: Counts, q: float) -> tuple[float | None, float | None]:
    """Return the quantile of either arm, in seconds; None without exchanges."""
    ours, theirs = (quantile(arm.sum(axis=0).tolist(), q) if arm.sum() else None for arm in (treatment, control))
    return None if ours is None else ours / 1e6, None if theirs is None else theirs / 1e6


def excluded(treatment: Counts, control: Counts, q: float, limit: Limit) -> float:
    """Return the logarithm of the e-value against treatment's quantile being beyond the margin.

    Args:
        treatment: Histograms by cluster.
        control: Likewise.
        q: Of the quantile.
        limit: How far is too far; differences in seconds.

    Returns:
        0 where an arm has no exchanges, or one cluster alone.
    """
    ours, theirs = treatment.sum(axis=0), control.sum(axis=0)
    n, m = float(ours.sum()), float(theirs.sum())
    if not n or not m:
        return 0.0
    value = quantile(theirs.tolist(), q) or 0.0
    near = bucket(int(value))
    designs = (_design(treatment, _reach(value, limit)), _design(control, near))
    if inf in designs:
        return 0.0
    above = np.concatenate([np.cumsum(theirs[::-1])[::-1], [0]]).astype(np.float64)  # in this bucket or above
    mine = np.concatenate([np.cumsum(ours[::-1])[::-1], [0]]).astype(np.float64)
    lows = [bounds_us[index - 1] + 1 if index else 0 for index in range(BUCKETS)]
    reached = np.array([_reach(low, limit) for low in lows])
    control_says = _between(above[:-1] / designs[1], above[1:] / designs[1], m / designs[1], 1 - q)
    treatment_says = _too_few(mine[reached] / designs[0], n / designs[0], 1 - q)
    return float((control_says + treatment_says).min())


def _reach(us: float, limit: Limit) -> int:
    """Return the bucket of the margin for a quantile of control."""
    if limit.ratio is not None:
        return bucket(int(us * limit.ratio))
    return bucket(int(us + (limit.difference or 0.0) * 1e6))


def _design(arm: Counts, above: int) -> float:
    """Return the design effect of the share of an arm's exchanges above a bucket.

    Where hardly any is, that of the upper tenth is taken: what few exchanges say of scatter is nothing.
    """
    exchanges = arm.sum(axis=1).astype(np.float64)
    events = slow(arm, above).astype(np.float64)
    whole = arm.sum(axis=0)
    if events.sum() < 0.005 * exchanges.sum():
        reached = np.cumsum(whole)
        tenth = int(np.searchsorted(reached, ceil(0.9 * float(reached[-1]))))
        events = slow(arm, min(tenth, above)).astype(np.float64)
    return arm_design(exchanges, events) if int((exchanges > 0).sum()) > 1 else inf


def _too_few(events: Floats, exchanges: float, rate: float) -> Floats:
    """Return logarithms of e-values against at least a rate, from events that are fewer."""
    logs = []
    for step, weight in _STEPS:
        with np.errstate(divide="ignore", invalid="ignore"):
            fallen = events * log(step) if step else np.where(events == 0, 0.0, -inf)
        logs.append(log(weight) + fallen + (exchanges - events) * (np.log1p(-rate * step) - np.log1p(-rate)))
    return np.asarray(np.logaddexp.reduce(logs, axis=0))


def _too_many(events: Floats, exchanges: float, rate: float) -> Floats:
    """Return logarithms of e-values against at most a rate, from events that are more."""
    logs = []
    for step, weight in ((1.3, 0.3), (1.8, 0.3), (3.0, 0.2), (8.0, 0.2)):
        other = 1 - (1 - rate) / step
        other = min(rate * step, max(other, rate))
        logs.append(
            log(weight) + events * log(other / rate) + (exchanges - events) * (np.log1p(-other) - np.log1p(-rate))
        )
    return np.asarray(np.logaddexp.reduce(logs, axis=0))


def _between(reached: Floats, above: Floats, exchanges: float, rate: float) -> Floats:
    """Return logarithms of e-values against the quantile being in each bucket.

    Then at least the rate is in it or above, and at most the rate above it. Half of the weight says nothing, so that
    what is true is never held against treatment's evidence, however long control is watched.
    """
    few, many = _too_few(reached, exchanges, rate), _too_many(above, exchanges, rate)
    return np.asarray(np.logaddexp(np.logaddexp(few, many) - log(4), -log(2)))
