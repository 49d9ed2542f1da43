"""What the router's processes promise when one of them dies, hangs, or is told to end."""

import os
import signal
import socket
import sys
import threading
from pathlib import Path

import pytest

from tests.e2e.running import SERVE, STUB, Model, Router, cut, gone, read_response, running, wait_until

REQUEST = b"GET / HTTP/1.1\r\nhost: r\r\nx-user-id: u\r\n\r\n"
HEAVY = {"aiohttp", "yaml", "numpy", "prometheus_client", "watchfiles", "typer", "rich"}


def _requests(router: Router) -> int:
    return sum(target["requests"] for target in router.json("/v1/targets")["targets"])


def _replaced(router: Router, killed: int) -> int:
    """Wait for the successor of the only worker."""
    return int(wait_until(lambda: next((pid for pid in router.children("worker") if pid != killed), 0), "a successor"))


def test_a_killed_worker_is_replaced_and_keeps_counters(tmp_path: Path) -> None:
    """After ``kill -9`` the next request is answered, and counts go on from where they were."""
    with running(tmp_path) as (router, _):
        for _ in range(3):
            assert router.served() == (200, "old")
        worker = router.child("worker")
        wait_until(lambda: _requests(router) == 3, "three counted requests")
        os.kill(worker, signal.SIGKILL)
        assert router.served() == (200, "old")
        _replaced(router, worker)
        wait_until(lambda: _requests(router) == 4, "four counted requests")


def test_connections_queued_to_a_killed_worker_are_answered(tmp_path: Path) -> None:
    """Connections that the worker had not accepted wait for its successor; none is reset."""
    with running(tmp_path) as (router, _):
        worker = router.child("worker")
        os.kill(worker, signal.SIGSTOP)
        callers = [router.connect() for _ in range(20)]
        for caller in callers:
            caller.sendall(REQUEST)
        os.kill(worker, signal.SIGKILL)
        for caller in callers:
            with caller:
                assert read_response(caller)[0] == 200


def test_connections_queued_at_shutdown_are_answered(tmp_path: Path) -> None:
    """Connections that wait to be accepted when the worker is told to end are served first; none is reset."""
    with running(tmp_path) as (router, _):
        worker = router.child("worker")
        os.kill(worker, signal.SIGSTOP)
        callers = [router.connect() for _ in range(20)]
        for caller in callers:
            caller.sendall(REQUEST)
        os.kill(worker, signal.SIGTERM)
        os.kill(worker, signal.SIGCONT)
        for caller in callers:
            with caller:
                assert read_response(caller)[0] == 200


def test_a_hung_worker_is_replaced(tmp_path: Path) -> None:
    """A worker whose heartbeat stops is killed and replaced, and its queued callers are served."""
    with running(tmp_path) as (router, _):
        worker = router.child("worker")
        os.kill(worker, signal.SIGSTOP)
        assert router.served() == (200, "old")
        assert _replaced(router, worker) != worker
        assert "gives no sign of life" in router.said()


def test_a_stopped_router_kills_nobody_when_it_goes_on(tmp_path: Path) -> None:
    """When all processes were stopped together, as by a frozen container, no worker is at fault."""
    with running(tmp_path, command=STUB, environment={"STUB_PATIENCE": "1.5"}) as (router, _):
        everybody = [router.running.pid, *router.children()]
        for pid in everybody:
            os.kill(pid, signal.SIGSTOP)
        # Longer than a silence may last; the supervisor goes on first, when all heartbeats are too old.
        threading.Event().wait(3.0)
        for pid in everybody:
            os.kill(pid, signal.SIGCONT)
        assert router.ready()
        assert [router.running.pid, *router.children()] == everybody
        assert "no sign of life" not in router.said()


def test_shutdown_goes_in_order(tmp_path: Path) -> None:
    """Readiness goes false while callers are still accepted; what is in flight ends; then nobody listens; exit 0."""
    with running(tmp_path, shutdown_delay="1500ms") as (router, models):
        answers: list[tuple[int, str]] = []
        slow = threading.Thread(target=lambda: answers.append(router.served(path="/hold")))
        slow.start()
        assert models["old"].held.wait(10)
        router.running.send_signal(signal.SIGTERM)
        wait_until(lambda: router.ask("/readyz")[0] == 503, "readiness to go")
        assert router.ask("/healthz")[0] == 200
        assert router.served() == (200, "old")
        wait_until(lambda: _refused(router), "the listener to close")
        assert router.running.poll() is None
        models["old"].release.set()
        slow.join(10)
        assert answers == [(200, "old")]
        assert router.wait() == 0


def _refused(router: Router) -> bool:
    try:
        router.connect().close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_second_signal_stops_now(tmp_path: Path) -> None:
    """Nobody has to wait for a stream that never ends; the exit code tells."""
    with running(tmp_path) as (router, models):
        with router.connect() as caller:
            caller.sendall(REQUEST.replace(b"GET /", b"GET /hold"))
            assert models["old"].held.wait(10)
            children = router.children()
            router.running.send_signal(signal.SIGTERM)
            wait_until(lambda: "draining" in router.said(), "the drain")
            router.running.send_signal(signal.SIGTERM)
            assert router.wait() == 128 + signal.SIGTERM
            assert cut(caller)
        assert all(gone(pid) for pid in children)


def test_what_does_not_end_within_the_drain_is_cut(tmp_path: Path) -> None:
    """A stream that never ends does not keep the router from ending, in order and with exit code 0."""
    with running(tmp_path) as (router, models):
        router.config.write_text(
            router.yaml({n: m.url for n, m in models.items()}, {"old": 100, "new": 0}).replace(
                "drain: 5s", "drain: 200ms"
            )
        )
        wait_until(lambda: router.revision()["acknowledged"] == 1 and router.revision()["number"] == 2, "the reload")
        with router.connect() as caller:
            caller.sendall(REQUEST.replace(b"GET /", b"GET /hold"))
            assert models["old"].held.wait(10)
            router.running.send_signal(signal.SIGTERM)
            assert router.wait() == 0
            assert cut(caller)


def test_a_terminals_interrupt_drains(tmp_path: Path) -> None:
    """Ctrl-C is SIGINT to the supervisor: an orderly end."""
    with running(tmp_path) as (router, _):
        router.running.send_signal(signal.SIGINT)
        assert router.wait() == 0


def test_no_orphan_survives_a_killed_supervisor(tmp_path: Path) -> None:
    """``kill -9`` of the supervisor ends every process and leaves no run directory."""
    with running(tmp_path, workers=2, environment={"TMPDIR": str(tmp_path)}) as (router, _):
        children = router.children()
        assert len(children) == 3
        router.running.kill()
        router.wait()
        wait_until(lambda: all(gone(pid) for pid in children), "the children's end")
        wait_until(lambda: not list(tmp_path.glob("router-*")), "the run directory's end")


def test_traffic_goes_on_without_the_control_process(tmp_path: Path) -> None:
    """The control process is replaced, continues with the same revision, and takes changes again."""
    with running(tmp_path) as (router, models):
        targets = {name: model.url for name, model in models.items()}
        router.config.write_text(router.yaml(targets, {"old": 0, "new": 100}))
        wait_until(lambda: router.served() == (200, "new"), "the reload")
        before = router.json("/v1/revisions")
        killed = router.child("control")
        os.kill(killed, signal.SIGKILL)
        assert router.served() == (200, "new")
        wait_until(lambda: next((pid for pid in router.children("control") if pid != killed), 0), "a successor")
        wait_until(router.ready, "the admin API")
        assert router.json("/v1/revisions") == before
        assert router.revision()["acknowledged"] == 1
        router.config.write_text(router.yaml(targets, {"old": 100, "new": 0}))
        wait_until(lambda: router.served() == (200, "old"), "the next reload")
        assert router.revision()["number"] == 3


def test_a_hung_control_process_is_replaced(tmp_path: Path) -> None:
    """It beats like the workers, and traffic does not notice."""
    with running(tmp_path, command=STUB, environment={"STUB_PATIENCE": "1.5"}) as (router, _):
        hung = router.child("control")
        os.kill(hung, signal.SIGSTOP)
        wait_until(lambda: next((pid for pid in router.children("control") if pid != hung), 0), "a successor")
        wait_until(router.ready, "the admin API")
        assert router.revision()["number"] == 1
        assert "control process pid=" in router.said()


def test_a_control_process_returns_although_the_file_is_bad(tmp_path: Path) -> None:
    """A replacement goes on with the journal, and shows what is wrong with the file."""
    with running(tmp_path) as (router, _):
        killed = router.child("control")
        os.kill(killed, signal.SIGSTOP)
        router.config.write_text("nonsense: [")
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: router.revision()["rejected"], "the refusal")
        assert router.revision()["number"] == 1
        assert router.served() == (200, "old")


def test_a_crash_loop_is_given_up(tmp_path: Path) -> None:
    """Workers that die at once, again and again, end the router with one sentence and exit code 1."""
    router = _stubbed(tmp_path)
    router.start(STUB, STUB_WORKER="7")
    assert router.wait() == 1
    given_up = [line for line in router.said().splitlines() if "giving up" in line]
    assert len(given_up) == 1
    assert "worker 0 ended" in given_up[0]
    assert "exit code 7" in given_up[0]


def test_orphans_of_others_are_reaped(tmp_path: Path) -> None:
    """As process 1 of a container the supervisor inherits orphans; none of them stays a zombie."""
    router = _stubbed(tmp_path)
    try:
        router.start_ready(STUB, STUB_ORPHAN=str(tmp_path / "orphan"))
        orphan = int(wait_until((tmp_path / "orphan").read_text, "the orphan"))
        os.kill(router.child("worker"), signal.SIGKILL)
        wait_until(lambda: not Path(f"/proc/{orphan}").exists(), "the orphan's end")
    finally:
        router.close()


def test_a_worker_that_hears_nobody_is_killed_at_the_end(tmp_path: Path) -> None:
    """A stopped worker cannot drain; shutdown does not wait for it for ever."""
    router = _stubbed(tmp_path, "drain: 5s", "drain: 0s")
    router.start_ready(STUB)
    os.kill(router.child("worker"), signal.SIGSTOP)
    router.running.send_signal(signal.SIGTERM)
    assert router.wait() == 0
    assert "did not end in time" in router.said()


def test_a_unix_socket_serves(tmp_path: Path) -> None:
    """Callers on the same machine can use a socket file, which goes with the router."""
    path = tmp_path / "router.sock"
    with Model("old") as old:
        router = Router(tmp_path, workers=2)
        text = router.yaml({"old": old.url}, {}).replace(f"'127.0.0.1:{router.port}'", f"'unix:{path}'")
        router.config.write_text(text)
        try:
            router.start_ready()
            with socket.socket(socket.AF_UNIX) as caller:
                caller.settimeout(10)
                caller.connect(str(path))
                caller.sendall(REQUEST)
                assert read_response(caller) == (200, b"old")
        finally:
            router.close()
    assert not path.exists()


def _stubbed(folder: Path, old: str = "", new: str = "") -> Router:
    """Configure a router whose worker is the stub."""
    router = Router(folder)
    router.config.write_text(router.yaml({"old": "http://127.0.0.1:9"}, {}).replace(old, new))
    return router


# --- Starts that cannot work ------------------------------------------------------------------------------------------


def _failed(router: Router) -> list[str]:
    """Start, expect exit code 1, and return what was said, without the supervisor's own news."""
    router.start()
    assert router.wait() == 1
    return [line for line in router.said().splitlines() if " INFO supervisor " not in line]


@pytest.mark.parametrize("key", ["server", "admin"])
def test_a_busy_port_is_said_in_one_sentence(tmp_path: Path, key: str) -> None:
    """The key that gives the address is named, and the exit code is 1."""
    router = _stubbed(tmp_path)
    port = {"server": router.port, "admin": router.admin_port}[key]
    with socket.create_server(("127.0.0.1", port)):
        said = _failed(router)
    assert len(said) == 1
    assert f"$.{key}.listen: 127.0.0.1:{port} is in use by another program" in said[0]


def test_a_start_that_cannot_work_leaves_no_revision(tmp_path: Path) -> None:
    """A busy port does not count as a start: the journal stays empty."""
    router = _stubbed(tmp_path)
    with socket.create_server(("127.0.0.1", router.port)):
        _failed(router)
    assert (tmp_path / "events" / "journal" / "journal.ndjson").read_bytes() == b""


def test_a_folder_of_events_that_another_router_has_is_said(tmp_path: Path) -> None:
    """Two routers never write one journal."""
    with running(tmp_path) as (router, _):
        (tmp_path / "second").mkdir()
        second = Router(tmp_path / "second")
        text = second.yaml({"old": "http://127.0.0.1:9"}, {})
        second.config.write_text(text.replace(str(tmp_path / "second" / "events"), str(tmp_path / "events")))
        said = _failed(second)
        assert len(said) == 1
        assert "$.events.dir: " in said[0]
        assert "in use by another router" in said[0]
        assert router.ready()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "router.yaml: cannot be read: No such file or directory"),
        ("", "router.yaml"),
        ("server: {listen: 'nowhere'}\ntargets: []\nroutes: []\n", "router.yaml:1: $.server.listen: "),
    ],
)
def test_a_configuration_that_cannot_be_used_is_said(tmp_path: Path, text: str | None, said: str) -> None:
    """Every mistake is one line with its place; nothing else is said, and the exit code is 1."""
    router = Router(tmp_path)
    if text is not None:
        router.config.write_text(text)
    lines = _failed(router)
    assert any(said in line for line in lines)
    assert all("router.yaml" in line for line in lines)


def test_too_few_open_files_are_said(tmp_path: Path) -> None:
    """A system that allows fewer than the configured connections can need is named at the start, not under load."""
    limited = ("sh", "-c", 'ulimit -n 500; exec "$@"', "sh", *SERVE)
    with running(tmp_path, command=limited) as (router, _):
        assert "$.server.limits.connections: 10000 may need 20100 open files" in router.said()


def test_an_address_of_another_machine_is_said(tmp_path: Path) -> None:
    """The address is right in form, but not ours."""
    router = _stubbed(tmp_path, "listen: '127.0.0.1:", "listen: '192.0.2.1:")
    text = router.config.read_text().replace("admin: {listen: '192.0.2.1:", "admin: {listen: '127.0.0.1:")
    router.config.write_text(text)
    said = _failed(router)
    assert len(said) == 1
    assert "$.server.listen: 192.0.2.1:" in said[0]
    assert said[0].endswith("is not an address of this machine")


# --- What each process loads ------------------------------------------------------------------------------------------


def test_workers_and_supervisor_load_no_heavy_library(tmp_path: Path) -> None:
    """The interpreter's own list of what each process imported has none of the control plane's libraries."""
    command = (sys.executable, "-X", "importtime", *STUB[1:])
    with running(tmp_path, command=command, environment={"STUB_IMPORTTIME": str(tmp_path)}) as (router, _):
        assert router.served() == (200, "old")
        said = {"supervisor": router.said(), "worker": (tmp_path / "worker-imports").read_text()}
    imported = {}
    for process, text in said.items():
        lines = [line for line in text.splitlines() if line.startswith("import time:")]
        imported[process] = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
        assert "router" in imported[process], process
        assert not imported[process] & HEAVY, process
    assert "uvloop" in imported["worker"]
    assert "asyncio" not in imported["supervisor"]
