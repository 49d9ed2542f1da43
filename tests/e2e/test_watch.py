"""What is watched on a real router."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from pathlib import Path

from tests.e2e.running import Router, running, wait_until

MEMORY = (100.0, 103.0, 98.0, 101.0, 97.0, 102.0, 99.0)


class Leaky:
    """A model server whose answers are fine, and which says how much memory it has."""

    def __init__(self) -> None:
        self.leaked = 0.0
        leaky, noise, lock = self, cycle(MEMORY), threading.Lock()

        class Answer(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with lock:
                    said = f"# TYPE memory_bytes gauge\nmemory_bytes {next(noise) + leaky.leaked}\n"
                body = said.encode() if self.path == "/metrics" else b"new"
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@contextmanager
def leaking() -> Iterator[Leaky]:
    """Serve in a thread."""
    leaky = Leaky()
    thread = threading.Thread(target=leaky.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield leaky
    finally:
        leaky.server.shutdown()
        leaky.server.server_close()
        thread.join()


def _states(router: Router) -> list[str]:
    """Return how the streams stand; none is known before the first look."""
    return [stream["status"] for stream in router.json("/v1/watch")["streams"]]


WATCHED = """\
experiments:
  - name: e
    route: r
    arms: [{name: old, target: old}, {name: new, target: new}]
    allocate: {use: rollout, stages: [{share: 50%, hold: 1h}]}
watch:
  - {scrape: /metrics, gauge: memory_bytes, target: new, severity: critical, interval: 100ms, reference: 12}
"""


def test_a_leak_that_no_request_notices_rolls_a_release_back(tmp_path: Path) -> None:
    """Memory of the new version leaves its course: every worker serves the old one, and the decision log says why."""
    with leaking() as leaky, running(tmp_path, {}, workers=2) as (router, models):
        text = router.config.read_text().replace(models["new"].url, leaky.url)
        router.config.write_text(text + WATCHED)
        wait_until(lambda: router.json("/v1/experiments/e").get("release", {}).get("share") == 0.5, "the first stage")
        wait_until(lambda: _states(router)[:1] == ["quiet"], "a stream that has learned")
        leaky.leaked = 400.0
        wait_until(lambda: router.json("/v1/experiments/e")["release"]["step"] == "rolled_back", "the rollback")
        wait_until(
            lambda: {router.served(f"u{user}")[1] for user in range(20)} == {"old"}, "traffic on the old version"
        )
        decided = router.json("/v1/experiments/e/decisions")["decisions"]
        reasons = {each["action"]: each["reason"] for each in decided}
        assert "memory_bytes left its usual course" in reasons["anomaly"]
        assert "watch memory_bytes cusum" in reasons["rollback"]
        assert 'router_watch_anomaly{arm="new"' in router.ask("/metrics")[1].decode()
