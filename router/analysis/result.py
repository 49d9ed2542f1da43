"""What a fold returns, as frozen data.

Responsible for: names and meaning of what is known of an experiment: its phases, its cells, its outcomes.
Does not know: how it is computed (``fold``), what it is evidence of (``estimate``).
"""

from collections.abc import Mapping

from msgspec import Struct

from router.analysis.aggregates import Cell, Fates, Moments, Place
from router.analysis.credit import Credits
from router.analysis.history import Phase
from router.analysis.plan import Plan
from router.analysis.slots import Slots


class Stage(Struct, frozen=True):
    """What was seen in one phase.

    Attributes:
        phase: The phase.
        exposures: Exposures in all.
        overrides: Of them, forced ones, which do not count.
        bots: Of the rest, those of bots that the experiment leaves out.
        units: Units that were exposed.
        crossed: Of them, those seen in two arms, which are excluded.
        crossed_by_arm: Of these observations, how many were first seen in each arm.
        fates: Metric to what became of its outcomes; metrics of exchanges have none.
    """

    phase: Phase
    exposures: int
    overrides: int
    bots: int
    units: int = 0
    crossed: int = 0
    crossed_by_arm: Mapping[str, int] = {}
    fates: Mapping[str, Fates] = {}


class Stray(Struct, frozen=True):
    """Outcomes of a metric that belong to no unit of the experiment.

    Attributes:
        total: Outcomes of these names in all, but for those keyed to another experiment.
        future: Of them, those later than now.
        unmatched: Of the rest, those whose key is of no unit that the experiment exposed.
    """

    total: int = 0
    future: int = 0
    unmatched: int = 0


class TenurePlace(Struct, frozen=True, order=True):
    """Which units, and how long after their first exposure.

    Attributes:
        run: Number of the run.
        phase: Phase of the run.
        arm: The arm.
        day: Days since the first exposure, from 0.
    """

    run: int
    phase: int
    arm: str
    day: int


class Series(Struct, frozen=True):
    """How things went, day by day.

    Attributes:
        days: What is known of the units first exposed on a day; slicing ``day``, in days since 1970.
        tenure: Metric to sums over units that were seen for so long: y of what came that many days after the first
            exposure, x its denominator.
        traffic: Exchanges of each arm by day, at the places of ``days``.
    """

    days: Mapping[Place, Cell] = {}
    tenure: Mapping[str, Mapping[TenurePlace, Moments]] = {}
    traffic: Mapping[Place, int] = {}


class Result(Struct, frozen=True):
    """What is known of one experiment.

    Attributes:
        plan: What was computed.
        stages: Its phases, in order.
        cells: Where to what is known there.
        strays: Metric to the outcomes that belong to no unit of the experiment.
        credits: What outcomes about items of interleaved lists say of the rankers.
        series: How things went, day by day.
        slots: Run and phase of a switchback to its slots of time.
    """

    plan: Plan
    stages: tuple[Stage, ...] = ()
    cells: Mapping[Place, Cell] = {}
    strays: Mapping[str, Stray] = {}
    credits: Credits = {}
    series: Series = Series()
    slots: Mapping[tuple[int, int], Slots] = {}


class Folded(Struct, frozen=True):
    """What is known of all experiments.

    Attributes:
        now: The moment it is about, in unix seconds.
        experiments: Experiment to what is known of it.
    """

    now: float
    experiments: Mapping[str, Result]
