"""Releases over the admin API: what was decided about them.

Responsible for: parameters and answers of these routes, and the families of the metrics.
Does not know: how anything is decided, who may ask (``guard``).
"""

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any, Final

import msgspec
from aiohttp import web
from prometheus_client.core import Metric

from router.admin.events import EVENTS_PATH, Events
from router.admin.family import counter_of, gauge_of
from router.admin.guard import problem
from router.admin.incidents import Incidents
from router.control.decisions import Decisions
from router.control.loop import Control
from router.control.notices import RESULTS, Notices
from router.events.decisions import Wanted, number_of
from router.events.model import Revision

LIMIT: Final = 100
MOST: Final = 1000
_ASKED: Final = ("limit", "before", "run", "action", "since", "until")


def add_releases(app: web.Application, control: Control) -> None:
    """Add the routes."""
    events, releases = Events(control), _Releases(control)
    Incidents(control).add(app)
    app.router.add_get("/v1/experiments/{name}/decisions", releases.decisions)
    app.router.add_get(EVENTS_PATH, events.serve)
    app.on_shutdown.append(events.close)


class _Releases:
    """What each route does."""

    def __init__(self, control: Control) -> None:
        # Per process
        self._control = control

    async def decisions(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            wanted = wanted_of(name, request.query)
        except ValueError as error:
            return problem(400, str(error))
        try:
            found = await self._control.decisions.find(msgspec.structs.replace(wanted, limit=wanted.limit + 1))
        except OSError as error:
            return problem(503, f"older decisions cannot be read: {error}")
        experiments = {experiment.name for experiment in self._control.revision.config.experiments}
        if not found and name not in experiments:
            return problem(404, f"there is no experiment {name!r}, and nothing was decided about one")
        shown, more = found[: wanted.limit], len(found) > wanted.limit
        answer: dict[str, Any] = {"decisions": shown, "before": shown[-1].id if more else None}
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")


def wanted_of(name: str, asked: Mapping[str, str]) -> Wanted:
    """Read what decisions are asked for.

    Args:
        name: The experiment.
        asked: Parameters of the query.

    Raises:
        ValueError: If one is unknown or not right.
    """
    unknown = next((key for key in asked if key not in _ASKED), None)
    if unknown is not None:
        raise ValueError(f"{unknown!r} is not a parameter; there are: {', '.join(_ASKED)}")
    limit = _whole("limit", asked.get("limit", str(LIMIT)))
    if not 1 <= limit <= MOST:
        raise ValueError(f"limit {limit} is not between 1 and {MOST}")
    before = asked.get("before")
    if before is not None and number_of(before) == 0:
        raise ValueError(f"before {before!r} is not the id of a decision")
    return Wanted(
        experiment=name,
        run=_whole("run", asked["run"]) if "run" in asked else None,
        actions=frozenset(filter(None, asked.get("action", "").split(","))),
        since=_moment("since", asked["since"]) if "since" in asked else None,
        until=_moment("until", asked["until"]) if "until" in asked else None,
        before=None if before is None else number_of(before),
        limit=limit,
    )


def _whole(key: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise ValueError(f"{key} {text!r} is not a number")
    return int(text)


def _moment(key: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise ValueError(f"{key} {text!r} is not a time in unix seconds")
    return value


class ReleaseMetrics:
    """The families of the decision log and of notifiers."""

    def __init__(self, decisions: Decisions, notices: Notices) -> None:
        self._decisions = decisions
        self._notices = notices

    def collect(self, _revision: Revision) -> Iterator[Metric]:
        """Yield all of them."""
        decisions = self._decisions
        failed = gauge_of("router_decisions_failed")
        failed.add_metric([], decisions.failed)
        dropped, unsound = (
            counter_of(name) for name in ("router_decisions_dropped_total", "router_decisions_unsound_total")
        )
        dropped.add_metric([], decisions.dropped)
        unsound.add_metric([], decisions.unsound)
        told, waiting = counter_of("router_notifications_total"), gauge_of("router_notifications_waiting")
        for name, count in self._notices.waiting().items():
            waiting.add_metric([name], count)
            for result in RESULTS:
                told.add_metric([name, result], self._notices.results[name][result])
        yield from (failed, dropped, unsound, told, waiting)
