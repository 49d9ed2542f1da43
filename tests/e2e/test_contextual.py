"""A contextual bandit in a whole router: clicks of a kind of caller decide what that kind gets, and logs stay true."""

import http.client
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from router.archive.reading import open_archive
from router.cli import app
from tests.e2e.running import DEADLINE_S, Model, Router, wait_until

METRICS = "metrics: [{name: ctr, kind: proportion, outcome: click, window: 1s, goal: up}]\n"
POLICY = "use: linear_thompson, reward: ctr, features: [tier], update: 1s, floor: 5%, warm_up: {units: 20}"
REQUESTS = 120


@contextmanager
def learning(folder: Path) -> Iterator[Router]:
    """Run a router with a policy on tier in front of the models ``old`` and ``new``."""
    with Model("old") as old, Model("new") as new:
        router = Router(folder)
        text = router.yaml({"old": old.url, "new": new.url}, {"old": 1.0, "new": 1.0})
        text = text.replace("unit: [header:x-user-id]", "unit: [header:x-user-id], attributes: {tier: header:x-tier}")
        keys = f"unit: [request], metrics: {{primary: ctr}}, allocate: {{{POLICY}}},"
        router.config.write_text(METRICS + text.replace("{name: e, route: r,", f"{{name: e, route: r, {keys}"))
        try:
            router.start_ready()
            yield router
        finally:
            router.close()


def use(router: Router, first: int) -> dict[str, list[str]]:
    """Send requests of two tiers; gold clicks on what the new model answers, free on the old one's."""
    answers: dict[str, list[str]] = {"gold": [], "free": []}
    clicks = []
    connection = http.client.HTTPConnection("127.0.0.1", router.port, timeout=DEADLINE_S)
    for number in range(first, first + REQUESTS):
        ident, tier = f"request-{number}", ("gold", "free")[number % 2]
        connection.request("GET", "/", headers={"x-user-id": "u", "x-request-id": ident, "x-tier": tier})
        answered = connection.getresponse().read().decode()
        answers[tier].append(answered)
        if (answered == "new") == (tier == "gold"):
            clicks.append({"id": ident, "outcome": "click", "value": 1, "request_id": ident})
    connection.close()
    connection = http.client.HTTPConnection("127.0.0.1", router.admin_port, timeout=DEADLINE_S)
    connection.request("POST", "/v1/outcomes", json.dumps(clicks), {"Content-Type": "application/json"})
    assert json.loads(connection.getresponse().read())["accepted"] == len(clicks)
    connection.close()
    return answers


def learned(router: Router) -> dict[str, Any]:
    """Return what the API says the policy has learned."""
    return dict(router.json("/v1/experiments/e")["bandit"]["learned"] or {"observations": 0, "warm": False})


def test_each_kind_of_caller_gets_what_it_clicks_on(tmp_path: Path) -> None:
    """Gold gets the new model and free the old one, but for the floor; the log has the exact propensities of that."""
    with learning(tmp_path) as router:
        first = use(router, 0)
        assert {answer for answers in first.values() for answer in answers} == {"old", "new"}
        wait_until(lambda: learned(router)["warm"] and learned(router)["observations"] == REQUESTS, "a model")
        wait_until(lambda: router.revision()["acknowledged"] == router.revision()["workers"], "workers that have it")
        assert router.revision()["author"] == "linear_thompson"
        second = use(router, REQUESTS)
        # Each is right with a probability of 0.9 to 0.95; that 60 have fewer than 40 has one below 1e-6.
        assert second["gold"].count("new") >= 40
        assert second["free"].count("old") >= 40
        os.kill(router.running.pid, signal.SIGTERM)
        assert router.wait() == 0
    with open_archive(tmp_path / "events") as archive:
        rows = archive.connection.execute(
            "SELECT arm, attributes, propensity FROM exposures WHERE epoch > 0"
        ).fetchall()
    assert len(rows) >= REQUESTS
    assert all("tier" in json.loads(attributes) for _, attributes, _ in rows)
    shares = {(arm, json.loads(about)["tier"]): propensity for arm, about, propensity in rows}
    assert shares["new", "gold"] > 0.85
    assert all(0.05 <= propensity <= 0.95 + 1e-9 for _, _, propensity in rows)
    result = CliRunner().invoke(
        app, ["replay", "--events", str(tmp_path / "events"), "--policy", "always:new", "--json"]
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["features"] > 0
    assert abs(found["policies"]["always:new"]["estimates"]["overlap"]["mean"] - 1) < 0.6
