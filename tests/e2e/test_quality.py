"""A broken sample ratio in front of a whole router: it is marked on every interface, and stays so until it is fixed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec

from router.events.model import Enrolment, Exchange
from tests.e2e.running import Router, running, wait_until
from tests.events.examples import exchange

SPLIT = {"old": 50.0, "new": 50.0}


def _exchange(number: int, arm: str) -> Exchange:
    return msgspec.structs.replace(
        exchange(number),
        time=1_790_000_000.0 + number,
        revision=1,
        route="r",
        target=arm,
        unit=f"user-{number}",
        experiments=(Enrolment("e", 1, 1, 0, arm, 0.5, arm),),
    )


def _lose_half_of_one_arm(folder: Path) -> None:
    """Write the log of 3000 units of which those of the new model are lost every other time."""
    arms = [("old", "new")[number % 2] for number in range(4000)]
    kept = [_exchange(number, arm) for number, arm in enumerate(arms) if arm == "old" or number % 4 == 1]
    folder.mkdir(parents=True)
    segment = folder / "exchange-20260921T000000Z-w0-999999-000001.ndjson"
    segment.write_bytes(msgspec.json.Encoder().encode_lines(kept))


def _invalid(router: Router) -> bool:
    return router.json("/v1/experiments/e")["invalid"] is not None


def _status(router: Router, *options: str) -> str:
    command = [sys.executable, "-m", "router", "status", "--admin", f"http://127.0.0.1:{router.admin_port}", *options]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_a_broken_ratio_is_marked_everywhere_until_a_new_phase(tmp_path: Path) -> None:
    """API, report, assignments, command line, metrics and log say so; a restart keeps it, other shares end it."""
    _lose_half_of_one_arm(tmp_path / "events")
    with running(tmp_path, SPLIT) as (router, models):
        wait_until(lambda: _invalid(router), "the mark")
        report = router.json("/v1/experiments/e/report")
        assert report["promotion"]["allowed"] is False
        assert report["quality"][0]["sample_ratio"]["observed"] == {"new": 1000, "old": 2000}
        assert "old has 2000, was due 1500" in router.json("/v1/experiments")["experiments"][0]["invalid"]["reason"]
        assert "was due 1500" in router.json("/v1/assign?route=r&unit=u")["invalid"]
        assert "INVALID until fixed" in _status(router)
        assert (
            json.loads(_status(router, "--json"))["experiments"]["experiments"][0]["invalid"]["check"] == "sample_ratio"
        )
        assert b'router_experiment_invalid{experiment="e"} 1.0' in router.ask("/metrics")[1]
        assert "experiment 'e' is invalid in run 1, phase 1, until fixed" in router.said()

        os.kill(router.running.pid, signal.SIGTERM)
        assert router.wait() == 0
        for segment in (tmp_path / "events").glob("exchange-*"):
            segment.unlink()
        router.start_ready()
        assert _invalid(router)

        targets = {name: model.url for name, model in models.items()}
        router.config.write_text(router.yaml(targets, {"old": 60, "new": 40}))
        wait_until(lambda: not _invalid(router), "the end of the mark")
