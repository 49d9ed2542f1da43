"""The command: ``python -m benchmarks.rollouts [--seeds 1000] [--only NAME] [--json FILE] [--jobs 2]``.

Responsible for: spreading seeds over processes, printing tables and goals.
Does not know: scenarios, controllers.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.rollouts.goals import GOALS, flagger_at_five
from benchmarks.rollouts.run import CONTROLLERS, releases
from benchmarks.rollouts.scenarios import ALL, Scenario
from benchmarks.rollouts.table import HEAD, Line

if TYPE_CHECKING:
    from benchmarks.rollouts.replay import Ended

BATCH: Final = 20


def main() -> int:
    """Run what is asked for; 1 when a goal is missed."""
    asked = _asked()
    chosen = [scenario for scenario in ALL if asked.only is None or asked.only in scenario.name]
    if asked.flagger:
        print(flagger_at_five(asked.seeds))
        return 0
    lines: list[Line] = []
    print(HEAD, flush=True)
    with ProcessPoolExecutor(asked.jobs, mp_context=get_context("spawn")) as pool:
        for scenario in chosen:
            for line in _lines(pool, scenario, asked):
                lines.append(line)
                print(line.row(), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps([line.numbers() for line in lines], indent=1, allow_nan=False) + "\n")
    met = [goal.met(lines) for goal in GOALS if goal.asks(lines)]
    for good, text in met:
        print(f"{'met' if good else 'MISSED'}: {text}")
    return 0 if all(good for good, _ in met) else 1


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rollouts", description="Whole releases on a simulated clock, beside other systems."
    )
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--only", help="scenarios whose name has this in it")
    parser.add_argument("--controllers", default=",".join(CONTROLLERS), help="names, with commas between")
    parser.add_argument("--look", type=float, default=60.0, help="seconds between looks of this router (10 to 60)")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write numbers to this file")
    parser.add_argument("--flagger", action="store_true", help="Flagger's settings at 5 requests a minute instead")
    return parser.parse_args()


def _lines(pool: ProcessPoolExecutor, scenario: Scenario, asked: argparse.Namespace) -> Iterator[Line]:
    names = tuple(asked.controllers.split(","))
    seeds = range(asked.first, asked.first + asked.seeds)
    batches = [seeds[start : start + BATCH] for start in range(0, len(seeds), BATCH)]
    work = [pool.submit(releases, scenario.name, batch, names, asked.look) for batch in batches]
    found: dict[str, list[Ended]] = defaultdict(list)
    for each in work:
        for name, ended in each.result().items():
            found[name] += ended
    for name in names:
        yield Line(scenario, name, found[name])


if __name__ == "__main__":
    sys.exit(main())
