"""Two ranked lists as one, so that what happens to it says which ranker is preferred.

Responsible for: team-draft interleaving (Radlinski, Kurup and Joachims, "How does clickthrough data reflect retrieval
quality?", CIKM 2008, algorithm 2), balanced interleaving (Joachims, "Evaluating retrieval performance using
clickthrough data", 2003; algorithm 1 of Radlinski et al.), and the coin that both need.
Does not know: JSON, requests, what is done with the result.

Rules: pure. Every item comes once. A merge depends on the rankers by their lists alone: with the rankers in the other
order and every toss of the coin turned over, it is the same list with the teams exchanged. It is as long as the longer
of the two lists, so nobody gets less than either ranker had. Once one ranker has nothing left to put in, what is
missing comes from the other and belongs to no team: a longer list is no merit of its first items.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from mmh3 import mmh3_x64_128_utupledigest as digest

NOBODY: Final = -1
_BITS: Final = 128


class Placed(NamedTuple):
    """An item of a merged list.

    Attributes:
        item: Its id.
        team: The ranker that put it in, 0 or 1; ``NOBODY`` where that is no evidence.
        ranks: Its place in each ranker's list, from 1; 0 where the list does not have it.
    """

    item: str
    team: int
    ranks: tuple[int, int]


class Coin:
    """Tosses that are a function of some bytes alone, so that a replay has the same."""

    __slots__ = ("_bits", "_left", "_seed", "_turn")

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._turn = 0
        self._bits = 0
        self._left = 0

    def toss(self) -> bool:
        """Return the next toss."""
        if not self._left:
            high, low = digest(self._seed + b"\0%d" % self._turn)
            self._bits, self._left = high << 64 | low, _BITS
            self._turn += 1
        self._left -= 1
        return bool(self._bits >> self._left & 1)


def team_draft(first: Sequence[str], second: Sequence[str], coin: Coin) -> list[Placed]:
    """Merge two lists as two captains pick teams.

    In each round the coin says who picks before the other; each takes the best item of its own list that nobody has.

    Args:
        first: Ids of one ranker's items, the best first; of repeated ones the first counts.
        second: Those of the other.
        coin: Tossed once for each round.
    """
    lists = unique(first), unique(second)
    places: dict[str, int] = {}
    sizes = [0, 0]
    next_up = [0, 0]
    while len(places) < max(map(len, lists)):
        for ranker in (0, 1):
            while next_up[ranker] < len(lists[ranker]) and lists[ranker][next_up[ranker]] in places:
                next_up[ranker] += 1
        ended = [next_up[ranker] == len(lists[ranker]) for ranker in (0, 1)]
        if sizes[0] == sizes[1] and not any(ended):
            picks = 0 if coin.toss() else 1
        elif sizes[0] != sizes[1] and not ended[sizes[1] < sizes[0]]:
            picks = int(sizes[1] < sizes[0])  # also when the other's list has ended meanwhile: the round is whole
        else:
            break
        places[lists[picks][next_up[picks]]] = picks
        sizes[picks] += 1
    return _filled(lists, places)


def balanced(first: Sequence[str], second: Sequence[str], coin: Coin) -> list[Placed]:
    """Merge two lists so that any beginning has as many of the best of each, give or take one.

    One toss says who goes first whenever both are as far. Which ranker an item is credited to depends on all that was
    clicked, so no item has a team.

    Args:
        first: Ids of one ranker's items, the best first; of repeated ones the first counts.
        second: Those of the other.
        coin: Tossed once.
    """
    lists = unique(first), unique(second)
    places: dict[str, int] = {}
    leads = 0 if coin.toss() else 1
    looked = [0, 0]
    while looked[0] < len(lists[0]) and looked[1] < len(lists[1]):
        picks = leads if looked[0] == looked[1] else int(looked[1] < looked[0])
        places.setdefault(lists[picks][looked[picks]], NOBODY)
        looked[picks] += 1
    return _filled(lists, places)


def unique(items: Sequence[str]) -> list[str]:
    """Return each item once, where it comes first."""
    return list(dict.fromkeys(items))


def _filled(lists: tuple[list[str], list[str]], places: dict[str, int]) -> list[Placed]:
    """Return the merged list, with what is missing from the one that has more, and the ranks of its items."""
    length = max(len(lists[0]), len(lists[1]))
    for items in lists:
        for item in items:
            if len(places) >= length:
                break
            places.setdefault(item, NOBODY)
    ranks = [{item: place for place, item in enumerate(items, start=1)} for items in lists]
    merged = [Placed(item, team, (ranks[0].get(item, 0), ranks[1].get(item, 0))) for item, team in places.items()]
    return merged[:length]
