"""The event stream of the admin API: decisions on releases and new revisions, as they come.

Responsible for: the form of these events, what a reader who comes back has missed.
Does not know: how a stream is kept (``sse``), what was decided (``router.control.decisions``).

Rules: an event ``decided`` has the number of the decision as its ``id``, so that a browser's ``Last-Event-ID`` makes it
go on there, as far as memory reaches; older ones are in ``/v1/experiments/NAME/decisions``. An event ``revised`` has no
id of its own: of several revisions at once only the newest is told, and ticks of bandits are not.
"""

import msgspec
from aiohttp import web

from router.admin.sse import Server
from router.control.loop import Control
from router.events.decisions import number_of

EVENTS_PATH = "/v1/events"


class Events:
    """The open event streams."""

    def __init__(self, control: Control) -> None:
        # Per process
        self._control = control
        self._server = Server(control)

    async def close(self, app: web.Application) -> None:
        """End all streams."""
        await self._server.close(app)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer ``GET /v1/events`` until the reader goes, or the listener shuts down."""
        seen = request.headers.get("Last-Event-ID", "")
        since = int(seen) if seen.isascii() and seen.isdigit() and len(seen) <= 18 else self._control.decisions.last
        return await self._server.serve(request, _News(self._control, since, request.query.get("experiment")))


class _News:
    """What one stream says."""

    def __init__(self, control: Control, since: int, experiment: str | None) -> None:
        # Per connection
        self._control = control
        self._number = since
        self._experiment = experiment
        self._revision = control.changed

    def opening(self) -> str:
        return f"revision {self._revision}"

    def news(self) -> str:
        decisions = self._control.decisions
        said = [
            _event("decided", msgspec.json.encode(decided), str(number_of(decided.id)))
            for decided in decisions.after(self._number)
            if self._experiment in (None, decided.experiment)
        ]
        self._number = decisions.last
        if self._control.changed != self._revision:
            self._revision = self._control.changed
            entry = self._control.state.history[-1]
            shown = {"number": entry.number, "cause": entry.cause, "author": entry.author, "time": entry.time}
            said.append(_event("revised", msgspec.json.encode(shown | {"changes": entry.changes})))
        return "".join(said)


def _event(name: str, data: bytes, number: str | None = None) -> str:
    head = f"id: {number}\n" if number is not None else ""
    return f"{head}event: {name}\ndata: {data.decode()}\n\n"
