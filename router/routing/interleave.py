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
    one, two = unique(first), unique(second)
    length = max(len(one), len(two))
    places: dict[str, int] = {}
    next_one = next_two = size_one = size_two = 0
    while len(places) < length:
        while next_one < len(one) and one[next_one] in places:
            next_one += 1
        while next_two < len(two) and two[next_two] in places:
            next_two += 1
        if size_one == size_two:
            if next_one == len(one) or next_two == len(two):
                break
            picks = 0 if coin.toss() else 1
        else:
            picks = int(size_two < size_one)  # also when the other's list has ended meanwhile: the round is whole
        if picks == 0 and next_one < len(one):
            places[one[next_one]] = 0
            size_one += 1
        elif picks == 1 and next_two < len(two):
            places[two[next_two]] = 1
            size_two += 1
        else:
            break
    return _filled((one, two), places)


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
    if len(places) < length:
        for item in (*lists[0], *lists[1]):
            places.setdefault(item, NOBODY)
    one, two = ({item: place for place, item in enumerate(items, start=1)} for items in lists)
    merged = list(places.items())[:length]
    return [Placed(item, team, (one.get(item, 0), two.get(item, 0))) for item, team in merged]
