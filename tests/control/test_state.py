"""Revisions, runs and phases, by example."""

import pytest

from router import counters
from router.config.mistake import ConfigError
from router.control.state import HISTORY, Refusal, State, apply, certificate, replay, restore, resume, start
from router.events.model import Run
from tests.control.build import NOW, applied, loaded, plain, present, refused, started, yaml

_ON_ANOTHER_ROUTE = (
    yaml()
    .replace("experiments:", "  - {name: q, target: b, match: {path: /q}, unit: [header:u]}\nexperiments:")
    .replace("route: r", "route: q")
)


def test_the_first_start_makes_revision_one() -> None:
    """A router that never ran begins at revision 1, with the weights of the file and run 1, phase 1."""
    revision = present(started())
    assert (revision.number, revision.cause, revision.author) == (1, "start", "file")
    assert revision.weights == {"ramp": {"old": 95.0, "new": 5.0}}
    assert revision.runs == {"ramp": Run(number=1, phase=1, epoch=0)}


def test_a_revision_has_a_counter_row_for_everything_it_needs() -> None:
    """Workers find every row that the configuration needs."""
    revision = present(started())
    assert revision.slots.keys() == {key for key, _ in counters.row_keys(revision.config, revision.runs)}


def test_the_same_bytes_make_no_revision() -> None:
    """Saving a file without changing it changes nothing at all."""
    state = started()
    assert apply(state, loaded(yaml()), NOW + 1, "file") == (state, state.revision)


def test_other_bytes_make_the_next_revision() -> None:
    """A changed file is the next number, and says what changed."""
    state, revision = applied(started(), yaml("50, 50"))
    assert (revision.number, revision.cause) == (2, "reload")
    assert revision.weights == {"ramp": {"old": 50.0, "new": 50.0}}
    assert [entry.number for entry in state.history] == [1, 2]
    assert any("ramp" in change for change in state.history[-1].changes)


def test_other_shares_begin_a_new_phase() -> None:
    """A phase has fixed shares."""
    _, revision = applied(started(), yaml("50, 50"))
    assert revision.runs["ramp"] == Run(number=1, phase=2, epoch=0)


def test_the_same_shares_written_otherwise_stay_in_the_phase() -> None:
    """95 and 5 are 19 and 1: no unit moves, so no phase ends."""
    _, revision = applied(started(), yaml("19, 1"))
    assert revision.runs["ramp"] == Run(number=1, phase=1, epoch=0)
    assert revision.weights["ramp"] == {"old": 19.0, "new": 1.0}


@pytest.mark.parametrize("route", ["match: {path: /v2/}", "attributes: {c: header:c}, match: {methods: [POST]}"])
def test_other_requests_begin_a_new_phase(route: str) -> None:
    """A phase has fixed eligibility."""
    _, revision = applied(started(), yaml(route=route))
    assert revision.runs["ramp"].phase == 2


def test_rows_stay_where_they_are() -> None:
    """A reload never moves the counters of what stays, and the old phase keeps its own."""
    before = present(started())
    _, after = applied(started(), yaml("50, 50"))
    assert before.slots.items() <= after.slots.items()
    assert counters.arm_key("ramp", 1, 2, "new") in after.slots


@pytest.mark.parametrize(
    ("text", "path", "what"),
    [
        (yaml(experiment="salt: other"), "$.experiments[0].salt", "salt"),
        (yaml().replace("name: new", "name: newer"), "$.experiments[0].arms[1]", "arm 'newer'"),
        (yaml().replace("name: new, target: b", "name: new, target: a"), "$.experiments[0].arms[1]", "arm 'new'"),
        (yaml(target="version: '2'"), "$.targets[1].version", "version of target 'b'"),
        (_ON_ANOTHER_ROUTE, "$.experiments[0].route", "route"),
    ],
)
def test_a_running_experiment_is_not_changed_in_place(text: str, path: str, what: str) -> None:
    """Salt, arms, targets, versions and route are fixed within a run; the refusal names the key and the way out."""
    said = refused(started(), text)
    matching = [line for line in said if f": {path}: " in line and f"its {what} may not change" in line]
    assert len(matching) == 1, said
    assert "another name, or remove it" in matching[0]
    assert matching[0].startswith("router.yaml:")


def test_an_arm_that_moves_to_another_target_is_one_mistake() -> None:
    """The versions of the old and the new target are not reported besides."""
    assert len(refused(started(), yaml().replace("name: new, target: b", "name: new, target: a"))) == 1


def test_naming_the_default_salt_changes_nothing() -> None:
    """The salt is the name by default, so writing it down is no change of the experiment."""
    _, revision = applied(started(), yaml(experiment="salt: ramp"))
    assert revision.runs["ramp"] == Run(number=1, phase=1, epoch=0)


def test_an_experiment_that_returns_begins_a_new_run() -> None:
    """Remove, save, add again: the numbers of the first run are never continued."""
    without, _ = applied(started(), plain())
    _, revision = applied(without, yaml(experiment="salt: other"))
    assert revision.runs["ramp"] == Run(number=2, phase=1, epoch=0)


def test_a_restart_with_another_salt_begins_a_new_run() -> None:
    """What a reload refuses, a restart of the whole router accepts as a new run."""
    state, revision = start(replay(started().history), loaded(yaml(experiment="salt: other")), NOW + 9)
    assert revision.runs["ramp"] == Run(number=2, phase=1, epoch=0)
    assert (revision.number, revision.cause) == (2, "start")
    assert state.revision is revision


def test_a_restart_with_the_same_bytes_goes_on_with_the_same_revision() -> None:
    """Nothing was decided, so nothing gets a new number."""
    state, _ = applied(started(), yaml("50, 50"))
    again, revision = start(replay(state.history), loaded(yaml("50, 50")), NOW + 9)
    assert (revision.number, revision.cause) == (2, "reload")
    assert again.history == state.history


def test_a_restart_places_rows_anew() -> None:
    """The counters of a new process are empty, so rows of the past take no room in them."""
    state, _ = applied(started(), yaml("50, 50"))
    _, revision = start(replay(state.history), loaded(yaml("50, 50")), NOW + 9)
    assert revision.slots.keys() == {key for key, _ in counters.row_keys(revision.config, revision.runs)}


@pytest.mark.parametrize(
    ("top", "key"),
    [
        ("server: {listen: '127.0.0.1:1'}", "$.server.listen"),
        ("server: {workers: 3}", "$.server.workers"),
        ("admin: {listen: '127.0.0.1:1'}", "$.admin.listen"),
        ("events: {dir: elsewhere}", "$.events.dir"),
    ],
)
def test_keys_that_need_a_restart_refuse_the_whole_change(top: str, key: str) -> None:
    """Half a configuration is never applied: the split in the same file does not change either."""
    said = refused(started(), yaml("50, 50", top=top))
    assert len(said) == 1
    assert f"router.yaml:1: {key}: " in said[0]
    assert "restart" in said[0]


def test_a_restore_brings_configuration_and_weights_back() -> None:
    """Revision 3 is revision 1 again, under its own number, cause and author."""
    state, _ = applied(started(), yaml("50, 50"))
    outcome = restore(state, 1, NOW + 2, "ann")
    assert not isinstance(outcome, Refusal)
    following, revision = outcome
    assert (revision.number, revision.cause, revision.author) == (3, "restore", "ann")
    assert revision.weights == present(started()).weights
    assert revision.config == present(started()).config
    assert revision.runs["ramp"].phase == 3
    assert following.held


def test_a_restore_holds_until_the_bytes_of_the_file_change() -> None:
    """The file that was restored away from is not applied again; the next edit is."""
    state, _ = applied(started(), yaml("50, 50"))
    outcome = restore(state, 1, NOW + 2, "ann")
    assert not isinstance(outcome, Refusal)
    held, revision = outcome
    assert apply(held, loaded(yaml("50, 50")), NOW + 3, "file") == (held, revision)
    following, _ = applied(held, yaml("60, 40"))
    assert not following.held


def test_a_restore_holds_over_a_restart() -> None:
    """A restart with the file still as it was goes on with what was restored."""
    state, _ = applied(started(), yaml("50, 50"))
    outcome = restore(state, 1, NOW + 2, "ann")
    assert not isinstance(outcome, Refusal)
    again, revision = start(replay(outcome[0].history), loaded(yaml("50, 50")), NOW + 9)
    assert (revision.number, revision.weights["ramp"]["new"]) == (3, 5.0)
    assert again.held


def test_a_restore_brings_back_an_experiment_under_a_new_run() -> None:
    """A restore is never refused for what was removed since."""
    without, _ = applied(started(), plain())
    outcome = restore(without, 1, NOW + 2, "ann")
    assert not isinstance(outcome, Refusal)
    assert outcome[1].runs["ramp"] == Run(number=2, phase=1, epoch=0)


def test_a_restore_cannot_change_what_needs_a_restart() -> None:
    """An earlier revision with another listener stays history."""
    first = started(yaml(top="server: {listen: '127.0.0.1:1'}"))
    state, _ = start(replay(first.history), loaded(yaml()), NOW + 1)
    outcome = restore(state, 1, NOW + 2, "ann")
    assert isinstance(outcome, Refusal)
    assert [mistake.path for mistake in outcome.mistakes] == ["$.server.listen"]


def test_an_unknown_revision_cannot_be_restored() -> None:
    """The message names the number."""
    with pytest.raises(LookupError, match="there is no revision 7"):
        restore(started(), 7, NOW, "ann")


def test_a_certificate_makes_a_revision_that_differs_in_nothing_else() -> None:
    """Workers are told to read the files again; phases and a restore go on."""
    state, _ = applied(started(), yaml("50, 50"))
    outcome = restore(state, 1, NOW + 2, "ann")
    assert not isinstance(outcome, Refusal)
    held, before = outcome
    after_state, after = certificate(held, NOW + 3)
    assert (after.number, after.cause) == (4, "certificate")
    assert (after.config, after.weights, after.runs) == (before.config, before.weights, before.runs)
    assert after_state.held
    assert replay(after_state.history).held


def test_history_is_bounded() -> None:
    """A router that is edited for years forgets the oldest revisions."""
    state = started()
    for step in range(HISTORY + 5):
        state, _ = applied(state, yaml(f"{step + 1}, 1000"))
    assert len(state.history) == HISTORY
    assert state.history[-1].number == HISTORY + 6
    assert replay(state.history).history == state.history


def test_a_replacement_takes_over_where_the_workers_are() -> None:
    """The control process that returns knows number, history and rows."""
    state, revision = applied(started(), yaml("50, 50"))
    assert resume(replay(state.history), revision) == state


def test_a_replacement_believes_the_workers_when_the_journal_lost_the_last_entry() -> None:
    """A revision that is served is never taken back because it could not be written down."""
    state, revision = applied(started(), yaml("50, 50"))
    taken = resume(replay(state.history[:1]), revision)
    assert taken.revision == revision
    assert [entry.number for entry in taken.history] == [1, 2]


def test_a_replacement_publishes_what_was_written_down_only() -> None:
    """A decision that is in the journal but never reached the workers is carried out, beside their rows."""
    before = present(started())
    state, _ = applied(started(), yaml("50, 50"))
    taken = resume(replay(state.history), before)
    assert present(taken).number == 2
    assert before.slots.items() <= present(taken).slots.items()


def test_more_rows_than_a_worker_has_room_for_are_refused() -> None:
    """The reload says what to do, and the present revision serves on."""
    state = started(plain())
    routes = "".join(f"  - {{name: r{n}, target: a, match: {{path: /{n}}}}}\n" for n in range(16_000))
    text = plain().replace("routes:\n", "routes:\n" + routes)
    assert "restart the router" in refused(state, text)[0]
    with pytest.raises(ConfigError, match="restart the router"):
        start(State(), loaded(text), NOW)
