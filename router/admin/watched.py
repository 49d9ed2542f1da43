"""What is watched, as the admin API and the metrics show it.

Responsible for: the route, the shape of its answer, and the families of the metrics.
Does not know: how anything is detected (``router.detect``), when (``router.control.streams``).

Rules: reads only what the streams keep; no nan and no infinity. Labels are bounded by the number of streams.
"""

from collections.abc import Iterator

import msgspec
from aiohttp import web
from prometheus_client.core import Metric

from router.admin.family import counter_of, gauge_of
from router.control.loop import Control
from router.control.streams import Streams
from router.events.model import Revision


def add_watched(app: web.Application, control: Control) -> None:
    """Add the route."""
    streams = control.streams

    async def watch(request: web.Request) -> web.Response:
        experiment = request.query.get("experiment")
        shown = [each for each in streams.standing() if experiment in (None, each["experiment"])]
        answer = {"streams": shown, "problem": streams.problem}
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")

    app.router.add_get("/v1/watch", watch)


class WatchMetrics:
    """The families of what is watched."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    def collect(self, _revision: Revision) -> Iterator[Metric]:
        """Yield all of them."""
        value, expected, level, lasting, failed = map(
            gauge_of,
            (
                "router_watch_value",
                "router_watch_expected",
                "router_watch_level",
                "router_watch_anomaly",
                "router_watch_failed",
            ),
        )
        episodes, failures = map(counter_of, ("router_watch_anomalies_total", "router_watch_failures_total"))
        for each in self._streams.standing():
            labels = [each["watch"], each["experiment"] or "", each["arm"] or ""]
            for family, key in ((value, "value"), (expected, "expected"), (level, "level")):
                if each[key] is not None:
                    family.add_metric(labels, each[key])
            lasting.add_metric([*labels, each["severity"]], each["status"] == "alarm")
            failed.add_metric(labels, each["problem"] is not None)
            episodes.add_metric([*labels, each["severity"]], each["episodes"])
        failures.add_metric([], self._streams.failures)
        yield from (value, expected, level, lasting, failed, episodes, failures)
