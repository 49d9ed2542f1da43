"""A changed file goes live while traffic flows, and a bad one changes nothing."""

import json
import signal
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest
import trustme

from tests.e2e.running import Model, Router, running, wait_until

Write = Callable[[Router, str], None]


def _in_place(router: Router, text: str) -> None:
    router.config.write_text(text)


def _by_rename(router: Router, text: str) -> None:
    fresh = router.config.with_suffix(".tmp")
    fresh.write_text(text)
    fresh.rename(router.config)


def _by_swapping_a_link(router: Router, text: str) -> None:
    """As Kubernetes does it: ``router.yaml -> ..data/router.yaml``, ``..data -> ..N``."""
    folder = router.config.parent
    version = folder / f"..{len(list(folder.glob('..[0-9]*')))}"
    version.mkdir()
    (version / router.config.name).write_text(text)
    (folder / "..tmp").symlink_to(version.name)
    (folder / "..tmp").rename(folder / "..data")
    if not router.config.is_symlink():
        (folder / "link").symlink_to(f"..data/{router.config.name}")
        (folder / "link").rename(router.config)


class _Traffic:
    """A caller that never stops, and remembers everything that was not answered well."""

    def __init__(self, router: Router) -> None:
        self.failures: list[Any] = []
        self.answered = 0
        self._router = router
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                answer = self._router.served()
            except OSError as error:
                self.failures.append(error)
                continue
            self.answered += 1
            if answer not in ((200, "old"), (200, "new")):
                self.failures.append(answer)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def _text(router: Router, models: dict[str, Model], old: float, new: float) -> str:
    return router.yaml({name: model.url for name, model in models.items()}, {"old": old, "new": new})


def _await_revision(router: Router, number: int, workers: int) -> None:
    def served() -> bool:
        revision = router.revision()
        return bool(revision["number"] == number and revision["acknowledged"] == workers)

    wait_until(served, f"revision {number}")


def _metric(router: Router, name: str) -> float:
    lines = router.ask("/metrics")[1].decode().splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])


@pytest.mark.parametrize("write", [_in_place, _by_rename, _by_swapping_a_link])
def test_a_changed_split_goes_live_without_a_failed_request(tmp_path: Path, write: Write) -> None:
    """Whatever way the file is saved, users move to the other target and no request fails meanwhile."""
    with running(tmp_path, workers=2) as (router, models), _Traffic(router) as traffic:
        for number, (old, new, name) in enumerate([(0, 1, "new"), (1, 0, "old"), (0, 1, "new")], start=2):
            write(router, _text(router, models, old, new))
            _await_revision(router, number, workers=2)
            assert router.served() == (200, name)
        assert traffic.failures == []
        assert traffic.answered > 0


@pytest.mark.parametrize("bad", ["", "server: {", "targets: []\nroutes: []\n", None])
def test_a_bad_file_changes_nothing_and_is_shown(tmp_path: Path, bad: str | None) -> None:
    """Empty, half-written, wrong or gone: the revision serves on; API, metric and log say so until it is mended."""
    with running(tmp_path) as (router, models):
        good = router.config.read_text()
        if bad is None:
            router.config.unlink()
        else:
            router.config.write_text(bad)
        rejected = wait_until(lambda: router.revision()["rejected"], "the refusal")
        assert rejected["mistakes"]
        assert all(mistake["file"].endswith("router.yaml") for mistake in rejected["mistakes"])
        assert router.revision()["number"] == 1
        assert router.served() == (200, "old")
        assert _metric(router, "router_config_reload_success") == 0
        for mistake in rejected["mistakes"]:
            assert mistake["text"] in router.said()
        router.config.write_text(good)
        wait_until(lambda: router.revision()["rejected"] is None, "the file to be fine")
        assert router.revision()["number"] == 1
        assert _metric(router, "router_config_reload_success") == 1
        router.config.write_text(_text(router, models, 0, 1))
        wait_until(lambda: router.served() == (200, "new"), "the next reload")


def test_a_hangup_signal_reads_the_file(tmp_path: Path) -> None:
    """SIGHUP reads at once, also a file that has not changed since it was refused."""
    with running(tmp_path) as (router, _):
        router.config.write_text("nonsense: 1")
        first = wait_until(lambda: router.revision()["rejected"], "the refusal")
        router.running.send_signal(signal.SIGHUP)
        wait_until(lambda: router.revision()["rejected"]["time"] > first["time"], "another reading")
        assert router.served() == (200, "old")


@pytest.mark.parametrize(
    ("before", "after", "path"),
    [
        ("workers: 1", "workers: 2", "$.server.workers"),
        ("events: {dir: '", "events: {dir: '/tmp", "$.events.dir"),
        ("{name: new, target: new", "{name: new, target: old", "$.experiments[0].arms[1]"),
        ("experiments: [{name: e,", "experiments: [{name: e, salt: other,", "$.experiments[0].salt"),
    ],
)
def test_a_change_that_cannot_be_applied_is_refused_as_a_whole(
    tmp_path: Path, before: str, after: str, path: str
) -> None:
    """The other changes of the same file do not go live either."""
    with running(tmp_path) as (router, models):
        text = _text(router, models, 0, 100)
        assert before in text
        router.config.write_text(text.replace(before, after))
        rejected = wait_until(lambda: router.revision()["rejected"], "the refusal")
        assert [mistake["path"] for mistake in rejected["mistakes"]] == [path]
        assert rejected["mistakes"][0]["line"] > 0
        assert router.served() == (200, "old")


def test_a_restored_revision_holds_until_the_file_changes(tmp_path: Path) -> None:
    """Also over a restart of the whole router; numbers continue, and who did it is kept."""
    with running(tmp_path) as (router, models):
        router.config.write_text(_text(router, models, 0, 100))
        wait_until(lambda: router.served() == (200, "new"), "the reload")
        assert router.ask("/v1/revisions/1/restore", "POST", If_Match='"1"')[0] == 412
        status, body = router.ask("/v1/revisions/1/restore", "POST", If_Match='"2"')
        assert (status, json.loads(body)["number"]) == (200, 3)
        wait_until(lambda: router.served() == (200, "old"), "the restore")
        router.running.send_signal(signal.SIGTERM)
        assert router.wait() == 0
        router.start_ready()
        revision = router.revision()
        assert (revision["number"], revision["cause"], revision["held"]) == (3, "restore", True)
        assert "127.0.0.1" in revision["author"]
        assert router.served() == (200, "old")
        router.config.write_text(_text(router, models, 1, 99))
        wait_until(lambda: router.revision()["number"] == 4, "the next reload")
        assert not router.revision()["held"]


def test_a_renewed_certificate_is_served_without_a_restart(tmp_path: Path) -> None:
    """New connections get the new certificate; a half-renewed pair changes nothing."""
    authority = trustme.CA()
    pairs = [authority.issue_cert("localhost") for _ in range(2)]
    cert, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    _write_pair(pairs[0], cert, key)
    with running(tmp_path, server=f"tls: {{cert: {cert}, key: {key}}}") as (router, _):
        assert _certificate(router, authority) == _der(pairs[0])
        pairs[1].cert_chain_pems[0].write_to_path(cert)
        wait_until(lambda: router.revision()["rejected"], "the refusal of half a pair")
        assert _certificate(router, authority) == _der(pairs[0])
        _write_pair(pairs[1], cert, key)
        wait_until(lambda: _certificate(router, authority) == _der(pairs[1]), "the new certificate")
        revision = router.revision()
        assert (revision["cause"], revision["rejected"]) == ("certificate", None)


def _write_pair(pair: trustme.LeafCert, cert: Path, key: Path) -> None:
    pair.cert_chain_pems[0].write_to_path(cert)
    pair.private_key_pem.write_to_path(key)


def _der(pair: trustme.LeafCert) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pair.cert_chain_pems[0].bytes().decode())


def _certificate(router: Router, authority: trustme.CA) -> bytes:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with (
        socket.create_connection(("127.0.0.1", router.port), 10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as caller,
    ):
        found = caller.getpeercert(binary_form=True)
        assert found is not None
        return found


def test_a_folder_is_a_configuration_too(tmp_path: Path) -> None:
    """``router serve /etc/router`` follows the file in the folder."""
    with running(tmp_path) as (router, models):
        router.running.send_signal(signal.SIGTERM)
        router.wait()
        folder = tmp_path / "etc"
        folder.mkdir()
        router.config.rename(folder / "router.yaml")
        router.config = folder
        router.start_ready()
        (folder / "router.yaml").write_text(_text(router, models, 0, 1))
        wait_until(lambda: router.served() == (200, "new"), "the reload")
