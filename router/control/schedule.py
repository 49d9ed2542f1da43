"""When experiments begin and end by themselves.

Responsible for: the next moment at which a configuration means something else, and the revision of such a moment.
Does not know: clocks, waiting.

Rules: pure. What a table says does not depend on the moment, so a revision is made at each of these; one that was
missed, because nothing ran then, is made up for as soon as somebody looks.
"""

from dataclasses import replace

import msgspec

from router.config.schema import Config
from router.control.state import State, current, follow, unnumbered
from router.events.model import Revision


def moments(config: Config) -> tuple[float, ...]:
    """Return when experiments begin or end, in unix seconds, in order."""
    active = [experiment.active for experiment in config.experiments if experiment.active is not None]
    return tuple(sorted({time for each in active for time in (each.start, each.until) if time is not None}))


def pending(revision: Revision) -> float | None:
    """Return the first such moment after a revision was made; None when nothing is to come."""
    return next((time for time in moments(revision.config) if time > revision.time), None)


def turn(state: State, now: float) -> tuple[State, Revision]:
    """Make the revision of such a moment; nothing but its time differs.

    Args:
        state: The present state.
        now: Unix seconds.
    """
    present = current(state)
    coming = unnumbered(
        state, ("schedule", "clock", now), present.digest, (present.config, present.weights, present.killed)
    )
    following, revision = follow(state, msgspec.structs.replace(coming, changes=_turned(present, now)))
    return replace(following, held=state.held), revision


def _turned(present: Revision, now: float) -> tuple[str, ...]:
    """Say which experiments begin and end between a revision and now."""
    said = []
    for experiment in present.config.experiments:
        active = experiment.active
        if active is not None and active.start is not None and present.time < active.start <= now:
            said.append(f"experiment {experiment.name} begins")
        if active is not None and active.until is not None and present.time < active.until <= now:
            said.append(f"experiment {experiment.name} ends")
    return tuple(said)
