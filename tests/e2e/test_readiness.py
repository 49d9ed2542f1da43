"""Endpoints that fail, die or say that they are not ready, in front of a whole router."""

import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from tests.e2e.running import Router, wait_until
from tests.ports import free_ports

WORKERS = 2


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing about connections that the router cut."""


class Model:
    """A model server on a port of its own that can die, fail, and say that it is not ready."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.status = 200
        self.ready = True
        self.requests = 0
        self.questions = 0
        self.connections: list[socket.socket] = []
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self._server: _Server | None = None

    def start(self) -> Self:
        """Begin, or begin again."""
        model = self

        class Answer(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                model.connections.append(self.connection)

            def do_GET(self) -> None:
                if self.path == "/ready":
                    model.questions += 1
                    status = 200 if model.ready else 503
                else:
                    model.requests += 1
                    status = model.status
                self.send_response(status)
                self.send_header("content-length", str(len(model.name)))
                self.end_headers()
                self.wfile.write(model.name.encode())

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = _Server(("127.0.0.1", self.port), Answer)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def die(self) -> None:
        """Listen no more, and reset what there is."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.connections.clear()


@contextmanager
def models(*names: str) -> Iterator[list[Model]]:
    """Model servers that run."""
    made = [Model(name).start() for name in names]
    try:
        yield made
    finally:
        for model in made:
            model.die()


@contextmanager
def routed(folder: Path, targets: str, routes: str) -> Iterator[Router]:
    """A router with two workers, and the given targets and routes."""
    router = Router(folder, workers=WORKERS)
    router.config.write_text(
        f"server: {{listen: '127.0.0.1:{router.port}', workers: {WORKERS}, shutdown_delay: 0s}}\n"
        f"admin: {{listen: '127.0.0.1:{router.admin_port}'}}\n"
        f"events: {{dir: '{folder / 'events'}'}}\n"
        f"targets: {targets}\nroutes: {routes}\n"
    )
    try:
        router.start_ready()
        yield router
    finally:
        router.close()


def endpoints(router: Router, target: str = "t") -> Any:
    """Ask how a target's endpoints stand."""
    found = {item["name"]: item for item in router.json("/v1/targets")["targets"]}
    return found[target]["endpoints"]


def breakers(router: Router) -> list[str]:
    """Ask for the states of the breakers."""
    return [endpoint["breaker"]["state"] for endpoint in endpoints(router)]


def test_a_dead_endpoint_is_left_alone_by_all_workers_and_comes_back(tmp_path: Path) -> None:
    """One of two endpoints dies: a few requests fail, then none; when it is back, it gets its share again."""
    breaker = "{consecutive: 3, open: 1s, ramp: 500ms}"
    with models("a", "b") as (a, b):
        targets = f"[{{name: t, endpoints: ['{a.url}', '{b.url}'], breaker: {breaker}, balance: round_robin}}]"
        with routed(tmp_path, targets, "[{name: r, target: t}]") as router:
            assert {router.served()[1] for _ in range(20)} == {"a", "b"}
            a.die()
            failed = wait_until(lambda: _failures_until(router, "open"), "the breaker to open")
            assert 3 <= failed <= 3 + WORKERS  # those under way in the same moment
            wait_until(lambda: _settled(router), "all workers to know")
            # Whoever gets a connection, no request meets the dead endpoint.
            before = endpoints(router)[0]["breaker"]["openings"]
            answers = [router.served() for _ in range(40)]
            if endpoints(router)[0]["breaker"]["openings"] == before:  # no probe was let in meanwhile
                assert set(answers) == {(200, "b")}
            a.start()
            wait_until(lambda: router.served()[1] == "a", "the endpoint to be asked again")
            wait_until(lambda: _served_and(router, "closed"), "the breaker to close")
            assert {router.served()[0] for _ in range(20)} == {200}
            wait_until(lambda: f"{a.url} is back" in router.said(), "the log to say so")
            assert f"{a.url} fails and is left alone for 1 s openings=1" in router.said()
            metrics = router.ask("/metrics")[1].decode()
            assert f'router_breaker_state{{endpoint="{a.url}",target="t"}} 0.0' in metrics
            assert f'router_breaker_openings_total{{endpoint="{b.url}",target="t"}} 0.0' in metrics


def test_with_a_retry_a_dead_endpoint_costs_nobody_anything(tmp_path: Path) -> None:
    """One of two endpoints dies under load, and is probed again and again: no caller sees an error of it."""
    keys = "retry: {attempts: 1, backoff: 1ms}, breaker: {consecutive: 3, open: 200ms, max_open: 200ms}"
    with models("a", "b") as (a, b):
        targets = f"[{{name: t, endpoints: ['{a.url}', '{b.url}'], {keys}}}]"
        with routed(tmp_path, targets, "[{name: r, target: t}]") as router:
            statuses: Counter[int] = Counter()
            stop = threading.Event()

            def call() -> None:
                while not stop.is_set():
                    statuses[router.served()[0]] += 1

            callers = [threading.Thread(target=call) for _ in range(3)]
            for caller in callers:
                caller.start()
            try:
                wait_until(lambda: a.requests and b.requests, "both to be used")
                a.die()
                wait_until(lambda: endpoints(router)[0]["breaker"]["openings"] >= 4, "several probes to fail")
                a.start()
                asked = a.requests
                wait_until(lambda: breakers(router)[0] in {"ramp", "closed"} and a.requests > asked, "it to be back")
            finally:
                stop.set()
                for caller in callers:
                    caller.join()
            assert set(statuses) == {200}


def _failures_until(router: Router, state: str) -> int:
    failures = 0
    for _ in range(200):
        failures += router.served()[0] != 200
        if breakers(router)[0] == state:
            return failures
    return 0


def _settled(router: Router) -> bool:
    return [router.served()[0] for _ in range(4)] == [200] * 4


def _served_and(router: Router, state: str) -> bool:
    router.served()
    return breakers(router)[0] == state


def test_a_target_that_is_not_ready_is_stood_in_for_and_served_again(tmp_path: Path) -> None:
    """Units of an arm whose target is not ready get the fallback, and their arm again once it is."""
    health = "{path: /ready, interval: 100ms, unhealthy_after: 2, healthy_after: 2}"
    with models("new", "old") as (new, old):
        targets = f"[{{name: t, endpoints: ['{new.url}'], health: {health}}}, {{name: old, endpoints: ['{old.url}']}}]"
        with routed(tmp_path, targets, "[{name: r, target: t, fallback: [{target: old}]}]") as router:
            wait_until(lambda: endpoints(router)[0]["health"]["state"] == "healthy", "the first answers")
            assert {router.served()[1] for _ in range(10)} == {"new"}
            new.ready = False
            wait_until(lambda: router.served() == (200, "old"), "the fallback")
            wait_until(lambda: [router.served() for _ in range(10)] == [(200, "old")] * 10, "all workers")
            asked = new.requests
            assert endpoints(router)[0]["health"]["state"] == "unhealthy"
            metrics = router.ask("/metrics")[1].decode()
            assert f'router_endpoint_healthy{{endpoint="{new.url}",target="t"}} 0.0' in metrics
            new.ready = True
            wait_until(lambda: router.served() == (200, "new"), "the arm again")
            wait_until(lambda: [router.served() for _ in range(10)] == [(200, "new")] * 10, "all workers")
            assert new.requests > asked
            assert "is not ready: status 503" in router.said()
            assert "is ready again" in router.said()


def test_without_a_control_process_what_was_known_holds(tmp_path: Path) -> None:
    """A dead control process asks nobody: an endpoint that was not ready stays out, until the successor asks again."""
    health = "{path: /ready, interval: 100ms}"
    with models("a", "b") as (a, b):
        targets = f"[{{name: t, endpoints: ['{a.url}', '{b.url}'], health: {health}}}]"
        with routed(tmp_path, targets, "[{name: r, target: t}]") as router:
            a.ready = False
            wait_until(lambda: endpoints(router)[0]["health"]["state"] == "unhealthy", "the endpoint to be out")
            wait_until(lambda: {router.served() for _ in range(10)} == {(200, "b")}, "workers to know")
            os.kill(router.child("control"), signal.SIGKILL)
            assert {router.served() for _ in range(10)} == {(200, "b")}
            a.ready = True
            wait_until(router.ready, "the successor")
            wait_until(lambda: endpoints(router)[0]["health"]["state"] == "healthy", "the endpoint to be back")
            wait_until(lambda: router.served()[1] == "a", "it to be used")


def test_a_reload_asks_whom_it_names(tmp_path: Path) -> None:
    """``health`` that is added begins to be asked, and what is removed is asked no more and counts as ready."""
    with models("a") as (a,):
        plain = f"[{{name: t, endpoints: ['{a.url}']}}]"
        asked = plain.replace("]}", "], health: {path: /ready, interval: 100ms}}")
        with routed(tmp_path, plain, "[{name: r, target: t}]") as router:
            assert endpoints(router)[0]["health"] is None
            text = router.config.read_text()
            router.config.write_text(text.replace(plain, asked))
            wait_until(lambda: a.questions > 3, "questions")
            router.config.write_text(text)
            wait_until(lambda: endpoints(router)[0]["health"] is None, "the end of them")
            before = a.questions
            router.config.write_text(text.replace("name: r,", "name: s,"))
            wait_until(lambda: router.revision()["number"] == 4, "a further revision")
            assert a.questions - before <= 1
