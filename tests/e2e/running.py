"""A whole router as processes, model servers behind it, and ways to look at both from outside."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from tests.ports import free_ports

DEADLINE_S = 20.0
SERVE = (sys.executable, "-m", "router", "serve")
STUB = (sys.executable, "-m", "tests.e2e.stub_router")


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    """Wait until something is true, and return it."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        with suppress(OSError, http.client.HTTPException):
            if result := condition():
                return result
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come true within {DEADLINE_S} s")


class _Server(ThreadingHTTPServer):
    """One that takes as many connections at once as a test opens."""

    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing about connections that the router cut."""


class Model:
    """A model server that answers its name; requests for ``/hold`` wait until ``release``."""

    def __init__(self, name: str) -> None:
        self.held = threading.Event()
        self.release = threading.Event()
        self.requests = 0
        self.broken = False  # whether it answers with an error
        model = self

        class Answer(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                model.requests += 1
                if self.path == "/hold":
                    model.held.set()
                    model.release.wait(DEADLINE_S)
                self.send_response(500 if model.broken else 200)
                self.send_header("content-length", str(len(name)))
                self.end_headers()
                self.wfile.write(name.encode())

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = _Server(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(DEADLINE_S)


class Router:
    """A router that runs in a folder of its own."""

    def __init__(self, folder: Path, *, workers: int = 1, shutdown_delay: str = "0s", server: str = "") -> None:
        """Choose ports; nothing runs yet.

        Args:
            folder: Where configuration, events and log go.
            workers: Number of workers.
            shutdown_delay: As the configuration writes it.
            server: Further keys of ``server``, as YAML flow mapping content.
        """
        self.folder = folder
        self.port, self.admin_port = free_ports(2)
        self.config = folder / "router.yaml"
        self.log = folder / "log"
        self._server = server
        self._shutdown_delay = shutdown_delay
        self._workers = workers
        self.process: subprocess.Popen[bytes] | None = None

    def yaml(self, targets: dict[str, str], weights: dict[str, float]) -> str:
        """Write the configuration: one route, and one experiment with an arm for each target."""
        arms = ", ".join(f"{{name: {name}, target: {name}, weight: {weight}}}" for name, weight in weights.items())
        delay, more = self._shutdown_delay, self._server and f", {self._server}"
        server = f"listen: '127.0.0.1:{self.port}', workers: {self._workers}, shutdown_delay: {delay}, drain: 5s{more}"
        lines = [
            f"server: {{{server}}}",
            f"admin: {{listen: '127.0.0.1:{self.admin_port}'}}",
            f"events: {{dir: '{self.folder / 'events'}'}}",
            "targets:",
            *(f"  - {{name: {name}, endpoints: ['{url}']}}" for name, url in targets.items()),
            f"routes: [{{name: r, target: {next(iter(targets))}, unit: [header:x-user-id]}}]",
            *([f"experiments: [{{name: e, route: r, arms: [{arms}]}}]"] if weights else []),
        ]
        return "\n".join(lines) + "\n"

    def start(self, command: tuple[str, ...] = SERVE, **environment: str) -> None:
        """Start, without waiting for anything."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, str(self.config)],
                stdin=subprocess.DEVNULL,
                stderr=log,
                stdout=log,
                env={**os.environ, **environment},
            )

    def start_ready(self, command: tuple[str, ...] = SERVE, **environment: str) -> None:
        """Start, and wait until every worker serves."""
        self.start(command, **environment)
        wait_until(self.ready, "readiness")

    @property
    def running(self) -> subprocess.Popen[bytes]:
        """Return the supervisor's process."""
        assert self.process is not None
        return self.process

    def wait(self) -> int:
        """Wait for the end; return the exit code."""
        return self.running.wait(DEADLINE_S)

    def said(self) -> str:
        """Return the log so far."""
        return self.log.read_text()

    # --- Looking ------------------------------------------------------------------------------------------------

    def children(self, kind: str = "") -> list[int]:
        """Return the process ids of the children that live, oldest first; of one kind, ``worker`` or ``control``."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with suppress(OSError):
                status = (entry / "stat").read_text().rpartition(")")[2].split()
                command = (entry / "cmdline").read_bytes().split(b"\0")
                alive = status[0] != "Z" and int(status[1]) == self.running.pid
                if alive and (not kind or {kind.encode(), f"tests.e2e.stub_{kind}".encode()} & set(command)):
                    found.append(int(entry.name))
        return sorted(found)

    def child(self, kind: str) -> int:
        """Wait for the one child of a kind."""
        return int(wait_until(lambda: (self.children(kind) or [0])[0], f"a {kind}"))

    def ask(self, path: str, method: str = "GET", port: int | None = None, **headers: str) -> tuple[int, bytes]:
        """Ask the admin API, or another port; return status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.admin_port, timeout=DEADLINE_S)
        try:
            connection.request(method, path, headers={name.replace("_", "-"): text for name, text in headers.items()})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def json(self, path: str) -> Any:
        """Ask the admin API for JSON."""
        return json.loads(self.ask(path)[1])

    def ready(self) -> bool:
        """Ask whether every worker serves."""
        return self.ask("/readyz")[0] == 200

    def revision(self) -> Any:
        """Ask for the present revision."""
        return self.json("/v1/revision")

    def served(self, user: str = "u", path: str = "/") -> tuple[int, str]:
        """Send a request as a caller; return status and body."""
        status, body = self.ask(path, port=self.port, x_user_id=user)
        return status, body.decode()

    def connect(self) -> socket.socket:
        """Connect as a caller."""
        return socket.create_connection(("127.0.0.1", self.port), DEADLINE_S)

    # --- Ending -------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Kill what is left."""
        if self.process is None or self.process.poll() is not None:
            return
        children = self.children()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            for pid in (self.process.pid, *children):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait(DEADLINE_S)


@contextmanager
def running(
    folder: Path, weights: dict[str, float] | None = None, **options: Any
) -> Iterator[tuple[Router, dict[str, Model]]]:
    """Run a router in front of the models ``old`` and ``new``, and wait until it is ready."""
    command, environment = options.pop("command", SERVE), options.pop("environment", {})
    with Model("old") as old, Model("new") as new:
        models = {"old": old, "new": new}
        router = Router(folder, **options)
        weights = {"old": 100, "new": 0} if weights is None else weights
        router.config.write_text(router.yaml({name: model.url for name, model in models.items()}, weights))
        try:
            router.start_ready(command, **environment)
            yield router, models
        finally:
            for model in models.values():
                model.release.set()
            router.close()


def gone(pid: int) -> bool:
    """Return whether a process has ended, reaped or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def read_response(caller: socket.socket) -> tuple[int, bytes]:
    """Read one response with a Content-Length; return status and body."""
    with http.client.HTTPResponse(caller) as response:
        response.begin()
        return response.status, response.read()


def cut(caller: socket.socket) -> bool:
    """Wait for the end of a connection; return whether it came without any response."""
    with suppress(ConnectionResetError):
        return caller.recv(1) == b""
    return True
