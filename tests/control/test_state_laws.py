"""Laws of the state, whatever is done in whatever order."""

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from router.control import switch
from router.control.refuse import identity
from router.control.state import Refusal, State, apply, certificate, replay, restore, start
from router.events.model import Revision
from tests.control.build import NOW, loaded, plain, yaml

_TEXTS = [
    yaml(),
    yaml("50, 50"),
    yaml("19, 1"),
    yaml(experiment="salt: other"),
    yaml(target="version: '2'"),
    yaml(top="server: {workers: 3}"),
    plain(),
]
_LOADED = [loaded(text) for text in _TEXTS]

_steps = st.lists(
    st.one_of(
        st.tuples(st.just("apply"), st.integers(0, len(_TEXTS) - 1)),
        st.tuples(st.just("restore"), st.integers(1, 12)),
        st.tuples(st.sampled_from(["certificate", "kill", "resume"]), st.just(0)),
        st.tuples(st.just("restart"), st.integers(0, len(_TEXTS) - 1)),
    ),
    max_size=12,
)


def _step(state: State, step: tuple[str, int], now: float) -> tuple[State, Revision] | Refusal | None:
    kind, number = step
    if kind == "apply":
        return apply(state, _LOADED[number], now, "file")
    if kind == "certificate":
        return certificate(state, now)
    if kind == "restart":
        return start(replay(state.history), _LOADED[number], now)
    try:
        if kind == "kill":
            return switch.kill(state, "ramp", now, "ann", None)
        if kind == "resume":
            return switch.resume(state, "ramp", now, "ann", None)
        return restore(state, number, now, "somebody")
    except LookupError:
        return None


def _walk(steps: list[tuple[str, int]]) -> list[State]:
    states = [start(State(), _LOADED[0], NOW)[0]]
    for index, step in enumerate(steps, start=1):
        outcome = _step(states[-1], step, NOW + index)
        if isinstance(outcome, tuple):
            states.append(outcome[0])
    return states


def _revisions(states: list[State]) -> list[Revision]:
    return [state.revision for state in states if state.revision is not None]


@given(_steps)
def test_numbers_rise_by_one_or_stay(steps: list[tuple[str, int]]) -> None:
    """No revision is skipped and none is numbered twice."""
    revisions = _revisions(_walk(steps))
    for before, after in pairwise(revisions):
        assert after.number - before.number in (0, 1)
        if after.number == before.number:
            assert (after.config, after.weights, after.runs) == (before.config, before.weights, before.runs)


@given(_steps)
def test_a_pair_of_run_and_phase_always_means_the_same_split(steps: list[tuple[str, int]]) -> None:
    """Counts of one phase are never mixed from two splits, two salts or two versions."""
    meaning: dict[tuple[int, int], Any] = {}
    for revision in _revisions(_walk(steps)):
        for experiment in revision.config.experiments:
            run = revision.runs[experiment.name]
            weights = revision.weights[experiment.name]
            share = weights["new"] / sum(weights.values())
            versions = [target.version for target in revision.config.targets]
            said = (experiment.salt or experiment.name, round(share, 12), versions)
            assert meaning.setdefault((run.number, run.phase), said) == said


@given(_steps)
def test_a_journal_rebuilds_the_state(steps: list[tuple[str, int]]) -> None:
    """What is replayed differs from what was in no more than where rows lie."""
    state = _walk(steps)[-1]
    again = replay(state.history)
    assert (again.history, again.held) == (state.history, state.held)
    assert again.revision is not None
    assert state.revision is not None
    assert (again.revision.number, again.revision.runs) == (state.revision.number, state.revision.runs)
    assert (again.revision.weights, again.revision.killed) == (state.revision.weights, state.revision.killed)


@given(_steps)
def test_a_revision_finds_all_its_rows(steps: list[tuple[str, int]]) -> None:
    """Rows never overlap, and every arm of the present phase has one."""
    for revision in _revisions(_walk(steps)):
        assert len(set(revision.slots.values())) == len(revision.slots)
        for experiment in revision.config.experiments:
            run = revision.runs[experiment.name]
            for arm in experiment.arms:
                assert f"arm\0{experiment.name}\0{run.number}\0{run.phase}\0{arm.name}" in revision.slots


@given(_steps)
def test_nothing_but_resume_gives_a_killed_arm_a_unit(steps: list[tuple[str, int]]) -> None:
    """No edit, restore, renewed certificate or restart ends a kill, in whatever order they come."""
    state = start(State(), _LOADED[0], NOW)[0]
    killed: object = None
    for index, step in enumerate(steps, start=1):
        outcome = _step(state, step, NOW + index)
        if not isinstance(outcome, tuple):
            continue
        state, revision = outcome
        present = {experiment.name: identity(revision.config, experiment) for experiment in revision.config.experiments}
        if step[0] == "kill":
            killed = killed or present["ramp"]
        elif step[0] == "resume":
            killed = None
        if killed and "ramp" in present:
            # Only one that was gone and came back as another experiment is free.
            if "ramp" not in revision.killed:
                assert killed != present["ramp"]
                killed = None
            else:
                assert revision.weights["ramp"] == {"old": 1.0, "new": 0.0}
