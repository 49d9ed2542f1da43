"""Drills: a kill and a rollback that are carried out for the sake of their time, on an arm that nobody has.

Responsible for: whether a drill may be held, the revisions that it makes, and the line of the decision log about it.
Does not know: the journal, when workers have a revision (``router.control.loop``).

Rules: pure. Nobody notices a drill: it is refused unless weights, runs and phases of every experiment stay what they
are, all the way there and back. A real kill that comes in between stays (``switch.kill``). A drill that the end of the
control process cut short is ended at its next start.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import msgspec

from router.config.schema import Experiment
from router.control import kill as kills
from router.control.state import Refusal, State, current, follow, unnumbered
from router.control.steer import Move, steer
from router.counters import FANS, CountersFull
from router.events.model import Kill, Revision
from router.events.rollout import Decided
from router.rollout.turn import Refused

CAUSE: Final = "drill"
LIMIT_S: Final = 3.0
"""How long workers may take to serve one revision of a drill: three are over before who asked loses patience."""

Step = tuple[State, Revision]


def begin(state: State, name: str, now: float, by: str) -> Step | Refused:
    """Kill an experiment for a drill.

    Args:
        state: The present state.
        name: The experiment.
        now: Unix seconds.
        by: Who asks.

    Raises:
        LookupError: If there is no such experiment.
    """
    present = current(state)
    experiment = kills.find(present.config, name)
    why = _obstacle(present, experiment)
    if why is not None:
        return Refused(why)
    made = msgspec.structs.replace(kills.made(present.config, experiment, by, "drill", now), drill=True)
    try:
        killed = _with(state, (CAUSE, by, now), {**present.killed, name: made}, f"drill of {name!r}: killed")
        back = end(killed[0], name, now, by)
    except CountersFull as error:
        return Refused(str(error))
    if back is None or not _unchanged(present, killed[1]) or not _unchanged(present, back[1]):
        return Refused("a kill would change what units get, or begin a phase, so it would be no drill")
    return killed


def end(state: State, name: str, now: float, by: str) -> Step | None:
    """End the kill of a drill; None when there is none, for instance because somebody killed it in earnest."""
    present = current(state)
    if name not in present.killed or not present.killed[name].drill:
        return None
    killed = {other: made for other, made in present.killed.items() if other != name}
    return _with(state, (CAUSE, by, now), killed, f"drill of {name!r}: resumed")


def roll_back(state: State, name: str, now: float, by: str) -> Step | None:
    """Roll a release back to where it is: nobody on the new arm. None when it is no release that has begun."""
    present = current(state)
    progress = present.rollouts.get(name)
    if progress is None or progress.share > 0 or name in present.killed:
        return None
    move = Move(progress=progress, said=f"drill of {name!r}: rolled back")
    moved = steer(state, {name: move}, (CAUSE, by, now), back=True)
    return None if isinstance(moved, Refusal) or not _unchanged(present, moved[1]) else moved


def left(revision: Revision) -> tuple[str, ...]:
    """Return the experiments whose drill was cut short."""
    return tuple(name for name, made in revision.killed.items() if made.drill)


def last(decisions: Iterable[Decided]) -> dict[str, Decided]:
    """Return the last drill of each experiment.

    Args:
        decisions: The oldest first.
    """
    return {decided.experiment: decided for decided in decisions if decided.action == CAUSE}


def told(revision: Revision, name: str, took: dict[str, float], asked: tuple[str, str | None, float]) -> Decided:
    """Return the line of the decision log about a drill.

    Args:
        revision: The present revision.
        name: The experiment.
        took: ``kill_s``, ``resume_s`` and ``rollback_s``: publish to the last acknowledgement; one is missing when not
            all workers had it within ``LIMIT_S``, or there was nothing to roll back.
        asked: Who, why, and when, in unix seconds.
    """
    by, why, now = asked
    words = {"kill_s": "a kill", "resume_s": "its end", "rollback_s": "a rollback"}
    said = [f"{words[key]} after {took[key]:.2f} s" for key in words if key in took]
    reason = f"all workers served {', '.join(said)}" if said else "not all workers served it"
    if name in revision.killed:
        reason += "; somebody killed it in earnest meanwhile"
    elif "kill_s" not in took or "resume_s" not in took:
        reason += f"; something took longer than {LIMIT_S:g} s"
    run, progress = revision.runs[name], revision.rollouts.get(name)
    return Decided(
        id="",
        time=now,
        experiment=name,
        run=run.number,
        phase=run.phase,
        revision=revision.number,
        step=progress.step if progress is not None else "",
        action="drill",
        by=by,
        reason=f"{reason} ({why})" if why else reason,
        numbers=took,
    )


def _obstacle(present: Revision, experiment: Experiment) -> str | None:
    """Return why a drill cannot be held."""
    name = experiment.name
    if name in present.killed:
        return "a drill is under way" if present.killed[name].drill else "it is killed; resume it first"
    if experiment.allocate.use in FANS:
        return f"{experiment.allocate.use} sends requests to all arms, so a kill would be noticed"
    weights, control = present.weights[name], kills.control_arm(experiment)
    whole = sum(weights.values())
    for arm, weight in weights.items():
        if arm != control and weight > 0:
            return (
                f"arm {arm} has {100 * weight / whole:.4g}% of the units, whom a kill would move; a drill is for an "
                "arm without traffic, before a release begins or after it was rolled back"
            )
    return None


def _with(state: State, why: tuple[str, str, float], killed: dict[str, Kill], said: str) -> Step:
    present = current(state)
    coming = unnumbered(state, why, present.digest, (present.config, present.weights, killed))
    following, revision = follow(state, msgspec.structs.replace(coming, changes=(said,)))
    return replace(following, held=state.held), revision


def _unchanged(before: Revision, after: Revision) -> bool:
    """Say whether units get what they got, and are counted where they were."""
    return (before.weights, before.runs, before.coming, before.rollouts, before.invalid) == (
        after.weights,
        after.runs,
        after.coming,
        after.rollouts,
        after.invalid,
    )
