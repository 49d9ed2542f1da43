"""How unusual a number of failures among a number of exchanges is.

Responsible for: what share was usual, and giving the next count in normal units, also where nearly all counts are 0.
Does not know: what failed.

Given how many failed in all, how many of them are among the new exchanges is hypergeometric, whatever the share is: the
mid-p value of that is turned into a normal score (Quesenberry 1991, Q charts for binomial counts). From ``ENOUGH``
expected failures the arcsine transform (Anscombe 1948) says the same for less work. Failures of one unit come together,
so the scores of a real stream are wider than binomial: the baseline of the scores sees to that (Laney 2002, the p'
chart), which never takes them for narrower than binomial.
"""

from math import asin, exp, inf, lgamma, sqrt
from statistics import NormalDist
from typing import Final

from msgspec import Struct

ENOUGH: Final = 25.0
FARTHEST: Final = 8.0  # normal units; beyond it no chart needs to tell one from another
MEMORY: Final = 10_000_000  # exchanges; older ones are forgotten
_NORMAL: Final = NormalDist()
_LEAST: Final = 1e-16


class Usual(Struct, frozen=True):
    """What was usual so far.

    Attributes:
        failures: Failures.
        exchanges: Exchanges, failures among them.
    """

    failures: float = 0.0
    exchanges: float = 0.0

    def learn(self, failures: int, exchanges: int) -> "Usual":
        """Return what is usual with one more count."""
        kept = min(1.0, MEMORY / (self.exchanges + exchanges)) if exchanges else 1.0
        return Usual((self.failures + failures) * kept, (self.exchanges + exchanges) * kept)

    def score(self, failures: int, exchanges: int) -> float | None:
        """Return how unusual a count is, standard normal in control where counts are not tiny.

        Args:
            failures: Failures, from 0 to ``exchanges``.
            exchanges: Exchanges.

        Returns:
            None without exchanges, now or before.
        """
        if exchanges < 1 or self.exchanges < 1:
            return None
        expected = (self.failures + failures) * exchanges / (self.exchanges + exchanges)
        if min(expected, exchanges - expected) >= ENOUGH:
            off = _angle(failures, exchanges) - _angle(self.failures, self.exchanges)
            found = 2 * off / sqrt(1 / exchanges + 1 / self.exchanges)
        else:
            found = _by_mid_p(failures, exchanges, round(self.failures), round(self.exchanges))
        return min(FARTHEST, max(-FARTHEST, found))


def _angle(failures: float, exchanges: float) -> float:
    return asin(sqrt((failures + 0.375) / (exchanges + 0.75)))


def _by_mid_p(failures: int, exchanges: int, failures_before: int, exchanges_before: int) -> float:
    """Return the normal score of the mid-p value, from the shorter tail."""
    total = failures + failures_before
    low, high = max(0, total - exchanges_before), min(exchanges, total)
    here = exp(_log_pmf(failures, exchanges, total, exchanges_before))
    expected = total * exchanges / (exchanges + exchanges_before)
    up = failures >= expected
    tail, term = here / 2, here
    at = failures
    while term > tail * 1e-12 and (at < high if up else at > low):
        term *= _ratio(at, exchanges, total, exchanges_before, up=up)
        at += 1 if up else -1
        tail += term
    score = -_NORMAL.inv_cdf(min(max(tail, _LEAST), 1 - _LEAST)) if 0 < tail < inf else FARTHEST
    return score if up else -score


def _ratio(at: int, exchanges: int, total: int, exchanges_before: int, *, up: bool) -> float:
    """Return the probability of the next count, over that of this one."""
    if up:
        return (exchanges - at) * (total - at) / ((at + 1) * (exchanges_before - total + at + 1))
    return at * (exchanges_before - total + at) / ((exchanges - at + 1) * (total - at + 1))


def _log_pmf(at: int, exchanges: int, total: int, exchanges_before: int) -> float:
    return (
        _log_choose(exchanges, at)
        + _log_choose(exchanges_before, total - at)
        - _log_choose(exchanges + exchanges_before, total)
    )


def _log_choose(of: int, take: int) -> float:
    return lgamma(of + 1) - lgamma(take + 1) - lgamma(of - take + 1)
