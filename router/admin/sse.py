"""Server-sent events: streams that say what is new until their reader goes.

Responsible for: keep-alive comments, the number of streams, time-outs, and their end.
Does not know: what is said (``Feed``), who may listen (``guard``).

Rules: a stream holds no queue: it asks its feed what is new since it last spoke, so a slow reader costs nothing. One
that cannot take an event in time is closed, one whose reader has gone is noticed within ``LOOK_S``, and all end when
the listener shuts down, so that the process need not wait for them.
"""

import asyncio
from typing import Final, Protocol

from aiohttp import web

from router.admin.guard import problem
from router.control.loop import Control

MAX_STREAMS: Final = 64
LOOK_S: Final = 1.0
KEEP_ALIVE_S: Final = 15.0  # below the idle time-outs of proxies, 30 to 60 s
RETRY_MS: Final = 3000
_WRITE_S: Final = 10.0


class Feed(Protocol):
    """What one stream says."""

    def opening(self) -> str:
        """Return the comment that a stream begins with."""
        ...

    def news(self) -> str:
        """Return the events since this was last asked; nothing when there are none."""
        ...


class Server:
    """The open streams of one kind."""

    def __init__(self, control: Control) -> None:
        # Per process
        self._control = control
        self._open = 0
        self._closing = asyncio.Event()

    async def close(self, _app: web.Application) -> None:
        """End all streams."""
        self._closing.set()

    async def serve(self, request: web.Request, feed: Feed) -> web.StreamResponse:
        """Answer until the reader goes, or the listener shuts down."""
        if self._open >= MAX_STREAMS:
            refused = problem(503, f"there are {MAX_STREAMS} streams already")
            refused.headers["Retry-After"] = "30"
            return refused
        self._open += 1
        try:
            return await self._serve(request, feed)
        finally:
            self._open -= 1

    async def _serve(self, request: web.Request, feed: Feed) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )
        await response.prepare(request)
        loop = asyncio.get_running_loop()
        opening = feed.opening()
        spoke = loop.time()
        try:
            await self._write(response, f"retry: {RETRY_MS}\n: {opening}\n\n")
            while not self._closing.is_set() and request.transport is not None:
                await self._pause()
                said = feed.news()
                if said:
                    spoke = loop.time()
                    await self._write(response, said)
                elif loop.time() - spoke >= KEEP_ALIVE_S:
                    spoke = loop.time()
                    await self._write(response, ": keep-alive\n\n")
        except (ConnectionError, TimeoutError):
            pass  # the reader has gone, or does not read; it comes back by itself
        if request.transport is not None and not self._closing.is_set():
            request.transport.abort()
        return response

    async def _pause(self) -> None:
        """Wait for another revision, but no longer than ``LOOK_S``."""
        waiters = [asyncio.ensure_future(event.wait()) for event in (self._closing, self._control.news)]
        try:
            await asyncio.wait(waiters, timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in waiters:
                waiter.cancel()

    @staticmethod
    async def _write(response: web.StreamResponse, text: str) -> None:
        async with asyncio.timeout(_WRITE_S):
            await response.write(text.encode())
