"""The admin API: its routes, and what each answers.

Responsible for: paths, parameters, status codes, ETags.
Does not know: who may ask (``guard``), the shape of larger answers (``views``, ``assign``), how changes are made
(``router.control``).

Rules: GET reads and POST changes; a change says who made it. Everything is JSON except ``/metrics`` and the index; the
document at ``/openapi.json`` lists exactly these routes.
"""

import re
import time
from typing import Any, Protocol, TypeVar

import msgspec
from aiohttp import web

from router.admin import views
from router.admin.assign import assign
from router.admin.bandits import BanditMetrics
from router.admin.guard import CALLER, Guard, middleware, problem
from router.admin.metrics import Metrics
from router.admin.ofrep import STREAM_PATH, Ofrep
from router.admin.openapi import DOCUMENT, SUMMARIES
from router.admin.outcomes import PATH, Outcomes
from router.admin.quality import QualityMetrics, report_view, with_marks
from router.admin.releases import ReleaseMetrics, add_releases
from router.admin.reports import POLICY, Pages
from router.admin.stream import Streams
from router.config.scalars import Listen, is_loopback, parse_listen
from router.control.kill import tag
from router.control.loop import Control
from router.control.seat import Asked, Stale
from router.control.state import Refusal
from router.counters import ACKNOWLEDGED, DRAINING
from router.events.model import Revision

_BODY_MAX = 64 * 1024
_AUTHOR_MAX = 128
_REASON_MAX = 1024
_ETAG = re.compile(r'"([0-9]{1,18})"')
_TAG = re.compile(r'"([0-9a-f]{1,64})"')


class Requester(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a change; all of it may be left out."""

    author: str | None = None


class Reasoned(Requester, frozen=True, forbid_unknown_fields=True):
    """The body of a change that has a reason."""

    reason: str | None = None


Body = TypeVar("Body", bound=Requester)


def application(control: Control) -> web.Application:
    """Make the application of one control process."""
    listen: Listen = parse_listen(control.revision.config.admin.listen)
    guard = Guard(listen.host, lambda: control.revision.config.admin.token_file, loopback=is_loopback(listen))
    api = _Api(control)
    app = web.Application(middlewares=[middleware(guard)], client_max_size=_BODY_MAX)
    app.router.add_get("/", api.index)
    app.router.add_get("/healthz", api.health)
    app.router.add_get("/readyz", api.ready)
    app.router.add_get("/metrics", api.metrics)
    app.router.add_get("/openapi.json", api.document)
    app.router.add_get("/v1/revision", api.revision)
    app.router.add_get("/v1/revisions", api.revisions)
    app.router.add_post("/v1/revisions/{number:[0-9]{1,18}}/restore", api.restore)
    app.router.add_get("/v1/config", api.config)
    app.router.add_get("/v1/assign", api.assign)
    app.router.add_get("/v1/targets", api.targets)
    app.router.add_get("/v1/experiments", api.experiments)
    app.router.add_get("/v1/experiments/{name}", api.experiment)
    app.router.add_get("/v1/experiments/{name}/report", api.report)
    app.router.add_post("/v1/experiments/{name}/kill", api.kill)
    app.router.add_post("/v1/experiments/{name}/resume", api.resume)
    add_releases(app, control)
    _add_flags(app, control)
    outcomes = Outcomes(control)
    app.cleanup_ctx.append(outcomes.run)
    app.router.add_post(PATH, outcomes.post)
    return app


def _add_flags(app: web.Application, control: Control) -> None:
    flags, streams = Ofrep(control), Streams(control)
    app.router.add_post("/ofrep/v1/evaluate/flags", flags.all)
    app.router.add_post("/ofrep/v1/evaluate/flags/{key:.+}", flags.one)
    app.router.add_get(STREAM_PATH, streams.serve)
    app.on_shutdown.append(streams.close)


class _Api:
    """What each route does."""

    def __init__(self, control: Control) -> None:
        # Per process
        self._control = control
        self._pages = Pages(control)
        releases = ReleaseMetrics(control.decisions, control.notices)
        parts = (QualityMetrics(control.fold), BanditMetrics(control.ticker), releases)
        self._metrics = Metrics(control.seat.segment, lambda: control.revision, parts=parts, keeper=control.keeper)

    async def health(self, _request: web.Request) -> web.Response:
        return _json({"alive": True})

    async def ready(self, _request: web.Request) -> web.Response:
        segment = self._control.seat.segment
        waiting = [worker for worker in range(segment.workers) if segment.block(worker)[ACKNOWLEDGED] == 0]
        if segment.words[DRAINING]:
            return problem(503, "draining", ready=False)
        if waiting:
            return problem(503, f"{len(waiting)} of {segment.workers} workers have no revision yet", ready=False)
        return _json({"ready": True})

    async def metrics(self, request: web.Request) -> web.Response:
        body, content_type = self._metrics.render(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def document(self, _request: web.Request) -> web.Response:
        return _json(DOCUMENT)

    async def revision(self, _request: web.Request) -> web.Response:
        return _json(views.revision_view(self._control), etag=self._control.changed)

    async def revisions(self, _request: web.Request) -> web.Response:
        history = self._control.state.history
        return _json({"revisions": [views.history_view(entry) for entry in reversed(history)]})

    async def restore(self, request: web.Request) -> web.Response:
        number = int(request.match_info["number"])
        try:
            present = _if_match(request)
            author = (await _asked(request, Requester))[0]
        except ValueError as error:
            return problem(400, str(error))
        try:
            outcome = await self._control.restore(number, author, present)
        except LookupError as error:
            return problem(404, str(error.args[0]))
        if isinstance(outcome, Stale):
            return problem(412, f"the present revision is {self._control.revision.number}")
        if isinstance(outcome, Refusal):
            return problem(409, "the revision cannot be restored", mistakes=views.mistake_views(outcome.mistakes))
        return _json(views.revision_view(self._control), etag=outcome.number)

    async def config(self, request: web.Request) -> web.Response:
        asked = request.query
        try:
            unknown = next((name for name in asked if name not in ("region", "cluster", "path")), None)
            if unknown is not None:
                return problem(400, f"{unknown!r} is not a parameter; there are: region, cluster, path")
            view = views.config_view(self._control, asked.get("region"), asked.get("cluster"), asked.get("path", "$"))
        except LookupError as error:
            return problem(404, str(error.args[0]))
        except ValueError as error:
            return problem(400, str(error))
        return _json(view, etag=self._control.changed)

    async def assign(self, request: web.Request) -> web.Response:
        try:
            answer = assign(self._control.table(), request.query.items(), time.time())
            return _json(with_marks(answer, self._control.revision))
        except LookupError as error:
            return problem(404, str(error.args[0]))
        except ValueError as error:
            return problem(400, str(error))

    async def targets(self, _request: web.Request) -> web.Response:
        return _json({"targets": views.targets_view(self._control.revision, self._control.seat.segment)})

    async def experiments(self, _request: web.Request) -> web.Response:
        return _json({"experiments": views.experiments_view(self._control)})

    async def experiment(self, request: web.Request) -> web.Response:
        return self._one(request.match_info["name"], {})

    async def report(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in {experiment.name for experiment in self._control.revision.config.experiments}:
            return problem(404, f"there is no experiment {name!r}")
        if "text/html" in request.headers.get("Accept", ""):
            page = web.Response(text=await self._pages.page(name), content_type="text/html")
            page.headers["Content-Security-Policy"] = POLICY
        else:
            page = _json(report_view(self._control, name, time.time()), etag=tag(self._control.revision, name))
        page.headers["Vary"] = "Accept"
        return page

    async def kill(self, request: web.Request) -> web.Response:
        return await self._switch(request, self._control.kill)

    async def resume(self, request: web.Request) -> web.Response:
        return await self._switch(request, self._control.resume)

    async def _switch(self, request: web.Request, how: "_Switch") -> web.Response:
        name = request.match_info["name"]
        try:
            seen = _tag_of(request)
            author, body = await _asked(request, Reasoned)
        except ValueError as error:
            return problem(400, str(error))
        reason = _line(body.reason, _REASON_MAX) if body.reason else None
        try:
            outcome = await how(name, Asked(author, reason, seen))
        except LookupError as error:
            return problem(404, str(error.args[0]))
        if isinstance(outcome, Stale):
            return problem(412, f"experiment {name!r} is not what it was; look again")
        if isinstance(outcome, Refusal):
            return problem(503, "it cannot be done now", mistakes=views.mistake_views(outcome.mistakes))
        return self._one(name, {"revision": views.progress_view(self._control)})

    def _one(self, name: str, more: dict[str, Any]) -> web.Response:
        control = self._control
        for view in views.experiments_view(control):
            if view["name"] == name:
                return _json(view | more, etag=tag(control.revision, name))
        return problem(404, f"there is no experiment {name!r}")

    async def index(self, _request: web.Request) -> web.Response:
        rows = "".join(
            f'<tr><td><a href="{path}">{path}</a></td><td>{summary}</td></tr>'
            if method == "get" and "{" not in path
            else f"<tr><td>{method.upper()} {path}</td><td>{summary}</td></tr>"
            for (method, path), summary in SUMMARIES.items()
        )
        response = web.Response(text=_PAGE.format(rows=rows), content_type="text/html")
        response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
        return response


_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>router</title>'
    "<style>body{{font:16px/1.5 system-ui,sans-serif;margin:3em auto;max-width:50em}}td{{padding:.2em 1em}}</style>"
    "<h1>router</h1><table>{rows}</table></html>"
)


class _Switch(Protocol):
    async def __call__(self, name: str, asked: Asked, /) -> Revision | Refusal | Stale: ...


def _json(value: Any, etag: int | str | None = None) -> web.Response:
    response = web.Response(body=msgspec.json.encode(value), content_type="application/json")
    if etag is not None:
        response.headers["ETag"] = f'"{etag}"'
    return response


def _if_match(request: web.Request) -> int | None:
    """Give the revision that a change is asked for on; None when any will do."""
    value = request.headers.get("If-Match", "*").strip()
    if value == "*":
        return None
    found = _ETAG.fullmatch(value)
    if found is None:
        raise ValueError("If-Match is not the ETag of a revision")
    return int(found[1])


def _tag_of(request: web.Request) -> str | None:
    """Give the tag of the experiment that a change is asked for on; None when any will do."""
    value = request.headers.get("If-Match", "*").strip()
    if value == "*":
        return None
    found = _TAG.fullmatch(value)
    if found is None:
        raise ValueError("If-Match is not the ETag of an experiment")
    return found[1]


async def _asked(request: web.Request, kind: type[Body]) -> tuple[str, Body]:
    """Give who asks: by the name of their token, by what the body says, and always from where; and the body."""
    data = await request.read()
    body = kind()
    if data:
        if request.content_type != "application/json":
            raise ValueError("the body is not application/json")
        try:
            body = msgspec.json.decode(data, type=kind)
        except msgspec.MsgspecError as error:
            raise ValueError(f"the body is not right: {error}") from error
    place = f"admin API from {request.remote}"
    said = _line(body.author, _AUTHOR_MAX) if body.author else None
    known = request.get(CALLER)
    if known is not None:  # what a token vouches for comes first; what the body says is only said
        said = known if said in (None, known) else f"{known}, for {said}"
    return f"{said} ({place})" if said else place, body


def _line(text: str, longest: int) -> str:
    """Bring what a person wrote to one line without anything that a terminal or a log reader would obey."""
    joined = " ".join(text[: 4 * longest].split())
    return "".join(character if character.isprintable() else "\ufffd" for character in joined)[:longest]
