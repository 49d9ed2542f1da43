"""kill -9 of workers, of the control process, and of targets, under load."""

from pathlib import Path

from tests.e2e.running import wait_until
from tests.faults.load import CONNECTIONS, Load
from tests.faults.site import WORKERS, kill, standing

ROUTE = "{name: all, target: t}"
PAIR = (
    "{name: t, endpoints: [{a}, {b}], pool: {idle: 1s}, retry: {attempts: 2, budget: 100%}, "
    "breaker: {open: 500ms, max_open: 1s, ramp: 500ms}}"
)


def test_a_killed_worker_loses_only_what_it_carried_and_nothing_runs_twice(tmp_path: Path) -> None:
    """Each ``kill -9`` costs at most one request of each connection; everything else is answered, and runs once."""
    kills = 4
    with standing(tmp_path, "t") as site:
        site.configure("{name: t, endpoints: [{t}], pool: {idle: 1s}}", ROUTE)
        site.start()
        before = site.warmed()
        with Load(site.router.port, connections=CONNECTIONS) as load:
            for turn in range(kills):
                load.run()
                victim = site.workers()[turn % WORKERS]
                kill(victim)
                wait_until(lambda victim=victim: victim not in site.workers(), "a successor")  # type: ignore[misc]
            load.run()
        assert load.outcomes.wrong == {}
        assert load.outcomes.refused == []
        assert len(load.outcomes.lost) <= kills * CONNECTIONS
        site.assert_nothing_ran_twice(load)
        site.assert_nothing_leaked(before)
        assert site.metric("router_worker_restarts_total") == kills


def test_a_killed_control_process_costs_nothing(tmp_path: Path) -> None:
    """Not one request fails while the control process is killed and replaced, again and again."""
    with standing(tmp_path, "t") as site:
        site.configure("{name: t, endpoints: [{t}], pool: {idle: 1s}}", ROUTE)
        site.start()
        before = site.warmed()
        with Load(site.router.port, connections=CONNECTIONS) as load:
            for _ in range(2):
                victim = site.router.child("control")
                kill(victim)
                wait_until(lambda victim=victim: site.router.child("control") != victim, "a successor")  # type: ignore[misc]
                load.run()
            wait_until(site.router.ready, "readiness")
        assert load.outcomes.failures() == []
        site.assert_nothing_ran_twice(load)
        site.assert_nothing_leaked(before)


def test_a_killed_endpoint_fails_no_request_that_may_be_repeated(tmp_path: Path) -> None:
    """With another endpoint and ``retry``, idempotent requests all succeed while one is killed, returns, and serves."""
    with standing(tmp_path, "a", "b") as site:
        site.configure(PAIR, ROUTE)
        site.start()
        before = site.warmed(method="GET")
        with Load(site.router.port, connections=CONNECTIONS, method="GET") as load:
            for name in ("a", "b"):
                load.run()
                site.targets[name].kill()
                load.run()
                site.targets[name].start()
                load.served_by(name)  # again: its breaker has let it back
        assert load.outcomes.failures() == []
        assert set(load.outcomes.right.values()) == {"a", "b"}
        site.assert_nothing_leaked(before)


def test_a_fallback_answers_while_the_target_is_dead(tmp_path: Path) -> None:
    """With a fallback every request is answered, says by whom, and the target serves again when it is back."""
    with standing(tmp_path, "main", "spare") as site:
        site.configure(
            "{name: main, endpoints: [{main}], pool: {idle: 1s}, breaker: {open: 500ms, max_open: 1s, ramp: 500ms}}, "
            "{name: spare, endpoints: [{spare}], pool: {idle: 1s}}",
            "{name: all, target: main, fallback: [{target: spare}]}",
        )
        site.start()
        before = site.warmed()
        with Load(site.router.port, connections=CONNECTIONS) as load:
            load.run()
            site.targets["main"].kill()
            load.run()
            site.targets["main"].start()
            load.served_by("main")
        assert load.outcomes.failures() == []
        by_spare = sum(1 for name in load.outcomes.right.values() if name == "spare")
        assert load.outcomes.fallbacks == {"spare": by_spare}
        assert by_spare > 100
        # A POST that ran on the dying target, and was not answered, runs on the other: the route asks for that.
        assert sum(1 for times in site.ran().values() if times > 1) <= CONNECTIONS
        site.assert_nothing_leaked(before)


def test_a_dead_target_without_any_other_is_answered_for_and_served_again(tmp_path: Path) -> None:
    """With nobody else to ask, callers get 502 or 503 at once on the same connections, until the target is back."""
    with standing(tmp_path, "t") as site:
        site.configure("{name: t, endpoints: [{t}], pool: {idle: 1s}}", ROUTE)
        site.start()
        before = site.warmed()
        with Load(site.router.port, connections=CONNECTIONS) as load:
            load.run()
            site.targets["t"].kill()
            wait_until(lambda: len(load.outcomes.wrong) > 100, "problem documents")
            site.targets["t"].start()
            load.run()
        assert load.outcomes.lost == {}
        assert load.outcomes.refused == []
        assert all("urn:problem-type:router:" in said for said in load.outcomes.wrong.values())
        site.assert_nothing_ran_twice(load)
        site.assert_nothing_leaked(before)


def test_a_flapping_endpoint_fails_no_request_that_may_be_repeated(tmp_path: Path) -> None:
    """An endpoint that dies and returns again and again costs no idempotent request while another is there."""
    with standing(tmp_path, "a", "b") as site:
        site.configure(PAIR, ROUTE)
        site.start()
        before = site.warmed(method="GET")
        with Load(site.router.port, connections=CONNECTIONS, method="GET") as load:
            for _ in range(6):
                site.targets["a"].kill()
                load.run(100)
                site.targets["a"].start()
                load.run(100)
        assert load.outcomes.failures() == []
        site.assert_nothing_leaked(before)
