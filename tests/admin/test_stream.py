"""OFREP's change stream."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse

from router.admin import sse
from router.admin.stream import flag_tag
from tests.admin.flagging import changed, flag_desk, write_flags
from tests.admin.ofrep_schema import check
from tests.admin.serving import Client, served
from tests.control.desk import Desk

DEADLINE_S = 10


def run(desk: Desk, use: Callable[[Client], Awaitable[None]]) -> None:
    """Serve a desk and use it, within a deadline."""

    async def whole() -> None:
        async with asyncio.timeout(DEADLINE_S), served(desk) as client:
            await use(client)

    asyncio.run(whole())


@asynccontextmanager
async def reading(client: Client) -> AsyncIterator[ClientResponse]:
    """Open a stream and read its opening."""
    async with client.get("/ofrep/v1/events") as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        assert (await block(response))["retry"] == "3000"
        yield response


async def block(response: ClientResponse) -> dict[str, str]:
    """Read to the next empty line; a comment is under the empty name."""
    fields: dict[str, str] = {}
    while line := (await response.content.readuntil(b"\n")).decode().strip("\n"):
        field, _, value = line.partition(":")
        fields[field] = value.strip()
    return fields


async def flagged(client: Client, event: dict[str, str]) -> Any:
    """Ask again as a provider does after an event."""
    data = json.loads(event["data"])
    query = {"flagConfigEtag": data["etag"], "flagConfigLastModified": str(data["lastModified"])}
    body = {"context": {"targetingKey": "u"}}
    async with client.post("/ofrep/v1/evaluate/flags", params=query, json=body) as response:
        assert response.status == 200
        return {one["key"]: one for one in (await response.json())["flags"]}


def test_a_change_of_flags_is_told_and_what_is_asked_then_has_it(tmp_path: Path) -> None:
    """The event is the document's ``refetchEvaluation``, with a tag and a time that the provider echoes."""
    desk = flag_desk(tmp_path)

    async def use(client: Client) -> None:
        async with reading(client) as response:
            write_flags(tmp_path, changed("bool", defaultVariant="off"))
            await desk.control.reload()
            event = await block(response)
            check("sseEvent", event)
            assert event["event"] == "message"
            data = json.loads(event["data"])
            check("sseEventData", data)
            assert data == {
                "type": "refetchEvaluation",
                "etag": flag_tag(desk.control.revision),
                "lastModified": int(desk.control.revision.time),
            }
            assert (await flagged(client, event))["bool"]["value"] is False

    run(desk, use)


def test_other_changes_are_not_told(tmp_path: Path) -> None:
    """A revision of something else is no reason to ask again; the next event is of the change of flags after it."""
    desk = flag_desk(tmp_path)

    async def use(client: Client) -> None:
        async with reading(client) as response:
            desk.config.write_text(desk.config.read_text().replace("weight: 95", "weight: 50"))
            await desk.control.reload()
            assert desk.control.revision.number == 2
            write_flags(tmp_path, changed("bool", state="DISABLED"))
            await desk.control.reload()
            assert json.loads((await block(response))["data"])["etag"] == flag_tag(desk.control.revision)
            write_flags(tmp_path)
            await desk.control.reload()
            assert json.loads((await block(response))["data"])["etag"] == flag_tag(desk.control.revision)

    run(desk, use)


def test_a_silent_stream_is_kept_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Comments, which readers ignore, keep what lies between from closing it."""
    monkeypatch.setattr(sse, "KEEP_ALIVE_S", 0)
    monkeypatch.setattr(sse, "LOOK_S", 0.001)

    async def use(client: Client) -> None:
        async with reading(client) as response:
            for _ in range(3):
                assert await block(response) == {"": "keep-alive"}

    run(flag_desk(tmp_path), use)


def test_streams_are_bounded_and_a_reader_that_goes_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is 503 with a time to come back; a place is free again soon after its reader has gone."""
    monkeypatch.setattr(sse, "MAX_STREAMS", 2)
    monkeypatch.setattr(sse, "LOOK_S", 0.001)

    async def use(client: Client) -> None:
        async with reading(client):
            async with reading(client), client.get("/ofrep/v1/events") as refused:
                assert (refused.status, refused.headers["Retry-After"]) == (503, "30")
            status = 503
            while status == 503:
                async with client.get("/ofrep/v1/events") as response:
                    status = response.status

    run(flag_desk(tmp_path), use)


def test_streams_end_when_the_listener_does(tmp_path: Path) -> None:
    """The end is orderly, and well within the time that the shutdown would wait for it."""
    desk = flag_desk(tmp_path)

    async def use(client: Client) -> None:
        async with reading(client) as response:
            ending = asyncio.create_task(client.server.close())
            assert await response.content.read() == b""
            await ending

    run(desk, use)


def test_a_stream_needs_the_token(tmp_path: Path) -> None:
    """As the evaluations do."""
    (tmp_path / "token").write_text("a-token-of-some-length")
    desk = flag_desk(tmp_path, top=f"admin: {{token_file: {tmp_path / 'token'}}}")

    async def use(client: Client) -> None:
        async with client.get("/ofrep/v1/events") as response:
            assert response.status == 401
        async with client.get("/ofrep/v1/events", headers={"X-API-Key": "a-token-of-some-length"}) as response:
            assert response.status == 200

    run(desk, use)
