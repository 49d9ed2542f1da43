"""Runs and phases of experiments.

Responsible for: which run and phase an experiment is in after a change, and which marks of invalid data hold there.
Does not know: what made the change, or whether it is allowed (``refuse``).

Rules: pure. A run has fixed arms, targets, versions and salt; a phase of it has fixed shares and eligibility. A kill
and its end change shares, so each begins a phase. Runs of removed experiments stay, so that a name that returns never
continues old numbers.
"""

from collections.abc import Mapping
from fractions import Fraction

from router.config.schema import Config, Experiment, Route
from router.control.refuse import identity
from router.events.model import Invalid, Revision, Run

# What says who takes part; the route's match and unit, the layer and its holdouts do so too.
_ENROLMENT = ("segment", "coverage", "exclude", "eligible", "time_zone", "prerequisites", "active")


def runs(before: Revision | None, config: Config, weights: Mapping[str, Mapping[str, float]]) -> dict[str, Run]:
    """Return where each experiment is, those that are gone included.

    Args:
        before: The present revision.
        config: The configuration that follows it.
        weights: The weights that follow.
    """
    if before is None:
        return {experiment.name: Run(number=1, phase=1, epoch=0) for experiment in config.experiments}
    found = dict(before.runs)
    running = {experiment.name: experiment for experiment in before.config.experiments}
    for experiment in config.experiments:
        name = experiment.name
        last, old = found.get(name), running.get(name)
        if last is None:
            found[name] = Run(number=1, phase=1, epoch=0)
        elif old is None or identity(before.config, old) != identity(config, experiment):
            found[name] = Run(number=last.number + 1, phase=1, epoch=0)
        elif _shares(before.weights[name]) != _shares(weights[name]) or _who(
            before.config, old, before.weights
        ) != _who(config, experiment, weights):
            found[name] = Run(number=last.number, phase=last.phase + 1, epoch=0)
    return found


def kept_marks(invalid: Mapping[str, Invalid], following: Mapping[str, Run]) -> dict[str, Invalid]:
    """Return the marks of invalid data that still hold: those of the run and phase in which their experiment is."""
    return {
        name: mark
        for name, mark in invalid.items()
        if name in following and (following[name].number, following[name].phase) == (mark.run, mark.phase)
    }


def _shares(weights: Mapping[str, float]) -> dict[str, Fraction]:
    """Give each arm's exact share, so that 95 and 5 equal 19 and 1."""
    whole = sum(Fraction(weight) for weight in weights.values())
    return {arm: Fraction(weight) / whole if whole else Fraction(0) for arm, weight in weights.items()}


def _who(config: Config, experiment: Experiment, weights: Mapping[str, Mapping[str, float]]) -> tuple[object, ...]:
    """Give what says who takes part, also by way of the experiments that are required; these never go in a circle."""
    known = {item.name: item for item in config.experiments}
    required = [
        (_who(config, known[need.experiment], weights), _shares(weights[need.experiment]) if need.arms else None)
        for need in experiment.prerequisites
    ]
    return _eligible(config, experiment), required


def _eligible(config: Config, experiment: Experiment) -> tuple[object, ...]:
    route: Route | None = next((route for route in config.routes if route.name == experiment.route), None)
    layer = next((layer for layer in config.layers if layer.name == experiment.layer), None)
    holdouts = [item for item in config.holdouts if not item.layers or experiment.layer in item.layers]
    ruled = experiment.eligible is not None and route is not None
    variants = [
        (variant.label, _shares({arm.name: arm.weight for arm in item.arms}), *_enrolment(item))
        for variant in config.variants
        for item in variant.experiments
        if item.name == experiment.name
    ]
    return (
        (config.layered_by, variants) if variants else (),
        (route.match, route.unit) if route is not None else (),
        route.attributes if ruled and route is not None else None,
        route.inspect_bytes if route is not None and _reads_body(route, experiment, ruled=ruled) else None,
        layer,
        sorted(holdouts, key=lambda item: item.name),
        *_enrolment(experiment),
    )


def _reads_body(route: Route, experiment: Experiment, *, ruled: bool) -> bool:
    """Tell whether a body has a say in who takes part: one that is longer than what is read of it has none."""
    sources = (*route.unit, *experiment.unit, *(route.attributes.values() if ruled else ()))
    return any(source.startswith("json:") for source in sources)


def _enrolment(experiment: Experiment) -> list[object]:
    return [getattr(experiment, key) for key in _ENROLMENT]
