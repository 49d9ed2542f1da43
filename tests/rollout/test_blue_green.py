"""Blue-green switches: everybody at once, and back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from router.rollout import blue_green, rolling
from router.rollout.coming import coming
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


def test_what_asks_a_person_after_the_switch_is_answered_by_one() -> None:
    """A guardrail with action pause waits; once approved it goes on, and nothing else waits for approval."""
    made = switched()
    assert isinstance(ask(made, "approve"), Refused)
    made.know(found=(found("fail", "pause"),))
    made.look()
    made.take(ask(made, "approve"))
    made.look(step_s=600)
    assert (made.progress.step, made.progress.reason.count("guardrail")) == ("bake", 1)


def test_nothing_is_approved_before_it_was_ready_for_a_look() -> None:
    """A person approves what was seen, not what has just become so."""
    made = world(approve=True)
    made.know()
    refused = ask(made, "approve")
    assert isinstance(refused, Refused)
    assert "ask again" in refused.reason


def test_a_person_ends_the_bake_but_not_of_a_green_that_fails() -> None:
    """`promote` skips time; with a failing guardrail it is refused."""
    made = switched()
    made.know(found=(found("fail"),))
    assert isinstance(ask(made, "promote"), Refused)
    made.know(found=(found("pass"),))
    made.take(ask(made, "promote"))
    assert (made.progress.step, made.progress.by) == ("done", "ann")


def test_a_pause_ends_where_it_began() -> None:
    """`resume` goes on, and counts how long it was; what is not paused is not resumed."""
    made = switched()
    assert isinstance(ask(made, "resume"), Refused)
    made.take(ask(made, "pause"))
    assert ask(made, "pause") == (made.progress, ())
    made.now += 30
    made.take(ask(made, "resume"))
    assert (made.progress.status, made.progress.paused_s) == ("running", 30.0)


def test_the_end_says_before_and_after_as_what_it_is() -> None:
    """What failed before the switch and since is told with its name, and decides nothing."""
    made = switched()
    counts = {"pre_exchanges": 1000.0, "pre_failures": 10.0, "post_exchanges": 500.0, "post_failures": 10.0}
    made.know(pre_post=counts)
    made.look(step_s=600)
    assert made.progress.step == "done"
    assert (
        "pre/post, so not at the same time: 1% of 1000 exchanges failed before, 2% of 500 since" in made.progress.reason
    )


def test_a_guardrail_that_nobody_heard_of_is_no_pass() -> None:
    """A hard guardrail that said nothing keeps blue warm."""
    made = switched()
    made.know(found=())
    made.look(step_s=700)
    assert (made.progress.step, made.progress.holding) == ("bake", "guardrails")


@pytest.mark.parametrize(
    ("use", "known", "expected"),
    [
        ("blue_green", {}, list(NEW)),
        ("rolling", {}, list(NEW[:1])),
        ("rolling", {"endpoints": {"blue": stood(OLD), "green": stood(NEW[:2])}}, []),
        ("rolling", {"endpoints": {}}, []),
    ],
    ids=["all", "batch", "unequal", "unknown"],
)
def test_what_gets_traffic_next_is_tested(use: str, known: dict[str, Any], expected: list[str]) -> None:
    """All of green, or the endpoints of the next batch; nothing that has traffic, nothing that is over."""
    drive = blue_green if use == "blue_green" else rolling
    made = World(drive, experiment(use, tests=TESTS))
    made.know(**known)
    urls = [each.url for each in coming(made.release, made.progress, made.observed.endpoints)]
    assert urls == expected
    over = replace(made.progress, status="over")
    assert coming(made.release, over, made.observed.endpoints) == ()
    assert coming(made.release, replace(made.progress, step="bake"), made.observed.endpoints) == ()
