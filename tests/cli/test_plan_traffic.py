"""``router plan duration --route``: the traffic of a running router, against an admin API of the test's own."""

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner, Result

from router.cli import app
from router.command.plan_traffic import arrivals_of
from router.command.remote import AdminError

METRICS = """# TYPE router_requests_total counter
router_requests_total{{route="ranker",target="a",code="200"}} {ranker}
router_requests_total{{route="ranker",target="b",code="503"}} 5.0
router_requests_total{{route="idle",target="a",code="200"}} 7.0
router_inflight{{target="a"}} 3.0
"""


class _Api(http.server.BaseHTTPRequestHandler):
    """Counts 40 more requests of the route at each reading."""

    pages: ClassVar[dict[str, Any]] = {}
    readings = 0

    def do_GET(self) -> None:
        """Answer a question."""
        if self.path == "/metrics":
            type(self).readings += 1
            body = METRICS.format(ranker=1000.0 + 40 * type(self).readings).encode()
        else:
            body = json.dumps(self.pages.get(self.path, {})).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
        """Say nothing."""


@pytest.fixture
def api() -> Iterator[str]:
    """Give the URL of an admin API with one experiment on the route."""
    _Api.readings = 0
    _Api.pages = {
        "/v1/experiments": {"experiments": [{"name": "other", "route": "x"}, {"name": "v2", "route": "ranker"}]},
        "/v1/experiments/v2/report": {
            "results": [
                {"slice": {}, "units": 50, "exchanges": 100},
                {"slice": {}, "units": 50, "exchanges": 300},
                {"slice": {"tier": "gold"}, "units": 9, "exchanges": 9},
            ]
        },
    }
    server = http.server.HTTPServer(("127.0.0.1", 0), _Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def _given(url: str, **more: Any) -> dict[str, Any]:
    plain = {"units_per_day": None, "enrolled": "50%", "novelty": None, "route": "ranker", "requests_per_unit": None}
    return {**plain, "sample": 10.0, "admin": url, "token_file": None, **more}


def _waited(seconds: float) -> None:
    assert seconds == 10.0


def test_a_route_is_counted_and_divided_by_what_a_unit_asks(api: str) -> None:
    """Forty requests in ten seconds, and four a unit: 86 400 units a day, of which some return."""
    arrivals, assumed = arrivals_of(_given(api), _waited)
    assert arrivals.per_day == pytest.approx(86_400)
    assert (arrivals.share, arrivals.novelty) == (0.5, 0.75)
    assert "4 requests a second on ranker" in assumed[0]
    assert "v2" in assumed[0]
    assert "some return" in assumed[1]


def test_what_is_known_better_is_believed(api: str) -> None:
    """Requests of a unit and novelty can be given."""
    arrivals, assumed = arrivals_of(_given(api, requests_per_unit=8.0, novelty=1.0), _waited)
    assert arrivals.per_day == pytest.approx(43_200)
    assert "--requests-per-unit" in assumed[0]
    assert "new units" in assumed[1]


@pytest.mark.parametrize(
    ("more", "match"),
    [({"route": "idle"}, "no requests within"), ({"route": "none"}, "there are idle, ranker")],
)
def test_a_route_without_traffic_is_said_so(api: str, more: dict[str, Any], match: str) -> None:
    """A quiet or unknown route is no basis for a plan."""
    with pytest.raises(AdminError, match=match):
        arrivals_of(_given(api, requests_per_unit=1.0, **more), _waited)


def test_without_an_experiment_somebody_has_to_say_how_much_a_unit_asks(api: str) -> None:
    """Nothing is guessed."""
    _Api.pages = {"/v1/experiments": {"experiments": []}}
    with pytest.raises(AdminError, match="--requests-per-unit"):
        arrivals_of(_given(api), _waited)


def test_the_command_asks_the_router(api: str) -> None:
    """From the command line to an answer in days, with what was assumed."""
    command = f"plan duration --total 100000 --route ranker --sample 0.1 --admin {api} --json"
    result: Result = CliRunner().invoke(app, command.split())
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["run_days"] % 7 == 0
    assert len(found["assumptions"]) == 2
