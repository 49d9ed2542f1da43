"""A release on a real router, with real traffic."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.running import Model, Router, running, wait_until

USERS = [f"u{number}" for number in range(30)]


@contextmanager
def releasing(folder: Path, allocate: str, workers: int = 2) -> Iterator[tuple[Router, dict[str, Model]]]:
    """Run a router with a release from ``old`` to ``new``."""
    with running(folder, {}, workers=workers) as (router, models):
        lines = (
            "experiments:",
            "  - name: e",
            "    route: r",
            "    arms: [{name: old, target: old}, {name: new, target: new}]",
            f"    allocate: {{use: rollout, {allocate}}}",
            "    metrics: {primary: errors, guardrails: [{metric: errors, ratio: 2.0}]}",
            "metrics: [{name: errors, kind: ratio, exchange: failed, goal: down}]",
            f"notify: [{{use: command, run: [sh, -c, 'cat >> {folder}/told'], events: [rollback]}}]",
        )
        router.config.write_text(router.config.read_text() + "\n".join(lines) + "\n")
        yield router, models


def _release(router: Router) -> dict[str, Any]:
    found: dict[str, Any] = router.json("/v1/experiments/e").get("release") or {}
    return found


def _served(router: Router) -> float:
    """Ask for many users, each on a connection of its own; return the share that the new version answered."""
    answers = [router.served(user)[1] for user in USERS]
    return answers.count("new") / len(answers)


def test_a_rollout_moves_traffic_stage_by_stage_to_its_end(tmp_path: Path) -> None:
    """Each stage has its share on all workers; full share keeps some control until the bake is over, then nobody."""
    stages = "{share: 50%, hold: 1s, require: []}, {share: 100%, hold: 1s, require: []}"
    with releasing(tmp_path, f"stages: [{stages}], keep_control: 20%, bake: 1s") as (router, _):
        wait_until(lambda: _release(router).get("share") == 0.5, "the first stage")
        assert 0.2 < _served(router) < 0.8
        wait_until(lambda: _release(router).get("share") == 0.8, "the full share")
        assert 0.6 < _served(router) < 1.0
        wait_until(lambda: _release(router).get("step") == "done", "the end")
        wait_until(lambda: _served(router) == 1.0, "all workers")
        assert [each["step"] for each in _release(router)["trail"]] == ["stage 1", "stage 2", "bake", "done"]


def test_a_version_that_fails_is_rolled_back_by_itself(tmp_path: Path) -> None:
    """The new version breaks in mid-rollout: soon every worker serves the old one alone, and the log says why."""
    with releasing(tmp_path, "stages: [{share: 50%, hold: 1h}]") as (router, models):
        wait_until(lambda: _release(router).get("share") == 0.5, "the first stage")
        assert 0.2 < _served(router) < 0.8
        models["new"].broken = True
        wait_until(lambda: _served(router) == 0.0 and _release(router).get("step") == "rolled_back", "the rollback")
        decided = router.json("/v1/experiments/e/decisions?action=rollback")["decisions"]
        assert len(decided) == 1
        assert decided[0]["reason"].startswith("in stage 1: errors ratio 2")
        assert decided[0]["share"] == 0.0
        told = tmp_path / "told"
        wait_until(lambda: told.exists() and told.read_text().endswith("\n"), "the notification")
        assert json.loads(told.read_text())["found"][1]["name"] == "errors ratio 2"
        path = "/v1/experiments/e/postmortems"
        wait_until(lambda: router.json(path)["postmortems"], "the post-mortem report")
        report = router.json(f"{path}/{router.json(path)['postmortems'][0]['id']}")
        assert [each["name"] for each in report["fired"]] == ["errors ratio 2"]
        assert report["reaction"]["acknowledged_s"] < 5
        assert {each["arm"] for each in report["exposed"]} == {"old", "new"}


def test_a_version_that_fails_on_copies_gets_no_traffic(tmp_path: Path) -> None:
    """It passes the offline check, breaks, and is found out by copies: every caller was answered by the old version."""
    (tmp_path / "recorded.ndjson").write_text('{"path": "/"}\n' * 500)
    steps = "offline: {requests: recorded.ndjson}, shadow: {for: 1h, share: 100%}, stages: [{share: 50%, hold: 1h}]"
    with releasing(tmp_path, steps) as (router, models):
        wait_until(lambda: _release(router).get("step") == "shadow", "the end of the offline check")
        assert _served(router) == 0.0
        models["new"].broken = True
        wait_until(lambda: _served(router) > 0 or _release(router).get("step") == "rolled_back", "the end")
        assert _served(router) == 0.0
        found = _release(router)
        assert (found["step"], found["share"]) == ("rolled_back", 0.0)
        assert found["reason"].startswith("in shadow: shadow: ")
        assert [each["step"] for each in found["trail"]] == ["offline", "shadow", "rolled back"]
