"""Everything at once."""

import threading
from pathlib import Path

from tests.e2e.running import wait_until
from tests.faults.load import CONNECTIONS, Load
from tests.faults.site import WORKERS, kill, standing

STEP_S = 0.2  # the rate of the reloads, not a wait for anything
BREAKER = "breaker: {open: 500ms, max_open: 1s, ramp: 500ms}"


def test_only_killed_workers_cost_anything_on_a_bad_day(tmp_path: Path) -> None:
    """Reloads without pause, a flapping target, and kills of workers and control: lost is only what workers carried."""
    kills = 0
    with standing(tmp_path, "main", "spare") as site:

        def save(turn: int) -> None:
            site.configure(
                f"{{name: main, endpoints: [{{main}}], pool: {{idle: 1s}}, {BREAKER}, "
                f"timeouts: {{idle: {60 + turn}s}}}}, "
                "{name: spare, endpoints: [{spare}], pool: {idle: 1s}}",
                "{name: all, target: main, fallback: [{target: spare}]}",
            )

        save(0)
        site.start()
        before = site.warmed()
        with Load(site.router.port) as load:
            for turn in range(1, 31):
                save(turn)
                match turn % 10:
                    case 2:
                        site.targets["main"].kill()
                    case 5:
                        kill(site.workers()[turn % WORKERS])
                        kills += 1
                    case 6:
                        site.targets["main"].start()
                    case 8:
                        kill(site.router.child("control"))
                threading.Event().wait(STEP_S)
            load.served_by("main")
            wait_until(site.router.ready, "readiness")
        assert load.outcomes.wrong == {}
        assert load.outcomes.refused == []
        assert len(load.outcomes.lost) <= kills * CONNECTIONS
        # The target died three times: what it had run then, and not answered, the fallback ran again.
        assert sum(1 for times in site.ran().values() if times > 1) <= 3 * CONNECTIONS
        revision = wait_until(
            lambda: (found := site.router.revision())["acknowledged"] == WORKERS and found, "the last revision"
        )
        assert revision["number"] > 5
        site.assert_nothing_leaked(before)
