"""Notifications for tests, in few words."""

from typing import Any

from router.events.rollout import Found
from router.notify.notice import Notice

FAILED = Found(
    name="errors ratio 2", status="fail", action="rollback", reason="8 of 100 failed, 2 of 100 in control",
    estimate=4.0, low=2.1, margin=2.0, counts={"treatment_failures": 8.0},
)  # fmt: skip


def notice(**changes: Any) -> Notice:
    """Make a notification of a rollback."""
    fields: dict[str, Any] = {
        "id": "ramp-1-00000000", "time": 1_800_000_000.0, "event": "rollback", "severity": "critical",
        "text": "errors doubled", "experiment": "ramp", "run": 3, "step": "stage", "stage": 1, "status": "over",
        "share": 0.05, "revision": 12, "found": (FAILED,), "links": {"report": "/v1/experiments/ramp/report"},
    }  # fmt: skip
    return Notice(**(fields | changes))
