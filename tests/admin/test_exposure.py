"""What the admin API gives away, and what it takes."""

import asyncio
import base64
import hmac
from pathlib import Path

import pytest

from router.admin import guard
from tests.admin.serving import served
from tests.control.build import yaml
from tests.control.desk import Desk

TOKEN = "a-token-of-some-length"  # noqa: S105 - made for this test
SECRET = base64.b64encode(b"a signing key of this test alone!").decode()
READ = ("/", "/metrics", "/openapi.json", "/v1/revision", "/v1/revisions", "/v1/config", "/v1/targets",
        "/v1/experiments", "/v1/experiments/ramp", "/v1/assign?route=r&unit=u")  # fmt: skip


def _secretive(folder: Path) -> Desk:
    """Configure every secret there is."""
    (folder / "keys").write_text(SECRET)
    (folder / "token").write_text(TOKEN)
    top = f"server: {{signing: {{keys_file: {folder / 'keys'}}}}}\nadmin: {{token_file: {folder / 'token'}}}"
    return Desk(folder, yaml(top=top, route='match: {headers: {authorization: "Bearer hunter2"}}'))


def test_no_answer_and_no_file_of_the_workers_holds_a_secret(tmp_path: Path) -> None:
    """Token, signing keys and credentials that routes are matched on: files are named, values are not shown."""
    desk = _secretive(tmp_path)

    async def run() -> list[str]:
        async with served(desk) as client:
            answers = []
            for path in READ:
                async with client.get(path, headers={"Authorization": f"Bearer {TOKEN}"}) as response:
                    assert response.status == 200, path
                    answers.append(await response.text())
            return answers

    answers = asyncio.run(run())
    for secret in (TOKEN, SECRET, "hunter2"):
        assert not any(secret in answer for answer in answers), secret
    published = (desk.run_dir / "revision.msgpack").read_bytes()
    assert TOKEN.encode() not in published
    assert SECRET.encode() not in published


def test_the_token_is_compared_in_constant_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """How long a refusal takes says nothing of how much was right: one comparison, of everything."""
    desk = _secretive(tmp_path)
    compared: list[tuple[bytes, bytes]] = []

    def compare(given: bytes, wanted: bytes) -> bool:
        compared.append((given, wanted))
        return hmac.compare_digest(given, wanted)

    monkeypatch.setattr(guard, "hmac", type("hmac", (), {"compare_digest": staticmethod(compare)}))

    async def run() -> list[int]:
        async with served(desk) as client:
            found = []
            for given in ("wrong", TOKEN[:-1] + "x", TOKEN):
                async with client.get("/v1/revision", headers={"Authorization": f"Bearer {given}"}) as response:
                    found.append(response.status)
            return found

    assert asyncio.run(run()) == [401, 401, 200]
    assert [wanted for _, wanted in compared] == [TOKEN.encode()] * 3


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/experiments/ramp/kill", 405),
        ("GET", "/v1/experiments/ramp/resume", 405),
        ("GET", "/v1/revisions/1/restore", 405),
        ("PUT", "/v1/experiments/ramp/kill", 405),
        ("DELETE", "/v1/experiments/ramp", 405),
        ("POST", "/v1/config", 405),
        ("POST", "/v1/targets", 405),
    ],
)
def test_only_a_post_changes_something(tmp_path: Path, method: str, path: str, status: int) -> None:
    """A link, an image or a prefetch cannot; and what is configured comes from files alone."""
    desk = Desk(tmp_path)

    async def run() -> int:
        async with served(desk) as client, client.request(method, path) as response:
            return response.status

    assert asyncio.run(run()) == status
    assert desk.control.revision.number == 1


def test_a_large_body_is_refused(tmp_path: Path) -> None:
    """Nobody fills the control process's memory with a reason."""
    desk = Desk(tmp_path)

    async def run() -> int:
        async with served(desk) as client:
            body = b'{"reason": "' + b"x" * 1_000_000 + b'"}'
            headers = {"Content-Type": "application/json"}
            async with client.post("/v1/experiments/ramp/kill", data=body, headers=headers) as response:
                return response.status

    assert asyncio.run(run()) == 413
    assert desk.control.revision.number == 1


def test_a_page_cannot_kill_with_a_form(tmp_path: Path) -> None:
    """A form of another origin needs no permission to be sent; its type and its origin are refused."""
    desk = Desk(tmp_path)

    async def run() -> list[int]:
        async with served(desk) as client:
            found = []
            for headers in ({"Origin": "http://attacker.example"}, {}):
                async with client.post("/v1/experiments/ramp/kill", data={"reason": "x"}, headers=headers) as response:
                    found.append(response.status)
            return found

    assert asyncio.run(run()) == [403, 400]
    assert desk.control.revision.number == 1
