"""Limits of the whole router, with several workers, and descriptors that run out; as processes."""

import http.client
import threading
from collections import Counter
from pathlib import Path

from tests.e2e.running import SERVE, Model, Router, read_response, wait_until

FEW = ("sh", "-c", 'ulimit -n 200; exec "$@"', "sh", *SERVE)
GET = b"GET / HTTP/1.1\r\nhost: r\r\n\r\n"


def yaml(router: Router, model: Model, target: str, route: str = "") -> str:
    """Write a configuration of one target and one route."""
    return (
        f"server: {{listen: '127.0.0.1:{router.port}', workers: 2, shutdown_delay: 0s}}\n"
        f"admin: {{listen: '127.0.0.1:{router.admin_port}'}}\n"
        f"events: {{dir: '{router.folder / 'events'}'}}\n"
        f"targets: [{{name: t, endpoints: ['{model.url}'], {target}}}]\n"
        f"routes: [{{name: r, target: t{route}}}]\n"
    )


def metric(router: Router, start: str) -> float:
    """Return the value of the one sample whose line begins so."""
    lines = router.ask("/metrics")[1].decode().splitlines()
    return float(next(line for line in lines if line.startswith(start)).rpartition(" ")[2])


def test_a_limit_holds_for_all_workers(tmp_path: Path) -> None:
    """A target never gets more than `max` at once from all workers together; the rest is told to come again."""
    with Model("old") as model:
        router = Router(tmp_path)
        router.config.write_text(yaml(router, model, "concurrency: {max: 3, queue: 0}"))
        try:
            router.start_ready()
            statuses: Counter[int] = Counter()
            waits: list[str | None] = []

            def call() -> None:
                connection = http.client.HTTPConnection("127.0.0.1", router.port, timeout=20)
                connection.request("GET", "/hold")
                response = connection.getresponse()
                waits.append(response.getheader("retry-after"))
                response.read()
                connection.close()
                statuses[response.status] += 1

            first = [threading.Thread(target=call) for _ in range(3)]
            for thread in first:
                thread.start()
            wait_until(lambda: model.requests == 3, "three at the target")
            rest = [threading.Thread(target=call) for _ in range(12)]
            for thread in rest:
                thread.start()
            for thread in rest:
                thread.join(20)
            assert statuses == {503: 12}
            assert set(waits) == {"1"}
            assert model.requests == 3
            assert metric(router, 'router_shed_total{cause="queue_full",route="r"}') == 12
            model.release.set()
            for thread in first:
                thread.join(20)
            assert statuses == {503: 12, 200: 3}
            assert metric(router, 'router_inflight{target="t"}') == 0
        finally:
            model.release.set()
            router.close()


def test_a_rate_holds_for_all_workers(tmp_path: Path) -> None:
    """Callers spread over two workers get the burst once, and not once from each."""
    with Model("old") as model:
        router = Router(tmp_path)
        limit = ", rate_limit: {requests: 1/h, burst: 8}"
        router.config.write_text(yaml(router, model, "timeouts: {connect: 5s}", limit))
        try:
            router.start_ready()
            statuses = Counter(router.ask("/", port=router.port)[0] for _ in range(30))
            assert statuses == {200: 8, 429: 22}
        finally:
            router.close()


def test_callers_that_are_here_are_served_when_descriptors_run_out(tmp_path: Path) -> None:
    """More callers than a worker has descriptors for do not hurt those who are here; all are served when some leave."""
    with Model("old") as model:
        router = Router(tmp_path)
        router.config.write_text(yaml(router, model, "timeouts: {connect: 5s}").replace("workers: 2", "workers: 1"))
        try:
            router.start_ready(FEW)
            here = [router.connect() for _ in range(40)]
            wait_until(lambda: metric(router, "router_connections ") == 40, "forty callers")
            flood = [router.connect() for _ in range(300)]
            wait_until(lambda: metric(router, "router_accept_pauses_total") >= 3, "pauses")
            taken = metric(router, "router_connections ")
            assert 40 <= taken <= 100
            for caller in here:
                caller.sendall(GET)
            for caller in here:
                assert read_response(caller) == (200, b"old")
            before = metric(router, "router_accept_pauses_total")
            for caller in (*here, *flood[:200]):
                caller.close()
            for caller in flood[200:]:
                caller.sendall(GET)
                assert read_response(caller) == (200, b"old")
                caller.close()
            wait_until(lambda: metric(router, "router_connections ") == 0, "no callers")
            assert metric(router, 'router_upstream_faults_total{fault="local",target="t"}') == 0
            # Five pauses a second at most: what spins makes thousands.
            assert metric(router, "router_accept_pauses_total") - before < 200
            assert "connections wait to be accepted" in router.said()
            assert router.served()[0] == 200
        finally:
            router.close()
