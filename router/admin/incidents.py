"""Post-mortem reports over the admin API.

Responsible for: the list of an experiment's reports, and each of them as JSON or as a page.
Does not know: what a report says (``router.report``), when one is written (``router.control.postmortems``).
"""

import asyncio

from aiohttp import web

from router.admin.asking import answer
from router.admin.guard import problem
from router.admin.reports import POLICY
from router.control.loop import Control
from router.control.postmortems import folder_of, listed, read_report


class Incidents:
    """What each route does."""

    def __init__(self, control: Control) -> None:
        # Per process
        self._control = control

    def add(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/v1/experiments/{name}/postmortems", self.all)
        app.router.add_get("/v1/experiments/{name}/postmortems/{id}", self.one)

    async def all(self, request: web.Request) -> web.Response:
        """List the reports of an experiment, the newest first."""
        name = request.match_info["name"]
        found = await asyncio.to_thread(listed, folder_of(self._control.revision.config), name)
        if not found and name not in self._control.revision.weights:
            return problem(404, f"there is no experiment {name!r}, and no report about one")
        reports = [{"id": each, "time": int(each.rpartition("-")[2])} for each in found]
        return answer({"postmortems": reports})

    async def one(self, request: web.Request) -> web.Response:
        """Return one report: a page for ``Accept: text/html``, else JSON."""
        name, number = request.match_info["name"], request.match_info["id"]
        page = "text/html" in request.headers.get("Accept", "")
        own = number.rsplit("-", 2)[0] == name
        folder = folder_of(self._control.revision.config)
        found = await asyncio.to_thread(read_report, folder, number, "html" if page else "json") if own else None
        if found is None:
            return problem(404, f"there is no report {number!r} about experiment {name!r}")
        response = web.Response(body=found, content_type="text/html" if page else "application/json", charset="utf-8")
        if page:
            response.headers["Content-Security-Policy"] = POLICY
        response.headers["Vary"] = "Accept"
        return response
