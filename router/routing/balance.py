"""An endpoint among those that are usable.

Responsible for: the four ways of ``balance``.
Does not know: which endpoints are usable, connections, health. Candidates are whatever the caller lists, one or more.

Rules: a pick is a function of candidates, key and random numbers (and, for ``round_robin``, of the picks before). Load
is what this worker has in flight: two random choices need no more (Mitzenmacher 2001), and workers need not talk.
Weights hold when there is no load to go by; where there is, load is compared per weight.
"""

from collections.abc import Callable, Sequence
from math import ceil, log
from typing import Final, Literal, Protocol

from mmh3 import mmh3_x64_128_utupledigest as digest

from router.routing.bucket import SCALE

Random = Callable[[], float]

# Mirrokni, Thorup and Zadimoghaddam 2016: an endpoint takes at most this much of its fair share before units fall to
# the next one. 1.25 is what Vimeo and HAProxy's manual (hash-balance-factor 125 … 150) settled on.
LOAD_BOUND: Final = 1.25


class Candidate(Protocol):
    """A usable endpoint, as balancers see it."""

    @property
    def weight(self) -> int:
        """Relative share, at least 1."""

    @property
    def active(self) -> int:
        """Requests in flight, of this worker."""

    @property
    def latency(self) -> float:
        """Moving average of the time to answer, in seconds; 0 before the first answer."""

    @property
    def key(self) -> int:
        """64 bits that stand for the endpoint, the same in every worker and after every restart."""


class Balancer(Protocol):
    """A way to choose."""

    def pick(self, candidates: Sequence[Candidate], key: int, random: Random) -> int:
        """Return the index of one of the candidates.

        Args:
            candidates: At least one.
            key: 64 bits; equal for requests that belong together.
            random: Returns floats uniform in [0, 1).
        """


class LeastRequest:
    """The one with fewer requests per weight of two drawn by weight."""

    __slots__ = ()

    def pick(self, candidates: Sequence[Candidate], key: int, random: Random) -> int:  # noqa: ARG002 - Balancer's signature
        """Return the index of one of the candidates."""
        if len(candidates) == 1:
            return 0
        first, second = _two(candidates, random)
        one, other = candidates[first], candidates[second]
        return second if other.active * one.weight < one.active * other.weight else first


class PeakEwma:
    """The one with less expected work per weight of two drawn by weight (Finagle's P2C with peak EWMA).

    The cost of an endpoint is latency x (requests in flight + 1). One that never answered is given the other's latency:
    it gets its share at once, and no stampede.
    """

    __slots__ = ()

    def pick(self, candidates: Sequence[Candidate], key: int, random: Random) -> int:  # noqa: ARG002 - Balancer's signature
        """Return the index of one of the candidates."""
        if len(candidates) == 1:
            return 0
        first, second = _two(candidates, random)
        one, other = candidates[first], candidates[second]
        cost = (one.latency or other.latency or 1.0) * (one.active + 1) * other.weight
        return second if (other.latency or one.latency or 1.0) * (other.active + 1) * one.weight < cost else first


class RoundRobin:
    """In turn, each as often as its weight says, and as far apart as that allows (nginx's smooth weighted way)."""

    __slots__ = ("_credits",)

    def __init__(self) -> None:
        self._credits: dict[int, int] = {}  # candidate's key to what it is owed, in weights

    def pick(self, candidates: Sequence[Candidate], key: int, random: Random) -> int:  # noqa: ARG002 - Balancer's signature
        """Return the index of one of the candidates."""
        if len(candidates) == 1:
            return 0
        credits_ = {candidate.key: self._credits.get(candidate.key, 0) + candidate.weight for candidate in candidates}
        chosen = max(range(len(candidates)), key=lambda index: credits_[candidates[index].key])
        credits_[candidates[chosen].key] -= sum(candidate.weight for candidate in candidates)
        self._credits = credits_  # only those that were candidates: one that left begins anew
        return chosen


class Hash:
    """The same for the same key, by weighted rendezvous, while it has room; else the next in the key's own order."""

    __slots__ = ()

    def pick(self, candidates: Sequence[Candidate], key: int, random: Random) -> int:  # noqa: ARG002 - Balancer's signature
        """Return the index of one of the candidates."""
        if len(candidates) == 1:
            return 0
        # The request to be placed counts, so the rooms add up to more than there is to place: one is always free.
        fair = LOAD_BOUND * (1 + sum(candidate.active for candidate in candidates))
        fair /= sum(candidate.weight for candidate in candidates)
        unit = key.to_bytes(8, "little")
        best = -1
        lowest = 0.0
        for index, candidate in enumerate(candidates):
            if candidate.active >= ceil(fair * candidate.weight):
                continue
            u = ((digest(unit + candidate.key.to_bytes(8, "little"))[0] >> 11) + 0.5) * SCALE
            score = -log(u) / candidate.weight
            if best < 0 or score < lowest:
                best = index
                lowest = score
        return best


def make(kind: Literal["least_request", "round_robin", "hash", "peak_ewma"]) -> Balancer:
    """Return a new balancer, for one target in one worker."""
    kinds: dict[str, Callable[[], Balancer]] = {
        "least_request": LeastRequest,
        "round_robin": RoundRobin,
        "hash": Hash,
        "peak_ewma": PeakEwma,
    }
    return kinds[kind]()


def _two(candidates: Sequence[Candidate], random: Random) -> tuple[int, int]:
    """Draw two different indices by weight, without replacement; the first is what an idle target gets."""
    total = sum(candidate.weight for candidate in candidates)
    first = _draw(candidates, random() * total, -1)
    if len(candidates) == 2:
        return first, 1 - first
    return first, _draw(candidates, random() * (total - candidates[first].weight), first)


def _draw(candidates: Sequence[Candidate], at: float, without: int) -> int:
    # ``at`` is less than the sum of the weights, also after rounding, so the loop ends with a candidate.
    index = -1
    while at >= 0:
        index += 1
        if index != without:
            at -= candidates[index].weight
    return index
