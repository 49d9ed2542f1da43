"""Exact tests and intervals for proportions at any time, from the successes and units of each arm alone.

Responsible for: the e-process of one arm, the joint one of two, and what follows for their difference and ratio.
Does not know: metrics; how units were counted.

For one arm whose chance is p, with s successes of n, a beta distribution *centred at p* over other chances gives

    M(p) = B(s + g p, n - s + g(1 - p)) / B(g p, g(1 - p)) / (p^s (1 - p)^(n - s))       (B is the beta function)

a martingale that starts at 1 when p is the truth (Robbins 1970; for counts of several kinds Lindon and Malek, NeurIPS
2022; Howard, Ramdas, McAuliffe and Sekhon, Annals of Statistics 2021, call it the two-sided beta-binomial mixture).
M_t(p_t) M_c(p_c) is one under the pair of truths, in whatever order units of the arms came, so the pairs with a product
below 1/alpha are a joint confidence region at any time, exact at every size (Ville 1939). From it follow

    p-value of no difference     the reciprocal of the least product over p_t = p_c (universal inference, Wasserman,
                                 Ramdas and Balakrishnan, PNAS 2020, with a numerator for each null)
    intervals                    of p_t - p_c and of p_t/p_c - 1 over the region; they hold 0 where the p-value is above
                                 alpha

The usual universal inference has one numerator, uniform over chances, and pays for learning the common chance; centring
at each null pays for a region of the size that is tuned to. See decision 0067.

Rules: pure; logarithms throughout, so 0 of n, n of n, one unit and 10^9 units are nothing special. g is chosen before
data come, from alpha and the effect that matters alone.
"""

from collections.abc import Callable
from math import exp, inf, lgamma, log, log1p, sqrt
from typing import Final

from msgspec import Struct
from scipy.optimize import brentq, minimize_scalar
from scipy.special import ndtri

from router.inference.effect import Asked, Interval
from router.inference.mixture import POWER, best_kappa, p_value

TUNED: Final = 5000.0
"""Units of both arms that intervals are tightest for where no effect that matters is given: GrowthBook's default."""

# exp(-45) is 3e-20: with fewer than 10^18 units no chance below it can be told from 0, nor above from 1.
_END: Final = 45.0
# Larger concentrations lose lgamma's digits, and are tuned for more units than there are people.
_MOST: Final = 1e9
_LEAST: Final = 1.0


class Tuning(Struct, frozen=True):
    """How concentrated the beta distribution around a chance p is: g = constant + slope p(1 - p).

    Attributes:
        constant: In units.
        slope: In units; above 0 where g is for an effect of a given size, which takes more units in the middle.
    """

    constant: float
    slope: float = 0.0


class Arm(Struct, frozen=True):
    """Successes of an arm.

    Attributes:
        successes: From 0 to ``n``.
        n: Units, at least 1.
        tuning: Of its mixture.
    """

    successes: int
    n: int
    tuning: Tuning

    def __post_init__(self) -> None:
        """Refuse what are no counts.

        Raises:
            ValueError: If there is no unit, or more successes than units.
        """
        if not (self.n >= 1 and 0 <= self.successes <= self.n):
            raise ValueError(f"{self.successes} successes of {self.n} units")

    @property
    def peak(self) -> float:
        """Log odds of the most likely chance; there the evidence is at most 0."""
        if self.successes in (0, self.n):
            return -_END if self.successes == 0 else _END
        return max(-_END, min(_END, log(self.successes) - log(self.n - self.successes)))

    def evidence(self, odds: float) -> float:
        """Return ln M of a chance.

        Args:
            odds: The chance, as log odds.
        """
        p, q = 1 / (1 + exp(-odds)), 1 / (1 + exp(odds))
        log_p, log_q = -_softplus(-odds), -_softplus(odds)
        g = min(_MOST, self.tuning.constant + self.tuning.slope * p * q)
        failures = self.n - self.successes
        mixed = _rising(g * p, self.successes) + _rising(g * q, failures) - _rising(g, self.n)
        return mixed - self.successes * log_p - failures * log_q

    def furthest(self, budget: float, sign: int) -> float:
        """Return the log odds, above (1) or below (-1) the peak, to which evidence stays at most ``budget``."""
        start, end = self.peak, sign * _END
        if sign * (end - start) <= 0 or self.evidence(end) <= budget:
            return end
        if self.evidence(start) >= budget:
            return start
        # Most roots are within a few standard errors of log odds; ends are far away.
        failures = max(1, self.n - self.successes)
        step = 3 * sqrt(1 / max(1, self.successes) + 1 / failures)
        near = start + sign * step
        while sign * (end - near) > 0 and self.evidence(near) <= budget:
            start, step = near, 2 * step
            near = start + sign * step
        if sign * (end - near) > 0:
            end = near
        return float(brentq(lambda odds: self.evidence(odds) - budget, start, end, xtol=1e-10, rtol=1e-12))


class Compared(Struct, frozen=True):
    """What two arms' successes say at any time.

    Attributes:
        log_e: Logarithm of the e-process against no difference.
        p: Its p-value.
        difference: Of p_t - p_c.
        ratio: Of p_t/p_c - 1; no upper end where control's chance may be 0.
    """

    log_e: float
    p: float
    difference: Interval
    ratio: Interval


def sequence(successes: int, n: int, alpha: float, tuned: float = TUNED / 2) -> Interval:
    """Return the chances of one arm that are not rejected at any time.

    Args:
        successes: From 0 to ``n``.
        n: Units, at least 1.
        alpha: Share of intervals that ever miss.
        tuned: Units at which it is tightest.
    """
    arm = Arm(successes, n, Tuning(max(_LEAST, tuned / best_kappa(alpha))))
    low, high = (arm.furthest(-log(alpha), sign) for sign in (-1, 1))
    return Interval(_chance(low), _chance(high))


def compare(treatment: tuple[int, int], control: tuple[int, int], asked: Asked) -> Compared:
    """Compare two proportions.

    Args:
        treatment: Successes and units of the arm.
        control: Those of control.
        asked: Level of the intervals; ``mde`` is what they are tuned to.

    Raises:
        ValueError: If an arm has no unit, or more successes than units.
    """
    one, two = _arms(treatment, control, asked)
    log_e = least_common(one, two)
    budget = -log(asked.alpha)
    difference = _extremes(one, two, budget, lambda up, down: _chance(up) - _chance(down))
    ratios = _extremes(one, two, budget, lambda up, down: _softplus(-down) - _softplus(-up))
    # The ends of the range of odds stand for chances of 0.
    high = None if two.furthest(budget - _floor(one), -1) <= -_END else _expm1(ratios[1])
    low = -1.0 if one.furthest(budget - _floor(two), -1) <= -_END else _expm1(ratios[0])
    ratio = Interval(low, high)
    return Compared(log_e, p_value(log_e), Interval(*difference), ratio)


def log_e_value(treatment: tuple[int, int], control: tuple[int, int], asked: Asked) -> float:
    """Return the logarithm of the e-process against no difference; see ``compare``, which makes intervals as well."""
    return least_common(*_arms(treatment, control, asked))


def tuning(asked: Asked) -> Tuning:
    """Return what the arms' mixtures are tuned to: that the product's interval is tightest where it matters.

    Args:
        asked: Level, and the effect that matters, if any.
    """
    kappa = best_pair(asked.alpha)
    if asked.mde is None:
        return Tuning(TUNED / 2 / kappa)
    # Units of an arm, over p(1 - p), of a test at a fixed size with that power.
    needed = 2 * (float(ndtri(POWER) - ndtri(asked.alpha / 2)) / max(1e-9, min(1.0, asked.mde))) ** 2
    return Tuning(_LEAST, needed / kappa)


def _arms(treatment: tuple[int, int], control: tuple[int, int], asked: Asked) -> tuple[Arm, Arm]:
    tuned = tuning(asked)
    return Arm(*treatment, tuned), Arm(*control, tuned)


def least_common(one: Arm, two: Arm) -> float:
    """Return the least evidence of two arms against any chance that they might have in common."""
    low, high = sorted((one.peak, two.peak))

    def evidence(odds: float) -> float:
        return one.evidence(odds) + two.evidence(odds)

    # Evidence falls towards an arm's peak and rises after it, so the least lies between the two.
    points = [low + (high - low) * step / 16 for step in range(17)]
    best = min(range(17), key=lambda step: evidence(points[step]))
    bounds = points[max(0, best - 1)], points[min(16, best + 1)]
    if bounds[0] >= bounds[1]:
        return evidence(low)
    found = minimize_scalar(evidence, bounds=bounds, method="bounded", options={"xatol": 1e-7})
    return min(float(found.fun), evidence(points[best]))


def _extremes(one: Arm, two: Arm, budget: float, measure: Callable[[float, float], float]) -> tuple[float, float]:
    """Return the least and the largest of a measure that rises in the first arm's chance and falls in the second's."""
    least = _floor(two)
    # Evidence that the second arm may use up; the first has the rest. Reach is concave in it.
    room = max(0.0, budget - _floor(one) - least)
    ends: list[float] = []
    for sign in (-1, 1):

        def reached(share: float, sign: int = sign) -> float:
            used = least + share * room
            return sign * measure(one.furthest(budget - used, sign), two.furthest(used, -sign))

        best = max((0.0, 1.0), key=reached)
        found = minimize_scalar(lambda share: -reached(share), bounds=(0, 1), method="bounded", options={"xatol": 1e-4})
        ends.append(sign * max(reached(best), -float(found.fun)))
    return ends[0], ends[1]


def _floor(arm: Arm) -> float:
    """Return the evidence at an arm's peak, as near its least as intervals need."""
    return arm.evidence(arm.peak)


def best_pair(alpha: float) -> float:
    """Return the kappa at which two arms' product is tightest: kappa = ln(1/alpha) + ln(1 + kappa)."""
    kappa = 5.0
    for _ in range(50):
        kappa = -log(alpha) + log1p(kappa)
    return kappa


def _rising(start: float, steps: int) -> float:
    """Return the logarithm of start (start + 1) ... (start + steps - 1)."""
    return lgamma(start + steps) - lgamma(start) if steps else 0.0


def _softplus(value: float) -> float:
    """Return ln(1 + e^value)."""
    return max(value, 0.0) + log1p(exp(-abs(value)))


def _chance(odds: float) -> float:
    """Return the chance of log odds, 0 and 1 at the ends of their range."""
    if abs(odds) >= _END:
        return 0.0 if odds < 0 else 1.0
    return 1 / (1 + exp(-odds))


def _expm1(value: float) -> float:
    return exp(value) - 1 if value < 700 else inf
