"""Blue-green switches: everybody at once, and back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.rollout import blue_green
from router.rollout.effect import PostMortem, Record, Say, Shift
from router.rollout.observed import Ask, Asked
from router.rollout.turn import Refused
from tests.rollout.switching import NEW, OLD, World, experiment, found, stood

TESTS = [{"path": "/ready"}]


def world(**allocate: Any) -> World:
    """Begin a blue-green release."""
    return World(blue_green, experiment("blue_green", **allocate))


def switched(**allocate: Any) -> World:
    """Bring a release to where everybody is on green."""
    made = world(**allocate)
    made.look()
    made.look()
    assert (made.progress.step, made.share) == ("bake", 1.0)
    return made


def ask(made: World, what: Ask) -> Any:
    """Ask for something as a person."""
    return blue_green.act(made.release, made.progress, Asked(what=what, by="ann"), made.observed, made.now)


def actions(effects: tuple[Any, ...]) -> list[str]:
    """Return what was recorded."""
    return [each.decided.action for each in effects if isinstance(each, Record)]


def test_everybody_is_switched_at_once_when_green_is_ready() -> None:
    """One revision moves the share from 0 to 1, and is named a switch; blue is kept, then the release is done."""
    made = world()
    made.look()
    effects = made.look()
    assert [each.cause for each in effects if isinstance(each, Shift)] == ["switch"]
    assert actions(effects) == ["switch"]
    made.look(step_s=599)
    assert (made.progress.step, made.progress.status) == ("bake", "running")
    made.look(step_s=600)
    assert (made.progress.step, made.progress.status, made.share) == ("done", "over", 1.0)


@pytest.mark.parametrize(
    ("known", "kind"),
    [
        ({"endpoints": {}}, "warming"),
        ({"endpoints": {"blue": stood(OLD), "green": stood(NEW[:3]) + stood(NEW[3:], usable=False)}}, "warming"),
        ({"endpoints": {"blue": stood(OLD), "green": stood(NEW, usable=None)}}, "warming"),
        ({"tests": None}, "tests"),
        ({"tests": found("fail")}, "tests"),
        ({"tests": found("error")}, "tests"),
        ({"tests": found("inconclusive")}, "tests"),
        ({"found": (found("fail"),)}, "guardrails"),
        ({"found": (found("fail", "pause"),)}, "guardrails"),
        ({"acknowledged": False}, "workers"),
    ],
    ids=["unknown", "one-ill", "not-asked", "untested", "failed", "error", "inconclusive", "guard", "ask", "workers"],
)
def test_what_is_not_shown_holds(known: dict[str, Any], kind: str) -> None:
    """Green gets nobody until all its endpoints can be used and its tests pass, whatever a person asks for."""
    made = world(tests=TESTS)
    made.know(**({"tests": found("pass")} | known))
    for _ in range(5):
        made.look()
    assert (made.share, made.progress.step, made.progress.holding) == (0.0, "preview", kind)
    assert isinstance(ask(made, "approve"), Refused)
    assert isinstance(ask(made, "promote"), Refused)


def test_green_that_never_becomes_ready_is_given_up() -> None:
    """After ``ready_within`` the release is aborted, with the reason; nobody was exposed."""
    made = world(tests=TESTS, ready_within=60)
    made.know(tests=found("fail"))
    made.look(step_s=59)
    effects = made.look(step_s=60)
    assert (made.progress.step, made.share) == ("aborted", 0.0)
    assert "green was not ready within 60 s: smoke tests: as told" in made.progress.reason
    assert any(isinstance(each, Say) for each in effects)


def test_tests_go_on_until_the_switch() -> None:
    """Green that was ready and fails a test while a person is waited for may not be approved; nor is it given up."""
    made = world(tests=TESTS, approve=True, ready_within=60)
    made.know(tests=found("pass"))
    made.look()
    made.look()
    assert made.progress.status == "waiting"
    made.know(tests=found("fail"))
    made.look(step_s=1000)
    assert (made.progress.step, made.progress.status, made.progress.holding) == ("preview", "running", "tests")
    assert isinstance(ask(made, "approve"), Refused)
    made.know(tests=found("pass"))
    made.look(step_s=1001)
    made.take(ask(made, "approve"))
    made.look()
    assert made.share == 1.0


def test_a_person_is_waited_for_where_configured() -> None:
    """With ``approve`` nothing moves until somebody says so; who and why is kept."""
    made = world(approve=True)
    made.look()
    effects = made.look()
    assert [each.event for each in effects if isinstance(each, Say)] == ["approval"]
    for _ in range(3):
        assert made.look(step_s=9999) == ()
    made.take(ask(made, "approve"))
    made.look()
    assert (made.share, made.progress.approvals[0].by) == (1.0, "ann")


def test_hold_counts_from_when_green_was_ready() -> None:
    """``hold`` is time in which green was ready."""
    made = world(hold=30)
    made.look(step_s=100)
    assert made.progress.stage == blue_green.READY
    made.look(step_s=29)
    assert made.share == 0.0
    made.look(step_s=30)
    assert made.share == 1.0


@pytest.mark.parametrize("status", ["running", "waiting", "paused"])
def test_a_guardrail_switches_back_whatever_it_waits_for(status: str) -> None:
    """Guards keep guarding: in the bake, while a person is waited for, and while paused; traffic goes first."""
    made = switched()
    if status == "paused":
        made.take(ask(made, "pause"))
    elif status == "waiting":
        made.know(found=(found("fail", "pause"),))
        made.look()
    assert made.progress.status == status
    made.know(found=(found("fail"),))
    effects = made.look()
    assert (made.share, made.progress.step) == (0.0, "rolled_back")
    first = effects[0]
    assert isinstance(first, Shift)
    assert (first.cause, first.urgent) == ("rollback", True)
    assert isinstance(effects[-1], PostMortem)


def test_green_that_cannot_serve_is_left() -> None:
    """More than half of green's endpoints fail: everybody goes back without waiting for a guardrail."""
    made = switched()
    made.know(endpoints={"blue": stood(OLD), "green": stood(NEW[:1]) + stood(NEW[1:], usable=False)})
    made.look()
    assert (made.share, made.progress.step) == (0.0, "rolled_back")
    assert "green cannot serve: 3 of 4 endpoints" in made.progress.reason


def test_nobody_goes_back_to_a_blue_that_cannot_serve() -> None:
    """Everybody stays, a person is called once, `rollback` is refused; once blue is fit, everybody goes back."""
    made = switched()
    made.know(endpoints={"blue": stood(OLD, usable=False), "green": stood(NEW)})
    assert [each.severity for each in made.look() if isinstance(each, Say)] == ["warning"]
    assert made.look() == ()
    refused = ask(made, "rollback")
    assert isinstance(refused, Refused)
    assert "blue is not fit" in refused.reason
    made.know(found=(found("fail"),))
    assert [each.severity for each in made.look() if isinstance(each, Say)] == ["critical"]
    for _ in range(3):
        assert made.look() == ()
    assert made.share == 1.0
    made.know(endpoints={"blue": stood(OLD), "green": stood(NEW)})
    made.look()
    assert (made.share, made.progress.step) == (0.0, "rolled_back")


def test_one_command_switches_back_even_when_it_is_done() -> None:
    """`rollback` works in the bake and after it, as long as blue can serve."""
    for step_s in (10.0, 600.0):
        made = switched()
        made.look(step_s=step_s)
        made.take(ask(made, "rollback"))
        assert (made.share, made.progress.step, made.progress.by) == (0.0, "rolled_back", "ann")


def test_too_little_data_is_told_and_a_failed_measurement_holds() -> None:
    """After ``keep_warm`` an inconclusive guardrail is no pass, and the release says so; a broken one holds."""
    made = switched()
    made.know(found=(found("error"),))
    made.look(step_s=700)
    assert (made.progress.step, made.progress.holding) == ("bake", "measurement")
    made.know(found=(found("inconclusive"),))
    made.look(step_s=701)
    assert made.progress.step == "done"
    assert "but guardrail errors ratio 2 is inconclusive" in made.progress.reason


def test_a_killed_release_waits() -> None:
    """While it is killed nothing is decided."""
    made = world()
    made.know(killed=True)
    assert made.look() == ()


CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "found": st.sampled_from(["pass", "fail", "inconclusive", "error"]).map(lambda status: (found(status),)),
        "tests": st.none() | st.sampled_from(["pass", "fail", "error"]).map(found),
        "acknowledged": st.booleans(),
        "killed": st.booleans(),
        "endpoints": st.tuples(st.sampled_from([True, False, None]), st.sampled_from([True, False, None])).map(
            lambda usable: {"blue": stood(OLD, usable=usable[0]), "green": stood(NEW, usable=usable[1])}
        ),
    },
)
ASKS = st.none() | st.sampled_from(["approve", "pause", "resume", "promote", "rollback", "abort"])


@given(st.lists(st.tuples(CHANGES, ASKS, st.sampled_from([0.0, 30.0, 700.0])), max_size=40), st.booleans())
def test_laws(story: list[tuple[dict[str, Any], Ask | None, float]], approve: bool) -> None:  # noqa: FBT001 - drawn
    """Under any story the share is 0 or 1, green gets it only when shown to be fit, and no failure leaves it there."""
    made = world(tests=TESTS, approve=approve)
    for known, what, step_s in story:
        before = made.share
        made.know(**known)
        if what is not None:
            turn = ask(made, what)
            if not isinstance(turn, Refused):
                made.take(turn)
        made.look(step_s)
        observed = made.observed
        assert made.share in (0.0, 1.0)
        assert made.share == made.progress.share
        if made.share > before:
            assert observed.tests is not None
            assert observed.tests.status == "pass"
            assert all(each.usable for each in observed.endpoints["green"])
        if made.share < before:
            assert observed.control is None
        if before == made.share == 1 and made.progress.status != "over" and not observed.killed:
            assert observed.control is not None or not any(each.status == "fail" for each in observed.found)
