"""How much of an error rate may be spent by when.

Responsible for: the spending functions of Lan and DeMets (1983), Kim and DeMets (1987), and Hwang, Shih and DeCani
(1990).
Does not know: boundaries, statistics.

Rules: of one side. Everything is a logarithm, so that what is spent at an information of 0.001 is not lost: by an
O'Brien-Fleming type it is less than the smallest float.
"""

from math import expm1, inf, log, log1p, sqrt
from typing import Literal

import numpy as np
from msgspec import Struct
from scipy.special import log_ndtr, ndtri

Family = Literal["obrien_fleming", "pocock", "kim_demets", "hwang_shih_decani"]

_LINEAR = 1e-12  # gamma below which the family is linear to the last digit
_LARGEST_RATE = 40.0  # of Hwang, Shih and DeCani: beyond, all is spent at the first look or nothing before the last


class Spending(Struct, frozen=True):
    """A spending function.

    Attributes:
        family: O'Brien-Fleming type, Pocock type, power family of Kim and DeMets, or Hwang, Shih and DeCani.
        parameter: Of the last two: the power, above 0, where 1 is linear and 3 close to O'Brien-Fleming; and gamma,
            -40 to 40, where 0 is linear, -4 close to O'Brien-Fleming and 1 close to Pocock. None for the others.
    """

    family: Family = "obrien_fleming"
    parameter: float | None = None

    def __post_init__(self) -> None:
        """Refuse what no family has.

        Raises:
            ValueError: If the parameter is missing, out of range, or there is none.
        """
        value = self.parameter
        if self.family in ("obrien_fleming", "pocock"):
            if value is not None:
                raise ValueError(f"the spending function {self.family} has no parameter")
        elif self.family == "kim_demets":
            if value is None or not 0 < value <= 100:
                raise ValueError("kim_demets needs a parameter above 0 and at most 100: 1 is linear, 3 spends late")
        elif value is None or not -_LARGEST_RATE <= value <= _LARGEST_RATE:
            raise ValueError("hwang_shih_decani needs a parameter between -40 and 40: -4 spends late, 1 early")

    def log_spent(self, information: float, rate: float) -> float:
        """Return the logarithm of what may be spent up to some information.

        Args:
            information: As a share of that planned for; beyond 1 everything is spent.
            rate: The error rate of one side, above 0 and below 1.
        """
        if information >= 1:
            return log(rate)
        if information <= 0:
            return -inf
        if self.family == "obrien_fleming":  # 2 - 2 Phi(z/sqrt(t)) with z the quantile at 1 - rate/2
            return log(2) + float(log_ndtr(ndtri(rate / 2) / sqrt(information)))
        if self.family == "pocock":  # rate log(1 + (e - 1) t)
            return log(rate) + log(log1p(expm1(1) * information))
        power = self.parameter or 0.0
        if self.family == "kim_demets":  # rate t^power
            return log(rate) + power * log(information)
        if abs(power) < _LINEAR:
            return log(rate) + log(information)
        return log(rate) + log(expm1(-power * information) / expm1(-power))

    def increments(self, information: tuple[float, ...], rate: float, *, last: bool = True) -> list[float]:
        """Return the logarithms of what each look may spend.

        Args:
            information: Of the looks, increasing.
            rate: The error rate of one side.
            last: Whether the last look spends the rest although its information is below 1.
        """
        sums = [self.log_spent(t, rate) for t in information]
        if last:
            sums[-1] = log(rate)
        return [log_difference(now, before) for before, now in zip([-inf, *sums[:-1]], sums, strict=True)]


def log_difference(more: float, less: float) -> float:
    """Return log(exp(more) - exp(less)), minus infinity when nothing remains."""
    if less == -inf:
        return more
    return more + float(np.log(-expm1(less - more))) if less < more else -inf
