"""What is to be computed for an experiment: its metrics as windows, sources and columns.

Responsible for: which outcomes, exchanges and attributes an experiment's metrics need, each once.
Does not know: Ibis, events.

Rules: pure; a metric is known by its place in ``metrics``, since names may hold what columns may not.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property

from msgspec import Struct

from router.analysis.attribute import FOREVER
from router.analysis.history import Phase, is_clustered
from router.config.metric import DAY, SLICES
from router.config.schema import Experiment, Metric

NEW_UNIT, ONE_DAY, WEEKDAY, VOLUME, CACHE, LATENCY = SLICES
MOST_DAYS = 400
"""Days that are told apart; what is older is of the first of them."""

Slicing = tuple[str, ...]
"""Attributes by whose values units are told apart; empty is everybody."""


class Measure(Struct, frozen=True):
    """What is measured on exchanges.

    Attributes:
        source: What of an exchange.
        window: Seconds since the unit's first exposure within which exchanges count; None is all of them.
        grace: Seconds after the window within which they have to have ended.
    """

    source: str
    window: float | None
    grace: float


class Window(Struct, frozen=True):
    """Which outcomes or exchanges count for a metric, by their age: seconds since the unit's first exposure.

    Attributes:
        names: The outcomes; none where exchanges are measured.
        opens: Age from which they count.
        horizon: Age from which they no longer do; None is until the phase ends.
        whole: Whether a unit enters only when all of the window lies within the phase; otherwise a window that the end
            of the phase cuts off counts as far as it goes.
        grace: Seconds after the window, or after the end of the phase, until which what is received counts; a unit with
            a window enters when they have passed.
    """

    names: tuple[str, ...]
    opens: float
    horizon: float | None
    whole: bool
    grace: float = 0.0


class Plan(Struct, frozen=True, dict=True):
    """What is to be computed for one experiment.

    Attributes:
        experiment: Name of the experiment.
        metrics: Its metrics; the primary first.
        slices: Attributes by which results are shown as well.
        strata: Attributes within which units are compared.
        bots: Whether bots are left out.
        clustered: Whether its unit is something other than the user: a tenant, a slot of time, a request.
        control: The arm that is the baseline.
        frozen: Whether what is received after a unit's window (and grace) leaves its value as it was. Otherwise all
            that came counts, whenever: a look that no sequential test may take.
        rankers: The two arms whose lists are interleaved, control first; none of any other experiment.
        slot: Length of the slots of time that are assigned, in seconds; None where none are.
    """

    experiment: str
    metrics: tuple[Metric, ...]
    slices: tuple[str, ...] = ()
    strata: tuple[str, ...] = ()
    bots: bool = False
    clustered: bool = False
    control: str | None = None
    frozen: bool = True
    rankers: tuple[str, str] | None = None
    slot: float | None = None

    @cached_property
    def slicings(self) -> tuple[Slicing, ...]:
        """By what units are told apart: not at all, by each slice, and by all strata together."""
        found: list[Slicing] = [(), *((name,) for name in self.slices)]
        if self.strata:
            found.append(self.strata)
        return tuple(dict.fromkeys(found))

    @cached_property
    def attributes(self) -> tuple[str, ...]:
        """The attributes that slices and strata read, each once; without the built-in ones."""
        return tuple(name for name in dict.fromkeys((*self.slices, *self.strata)) if name not in SLICES)

    @cached_property
    def measures(self) -> tuple[Measure, ...]:
        """What is measured on exchanges, each once."""
        found = (measure_of(metric) for metric in self.metrics)
        return tuple(dict.fromkeys(measure for measure in found if measure is not None))

    @cached_property
    def distributions(self) -> tuple[Measure, ...]:
        """Those of them whose distribution is asked for, each once."""
        found = (measure_of(metric) for metric in self.metrics if metric.kind == "quantile")
        return tuple(dict.fromkeys(measure for measure in found if measure is not None))

    @cached_property
    def outcomes(self) -> tuple[str, ...]:
        """The outcomes that metrics and covariates read, each once."""
        named = [name for metric in self.metrics for name in metric.outcomes()]
        named += [metric.covariate.outcome for metric in self.metrics if metric.covariate is not None]
        return tuple(dict.fromkeys(named))


def measure_of(metric: Metric) -> Measure | None:
    """Return what a metric measures on exchanges; None for one of outcomes."""
    if metric.exchange is None:
        return None
    return Measure(metric.exchange, metric.window, metric.grace or 0.0)


def window(metric: Metric) -> Window:
    """Return which outcomes or exchanges count for a metric."""
    opens = metric.day * DAY if metric.day is not None else 0.0
    return Window(metric.outcomes(), opens, metric.horizon(), metric.day is not None, _grace(metric))


def _grace(metric: Metric) -> float:
    """Return for how long what is received after a window counts; without a window for ever, unless that is said."""
    lasting = metric.horizon() is None and metric.exchange is None
    return metric.grace if metric.grace is not None else FOREVER if lasting else 0.0


def provisional(metric: Metric, phase: Phase, now: float, *, frozen: bool) -> bool:
    """Say whether values of a phase that are in the sums may still change.

    Args:
        metric: The metric.
        phase: The phase.
        now: The moment of the fold, in unix seconds.
        frozen: Whether the fold freezes values when windows close.
    """
    if not frozen:
        return True
    over = phase.end is not None and phase.end + _grace(metric) <= now
    return metric.horizon() is None and not over


def plan(experiment: Experiment, metrics: Iterable[Metric], *, frozen: bool = True) -> Plan:
    """Return what is to be computed for an experiment.

    Args:
        experiment: The experiment.
        metrics: The definitions of all metrics; those that the experiment does not name are left out.
        frozen: Whether values are frozen when windows close.
    """
    known: Mapping[str, Metric] = {metric.name: metric for metric in metrics}
    measured = experiment.metrics
    names = measured.names() if measured is not None else ()
    return Plan(
        experiment=experiment.name,
        metrics=tuple(known[name] for name in names if name in known),
        slices=experiment.slices,
        strata=experiment.strata,
        bots="bots" in experiment.exclude,
        clustered=is_clustered(experiment),
        control=experiment.control or experiment.arms[0].name,
        frozen=frozen,
        rankers=_rankers(experiment),
        slot=experiment.allocate.slot if experiment.allocate.use == "switchback" else None,
    )


def _rankers(experiment: Experiment) -> tuple[str, str] | None:
    """Return the arms whose lists are interleaved, control first; None where none are."""
    if experiment.allocate.use != "interleave" or len(experiment.arms) != 2:
        return None
    first, second = (arm.name for arm in experiment.arms)
    return (second, first) if experiment.control == second else (first, second)
