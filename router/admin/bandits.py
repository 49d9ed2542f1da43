"""What bandits have learned, as the admin API and the metrics show it.

Responsible for: the shape of that answer, and the families of the metrics.
Does not know: how anything is learned (``router.control.learn``), HTTP.

Rules: reads only what the ticker keeps; no nan and no infinity.
"""

from collections.abc import Iterator
from typing import Any

from prometheus_client.core import Metric

from router.admin.family import counter_of, gauge_of
from router.config.schema import Experiment
from router.control.ticker import Ticker
from router.events.model import Revision


def bandit_view(experiment: Experiment, revision: Revision, ticker: Ticker) -> dict[str, Any] | None:
    """Return what a bandit has learned and publishes; None for an experiment that is none."""
    if not experiment.allocate.bandit:
        return None
    name = experiment.name
    coming = revision.coming.get(name)
    return {
        "policy": experiment.allocate.use,
        "reward": experiment.allocate.reward,
        "ticks": ticker.ticks.get(name, 0),
        "problem": ticker.problems.get(name),
        "learned": ticker.standings.get(name),
        "coming": None if coming is None else {"start": coming.start, "epoch": coming.epoch, "weights": coming.weights},
    }


class BanditMetrics:
    """The families of bandits, read from the ticker."""

    def __init__(self, ticker: Ticker) -> None:
        self._ticker = ticker

    def collect(self, revision: Revision) -> Iterator[Metric]:
        """Yield all of them."""
        ticks, failures = (counter_of(name) for name in ("router_bandit_ticks_total", "router_bandit_failures_total"))
        failed, known = (gauge_of(name) for name in ("router_bandit_failed", "router_bandit_observations"))
        for experiment in revision.config.experiments:
            name = experiment.name
            if not experiment.allocate.bandit:
                continue
            ticks.add_metric([name], self._ticker.ticks.get(name, 0))
            failed.add_metric([name], name in self._ticker.problems)
            for arm, found in self._ticker.standings.get(name, {}).get("arms", {}).items():
                known.add_metric([name, arm], found["observations"])
        failures.add_metric([], self._ticker.failures)
        yield from (ticks, failures, failed, known)
