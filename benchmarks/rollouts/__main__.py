"""The command: ``python -m benchmarks.rollouts [--seeds 1000] [--only NAME] [--keep FILE] [--json FILE] [--jobs 2]``.

Responsible for: spreading seeds over processes, printing tables and goals.
Does not know: scenarios, controllers.
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.rollouts import kept
from benchmarks.rollouts.goals import GOALS, ROUTER, flagger_at_five
from benchmarks.rollouts.kept import Endings
from benchmarks.rollouts.run import CONTROLLERS, Batch, releases
from benchmarks.rollouts.scenarios import ALL, Scenario
from benchmarks.rollouts.table import HEAD, Line, summary

if TYPE_CHECKING:
    from benchmarks.rollouts.replay import Ended

BATCH: Final = 20


def main() -> int:
    """Run what is asked for; 1 when a goal is missed."""
    asked = _asked()
    if asked.flagger:
        print(flagger_at_five(asked.seeds))
        return 0
    names = tuple(asked.controllers.split(","))
    scenarios = [scenario for scenario in ALL if re.search(asked.only, scenario.name)]
    endings = _made(asked, scenarios, names)
    lines = [
        Line(scenario, name, list(endings[scenario.name, name].values()))
        for scenario in scenarios
        for name in names
        if endings.get((scenario.name, name))
    ]
    print(summary(lines, names) if asked.summary else "\n".join([HEAD, *(line.row() for line in lines)]))
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
    parser.add_argument("--only", default="", help="scenarios whose name has this regular expression in it")
    parser.add_argument("--controllers", default=",".join(CONTROLLERS), help="names, with commas between")
    parser.add_argument("--look", type=float, default=60.0, help="seconds between looks of this router (10 to 60)")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="file of endings; what it has already is not made again")
    parser.add_argument("--json", type=Path, help="write numbers to this file")
    parser.add_argument("--summary", action="store_true", help="two small tables instead of the long one")
    parser.add_argument("--flagger", action="store_true", help="Flagger's settings at 5 requests a minute instead")
    return parser.parse_args()


def _made(asked: argparse.Namespace, scenarios: Sequence[Scenario], names: tuple[str, ...]) -> Endings:
    """Make the releases that are not kept yet, a batch of seeds of each scenario in turn."""
    endings = kept.read(asked.keep)
    last = asked.first + asked.seeds
    work: list[tuple[Batch, Future[dict[str, list[Ended]]]]] = []
    with ProcessPoolExecutor(asked.jobs, mp_context=get_context("spawn")) as pool:
        for start in range(asked.first, last, BATCH):
            for scenario in scenarios:
                who = tuple(name for name in names if name == ROUTER or not scenario.ours)
                missing = tuple(
                    seed
                    for seed in range(start, min(start + BATCH, last))
                    if any(seed not in endings[scenario.name, name] for name in who)
                )
                if missing:
                    batch = Batch(scenario.name, missing, who, asked.look)
                    work.append((batch, pool.submit(releases, batch)))
        for batch, future in work:
            found = future.result()
            kept.add(asked.keep, batch, found)
            for name, ended in found.items():
                endings[batch.scenario, name].update(zip(batch.seeds, ended, strict=True))
    return endings


if __name__ == "__main__":
    sys.exit(main())
