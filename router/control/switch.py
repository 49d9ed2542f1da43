"""What killing and resuming an experiment make of the present revision.

Responsible for: the revision after a kill and after its end, and the line of the decision log about it.
Does not know: who may ask, the journal, when workers have it.

Rules: pure. A kill takes the place of one that is only a drill. It is never refused, not even for want of counter rows:
then it keeps the rows, and so the phase, of before. What holds already makes no revision. A restored configuration goes
on holding.
"""

from dataclasses import replace

import msgspec

from router.config.mistake import Mistake
from router.control import allocated
from router.control import kill as kills
from router.control.state import Refusal, State, current, follow, unnumbered
from router.counters import CountersFull
from router.events.model import Kill, Revision
from router.events.rollout import Decided


def kill(state: State, name: str, now: float, by: str, reason: str | None) -> tuple[State, Revision]:
    """Put all units of an experiment on its control arm until ``resume``.

    Args:
        state: The present state.
        name: The experiment.
        now: Unix seconds.
        by: Who asks.
        reason: Why.

    Returns:
        The present state and revision when it is killed already.

    Raises:
        LookupError: If there is no such experiment.
    """
    present = current(state)
    experiment = kills.find(present.config, name)
    if name in present.killed and not present.killed[name].drill:
        return state, present
    killed = {**present.killed, name: kills.made(present.config, experiment, by, reason, now)}
    return _switch(state, ("kill", by, now), killed, f"experiment {name!r} killed{_because(reason)}")


def resume(state: State, name: str, now: float, by: str, reason: str | None) -> tuple[State, Revision] | Refusal:
    """End a kill: the weights are again those that the experiment has otherwise.

    Args:
        state: The present state.
        name: The experiment.
        now: Unix seconds.
        by: Who asks.
        reason: Why.

    Returns:
        The present state and revision when it is not killed; a refusal when the counters have no room for
            a new phase.

    Raises:
        LookupError: If there is no such experiment.
    """
    present = current(state)
    kills.find(present.config, name)
    if name not in present.killed:
        return state, present
    killed = {other: made for other, made in present.killed.items() if other != name}
    try:
        return _switch(state, ("resume", by, now), killed, f"experiment {name!r} resumed{_because(reason)}")
    except CountersFull as error:
        return Refusal((Mistake(f"experiment {name}", 0, "", str(error)),))


def told(revision: Revision, name: str, reason: str | None) -> Decided:
    """Return the line of the decision log about a kill, or its end, that made this revision."""
    experiment = kills.find(revision.config, name)
    run, progress, weights = revision.runs[name], revision.rollouts.get(name), revision.weights[name]
    control = kills.control_arm(experiment)
    whole = sum(weights.values())
    return Decided(
        id="",
        time=revision.time,
        experiment=name,
        run=run.number,
        phase=run.phase,
        revision=revision.number,
        step=progress.step if progress is not None else "none",
        stage=progress.stage if progress is not None else 0,
        share=1.0 - weights.get(control, 0.0) / whole if whole else 0.0,
        action=revision.cause,
        alternative="traffic as before, had nobody asked",
        by=revision.author,
        reason=reason or "no reason was given",
    )


def _switch(state: State, why: tuple[str, str, float], killed: dict[str, Kill], said: str) -> tuple[State, Revision]:
    present = current(state)
    free = {name: weights for name, weights in present.weights.items() if name not in present.killed}
    free |= allocated.released(present, present.config)
    weights = kills.weigh(present.config, free, killed)
    coming = unnumbered(state, why, present.digest, (present.config, weights, killed))
    coming = msgspec.structs.replace(coming, changes=(said,))
    try:
        following, revision = follow(state, coming)
    except CountersFull:
        if why[0] != "kill":
            raise
        following, revision = follow(
            state, msgspec.structs.replace(coming, runs=present.runs, invalid=present.invalid, coming={})
        )
    return replace(following, held=state.held), revision


def _because(reason: str | None) -> str:
    return f": {reason}" if reason else ""
