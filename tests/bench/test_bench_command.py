"""Promises of ``router bench`` as a user meets it: exit status, outputs, drawings."""

import io
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from msgspec.structs import replace

from router.bench.command import bench
from router.bench.plan import Options

SHORT = Options(rate=200, seconds=0.2, connections=2)


class Answers(BaseHTTPRequestHandler):
    """Answers 200, or 503 under /broken."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(503 if self.path == "/broken" else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    """Run a server in a thread; give its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def run(url: str, options: Options) -> tuple[int, str, str]:
    """Run the command; return exit status, output and errors."""
    output, errors = io.StringIO(), io.StringIO()
    return bench(url, options, output, errors), output.getvalue(), errors.getvalue()


def test_a_run_without_failures_exits_0_and_shows_quantiles_and_a_histogram(url: str) -> None:
    """The table, the bars, and nothing on the error output but doubt."""
    status, output, _errors = run(url, SHORT)
    assert status == 0
    assert "40 requests at 200/s over 2 connections: 40 answered" in output
    assert "p50" in output
    assert "█" in output


def test_json_is_one_document_and_nothing_else(url: str) -> None:
    """Programs can read the output as it is."""
    status, output, _errors = run(url, replace(SHORT, json=True))
    report = json.loads(output)
    assert status == 0
    assert (report["offered"], report["answered"], report["failed"]) == (40, 40, 0)
    assert report["codes"] == {"200": 40}
    assert sum(report["latency"]["buckets"]) == 40
    assert "doubt" in report


def test_a_failed_request_exits_1_unless_errors_are_allowed(url: str) -> None:
    """Error statuses are failures, counted by status."""
    status, output, _errors = run(f"{url}/broken", SHORT)
    allowed, _output, _errors = run(f"{url}/broken", replace(SHORT, allow_errors=True))
    assert (status, allowed) == (1, 0)
    assert "failed: 40 of 40: status 503" in output


def test_a_mistake_exits_1_with_one_sentence() -> None:
    """No traceback, no output."""
    status, output, errors = run("nonsense", SHORT)
    assert (status, output) == (1, "")
    assert errors == 'router bench: "nonsense" is not a URL like http://127.0.0.1:8080/path\n'


def test_an_svg_is_drawn_without_any_library(url: str, tmp_path: Path) -> None:
    """The file is well-formed and has the curve."""
    file = tmp_path / "latency.svg"
    status, _output, _errors = run(f"{url}/?a=<b>&c", replace(SHORT, plot=file))
    root = ET.fromstring(file.read_text())  # noqa: S314 - written a line above
    (curve,) = root.iter("{http://www.w3.org/2000/svg}polyline")
    assert status == 0
    assert len(curve.attrib["points"].split()) >= 2


def test_a_png_is_drawn_with_matplotlib(url: str, tmp_path: Path) -> None:
    """The file is a PNG."""
    file = tmp_path / "latency.png"
    status, _output, _errors = run(url, replace(SHORT, plot=file))
    assert status == 0
    assert file.read_bytes().startswith(b"\x89PNG")


def test_a_png_without_matplotlib_is_refused_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The sentence says what to install and what works without."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    status, output, errors = run("http://127.0.0.1:1/", replace(SHORT, plot=tmp_path / "x.png"))
    assert (status, output) == (1, "")
    assert "pip install matplotlib" in errors
    assert ".svg" in errors


def test_a_plot_that_cannot_be_written_is_said(url: str, tmp_path: Path) -> None:
    """The result is still printed."""
    status, output, errors = run(url, replace(SHORT, plot=tmp_path / "missing" / "x.svg"))
    assert status == 1
    assert "40 answered" in output
    assert "No such file or directory" in errors
