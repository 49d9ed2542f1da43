"""A planned restart of a real router under load."""

import http.client
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.running import DEADLINE_S, Router, read_response, running, wait_until

CALLERS = 4


class Load:
    """Callers that send one request after another, each on a connection of its own as long as it lasts."""

    def __init__(self, router: Router) -> None:
        self.done = 0
        self.failed: list[str] = []
        self._router = router
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(n,), daemon=True) for n in range(CALLERS)]

    @contextmanager
    def going(self) -> Iterator[None]:
        """Keep it up."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join(DEADLINE_S)

    def _call(self, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._router.port, timeout=DEADLINE_S)
        while not self._stop.is_set():
            try:
                connection.request("GET", "/", headers={"x-user-id": f"u{number}"})
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                connection.close()
            else:
                self.done += 1
                if response.status != 200:
                    self.failed.append(str(response.status))
        connection.close()


def _requests(router: Router) -> int:
    return sum(target["requests"] for target in router.json("/v1/targets")["targets"])


def test_no_request_fails_while_all_workers_are_replaced(tmp_path: Path) -> None:
    """Every worker is another process afterwards, every request was answered, and every one is counted once."""
    with running(tmp_path, workers=2) as (router, _):
        load = Load(router)
        before = set(router.children("worker"))
        with load.going():
            wait_until(lambda: load.done > 50, "the first requests")
            router.running.send_signal(signal.SIGUSR2)
            wait_until(lambda: "planned restart done" in router.said(), "the end of the restart")
            done = load.done
            wait_until(lambda: load.done > done + 50, "requests after it")
        assert load.failed == []
        after = set(router.children("worker"))
        assert len(after) == 2
        assert not before & after
        assert _requests(router) == load.done
        assert router.revision()["acknowledged"] == 2
        wait_until(lambda: b"\nrouter_connections 0.0" in router.ask("/metrics")[1], "no connection left")
        inflight = {target["inflight"] for target in router.json("/v1/targets")["targets"]}
        assert inflight == {0}
        assert b"\nrouter_worker_restarts_total 0.0" in router.ask("/metrics")[1]


def test_a_request_under_way_is_finished_by_the_worker_that_leaves(tmp_path: Path) -> None:
    """Its answer comes, and then the end of its connection; the successor serves others meanwhile."""
    with running(tmp_path) as (router, models), router.connect() as caller:
        caller.sendall(b"GET /hold HTTP/1.1\r\nHost: h\r\n\r\n")
        assert models["old"].held.wait(DEADLINE_S)
        before = set(router.children("worker"))
        router.running.send_signal(signal.SIGUSR2)
        wait_until(lambda: "leaves, its successor serves" in router.said(), "a successor")
        assert router.served() == (200, "old")
        models["old"].release.set()
        assert read_response(caller) == (200, b"old")
        assert caller.recv(1) == b""
        wait_until(lambda: not before & set(router.children("worker")), "the end of the one that left")


def test_a_shutdown_during_a_planned_restart_is_in_order(tmp_path: Path) -> None:
    """Both the worker that leaves and its successor finish what they carry."""
    with running(tmp_path) as (router, models), router.connect() as caller:
        caller.sendall(b"GET /hold HTTP/1.1\r\nHost: h\r\n\r\n")
        assert models["old"].held.wait(DEADLINE_S)
        router.running.send_signal(signal.SIGUSR2)
        wait_until(lambda: len(router.children("worker")) == 2, "a successor")
        router.running.send_signal(signal.SIGTERM)
        wait_until(lambda: "draining because of SIGTERM" in router.said(), "the shutdown")
        models["old"].release.set()
        assert read_response(caller) == (200, b"old")
        assert router.wait() == 0
