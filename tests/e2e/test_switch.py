"""A blue-green switch on a real router, under load, and the way back."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.running import Model, Router, running, wait_until
from tests.e2e.test_restart import Load

LINES = """
metrics: [{name: errors, kind: ratio, exchange: failed, goal: down}]
experiments:
  - name: e
    route: r
    arms: [{name: blue, target: old}, {name: green, target: new}]
    allocate:
      use: blue_green
      approve: true
      preview: {header: x-preview}
      tests: [{path: /smoke, repeat: 3}]
    metrics: {primary: errors, guardrails: [{metric: errors, at_most: 50%, action: rollback}]}
"""


@contextmanager
def switching(folder: Path) -> Iterator[tuple[Router, dict[str, Model]]]:
    """Run a router with a release from ``old`` to ``new`` that waits for approval."""
    with running(folder, {}, workers=2) as (router, models):
        router.config.write_text(router.config.read_text() + LINES)
        wait_until(lambda: _release(router).get("status") == "waiting", "green to be ready")
        yield router, models


def _release(router: Router) -> dict[str, Any]:
    found: dict[str, Any] = router.json("/v1/experiments/e").get("release") or {}
    return found


def _numbers(router: Router, action: str) -> dict[str, float]:
    """Return the numbers of the newest decision of a kind."""
    found = router.json(f"/v1/experiments/e/decisions?action={action}")["decisions"]
    return dict(found[0].get("numbers", {})) if found else {}


def test_a_switch_and_its_way_back_lose_nothing_and_are_timed(tmp_path: Path) -> None:
    """Under load no request fails; everybody is on one side at a time; the time each way took is in the log."""
    with switching(tmp_path) as (router, models):
        assert models["new"].requests == 3
        assert router.served("u1") == (200, "old")
        assert router.ask("/", port=router.port, x_preview="1")[1] == b"new"
        status, held = router.ask("/v1/experiments/e/drill", "POST")
        assert (status, b'"kill_s"' in held, b'"rollback_s"' in held) == (200, True, True)
        load = Load(router)
        with load.going():
            wait_until(lambda: load.done > 50, "some load")
            assert router.ask("/v1/experiments/e/approve", "POST", if_match="*")[0] == 200
            there = wait_until(lambda: _numbers(router, "switched"), "the end of the switch")
            assert {router.served(f"u{number}")[1] for number in range(20)} == {"new"}
            assert router.ask("/v1/experiments/e/drill", "POST")[0] == 409
            assert router.ask("/v1/experiments/e/rollback", "POST", if_match="*")[0] == 200
            back = wait_until(
                lambda: (_numbers(router, "switched") != there) and _numbers(router, "switched"), "the way back"
            )
            assert {router.served(f"u{number}")[1] for number in range(20)} == {"old"}
        assert load.failed == []
        for numbers in (there, back):
            assert {"acknowledged_s", "drained_s"} <= numbers.keys()
        assert _release(router)["step"] == "rolled_back"
