"""Which of two interleaved rankers is preferred: how much, how surely once, and how surely at any time.

Responsible for: the preference of Chapelle et al. with a cluster-robust interval, the exact sign test over units, and
its always-valid form.
Does not know: how credit is given (``router.analysis.credit``), what follows from a preference.

    delta   (wins + ties/2) / impressions with an outcome - 1/2 (Chapelle, Joachims, Radlinski and Yue, "Large-scale
            validation and analysis of interleaved search evaluation", TOIS 2012): 0.1 is 60 % of the impressions that
            say anything. Over units a ratio, since impressions of one person are not independent; delta method.
    share   of the units that prefer one ranker, those that prefer the treatment: binomial, exact at every size
            (Clopper and Pearson 1934), and a sign test of 1/2.
    at any  the same for what each unit's first impression that speaks for either speaks for, so that a unit enters
    time    once and stays as it is: an e-process (``router.inference.e_process``), exact at every size and every look.

Rules: pure. The null hypothesis is that people prefer neither ranker: then credit is as likely one's as the other's,
because the coin of the merge is fair. Exchanging the rankers turns every sign and nothing else.
"""

from math import isfinite, sqrt
from typing import Final

from msgspec import Struct
from scipy.special import bdtr, betaincinv, stdtrit

from router.analysis.credit import Credit
from router.analysis.estimate import NotEnough
from router.inference.e_process import Arm, Tuning, sequence
from router.inference.effect import Asked, Interval
from router.inference.mixture import best_kappa, p_value

FEWEST: Final = 10
"""Units with an outcome below which the delta method is not believed."""

TUNED: Final = 300.0
"""Units that prefer a ranker at which the always-valid interval is tightest: a preference of 58 % takes as many."""


class Delta(Struct, frozen=True, tag="delta"):
    """The preference over impressions.

    Attributes:
        value: From -0.5, where every impression speaks for control, to 0.5.
        interval: At the level that was asked for.
        standard_error: Of the value, robust to several impressions of a unit.
    """

    value: float
    interval: Interval
    standard_error: float


class Chance(Struct, frozen=True, tag="chance"):
    """The chance that who prefers a ranker prefers the treatment.

    Attributes:
        value: Share that does.
        interval: At the level that was asked for; 1/2 is no preference.
        p: Two-sided p-value of 1/2.
        n: Units that prefer one.
    """

    value: float
    interval: Interval
    p: float
    n: int


class Preference(Struct, frozen=True, tag="preference"):
    """What interleaving says of two rankers.

    Attributes:
        control: The one ranker.
        treatment: The other.
        delta: How much more the treatment is preferred, over impressions.
        once: The sign test over units, to be read once, at a size chosen beforehand.
        any_time: The same, to be read at any time; or why there is none.
        level: Coverage of each interval.
        notes: What a reader has to know, one sentence each.
    """

    control: str
    treatment: str
    delta: Delta | NotEnough
    once: Chance
    any_time: Chance | NotEnough
    level: float
    notes: tuple[str, ...] = ()


def preference(known: Credit, asked: Asked) -> Preference | NotEnough:
    """Say which ranker is preferred.

    Args:
        known: What outcomes of one name say, in one phase.
        asked: Level of the intervals.
    """
    if not known.shown:
        return NotEnough("no merged list was shown", 0)
    if not sum(known.wins) + known.ties:
        return NotEnough("no outcome is about an item of a merged list that was shown", 0)
    decided = sum(known.preferred)
    if not decided:
        return NotEnough("no unit prefers either ranker", known.sums.n)
    return Preference(
        control=known.arms[0],
        treatment=known.arms[1],
        delta=_delta(known, asked.alpha),
        once=_once(known.preferred[1], decided, asked.alpha),
        any_time=_any_time(known.first[1], sum(known.first), asked.alpha),
        level=1 - asked.alpha,
        notes=_notes(known),
    )


def _delta(known: Credit, alpha: float) -> Delta | NotEnough:
    """Return half the ratio of net wins to impressions, by the delta method over units."""
    sums = known.sums
    if sums.n < FEWEST:
        return NotEnough(f"{sums.n} units with an outcome, and the delta method takes {FEWEST}", sums.n)
    ratio = sums.y / sums.x
    # The variance of y - ratio x, whose mean is 0, over the squared mean of x.
    residual = (sums.yy - 2 * ratio * sums.xy + ratio * ratio * sums.xx) / (sums.n - 1)
    error = 0.5 * sqrt(max(0.0, residual) / sums.n) * sums.n / sums.x
    if not isfinite(error) or error < 1e-9:  # what is left of sums that cancel
        return NotEnough("every unit with an outcome says the same, so there is no spread to go by", sums.n)
    reach = float(stdtrit(sums.n - 1, 1 - alpha / 2)) * error
    value = 0.5 * ratio
    return Delta(value, Interval(max(-0.5, value - reach), min(0.5, value + reach)), error)


def _once(wins: int, n: int, alpha: float) -> Chance:
    """Return the exact test and interval of a binomial chance."""
    p = min(1.0, 2 * float(bdtr(min(wins, n - wins), n, 0.5)))
    low = float(betaincinv(wins, n - wins + 1, alpha / 2)) if wins else 0.0
    high = float(betaincinv(wins + 1, n - wins, 1 - alpha / 2)) if wins < n else 1.0
    return Chance(wins / n, Interval(low, high), p, n)


def _any_time(wins: int, n: int, alpha: float) -> Chance | NotEnough:
    """Return the same, valid at any time."""
    if not n:
        return NotEnough("no impression speaks for either ranker", 0)
    evidence = Arm(wins, n, Tuning(max(1.0, TUNED / best_kappa(alpha)))).evidence(0.0)
    return Chance(wins / n, sequence(wins, n, alpha, TUNED), p_value(evidence), n)


def _notes(known: Credit) -> tuple[str, ...]:
    notes = []
    if known.unmatched:
        notes.append(
            f"{known.unmatched} outcomes about an item belong to no merged list that was shown; send them with the "
            "request id of the list"
        )
    return tuple(notes)
