"""Units to numbers: ``hash_version`` 1.

Responsible for: the hash that an arm has for a unit, the arm that a unit gets, a unit's point for enrolment, and its
bucket in the counters.
Does not know: experiments, requests, where a unit comes from.

Rules: an answer is a function of (salt, arms with weights, unit) and of nothing else, for ever: this module never
changes what version 1 gives; another idea is a version 2. ``tests/routing/vectors.json`` pins it.

An arm is chosen by weighted rendezvous (Thaler and Ravishankar 1998, weighted as by Efraimidis and Spirakis 2006): with
u uniform in (0, 1], -ln(u)/weight is exponential with rate ``weight``, and the smallest of independent exponentials is
each one's with probability rate / sum of rates. Raising one weight lowers that arm's score only, so units move into
that arm and never between the others.
"""

from collections.abc import Sequence
from math import log
from typing import Final

from mmh3 import mmh3_x64_128_utupledigest

# u = ((h >> 11) + 0.5) / 2^53 uses the 53 bits that a double has; the half keeps it off 0, where there is no logarithm.
# (The sum is rounded to even from 2^52 on, so the largest u is 1; its score is 0.)
SCALE: Final = 2.0**-53


def arm_prefix(salt: str, arm: str) -> bytes:
    """Return what is hashed in front of every unit for one arm."""
    return f"{salt}\0{arm}\0".encode()


def uniform(prefix: bytes, unit: bytes) -> float:
    """Return u in (0, 1] for a prefix of ``arm_prefix`` and a unit in UTF-8."""
    return ((mmh3_x64_128_utupledigest(prefix + unit)[0] >> 11) + 0.5) * SCALE


def arm_hash(salt: str, arm: str, unit: str) -> float:
    """Return u in (0, 1] of an arm for a unit: uniform over units, independent between arms and between salts."""
    return uniform(arm_prefix(salt, arm), unit.encode())


def score(u: float, weight: float) -> float:
    """Return what the arms of an experiment compete with, the smallest first; ``weight`` is above 0."""
    return -log(u) / weight


def choose(salt: str, arms: Sequence[tuple[str, float]], unit: str) -> str | None:
    """Return the arm of a unit.

    Args:
        salt: Salt of the experiment.
        arms: Names and relative weights; an arm of weight 0 is never chosen.
        unit: The unit.

    Returns:
        The arm with the smallest score, of equal ones the first by name; None when no arm has a weight above 0.
    """
    data = unit.encode()
    scores = [(score(uniform(arm_prefix(salt, name), data), weight), name) for name, weight in arms if weight > 0]
    return min(scores)[1] if scores else None


def point(salt: str, unit: str) -> int:
    """Return where a unit stands in 0 … 2^64 - 1, to be compared with an enrolment threshold on that scale.

    An empty arm name stands where an arm's would, so a point is independent of every arm's hash under the same salt.
    """
    return mmh3_x64_128_utupledigest(arm_prefix(salt, "") + unit.encode())[0]


def unit_key(unit: bytes) -> tuple[int, int]:
    """Return a unit's 64-bit key, for balancing, and its bucket in 0 … 255, for the counters.

    They are taken from different halves of one unsalted hash, so they are independent of each other and of every arm.
    """
    first, second = mmh3_x64_128_utupledigest(unit)
    return first, second >> 56


def unit_bucket(unit: str) -> int:
    """Return the bucket of a unit, 0 … 255."""
    return unit_key(unit.encode())[1]
