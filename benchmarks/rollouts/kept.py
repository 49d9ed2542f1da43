"""Endings of releases in a file, so that a long run can be stopped, and goes on where it was.

Responsible for: the lines of the file.
Does not know: how releases went, tables.

Rules: a line for each scenario, controller and seed; what is in the file is not made again. Who changes a scenario or a
controller begins with another file.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.rollouts.replay import Ended
from benchmarks.rollouts.run import Batch

Endings = dict[tuple[str, str], dict[int, Ended]]
"""Scenario and controller to seed to how it ended."""


def read(file: Path | None) -> Endings:
    """Return what is in a file; nothing where there is none."""
    found: Endings = defaultdict(dict)
    if file is None or not file.exists():
        return found
    for line in file.read_text().splitlines():
        scenario, controller, seed, *ended = json.loads(line)
        found[scenario, controller][seed] = Ended(*ended)
    return found


def add(file: Path | None, batch: Batch, ended: Mapping[str, Sequence[Ended]]) -> None:
    """Append the endings of a batch, by controller."""
    if file is None:
        return
    with file.open("a") as lines:
        for controller, endings in ended.items():
            for seed, each in zip(batch.seeds, endings, strict=True):
                lines.write(json.dumps([batch.scenario, controller, seed, *each]) + "\n")
