"""Funnels of two arms, step by step.

Responsible for: each step as a share of all units, and as a share of those who came to the step before.
Does not know: when a step is taken (``router.analysis.measure``).

Rules: pure. Only shares of *all* units compare what was randomised: those who came to an earlier step are others in
each arm, chosen by what the arm did, so a share of them says where units are lost, and is no effect on the same ones.
"""

from msgspec import Struct, structs

from router.analysis.aggregates import Aggregate
from router.analysis.estimate import NotEnough
from router.config.schema import Metric
from router.inference.effect import Asked, Effect
from router.inference.proportions import of_counts

SELECTED = "Of those who came to the step before, who are not the same kind of units in both arms."


class Step(Struct, frozen=True):
    """How the arms compare in one step.

    Attributes:
        name: The outcome that makes the step.
        of_all: Shares of all units.
        of_previous: Shares of those who came to the step before; of the first step, of all units.
    """

    name: str
    of_all: Effect | NotEnough
    of_previous: Effect | NotEnough


def steps(metric: Metric, treatment: Aggregate, control: Aggregate, asked: Asked) -> tuple[Step, ...]:
    """Compare a funnel step by step.

    Args:
        metric: A funnel.
        treatment: What is known of the arm.
        control: What is known of control.
        asked: Level of the intervals; several steps are several questions (``corrections``).

    Raises:
        ValueError: If the metric is no funnel.
    """
    if metric.kind != "funnel":
        raise ValueError(f"metric {metric.name!r} is no funnel")
    units = treatment.units.n, control.units.n
    clustered = treatment.clusters is not None or control.clusters is not None
    before, out = units, []
    for place, name in enumerate(metric.steps):
        came = _came(treatment, place), _came(control, place)
        if clustered:
            nothing = NotEnough("units hold several users, and steps are not counted by cluster", sum(units))
            out.append(Step(name, nothing, nothing))
        else:
            out.append(
                Step(name, _shares(came, units, asked), _selected(_shares(came, before, asked), first=not place))
            )
        before = came
    return tuple(out)


def _came(known: Aggregate, place: int) -> int:
    return known.steps[place] if place < len(known.steps) else 0


def _shares(came: tuple[int, int], of: tuple[int, int], asked: Asked) -> Effect | NotEnough:
    if 0 in of:
        return NotEnough("nobody came to the step before in an arm", sum(of))
    if came[0] > of[0] or came[1] > of[1]:
        return NotEnough("more units came to a step than to the one before", sum(of))
    return of_counts((came[0], of[0]), (came[1], of[1]), asked)


def _selected(found: Effect | NotEnough, *, first: bool) -> Effect | NotEnough:
    if first or isinstance(found, NotEnough):
        return found
    return structs.replace(found, notes=(*found.notes, SELECTED))
