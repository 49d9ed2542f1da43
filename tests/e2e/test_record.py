"""What callers got is what the admin API foretells, the metrics count and the event log holds."""

from pathlib import Path

from router.events.model import Exchange
from router.events.read import read
from tests.e2e.running import Router, running, wait_until

USERS = [f"user-{number}" for number in range(40)]
SPLIT = {"old": 50.0, "new": 50.0}


def _assigned(router: Router, user: str) -> str:
    return str(router.json(f"/v1/assign?route=r&unit={user}")["target"])


def _metrics(router: Router) -> dict[str, float]:
    lines = router.ask("/metrics")[1].decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def _logged(router: Router, count: int) -> dict[str | None, Exchange]:
    found: list[Exchange] = wait_until(
        lambda: len(events := list(read(router.folder / "events"))) >= count and events, f"{count} events"
    )
    assert len(found) == count
    return {event.unit: event for event in found}


def test_what_was_foretold_is_what_is_served_counted_and_logged(tmp_path: Path) -> None:
    """The admin API, every worker, the metrics and the event log agree on each user."""
    with running(tmp_path, SPLIT, workers=2) as (router, _):
        served = {user: router.served(user)[1] for user in USERS}
        assert served == {user: _assigned(router, user) for user in USERS}
        assert {user: router.served(user)[1] for user in USERS} == served
        events = _logged(router, 2 * len(USERS))
        assert {user: events[user].target for user in USERS} == served
        assert {user: events[user].experiments[0].arm for user in USERS} == served
        assert {events[user].experiments[0].propensity for user in USERS} == {0.5}
        metrics = _metrics(router)
        for arm in SPLIT:
            times = 2 * list(served.values()).count(arm)
            name = f'router_arm_requests_total{{arm="{arm}",experiment="e",result="ok"}}'
            assert metrics[name] == times
            assert metrics[f'router_requests_total{{code="200",route="r",target="{arm}"}}'] == times


def test_a_request_without_a_unit_goes_to_the_routes_target_and_is_counted(tmp_path: Path) -> None:
    """It is in no arm, whatever the weights say."""
    with running(tmp_path, {"old": 0, "new": 100}) as (router, _):
        status, body = router.ask("/", port=router.port)
        assert (status, body) == (200, b"old")
        metrics = wait_until(
            lambda: (found := _metrics(router))['router_no_unit_total{route="r"}'] and found, "a count"
        )
        assert metrics['router_requests_total{code="200",route="r",target="old"}'] == 1
        assert metrics['router_arm_requests_total{arm="new",experiment="e",result="ok"}'] == 0


def test_a_forged_override_changes_nothing(tmp_path: Path) -> None:
    """Only a signed override is honoured; callers cannot choose their arm."""
    with running(tmp_path, {"old": 100, "new": 0}) as (router, _):
        status, body = router.ask("/", port=router.port, x_user_id="u", x_router_override="e=new")
        assert (status, body) == (200, b"old")
