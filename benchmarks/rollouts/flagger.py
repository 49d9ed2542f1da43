"""Flagger's canary loop, as its documentation and code describe it (fluxcd/flagger 15bd6ad, v1.44, 2026-07-21).

Responsible for: when it counts a failed check, when it advances, promotes and goes back.
Does not know: pods, webhooks, metrics beyond its two built-in ones.

Rules, each with where it is written:

- It looks every ``interval``, 60 s by default (``AnalysisInterval`` in pkg/apis/flagger/v1beta1/canary.go).
- ``threshold``, the failed checks at which it goes back, is 1 by default (``GetAnalysisThreshold``, same file); its
  tutorials set 5 (docs/gitbook/tutorials/istio-progressive-delivery.md) or 10
  (docs/gitbook/usage/deployment-strategies.md).
- Built-in metrics over a window of 1 m (``MetricInterval``): ``request-success-rate``, at least 99 %, and
  ``request-duration``, the 99th percentile, at most 500 ms (docs/gitbook/usage/metrics.md).
- A check fails where a metric is beyond its range, where a query fails, and where there are no values
  (``runBuiltinMetricChecks`` in pkg/controller/scheduler_metrics.go; 0/0 is NaN, which is ``ErrNoValuesFound`` in
  pkg/metrics/providers/prometheus.go).
- Failed checks add up over the whole run, and the look after the last one goes back (``advanceCanary`` in
  pkg/controller/scheduler.go; ``SetStatusWeight`` does not reset them).
- The first look with a new revision sends it the first ``stepWeight`` unchecked; each later look that passes adds one,
  and one that passes at ``maxWeight`` promotes (``runCanary``).
- Requests are thrown one by one; stickiness is an option (``sessionAffinity``).

Kind to it: windows hold exact counts, nothing is scraped late, and the primary's own rolling update takes no time. In
truth ``rate(...[1m])`` sees what came between the first and the last scrape within a minute: ``scrape_s`` less than
that.
"""

from typing import Final, NamedTuple

import numpy as np

from benchmarks.rollouts.replay import Outcome, Part, Seen

INTERVAL_S: Final = 60.0
LEAST_SUCCESS: Final = 0.99
MOST_US: Final = 500_000.0


class Canary(NamedTuple):
    """What its user writes.

    Attributes:
        threshold: Failed checks at which it goes back.
        step: ``stepWeight``, in percent.
        most: ``maxWeight``, in percent.
        scrape_s: How far apart Prometheus's scrapes are, in seconds; 0 for exact windows.
    """

    threshold: int = 1
    step: int = 10
    most: int = 50
    scrape_s: float = 0.0


class Flagger:
    """The loop; see ``replay.Controller``."""

    def __init__(self, canary: Canary) -> None:
        self.share = 0.0
        self.due = INTERVAL_S
        self.sticky = False
        self.full: float | None = None
        self._canary = canary
        self._weight = 0
        self._failed = 0

    def look(self, now: float, seen: Seen) -> Outcome | None:
        """Decide, once an interval."""
        self.due = now + INTERVAL_S
        if self._failed >= self._canary.threshold:
            self.share = 0.0
            return "rolled back"
        window = seen.new.after(now - INTERVAL_S + self._canary.scrape_s)
        if self._weight and not passes(window, broken=seen.broken):
            self._failed += 1
            return None
        if self._weight >= self._canary.most:
            self.share, self.full = 1.0, now
            return "promoted"
        self._weight = min(self._weight + self._canary.step, 100)
        self.share = self._weight / 100
        return None


def passes(window: Part, *, broken: bool) -> bool:
    """Say whether a check passes."""
    if broken or not window.time.size:
        return False
    success = 1 - float(window.failed.mean())
    return success >= LEAST_SUCCESS and float(np.quantile(window.us, 0.99)) <= MOST_US
