"""What was in force when: runs, phases and epochs of experiments, from the revisions that were published.

Responsible for: when each phase began and ended, and the arms, weights and control of it.
Does not know: the journal's file (``router.events.journal``), exposures.

Rules: pure. A phase ends when the next one of its experiment begins, or when the experiment leaves the configuration. A
journal is compacted, so its first revision may have been in force for long: what began before it began at an unknown
time. A phase that the journal no longer has is completed from the exposures (``complete``).
"""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct, structs

from router.config.schema import Experiment, Metric
from router.events.model import Revised, Revision

Place = tuple[int, int]
"""Run and phase."""

_MOST: Final = 100  # changes of its rules that are remembered of a phase


class Epoch(Struct, frozen=True):
    """Weights in force.

    Attributes:
        run: Number of the run.
        phase: Phase of the run.
        epoch: Epoch of the phase.
        start: Since when, in unix seconds.
        weights: Arm to weight; relative.
    """

    run: int
    phase: int
    epoch: int
    start: float
    weights: Mapping[str, float]


class Phase(Struct, frozen=True):
    """A phase of an experiment.

    Attributes:
        run: Number of the run.
        phase: Phase of the run.
        start: When it began, in unix seconds; None when the journal does not reach back to it.
        end: When it ended; None when it has not.
        arms: The arms, in the order of the file; empty when unknown.
        control: The arm that is the baseline; None when unknown.
        clustered: Whether the unit was something other than the user (``is_clustered``); None when unknown.
        redecided: When, within the phase, ``decide`` changed or what is measured did, in unix seconds; the latest.
    """

    run: int
    phase: int
    start: float | None = None
    end: float | None = None
    arms: tuple[str, ...] = ()
    control: str | None = None
    clustered: bool | None = None
    redecided: tuple[float, ...] = ()

    @property
    def place(self) -> Place:
        """Run and phase."""
        return self.run, self.phase


class History(Struct, frozen=True):
    """What is known of the past of experiments.

    Attributes:
        phases: Experiment to its phases, in order.
        epochs: Experiment to its epochs, in order of their start.
    """

    phases: Mapping[str, tuple[Phase, ...]] = {}
    epochs: Mapping[str, tuple[Epoch, ...]] = {}


def history(revisions: Iterable[Revised | Revision]) -> History:
    """Return the past that revisions tell, oldest first."""
    phases: dict[str, list[Phase]] = {}
    epochs: dict[str, list[Epoch]] = {}
    rules: dict[str, tuple[object, ...]] = {}
    for place, revised in enumerate(sorted(revisions, key=lambda entry: entry.number)):
        # The oldest that is left, unless it is the first of all, says what had begun before it.
        began = revised.time if place or revised.number == 1 else None
        present = {experiment.name: experiment for experiment in revised.config.experiments}
        for name, found in phases.items():
            if name not in present and found[-1].end is None:
                found[-1] = _ended(found[-1], revised.time)
        for name, experiment in present.items():
            run = revised.runs.get(name)
            if run is None:
                continue
            _enter(phases.setdefault(name, []), (run.number, run.phase), experiment, revised.time, began)
            before, rules[name] = rules.get(name), _rules(experiment, revised.config.metrics)
            if before is not None and before != rules[name] and phases[name][-1].start != revised.time:
                phases[name][-1] = _redecided(phases[name][-1], revised.time)
            weights = dict(revised.weights.get(name, {}))
            known = epochs.setdefault(name, [])
            last = known[-1] if known else None
            here = (run.number, run.phase, run.epoch)
            if last is None or (last.run, last.phase, last.epoch) != here or last.weights != weights:
                known.append(Epoch(*here, revised.time, weights))
    return History(
        {name: tuple(found) for name, found in phases.items()}, {name: tuple(known) for name, known in epochs.items()}
    )


def is_clustered(experiment: Experiment) -> bool:
    """Return whether what is assigned to an arm is something other than the user: a tenant, a slot, a request.

    A bandit's unit is a user in a period, since the next period draws the user anew.
    """
    return bool(experiment.unit) or experiment.allocate.slotted is not None


def complete(phases: Iterable[Phase], seen: Mapping[Place, float]) -> tuple[Phase, ...]:
    """Add the phases that exposures have and the journal no longer has.

    Args:
        phases: What the journal says of one experiment.
        seen: Run and phase to the time of its first exposure.

    Returns:
        Every phase, in order; one without a known end ends with the start of the next, if there is one.
    """
    known = {phase.place: phase for phase in phases}
    every = [known.get(place) or Phase(*place, start=seen[place]) for place in sorted({*known, *seen})]
    out: list[Phase] = []
    for phase, later in zip(every, [*every[1:], None], strict=True):
        begins = None if later is None else later.start if later.start is not None else seen.get(later.place)
        out.append(phase if phase.end is not None or begins is None else _ended(phase, begins))
    return tuple(out)


def _enter(found: list[Phase], place: Place, experiment: Experiment, time: float, began: float | None) -> None:
    if found and found[-1].place == place:
        return
    if found and found[-1].end is None:
        found[-1] = _ended(found[-1], time)
    arms = tuple(arm.name for arm in experiment.arms)
    control = experiment.control or arms[0]
    found.append(Phase(*place, start=began, arms=arms, control=control, clustered=is_clustered(experiment)))


def _ended(phase: Phase, end: float) -> Phase:
    return structs.replace(phase, end=end)


def _rules(experiment: Experiment, metrics: Iterable[Metric]) -> tuple[object, ...]:
    """Return what an experiment is judged by: chosen after a look at the data, it no longer means what it says."""
    named = experiment.metrics.names() if experiment.metrics is not None else ()
    return experiment.decide, experiment.metrics, [metric for metric in metrics if metric.name in named]


def _redecided(phase: Phase, time: float) -> Phase:
    return structs.replace(phase, redecided=(*phase.redecided[1 - _MOST :], time))
