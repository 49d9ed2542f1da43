"""What an experiment is designed for: the test, the arms, what inflates or shrinks its size.

Responsible for: the question, as data, and refusing what is none.
Does not know: how sizes are computed (``size``).

Rules: frozen. An effect is treatment less control, in the metric's unit; a margin is how much worse may be, above 0.
"""

from collections.abc import Sequence
from math import exp, inf, pi, sqrt
from typing import Final, Literal

from msgspec import Struct
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from router.inference.boundaries import Boundaries, Level

Aim = Literal["superiority", "non-inferiority", "equivalence"]
Correction = Literal["bonferroni", "dunnett", "none"]
ARMS_MAX: Final = 64


class Test(Struct, frozen=True):
    """A test of each treatment against control.

    Attributes:
        aim: What it shows.
        alpha: Error rate of the first kind, over all sides and treatments. Non-inferiority and equivalence are tested
            at alpha on one side, the latter twice.
        sides: 1 or 2, of superiority.
        margin: Of the other two: the difference that does not matter, above 0.
        correction: For several treatments.
    """

    aim: Aim = "superiority"
    alpha: float = 0.05
    sides: Literal[1, 2] = 2
    margin: float | None = None
    correction: Correction = "bonferroni"

    def __post_init__(self) -> None:
        """Refuse what is no test.

        Raises:
            ValueError: If alpha or the margin is out of range.
        """
        self.level()
        if self.aim == "superiority":
            if self.margin is not None:
                raise ValueError("a test of superiority has no margin")
        elif self.margin is None or not 1e-100 <= self.margin <= 1e100:
            raise ValueError(f"a test of {self.aim} needs a margin above 0 and at most 1e100")
        elif self.sides != 1:
            raise ValueError(f"a test of {self.aim} has one side")

    def level(self) -> Level:
        """Return alpha and sides."""
        return Level(self.alpha, self.sides)


class Clusters(Struct, frozen=True):
    """Units that are randomised together.

    Attributes:
        size: Mean number of units in a cluster, 1 or above.
        icc: Intra-cluster correlation, 0 to 1.
        variation: Coefficient of variation of the sizes.
    """

    size: float
    icc: float
    variation: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what are no clusters.

        Raises:
            ValueError: If a number is out of range.
        """
        if not 1 <= self.size <= 1e15:
            raise ValueError(f"a cluster holds 1 unit or more, not {self.size:g}")
        if not 0 <= self.icc <= 1:
            raise ValueError(f"the intra-cluster correlation lies from 0 to 1, not at {self.icc:g}")
        if not 0 <= self.variation <= 1000:
            raise ValueError(f"the coefficient of variation of cluster sizes is 0 to 1000, not {self.variation:g}")

    @property
    def design_effect(self) -> float:
        """1 + ((1 + cv^2) m - 1) ICC (Donner and Klar 2000; Eldridge, Ashby and Kerry 2006)."""
        return 1 + ((1 + self.variation**2) * self.size - 1) * self.icc


class Design(Struct, frozen=True):
    """Everything but the metric, the effect and the size.

    Attributes:
        test: The test.
        power: With which each treatment is told from control.
        shares: Of the units that each arm gets, control first; they add up to 1.
        rho: Correlation of the metric with a covariate that the analysis adjusts for (CUPED), above -1 and below 1.
        clusters: When clusters are randomised.
        boundaries: When there are several looks; made for the level of one comparison.
    """

    test: Test = Test()
    power: float = 0.8
    shares: tuple[float, ...] = (0.5, 0.5)
    rho: float = 0.0
    clusters: Clusters | None = None
    boundaries: Boundaries | None = None

    def __post_init__(self) -> None:
        """Refuse what is no design.

        Raises:
            ValueError: If a number is out of range, or the power is not above alpha.
        """
        if not self.test.level().rate < self.power < 1:
            raise ValueError(f"power lies above alpha and below 1, not at {self.power:g}")
        if not -1 < self.rho < 1:
            raise ValueError(f"the correlation with the covariate lies between -1 and 1, not at {self.rho:g}")
        if not 2 <= len(self.shares) <= ARMS_MAX or not all(share > 0 for share in self.shares):
            raise ValueError(f"there are 2 to {ARMS_MAX} arms, each with a share above 0")

    @property
    def rate(self) -> float:
        """Error rate of one side of one comparison."""
        return corrected(self.test, self.shares)

    @property
    def factor(self) -> float:
        """What a size is multiplied by, for clusters and the covariate; looks are not in it."""
        return (1 - self.rho**2) * (self.clusters.design_effect if self.clusters is not None else 1.0)


def shares_of(weights: Sequence[float]) -> tuple[float, ...]:
    """Return shares from weights, such as 0.9 and 0.1, or 95 and 5.

    Raises:
        ValueError: If a weight is not above 0 and finite.
    """
    if not all(0 < weight < inf for weight in weights):
        raise ValueError("each arm of a split has a weight above 0")
    whole = sum(weights)
    return tuple(weight / whole for weight in weights)


def corrected(test: Test, shares: Sequence[float]) -> float:
    """Return the error rate of one side that each comparison may have.

    Dunnett's is that of the largest of correlated statistics: they share control, so that those of treatments i and j
    correlate by l_i l_j with l_i^2 = n_i/(n_i + n_control) (Dunnett 1955; Hsu 1996, section 3.1), of large samples.

    Args:
        test: The test.
        shares: Of the arms, control first.
    """
    rate, treatments = test.level().rate, len(shares) - 1
    if treatments == 1 or test.correction == "none":
        return rate
    if test.correction == "bonferroni":
        return rate / treatments
    loads = [sqrt(share / (share + shares[0])) for share in shares[1:]]

    def missed(critical: float) -> float:
        def all_below(common: float) -> float:
            product = exp(-common * common / 2) / sqrt(2 * pi)
            for load in loads:
                rest = sqrt(1 - load * load)
                below = ndtr((critical - load * common) / rest)
                product *= float(below - ndtr((-critical - load * common) / rest) if test.sides == 2 else below)
            return product

        inside, _ = quad(all_below, -9, 9, epsabs=1e-12, limit=200)
        return float(inside) - (1 - test.alpha)

    critical = brentq(missed, -float(ndtri(rate)) - 1e-9, -float(ndtri(rate / treatments)) + 1e-6, xtol=1e-10)
    return float(ndtr(-critical))
