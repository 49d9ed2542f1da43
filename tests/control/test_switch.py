"""Kill and resume: who is treated afterwards, and what ends a kill."""

import msgspec
import pytest

from router import counters
from router.control import state as decide
from router.control import switch
from router.control.kill import tag
from router.control.state import Refusal, State, replay, restore, start
from router.events.model import Revision
from router.routing.request import Request
from router.routing.table import compile_table
from tests.control.build import NOW, applied, loaded, plain, present, started, yaml

ON_CONTROL = {"ramp": {"old": 1.0, "new": 0.0}}


def _killed(state: State, reason: str | None = "p99 doubled") -> State:
    return switch.kill(state, "ramp", NOW + 1, "ann", reason)[0]


def _resumed(state: State) -> tuple[State, Revision]:
    outcome = switch.resume(state, "ramp", NOW + 2, "bob", None)
    assert not isinstance(outcome, Refusal)
    return outcome


def _request(unit: bytes) -> Request:
    return Request("0" * 32, b"GET", b"/", b"", b"h", "", {b"x-user-id": unit})


def test_a_kill_puts_every_unit_on_the_control_arm() -> None:
    """The treatment gets nobody, whoever asks, and the entry says by whom and why."""
    state = _killed(started())
    revision = present(state)
    assert (revision.weights, revision.cause, revision.author) == (ON_CONTROL, "kill", "ann")
    assert state.history[-1].changes == ("experiment 'ramp' killed: p99 doubled",)
    plan = compile_table(revision).routes["r"]
    assert {plan.decide(_request(b"%d" % unit)).target for unit in range(500)} == {"a"}


def test_a_kill_beats_the_overrides_of_the_file() -> None:
    """What was killed gets no request at all, also not of the unit that the file forces into it."""
    state = started(yaml(top="overrides: [{unit: qa, experiment: ramp, arm: new}]"))
    assert compile_table(present(state)).routes["r"].decide(_request(b"qa")).target == "b"
    assert compile_table(present(_killed(state))).routes["r"].decide(_request(b"qa")).target == "a"


def test_a_kill_and_its_end_each_begin_a_phase() -> None:
    """A phase has fixed shares; the run goes on, because arms, versions and salt are the same."""
    state = _killed(started())
    assert (present(state).runs["ramp"].number, present(state).runs["ramp"].phase) == (1, 2)
    state, revision = _resumed(state)
    assert (revision.runs["ramp"].number, revision.runs["ramp"].phase) == (1, 3)
    assert revision.weights == {"ramp": {"old": 95.0, "new": 5.0}}
    assert revision.killed == {}


def test_what_is_so_already_makes_no_revision() -> None:
    """Killing twice keeps who did it first; resuming what runs changes nothing."""
    state = _killed(started())
    again, revision = switch.kill(state, "ramp", NOW + 9, "bob", "me too")
    assert (again, revision) == (state, present(state))
    assert revision.killed["ramp"].by == "ann"
    state, revision = _resumed(state)
    assert _resumed(state) == (state, revision)


@pytest.mark.parametrize("what", ["kill", "resume"])
def test_an_unknown_experiment_is_said(what: str) -> None:
    """The name is in the message."""
    with pytest.raises(LookupError, match="'nobody'"):
        getattr(switch, what)(started(), "nobody", NOW, "ann", None)


@pytest.mark.parametrize("text", [yaml("50, 50"), yaml("0, 100"), yaml(experiment="control: new")])
def test_no_edit_of_the_file_ends_a_kill(text: str) -> None:
    """Neither other weights nor another control arm move a unit; after ``resume`` the file of then counts."""
    state, revision = applied(_killed(started()), text)
    assert revision.weights == ON_CONTROL
    assert revision.runs["ramp"].phase == 2
    edited = loaded(text).config.experiments[0]
    assert _resumed(state)[1].weights["ramp"] == {arm.name: arm.weight for arm in edited.arms}


def test_an_experiment_that_vanished_and_returns_is_still_killed() -> None:
    """Taking a file back and forth is no decision to treat people again."""
    state, without = applied(_killed(started()), plain())
    assert (without.weights, list(without.killed)) == ({}, ["ramp"])
    _, revision = applied(state, yaml("60, 40"))
    assert revision.weights == ON_CONTROL
    assert revision.runs["ramp"].number == 2


@pytest.mark.parametrize("text", [yaml(target="version: '2'"), yaml(experiment="salt: other")], ids=["version", "salt"])
def test_one_that_returns_as_another_experiment_is_free(text: str) -> None:
    """With another version behind it, the name means something that nobody killed; the history says so."""
    state, _ = applied(_killed(started()), plain())
    state, revision = applied(state, text)
    assert (revision.killed, revision.weights) == ({}, {"ramp": {"old": 95.0, "new": 5.0}})
    assert "the kill of 'ramp' ends: it is another experiment now" in state.history[-1].changes


def test_a_restore_never_ends_a_kill() -> None:
    """Neither of a revision from before it, nor of one without the experiment and back."""
    state, _ = applied(started(), plain())
    state, _ = applied(state, yaml("50, 50"))
    state = _killed(state)
    for number in (1, 2, 3):
        outcome = restore(state, number, NOW + 3, "ann")
        assert not isinstance(outcome, Refusal)
        state = outcome[0]
        assert present(state).weights == ({} if number == 2 else ON_CONTROL)


def test_a_restore_of_a_killed_revision_does_not_kill() -> None:
    """Kills are of the present, in both directions."""
    state, _ = _resumed(_killed(started()))
    outcome = restore(state, 2, NOW + 3, "ann")
    assert not isinstance(outcome, Refusal)
    assert outcome[1].weights == {"ramp": {"old": 95.0, "new": 5.0}}


def test_a_kill_survives_a_restart_of_everything() -> None:
    """The journal brings it back, with the same file and with another one."""
    killed = _killed(started())
    state = replay(killed.history)
    assert start(state, loaded(yaml()), NOW)[1].weights == ON_CONTROL
    for text in (yaml("50, 50"), yaml(target="version: '2'")):
        assert start(state, loaded(text), NOW)[1].weights == ON_CONTROL


def test_a_restored_configuration_holds_through_a_kill() -> None:
    """A kill says nothing about the file."""
    state, _ = applied(started(), yaml("50, 50"))
    outcome = restore(state, 1, NOW + 3, "ann")
    assert not isinstance(outcome, Refusal)
    state = _killed(outcome[0])
    assert state.held
    assert replay(state.history).held
    assert start(replay(state.history), loaded(yaml("50, 50")), NOW)[1].number == present(state).number


def test_a_replacement_knows_of_a_kill_that_only_the_workers_have() -> None:
    """It was published, and its process died before the journal had it."""
    state = _killed(started())
    taken = decide.resume(replay(state.history[:-1]), present(state))
    assert taken.revision == present(state)
    assert taken.history[-1].killed == present(state).killed


def test_full_counters_do_not_keep_anybody_from_killing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The phase is then the one of before; resuming needs a new one and is refused."""
    state = started()
    used = max(base + counters.row_size(key) for key, base in present(state).slots.items())
    monkeypatch.setattr(counters, "BLOCK_WORDS", used)
    state = _killed(state)
    assert (present(state).weights, present(state).runs["ramp"].phase) == (ON_CONTROL, 1)
    assert compile_table(present(state)).number == 2
    monkeypatch.setattr(counters, "allocate", _full)
    monkeypatch.setattr(decide, "allocate", _full)
    assert isinstance(switch.resume(state, "ramp", NOW, "ann", None), Refusal)


def _full(*_: object) -> dict[str, int]:
    raise counters.CountersFull("no room")


def test_a_tag_changes_with_the_experiment_alone() -> None:
    """With its configuration, weights of the file included, its kill and its phase; not with another part."""
    state = started()
    tags = [tag(present(state), "ramp")]
    for text in (yaml("50, 50"), yaml("50, 50", top="events: {unenrolled: 50%}")):
        state, revision = applied(state, text)
        tags.append(tag(revision, "ramp"))
    tags.append(tag(present(_killed(state)), "ramp"))
    assert tags[1] == tags[2]
    assert len(set(tags)) == 3


def test_a_revision_of_before_kills_existed_is_read() -> None:
    """Journals of earlier versions have no kills."""
    raw = msgspec.json.decode(msgspec.json.encode(present(started())))
    del raw["killed"]
    assert msgspec.json.decode(msgspec.json.encode(raw), type=Revision).killed == {}
