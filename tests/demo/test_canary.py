"""A canary is judged by what its callers saw, not by what the router says."""

from router.demo.canary import CanaryTally, Met, judge_canary
from router.demo.verdict import Check


def tally(*, last: float = 11.0, rescued: bool = True, stray: bool = False, place: str = "rolled back") -> CanaryTally:
    """Return what 100 callers saw of a canary of 30 % that turned bad at 10 and was taken back at 12."""
    made = CanaryTally(share=0.3, place=place, reason="errors")
    for user in range(100):
        made.record(Met(f"u{user}", 5.0, "canary" if user < 30 else "stable", rescued=False, error=None))
    made.turn_bad(10.0)
    for user in range(30):
        error = None if rescued else "status 503"
        made.record(Met(f"u{user}", last, "canary", rescued=rescued, error=error))
    if place == "rolled back":
        made.back_at = 12.0
    for user in range(100):
        made.record(Met(f"u{user}", 13.0, "canary" if stray and not user else "stable", rescued=False, error=None))
    return made


def kept(made: CanaryTally) -> list[bool]:
    """Return which promises were kept."""
    return [check.kept for check in judge_canary(made)]


def test_a_canary_that_is_taken_back_in_time_keeps_all_promises() -> None:
    """The evidence says how long it lasted, for whom, and what became of their requests."""
    back, failed, exposed = judge_canary(tally())
    assert (back.kept, failed.kept, exposed.kept) == (True, True, True)
    assert "1.0 s after it turned bad; errors" in back.evidence
    assert "230 requests, 0 failed; 30 of 30 that met it rescued" in failed.evidence
    assert "30 of 100 users, at a share of 30%; 100 requests after, 0 of them met it" in exposed.evidence


def test_each_promise_can_be_broken() -> None:
    """Too late, a request that failed, somebody who still meets it."""
    late = tally(last=21.0)
    late.back_at = 22.0
    assert kept(late)[0] is False
    assert kept(tally(rescued=False)) == [True, False, True]
    assert kept(tally(stray=True))[2] is False


def test_more_users_than_its_share_are_too_many() -> None:
    """Whoever met it while it was bad was of the share that it had."""
    made = tally()
    for user in range(60, 100):
        made.record(Met(f"u{user}", 11.0, "canary", rescued=True, error=None))
    assert kept(made)[2] is False


def not_said(checks: tuple[Check, ...]) -> bool:
    """Return whether no check says anything, nor passes."""
    return not any(check.enough or check.kept for check in checks)


def test_a_show_without_an_end_of_it_proves_nothing() -> None:
    """Neither a canary that never turned bad nor one that is still there is a promise kept."""
    quiet = CanaryTally()
    quiet.record(Met("u", 1.0, "canary", rescued=False, error=None))
    assert not_said(judge_canary(quiet))
    assert not any(check.kept for check in judge_canary(tally(place="stage 2"))[::2])


def test_the_state_is_one_line() -> None:
    """What a person sees of it meanwhile."""
    assert CanaryTally().line() == "canary: not begun, 0% of its callers · 0 requests, 0 failed"
    assert "since it is bad 30 met it, 30 of them rescued" in tally().line()
