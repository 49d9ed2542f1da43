"""Marks of invalid data: what they are kept through, and what ends them."""

import msgspec
import pytest

from router.control import state as decide
from router.control.mark import mark
from router.control.state import Refusal, State, replay
from router.control.switch import kill, resume
from router.events.journal import compact, decode_entries
from router.events.model import Invalid
from tests.control.build import NOW, applied, loaded, plain, present, started, yaml

FOUND = Invalid(run=1, phase=1, time=NOW, check="sample_ratio", value=1e-9, reason="the arms do not have their units")


def _marked(state: State | None = None) -> State:
    return mark(state or started(), {"ramp": FOUND}, NOW + 1)[0]


def test_a_mark_is_a_revision_that_changes_nothing_else() -> None:
    """Weights, runs and configuration stay; the history says what was found, and who found it."""
    before = present(started())
    state = _marked()
    after = present(state)
    assert after.number == before.number + 1
    assert (after.cause, after.author) == ("invalid", "router")
    assert (after.weights, after.runs, after.config) == (before.weights, before.runs, before.config)
    assert after.invalid == {"ramp": FOUND}
    assert state.history[-1].changes == (
        "experiment 'ramp' is invalid in run 1, phase 1, until fixed: the arms do not have their units",
    )


def test_what_is_marked_is_not_marked_again() -> None:
    """Later findings of the same phase make no further revision; the first reason stays."""
    state = _marked()
    again, revision = mark(state, {"ramp": msgspec.structs.replace(FOUND, value=0.0)}, NOW + 2)
    assert again is state
    assert revision is present(state)


@pytest.mark.parametrize("found", [{"other": FOUND}, {"ramp": msgspec.structs.replace(FOUND, phase=2)}, {}])
def test_findings_of_another_phase_mark_nothing(found: dict[str, Invalid]) -> None:
    """A fold may end after the phase that it looked at, or after the experiment."""
    state = started()
    assert mark(state, found, NOW)[0] is state


def test_a_mark_survives_a_restart() -> None:
    """It is in the journal's entry, and stays while the file is the same."""
    entries, problems = decode_entries(compact([msgspec.json.encode(entry) for entry in _marked().history]))
    state, revision = decide.start(replay(entries), loaded(yaml()), NOW + 9)
    assert not problems
    assert revision.invalid == {"ramp": FOUND}
    assert mark(state, {"ramp": FOUND}, NOW + 9)[0] is state


def test_a_mark_survives_the_control_process() -> None:
    """A successor takes it over from what the workers were given, also when the journal lacks it."""
    published = present(_marked())
    assert present(decide.resume(started(), published)).invalid == {"ramp": FOUND}
    assert decide.resume(started(), published).history[-1].invalid == {"ramp": FOUND}


def test_edits_that_change_no_shares_keep_a_mark() -> None:
    """As do certificates and kills of other experiments: the phase and its data are the same."""
    state = applied(_marked(), yaml(experiment="owner: ann"))[0]
    assert present(state).invalid == {"ramp": FOUND}
    assert decide.certificate(state, NOW)[1].invalid == {"ramp": FOUND}


def test_a_new_phase_ends_a_mark() -> None:
    """Other shares begin a phase, whose data are tested anew; so do a kill and its end."""
    assert applied(_marked(), yaml("90, 10"))[1].invalid == {}
    killed, revision = kill(_marked(), "ramp", NOW + 2, "ann", None)
    assert revision.invalid == {}
    outcome = resume(killed, "ramp", NOW + 3, "ann", None)
    assert not isinstance(outcome, Refusal)
    assert outcome[1].invalid == {}


def test_a_new_run_ends_a_mark() -> None:
    """The experiment was removed and added again."""
    gone = applied(_marked(), plain())[0]
    assert present(gone).invalid == {"ramp": FOUND}
    assert applied(gone, yaml())[1].invalid == {}


def test_a_restore_does_not_end_a_mark_and_goes_on_holding() -> None:
    """The revision before it was found out is brought back, in the same phase; a mark does not end a restore."""
    state = started()
    again = decide.restore(_marked(state), 1, NOW + 2, "ann")
    assert not isinstance(again, Refusal)
    assert again[1].invalid == {"ramp": FOUND}
    held = decide.restore(state, 1, NOW + 2, "ann")
    assert not isinstance(held, Refusal)
    marked = _marked(held[0])
    assert marked.held
    assert replay(marked.history).held
