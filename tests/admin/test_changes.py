"""What people ask of a release, over the admin API."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.admin.releasing import look, progress, release_desk
from tests.admin.serving import Client, served
from tests.control.desk import Desk

PATH = "/v1/experiments/ramp"
WHO = {"author": "ada", "reason": "because\x1b[31m of\nthis"}


def run(desk: Desk, use: Callable[[Client], Awaitable[None]], looks: int = 2) -> None:
    """Serve a desk whose release is in its first stage, and use it within a deadline."""

    async def whole() -> None:
        async with asyncio.timeout(20), served(desk) as client:
            await look(desk.control, looks)
            await use(client)

    asyncio.run(whole())


async def ask(client: Client, what: str, match: str | None = "*", body: Any = WHO) -> tuple[int, Any, str]:
    """Ask for something; give the status, the answer and the ETag."""
    headers = {} if match is None else {"If-Match": match}
    async with client.post(f"{PATH}/{what}", json=body, headers=headers) as response:
        return response.status, await response.json(), response.headers.get("ETag", "")


async def seen(client: Client) -> str:
    """Return the ETag of the experiment."""
    async with client.get(PATH) as response:
        return response.headers["ETag"]


def test_each_ask_has_its_effect_and_keeps_who_and_why(tmp_path: Path) -> None:
    """The answer is the experiment as it is then; the log has the person and the reason on one plain line."""
    desk = release_desk(tmp_path)

    async def use(client: Client) -> None:
        for what, step, status, share in (
            ("pause", "stage", "paused", 0.05),
            ("resume", "stage", "running", 0.05),
            ("approve", "stage", "running", 0.05),
            ("promote", "stage", "running", 0.5),
            ("rollback", "rolled_back", "over", 0.0),
            ("resume", "stage", "running", 0.0),
            ("abort", "aborted", "over", 0.0),
        ):
            code, found, _ = await ask(client, what, await seen(client))
            release = found["release"]
            assert (what, code) == (what, 200)
            assert (what, release["step"], release["status"]) == (what, step, status)
            assert desk.control.revision.rollouts["ramp"].share == share
            assert found["arms"][1]["share"] == pytest.approx(share)
            await look(desk.control)
            if what == "resume" and share == 0.0:
                assert progress(desk.control).share == 0.05
        async with client.get(f"{PATH}/decisions") as response:
            told = (await response.json())["decisions"]
        asked = [each for each in told if each.get("by", "router") != "router"]
        assert [each["action"] for each in asked][::-1] == [
            "pause", "resume", "approve", "promote", "rollback", "begin", "abort",
        ]  # fmt: skip
        events = [notice.event for notice, _ in desk.control.notices._early if "ada" in notice.text]
        assert events == [
            "pause", "resume", "approval", "stage", "promote", "rollback", "rollback", "resume", "rollback", "abort",
        ]  # fmt: skip
        assert all(each["by"].startswith("ada (admin API from ") for each in asked)
        assert all("because\ufffd[31m of this" in each["reason"] for each in asked)

    run(desk, use)


@pytest.mark.parametrize("what", ["approve", "promote", "pause", "rollback", "abort"])
def test_an_ask_needs_the_tag_that_was_seen(tmp_path: Path, what: str) -> None:
    """428 without one, 412 with an old one, 400 with none at all; and nothing happens."""
    desk = release_desk(tmp_path)

    async def use(client: Client) -> None:
        old = await seen(client)
        number = desk.control.revision.number
        assert (await ask(client, what, None))[0] == 428
        assert (await ask(client, what, '"nonsense"'))[0] == 400
        assert (await ask(client, what, '"0123456789abcdef"'))[0] == 412
        assert desk.control.revision.number == number
        await ask(client, "pause", old)
        assert await seen(client) != old
        if what != "pause":
            assert (await ask(client, what, old))[0] == 412

    run(desk, use)


def test_the_tag_is_of_the_release_and_not_of_the_clock(tmp_path: Path) -> None:
    """Looks that change nothing keep it; another step, stage or status changes it."""
    desk = release_desk(tmp_path)

    async def use(client: Client) -> None:
        tags = [await seen(client)]
        await look(desk.control, 3)
        assert await seen(client) == tags[0]
        for what in ("pause", "resume", "promote", "rollback"):
            await ask(client, what)
            tags.append(await seen(client))
        assert len({*tags}) == len(tags) - 1
        assert tags[2] == tags[0]

    run(desk, use)


@pytest.mark.parametrize(("first", "again"), [("pause", "pause"), ("rollback", "rollback"), ("abort", "rollback")])
def test_what_is_so_already_may_be_confirmed(tmp_path: Path, first: str, again: str) -> None:
    """RFC 9110 13.1.1: a repeat after a lost answer is told that it holds, with the tag of before."""
    desk = release_desk(tmp_path)

    async def use(client: Client) -> None:
        old = await seen(client)
        assert (await ask(client, first, old))[0] == 200
        number = desk.control.revision.number
        assert (await ask(client, again, old))[0] == 200
        assert desk.control.revision.number == number

    run(desk, use)


def test_what_makes_no_sense_is_refused_with_the_reason(tmp_path: Path) -> None:
    """409, and what could be done instead; of an experiment that is no release, too."""
    desk = release_desk(tmp_path)

    async def use(client: Client) -> None:
        await ask(client, "rollback")
        for what in ("approve", "promote", "pause"):
            code, found, _ = await ask(client, what)
            assert (what, code) == (what, 409)
            assert "the release is over (rolled back)" in found["detail"]

    run(desk, use)

    async def plain(client: Client) -> None:
        code, found, _ = await ask(client, "promote")
        assert (code, "is no release" in found["detail"]) == (409, True)
        async with client.post("/v1/experiments/none/promote", headers={"If-Match": "*"}) as response:
            assert response.status == 404
        async with client.post("/v1/experiments/none/promote") as response:
            assert response.status == 404

    other = tmp_path / "other"
    other.mkdir()
    run(Desk(other), plain, looks=0)


def test_resume_ends_a_kill_before_a_pause(tmp_path: Path) -> None:
    """A killed release that is paused stays paused when its kill ends; a second resume ends the pause."""
    desk = release_desk(tmp_path)

    async def use(client: Client) -> None:
        await ask(client, "pause")
        assert (await ask(client, "kill", None))[0] == 200
        assert (await ask(client, "resume", None))[0] == 200
        assert progress(desk.control).status == "paused"
        assert (await ask(client, "resume", None))[0] == 428
        assert (await ask(client, "resume"))[0] == 200
        assert progress(desk.control).status == "running"
        assert (await ask(client, "resume", None))[0] == 200  # what is so already

    run(desk, use)
