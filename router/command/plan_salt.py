"""What ``router plan salt`` does: find a salt under which declared strata are spread evenly over the arms.

Responsible for: the candidates, assigning the units under each as the router would, and showing what was found.
Does not know: how balance is measured (``router.analysis.salt_balance``), how files are read (``roster``).

Rules: strata never enter the hash; they only choose among salts. The first candidate is the salt that would be used
otherwise, so the best is never worse. The same file, options and seed give the same answer.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
from mmh3 import mmh3_x64_128_utupledigest
from msgspec import Struct
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table as Grid

from router.analysis.salt_balance import Cells, Integers, Spread, standardised_differences
from router.command.roster import Roster, RosterError, Survey
from router.command.terminal import console
from router.routing.bucket import SCALE, arm_prefix

NOTE: Final = (
    "A salt that was chosen for balance is a rerandomised design: the usual tests stay valid but are conservative, and "
    "their intervals too wide (Morgan and Rubin 2012). Declare the strata in the experiment, so that it is analysed "
    "within them. Choose by what is known before the experiment, never by outcomes. Units that are not in the file are "
    "randomised as ever; the balance says nothing of them."
)
_ARMS_MAX: Final = 64
_WEIGHT_MIN: Final = 1e-9  # as in the configuration


class Asked(Struct, frozen=True, kw_only=True):
    """What is asked for.

    Attributes:
        units: File of units.
        unit: Column of the unit.
        strata: Columns to balance.
        arms: As ``control=50,treatment=50``.
        salt: The salt to be improved upon; candidates begin with it.
        tries: How many salts to compare, this one included.
        seed: Of the candidates.
    """

    units: Path
    unit: str
    strata: tuple[str, ...]
    arms: str
    salt: str
    tries: int
    seed: int


class Found(Struct, frozen=True):
    """What was found.

    Attributes:
        salt: The best of the salts.
        yaml: The line for the experiment.
        units: Units in the file.
        tries: Salts compared.
        before: What the salt to be improved upon makes of the units.
        after: What the best one makes of them.
        median_distance: M of the median candidate.
        note: What this means for inference.
    """

    salt: str
    yaml: str
    units: int
    tries: int
    before: Spread
    after: Spread
    median_distance: float
    note: str


def plan_salt(asked: Asked, *, as_json: bool) -> int:
    """Find a salt and show what it makes of the units.

    Returns:
        0; 1 when something in the question or the file is not right, with a sentence on standard error.
    """
    try:
        found = search(asked, Console(stderr=True))
    except (RosterError, ValueError) as error:
        sys.stderr.write(f"router plan salt: {error}\n")
        return 1
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(found)).decode() + "\n")
    else:
        _show(found)
    return 0


def search(asked: Asked, terminal: Console) -> Found:
    """Compare salts.

    Args:
        asked: What is asked for.
        terminal: Where progress is drawn, if it is one.

    Raises:
        RosterError: If the file cannot be used.
        ValueError: If the arms cannot.
    """
    arms = parse_arms(asked.arms)
    whole = sum(weight for _, weight in arms)
    salts = candidates(asked.salt, asked.tries, asked.seed)
    roster = Roster(asked.units, asked.unit, asked.strata)
    survey = roster.survey()
    codes_of = [{level: code for code, level in enumerate(levels)} for levels in survey.levels]
    cells = Cells([len(levels) for levels in survey.levels], len(arms), len(salts))
    with _progress(terminal, survey.units * len(salts)) as (progress, task):
        for units, values in roster.pieces():
            coded = [[codes[value] for codes, value in zip(codes_of, row, strict=True)] for row in values]
            codes = np.array(coded, np.int64).reshape(len(units), len(codes_of))
            cells.add_units(codes)
            for index, salt in enumerate(salts):
                cells.add_assignment(index, assign(salt, arms, units), codes)
                progress.advance(task, len(units))
    distances = cells.distances(np.array([weight / whole for _, weight in arms]))
    best = int(np.argmin(distances))
    names = [name for name, _ in arms]
    before, after = (
        _spread(cells, (index, salts[index], float(distances[index])), names, (asked.strata, survey))
        for index in (0, best)
    )
    return Found(
        salt=salts[best],
        yaml=f"salt: {salts[best]}",
        units=survey.units,
        tries=len(salts),
        before=before,
        after=after,
        median_distance=float(np.median(distances)),
        note=NOTE,
    )


def parse_arms(text: str) -> list[tuple[str, float]]:
    """Read ``NAME=WEIGHT,…``; return the arms that have a weight, by name, as the hash compares them.

    Raises:
        ValueError: If it is something else, or fewer than two arms have a weight.
    """
    arms: dict[str, float] = {}
    for item in text.split(","):
        name, equals, number = item.strip().partition("=")
        try:
            weight = float(number)
        except ValueError:
            weight = -1.0
        if not name or not equals or not (weight == 0 or _WEIGHT_MIN <= weight <= 1e9) or name in arms:
            raise ValueError(
                f"--arms {item!r} is not NAME=WEIGHT with a name of its own and a weight of 0 or 1e-9 to 1e9"
            )
        arms[name] = weight
    weighted = sorted((name, weight) for name, weight in arms.items() if weight > 0)
    if not 2 <= len(weighted) <= _ARMS_MAX:
        raise ValueError(f"--arms gives {len(weighted)} arms a weight above 0; 2 to {_ARMS_MAX} can be compared")
    return weighted


def candidates(salt: str, tries: int, seed: int) -> list[str]:
    """Return the salt itself and others that begin with it."""
    random = np.random.default_rng(seed)
    return [salt, *(f"{salt}-{random.bytes(4).hex()}" for _ in range(tries - 1))]


def assign(salt: str, arms: Sequence[tuple[str, float]], units: Sequence[bytes]) -> Integers:
    """Return the index of each unit's arm, as ``router.routing.bucket.choose`` gives it.

    Args:
        salt: The salt.
        arms: Names in order, with weights above 0.
        units: Units in UTF-8.
    """
    scores = np.empty((len(arms), len(units)))
    for row, (name, weight) in zip(scores, arms, strict=True):
        prefix = arm_prefix(salt, name)
        hashes = (mmh3_x64_128_utupledigest(prefix + unit)[0] for unit in units)
        points: npt.NDArray[np.uint64] = np.fromiter(hashes, np.uint64, len(units)) >> np.uint64(11)
        row[:] = -np.log((points + 0.5) * SCALE) / weight
    found: Integers = scores.argmin(axis=0).astype(np.int64)
    return found


@contextmanager
def _progress(terminal: Console, total: int) -> Iterator[tuple[Progress, TaskID]]:
    with Progress(console=terminal, disable=not terminal.is_terminal, transient=True) as progress:
        yield progress, progress.add_task("comparing salts", total=total)


def _spread(
    cells: Cells, which: tuple[int, str, float], arms: Sequence[str], strata: tuple[Sequence[str], Survey]
) -> Spread:
    index, salt, distance = which
    columns, survey = strata
    levels: dict[str, dict[str, dict[str, int]]] = {}
    largest = 0.0
    for column, (name, known) in enumerate(zip(columns, survey.levels, strict=True)):
        counts = cells.level_counts(index, column)
        largest = max(largest, float(np.abs(standardised_differences(counts)).max()))
        levels[name] = {
            level: dict(zip(arms, map(int, counts[:, code]), strict=True)) for code, level in enumerate(known)
        }
    units = dict(zip(arms, map(int, cells.counts[index, :, 0]), strict=True))
    return Spread(salt, distance, largest, units, levels)


def _show(found: Found) -> None:
    output = console()
    before, after = found.before, found.after
    output.print(f"{found.units} units, {found.tries} salts compared")
    grid = Grid(box=None, pad_edge=False)
    for title in ("", "salt", "distance M", "largest standardised difference"):
        grid.add_column(title, justify="right" if title and title != "salt" else "left")
    for name, spread in (("before", before), ("after", after)):
        grid.add_row(name, spread.salt, f"{spread.distance:.2f}", f"{spread.largest_difference:.4f}")
    grid.add_row("median", "", f"{found.median_distance:.2f}", "")
    output.print(grid)
    arms = list(after.units)
    for column, levels in after.levels.items():
        table = Grid(box=None, pad_edge=False)
        table.add_column(column, overflow="fold")
        for arm in arms:
            table.add_column(f"{arm} before", justify="right")
            table.add_column("after", justify="right")
        for level, counts in levels.items():
            row = [str(number) for arm in arms for number in (before.levels[column][level][arm], counts[arm])]
            table.add_row(level or "(none)", *row)
        output.print(table)
    output.print("")
    output.print(found.yaml, soft_wrap=True)
    output.print("")
    output.print(found.note)
