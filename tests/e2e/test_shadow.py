"""Shadows of a whole router: what is written down, what is shown, and an end that does not wait for them."""

import signal
import socket
from pathlib import Path

from router.events.read import read, read_shadows
from tests.e2e.running import Model, Router, wait_until

REQUESTS = 30


def _start(folder: Path, primary: Model, shadow: str, workers: int = 1) -> Router:
    router = Router(folder, workers=workers)
    text = router.yaml({"old": primary.url, "new": shadow}, {})
    copies = "shadow: [{target: new, share: 100%, compare: {}}]"
    router.config.write_text(text.replace("unit: [header:x-user-id]}", f"unit: [header:x-user-id], {copies}}}"))
    router.start_ready()
    return router


def test_comparisons_are_logged_counted_and_shown(tmp_path: Path) -> None:
    """The event log, the metrics and /v1/targets agree on every comparison, over two workers."""
    with Model("old") as old, Model("new") as new:
        router = _start(tmp_path, old, new.url, workers=2)
        try:
            for number in range(REQUESTS):
                assert router.served(f"user-{number}") == (200, "old")
            wait_until(lambda: len(list(read_shadows(tmp_path / "events"))) == REQUESTS, "an event for each comparison")
            events = list(read_shadows(tmp_path / "events"))
            assert {(event.result, event.agree, event.differences) for event in events} == {
                ("differ", False, ("body",))
            }
            assert {event.unit for event in events} == {f"user-{number}" for number in range(REQUESTS)}
            assert {event.request_id for event in events} >= {event.request_id for event in read(tmp_path / "events")}
            (shadow,) = router.json("/v1/targets")["targets"][1]["shadows"]
            assert (shadow["compared"], shadow["agreed"], shadow["agreement"]) == (REQUESTS, 0, 0.0)
            metrics = router.ask("/metrics")[1].decode()
            assert f'router_shadow_total{{result="differ",target="new"}} {REQUESTS}.0' in metrics
            assert 'router_shadow_inflight{target="new"} 0.0' in metrics
            assert 'router_requests_total{code="200",route="r",target="new"}' not in metrics
            assert (old.requests, new.requests) == (REQUESTS, REQUESTS)
        finally:
            router.close()


def test_a_shutdown_does_not_wait_for_a_shadow(tmp_path: Path) -> None:
    """The shadow never answers; the router ends in order all the same, and without cutting anybody."""
    with Model("old") as old, socket.create_server(("127.0.0.1", 0)) as silent:
        router = _start(tmp_path, old, f"http://127.0.0.1:{silent.getsockname()[1]}")
        try:
            for number in range(REQUESTS):
                assert router.served(f"user-{number}") == (200, "old")
            targets = router.json("/v1/targets")["targets"]
            assert targets[1]["shadows"][0]["inflight"] == REQUESTS
            router.running.send_signal(signal.SIGTERM)
            assert router.wait() == 0
            assert "are cut at the end of the drain" not in router.said()
        finally:
            router.close()
