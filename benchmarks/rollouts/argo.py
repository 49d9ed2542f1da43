"""Argo Rollouts' canary with background analysis, as its documentation and code describe it.

Responsible for: measurements, their limits, steps of weight, going back (argoproj/argo-rollouts 9f8d111, 2026-08-17).
Does not know: pods, experiments, analysis as a step.

Rules, each with where it is written:

- Steps, the metric and its limits are those of "Background Analysis" in docs/features/analysis.md: 20, 40, 60 and 80 %
  for 10 m each, then all; from 40 % on (``startingStep: 2``) a success rate of at least 0.95 every 5 m; ``failureLimit:
  3``.
- Without them ``failureLimit`` and ``inconclusiveLimit`` are 0 and ``consecutiveErrorLimit`` is 4: the analysis fails
  at one measurement or error more (``assessMetricFailureInconclusiveOrError`` in analysis/analysis.go,
  utils/defaults/defaults.go). A second form shows these limits with a success rate of at least 0.99 every minute from
  the first step on.
- The query is an ``irate`` over 5 m: the last two scrapes. Here these are a minute apart, Prometheus's default.
- No requests is 0/0, NaN, for which ``result[0] >= 0.95`` is false, and a measurement whose success condition is false
  has failed where there is no failure condition ("NaN and Infinity" in the same page; utils/evaluate/evaluate.go).
- A query that fails is an error, repeated after 10 s (``DefaultErrorRetryInterval``); five in a row fail the analysis.
- Failures add up over the run. A failed analysis sets the weight to 0 at once.

Kind to it: nothing is scraped late, and pods take no time.
"""

from typing import Final, NamedTuple

from benchmarks.rollouts.replay import Outcome, Part, Seen

SCRAPE_S: Final = 60.0
RETRY_S: Final = 10.0
ERRORS: Final = 4
STEPS: Final = ((0.2, 0.0), (0.4, 600.0), (0.6, 1200.0), (0.8, 1800.0), (1.0, 2400.0))
"""Weight, and when it begins, in seconds."""


class Template(NamedTuple):
    """What its user writes.

    Attributes:
        success: Least success rate.
        interval_s: How often it is measured.
        failures: ``failureLimit``.
        start_s: When analysis begins.
    """

    success: float = 0.95
    interval_s: float = 300.0
    failures: int = 3
    start_s: float = 600.0


class Argo:
    """The loop; see ``replay.Controller``. It looks at every scrape, step and repeated query."""

    def __init__(self, template: Template) -> None:
        self.share = STEPS[0][0]
        self.due = SCRAPE_S
        self.sticky = False
        self.full: float | None = None
        self._template = template
        self._measure = template.start_s
        self._failures = 0
        self._errors = 0
        self._coming: list[Part] = []
        self._scraped: list[Part] = []
        self._scrape = SCRAPE_S

    def look(self, now: float, seen: Seen) -> Outcome | None:
        """Decide, whenever there is something to do."""
        self._coming.append(seen.new)
        if now >= self._scrape:
            self._scrape += SCRAPE_S
            self._scraped, self._coming = self._coming, []
        if now >= self._measure:
            self._judge(now, broken=seen.broken)
        if self._failures > self._template.failures or self._errors > ERRORS:
            self.share = 0.0
            return "rolled back"
        self.share = max(weight for weight, begin in STEPS if begin <= now)
        if self.share == 1.0:
            self.full = now
            return "promoted"
        after = [begin for _, begin in STEPS if begin > now]
        self.due = min([self._scrape, *after, *([self._measure] if self._measure > now else [])])
        return None

    def _judge(self, now: float, *, broken: bool) -> None:
        if broken:
            self._errors += 1
            self._measure = now + RETRY_S
            return
        self._errors = 0
        self._measure = now + self._template.interval_s
        count = sum(part.time.size for part in self._scraped)
        failed = sum(int(part.failed.sum()) for part in self._scraped)
        if not count or 1 - failed / count < self._template.success:
            self._failures += 1
