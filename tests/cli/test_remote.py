"""Status and restore, against an admin API of the test's own."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from router.cli import app
from router.command import remote, switch

TOKEN = "0123456789abcdef"  # noqa: S105 - the token of this test's own server

MISTAKE = "router.yaml:3: $.server: is wrong"
REVISION = {
    "number": 12,
    "time": 1795354870.6,
    "cause": "restore",
    "author": "ops",
    "held": True,
    "workers": 8,
    "acknowledged": 7,
    "rejected": {"time": 1795354930.0, "mistakes": [{"text": MISTAKE}]},
}
TARGET = {
    "name": "a",
    "version": None,
    "inflight": 3,
    "requests": 20,
    "codes": {"200": 19, "404": 1},
    "faults": {"refused": 2, "tls": 0},
    "endpoints": [{"url": "http://h:1", "weight": 1}, {"url": "http://h:2", "weight": 1}],
}
EXPERIMENT = {
    "name": "ranker-v2",
    "run": 2,
    "phase": 3,
    "arms": [{"name": "control", "share": 1.0}, {"name": "treatment", "share": 0.0}],
    "killed": {"by": "ann", "reason": "p99 doubled", "time": 1795354870.6},
    "invalid": {"time": 1795354870.6, "reason": "the arms do not have their units"},
    "quality": {"status": "invalid", "time": 1795354880.6, "problem": None},
}


class _Api(http.server.BaseHTTPRequestHandler):
    """Answers as the admin API does, and remembers what it was asked."""

    asked: list[tuple[str, str, dict[str, str]]]
    reached = 7

    def do_GET(self) -> None:
        """Answer a question."""
        self._answer()

    def do_POST(self) -> None:
        """Answer a command."""
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
        """Keep the test's output clean."""

    def _answer(self) -> None:
        fields = {name.lower(): value for name, value in self.headers.items()}
        fields["body"] = self.rfile.read(int(fields.get("content-length", 0))).decode()
        self.asked.append((self.command, self.path, fields))
        status = 200
        document: dict[str, object] = {"number": 13}
        if fields.get("authorization") != f"Bearer {TOKEN}":
            status, document = 401, {"title": "Unauthorized"}
        elif self.path == "/v1/revision":
            document = REVISION | {"acknowledged": self.reached}
        elif self.path == "/v1/targets":
            document = {"targets": [TARGET]}
        elif self.path == "/v1/experiments":
            document = {"experiments": [EXPERIMENT]}
        elif self.path.startswith("/v1/experiments/ranker-v2/"):
            document = EXPERIMENT | {"revision": {"number": 13, "workers": 8, "acknowledged": 7, "journal": "written"}}
            type(self).reached = 8
        elif self.path == "/v1/experiments/lossy/kill":
            document = EXPERIMENT | {"revision": {"number": 13, "workers": 8, "acknowledged": 8, "journal": "failed"}}
        elif self.path == "/v1/revisions/99/restore":
            status, document = 404, {"title": "Not found", "detail": "there is no revision 99"}
        elif self.path == "/v1/revisions/7/restore":
            self.send_response(302)
            self.send_header("location", "/v1/revision")
            self.end_headers()
            return
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("etag", '"tag-12"')
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def api() -> Iterator[tuple[str, list[tuple[str, str, dict[str, str]]]]]:
    """Serve an admin API; give its URL and what it was asked."""
    asked: list[tuple[str, str, dict[str, str]]] = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Api", (_Api,), {"asked": asked}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """Write the token to a file."""
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return path


def router(*arguments: str | Path) -> Result:
    """Run the command line."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def test_status_shows_revision_and_targets(api: tuple[str, list[object]], token_file: Path) -> None:
    """Both answers are shown, for people and as JSON."""
    result = router("status", "--admin", api[0], "--token-file", token_file)
    assert result.exit_code == 0
    assert [" ".join(line.split()) for line in result.stdout.splitlines()] == [
        "revision 12 since 2026-11-22 13:41:10 UTC, by restore, author ops",
        "served by 7 of 8 workers",
        "it was restored, and holds until the file changes",
        "the file is refused since 2026-11-22 13:42:10 UTC:",
        MISTAKE,
        "experiment ranker-v2 run 2 phase 3: control 1, treatment 0",
        "killed since 2026-11-22 13:41:10 UTC by ann: p99 doubled",
        "INVALID until fixed, since 2026-11-22 13:41:10 UTC: the arms do not have their units",
        "target version in flight requests codes faults endpoints",
        "a 3 20 200: 19, 404: 1 refused: 2 http://h:1 http://h:2",
    ]
    found = json.loads(router("status", "--admin", api[0], "--token-file", token_file, "--json").stdout)
    assert found["revision"]["number"] == 12


def test_restore_is_conditional(api: tuple[str, list[tuple[str, str, dict[str, str]]]], token_file: Path) -> None:
    """A restore names the revision that its author saw, so that it never undoes a change made in between."""
    result = router("restore", "11", "--admin", api[0], "--token-file", token_file)
    assert (result.exit_code, result.stdout) == (0, "revision 13 restores revision 11\n")
    method, path, fields = api[1][-1]
    assert (method, path, fields["if-match"]) == ("POST", "/v1/revisions/11/restore", '"tag-12"')


def test_refusals_are_passed_on(api: tuple[str, list[object]], token_file: Path) -> None:
    """What the router says is what the user reads."""
    result = router("restore", "99", "--admin", api[0], "--token-file", token_file)
    assert result.exit_code == 1
    assert result.stderr.endswith("refused with status 404: there is no revision 99\n")


def test_a_missing_token_is_named(api: tuple[str, list[object]]) -> None:
    """The way out is in the message."""
    result = router("status", "--admin", api[0])
    assert result.exit_code == 1
    assert result.stderr.endswith("wants a token; name its file with --token-file\n")


def test_redirects_are_not_followed(api: tuple[str, list[tuple[str, str, dict[str, str]]]], token_file: Path) -> None:
    """The token goes nowhere but to the address that was named."""
    result = router("restore", "7", "--admin", api[0], "--token-file", token_file)
    assert result.exit_code == 1
    assert [path for _, path, _ in api[1]] == ["/v1/revision", "/v1/revisions/7/restore"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--admin", "http://127.0.0.1:1"), "router status: no answer from the admin API at 127.0.0.1:1: "),
        (("--admin", "ftp://h"), 'router status: --admin "ftp://h" is not http or https'),
        (("--token-file", "/nowhere/token"), "router status: --token-file /nowhere/token cannot be read: "),
    ],
)
def test_what_is_in_the_way_is_one_sentence(arguments: tuple[str, ...], message: str) -> None:
    """No router, a wrong URL and an unreadable token have status 1 and no traceback."""
    result = router("status", *arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith(message)
    assert len(result.stderr.splitlines()) == 1


def test_kill_waits_until_every_worker_has_it(
    api: tuple[str, list[tuple[str, str, dict[str, str]]]], token_file: Path
) -> None:
    """Who and why are passed on; the command ends when all workers serve the change."""
    options = ("--admin", api[0], "--token-file", token_file)
    result = router("kill", "ranker-v2", "--reason", "p99 doubled", "--author", "ann", *options)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "experiment ranker-v2: control 1, treatment 0; served by 8 of 8\n"
    assert [(method, path) for method, path, _ in api[1]] == [
        ("POST", "/v1/experiments/ranker-v2/kill"),
        ("GET", "/v1/revision"),
    ]
    assert json.loads(api[1][0][2]["body"]) == {"author": "ann", "reason": "p99 doubled"}


def test_resume_answers_in_json(api: tuple[str, list[object]], token_file: Path) -> None:
    """Programs get the experiment, and how far the change has come."""
    result = router("resume", "ranker-v2", "--admin", api[0], "--token-file", token_file, "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert (found["name"], found["revision"]["acknowledged"]) == ("ranker-v2", 8)


def test_a_kill_that_workers_do_not_take_is_a_failure(
    api: tuple[str, list[object]], token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exit status of 0 means that nobody is treated any more."""
    monkeypatch.setattr(switch, "_WAIT_S", 0.0)
    result = router("kill", "ranker-v2", "--admin", api[0], "--token-file", token_file)
    assert result.exit_code == 1
    assert "7 of 8 workers serve it" in result.stderr


def test_a_kill_that_is_not_on_the_disk_is_said(api: tuple[str, list[object]], token_file: Path) -> None:
    """It holds, so the status is 0; that a restart may not know of it is on standard error."""
    result = router("kill", "lossy", "--admin", api[0], "--token-file", token_file)
    assert result.exit_code == 0
    assert "the journal could not be written" in result.stderr


@pytest.mark.parametrize(
    ("quality", "lines"),
    [
        ({"status": None, "time": None, "problem": None}, []),
        (
            {"status": "warn", "time": 1795354870.6, "problem": None},
            ["  data quality at 2026-11-22 13:41:10 UTC: warn"],
        ),
        ({"status": None, "time": None, "problem": "install it"}, ["  data quality is not known: install it"]),
    ],
)
def test_status_says_how_the_data_are(quality: dict[str, object], lines: list[str]) -> None:
    """What was found and when, why nothing is known, or nothing before the first look."""
    found = {**EXPERIMENT, "killed": None, "invalid": None, "quality": quality}
    assert list(remote._experiment(found))[1:] == lines
