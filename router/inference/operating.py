"""What a group-sequential design does and costs: stopping probabilities, power, drift, inflation, expected size.

Responsible for: operating characteristics of given boundaries.
Does not know: where the boundaries are from.

Rules: the drift is the mean of z at information 1. Power counts rejections in the direction of the effect alone. Sizes
are relative: to the size at information 1, or to the fixed-sample design with the same level and power.
"""

from math import exp, inf, sqrt
from typing import Literal

from msgspec import Struct
from scipy.optimize import brentq
from scipy.special import ndtri

from router.inference.boundaries import Boundaries
from router.inference.crossing import Look

Effect = Literal["none", "half", "planned"]


class Stopping(Struct, frozen=True):
    """When a test stops at one size of effect.

    Attributes:
        drift: Mean of z at information 1.
        upper: Probability of first crossing the upper boundary at each look.
        lower: The same of the lower boundary; at the last look of a test with futility it is the rest.
        expected_information: Mean information at which it stops.
    """

    drift: float
    upper: tuple[float, ...]
    lower: tuple[float, ...]
    expected_information: float


class Operating(Struct, frozen=True):
    """What a design costs.

    Attributes:
        power: With which it finds the effect planned for.
        drift: That effect, as the mean of z at information 1.
        fixed_drift: The drift that a test with one look needs.
        inflation: Largest size over that of the test with one look.
        stopping: When it stops without effect, with half of it and with the whole.
        expected_size: Mean size at these, over that of the test with one look.
    """

    power: float
    drift: float
    fixed_drift: float
    inflation: float
    stopping: dict[Effect, Stopping]
    expected_size: dict[Effect, float]


def looks_of(boundaries: Boundaries) -> tuple[Look, ...]:
    """Return the joint distribution at the looks of a test: it is the same for every drift, so make it once."""
    looks = [Look(boundaries.information[0])]
    for index, t in enumerate(boundaries.information[1:]):
        top, bottom = boundaries.upper[index], boundaries.lower[index]
        looks.append(looks[-1].next(-inf if bottom is None else bottom, inf if top is None else top, t))
    return tuple(looks)


def stopping(boundaries: Boundaries, drift: float, looks: tuple[Look, ...] | None = None) -> Stopping:
    """Return when a test stops.

    Args:
        boundaries: Its boundaries.
        drift: Mean of z at information 1.
        looks: As ``looks_of`` makes them; None makes them again.
    """
    times = boundaries.information
    upper: list[float] = []
    lower: list[float] = []
    for look, top, bottom in zip(looks or looks_of(boundaries), boundaries.upper, boundaries.lower, strict=True):
        mean = drift * sqrt(look.t)
        upper.append(0.0 if top is None else exp(look.log_tail(top, mean)))
        lower.append(0.0 if bottom is None else exp(look.log_tail(bottom, mean, side=-1)))
    ends = [up + down for up, down in zip(upper, lower, strict=True)]
    ends[-1] = 1 - sum(ends[:-1])
    expected = sum(t * share for t, share in zip(times, ends, strict=True))
    return Stopping(drift, tuple(upper), tuple(lower), expected)


def power(boundaries: Boundaries, drift: float, looks: tuple[Look, ...] | None = None) -> float:
    """Return the probability of rejecting in the direction of an effect.

    Args:
        boundaries: Boundaries of the test.
        drift: The effect, as the mean of z at information 1; 0 or above.
        looks: As for ``stopping``.
    """
    pairs = zip(looks or looks_of(boundaries), boundaries.upper, strict=True)
    tails = [exp(look.log_tail(top, drift * sqrt(look.t))) for look, top in pairs if top is not None]
    return min(1.0, sum(tails))


def drift_for(boundaries: Boundaries, wanted: float, looks: tuple[Look, ...] | None = None) -> float:
    """Return the drift at which a test has a power.

    Args:
        boundaries: Boundaries of the test.
        wanted: The power.
        looks: As for ``stopping``.

    Raises:
        ValueError: If the power is not between alpha of one side and 1.
    """
    if boundaries.drift is not None and boundaries.beta_spent is not None:
        planned = 1 - boundaries.beta_spent[-1]
        if abs(planned - wanted) < 1e-12:
            return boundaries.drift
    rate = boundaries.level.rate
    if not rate < wanted < 1:
        raise ValueError(f"power lies above alpha of one side, {rate:g}, and below 1, not at {wanted}")
    walked = looks or looks_of(boundaries)
    low, high = 0.0, 2.0
    while power(boundaries, high, walked) < wanted:
        low, high = high, 2 * high
        if high > 1e4:
            raise ValueError("no effect gives these boundaries that power")
    return float(brentq(lambda drift: power(boundaries, drift, walked) - wanted, low, high, xtol=1e-11, rtol=1e-13))


def operating(boundaries: Boundaries, wanted: float) -> Operating:
    """Return what a design costs when it has a power.

    Raises:
        ValueError: As ``drift_for``.
    """
    looks = looks_of(boundaries)
    drift = drift_for(boundaries, wanted, looks)
    fixed = -float(ndtri(boundaries.level.rate)) + float(ndtri(wanted))
    ratio = (drift / fixed) ** 2
    found: dict[Effect, Stopping] = {
        "none": stopping(boundaries, 0.0, looks),
        "half": stopping(boundaries, drift / 2, looks),
        "planned": stopping(boundaries, drift, looks),
    }
    return Operating(
        power=wanted,
        drift=drift,
        fixed_drift=fixed,
        inflation=ratio * boundaries.information[-1],
        stopping=found,
        expected_size={effect: ratio * each.expected_information for effect, each in found.items()},
    )
