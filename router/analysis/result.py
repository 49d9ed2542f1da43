"""What a fold returns, as frozen data.

Responsible for: names and meaning of what is known of an experiment: its phases, its cells, its outcomes.
Does not know: how it is computed (``fold``), what it is evidence of (``estimate``).
"""

from collections.abc import Mapping

from msgspec import Struct

from router.analysis.aggregates import Cell, Fates, Place
from router.analysis.credit import Credits
from router.analysis.history import Phase
from router.analysis.plan import Plan


class Stage(Struct, frozen=True):
    """What was seen in one phase.

    Attributes:
        phase: The phase.
        exposures: Exposures in all.
        overrides: Of them, forced ones, which do not count.
        bots: Of the rest, those of bots that the experiment leaves out.
        units: Units that were exposed.
        crossed: Of them, those seen in two arms, which are excluded.
        fates: Metric to what became of its outcomes; metrics of exchanges have none.
    """

    phase: Phase
    exposures: int
    overrides: int
    bots: int
    units: int = 0
    crossed: int = 0
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


class Result(Struct, frozen=True):
    """What is known of one experiment.

    Attributes:
        plan: What was computed.
        stages: Its phases, in order.
        cells: Where to what is known there.
        strays: Metric to the outcomes that belong to no unit of the experiment.
        credits: What outcomes about items of interleaved lists say of the rankers.
    """

    plan: Plan
    stages: tuple[Stage, ...] = ()
    cells: Mapping[Place, Cell] = {}
    strays: Mapping[str, Stray] = {}
    credits: Credits = {}


class Folded(Struct, frozen=True):
    """What is known of all experiments.

    Attributes:
        now: The moment it is about, in unix seconds.
        experiments: Experiment to what is known of it.
    """

    now: float
    experiments: Mapping[str, Result]
