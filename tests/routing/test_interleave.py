"""Two lists as one: what holds for any two lists, and examples whose answer is known."""

import json
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.routing.interleave import NOBODY, Coin, Placed, balanced, team_draft

LISTS = st.lists(st.sampled_from("abcdefghij"), max_size=10)
EXAMPLES = json.loads((Path(__file__).parent / "data" / "interleaving.json").read_text())["examples"]


class Tosses(Coin):
    """A coin whose tosses are given; ``turned`` has each the other way."""

    def __init__(self, tosses: list[bool], *, turned: bool = False) -> None:
        super().__init__(b"")
        self._tosses = iter(tosses)
        self._turned = turned

    def toss(self) -> bool:
        """Return the next of them."""
        return next(self._tosses) ^ self._turned


def merged(how: str, first: Any, second: Any, coin: Coin) -> list[Placed]:
    """Merge by name."""
    return (team_draft if how == "team_draft" else balanced)(first, second, coin)


@given(st.sampled_from(["team_draft", "balanced"]), LISTS, LISTS, st.binary(max_size=4))
def test_a_merge_has_what_the_lists_have(how: str, first: list[str], second: list[str], seed: bytes) -> None:
    """Each item once, none of nobody's, as many as the longer list has; ranks are places in the lists."""
    placed = merged(how, first, second, Coin(seed))
    shown = [each.item for each in placed]
    assert len(shown) == len(set(shown)) == max(len(set(first)), len(set(second)))
    assert set(shown) <= {*first, *second}
    lists = [list(dict.fromkeys(items)) for items in (first, second)]
    for each in placed:
        assert each.ranks == tuple(items.index(each.item) + 1 if each.item in items else 0 for items in lists)
        assert each.team == NOBODY or each.ranks[each.team]


@given(LISTS, LISTS, st.binary(max_size=4))
def test_teams_are_drafted(first: list[str], second: list[str], seed: bytes) -> None:
    """In any beginning the teams differ by one at most, and each pick is the best that nobody has."""
    placed = team_draft(first, second, Coin(seed))
    teams = [each.team for each in placed]
    for end in range(len(teams) + 1):
        drafted = [team for team in teams[:end] if team != NOBODY]
        assert abs(drafted.count(0) - drafted.count(1)) <= 1
        assert NOBODY not in teams[:end] or set(teams[len(drafted) : end]) <= {NOBODY}
    taken: set[str] = set()
    for each in placed:
        if each.team != NOBODY:
            assert each.item == next(item for item in (first, second)[each.team] if item not in taken)
        taken.add(each.item)


@given(LISTS, LISTS, st.binary(max_size=4))
def test_any_beginning_is_balanced(first: list[str], second: list[str], seed: bytes) -> None:
    """The beginning of a balanced merge is the best of one list and the best of the other, give or take one."""
    lists = [list(dict.fromkeys(items)) for items in (first, second)]
    shown = [each.item for each in balanced(first, second, Coin(seed))]
    shorter = min(map(len, lists))
    for end in range(1, len(shown) + 1):
        depths = [
            (one, two)
            for one, two in product(range(len(lists[0]) + 1), range(len(lists[1]) + 1))
            if set(shown[:end]) == {*lists[0][:one], *lists[1][:two]}
        ]
        assert any(abs(one - two) <= 1 or max(one, two) > shorter for one, two in depths)


@given(st.sampled_from(["team_draft", "balanced"]), LISTS, LISTS, st.lists(st.booleans(), min_size=10, max_size=10))
def test_rankers_are_treated_alike(how: str, first: list[str], second: list[str], tosses: list[bool]) -> None:
    """With the rankers exchanged and the coin turned over, the list is the same and the teams are exchanged."""
    one = merged(how, first, second, Tosses(tosses))
    other = merged(how, second, first, Tosses(tosses, turned=True))
    turned = [Placed(each.item, each.team if each.team < 0 else 1 - each.team, each.ranks[::-1]) for each in other]
    assert one == turned


@given(st.lists(st.sampled_from("abcdef"), unique=True, min_size=1, max_size=5), st.integers(0, 4))
def test_equal_lists_give_no_preference(items: list[str], chosen: int) -> None:
    """Over all tosses, an item of two equal lists is as often in either team."""
    item = items[chosen % len(items)]
    teams = Counter(
        next(each.team for each in team_draft(items, items, Tosses(list(tosses))) if each.item == item)
        for tosses in product([False, True], repeat=len(items))
    )
    assert teams[0] == teams[1] == 2 ** len(items) / 2


@pytest.mark.parametrize("example", EXAMPLES, ids=[example["name"] for example in EXAMPLES])
def test_examples_come_out_as_known(example: dict[str, Any]) -> None:
    """Every merge that the coin can give, as often as it gives it."""
    first, second = example["lists"]
    found = Counter(
        " ".join(
            f"{each.item}{'AB '[each.team].strip()}"
            for each in merged(example["how"], first, second, Tosses(list(tosses)))
        )
        for tosses in product([True, False], repeat=example["tosses"])
    )
    total = sum(found.values())
    assert {shown: count / total for shown, count in found.items()} == example["merges"]


def test_the_same_seed_gives_the_same_tosses() -> None:
    """A replay has the same coin, for as long as a list may be; another seed has another."""
    tosses = [[coin.toss() for _ in range(300)] for coin in (Coin(b"a"), Coin(b"a"), Coin(b"b"))]
    assert tosses[0] == tosses[1] != tosses[2]
    assert 120 < sum(tosses[0]) < 180
