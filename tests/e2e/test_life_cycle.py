"""What a router lives through, under load: no request fails, and no stream is cut (DESIGN 9.1)."""

import os
import signal
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from tests.e2e.life import Callers, Streaming
from tests.e2e.running import Router, cut, read_response, wait_until

REQUEST = b"GET / HTTP/1.1\r\nhost: r\r\nx-user-id: u\r\n\r\n"


@contextmanager
def living(
    folder: Path, *, workers: int = 2, shutdown_delay: str = "0s", server: str = ""
) -> Iterator[tuple[Router, Streaming]]:
    """Run a router in front of one streaming target."""
    with Streaming("one") as target:
        router = Router(folder, workers=workers, shutdown_delay=shutdown_delay, server=server)
        router.config.write_text(router.yaml({"t": target.url}, {}))
        try:
            router.start_ready()
            yield router, target
        finally:
            target.finish.set()
            router.close()


def save(router: Router, text: str) -> None:
    """Save the configuration, and wait until every worker serves it."""
    number = router.revision()["number"] + 1
    router.config.write_text(text)
    wait_until(lambda: router.revision()["number"] == number and settled(router), f"revision {number}")


def settled(router: Router) -> bool:
    """Return whether all workers serve the revision published last."""
    revision = router.revision()
    return bool(revision["acknowledged"] == revision["workers"])


def assert_well(callers: Callers, target: Streaming, streams: int = 4) -> None:
    """End the streams, and assert that everything went well to its end."""
    target.finish.set()
    wait_until(lambda: callers.streams_done == streams or callers.failures, "the ends of the streams")
    assert callers.failures == []


def test_reloads(tmp_path: Path) -> None:
    """Streams that were opened before ten reloads go on through all of them, and no request fails meanwhile."""
    with living(tmp_path) as (router, target), Callers(router.port) as callers:
        callers.go_on()
        text = router.config.read_text()
        for turn in range(10):
            save(router, text.replace("drain: 5s", f"drain: {6 + turn}s"))
            callers.go_on(20, 4)
        assert_well(callers, target)


def test_a_killed_control_process(tmp_path: Path) -> None:
    """Neither its death nor its successor's start disturbs anyone; a restored revision is still in force after it."""
    with living(tmp_path) as (router, target), Callers(router.port) as callers:
        callers.go_on()
        save(router, router.config.read_text().replace("drain: 5s", "drain: 6s"))
        assert router.ask("/v1/revisions/1/restore", "POST", If_Match='"2"')[0] == 200
        for _ in range(2):
            killed = router.child("control")
            os.kill(killed, signal.SIGKILL)
            callers.go_on()
            wait_until(lambda killed=killed: router.child("control") != killed, "a successor")  # type: ignore[misc]
            wait_until(router.ready, "the admin API")
            revision = router.revision()
            assert (revision["number"], revision["cause"], revision["held"]) == (3, "restore", True)
        assert_well(callers, target)


def test_a_drain_of_everything(tmp_path: Path) -> None:
    """Callers are told to go while all are still accepted; streams end; what lay idle is closed last; exit code 0."""
    with (  # one worker: with two, that of the idle connection may have no stream to wait for
        living(tmp_path, workers=1, shutdown_delay="1500ms") as (router, target),
        Callers(router.port, connections=50) as callers,
        router.connect() as idle,
    ):
        idle.sendall(REQUEST)
        assert read_response(idle)[0] == 200
        callers.go_on()
        callers.moving = True
        router.running.send_signal(signal.SIGTERM)
        wait_until(lambda: callers.moved == 50 or callers.failures, "all callers to have moved on")
        assert callers.failures == []
        with router.connect() as late:  # a caller that has not heard of it yet is served, and told
            late.sendall(REQUEST)
            assert b"\r\nconnection: close\r\n" in late.recv(65536)
        wait_until(lambda: not listens(router), "the end of listening")
        idle.sendall(REQUEST)  # idle, yet not closed while others are under way
        assert read_response(idle)[0] == 200
        assert cut(idle)
        assert_well(callers, target)
        assert router.wait() == 0


def test_idle_connections_do_not_keep_a_router(tmp_path: Path) -> None:
    """When nobody waits for anything a drain is over at once, whatever ``server.drain`` allows."""
    with living(tmp_path, server="timeouts: {keepalive: 600s}") as (router, _):
        save(router, router.config.read_text().replace("drain: 5s", "drain: 600s"))
        with router.connect() as idle, router.connect() as fresh:
            idle.sendall(REQUEST)
            assert read_response(idle)[0] == 200
            router.running.send_signal(signal.SIGTERM)
            assert router.wait() == 0
            assert cut(idle)
            assert cut(fresh)


def listens(router: Router) -> bool:
    """Return whether somebody listens."""
    try:
        router.connect().close()
    except ConnectionRefusedError:
        return False
    return True


def test_a_planned_restart(tmp_path: Path) -> None:
    """Streams are finished by the workers that leave, their callers go on with the successors."""
    with living(tmp_path) as (router, target), Callers(router.port, connections=20) as callers:
        callers.go_on()
        before = set(router.children("worker"))
        router.running.send_signal(signal.SIGUSR2)
        wait_until(lambda: "leaves, its successor serves" in router.said(), "a successor")
        callers.go_on()
        assert_well(callers, target)
        wait_until(lambda: "planned restart done" in router.said(), "the end of the restart")
        callers.go_on(events=0)
        assert callers.failures == []
        assert not before & set(router.children("worker"))
        assert callers.moved > 0


def test_a_certificate_change(tmp_path: Path) -> None:
    """New connections get the new certificate; those that exist, streams among them, go on with the old one."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    trust = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    pairs = [authority.issue_cert("localhost") for _ in range(3)]
    cert, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    put(pairs[0], cert, key)
    tls = f"tls: {{cert: {cert}, key: {key}}}"
    with living(tmp_path, server=tls) as (router, target), Callers(router.port, trust=trust) as callers:
        callers.go_on()
        assert callers.certificates == {der(pairs[0])}
        for pair in pairs[1:]:
            put(pair, cert, key)
            wait_until(lambda pair=pair: served(router, trust) == der(pair), "the new certificate")  # type: ignore[misc]
            callers.go_on()
        with Callers(router.port, trust=trust, streams=0) as others:
            wait_until(lambda: settled(router), "all workers")
            others.go_on(events=0)
        assert others.failures == []
        assert others.certificates == {der(pairs[2])}
        assert callers.certificates == {der(pairs[0])}
        assert_well(callers, target)


def put(pair: trustme.LeafCert, cert: Path, key: Path) -> None:
    """Renew the files of a certificate."""
    pair.cert_chain_pems[0].write_to_path(cert)
    pair.private_key_pem.write_to_path(key)


def der(pair: trustme.LeafCert) -> bytes:
    """Return a certificate as connections show it."""
    return ssl.PEM_cert_to_DER_cert(pair.cert_chain_pems[0].bytes().decode())


def served(router: Router, trust: ssl.SSLContext) -> bytes | None:
    """Return the certificate that a new connection gets."""
    with router.connect() as plain, trust.wrap_socket(plain, server_hostname="localhost") as caller:
        return caller.getpeercert(binary_form=True)


@pytest.mark.parametrize("balance", ["least_request", "round_robin", "hash"])
def test_a_target_list_change(tmp_path: Path, balance: str) -> None:
    """An endpoint comes and goes: it is used and left without a failure, and its streams go on to their end."""
    with living(tmp_path) as (router, one), Streaming("two") as two, Callers(router.port) as callers:
        text = router.config.read_text()
        only_one = text.replace(f"['{one.url}']", f"['{one.url}'], balance: {balance}")
        both = text.replace(f"['{one.url}']", f"['{one.url}', '{two.url}'], balance: {balance}")
        only_two = text.replace(f"['{one.url}']", f"['{two.url}'], balance: {balance}")
        assert len({text, only_one, both, only_two}) == 4
        callers.go_on()  # the streams are of the first endpoint
        for _ in range(2):
            save(router, only_one)
            callers.served_by("one")
            save(router, both)
            callers.served_by("two")
            save(router, only_two)
            answers = callers.answers["one"]
            callers.go_on()
            assert callers.answers["one"] <= answers + 8  # what was under way at that moment
        assert_well(callers, one)
