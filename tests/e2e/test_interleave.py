"""From a request to two rankers to the preference that clicks come to, over a whole router."""

import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from router.events.read import read
from tests.e2e.running import DEADLINE_S, Router, wait_until
from tests.e2e.test_outcomes import post

REQUESTS = 40
UNITS = 20


@contextmanager
def ranker(*items: str) -> Iterator[str]:
    """Serve a ranked list; give its address."""
    body = json.dumps({"items": [{"id": item} for item in items]}).encode()

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(DEADLINE_S)


def ask(connection: http.client.HTTPConnection, number: int) -> list[str]:
    """Ask as one of the units; return the list."""
    unit, ident = f"user-{number % UNITS}", f"request-{number}"
    connection.request("GET", "/", headers={"x-user-id": unit, "x-request-id": ident})
    return [item["id"] for item in json.loads(connection.getresponse().read())["items"]]


def test_clicks_on_items_say_which_ranker_is_preferred(tmp_path: Path) -> None:
    """People want what the new ranker finds: clicks on its item, wherever it stands, are its wins."""
    with ranker("old", "both") as old, ranker("new", "both") as new:
        router = Router(tmp_path)
        text = router.yaml({"v1": old, "v2": new}, {"v1": 1, "v2": 1})
        allocate = "allocate: {use: interleave, list: /items, id: /id}, route: r, arms:"
        router.config.write_text(text.replace("route: r, arms:", allocate))
        router.start_ready()
        try:
            connection = http.client.HTTPConnection("127.0.0.1", router.port, timeout=DEADLINE_S)
            shown = [ask(connection, number) for number in range(REQUESTS)]
            connection.close()
            assert {tuple(items) for items in shown} == {("old", "new"), ("new", "old")}
            clicks = [
                {"id": f"c{number}", "outcome": "click", "request_id": f"request-{number}", "item": "new"}
                for number in range(REQUESTS)
            ]
            assert post(router, clicks)[1]["accepted"] == len(clicks)
            wait_until(lambda: len(list(read(tmp_path / "events"))) == REQUESTS, "the exposures")
            credit = analyzed(tmp_path / "events")
        finally:
            router.running.terminate()
            router.wait()
    assert (credit["arms"], credit["shown"], credit["units"]) == (["v1", "v2"], REQUESTS, UNITS)
    assert (credit["wins"], credit["ties"], credit["preferred"]) == ([0, REQUESTS], 0, [0, UNITS])
    assert credit["unmatched"] == 0


def analyzed(events: Path) -> dict[str, Any]:
    """Return what ``router analyze`` says of the clicks."""
    command = [sys.executable, "-m", "router", "analyze", "e", "--events", str(events), "--json"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    found = json.loads(done.stdout)
    (credit,) = (found["experiments"]["e"] if "experiments" in found else found)["credits"]
    assert credit["outcome"] == "click"
    result: dict[str, Any] = credit
    return result
