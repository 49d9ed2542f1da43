"""What the router's own analysis makes of the log of a show.

Responsible for: reading the folder of events as ``router analyze`` does, after the router has ended.
Does not know: what the users saw, and whether that is the same (``router.demo.verdict``).
"""

from pathlib import Path
from typing import NamedTuple

from router.analysis.engine import duckdb_engine
from router.analysis.fold import fold
from router.analysis.history import history
from router.archive.reading import open_archive
from router.config.schema import Config
from router.events.recorded import recorded

LABELLED = "labelled"
RIGHT = "right"


class Place(NamedTuple):
    """An arm in a phase of an experiment."""

    experiment: str
    phase: int
    arm: str


class Known(NamedTuple):
    """What is known there: users, labels that came, and how many of them said that the answer was right."""

    users: int
    labelled: int
    right: int


class Analysed(NamedTuple):
    """What the log says.

    Attributes:
        exchanges: How many it holds.
        known: What is known of each arm in each phase.
        crossed: Users who were seen in two arms of one phase.
    """

    exchanges: int
    known: dict[Place, Known]
    crossed: int


def analyse(folder: Path, config: Config, now: float) -> Analysed:
    """Analyse a folder of events.

    Args:
        folder: ``events.dir`` of a router that has ended.
        config: Its last configuration.
        now: Unix seconds.
    """
    entries = recorded(folder)
    with open_archive(folder) as archive:
        rows = archive.connection.execute("SELECT count(*) FROM exchanges").fetchall()
        engine = duckdb_engine(archive.connection)
        split = tuple(each for each in config.experiments if not each.allocate.driven)
        folded = fold(engine, split, config.metrics, history(entries), now)
    known = {
        Place(name, place.phase, place.arm): Known(
            cell.units, int(cell.metrics[LABELLED].units.y), int(cell.metrics[RIGHT].units.y)
        )
        for name, result in folded.experiments.items()
        for place, cell in result.cells.items()
        if not place.slicing
    }
    crossed = sum(stage.crossed for result in folded.experiments.values() for stage in result.stages)
    return Analysed(int(rows[0][0]), known, crossed)
