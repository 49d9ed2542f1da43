"""What a version of a model makes of requests.

Responsible for: which requests fail, how long they take.
Does not know: who is sent to which version, controllers.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.rollouts.traffic import Floats, Requests, Users

MEDIAN_US: Final = 80_000.0
SPREAD: Final = 0.45  # standard deviation of the logarithm of a time: with that of users, the 99th percentile is 250 ms

Curve = Callable[[Floats], Floats]
"""Seconds since the release began to a value."""


def steady(value: float) -> Curve:
    """Return a curve that has one value at all times."""
    return lambda time: np.full(time.shape, value)


class Version(NamedTuple):
    """How a version behaves.

    Attributes:
        errors: Share of requests that fail, of an average user.
        slower: How many times slower than usual it is.
        converts: Share of users who do later what the primary metric counts, by the time of their first request.
    """

    errors: Curve
    slower: Curve = steady(1.0)
    converts: Curve = steady(0.1)


class Served(NamedTuple):
    """What came of requests: which failed, and how many microseconds each took."""

    failed: NDArray[np.bool_]
    us: Floats


def serve(version: Version, users: Users, requests: Requests) -> Served:
    """Return what a version makes of requests."""
    share = version.errors(requests.time)
    # A user without luck (infinite frailty) fails even where the version never does.
    frailty = users.frailty[requests.user]
    doomed = np.isinf(frailty)
    failed = doomed | (requests.luck < share * np.where(doomed, 0.0, frailty))
    us = MEDIAN_US * users.pace[requests.user] * np.exp(SPREAD * requests.noise) * version.slower(requests.time)
    return Served(failed, us)
