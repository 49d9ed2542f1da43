"""A bandit in a whole router: outcomes that are posted move its weights, and a restart goes on where it was."""

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from router.archive.reading import open_archive
from tests.e2e.running import DEADLINE_S, Model, Router, wait_until

EVEN = {"old": 1.0, "new": 1.0}
METRICS = "metrics: [{name: ctr, kind: proportion, outcome: click, window: 2s, goal: up}]\n"
REQUESTS = 120
CALLERS = 12


def bandit(router: Router, targets: dict[str, str], keys: str, more: str = "") -> str:
    """Write the configuration with a bandit as its experiment."""
    allocate = f"allocate: {{use: thompson, reward: ctr, warm_up: {{units: 20}}, {keys}}}"
    text = router.yaml(targets, EVEN)
    return METRICS + text.replace(
        "experiments: [{name: e, route: r,",
        f"experiments: [{{name: e, route: r, metrics: {{primary: ctr}}, {more}{allocate},",
    )


@contextmanager
def learning(folder: Path, keys: str, more: str = "") -> Iterator[Router]:
    """Run a router with a bandit in front of the models ``old`` and ``new``."""
    with Model("old") as old, Model("new") as new:
        router = Router(folder)
        router.config.write_text(bandit(router, {"old": old.url, "new": new.url}, keys, more))
        try:
            router.start_ready()
            yield router
        finally:
            router.close()


def use(router: Router, first: int, users: int = 0) -> None:
    """Send requests over several connections, and post a click for each that the new model answered."""
    with ThreadPoolExecutor(CALLERS) as callers:
        each = REQUESTS // CALLERS
        for done in [callers.submit(_call, router, first + n * each, each, users) for n in range(CALLERS)]:
            done.result(DEADLINE_S)


def _call(router: Router, first: int, count: int, users: int) -> None:
    clicks = []
    connection = http.client.HTTPConnection("127.0.0.1", router.port, timeout=DEADLINE_S)
    for number in range(first, first + count):
        ident = f"request-{number}"
        user = f"user-{number % users if users else number}"
        connection.request("GET", "/", headers={"x-user-id": user, "x-request-id": ident})
        if connection.getresponse().read() == b"new":
            clicks.append({"id": ident, "outcome": "click", "value": 1, "request_id": ident})
    connection.close()
    connection = http.client.HTTPConnection("127.0.0.1", router.admin_port, timeout=DEADLINE_S)
    connection.request("POST", "/v1/outcomes", json.dumps(clicks), {"Content-Type": "application/json"})
    assert json.loads(connection.getresponse().read())["accepted"] == len(clicks)
    connection.close()


def seen(router: Router) -> dict[str, Any]:
    """Return what the API says of the experiment."""
    found: dict[str, Any] = router.json("/v1/experiments/e")
    return found


def share(router: Router, arm: str) -> float:
    """Return the share of an arm that is in force."""
    return float(next(each["share"] for each in seen(router)["arms"] if each["name"] == arm))


def learned(router: Router) -> dict[str, Any]:
    """Return posteriors by arm."""
    known = seen(router)["bandit"]["learned"] or {"arms": {}}
    return {arm: each["posterior"] for arm, each in known["arms"].items() if each["posterior"] is not None}


def test_outcomes_move_the_weights_and_a_restart_goes_on(tmp_path: Path) -> None:
    """Clicks of one model only give it all but the floor; journal and ETag see no tick; a restart has both again."""
    with learning(tmp_path, "update: 1s, floor: 5%", "unit: [request], ") as router:
        tag = router.ask("/v1/experiments/e")
        changes = len(router.json("/v1/revisions")["revisions"])

        use(router, 0)
        wait_until(lambda: share(router, "new") > 0.9, "weights that follow the clicks")
        assert share(router, "old") >= 0.049
        after = seen(router)
        assert (after["run"], after["phase"]) == (1, json.loads(tag[1])["phase"])
        assert after["epoch"] >= 1
        assert after["bandit"]["problem"] is None
        revision = router.revision()
        assert (revision["cause"], revision["author"]) == ("tick", "thompson")
        assert len(router.json("/v1/revisions")["revisions"]) == changes
        assert b'router_arm_weight{arm="new",experiment="e"} 0.9' in router.ask("/metrics")[1]
        assert b'router_bandit_failed{experiment="e"} 0.0' in router.ask("/metrics")[1]
        status = [sys.executable, "-m", "router", "status", "--admin", f"http://127.0.0.1:{router.admin_port}"]
        said = subprocess.run(status, capture_output=True, text=True, check=True, timeout=60).stdout
        assert "thompson of ctr at" in said

        wait_until(lambda: seen(router)["bandit"]["learned"]["observations"] == REQUESTS, "all observations")
        before, weights = learned(router), share(router, "new")
        use(router, REQUESTS)  # under the new weights, for the log
        os.kill(router.running.pid, signal.SIGTERM)
        assert router.wait() == 0
        with open_archive(tmp_path / "events") as archive:
            propensities = archive.connection.execute(
                "SELECT arm, propensity FROM exposures WHERE epoch = (SELECT max(epoch) FROM exposures) GROUP BY ALL"
            ).fetchall()
        assert dict(propensities)["new"] > 0.9

        router.start_ready()
        assert abs(share(router, "new") - weights) < 0.01
        wait_until(lambda: learned(router), "the first tick after the restart")
        assert learned(router)["new"]["alpha"] >= before["new"]["alpha"]


def test_units_keep_their_arm_within_a_period(tmp_path: Path) -> None:
    """Weights of sticky units come with a period, which draws them anew; in none of them a user has two arms."""
    with learning(tmp_path, "update: 1s, period: 8s, floor: 5%") as router:
        first = 0

        def known() -> int:
            nonlocal first
            use(router, first, users=40)
            first += REQUESTS
            return int((seen(router)["bandit"]["learned"] or {"observations": 0})["observations"])

        wait_until(lambda: known() >= 40, "observations of a period")
        wait_until(lambda: known() and share(router, "new") > 0.9, "weights that follow the clicks")
        use(router, first, users=40)
        os.kill(router.running.pid, signal.SIGTERM)
        assert router.wait() == 0
        with open_archive(tmp_path / "events") as archive:
            ask = archive.connection.execute
            arms = ask(
                "SELECT unit, count(DISTINCT arm) FROM exposures WHERE unit LIKE '%@%' GROUP BY unit, run, phase"
            ).fetchall()
            epochs = ask(
                "SELECT split_part(unit, '@', 2), count(DISTINCT epoch) FROM exposures WHERE unit LIKE '%@%' GROUP BY 1"
            ).fetchall()
        assert len(arms) > 40
        assert {count for _, count in arms} == {1}
        assert {count for _, count in epochs} == {1}
