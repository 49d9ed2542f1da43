"""Experiments begin and end by themselves, each with a revision that says so."""

import asyncio
import time
from pathlib import Path

from router.config.scalars import format_time
from router.control import schedule
from router.control.state import replay, restore, start
from router.routing.table import compile_table
from tests.control.build import NOW, loaded, yaml
from tests.control.desk import Desk, at_work, until
from tests.routing.build import request

FROM, UNTIL = NOW + 100, NOW + 200
ACTIVE = yaml(experiment=f"active: {{from: '{format_time(FROM)}', until: '{format_time(UNTIL)}'}}")


def test_an_experiment_begins_and_ends() -> None:
    """A moment is pending until a revision was made at it or after; nothing else of the state changes."""
    state, revision = start(replay(()), loaded(ACTIVE), NOW)
    assert schedule.pending(revision) == FROM
    for now, pending, said in [(FROM, UNTIL, "begins"), (UNTIL + 5, None, "ends")]:
        before = revision
        state, revision = schedule.turn(state, now)
        assert (revision.cause, revision.author, revision.time) == ("schedule", "clock", now)
        assert schedule.pending(revision) == pending
        assert state.history[-1].changes == (f"experiment ramp {said}",)
        assert (revision.config, revision.weights, revision.runs) == (before.config, before.weights, before.runs)


def test_units_take_part_between_the_two_moments() -> None:
    """What workers compile depends on the revision's time alone."""
    state, revision = start(replay(()), loaded(ACTIVE), NOW)
    found = []
    for now in (None, FROM, UNTIL):
        if now is not None:
            state, revision = schedule.turn(state, now)
        plan = compile_table(revision).routes["r"]
        found.append(bool(plan.decide(request(headers={"x-user-id": "u"})).enrolments))
    assert found == [False, True, False]


def test_a_restored_configuration_is_held_over_such_a_moment() -> None:
    """Time alone does not bring the file's configuration back."""
    state, _ = start(replay(()), loaded(ACTIVE), NOW)
    restored = restore(state, 1, NOW + 1, "me")
    assert isinstance(restored, tuple)
    state, _ = schedule.turn(restored[0], FROM)
    assert state.held
    assert replay(state.history).held


def test_the_control_process_looks_at_the_clock(tmp_path: Path) -> None:
    """Once the moment comes, and at once when it came while nothing ran, there is a revision."""
    soon = format_time(time.time() + 0.3)
    desk = Desk(tmp_path, yaml(experiment=f"active: {{from: '{soon}'}}"))

    async def use() -> None:
        await until(lambda: desk.control.revision.cause == "schedule")
        await until(lambda: desk.notes.entries[-1].cause == "schedule")

    at_work(desk, use)
    (tmp_path / "later").mkdir()
    later = Desk(tmp_path / "later", desk.config.read_text())
    later.control.state = replay(desk.notes.entries[:1])
    asyncio.run(later.begin())
    assert (later.control.revision.number, later.control.revision.cause) == (2, "schedule")
