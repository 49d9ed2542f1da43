"""Rolling replacements: batch by batch, with as many endpoints in use as ever, and all of them back on failure."""

from math import ceil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.rollout import rolling
from router.rollout.batches import sizes, split
from router.rollout.effect import Record, Shift
from router.rollout.fitness import EndpointNow
from router.rollout.observed import Ask, Asked
from router.rollout.turn import Refused
from tests.rollout.switching import NEW, OLD, World, experiment, found, stood

TESTS = [{"path": "/ready"}]


def world(**allocate: Any) -> World:
    """Begin a rolling replacement of four endpoints."""
    return World(rolling, experiment("rolling", **allocate))


def ask(made: World, what: Ask) -> Any:
    """Ask for something as a person."""
    return rolling.act(made.release, made.progress, Asked(what=what, by="ann"), made.observed, made.now)


def used(made: World) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the endpoints of both sides that are in use."""
    return made.in_use.get("old", OLD), made.in_use.get("new", NEW)


def test_endpoints_are_replaced_batch_by_batch() -> None:
    """Each batch takes its endpoints from the old side, and the share follows; after the last it is done."""
    made = world(batch=0.25, hold=300)
    seen = []
    for _ in range(4):
        made.look(step_s=0)
        seen.append((*used(made), made.share))
        made.look(step_s=299)
        assert made.progress.holding == "time"
        made.look(step_s=300)
    assert seen == [(OLD[k:], NEW[:k], k / 4) for k in (1, 2, 3, 4)]
    assert (made.progress.step, made.progress.status) == ("done", "over")


@given(st.integers(1, 200), st.integers(1, 100))
def test_sizes_of_batches(count: int, percent: int) -> None:
    """Batch k brings the moved endpoints to ceil(k times the share), in whole numbers, until all are."""
    found_ = sizes(count, percent / 100)
    exact = [min(count, -(-k * percent * count // 100)) for k in range(1, ceil(100 / percent) + 1)]
    assert list(found_) == sorted(set(exact))
    assert found_[-1] == count


@given(st.lists(st.tuples(st.integers(1, 10), st.integers(1, 10)), min_size=1, max_size=20), st.data())
def test_the_share_follows_the_weights(weights: list[tuple[int, int]], data: st.DataObject) -> None:
    """The new side gets what its endpoints in use weigh among all that are."""
    old = [EndpointNow(f"o{n}", pair[0], True) for n, pair in enumerate(weights)]
    new = [EndpointNow(f"n{n}", pair[1], True) for n, pair in enumerate(weights)]
    moved = data.draw(st.integers(0, len(weights)))
    found_ = split(old, new, moved)
    come = sum(pair[1] for pair in weights[:moved])
    assert found_.share == pytest.approx(come / (come + sum(pair[0] for pair in weights[moved:])))
    assert (found_.share == 0, found_.share == 1) == (moved == 0, moved == len(weights))


@pytest.mark.parametrize(
    ("known", "kind"),
    [
        ({"endpoints": {}}, "endpoints"),
        ({"endpoints": {"blue": stood(OLD), "green": stood(NEW[:3])}}, "endpoints"),
        ({"endpoints": {"blue": stood(OLD), "green": stood(NEW[:1], usable=False) + stood(NEW[1:])}}, "warming"),
        ({"tests": None}, "tests"),
        ({"tests": found("fail")}, "tests"),
        ({"tests": found("error")}, "tests"),
    ],
    ids=["unknown", "unequal", "ill", "untested", "failed", "error"],
)
def test_a_batch_that_is_not_ready_is_not_moved(known: dict[str, Any], kind: str) -> None:
    """Endpoints come into use when they can be used and have passed their tests, whatever a person asks for."""
    made = world(tests=TESTS)
    made.know(**({"tests": found("pass")} | known))
    for _ in range(3):
        made.look()
    assert (made.share, used(made), made.progress.holding) == (0.0, (OLD, ()), kind)
    assert isinstance(ask(made, "promote"), Refused)


def test_only_the_coming_endpoints_have_to_be_ready() -> None:
    """Endpoints of later batches may still be starting."""
    made = world()
    made.know(endpoints={"blue": stood(OLD), "green": stood(NEW[:1]) + stood(NEW[1:], usable=None)})
    made.look()
    assert made.share == 0.25
    made.look(step_s=300)
    made.look(step_s=0)
    assert (made.share, made.progress.holding) == (0.25, "warming")


def test_a_later_batch_that_never_becomes_ready_puts_everything_back() -> None:
    """After ``ready_within`` what was moved is put back: a half-replaced target is no place to stay."""
    made = world(ready_within=60)
    made.know(endpoints={"blue": stood(OLD), "green": stood(NEW[:1]) + stood(NEW[1:], usable=False)})
    made.look()
    made.look(step_s=300)
    made.look(step_s=60)
    assert (made.share, used(made), made.progress.step) == (0.0, (OLD, ()), "rolled_back")
    assert "batch 2 was not ready within 60 s" in made.progress.reason


@pytest.mark.parametrize("status", ["running", "waiting", "paused"])
def test_a_failing_guardrail_restores_the_old_endpoints(status: str) -> None:
    """Whatever it waits for: share and endpoints go back in one shift, before anything else."""
    made = world()
    made.look()
    if status == "paused":
        made.take(ask(made, "pause"))
    elif status == "waiting":
        made.know(found=(found("fail", "pause"),))
        made.look()
    assert made.progress.status == status
    made.know(found=(found("fail"),))
    effects = made.look()
    first = effects[0]
    assert isinstance(first, Shift)
    assert (first.urgent, first.endpoints) == (True, {"old": OLD, "new": ()})
    assert (made.share, made.progress.step) == (0.0, "rolled_back")


def test_too_little_data_holds_but_after_the_last_batch() -> None:
    """A batch needs guardrails that have passed; after the last there is no control, so that is only said."""
    made = world(batch=0.5)
    made.know(found=(found("inconclusive"),))
    made.look()
    made.look(step_s=300)
    assert (made.share, made.progress.holding) == (0.5, "guardrails")
    made.know(found=(found("pass"),))
    made.look(step_s=301)
    made.look()
    made.know(found=(found("inconclusive"),))
    made.look(step_s=300)
    assert made.progress.step == "done"
    assert "but guardrail errors ratio 2 is inconclusive" in made.progress.reason


def test_nothing_is_put_back_onto_an_old_side_that_cannot_serve() -> None:
    """It stays, tells once, and goes back when the old side is fit."""
    made = world(batch=0.5)
    made.look()
    made.know(found=(found("fail"),), endpoints={"blue": stood(OLD, usable=False), "green": stood(NEW)})
    made.look()
    for _ in range(3):
        assert made.look() == ()
    assert (made.share, made.progress.holding) == (0.5, "stuck")
    made.know(endpoints={"blue": stood(OLD), "green": stood(NEW)})
    made.look()
    assert (made.share, used(made)) == (0.0, (OLD, ()))


def test_a_person_may_skip_time_but_no_test() -> None:
    """`promote` ends the hold of a batch."""
    made = world()
    made.look()
    made.take(ask(made, "promote"))
    assert made.progress.stage == 1
    made.look()
    assert made.share == 0.5


def test_endpoints_that_the_file_changed_are_brought_into_use() -> None:
    """An endpoint that took another's place is in use after the next look: the capacity is what it was."""
    made = world()
    made.look()
    other = (*OLD[:3], "http://old-9")
    made.in_use["old"] = OLD[1:3]  # what a reload keeps
    made.know(endpoints={"blue": stood(other), "green": stood(NEW)})
    effects = made.look(step_s=100)
    assert [each.cause for each in effects if isinstance(each, Shift)] == ["batch"]
    assert used(made) == (other[1:], NEW[:1])


CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "found": st.sampled_from(["pass", "fail", "inconclusive", "error"]).map(lambda status: (found(status),)),
        "tests": st.none() | st.sampled_from(["pass", "fail", "error"]).map(found),
        "acknowledged": st.booleans(),
        "killed": st.booleans(),
        "endpoints": st.tuples(st.sampled_from([True, False]), st.sampled_from([True, False, None])).map(
            lambda usable: {"blue": stood(OLD, usable=usable[0]), "green": stood(NEW, usable=usable[1])}
        ),
    },
)
ASKS = st.none() | st.sampled_from(["approve", "pause", "resume", "promote", "rollback", "abort"])
STORY = st.lists(st.tuples(CHANGES, ASKS, st.sampled_from([0.0, 30.0, 700.0])), max_size=40)


@given(STORY, st.sampled_from([0.25, 0.3, 0.5, 1.0]))
def test_laws(story: list[tuple[dict[str, Any], Ask | None, float]], batch: float) -> None:
    """Under any story: the capacity is whole, the share fits, and no failure leaves the new side in use."""
    made = world(tests=TESTS, batch=batch)
    for known, what, step_s in story:
        made.know(**known)
        if what is not None:
            turn = ask(made, what)
            if not isinstance(turn, Refused):
                made.take(turn)
        before = made.share
        effects = made.look(step_s)
        old, new = used(made)
        assert len(old) + len(new) == len(OLD)
        assert (old, new) == (OLD[len(new) :], NEW[: len(new)])
        assert made.share == len(new) / len(OLD)
        observed = made.observed
        if made.share > before:
            assert all(each.status == "pass" for each in (observed.tests,) if each is not None)
            assert all(each.usable for each in observed.endpoints["green"])
        failing = any(each.status == "fail" for each in observed.found) and not observed.killed
        if failing and before > 0 and made.progress.status != "over":
            assert observed.control is not None
        assert not any(isinstance(each, Record) and not each.decided.reason for each in effects)


def test_endpoints_in_use_that_are_not_all_ready_hold_the_next_batch() -> None:
    """Less than half of them puts everything back; fewer hold."""
    made = world(batch=0.5)
    made.look()
    made.know(endpoints={"blue": stood(OLD), "green": stood(NEW[:1], usable=False) + stood(NEW[1:])})
    made.look(step_s=300)
    assert (made.share, made.progress.holding) == (0.5, "not ready")
    made.know(endpoints={"blue": stood(OLD), "green": stood(NEW)}, acknowledged=False)
    made.look(step_s=301)
    assert (made.share, made.progress.holding) == (0.5, "workers")


def test_people_are_refused_what_would_harm() -> None:
    """Approval of what waits for none, promotion of what fails; a second rollback is confirmed."""
    made = world()
    made.look()
    assert isinstance(ask(made, "approve"), Refused)
    made.know(found=(found("fail"),))
    assert isinstance(ask(made, "promote"), Refused)
    made.know(found=(found("fail", "pause"),))
    made.look()
    made.take(ask(made, "approve"))
    made.look(step_s=300)
    assert made.progress.status == "running"
    made.take(ask(made, "rollback"))
    assert ask(made, "rollback") == (made.progress, ())
    assert isinstance(ask(made, "promote"), Refused)
