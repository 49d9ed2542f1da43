"""What a decision about a release makes of the present revision.

Responsible for: the revision in which a release is elsewhere: weights, copies, endpoints.
Does not know: how it was decided (``router.rollout``), the journal, when workers have it.

Rules: pure. Weights follow from ``Progress.share`` alone. A step back is never refused, not even for want of counter
rows: then it keeps the rows, and so the phase, of before. A restored configuration goes on holding. A killed experiment
stays on its control arm, wherever its release is.
"""

from collections.abc import Mapping
from dataclasses import replace

import msgspec

from router.config.mistake import Mistake
from router.control import allocated
from router.control import kill as kills
from router.control.state import Refusal, State, current, follow, unnumbered
from router.counters import CountersFull
from router.events.model import Revision
from router.events.rollout import Progress


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """Where a release goes.

    Attributes:
        progress: Where it is then.
        mirror: Share of units whose requests are copied to the new arm's target; None leaves it.
        endpoints: Target to the base URLs in use; None leaves them.
        said: One sentence for the journal.
    """

    progress: Progress
    mirror: float | None = None
    endpoints: dict[str, tuple[str, ...]] | None = None
    said: str


def steer(
    state: State, moves: Mapping[str, Move], why: tuple[str, str, float], *, back: bool = False
) -> tuple[State, Revision] | Refusal:
    """Move releases.

    Args:
        state: The present state.
        moves: Experiment to where its release goes; one that is in another run by now is passed over.
        why: Cause, author and time.
        back: Whether this leads back to control, which nothing may refuse.

    Returns:
        The present state and revision when there is nothing to move.
    """
    present = current(state)
    found = {
        name: move
        for name, move in moves.items()
        if name in present.weights and present.runs[name].number == move.progress.run
    }
    if not found:
        return state, present
    experiments = {experiment.name: experiment for experiment in present.config.experiments}
    free = {name: weights for name, weights in present.weights.items() if name not in present.killed}
    free |= allocated.released(present, present.config)
    free |= {name: allocated.shared(experiments[name], move.progress.share) for name, move in found.items()}
    weights = kills.weigh(present.config, free, present.killed)
    entry = unnumbered(state, why, present.digest, (present.config, weights, present.killed))
    entry = msgspec.structs.replace(
        entry,
        changes=tuple(move.said for _, move in sorted(found.items())),
        rollouts={**entry.rollouts, **{name: move.progress for name, move in found.items()}},
        mirrors=_mirrors(entry.mirrors, found),
        endpoints={**entry.endpoints, **{key: urls for move in found.values() for key, urls in _urls(move)}},
    )
    try:
        following, revision = follow(state, entry)
    except CountersFull as error:
        if not back:
            return Refusal((Mistake(f"experiments {', '.join(sorted(found))}", 0, "", str(error)),))
        kept = msgspec.structs.replace(entry, runs=present.runs, invalid=present.invalid, coming={})
        following, revision = follow(state, kept)
    return replace(following, held=state.held), revision


def _mirrors(before: Mapping[str, float], moves: Mapping[str, Move]) -> dict[str, float]:
    given = {name: move.mirror for name, move in moves.items() if move.mirror is not None}
    return {name: share for name, share in {**before, **given}.items() if share > 0}


def _urls(move: Move) -> list[tuple[str, tuple[str, ...]]]:
    return list((move.endpoints or {}).items())
