"""What a change changed, where, and by whom."""

import os
import pwd
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from router.config.load import load
from router.control.edits import MAX_EDITS, author, edits
from router.control.state import FILE, State, apply, restore, start
from router.events.model import Edit, Revised
from tests.config.layered import folder
from tests.control.build import NOW, applied, loaded, plain, present, started, yaml

ME = pwd.getpwuid(os.getuid()).pw_name


def _last(state: State) -> Revised:
    return state.history[-1]


def test_each_changed_value_has_its_place() -> None:
    """Path by names, old and new value, file and line; another order is no change."""
    state, _ = applied(started(), yaml("50, 50", top="server: {drain: 7s}"))
    assert _last(state).edits == (
        Edit(path="$.server.drain", before="30.0", after="7.0", file="router.yaml", line=1),
        Edit(path="$.experiments[ramp].arms[old].weight", before="95.0", after="50.0", file="router.yaml", line=10),
        Edit(path="$.experiments[ramp].arms[new].weight", before="5.0", after="50.0", file="router.yaml", line=10),
    )
    assert _last(state).edited == 3


def test_what_comes_or_goes_whole_is_one_edit() -> None:
    """An experiment that is removed, and one that is added."""
    state, _ = applied(started(), plain())
    (gone,) = _last(state).edits
    assert (gone.path, gone.after, gone.file, gone.line) == ("$.experiments[ramp]", None, "router.yaml", 2)
    back, _ = applied(state, yaml())
    (come,) = _last(back).edits
    assert (come.path, come.before, come.line) == ("$.experiments[ramp]", None, 8)


def test_a_restore_says_what_it_changes_and_who_asked() -> None:
    """In the place of a file stands the revision."""
    state, _ = applied(started(), yaml("50, 50"))
    outcome = restore(state, 1, NOW, "ann")
    assert isinstance(outcome, tuple)
    assert _last(outcome[0]).edits[0] == Edit(
        path="$.experiments[ramp].arms[old].weight", before="50.0", after="95.0", file="revision 1", by="ann"
    )


def test_a_revision_older_than_the_history_can_be_restored() -> None:
    """When somebody brings its entry."""
    state, revision = applied(started(), yaml("50, 50"))
    older = Revised(**{**{key: getattr(_last(started()), key) for key in Revised.__struct_fields__}, "number": 1})
    outcome = restore(State(revision, state.history[1:]), 1, NOW, "ann", older)
    assert isinstance(outcome, tuple)
    assert present(outcome[0]).weights["ramp"] == {"old": 95.0, "new": 5.0}


def test_credentials_are_not_in_it() -> None:
    """Values of header fields whose name says so."""
    state, _ = applied(started(), yaml(route="match: {headers: {x-token: abc, x-tier: gold}}"))
    text = " ".join(edit.after or "" for edit in _last(state).edits)
    assert "gold" in text
    assert "abc" not in text


def test_there_are_not_more_than_people_read() -> None:
    """And how many there were is said."""
    targets = "".join(f"  - {{name: t{n}, endpoints: ['http://h']}}\n" for n in range(MAX_EDITS + 5))
    found, count = edits(present(started(plain())).config, loaded(plain().replace("routes:", f"{targets}routes:")))
    assert (len(found), count) == (MAX_EDITS, MAX_EDITS + 5)


def test_the_author_is_who_owns_the_files_that_changed(tmp_path: Path) -> None:
    """Each file by its own owner; the others' have no part in it."""
    folder(tmp_path, {"overrides.yaml": ""}, yaml())
    state, first = start(State(), load(tmp_path), NOW)
    assert first.author == f"{ME}, owner of {tmp_path}/global.yaml"
    folder(tmp_path, {"overrides.yaml": "server: {drain: 9s}"}, yaml())
    changed = apply(state, load(tmp_path), NOW, FILE)
    assert isinstance(changed, tuple)
    assert changed[1].author == f"{ME}, owner of {tmp_path}/overrides.yaml"
    assert _last(changed[0]).edits[0].by == ME
    said = author(tuple(Edit(path="$", by=f"u{n}", file=f"f{n}") for n in range(5)), load(tmp_path))
    assert said.count("owner of") == 3
    assert said.endswith("and 2 more")


def test_a_region_that_is_served_besides_has_edits_of_its_own(tmp_path: Path) -> None:
    """With its name before the path, and not those that all have."""
    base = yaml(top="layered_by: {region: group}", route="attributes: {group: header:x-group}")
    arms = "experiments: [{name: ramp, arms: [{name: new, weight: %s}]}]"
    folder(tmp_path, {"regions/eu.yaml": arms % 50}, base)
    state, _ = start(State(), load(tmp_path), NOW)
    folder(tmp_path, {"regions/eu.yaml": arms % 60}, base)
    changed = apply(state, load(tmp_path), NOW, FILE)
    assert isinstance(changed, tuple)
    (edit,) = _last(changed[0]).edits
    assert (edit.path, edit.before, edit.after) == ("eu: $.experiments[ramp].arms[new].weight", "50.0", "60.0")
    assert (edit.file, edit.line) == (f"{tmp_path}/regions/eu.yaml", 1)


@given(st.lists(st.sampled_from(["95, 5", "50, 50", "1, 1"]), min_size=2, max_size=2))
def test_there_are_edits_exactly_if_something_differs(arms: list[str]) -> None:
    """No change without an edit, and none with an edit of nothing."""
    one, other = loaded(yaml(arms[0])), loaded(yaml(arms[1]))
    assert (edits(one.config, other) == ((), 0)) == (one.config == other.config)
