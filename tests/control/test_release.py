"""What becomes of a release when everything else changes: reloads, restores, kills, new versions, restarts."""

from router.control import switch
from router.control.kill import tag
from router.control.state import Refusal, State, replay, restore, start
from router.control.steer import Move, steer
from router.control.trusted import served
from router.events.model import Revised
from router.events.rollout import Progress
from tests.control.build import NOW, applied, loaded, plain, present, refused, started, yaml

ROLLOUT = "allocate: {use: rollout, stages: [{share: 5%, hold: 1h}, {share: 50%, hold: 1h}]}"


def _text(version: str = "1", more: str = "", top: str = "") -> str:
    return yaml(experiment=f"{ROLLOUT}\n{more}", target=f"version: '{version}'", top=top)


def _progress(share: float, run: int = 1, step: str = "stage", **more: object) -> Progress:
    return Progress(kind="rollout", run=run, step=step, since=NOW, began=NOW, share=share, **more)  # type: ignore[arg-type]


def _moved(state: State, share: float, cause: str = "stage", **more: object) -> State:
    run = present(state).runs["ramp"].number
    move = Move(progress=_progress(share, run, **more), said="moved")  # type: ignore[arg-type]
    outcome = steer(state, {"ramp": move}, (cause, "router", NOW + 1))
    assert not isinstance(outcome, Refusal)
    return outcome[0]


def test_control_has_everybody_before_the_first_step() -> None:
    """Weights of the file say nothing in a release."""
    assert present(started(_text())).weights["ramp"] == {"old": 1.0, "new": 0.0}


def test_an_edit_of_something_else_keeps_the_release() -> None:
    """Step, share and run stay over a reload; so they do over a restore, which never changes a stage."""
    state = _moved(started(_text()), 0.05)
    state, revision = applied(state, _text(top="layers: [{name: unused}]"))
    assert revision.weights["ramp"] == {"old": 0.95, "new": 0.05}
    assert revision.rollouts["ramp"].share == 0.05
    outcome = restore(state, 1, NOW + 5, "ann")
    assert not isinstance(outcome, Refusal)
    assert outcome[1].weights["ramp"] == {"old": 0.95, "new": 0.05}


def test_a_new_version_begins_a_new_run_with_everybody_on_control() -> None:
    """In mid-rollout the version of the new arm's target changes: its evidence is of another program."""
    state = _moved(started(_text()), 0.05)
    state, revision = applied(state, _text("2"))
    assert revision.runs["ramp"].number == 2
    assert revision.rollouts == {}
    assert revision.weights["ramp"] == {"old": 1.0, "new": 0.0}
    late = steer(state, {"ramp": Move(progress=_progress(0.5, run=1), said="late")}, ("stage", "router", NOW + 9))
    assert not isinstance(late, Refusal)
    assert late[1] is revision


def test_another_salt_is_refused_as_in_every_experiment() -> None:
    """Only a version may change in place, and only in a release."""
    assert "salt" in refused(started(_text()), _text(more="salt: other"))[0]


def test_a_killed_release_stays_killed_and_is_where_it_was_afterwards() -> None:
    """A kill takes everybody; its end gives the release back its share, and what it decided meanwhile."""
    state = _moved(started(_text()), 0.05)
    state, killed = switch.kill(state, "ramp", NOW + 2, "ann", "smells")
    assert killed.weights["ramp"] == {"old": 1.0, "new": 0.0}
    state = _moved(state, 0.05, "pause", status="paused")
    assert present(state).weights["ramp"] == {"old": 1.0, "new": 0.0}
    state, _ = applied(state, _text("2"))
    assert "ramp" in present(state).killed
    outcome = switch.resume(_moved(state, 0.5), "ramp", NOW + 4, "ann", None)
    assert not isinstance(outcome, Refusal)
    assert outcome[1].weights["ramp"] == {"old": 0.5, "new": 0.5}


def test_a_restart_of_the_router_goes_on_where_the_release_was() -> None:
    """The journal has step, share and whom it waits for."""
    state = _moved(started(_text()), 0.05, status="waiting")
    again, revision = start(replay(state.history), loaded(_text()), NOW + 99)
    assert revision.weights["ramp"] == {"old": 0.95, "new": 0.05}
    assert revision.rollouts["ramp"].status == "waiting"
    assert again.history == state.history


def test_a_release_that_moves_leaves_a_restored_configuration_in_force() -> None:
    """What was restored holds until the file's bytes change, over restarts too."""
    state = started(_text())
    state, _ = applied(state, _text(top="layers: [{name: unused}]"))
    outcome = restore(state, 1, NOW + 5, "ann")
    assert not isinstance(outcome, Refusal)
    moved = _moved(outcome[0], 0.05)
    assert moved.held
    assert replay(moved.history).held


def test_the_tag_of_an_experiment_changes_with_its_step_and_status() -> None:
    """Who approves has to have seen what they approve."""
    state = _moved(started(_text()), 0.05)
    waiting = _moved(state, 0.05, "wait", status="waiting")
    assert tag(present(state), "ramp") != tag(present(waiting), "ramp")


def test_a_target_that_is_taken_out_of_the_file_takes_the_release_with_it() -> None:
    """Without the experiment there is no release; when it returns it begins anew."""
    state = _moved(started(_text()), 0.05)
    state, revision = applied(state, plain())
    assert revision.rollouts == {}
    _, revision = applied(state, _text())
    assert (revision.runs["ramp"].number, revision.weights["ramp"]["new"]) == (2, 0.0)


def _history(*steps: tuple[str, str, float]) -> tuple[Revised, ...]:
    """Return entries in which a version was in a step at some time."""
    base = started(_text()).history[0]
    entries = []
    for version, step, time in steps:
        config = loaded(_text(version)).config
        progress = _progress(0.0, step=step, status="over")
        entries.append(_replaced(base, time=time, config=config, rollouts={"ramp": progress}))
    return tuple(entries)


def _replaced(entry: Revised, **changes: object) -> Revised:
    return Revised(**{**{name: getattr(entry, name) for name in entry.__struct_fields__}, **changes})


def test_a_version_that_had_everybody_lately_is_trusted() -> None:
    """Fast re-promotion: within ``repromote``, unless it was rolled back since, or has no version."""
    text = _text("2").replace("use: rollout", "use: rollout, repromote: 1d")
    config = loaded(text).config
    ramp = config.experiments[0]
    assert served(_history(("2", "done", NOW)), ramp, config, NOW + 3600)
    assert not served(_history(("2", "done", NOW)), ramp, config, NOW + 2 * 86_400)
    assert not served(_history(("1", "done", NOW)), ramp, config, NOW + 3600)
    assert not served(_history(("2", "done", NOW), ("2", "rolled_back", NOW + 60)), ramp, config, NOW + 3600)
    assert not served(_history(("2", "done", NOW)), loaded(_text("2")).config.experiments[0], config, NOW + 3600)
