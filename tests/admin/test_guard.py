"""Who may talk to the admin API."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.admin.serving import served
from tests.control.build import yaml
from tests.control.desk import Desk

TOKEN = "a-token-of-some-length"  # noqa: S105 - made for this test
RESTORE = ("POST", "/v1/revisions/1/restore")


def _asked(desk: Desk, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str]]:
    async def run() -> tuple[int, Mapping[str, str]]:
        async with served(desk) as client:
            desk.acknowledge(1)
            async with client.request(method, path, headers=headers) as response:
                await response.read()
                if response.status >= 400:
                    assert response.content_type == "application/problem+json"
                return response.status, dict(response.headers)

    return asyncio.run(run())


def _open_to_others(folder: Path) -> Desk:
    """Configure a listener that other machines reach."""
    (folder / "token").write_text(f"{TOKEN}\n")
    return Desk(folder, yaml(top=f"admin: {{listen: '0.0.0.0:9090', token_file: {folder / 'token'}}}"))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9090", "LOCALHOST:1", "[::1]:9090"])
def test_this_machine_is_a_host(tmp_path: Path, host: str) -> None:
    """Names and numbers of loopback, with any port."""
    assert _asked(Desk(tmp_path), "GET", "/v1/revision", {"Host": host})[0] == 200


@pytest.mark.parametrize("host", ["attacker.example", "127.0.0.1.attacker.example", "", "[::2]", "localhost.evil:80"])
@pytest.mark.parametrize("path", ["/v1/revision", "/healthz", "/"])
def test_a_rebound_name_is_no_host(tmp_path: Path, host: str, path: str) -> None:
    """A page whose name was pointed at 127.0.0.1 reads nothing here."""
    assert _asked(Desk(tmp_path), "GET", path, {"Host": host})[0] == 421


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:9090", 200),
        ("http://attacker.example", 403),
        ("http://127.0.0.1:9091", 403),
        ("null", 403),
        ("", 403),
    ],
)
def test_a_page_of_another_origin_changes_nothing(tmp_path: Path, origin: str, status: int) -> None:
    """A browser says where a POST comes from; only this listener's own pages may change something."""
    headers = {"Host": "127.0.0.1:9090", "Origin": origin}
    assert _asked(Desk(tmp_path), *RESTORE, headers)[0] == status


def test_a_program_needs_no_origin(tmp_path: Path) -> None:
    """Curl and the command line send none."""
    assert _asked(Desk(tmp_path), *RESTORE, {})[0] == 200


def test_nobody_else_may_read(tmp_path: Path) -> None:
    """No answer allows another origin, nothing is cached or sniffed, and no version is told."""
    _, headers = _asked(Desk(tmp_path), "GET", "/v1/revision", {"Origin": "http://attacker.example"})
    assert not [name for name in headers if name.lower().startswith("access-control-")]
    assert (headers["Cache-Control"], headers["X-Content-Type-Options"]) == ("no-store", "nosniff")
    assert headers["Server"] == "router"


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer \xe9"],
)
@pytest.mark.parametrize("asked", [("GET", "/v1/revision"), ("GET", "/metrics"), ("GET", "/"), RESTORE])
def test_other_machines_need_the_token(tmp_path: Path, authorization: str | None, asked: tuple[str, str]) -> None:
    """Without it, or with something like it, there is no answer and no change."""
    headers = {} if authorization is None else {"Authorization": authorization}
    status, answered = _asked(_open_to_others(tmp_path), *asked, headers)
    assert (status, answered["WWW-Authenticate"]) == (401, 'Bearer realm="router"')


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_the_token_opens(tmp_path: Path, scheme: str) -> None:
    """Off loopback any Host will do: the token is what counts."""
    headers = {"Authorization": f"{scheme} {TOKEN}", "Host": "router.example:9090"}
    assert _asked(_open_to_others(tmp_path), "GET", "/v1/revision", headers)[0] == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_checks_need_no_token(tmp_path: Path, path: str) -> None:
    """A balancer's probe has none."""
    assert _asked(_open_to_others(tmp_path), "GET", path, {})[0] == 200


def test_a_token_is_asked_for_on_loopback_where_one_is_configured(tmp_path: Path) -> None:
    """Whoever sets a token means it, also against other users of the machine."""
    (tmp_path / "token").write_text(TOKEN)
    desk = Desk(tmp_path, yaml(top=f"admin: {{token_file: {tmp_path / 'token'}}}"))
    assert _asked(desk, "GET", "/v1/revision", {})[0] == 401


def test_a_replaced_token_counts_at_once(tmp_path: Path) -> None:
    """Rotating the secret needs no restart."""
    desk = _open_to_others(tmp_path)

    async def run() -> list[int]:
        async with served(desk) as client:
            (tmp_path / "token").write_text("another-token-of-some-length")
            found = []
            for token in (TOKEN, "another-token-of-some-length"):
                async with client.get("/v1/revision", headers={"Authorization": f"Bearer {token}"}) as response:
                    found.append(response.status)
            return found

    assert asyncio.run(run()) == [401, 200]


def test_a_token_file_that_is_gone_opens_nothing(tmp_path: Path) -> None:
    """An unreadable secret is a failure, never an open door."""
    desk = _open_to_others(tmp_path)

    async def run() -> int:
        async with served(desk) as client:
            (tmp_path / "token").unlink()
            async with client.get("/v1/revision", headers={"Authorization": "Bearer "}) as response:
                return response.status

    assert asyncio.run(run()) == 503


def test_a_token_with_a_name_says_who_changes_something(tmp_path: Path) -> None:
    """What the token vouches for comes before what the body says; a token of nobody opens nothing."""
    desk = _open_to_others(tmp_path)
    (tmp_path / "token").write_text(f"ann {TOKEN}\nci {TOKEN}2\n")

    async def run() -> list[str | int]:
        found: list[str | int] = []
        async with served(desk) as client:
            for token, body in ((TOKEN, {}), (f"{TOKEN}2", {"author": "bob"}), (f"{TOKEN}3", {})):
                headers = {"Authorization": f"Bearer {token}"}
                async with client.post("/v1/revisions/1/restore", headers=headers, json=body) as response:
                    found.append((await response.json())["author"] if response.status == 200 else response.status)
        return found

    assert asyncio.run(run()) == ["ann (admin API from 127.0.0.1)", "ci, for bob (admin API from 127.0.0.1)", 401]
