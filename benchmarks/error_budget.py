"""How often each method is wrong, against what it promises: ``python -m benchmarks.error_budget [--quick]``.

Responsible for: running the simulations of the parts below, each seeded, and a table of what they found.
Does not know: what a part simulates.

Rules: a part is a module with ``lines(scale, random)``, which yields a ``Line`` for each claim. A count of errors is
within the budget when a binomial variable with the promised share, and the tolerance stated beside it, exceeds it with
a probability above one in a million (of coverage, falls below it). The command ends with 1 when a line is not.
"""

import argparse
import sys
from collections.abc import Iterator
from typing import Final, Protocol

import numpy as np

from benchmarks import budget_bandits, budget_sequential, budget_units
from benchmarks.budget import Line, within

QUICK: Final = 0.1


class Part(Protocol):
    """A part of the budget."""

    __name__: str

    def lines(self, scale: float, random: np.random.Generator) -> Iterator[Line]:
        """Run its simulations, with ``scale`` times as many runs."""
        ...


PARTS: Final[tuple[Part, ...]] = (budget_sequential, budget_units, budget_bandits)


def main() -> int:
    """Run the parts and print the table."""
    parser = argparse.ArgumentParser(description="How often each method is wrong, against what it promises.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the runs")
    parser.add_argument("--only", help="a part: " + ", ".join(_name(part) for part in PARTS))
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    chosen = [part for part in PARTS if asked.only in (None, _name(part))]
    print("| method | setting | runs | promised | found | within |")
    print("|---|---|---:|---:|---:|---|")
    bad = 0
    for part in chosen:
        random = np.random.default_rng([asked.seed, *_name(part).encode()])
        for line in part.lines(QUICK if asked.quick else 1.0, random):
            good = within(line)
            bad += not good
            print(line.row(good=good), flush=True)
    return 1 if bad else 0


def _name(part: Part) -> str:
    return part.__name__.rpartition("budget_")[2]


if __name__ == "__main__":
    sys.exit(main())
