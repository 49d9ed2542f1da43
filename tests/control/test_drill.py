"""Drills: nobody notices, a real kill wins, and what was cut short is ended."""

import asyncio
from pathlib import Path

import pytest

from router.control import drill, switch
from router.control.allocated import shared
from router.control.kill import tag
from router.control.seat import Asked, Stale
from router.control.state import State, replay
from router.control.steer import Move, steer
from router.events.model import Revision
from router.events.rollout import Decided, Progress
from router.rollout.turn import Refused
from router.routing.table import compile_table
from tests.admin.releasing import look, release_desk
from tests.control.build import NOW, applied, present, started, yaml

IDLE = yaml("100, 0")
ROLLING = yaml(experiment="allocate: {use: rollout, stages: [{share: 5%, hold: 1h}]}")


def begun(state: State) -> tuple[State, Revision]:
    """Begin a drill that is not refused."""
    made = drill.begin(state, "ramp", NOW + 1, "ann")
    assert not isinstance(made, Refused), made.reason
    return made


def ended(state: State) -> tuple[State, Revision]:
    """End a drill that is under way."""
    made = drill.end(state, "ramp", NOW + 2, "ann")
    assert made is not None
    return made


def test_a_drill_kills_and_changes_nothing() -> None:
    """While it lasts the experiment is killed in every table; weights, runs and phases are what they were."""
    before = started(IDLE)
    state, killed = begun(before)
    assert compile_table(killed).routes["r"].structure.trials["ramp"].killed  # type: ignore[union-attr]
    state, back = ended(state)
    for revision in (killed, back):
        assert (revision.weights, revision.runs) == (present(before).weights, present(before).runs)
        assert revision.cause == "drill"
    assert (back.killed, tag(back, "ramp")) == ({}, tag(present(before), "ramp"))


@pytest.mark.parametrize("share", [1e-8, 0.001, 0.5])
def test_an_arm_with_traffic_is_no_place_for_a_drill(share: float) -> None:
    """However small its share, a drill is refused and names the arm."""
    state = started(yaml(f"{1 - share}, {share}"))
    made = drill.begin(state, "ramp", NOW + 1, "ann")
    assert isinstance(made, Refused)
    assert "arm new has" in made.reason


@pytest.mark.parametrize("share", [0.0, 0.05])
def test_a_release_is_drilled_before_it_has_traffic(share: float) -> None:
    """Where a release is stays what it is; with traffic it is refused."""
    progress = Progress(kind="rollout", run=1, step="stage", since=NOW, began=NOW, share=share)
    moved = steer(started(ROLLING), {"ramp": Move(progress=progress, said="")}, ("stage", "router", NOW))
    assert isinstance(moved, tuple)
    made = drill.begin(moved[0], "ramp", NOW + 1, "ann")
    assert isinstance(made, Refused) == (share > 0)
    if share == 0:
        state, back = ended(begun(moved[0])[0])
        rolled = drill.roll_back(state, "ramp", NOW + 3, "ann")
        assert rolled is not None
        assert (rolled[1].rollouts, rolled[1].weights) == (moved[1].rollouts, moved[1].weights)
        assert shared(back.config.experiments[0], 0.0) == rolled[1].weights["ramp"]


def test_a_real_kill_in_the_middle_stays() -> None:
    """Whoever kills in earnest while a drill is under way is not undone by its end."""
    state, _ = begun(started(IDLE))
    state, killed = switch.kill(state, "ramp", NOW + 2, "bob", "it burns")
    assert (killed.killed["ramp"].by, killed.killed["ramp"].drill) == ("bob", False)
    assert drill.end(state, "ramp", NOW + 3, "ann") is None


def test_one_drill_at_a_time_and_none_of_what_is_killed() -> None:
    """The second is refused, and so is one of a killed experiment."""
    state, _ = begun(started(IDLE))
    assert drill.begin(state, "ramp", NOW, "bob") == Refused("a drill is under way")
    killed, _ = switch.kill(started(IDLE), "ramp", NOW, "bob", None)
    assert drill.begin(killed, "ramp", NOW, "bob") == Refused("it is killed; resume it first")


def test_a_drill_that_was_cut_short_is_known_after_a_restart_and_a_reload() -> None:
    """What is left of it is in the journal, and can be ended also when the experiment is gone."""
    state, _ = begun(started(IDLE))
    state = replay(state.history)
    assert drill.left(present(state)) == ("ramp",)
    state, _ = begun(started(IDLE))
    state, revision = applied(state, IDLE + "# other bytes\n")
    assert drill.left(revision) == ("ramp",)
    assert drill.left(ended(state)[1]) == ()


def test_a_drill_on_a_running_control_process_is_timed_and_written_down(tmp_path: Path) -> None:
    """Every step is published, waited for and ended; the decision log has the times, and nothing else changed."""
    desk = release_desk(tmp_path)

    async def story() -> tuple[Decided, Revision, Revision]:
        await desk.begin()
        desk.control.seat.publisher.reached = lambda number: number > 0  # type: ignore[method-assign] # plays the workers
        await look(desk.control)
        before = desk.control.revision
        held = await desk.control.drills.hold("ramp", Asked("ann", "a rehearsal"))
        assert isinstance(held, Decided)
        assert await desk.control.drills.hold("ramp", Asked("bob", None, "0" * 16)) == Stale()
        await desk.control.decisions.close()
        return held, before, desk.control.revision

    held, before, after = asyncio.run(story())
    assert (held.action, held.by, set(held.numbers)) == ("drill", "ann", {"kill_s", "resume_s", "rollback_s"})
    assert "a rehearsal" in held.reason
    assert after.number == before.number + 3
    assert (after.weights, after.runs, after.killed, after.rollouts) == (
        before.weights,
        before.runs,
        before.killed,
        before.rollouts,
    )


def test_a_drill_that_a_predecessor_left_is_ended_at_the_start(tmp_path: Path) -> None:
    """Nobody stays killed because the control process ended in the middle of a drill."""
    desk = release_desk(tmp_path)

    async def story() -> Revision:
        await desk.begin()
        await look(desk.control)
        await desk.control.make(lambda state: drill.begin(state, "ramp", NOW, "ann"), urgent=True)
        assert drill.left(desk.control.revision) == ("ramp",)
        await desk.control.drills.clear(drill.left(desk.control.revision))
        await desk.control.decisions.close()
        return desk.control.revision

    assert asyncio.run(story()).killed == {}
