"""Whether one arm has more events than another, and by how much, valid at any time.

Responsible for: e-values, bounds and the design effect of a ratio of two rates, from a ``Track``.
Does not know: what an event is, which levels are asked for, what follows.

Against *no degradation* (ratio at most 1): the mean of likelihood ratios over alternatives above 1 and over the marks
of the track from which the arm may have been bad, weights adding up to at most 1: an e-detector in the spirit of Shin,
Ramdas and Rinaldo (2022), kept an e-process by its weights, so it ever reaches 1/alpha with a probability of at most
alpha (Ville 1939). Against *at least the margin*: the mean over alternatives below it, from the start of the run.

What is exact and what is not: for independent exchanges the test against no degradation holds at every size, under any
drift that both arms share, and with any looking. The one against a margin takes events to be Poisson, which is
conservative for rare ones. Exchanges of one unit are *not* independent: every logarithm is divided by a design effect,
at least 1, estimated from the scatter between clusters of units, over the same stretch of time and over both arms as
the statistic weighs them (a quasi-likelihood; Wedderburn 1974, Kish 1965). With it the level holds for many units, not
for few, so three clusters with events are the least for a failure, and one cluster says nothing.

Rules: pure; logarithms throughout.
"""

from math import inf, log
from typing import Final

import numpy as np
from msgspec import Struct

from router.guardrail.track import (
    BETTER,
    BOTH,
    DRIFT,
    EVENTS,
    EXCHANGES,
    EXPECTED,
    FIRST,
    PHASES,
    TIME,
    WEIGHT,
    WORSE,
    Floats,
    Sample,
    Track,
)

LEAST_CLUSTERS: Final = 3
"""Clusters of treatment's units with an event, before an arm can be called worse."""

# Alternatives to "no worse", as multiples of the margin, and to "at least the margin", as powers of it and as ratios.
_RISES: Final = ((1.0, 0.12), (2.5, 0.56), (6.0, 0.16), (20.0, 0.1), (75.0, 0.06))
_FALLS: Final = ((0.0, 0.6), (0.5, 0.2))
_RATIOS: Final = ((0.5, 0.12), (0.1, 0.08))
_LEAST_RISE: Final = 1.2
_GRID: Final = np.linspace(-9.25, 9.25, 371)  # logarithms of ratios at which intervals are looked for


class Ladder(Struct, frozen=True):
    """Ratios that tests for one margin need, and their weights.

    Attributes:
        margin: The ratio that is too much.
        rises: Alternatives above 1, with logarithms of their weights.
        falls: Alternatives below the margin, likewise.
    """

    margin: float
    rises: tuple[tuple[float, float], ...]
    falls: tuple[tuple[float, float], ...]

    @property
    def nodes(self) -> tuple[float, ...]:
        """What a track keeps drifts at: the rises, the falls, the margin."""
        return (*(ratio for ratio, _ in self.rises), *(ratio for ratio, _ in self.falls), self.margin)


class Stretch(Struct, frozen=True, kw_only=True):
    """What happened in a stretch of time.

    Attributes:
        since: When it began, in unix seconds.
        events: Events of treatment and control, in closed blocks.
        exchanges: Exchanges of both.
        expected: Events of treatment if there were no difference.
        ratio: Mantel and Haenszel's estimate of the ratio of rates; infinite when only treatment has events, None
            without events.
        difference: Their estimate of the difference of rates; None without exchanges of both arms.
        design: Design effect.
        clusters: Clusters of treatment's units with an event.
    """

    since: float
    events: tuple[float, float]
    exchanges: tuple[float, float]
    expected: float
    ratio: float | None
    difference: float | None
    design: float
    clusters: int


class Compared(Struct, frozen=True, kw_only=True):
    """What is known of a ratio of rates.

    Attributes:
        against_none: Logarithm of the e-value against no degradation at any time of the run.
        against_margin: Logarithm of that against at least the margin, of the run.
        loudest: The stretch up to now that speaks loudest against no degradation.
        weight: Logarithm of its weight among all stretches.
        phase: The present phase.
        designs: Design effects of either arm's rate in the phase.
    """

    against_none: float
    against_margin: float
    loudest: Stretch
    weight: float
    phase: Stretch
    designs: tuple[float, float]


def ladder(margin: float) -> Ladder:
    """Return the alternatives for a margin.

    Args:
        margin: The ratio that is too much, above 0.

    Raises:
        ValueError: If it is not above 0.
    """
    if not 0 < margin < inf:
        raise ValueError(f"a margin of a ratio is above 0, not {margin}")
    start = max(margin, _LEAST_RISE)
    rises = tuple((start * factor, log(weight)) for factor, weight in _RISES)
    falls = [(margin**power, weight) for power, weight in _FALLS] + list(_RATIOS)
    if margin < 1:
        falls = [(margin / 2, 0.6), (margin / 5, 0.4)]
    return Ladder(margin, rises, tuple((ratio, log(weight)) for ratio, weight in falls))


def compare(track: Track, sample: Sample, asked: Ladder) -> Compared:
    """Compare both arms by the closed blocks of a run.

    Args:
        track: The run; its nodes are those of ``asked``.
        sample: Counts since the phase began, for the scatter between clusters.
        asked: The alternatives.
    """
    rows, since = track.rows(), track.since(sample).astype(np.float64)
    past = track.row() - rows
    exchanges, events = sample.exchanges.astype(np.float64), sample.events.astype(np.float64)
    design = design_effect(exchanges, events)
    designs = _design_effects(since)
    if not track.phases:  # the first mark is where the phase began, and all buckets say more than their clusters
        designs[0] = design
    logs = np.log([ratio for ratio, _ in asked.rises])
    each = (past[:, [EVENTS]] * logs - past[:, DRIFT : DRIFT + len(logs)]) / designs[:, None]
    said = rows[:, WEIGHT] + _log_sum(each + np.array([weight for _, weight in asked.rises]))
    # Weight of marks that are still to come, or were dropped, stays at an e-value of 1 and of 0.
    coming = 1.0 - FIRST - PHASES if not track.placed else 0.0
    loudest = int(np.argmax(said))
    phase = track.in_phase()
    return Compared(
        against_none=float(_log_sum(np.append(said, log(coming) if coming else -inf))),
        against_margin=_against_margin(past[0], asked, float(designs[0])),
        loudest=_stretch(past[loudest], float(rows[loudest, TIME]), since[loudest][1], float(designs[loudest])),
        weight=float(rows[loudest, WEIGHT]),
        phase=_stretch(phase, float(np.frombuffer(track.began)[TIME]), events, design),
        designs=(arm_design(exchanges[0], events[0]), arm_design(exchanges[1], events[1])),
    )


def _stretch(sums: Floats, since: float, events: Floats, design: float) -> Stretch:
    worse, better, both = float(sums[WORSE]), float(sums[BETTER]), float(sums[BOTH])
    ratio = worse / better if better else (inf if worse else None)
    return Stretch(
        since=since,
        events=(float(sums[EVENTS]), float(sums[EVENTS + 1])),
        exchanges=(float(sums[EXCHANGES]), float(sums[EXCHANGES + 1])),
        expected=float(sums[EXPECTED]),
        ratio=ratio,
        difference=(worse - better) / both if both else None,
        design=design,
        clusters=int((events[0] > 0).sum()),
    )


def design_effect(exchanges: Floats, events: Floats) -> float:
    """Return how many times the variance of independent exchanges the scatter between clusters is, at least 1.

    The variance of an arm's events is that of its clusters' residuals, A/(A - 1) sum (f_b - p n_b)^2 over A clusters
    with exchanges; both arms are weighed as in the score of the ratio, (1 - s) x - s c.

    Args:
        exchanges: Of treatment and control (first axis) by cluster (second).
        events: Likewise.

    Returns:
        Infinity where an arm that has events has no more than one cluster.
    """
    return float(_design_effects(np.stack([exchanges, events])[None])[0])


def _design_effects(counts: Floats) -> Floats:
    """Return the design effects of several stretches, whose exchanges and events are rows of the second axis."""
    exchanges, events = counts[:, 0], counts[:, 1]
    totals, found = exchanges.sum(axis=2), events.sum(axis=2)
    active = (exchanges > 0).sum(axis=2)
    rates = found / np.maximum(totals, 1.0)
    residuals = events - rates[:, :, None] * exchanges
    squares = np.einsum("kab,kab->ka", residuals, residuals)
    shares = totals[:, :1] / np.maximum(totals.sum(axis=1, keepdims=True), 1.0)
    scales = np.concatenate([(1 - shares) ** 2, shares**2], axis=1) * (found > 0)
    scatter = (scales * active / np.maximum(active - 1, 1) * squares).sum(axis=1)
    expected = (scales * found * (1 - rates)).sum(axis=1)
    told = expected > 1e-9 * np.maximum(1.0, scatter)
    designs = np.where(told, np.maximum(1.0, scatter / np.where(told, expected, 1.0)), 1.0)
    alone = ((found > 0) & (active < 2)).any(axis=1)
    return np.where(alone | ~totals.all(axis=1), inf, designs)


def ratio_bounds(found: Stretch, budgets: tuple[float, float]) -> tuple[float | None, float | None]:
    """Return the ratios that are not rejected; None where there is no bound.

    Exposure is taken at its mean over the events, where the e-values take each block's own.

    Args:
        found: The stretch.
        budgets: Logarithm of the e-value that rejects ratios below, and of that which rejects ratios above.
    """
    total = sum(found.events)
    if not total or not 0 < found.expected < total or found.design == inf:
        return None, None
    share, x, total = found.expected / total, found.events[0] / found.design, total / found.design
    base = np.exp(_GRID)

    def evidence(steps: list[tuple[float, float]]) -> Floats:
        logs = [
            log(weight) + x * log(step) - total * (np.log1p(share * (base * step - 1)) - np.log1p(share * (base - 1)))
            for step, weight in steps
        ]
        return _log_sum(np.stack(logs, axis=1))

    below = evidence([(2 * factor, weight) for factor, weight in _RISES]) >= budgets[0]
    above = evidence([(0.5 / factor, weight) for factor, weight in _RISES]) >= budgets[1]
    low = float(base[below][-1]) if below.any() and found.events[0] else None
    high = float(base[above][0]) if above.any() and found.events[1] else None
    return low, high


def difference_excluded(found: Compared, margin: float) -> float:
    """Return the logarithm of the e-value against a difference of rates of at least the margin, in the present phase.

    For each rate u of control: the e-value of treatment against u + margin times that of control against u; the least
    of them holds whatever control's rate is. Without any event it is the rule of three, at any time: (1 - margin)^-n.

    Args:
        found: What ``compare`` returned.
        margin: The difference, above 0 and below 1.

    Returns:
        0 where an arm has no exchanges, or too few clusters of units to know how they scatter.
    """
    if inf in found.designs:
        return 0.0
    (x, c), (n, m) = found.phase.events, found.phase.exchanges
    x, n, c, m = x / found.designs[0], n / found.designs[0], c / found.designs[1], m / found.designs[1]
    if not n or not m:
        return 0.0
    grid = np.concatenate([[0.0], np.exp(np.linspace(-16.0, log(1 - margin), 240)) * (1 - 1e-9)])
    return float((_one_sided(x, n, grid + margin) + _two_sided(c, m, grid)).min())


def _one_sided(events: float, exchanges: float, rates: Floats) -> Floats:
    """Return logarithms of e-values against rates that are at least so high."""
    rest = exchanges - events
    steps = ((0.0, 0.3), (0.1, 0.15), (0.3, 0.2), (0.55, 0.2), (0.8, 0.15))
    logs = [
        log(weight)
        + (events * log(step) if step else (0.0 if events == 0 else -inf))
        + rest * (np.log1p(-rates * step) - np.log1p(-rates))
        for step, weight in steps
    ]
    return _log_sum(np.stack(logs, axis=1))


def _two_sided(events: float, exchanges: float, rates: Floats) -> Floats:
    """Return logarithms of e-values against rates, either way."""
    rest = exchanges - events
    logs = [np.full_like(rates, log(0.4))]
    for step, weight in ((0.25, 0.15), (0.6, 0.15), (1.7, 0.15), (4.0, 0.15)):
        other = np.minimum(rates * step, 1 - 1e-12)
        with np.errstate(divide="ignore", invalid="ignore"):
            risen = np.where(rates > 0, events * np.log(np.where(rates > 0, other / rates, 1.0)), 0.0)
        logs.append(log(weight) + risen + rest * (np.log1p(-other) - np.log1p(-rates)))
    found = _log_sum(np.stack(logs, axis=1))
    return np.where((rates == 0) & (events > 0), inf, found)


def arm_design(exchanges: Floats, events: Floats) -> float:
    """Return the design effect of one arm's rate, at least 1; see ``design_effect``."""
    found, whole = float(events.sum()), float(exchanges.sum())
    active = int((exchanges > 0).sum())
    if not found:
        return 1.0
    if active < 2:
        return inf
    residuals = events - found / whole * exchanges
    expected = found * (1 - found / whole)
    scatter = active / (active - 1) * float(residuals @ residuals)
    return max(1.0, scatter / expected) if expected > 1e-9 * max(1.0, scatter) else 1.0


def _against_margin(whole: Floats, asked: Ladder, design: float) -> float:
    if design == inf:
        return 0.0
    first = DRIFT + len(asked.rises)
    drifts, at_margin = whole[first:-1], whole[-1]
    ratios = np.log([ratio / asked.margin for ratio, _ in asked.falls])
    each = (whole[EVENTS] * ratios - (drifts - at_margin)) / design
    return float(_log_sum(each + np.array([weight for _, weight in asked.falls])))


def _log_sum(values: Floats) -> Floats:
    """Return the logarithm of the sum of exponentials along the last axis."""
    top = values.max(axis=-1, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(top[..., 0] + np.log(np.exp(values - top).sum(axis=-1)))
