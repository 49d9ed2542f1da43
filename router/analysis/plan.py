"""What is to be computed for an experiment: its metrics as windows, sources and columns.

Responsible for: which outcomes, exchanges and attributes an experiment's metrics need, each once.
Does not know: Ibis, events.

Rules: pure; a metric is known by its place in ``metrics``, since names may hold what columns may not.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property

from msgspec import Struct

from router.analysis.history import is_clustered
from router.config.metric import DAY, SLICES
from router.config.schema import Experiment, Metric

NEW_UNIT, ONE_DAY = SLICES

Slicing = tuple[str, ...]
"""Attributes by whose values units are told apart; empty is everybody."""


class Window(Struct, frozen=True):
    """Which outcomes count for a metric, by their age: seconds since the unit's first exposure.

    Attributes:
        names: The outcomes.
        opens: Age from which they count.
        horizon: Age from which they no longer do; None is until the phase ends.
        whole: Whether a unit enters only when all of the window lies within the phase; otherwise a window that the end
            of the phase cuts off counts as far as it goes.
    """

    names: tuple[str, ...]
    opens: float
    horizon: float | None
    whole: bool


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
    """

    experiment: str
    metrics: tuple[Metric, ...]
    slices: tuple[str, ...] = ()
    strata: tuple[str, ...] = ()
    bots: bool = False
    clustered: bool = False
    control: str | None = None

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
    def measures(self) -> tuple[str, ...]:
        """What is measured on exchanges, each once."""
        return tuple(dict.fromkeys(metric.exchange for metric in self.metrics if metric.exchange is not None))

    @cached_property
    def distributions(self) -> tuple[str, ...]:
        """Those of them whose distribution is asked for, each once."""
        quantiles = (metric.exchange for metric in self.metrics if metric.kind == "quantile")
        return tuple(dict.fromkeys(source for source in quantiles if source is not None))

    @cached_property
    def outcomes(self) -> tuple[str, ...]:
        """The outcomes that metrics and covariates read, each once."""
        named = [name for metric in self.metrics for name in metric.outcomes()]
        named += [metric.covariate.outcome for metric in self.metrics if metric.covariate is not None]
        return tuple(dict.fromkeys(named))


def window(metric: Metric) -> Window | None:
    """Return which outcomes count for a metric; None for one that is measured on exchanges."""
    if metric.exchange is not None:
        return None
    opens = metric.day * DAY if metric.day is not None else 0.0
    return Window(metric.outcomes(), opens, metric.horizon(), metric.day is not None)


def plan(experiment: Experiment, metrics: Iterable[Metric]) -> Plan:
    """Return what is to be computed for an experiment.

    Args:
        experiment: The experiment.
        metrics: The definitions of all metrics; those that the experiment does not name are left out.
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
    )
