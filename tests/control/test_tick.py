"""What a tick makes of the present revision, and what other changes leave of it."""

from typing import Any

import msgspec
import pytest

from router.control import switch
from router.control.kill import tag
from router.control.schedule import turn
from router.control.state import Refusal, State, apply, replay, restore, start
from router.control.tick import LINGER_S, STEP, Allotment, differ, tick, ticked_over, with_ticks
from router.events.model import Coming, Revision, Run, Ticked
from tests.control.build import NOW, loaded, started, yaml

METRICS = "metrics: [{name: ctr, kind: proportion, outcome: click, window: 1h, goal: up}]"
DAY = 86400.0


def text(more: str = "", arms: str = "1, 1", use: str = "thompson", period: str = ", period: 1d", **kwargs: Any) -> str:
    """Write a configuration with a bandit."""
    keys = f"metrics: {{primary: ctr}}\nallocate: {{use: {use}, reward: ctr{period}}}\n{more}"
    return yaml(arms, keys, top=METRICS, **kwargs)


def requests(more: str = "") -> str:
    """Write one whose unit is a request."""
    return text(f"unit: [request]\n{more}", period="")


def of(state: State) -> Revision:
    """Return the present revision."""
    assert state.revision is not None
    return state.revision


def allot(new: float, start: float | None = None, run: int = 1, phase: int = 1) -> dict[str, Allotment]:
    """Give the arm ``new`` a share."""
    return {"ramp": Allotment("thompson", run, phase, {"old": 1 - new, "new": new}, start)}


def ticked(state: State, found: dict[str, Allotment], now: float) -> tuple[State, Revision, Ticked]:
    """Tick when there is something new."""
    made = tick(state, found, now)
    assert made is not None
    return made


def test_a_tick_changes_weights_and_epoch_and_nothing_else() -> None:
    """Neither run nor phase, neither configuration, history nor ETag; the revision says who made it."""
    state = started(requests())
    following, revision, entry = ticked(state, allot(0.9), NOW + 10)
    before = of(state)
    assert (revision.number, revision.cause, revision.author) == (before.number + 1, "tick", "thompson")
    assert revision.weights == {"ramp": {"old": pytest.approx(0.1), "new": 0.9}}
    assert revision.runs == {"ramp": Run(number=1, phase=1, epoch=1)}
    assert msgspec.structs.replace(
        before, number=revision.number, time=revision.time, cause="tick", author="thompson",
        weights=revision.weights, runs=revision.runs,
    ) == revision  # fmt: skip
    assert tag(revision, "ramp") == tag(before, "ramp")
    assert following.history == state.history
    assert (entry.number, entry.weights, entry.runs) == (revision.number, revision.weights, revision.runs)
    assert ticked_over(before, entry) == revision


def test_weights_that_hardly_moved_make_no_revision() -> None:
    """An epoch more would say nothing; but to or from nothing is always new."""
    state = started(requests())
    assert tick(state, allot(0.5 + STEP / 2), NOW + 10) is None
    assert tick(state, {}, NOW + 10) is None
    assert tick(state, allot(0.5 + 2 * STEP), NOW + 10) is not None
    assert differ({"a": 1.0, "b": 1e-6}, {"a": 1.0, "b": 0.0})
    assert not differ({"a": 5.0, "b": 5.0}, {"a": 0.5, "b": 0.5})


def test_weights_of_units_that_stay_wait_for_the_next_period() -> None:
    """They are published beforehand, come into force by themselves, and the tick after says so."""
    begin = (NOW // DAY + 1) * DAY
    state = started(text())
    waiting, revision, entry = ticked(state, allot(0.9, begin), begin - 30)
    assert revision.weights == of(state).weights
    assert revision.runs["ramp"].epoch == 0
    assert revision.coming == {"ramp": Coming(start=begin, epoch=1, weights=entry.coming["ramp"].weights)}
    # What is computed later in the same period does not replace it: workers may have it in force already.
    assert tick(waiting, allot(0.2, begin), begin - 10) is None
    assert tick(waiting, {}, begin + LINGER_S - 1) is None  # a request that began before may be decided now
    _, settled, closing = ticked(waiting, {}, begin + LINGER_S)
    assert (settled.weights, settled.coming) == ({"ramp": {"old": pytest.approx(0.1), "new": 0.9}}, {})
    assert settled.runs["ramp"] == Run(number=1, phase=1, epoch=1)
    assert (closing.settled, closing.author) == (("ramp",), "clock")


def test_weights_that_come_too_late_are_for_nobody() -> None:
    """In the period that has begun they would change arms of units that are in it."""
    begin = (NOW // DAY + 1) * DAY
    assert tick(started(text()), allot(0.9, begin), begin) is None
    assert tick(started(text()), allot(0.9, begin), begin + 1) is None


def test_a_stopped_arm_does_not_wait_and_does_not_come_back() -> None:
    """Weights for at once end those that were to come, and no epoch has two weights."""
    begin = (NOW // DAY + 1) * DAY
    waiting, _, _ = ticked(started(text()), allot(0.9, begin), begin - 30)
    _, revision, _ = ticked(waiting, allot(0.0), begin - 20)
    assert (revision.weights["ramp"], revision.coming) == ({"old": 1.0, "new": 0.0}, {})
    assert revision.runs["ramp"].epoch == 2


def test_what_was_computed_for_another_place_changes_nothing() -> None:
    """A run or phase that is over, a killed experiment, one that is gone."""
    state = started(requests())
    assert tick(state, allot(0.9, run=2), NOW + 1) is None
    assert tick(state, allot(0.9, phase=2), NOW + 1) is None
    assert tick(state, {"gone": allot(0.9)["ramp"]}, NOW + 1) is None
    killed, _ = switch.kill(state, "ramp", NOW + 1, "ann", None)
    assert tick(killed, allot(0.9, phase=2), NOW + 2) is None


def test_a_kill_takes_the_weights_and_its_end_returns_those_of_the_file() -> None:
    """A new phase begins with each; what was to come is dropped, and the next tick has a place again."""
    begin = (NOW // DAY + 1) * DAY
    waiting, _, _ = ticked(started(text()), allot(0.9, begin), begin - 30)
    killed, revision = switch.kill(waiting, "ramp", begin - 20, "ann", "broken")
    assert (revision.weights["ramp"], revision.coming) == ({"old": 1.0, "new": 0.0}, {})
    outcome = switch.resume(killed, "ramp", begin - 10, "ann", None)
    assert not isinstance(outcome, Refusal)
    assert outcome[1].weights["ramp"] == {"old": 1.0, "new": 1.0}
    assert outcome[1].runs["ramp"] == Run(number=1, phase=3, epoch=0)


def test_a_reload_and_a_restart_keep_what_was_learned() -> None:
    """An edit of something else, of the file's weights, or none: weights, epoch and what is to come stay."""
    begin = (NOW // DAY + 1) * DAY
    state, _, _ = ticked(started(requests()), allot(0.9), NOW + 10)
    for changed in (requests("owner: ann\n"), requests().replace("weight: 1}", "weight: 3}", 1)):
        outcome = apply(state, loaded(changed), NOW + 20, "file")
        assert not isinstance(outcome, Refusal)
        assert outcome[1].weights == of(state).weights
        assert outcome[1].runs["ramp"] == Run(number=1, phase=1, epoch=1)
    waiting, _, _ = ticked(started(text()), allot(0.9, begin), begin - 30)
    outcome = apply(waiting, loaded(text("owner: ann\n")), begin - 20, "file")
    assert not isinstance(outcome, Refusal)
    assert outcome[1].coming == of(waiting).coming
    assert of(replay(outcome[0].history)).coming == of(waiting).coming
    for again in (requests(), requests("owner: ann\n")):
        assert start(state, loaded(again), NOW + 30)[1].weights == of(state).weights


def test_before_the_first_tick_the_files_weights_are_edited_as_ever() -> None:
    """They are those of the warm-up."""
    outcome = apply(started(requests()), loaded(requests().replace("weight: 1}", "weight: 3}", 1)), NOW + 20, "file")
    assert not isinstance(outcome, Refusal)
    assert outcome[1].weights["ramp"] == {"old": 3.0, "new": 1.0}


def test_a_fixed_split_that_was_a_bandit_has_the_files_weights() -> None:
    """And begins a phase."""
    state, _, _ = ticked(started(requests()), allot(0.9), NOW + 10)
    plain = yaml("1, 1", "unit: [request]\nmetrics: {primary: ctr}", top=METRICS)
    outcome = apply(state, loaded(plain), NOW + 20, "file")
    assert not isinstance(outcome, Refusal)
    assert outcome[1].weights["ramp"] == {"old": 1.0, "new": 1.0}
    assert outcome[1].runs["ramp"].phase == 2


def test_a_restore_never_changes_a_posteriors_weights() -> None:
    """Restored are configuration and what people set; what was learned since stays."""
    state, _, _ = ticked(started(requests()), allot(0.9), NOW + 10)
    edited = apply(state, loaded(requests("owner: ann\n")), NOW + 20, "file")
    assert not isinstance(edited, Refusal)
    outcome = restore(edited[0], 1, NOW + 30, "ann")
    assert not isinstance(outcome, Refusal)
    assert outcome[1].config.experiments[0].owner is None
    assert outcome[1].weights == of(state).weights


def test_ticks_after_the_last_entry_of_the_journal_are_replayed() -> None:
    """Those before it are in it already; experiments that are no more are passed over."""
    state = started(requests())
    first, _, one = ticked(state, allot(0.9), NOW + 10)
    second, _, two = ticked(first, allot(0.2), NOW + 20)
    replayed = with_ticks(replay(state.history), (one, two))
    assert of(replayed).weights == of(second).weights
    assert (of(replayed).number, of(replayed).runs) == (of(second).number, of(second).runs)
    stale = Ticked(number=1, time=NOW, author="x", weights={"ramp": {"old": 1.0, "new": 0.0}}, runs={})
    gone = Ticked(
        number=9, time=NOW, author="x", weights={"gone": {"a": 1.0}}, runs={"gone": Run(number=1, phase=1, epoch=1)}
    )
    assert of(with_ticks(replay(state.history), (stale, gone))).weights == of(state).weights
    assert with_ticks(State(), (one,)) == State()


def test_a_schedule_that_is_due_comes_first() -> None:
    """Else the tick would be the revision of that moment, and nobody would be told that an experiment began."""
    at = "active: {from: 2027-01-15T08:00:10Z}\n"  # ten seconds after NOW
    state = started(requests(at))
    assert tick(state, allot(0.9), NOW + 5) is not None
    assert tick(state, allot(0.9), NOW + 11) is None
    assert tick(turn(state, NOW + 11)[0], allot(0.9), NOW + 12) is not None


def test_a_period_is_part_of_a_run() -> None:
    """A unit of another period is another unit: the edit is refused with the way out."""
    outcome = apply(started(text()), loaded(text(period=", period: 2d")), NOW + 1, "file")
    assert isinstance(outcome, Refusal)
    assert "its period may not change in place (86400.0 -> 172800.0)" in str(outcome.mistakes[0])


def test_a_revision_with_what_is_to_come_reads_back_as_it_was_written() -> None:
    """In msgpack for the workers, in JSON for journal and log of ticks."""
    begin = (NOW // DAY + 1) * DAY
    _, revision, entry = ticked(started(text()), allot(0.9, begin), begin - 30)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(revision), type=Revision) == revision
    assert msgspec.json.decode(msgspec.json.encode(entry), type=Ticked) == entry
