"""WebSockets through a real router, by somebody else's server and client."""

import asyncio
import json
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Self

import aiohttp
from aiohttp import WSMsgType, web

from tests.e2e.running import DEADLINE_S, Router, wait_until

LARGE = 3 * 1024 * 1024


class Echo:
    """A model server that echoes what it is sent over a WebSocket, and says its name over HTTP."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._started = threading.Event()
        self._stop: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)
        self.codes: list[int | None] = []  # with which callers closed

    async def _main(self) -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        self._stop = lambda: loop.call_soon_threadsafe(stop.set)
        app = web.Application()
        app.router.add_get("/ws", self._talk)
        app.router.add_get("/", self._say)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._started.set()
        await stop.wait()
        await runner.cleanup()

    async def _say(self, _: web.Request) -> web.Response:
        return web.Response(text=self._name)

    async def _talk(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(max_msg_size=2 * LARGE, protocols=("chat",))
        await socket.prepare(request)
        await socket.send_str(self._name)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await socket.send_bytes(message.data)
        self.codes.append(socket.close_code)
        return socket

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(DEADLINE_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._thread.join(DEADLINE_S)


@contextmanager
def echoing(folder: Path) -> Iterator[tuple[Router, dict[str, Echo]]]:
    """Run a router that splits users between two servers."""
    with Echo("old") as old, Echo("new") as new:
        router = Router(folder, workers=2)
        router.config.write_text(router.yaml({"old": old.url, "new": new.url}, {"old": 1, "new": 1}))
        try:
            router.start_ready()
            yield router, {"old": old, "new": new}
        finally:
            router.close()


@asynccontextmanager
async def talking(router: Router, user: str = "u") -> Any:
    """Open a WebSocket, and yield it with the name of its server."""
    async with (
        aiohttp.ClientSession(f"http://127.0.0.1:{router.port}", headers={"x-user-id": user}) as session,
        session.ws_connect("/ws", max_msg_size=2 * LARGE, protocols=("chat",)) as socket,
    ):
        assert socket.protocol == "chat"
        yield socket, await socket.receive_str()


def run(story: Callable[[], Awaitable[None]]) -> None:
    """Live a story, within a deadline."""

    async def bounded() -> None:
        async with asyncio.timeout(2 * DEADLINE_S):
            await story()

    asyncio.run(bounded())


def gauge(router: Router, name: str) -> float:
    """Read a metric without labels."""
    lines = router.ask("/metrics")[1].decode().splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])


def events(router: Router) -> list[dict[str, Any]]:
    """Read the upgraded exchanges of the event log."""
    lines = [line for path in (router.folder / "events").glob("*.ndjson") for line in path.read_text().splitlines()]
    return [event for event in map(json.loads, lines) if event.get("status") == 101]


def test_a_conversation(tmp_path: Path) -> None:
    """Text, binary, large, many and pings pass both ways; how it was closed arrives; it is counted and logged."""
    with echoing(tmp_path) as (router, servers):

        async def story() -> None:
            async with talking(router) as (socket, name):
                await socket.send_str("h\N{LATIN SMALL LETTER E WITH ACUTE}llo")
                assert await socket.receive_str() == "h\N{LATIN SMALL LETTER E WITH ACUTE}llo"
                for size in (0, 1, 125, 126, 65_535, 65_536, LARGE):
                    await socket.send_bytes(b"x" * size)
                    assert await socket.receive_bytes() == b"x" * size
                for number in range(500):
                    await socket.send_str(str(number))
                for number in range(500):
                    assert await socket.receive_str() == str(number)
                await socket.ping()
                assert gauge(router, "router_tunnels") == 1
                await socket.close(code=4001)
                await asyncio.to_thread(wait_until, lambda: servers[name].codes == [4001], "the code of the close")

        run(story)
        wait_until(lambda: gauge(router, "router_tunnels") == 0, "the end of the tunnel")
        (event,) = wait_until(lambda: events(router), "the event")
        assert event["unit"] == "u"
        assert event["request_bytes"] > LARGE
        assert event["response_bytes"] > LARGE
        assert "outcome_fault" not in event
        assert not event.get("failed")


def test_a_user_talks_to_the_server_of_its_arm(tmp_path: Path) -> None:
    """A WebSocket is assigned as any other request of its user, and sticks."""
    with echoing(tmp_path) as (router, _):

        async def story() -> None:
            found = set()
            for number in range(20):
                user = f"user-{number}"
                async with talking(router, user) as (_, name):
                    found.add(name)
                    assert await asyncio.to_thread(router.served, user) == (200, name)
                async with talking(router, user) as (_, again):
                    assert again == name
            assert found == {"old", "new"}

        run(story)


def test_a_conversation_outlives_a_reload_and_ends_with_the_drain(tmp_path: Path) -> None:
    """A reload that moves the user away leaves its conversation alone; the end of the drain ends it, visibly."""
    with echoing(tmp_path) as (router, servers):

        async def story() -> None:
            async with talking(router) as (socket, name):
                other = next(each for each in servers if each != name)
                targets = {each: server.url for each, server in servers.items()}
                text = router.yaml(targets, {name: 0, other: 1}).replace("drain: 5s", "drain: 2s")
                await asyncio.to_thread(router.config.write_text, text)
                await asyncio.to_thread(wait_until, lambda: router.served() == (200, other), "the reload")
                router.running.send_signal(signal.SIGTERM)
                await asyncio.to_thread(wait_until, lambda: "draining" in router.said(), "the drain")
                await socket.send_str("still there")
                assert await socket.receive_str() == "still there"
                message = await socket.receive()
                assert message.type in {WSMsgType.CLOSED, WSMsgType.ERROR, WSMsgType.CLOSE}
                assert socket.close_code in {None, aiohttp.WSCloseCode.ABNORMAL_CLOSURE}

        run(story)
        assert router.wait() == 0
        (event,) = events(router)
        assert event["outcome_fault"] == "drained"
        assert not event.get("failed")
