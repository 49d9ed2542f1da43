"""The kill switch, through the admin API and the command line of a real router."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.e2e.running import Router, running, wait_until

SPLIT = {"old": 50.0, "new": 50.0}
USERS = [f"u{number}" for number in range(40)]


def _switch(router: Router, what: str, *options: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "router", what, "e", "--admin", f"http://127.0.0.1:{router.admin_port}", "--json"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=True, timeout=60)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _served(router: Router) -> set[str]:
    """Ask for many users, each on a connection of its own, so that all workers are asked."""
    return {router.served(user)[1] for user in USERS}


def test_no_worker_treats_anybody_once_a_kill_is_acknowledged(tmp_path: Path) -> None:
    """When the command ends, every worker serves the control arm alone; ``resume`` brings the split back."""
    with running(tmp_path, SPLIT, workers=2) as (router, _):
        assert _served(router) == {"old", "new"}
        killed = _switch(router, "kill", "--reason", "p99 doubled")
        assert killed["revision"]["acknowledged"] == killed["revision"]["workers"] == 2
        assert _served(router) == {"old"}
        _switch(router, "resume")
        assert _served(router) == {"old", "new"}


def test_a_kill_survives_edits_and_restarts(tmp_path: Path) -> None:
    """Neither another split in the file, nor a killed control process, nor a restart of the router ends it."""
    with running(tmp_path, SPLIT) as (router, models):
        _switch(router, "kill", "--reason", "p99 doubled")
        targets = {name: model.url for name, model in models.items()}
        router.config.write_text(router.yaml(targets, {"old": 1, "new": 99}))
        wait_until(lambda: router.revision()["number"] == 3 and router.revision()["acknowledged"] == 1, "the edit")
        assert _served(router) == {"old"}

        control = router.child("control")
        os.kill(control, signal.SIGKILL)
        wait_until(lambda: router.child("control") != control and router.ready(), "another control process")
        assert _served(router) == {"old"}

        os.kill(router.running.pid, signal.SIGTERM)
        assert router.wait() == 0
        router.start_ready()
        assert _served(router) == {"old"}
        killed = router.json("/v1/experiments/e")["killed"]
        assert killed["reason"] == "p99 doubled"
        _switch(router, "resume")
        assert "new" in _served(router)
