"""Users and their requests: one stream for each seed, the same for every controller.

Responsible for: who makes requests, when, and with what luck.
Does not know: versions, shares, controllers.

Rules: requests arrive in a Poisson process whose rate changes at most every ``CHUNK_S``. How much a user asks for is
log-normal (the busiest of 4,000 makes a percent of all requests), how often a user's requests fail is exponential
around the version's share, and how slow they are log-normal: requests of one user are alike, and users are not. What a
request meets (``luck``, ``noise``) is drawn with it and not by who serves it, so controllers see the same events.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CHUNK_S: Final = 600.0
BUCKETS: Final = 256
ACTIVITY: Final = 1.2  # standard deviation of the logarithm of how much a user asks for
PACE: Final = 0.2  # of the logarithm of how slow a user's requests are


class Crowd(NamedTuple):
    """How many users there are, and whether one of them is a crowd alone.

    Attributes:
        users: How many.
        heavy: Share of all requests that one user makes, all of which fail whoever serves them; 0 for no such user.
    """

    users: int
    heavy: float = 0.0


class Users(NamedTuple):
    """Users, an element of each array for each.

    Attributes:
        point: Where they are in the order in which a growing share takes them, from 0 to 1.
        bucket: One of 256 by a hash.
        reach: Sum of shares of requests up to and with this user.
        frailty: How many times a version's share of failures theirs is; 1 on the average of requests.
        pace: How many times slower their requests are.
        taste: What they do later, uniform from 0 to 1.
    """

    point: Floats
    bucket: Ints
    reach: Floats
    frailty: Floats
    pace: Floats
    taste: Floats


class Requests(NamedTuple):
    """Requests in order of time, an element of each array for each.

    Attributes:
        time: Seconds since the release began.
        user: Number of the user.
        luck: Uniform from 0 to 1: it fails where this is below the share that fails.
        noise: Standard normal: how slow it is.
        coin: Uniform from 0 to 1: where it goes when users do not stay.
    """

    time: Floats
    user: Ints
    luck: Floats
    noise: Floats
    coin: Floats

    def at(self, which: slice | NDArray[np.bool_]) -> "Requests":
        """Return some of them."""
        return Requests(self.time[which], self.user[which], self.luck[which], self.noise[which], self.coin[which])


class Stream:
    """The traffic of one seed, made as far as somebody looks."""

    def __init__(self, seed: int, crowd: Crowd, rate: Callable[[float], float]) -> None:
        """Draw the users.

        Args:
            seed: The seed.
            crowd: How many users.
            rate: Seconds since the release began to requests a minute.
        """
        self.users = _users(np.random.default_rng([seed, 0]), crowd)
        self._seed = seed
        self._rate = rate
        self._chunks: list[Requests] = []

    def between(self, start: float, end: float) -> Requests:
        """Return the requests after ``start``, up to ``end``, in seconds."""
        first, last = int(start // CHUNK_S), int(end // CHUNK_S)
        parts = []
        for index in range(first, last + 1):
            chunk = self._chunk(index)
            low, high = np.searchsorted(chunk.time, (start, end), side="right")
            parts.append(chunk.at(slice(low, high)))
        if len(parts) == 1:
            return parts[0]
        return Requests(
            np.concatenate([part.time for part in parts]),
            np.concatenate([part.user for part in parts]),
            np.concatenate([part.luck for part in parts]),
            np.concatenate([part.noise for part in parts]),
            np.concatenate([part.coin for part in parts]),
        )

    def _chunk(self, index: int) -> Requests:
        while len(self._chunks) <= index:
            self._chunks.append(self._make(len(self._chunks)))
        return self._chunks[index]

    def _make(self, index: int) -> Requests:
        random = np.random.default_rng([self._seed, 1, index])
        begin = index * CHUNK_S
        count = int(random.poisson(self._rate(begin) * CHUNK_S / 60))
        time = begin + np.sort(random.random(count)) * CHUNK_S
        user = np.searchsorted(self.users.reach, random.random(count), side="right")
        last = len(self.users.reach) - 1
        return Requests(
            time, np.minimum(user, last), random.random(count), random.standard_normal(count), random.random(count)
        )


def _users(random: np.random.Generator, crowd: Crowd) -> Users:
    count = crowd.users
    activity = random.lognormal(0.0, ACTIVITY, count)
    frailty = random.exponential(1.0, count)
    if crowd.heavy:
        activity[0] = activity[1:].sum() * crowd.heavy / (1 - crowd.heavy)
        frailty[0] = 0.0
    part = activity / activity.sum()
    frailty /= (part * frailty).sum() / (1 - crowd.heavy)
    if crowd.heavy:
        frailty[0] = np.inf
    return Users(
        point=random.random(count),
        bucket=random.integers(0, BUCKETS, count),
        reach=np.cumsum(part),
        frailty=frailty,
        pace=np.exp(random.normal(0.0, PACE, count)),
        taste=random.random(count),
    )
