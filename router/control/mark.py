"""What a mark of invalid data makes of the present revision.

Responsible for: the revision after an experiment was marked *invalid until fixed*.
Does not know: how it was found out (``router.analysis.quality``), the journal, when workers have it.

Rules: pure. A mark changes no weight and so no phase. It belongs to the run and phase whose data are invalid: it stays
whatever later data say, over restarts and restores, and goes with the next run or phase (``phases.kept_marks``). It is
a decision of a revision, as a kill is, so that it is in the journal and workers' statements know it.
"""

from dataclasses import replace

import msgspec

from router.control.state import State, current, follow, unnumbered
from router.events.model import Invalid, Revision

AUTHOR = "router"


def mark(state: State, found: dict[str, Invalid], now: float) -> tuple[State, Revision]:
    """Mark experiments whose data were found to be invalid.

    Args:
        state: The present state.
        found: Experiment to what was found; one that is in another run or phase by now, or marked, is passed over.
        now: Unix seconds.

    Returns:
        The present state and revision when there is nothing to mark.
    """
    present = current(state)
    coming = {
        name: each
        for name, each in found.items()
        if name not in present.invalid
        and name in present.runs
        and (present.runs[name].number, present.runs[name].phase) == (each.run, each.phase)
    }
    if not coming:
        return state, present
    why = ("invalid", AUTHOR, now)
    entry = unnumbered(state, why, present.digest, (present.config, present.weights, present.killed))
    said = tuple(
        f"experiment {name!r} is invalid in run {each.run}, phase {each.phase}, until fixed: {each.reason}"
        for name, each in sorted(coming.items())
    )
    entry = msgspec.structs.replace(entry, changes=said, invalid={**entry.invalid, **coming})
    following, revision = follow(state, entry)
    return replace(following, held=state.held), revision
