"""OFREP's change stream: server-sent events that tell providers to ask again.

Responsible for: the events, keep-alive comments, the number of streams, and their end.
Does not know: what a flag is, who may listen (``guard``).

Rules: a stream holds no queue: what it says is the present state, so a slow reader misses steps and not the last one.
One that cannot take an event in time is closed, one whose reader has gone is noticed within ``LOOK_S``, and all end
when the listener shuts down, so that the process need not wait for them.
"""

import asyncio
import hashlib
from typing import Final

import msgspec
from aiohttp import web

from router.admin.guard import problem
from router.control.loop import Control
from router.control.schedule import moments
from router.events.model import Revision

MAX_STREAMS: Final = 64
LOOK_S: Final = 1.0
KEEP_ALIVE_S: Final = 15.0  # below the idle time-outs of proxies, 30 to 60 s
RETRY_MS: Final = 3000
_WRITE_S: Final = 10.0


def flag_tag(revision: Revision) -> str:
    """Return a tag of all that evaluations depend on but the context: flags, and the experiments that drive some."""
    config = revision.config
    routes = {experiment.route for experiment in config.experiments if experiment.flag is not None}
    beside = [
        (experiment, revision.weights[experiment.name], revision.runs[experiment.name])
        for experiment in config.experiments
        if experiment.route in routes
    ]
    begun = sum(moment <= revision.time for moment in moments(config))
    elsewhere = (config.layered_by, config.variants)
    structure = [config.layers, config.holdouts, config.overrides, begun, elsewhere] if routes else []
    attributes = [route.attributes for route in config.routes if route.name in routes]
    return hashlib.sha256(msgspec.json.encode([config.flags, beside, structure, attributes])).hexdigest()[:32]


class Streams:
    """The open change streams."""

    def __init__(self, control: Control) -> None:
        # Per process
        self._control = control
        self._open = 0
        self._closing = asyncio.Event()
        self._seen: tuple[Revision | None, str, int] = (None, "", 0)

    async def close(self, _app: web.Application) -> None:
        """End all streams."""
        self._closing.set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer ``GET /ofrep/v1/events`` until the reader goes, or the listener shuts down."""
        if self._open >= MAX_STREAMS:
            refused = problem(503, f"there are {MAX_STREAMS} streams already")
            refused.headers["Retry-After"] = "30"
            return refused
        self._open += 1
        try:
            return await self._serve(request)
        finally:
            self._open -= 1

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )
        await response.prepare(request)
        loop = asyncio.get_running_loop()
        known, _ = self._present()
        spoke = loop.time()
        try:
            await self._write(response, f"retry: {RETRY_MS}\n: {known}\n\n")
            while not self._closing.is_set() and request.transport is not None:
                await self._pause()
                tag, moment = self._present()
                if tag != known:
                    known, spoke = tag, loop.time()
                    await self._write(response, _event(tag, moment))
                elif loop.time() - spoke >= KEEP_ALIVE_S:
                    spoke = loop.time()
                    await self._write(response, ": keep-alive\n\n")
        except (ConnectionError, TimeoutError):
            pass  # the reader has gone, or does not read; it comes back by itself
        if request.transport is not None and not self._closing.is_set():
            request.transport.abort()
        return response

    def _present(self) -> tuple[str, int]:
        """Return the tag of the present revision, and when that tag came, in unix seconds."""
        revision = self._control.revision
        before, tag, moment = self._seen
        if revision is not before:
            present = flag_tag(revision)
            if present != tag:
                tag, moment = present, int(revision.time)
            self._seen = (revision, tag, moment)
        return tag, moment

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


def _event(tag: str, moment: int) -> str:
    """Write an event; ``flagConfigEtag`` and ``flagConfigLastModified`` of the request that follows echo its data."""
    data = msgspec.json.encode({"type": "refetchEvaluation", "etag": tag, "lastModified": moment}).decode()
    return f"id: {tag}\nevent: message\ndata: {data}\n\n"
