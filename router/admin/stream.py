"""OFREP's change stream: server-sent events that tell providers to ask again.

Responsible for: when there is something to tell, and the form of the event.
Does not know: what a flag is, how a stream is kept (``sse``).

Rules: what a stream says is the present state, so a slow reader misses steps and not the last one.
"""

import hashlib

import msgspec
from aiohttp import web

from router.admin.sse import Server
from router.control.loop import Control
from router.control.schedule import moments
from router.events.model import Revision


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
        self._server = Server(control)
        self._seen: tuple[Revision | None, str, int] = (None, "", 0)

    async def close(self, app: web.Application) -> None:
        """End all streams."""
        await self._server.close(app)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer ``GET /ofrep/v1/events`` until the reader goes, or the listener shuts down."""
        return await self._server.serve(request, _Changes(self))

    def present(self) -> tuple[str, int]:
        """Return the tag of the present revision, and when that tag came, in unix seconds."""
        revision = self._control.revision
        before, tag, moment = self._seen
        if revision is not before:
            present = flag_tag(revision)
            if present != tag:
                tag, moment = present, int(revision.time)
            self._seen = (revision, tag, moment)
        return tag, moment


class _Changes:
    """What one stream says."""

    def __init__(self, streams: Streams) -> None:
        # Per connection
        self._streams = streams
        self._known = ""

    def opening(self) -> str:
        self._known, _ = self._streams.present()
        return self._known

    def news(self) -> str:
        tag, moment = self._streams.present()
        if tag == self._known:
            return ""
        self._known = tag
        return _event(tag, moment)


def _event(tag: str, moment: int) -> str:
    """Write an event; ``flagConfigEtag`` and ``flagConfigLastModified`` of the request that follows echo its data."""
    data = msgspec.json.encode({"type": "refetchEvaluation", "etag": tag, "lastModified": moment}).decode()
    return f"id: {tag}\nevent: message\ndata: {data}\n\n"
