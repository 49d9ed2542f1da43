"""Reloads without pause, and a run long enough for a leak to show, under load."""

import threading
from pathlib import Path

from tests.e2e.running import wait_until
from tests.faults.load import CONNECTIONS, Load
from tests.faults.site import held, standing

EVERY_S = 0.2  # the rate of the reloads, not a wait for anything
ARMS = "arms: [{{name: one, target: a, weight: {}}}, {{name: two, target: b, weight: {}}}]"


def test_a_reload_every_200_ms_fails_no_request(tmp_path: Path) -> None:
    """Weights, endpoints, time-outs and routes change under load, and nobody notices: no failure, no leak."""
    with standing(tmp_path, "a", "b") as site:

        def save(turn: int) -> None:
            more = "" if turn % 3 else ", {name: unused, target: a, match: {path: /unused}}"
            site.configure(
                f"{{name: a, endpoints: [{{a}}{', {b}' if turn % 4 == 1 else ''}], timeouts: {{idle: {30 + turn}s}}}}, "
                "{name: b, endpoints: [{b}], pool: {idle: 1s}}",
                f"{{name: all, target: a, unit: ['header:x-user-id']}}{more}",
                f"experiments: [{{name: e, route: all, {ARMS.format(turn % 7 + 1, turn % 5 + 1)}}}]\n",
            )

        save(0)
        site.start()
        before = site.warmed()
        control = held(site.router.child("control"))
        with Load(site.router.port) as load:
            for turn in range(1, 31):
                save(turn)
                threading.Event().wait(EVERY_S)
            load.run()
        revision = wait_until(
            lambda: (found := site.router.revision())["acknowledged"] == len(before) and found, "the last revision"
        )
        assert revision["number"] > 10
        assert load.outcomes.failures() == []
        assert set(load.outcomes.right.values()) == {"a", "b"}
        site.assert_nothing_ran_twice(load)
        site.assert_nothing_leaked(before)
        assert held(site.router.child("control")).descriptors <= control.descriptors


def test_a_long_run_keeps_no_memory_and_no_descriptor(tmp_path: Path) -> None:
    """Connections that come and go, and thousands of exchanges, leave a worker as it was after the first of them."""
    with standing(tmp_path, "t") as site:
        site.configure("{name: t, endpoints: [{t}], pool: {idle: 1s}}", "{name: all, target: t}")
        site.start()
        before = site.warmed()
        for kept in (True, False, True):
            with Load(site.router.port, connections=2 * CONNECTIONS, kept=kept) as load:
                load.run(2000)
            assert load.outcomes.failures() == []
        site.assert_nothing_leaked(before, grown_kb=8 * 1024)
