"""How many units it takes to see which of two rankers is better: `python -m benchmarks.interleaving`.

Responsible for: simulated people before merged lists and before one ranker's, and the share of tests that say there is
a difference, where there is none and where there is one.
Does not know: the router; the merge, the credit and the tests are its own.

People look at a list from its top, go on to the next item with a chance of 0.85, choose an item with the chance of its
relevance, and stop after a choice with a chance of 0.5. Each unit has its own mind (a factor on all chances) and asks
once to four times. The worse ranker has the better one's list with neighbours exchanged. A/B: Welch's t on choices per
unit. Everything at 5 %, both sides.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from scipy import stats

from router.analysis.aggregates import Moments
from router.analysis.credit import Credit
from router.inference.effect import Asked
from router.inference.preference import Chance, Delta, preference
from router.routing.interleave import Coin, team_draft

GOOD: Final = tuple("abcdefghij")
RELEVANCE: Final = dict(zip(GOOD, (0.45, 0.35, 0.3, 0.22, 0.18, 0.14, 0.1, 0.07, 0.05, 0.03), strict=True))
WORSE: Final = tuple("bacdefghij")
GOES_ON: Final = 0.85
STOPS: Final = 0.5
ALPHA: Final = 0.05


class Shares(NamedTuple):
    """Shares of simulated experiments that found a difference."""

    once: float
    any_time: float
    delta: float
    split: float


def choices(shown: Sequence[str], mind: float, generator: np.random.Generator) -> list[str]:
    """Return the items that a person chooses."""
    chosen = []
    draws = generator.random((len(shown), 3))
    for item, (looks, likes, stops) in zip(shown, draws, strict=True):
        if likes < RELEVANCE[item] * mind:
            chosen.append(item)
            if stops < STOPS:
                break
        if looks > GOES_ON:
            break
    return chosen


def interleaved(units: int, rankers: tuple[Sequence[str], Sequence[str]], generator: np.random.Generator) -> Credit:
    """Return what a number of people say of two rankers, as ``router.analysis.credit`` adds it up."""
    signs: list[list[int]] = []
    for unit in range(units):
        mind = generator.uniform(0.3, 1.7)
        found = []
        for ask in range(generator.integers(1, 5)):
            placed = team_draft(*rankers, Coin(b"%d %d %d" % (unit, ask, generator.integers(1 << 62))))
            teams = {each.item: each.team for each in placed}
            chosen = [teams[item] for item in choices(list(teams), mind, generator)]
            if chosen:
                found.append(int(np.sign(chosen.count(1) - chosen.count(0))))
        signs.append(found)
    return added(signs)


def added(signs: list[list[int]]) -> Credit:
    """Add up, by unit, what its impressions with a choice speak for."""
    kept = [found for found in signs if found]
    y, x = np.array([sum(found) for found in kept], float), np.array([len(found) for found in kept], float)
    every = [sign for found in kept for sign in found]
    first = [next(sign for sign in found if sign) for found in kept if any(found)]
    return Credit(
        arms=("one", "two"), shown=len(every), units=len(signs), wins=(every.count(-1), every.count(1)),
        ties=every.count(0), sums=Moments(len(kept), *map(float, (y.sum(), y @ y, x.sum(), x @ x, x @ y))),
        preferred=(int((y < 0).sum()), int((y > 0).sum())), undecided=int((y == 0).sum()),
        first=(first.count(-1), first.count(1)),
    )  # fmt: skip


def split(units: int, rankers: tuple[Sequence[str], Sequence[str]], generator: np.random.Generator) -> bool:
    """Return whether an A/B test of as many people finds a difference in choices."""
    found: tuple[list[int], list[int]] = ([], [])
    for unit in range(units):
        mind = generator.uniform(0.3, 1.7)
        asks = range(generator.integers(1, 5))
        found[unit % 2].append(sum(len(choices(rankers[unit % 2], mind, generator)) for _ in asks))
    return bool(stats.ttest_ind(*found, equal_var=False).pvalue < ALPHA)


def shares(units: int, rankers: tuple[Sequence[str], Sequence[str]], runs: int, seed: int) -> Shares:
    """Return how often each test finds a difference."""
    generator = np.random.default_rng(seed)
    counts = np.zeros(4)
    for _ in range(runs):
        said = preference(interleaved(units, rankers, generator), Asked(alpha=ALPHA))
        once, any_time, delta = (getattr(said, name, None) for name in ("once", "any_time", "delta"))
        counts += (
            isinstance(once, Chance) and once.p < ALPHA,
            isinstance(any_time, Chance) and any_time.p < ALPHA,
            isinstance(delta, Delta) and not delta.interval.holds(0.0),
            split(units, rankers, generator),
        )
    return Shares(*(counts / runs))


def main() -> int:
    """Print the shares for numbers of units."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=200, help="experiments of each size (default 200)")
    options = parser.parse_args()
    print(f"share of {options.runs} experiments that find a difference at 5 %: sign test, at any time, delta, A/B")
    for title, rankers in (("two equal rankers", (GOOD, GOOD)), ("one is better", (WORSE, GOOD))):
        for units in (100, 300, 1000):
            found = shares(units, rankers, options.runs, seed=units)
            print(f"{title:20} {units:5} units: " + "  ".join(f"{share:6.1%}" for share in found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
