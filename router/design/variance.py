"""How much a metric varies, as the variance that a difference between two arms has.

Responsible for: proportions, means, and ratios by the delta method, with arms of different sizes.
Does not know: tests, powers, how many units there are.

Rules: variances are per unit of control; divided by control's units they are those of the difference treatment less
control, under no effect and under an effect. Control has 1 unit where treatment has ``ratio``.
"""

from math import inf, sqrt
from typing import Final

from msgspec import Struct

_LARGEST: Final = 1e100  # whose square is still a number


class Proportion(Struct, frozen=True):
    """A share of units.

    Attributes:
        baseline: Control's, above 0 and below 1.
    """

    baseline: float

    def __post_init__(self) -> None:
        """Refuse what is no share.

        Raises:
            ValueError: If the baseline is not between 0 and 1.
        """
        if not 0 < self.baseline < 1:
            raise ValueError(f"the baseline of a proportion lies between 0 and 1, not at {self.baseline:g}")

    def null(self, effect: float, ratio: float) -> float:
        """Return the variance if both arms had their common share (Fleiss, Levin and Paik 2003, section 4.2)."""
        pooled = self.baseline + effect * ratio / (1 + ratio)
        return pooled * (1 - pooled) * (1 + 1 / ratio)

    def alternative(self, effect: float, ratio: float) -> float:
        """Return the variance with each arm's own share."""
        other = self.baseline + effect
        return self.baseline * (1 - self.baseline) + other * (1 - other) / ratio

    def check(self, effect: float) -> None:
        """Refuse an effect that leads to no share.

        Raises:
            ValueError: If the treatment's share would not be between 0 and 1.
        """
        if not 0 < self.baseline + effect < 1:
            raise ValueError(
                f"with a baseline of {self.baseline:g} and an effect of {effect:+g} the treatment's proportion would "
                f"be {self.baseline + effect:g}, which is not between 0 and 1"
            )

    def range(self) -> tuple[float, float]:
        """Return between which effects there are shares."""
        return -self.baseline, 1 - self.baseline


class Mean(Struct, frozen=True):
    """A mean over units, or a ratio with the standard deviation of ``delta_sd``.

    Attributes:
        sd: Standard deviation of a unit's value, the same in all arms.
        baseline: Control's mean; only relative effects need it.
        students: Whether the test is a t-test, whose variance is estimated.
    """

    sd: float
    baseline: float | None = None
    students: bool = True

    def __post_init__(self) -> None:
        """Refuse what is no standard deviation.

        Raises:
            ValueError: If it is not above 0 and finite.
        """
        if not 1 / _LARGEST <= self.sd <= _LARGEST:
            raise ValueError(f"a standard deviation is above 0 and at most {_LARGEST:g}, not {self.sd:g}")

    def null(self, effect: float, ratio: float) -> float:
        """Return the variance without effect."""
        del effect
        return self.sd * self.sd * (1 + 1 / ratio)

    def alternative(self, effect: float, ratio: float) -> float:
        """Return the variance with an effect: the same."""
        return self.null(effect, ratio)

    def check(self, effect: float) -> None:
        """Accept every effect."""

    def range(self) -> tuple[float, float]:
        """Return between which effects there are means."""
        return -inf, inf


Metric = Proportion | Mean


class Parts(Struct, frozen=True):
    """What a ratio is made of, per unit.

    Attributes:
        ratio: Sum of the numerator over that of the denominator.
        denominator: Mean of the denominator.
        sd_numerator: Standard deviation of the numerator.
        sd_denominator: That of the denominator.
        correlation: Between the two, -1 to 1.
    """

    ratio: float
    denominator: float
    sd_numerator: float
    sd_denominator: float
    correlation: float


def delta_sd(parts: Parts) -> float:
    """Return the standard deviation that a unit contributes to a ratio of means.

    That is sqrt(var(y - R x)) / |mean of x|, by the delta method (Deng, Knoblich and Lu, KDD 2018, section 3).

    Raises:
        ValueError: If the denominator has the mean 0, a deviation is below 0, or nothing varies.
    """
    if not 1 / _LARGEST <= abs(parts.denominator) <= _LARGEST:
        raise ValueError("a ratio needs a denominator with a mean other than 0")
    if not max(abs(parts.ratio), parts.sd_numerator, parts.sd_denominator) <= sqrt(_LARGEST):
        raise ValueError(f"a ratio and the standard deviations of its parts are at most {sqrt(_LARGEST):g}")
    if parts.sd_numerator < 0 or parts.sd_denominator < 0 or not -1 <= parts.correlation <= 1:
        raise ValueError("standard deviations are 0 or above, and a correlation lies between -1 and 1")
    together = parts.correlation * parts.sd_numerator * parts.sd_denominator
    residual = parts.sd_numerator**2 - 2 * parts.ratio * together + (parts.ratio * parts.sd_denominator) ** 2
    if not residual > 0:
        raise ValueError("the ratio does not vary between units: no sample size is needed")
    return sqrt(residual) / abs(parts.denominator)
