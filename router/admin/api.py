"""The admin API: its routes, and what each answers.

Responsible for: paths, parameters, status codes, ETags.
Does not know: who may ask (``guard``), the shape of larger answers (``views``, ``assign``), how changes are made
(``router.control``).

Rules: GET reads and POST changes; a change says who made it. Everything is JSON except ``/metrics`` and the index; the
document at ``/openapi.json`` lists exactly these routes.
"""

import time

from aiohttp import web

from router.admin import views
from router.admin.asking import Requester, answer, asked, revision_of
from router.admin.assign import assign
from router.admin.bandits import BanditMetrics
from router.admin.changes import Changes, one
from router.admin.guard import Guard, middleware, problem
from router.admin.index import index_page
from router.admin.metrics import Metrics
from router.admin.ofrep import STREAM_PATH, Ofrep
from router.admin.openapi import DOCUMENT
from router.admin.outcomes import PATH, Outcomes
from router.admin.quality import QualityMetrics, report_view, with_marks
from router.admin.release import StageMetrics
from router.admin.releases import ReleaseMetrics, add_releases
from router.admin.reports import POLICY, Pages
from router.admin.stream import Streams
from router.admin.watched import WatchMetrics, add_watched
from router.config.scalars import Listen, is_loopback, parse_listen
from router.control.kill import tag
from router.control.loop import Control
from router.control.seat import Stale
from router.control.state import Refusal
from router.counters import ACKNOWLEDGED, DRAINING

_BODY_MAX = 64 * 1024


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
    Changes(control).add(app)
    add_releases(app, control)
    add_watched(app, control)
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
        watched = WatchMetrics(control.streams)
        bandits, stages = BanditMetrics(control.ticker), StageMetrics(control.driver)
        parts = (QualityMetrics(control.fold), bandits, stages, releases, watched)
        self._metrics = Metrics(control.seat.segment, lambda: control.revision, parts=parts, keeper=control.keeper)

    async def health(self, _request: web.Request) -> web.Response:
        return answer({"alive": True})

    async def ready(self, _request: web.Request) -> web.Response:
        segment = self._control.seat.segment
        waiting = [worker for worker in range(segment.workers) if segment.block(worker)[ACKNOWLEDGED] == 0]
        if segment.words[DRAINING]:
            return problem(503, "draining", ready=False)
        if waiting:
            return problem(503, f"{len(waiting)} of {segment.workers} workers have no revision yet", ready=False)
        return answer({"ready": True})

    async def metrics(self, request: web.Request) -> web.Response:
        body, content_type = self._metrics.render(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def document(self, _request: web.Request) -> web.Response:
        return answer(DOCUMENT)

    async def revision(self, _request: web.Request) -> web.Response:
        return answer(views.revision_view(self._control), etag=self._control.changed)

    async def revisions(self, _request: web.Request) -> web.Response:
        history = self._control.state.history
        return answer({"revisions": [views.history_view(entry) for entry in reversed(history)]})

    async def restore(self, request: web.Request) -> web.Response:
        number = int(request.match_info["number"])
        try:
            present = revision_of(request)
            author = (await asked(request, Requester))[0]
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
        return answer(views.revision_view(self._control), etag=outcome.number)

    async def config(self, request: web.Request) -> web.Response:
        query = request.query
        try:
            unknown = next((name for name in query if name not in ("region", "cluster", "path")), None)
            if unknown is not None:
                return problem(400, f"{unknown!r} is not a parameter; there are: region, cluster, path")
            view = views.config_view(self._control, query.get("region"), query.get("cluster"), query.get("path", "$"))
        except LookupError as error:
            return problem(404, str(error.args[0]))
        except ValueError as error:
            return problem(400, str(error))
        return answer(view, etag=self._control.changed)

    async def assign(self, request: web.Request) -> web.Response:
        try:
            found = assign(self._control.table(), request.query.items(), time.time())
            return answer(with_marks(found, self._control.revision))
        except LookupError as error:
            return problem(404, str(error.args[0]))
        except ValueError as error:
            return problem(400, str(error))

    async def targets(self, _request: web.Request) -> web.Response:
        return answer({"targets": views.targets_view(self._control.revision, self._control.seat.segment)})

    async def experiments(self, _request: web.Request) -> web.Response:
        return answer({"experiments": views.experiments_view(self._control)})

    async def experiment(self, request: web.Request) -> web.Response:
        return one(self._control, request.match_info["name"])

    async def report(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in {experiment.name for experiment in self._control.revision.config.experiments}:
            return problem(404, f"there is no experiment {name!r}")
        if "text/html" in request.headers.get("Accept", ""):
            page = web.Response(text=await self._pages.page(name), content_type="text/html")
            page.headers["Content-Security-Policy"] = POLICY
        else:
            page = answer(report_view(self._control, name, time.time()), etag=tag(self._control.revision, name))
        page.headers["Vary"] = "Accept"
        return page

    async def index(self, _request: web.Request) -> web.Response:
        response = web.Response(text=index_page(self._control), content_type="text/html")
        response.headers["Content-Security-Policy"] = POLICY
        return response
