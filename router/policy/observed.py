"""Observations of an experiment as a log: from the rows of the analysis to columns.

Responsible for: which rows count, what their weights in force were, features and clusters.
Does not know: files, the database, any policy.

Rules: pure. Runs have other arms or other versions of them, so a log is of one run: the last. A row without a reward is
left out and counted. Users are clusters: one with several periods, or in several tenants, is no independent witness.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from router.policy.context import encode
from router.policy.log import Floats, Log

Weights = Mapping[tuple[int, int, int, str], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Reading:
    """How rows are to be read.

    Attributes:
        arms: Names of the arms.
        sign: -1 where less reward is better.
        weights: Run, phase, epoch and site to the weights in force; empty where requests had weights of their own.
        numbers: Attributes that are numbers.
        categories: Attributes that are categories; None takes all that are logged and no numbers.
    """

    arms: tuple[str, ...]
    sign: Literal[-1, 1]
    weights: Weights
    numbers: tuple[str, ...] = ()
    categories: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """A log, and what is not in it.

    Attributes:
        log: The log.
        in_force: Probability of what was taken by the weights in force; not a number where these are not known.
        run: Run that it is of; None when there are no rows.
        earlier: Rows of earlier runs.
        valueless: Rows without a reward.
    """

    log: Log
    in_force: Floats
    run: int | None
    earlier: int
    valueless: int


def observed(
    columns: Mapping[str, Sequence[Any]], attributes: Sequence[Mapping[str, str]], reading: Reading
) -> Observed:
    """Return rows as a log.

    Args:
        columns: ``run``, ``phase``, ``epoch``, ``site``, ``arm``, ``unit``, ``user``, ``first``, ``matured``,
            ``propensity`` and ``y``, of one length.
        attributes: Of each row.
        reading: How they are to be read.
    """
    runs = [int(run) for run in columns["run"]]
    run = max(runs, default=None)
    ours = [row for row, known in enumerate(runs) if known == run and columns["arm"][row] in reading.arms]
    valued = [row for row in ours if columns["y"][row] is not None and np.isfinite(columns["y"][row])]
    kept = sorted(valued, key=lambda row: (columns["first"][row], str(columns["unit"][row])))
    place = {arm: index for index, arm in enumerate(reading.arms)}
    about = tuple({**attributes[row]} for row in kept)
    names = sorted({name for each in about for name in each}) if reading.categories is None else reading.categories
    users = [columns["user"][row] or columns["unit"][row] for row in kept]
    number = {user: index for index, user in enumerate(dict.fromkeys(users))}
    log = Log(
        arms=reading.arms,
        arm=np.array([place[columns["arm"][row]] for row in kept], dtype=np.int64),
        propensity=_floats(columns["propensity"], kept),
        reward=_floats(columns["y"], kept),
        time=_floats(columns["first"], kept),
        known=_floats(columns["matured"], kept),
        cluster=np.array([number[user] for user in users], dtype=np.int64),
        context=encode(about, [name for name in names if name not in reading.numbers], reading.numbers),
        attributes=about,
        sign=reading.sign,
    )
    shares = np.array([_share(columns, row, reading.weights) for row in kept], dtype=np.float64)
    return Observed(log, shares, run, len(runs) - runs.count(run or 0), len(ours) - len(valued))


def _floats(column: Sequence[Any], kept: Sequence[int]) -> Floats:
    """Return a column as numbers; what is absent is not a number."""
    return np.array([np.nan if column[row] is None else column[row] for row in kept], dtype=np.float64)


def _share(columns: Mapping[str, Sequence[Any]], row: int, weights: Weights) -> float:
    """Return the probability of a row's arm by the weights in force; not a number when they are not known."""
    site = columns["site"][row] or ""
    known = weights.get((columns["run"][row], columns["phase"][row], columns["epoch"][row], site))
    total = sum(known.values()) if known is not None else 0.0
    return known.get(columns["arm"][row], 0.0) / total if known is not None and total > 0 else float("nan")
