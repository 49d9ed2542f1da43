"""Whole offline checks against targets on loopback, healthy ones and ill ones."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from router.cli import app
from router.config.schema import Endpoint
from router.evaluate.run import EvaluateError, evaluate
from router.events.evaluated import Evaluated
from router.events.evaluation import Asked, Job
from tests.hostile.ill import Ill

COUNT = 60


class Model(ThreadingHTTPServer):
    """A model server: its answer is wrong for every so many requests, and it keeps what it was sent."""

    daemon_threads = True

    def __init__(self, wrong_every: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.wrong_every = wrong_every
        self.seen: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Model
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        """Answer with the class that the request names, or with the other one."""
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.seen.append({name.lower(): value for name, value in self.headers.items()})
        right = not self.server.wrong_every or asked["n"] % self.server.wrong_every
        said = asked["truth"] if right else 1 - asked["truth"]
        answer = json.dumps({"out": {"label": said, "chance": 0.9 if said else 0.1}, "n": asked["n"]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


def serve(wrong_every: int) -> Iterator[Model]:
    """Run a model server."""
    with Model(wrong_every) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def good() -> Iterator[Model]:
    """A model that is always right."""
    yield from serve(0)


@pytest.fixture
def bad() -> Iterator[Model]:
    """A model that is wrong on each third request."""
    yield from serve(3)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Recorded requests with labels and answers, of 30 users."""
    file = tmp_path / "r.ndjson"
    lines = [
        {
            "path": "/infer", "json": {"n": n, "truth": n % 2}, "label": n % 2, "unit": f"u{n // 2}",
            "expected": {"out": {"label": n % 2}, "n": n},
        }
        for n in range(COUNT)
    ]  # fmt: skip
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def at(url: str) -> Asked:
    """Return a target by its URL."""
    return Asked(name=url, endpoints=(Endpoint(url=url),))


def check(recording: Path, url: str, **more: Any) -> Evaluated:
    """Make a check."""
    given = {"prediction": "/out/label", "ignore": ("/out/chance",), **more}
    job = Job(candidate=at(url), requests=str(recording), **given)
    return asyncio.run(evaluate(job, lambda _done, _total: None))


def test_a_good_target_passes(good: Model, recording: Path) -> None:
    """Every number is there, the requests were marked, and POSTs are owned up to."""
    found = check(recording, good.url, probability="/out/chance", require=("accuracy >= 80%", "agreement >= 80%"))
    assert found.verdict == "pass"
    assert (found.asked, found.labelled, found.expected, found.units) == (COUNT, COUNT, COUNT, 30)
    assert (found.methods, found.causes, found.agreement_with) == ({"POST": COUNT}, {}, "recorded")
    assert {each.name for each in found.measured} >= {"accuracy", "f1", "log_loss", "brier", "ece", "p99"}
    assert all(headers["x-router-shadow"] == "1" for headers in good.seen)
    assert "60 POST requests were sent" in found.notes[0]


def test_a_bad_target_fails_beside_its_baseline(good: Model, bad: Model, recording: Path) -> None:
    """Both were sent everything, and the difference is beyond doubt."""
    found = check(recording, bad.url, baseline=at(good.url), no_worse=0.05)
    assert found.verdict == "fail"
    assert len(good.seen) == len(bad.seen) == COUNT
    accuracy = next(each for each in found.compared if each.name == "accuracy")
    assert (accuracy.only_candidate, accuracy.only_baseline) == (0, 20)
    assert accuracy.p is not None
    assert accuracy.p < 1e-5


def test_too_few_requests_are_inconclusive(good: Model, recording: Path) -> None:
    """Four right answers say little; which four is drawn by the seed."""
    found = check(recording, good.url, limit=4, require=("accuracy >= 90%",))
    assert (found.asked, found.verdict) == (4, "inconclusive")
    assert len(good.seen) == 4


@pytest.mark.parametrize(
    ("illness", "causes"),
    [
        ("dead", {"connect"}),
        ("never accepts", {"timeout"}),
        ("reads nothing", {"timeout"}),
        ("never answers", {"timeout"}),
        ("resets", {"reset"}),
        ("resets at once", {"reset", "connect"}),
        ("hangs up half-way", {"truncated"}),
        ("floods", {"too_long"}),
        ("trickles", {"timeout"}),
        ("talks unasked", {"no prediction", "malformed", "reset"}),
        ("speaks garbage", {"malformed"}),
        ("disagrees", {"no prediction"}),
        ("fails", {"status 500"}),
    ],
)
def test_an_ill_target_fails_with_its_cause(recording: Path, illness: str, causes: set[str]) -> None:
    """Whatever it does, the check ends, within its bounds, and says why nothing was usable."""
    patience = 0.1 if causes == {"timeout"} else 10.0
    with Ill(illness) as ill:
        found = check(recording, f"http://127.0.0.1:{ill.port}", timeout=patience, concurrency=2, limit=4)
    assert found.verdict == "fail"
    assert set(found.causes) <= causes
    assert sum(found.causes.values()) == found.asked == 4


def test_a_hopeless_target_is_not_asked_for_ever(tmp_path: Path) -> None:
    """After a hundred requests without an answer the rest is not sent, and the check says so."""
    file = tmp_path / "many.ndjson"
    file.write_text('{"path": "/x", "json": 1}\n' * 5000)
    with Ill("fails") as ill:
        found = check(file, f"http://127.0.0.1:{ill.port}", concurrency=1)
    assert (found.verdict, found.asked) == ("fail", 100)
    assert any("stopped after 100 requests" in note and "4900" in note for note in found.notes)


def test_time_has_a_bound(recording: Path) -> None:
    """What is not asked in time is not asked."""
    with Ill("never answers") as ill:
        found = check(recording, f"http://127.0.0.1:{ill.port}", timeout=0.05, concurrency=1, seconds=0.001)
    assert found.asked <= 1
    assert any("stopped after 0.001 s" in note for note in found.notes)


@pytest.mark.parametrize(
    ("more", "said"),
    [({"require": ("accuracy is good",)}, "is no requirement"), ({"label": "/unit", "kind": "number"}, "numbers")],
)
def test_what_cannot_be_checked_is_said(good: Model, recording: Path, more: dict[str, Any], said: str) -> None:
    """A requirement that is none, labels of another kind."""
    with pytest.raises(EvaluateError, match=said):
        check(recording, good.url, **more)


def test_the_command_shows_writes_and_exits_with_the_verdict(good: Model, recording: Path, tmp_path: Path) -> None:
    """0 for pass, 1 for fail, 2 for inconclusive, 3 for none of these; the file is the document."""
    runner, out = CliRunner(), tmp_path / "out.json"
    ask = ["evaluate", good.url, "--requests", str(recording), "--prediction", "/out/label", "--require"]
    shown = runner.invoke(app, [*ask, "accuracy >= 80%", "--ignore", "/out/chance", "--out", str(out)])
    assert (shown.exit_code, "verdict: pass" in shown.output) == (0, True)
    written = json.loads(out.read_text())
    assert (written["verdict"], written["target"]) == ("pass", good.url)
    assert "NaN" not in out.read_text()
    assert runner.invoke(app, [*ask, "accuracy <= 50%"]).exit_code == 1
    as_json = runner.invoke(app, [*ask, "accuracy >= 99.9%", "--json"])
    assert (as_json.exit_code, json.loads(as_json.stdout)["verdict"]) == (2, "inconclusive")
    for wrong in (["nobody"], [good.url, "--timeout", "soon"], [good.url, "--prediction", "label"]):
        refused = runner.invoke(app, ["evaluate", *wrong, "--requests", str(recording)])
        assert refused.exit_code == 3
    missing = runner.invoke(app, ["evaluate", good.url, "--requests", str(tmp_path / "gone")])
    assert missing.exit_code == 3


def test_a_target_of_a_configuration_is_asked_by_name(good: Model, recording: Path, tmp_path: Path) -> None:
    """With its version; a name that it lacks is a mistake that names those that it has."""
    config = tmp_path / "router.yaml"
    config.write_text(
        f'targets: [{{name: new, version: "7", endpoints: ["{good.url}"]}}]\nroutes: [{{name: r, target: new}}]\n'
    )
    ask = ["--config", str(config), "--requests", str(recording), "--prediction", "/out/label", "--json"]
    found = CliRunner().invoke(app, ["evaluate", "new", *ask])
    assert found.exit_code in (0, 2)
    assert (json.loads(found.stdout)["target"], json.loads(found.stdout)["version"]) == ("new", "7")
    unknown = CliRunner().invoke(app, ["evaluate", "old", *ask])
    assert unknown.exit_code == 3
    assert "there is no target 'old'; there are new" in unknown.output
