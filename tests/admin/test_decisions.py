"""The decision log over the admin API."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse

from router.admin import sse
from router.control.seat import Asked
from router.events.rollout import Decided, Found
from tests.admin.serving import Client, served
from tests.control.build import plain
from tests.control.desk import Desk

NAME = "ramp"


def run(desk: Desk, use: Callable[[Client], Awaitable[None]]) -> None:
    """Serve a desk and use it, within a deadline."""

    async def whole() -> None:
        async with asyncio.timeout(10), served(desk) as client:
            await use(client)

    asyncio.run(whole())


def made(action: str = "rollback", time: float = 5.0) -> Decided:
    """Make a decision with evidence."""
    found = Found(name="errors ratio 2", status="fail", action="rollback", reason="8 of 100", estimate=4.0, low=2.1)
    return Decided(
        id="", time=time, experiment=NAME, run=1, phase=1, revision=0, step="stage", action=action,
        reason="errors ratio 2", alternative="hold", found=(found,),
    )  # fmt: skip


async def page(client: Client, query: str = "") -> Any:
    """Ask for decisions."""
    async with client.get(f"/v1/experiments/{NAME}/decisions{query}") as response:
        assert response.status == 200, await response.text()
        return await response.json()


def test_decisions_are_told_with_their_evidence_newest_first(tmp_path: Path) -> None:
    """A reader pages to the oldest by the ``before`` of each answer."""
    desk = Desk(tmp_path)

    async def use(client: Client) -> None:
        for action in ("advance", "hold", "rollback"):
            desk.control.decisions.record(made(action), 1)
        first = await page(client, "?limit=2")
        assert [each["action"] for each in first["decisions"]] == ["rollback", "hold"]
        assert first["decisions"][0]["found"][0]["low"] == 2.1
        second = await page(client, f"?limit=2&before={first['before']}")
        assert ([each["action"] for each in second["decisions"]], second["before"]) == (["advance"], None)
        assert [each["action"] for each in (await page(client, "?action=hold,advance"))["decisions"]] == [
            "hold", "advance",
        ]  # fmt: skip

    run(desk, use)


@pytest.mark.parametrize(
    "query", ["?limit=0", "?limit=x", "?limit=1001", "?before=zz", "?since=nan", "?run=-1", "?hello=1"]
)
def test_a_wrong_question_is_refused(tmp_path: Path, query: str) -> None:
    """Nothing is guessed."""

    async def use(client: Client) -> None:
        async with client.get(f"/v1/experiments/{NAME}/decisions{query}") as response:
            assert (response.status, response.content_type) == (400, "application/problem+json")

    run(Desk(tmp_path), use)


def test_an_unknown_experiment_is_404_unless_something_was_decided(tmp_path: Path) -> None:
    """What was decided of an experiment that is gone can still be read."""
    desk = Desk(tmp_path)

    async def use(client: Client) -> None:
        async with client.get("/v1/experiments/none/decisions") as response:
            assert response.status == 404
        desk.control.decisions.record(made(), 1)
        desk.config.write_text(plain())
        await desk.control.reload()
        assert len((await page(client))["decisions"]) == 1

    run(desk, use)


def test_a_kill_and_its_end_are_decisions(tmp_path: Path) -> None:
    """Who and why are in the log; what holds already is none."""
    desk = Desk(tmp_path)

    async def use(client: Client) -> None:
        for what in ("kill", "kill", "resume"):
            body = {"author": "ada", "reason": f"{what} it"}
            async with client.post(f"/v1/experiments/{NAME}/{what}", json=body) as response:
                assert response.status == 200
        told = [(each["action"], each["reason"]) for each in (await page(client))["decisions"]]
        assert told == [("resume", "resume it"), ("kill", "kill it")]
        assert (await page(client))["decisions"][0]["by"].startswith("ada")

    run(desk, use)


async def event(response: ClientResponse) -> dict[str, str]:
    """Read to the next empty line."""
    fields: dict[str, str] = {}
    while line := (await response.content.readuntil(b"\n")).decode().strip("\n"):
        field, _, value = line.partition(":")
        fields[field] = value.strip()
    return fields


def test_decisions_and_revisions_are_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that comes back with the last id it saw misses nothing."""
    monkeypatch.setattr(sse, "LOOK_S", 0.001)
    desk = Desk(tmp_path)

    async def use(client: Client) -> None:
        desk.control.decisions.record(made("advance"), 1)
        async with client.get("/v1/events") as response:
            await event(response)
            desk.control.decisions.record(made("rollback"), 1)
            told = await event(response)
            assert (told["event"], told["id"], json.loads(told["data"])["action"]) == ("decided", "2", "rollback")
            await desk.control.kill(NAME, Asked("ada"))
            kinds = {(await event(response))["event"] for _ in range(2)}
            assert kinds == {"decided", "revised"}
        async with client.get("/v1/events", headers={"Last-Event-ID": "1"}) as response:
            await event(response)
            assert (await event(response))["id"] == "2"

    run(desk, use)


def test_a_metric_alarms_while_decisions_cannot_be_written(tmp_path: Path) -> None:
    """The log beside the traffic fails alone."""
    desk = Desk(tmp_path)

    async def use(client: Client) -> None:
        async with client.get("/metrics") as response:
            assert "router_decisions_failed 0.0" in await response.text()
        desk.control.decisions.failed = True
        async with client.get("/metrics") as response:
            assert "router_decisions_failed 1.0" in await response.text()

    run(desk, use)
