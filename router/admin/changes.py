"""Changes that people make to an experiment: kill and resume, and what is asked of a release.

Responsible for: these routes, which answer follows from what became of the change.
Does not know: how a change is made (``router.control``), who may ask (``guard``).

Rules: a kill, or a drill of one, needs nobody to have looked first. Whatever is asked of a release needs ``If-Match``:
the tag of the experiment that was seen, which changes with its configuration, run, phase, step and status, and with no
bandit's tick; or ``*``, which says that it does not matter. What is so already may be confirmed, whatever the tag says
(RFC 9110 13.1.1), so that a repeat after a lost answer does no harm.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Protocol, cast, get_args

from aiohttp import web

from router.admin import views
from router.admin.asking import Reasoned, answer, asked, reason_of, tag_of
from router.admin.guard import problem
from router.control.kill import tag
from router.control.loop import Control
from router.control.seat import Asked, Stale
from router.control.state import Refusal
from router.events.model import Revision
from router.events.rollout import Decided
from router.rollout.observed import Ask
from router.rollout.turn import Refused

ASKS: Final[tuple[Ask, ...]] = tuple(ask for ask in get_args(Ask) if ask != "resume")
NOTHING: Final[Mapping[str, object]] = MappingProxyType({})
Outcome = Revision | Refusal | Stale | Refused


class _How(Protocol):
    async def __call__(self, name: str, asked: Asked, /) -> Outcome: ...


class Changes:
    """What each route does."""

    def __init__(self, control: Control) -> None:
        # Per process
        self._control = control

    def add(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_post("/v1/experiments/{name}/kill", self.kill)
        app.router.add_post("/v1/experiments/{name}/resume", self.resume)
        app.router.add_post("/v1/experiments/{name}/drill", self.drill)
        for what in ASKS:
            app.router.add_post(f"/v1/experiments/{{name}}/{what}", self.ask)

    async def kill(self, request: web.Request) -> web.Response:
        """Put all units on the control arm."""
        return await self._change(request, self._control.kill)

    async def drill(self, request: web.Request) -> web.Response:
        """Rehearse a kill and a rollback, of an arm that nobody has."""
        held: dict[str, object] = {}

        async def how(name: str, asked: Asked) -> Outcome:
            outcome = await self._control.drills.hold(name, asked)
            if not isinstance(outcome, Decided):
                return outcome
            held["drill"] = {"reason": outcome.reason, "time": outcome.time, **outcome.numbers}
            return self._control.revision

        return await self._change(request, how, also=held)

    async def resume(self, request: web.Request) -> web.Response:
        """End a kill; of a release that is not killed end its pause, or begin it again."""
        name = request.match_info["name"]
        stands = self._control.stands_still(name)
        return await self._change(request, self._control.resume, careful=stands)

    async def ask(self, request: web.Request) -> web.Response:
        """Ask something of a release."""
        what = cast("Ask", request.path.rpartition("/")[2])

        async def how(name: str, asked: Asked) -> Outcome:
            return await self._control.ask_release(name, what, asked)

        return await self._change(request, how, careful=True)

    async def _change(
        self, request: web.Request, how: _How, *, careful: bool = False, also: Mapping[str, object] = NOTHING
    ) -> web.Response:
        name = request.match_info["name"]
        try:
            seen = tag_of(request)
            author, body = await asked(request, Reasoned)
        except ValueError as error:
            return problem(400, str(error))
        if careful and "If-Match" not in request.headers:
            known = name in self._control.revision.weights
            said = "If-Match is missing: the ETag of the experiment that you saw, or * if that does not matter"
            return problem(428, said) if known else problem(404, f"there is no experiment {name!r}")
        try:
            outcome = await how(name, Asked(author, reason_of(body), seen))
        except LookupError as error:
            return problem(404, str(error.args[0]))
        if isinstance(outcome, Stale):
            return problem(412, f"experiment {name!r} is not what it was; look again")
        if isinstance(outcome, Refused):
            return problem(409, outcome.reason)
        if isinstance(outcome, Refusal):
            return problem(503, "it cannot be done now", mistakes=views.mistake_views(outcome.mistakes))
        return one(self._control, name, revision=views.progress_view(self._control), **also)


def one(control: Control, name: str, **more: object) -> web.Response:
    """Answer with an experiment, and its tag."""
    for view in views.experiments_view(control):
        if view["name"] == name:
            return answer(view | more, etag=tag(control.revision, name))
    return problem(404, f"there is no experiment {name!r}")
