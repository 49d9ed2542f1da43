"""What ``/metrics`` says, read from the shared counters and the present revision.

Responsible for: folding the workers' blocks into the families that ``router.admin.families`` names.
Does not know: HTTP, who writes the counters, processes.

Rules: a counter never falls: rows of removed routes and targets stay, a replaced worker goes on where its predecessor
was. Fine histogram buckets split at every bound shown here, so the counts are exact. Status codes that never occurred
are left out.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

from router import counters, histogram
from router.admin.endpoints import STATE_VALUES, memberships, standings
from router.admin.families import LATENCY_BOUNDS_US, OVERHEAD_BOUNDS_US
from router.admin.family import counter_of, gauge_of, histogram_of
from router.control.keeper import Keeper
from router.events.model import Revision
from router.routing.breaker import NAMES
from router.routing.readiness import UNKNOWN
from router.segment import Segment, fold

ALIVE_NS: Final = 5_000_000_000  # a worker whose heartbeat is older is about to be replaced


class Part(Protocol):
    """Further families."""

    def collect(self, revision: Revision) -> Iterator[Metric]:
        """Yield them as they are with a revision."""
        ...


class Metrics(Collector):
    """Reads the families afresh at each scrape; holds only what keeps ``result="ok"`` from falling."""

    __slots__ = ("_clock_ns", "_keeper", "_ok", "_parts", "_revision", "_segment")

    def __init__(
        self,
        segment: Segment,
        revision: Callable[[], Revision | None],
        clock_ns: Callable[[], int] = time.monotonic_ns,
        parts: Sequence[Part] = (),
        keeper: Keeper | None = None,
    ) -> None:
        """Read from a segment and from whatever the present revision is at the time; None is before the first.

        Args:
            segment: The shared counters.
            revision: Gives the present revision.
            clock_ns: Nanoseconds of the monotonic clock.
            parts: Families of data quality and of bandits, where these are watched.
            keeper: Who keeps the event log; without it there is nothing to say of the archive and of sinks.
        """
        self._keeper = Keeper(segment) if keeper is None else keeper
        self._segment = segment
        self._revision = revision
        self._clock_ns = clock_ns
        self._parts = tuple(parts)
        self._ok: dict[tuple[str, str], int] = {}

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return the exposition and its content type: OpenMetrics if the Accept header asks for it, else the text."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        encode, content_type = choose_encoder(accept)
        return encode(registry), content_type

    def describe(self) -> list[Metric]:
        """Name no families beforehand, so that registering reads nothing."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield all families."""
        revision = self._revision()
        slots: Mapping[str, int] = revision.slots if revision else {}
        rows: defaultdict[str, list[tuple[list[str], int]]] = defaultdict(list)
        for key, base in slots.items():
            kind, *names = key.split("\0")
            rows[kind].append((names, base))
        yield from self._pairs(rows["pair"])
        yield from self._routes(rows["route"])
        yield from self._targets(
            rows["target"], {target.name for target in revision.config.targets} if revision else set()
        )
        yield from self._endpoints(rows["endpoint"], revision)
        yield self._arms(rows["arm"])
        yield self._fallbacks(rows["fallback"])
        yield from self._shadows(rows["shadow"])
        yield from self._fans(rows["fan"], revision)
        yield from self._workers()
        yield from self._outcomes()
        yield from self._archive()
        yield from self._sinks()
        yield from self._router(revision)
        if revision is not None:
            for part in self._parts:
                yield from part.collect(revision)

    def _pairs(self, rows: Sequence[tuple[list[str], int]]) -> Iterator[Metric]:
        requests, received, sent = map(
            counter_of, ("router_requests_total", "router_request_bytes_total", "router_response_bytes_total")
        )
        seconds, first_byte = map(histogram_of, ("router_request_seconds", "router_first_byte_seconds"))
        for names, base in rows:
            row = fold(self._segment, base, counters.PAIR_WORDS)
            for code, count in zip(counters.CODE_LABELS, row[counters.PAIR_CODES :], strict=False):
                if count:
                    requests.add_metric([*names, code], count)
            _add_histogram(seconds, names, row[counters.PAIR_SECONDS :], LATENCY_BOUNDS_US)
            _add_histogram(first_byte, names, row[counters.PAIR_FIRST_BYTE :], LATENCY_BOUNDS_US)
            received.add_metric(names, row[counters.PAIR_REQUEST_BYTES])
            sent.add_metric(names, row[counters.PAIR_RESPONSE_BYTES])
        yield from (requests, seconds, first_byte, received, sent)

    def _routes(self, rows: Sequence[tuple[list[str], int]]) -> Iterator[Metric]:
        no_unit, gone, shed = map(counter_of, ("router_no_unit_total", "router_client_gone_total", "router_shed_total"))
        for names, base in rows:
            row = fold(self._segment, base, counters.ROUTE_WORDS)
            no_unit.add_metric(names, row[counters.ROUTE_NO_UNIT])
            gone.add_metric(names, row[counters.ROUTE_CLIENT_GONE])
            for cause, count in zip(counters.SHED_CAUSES, row[counters.ROUTE_SHED :], strict=False):
                shed.add_metric([*names, cause], count)
        yield from (no_unit, gone, shed)

    def _targets(self, rows: Sequence[tuple[list[str], int]], present: set[str]) -> Iterator[Metric]:
        inflight, queued = map(gauge_of, ("router_inflight", "router_queued"))
        faults, connects = map(counter_of, ("router_upstream_faults_total", "router_upstream_connects_total"))
        retries, hedges = map(counter_of, ("router_retries_total", "router_hedges_total"))
        for names, base in rows:
            row = fold(self._segment, base, counters.TARGET_WORDS)
            if row[counters.TARGET_INFLIGHT] or names[0] in present:
                inflight.add_metric(names, row[counters.TARGET_INFLIGHT])
                queued.add_metric(names, row[counters.TARGET_QUEUED])
            for fault, count in zip(counters.FAULTS, row[counters.TARGET_FAULTS :], strict=False):
                faults.add_metric([*names, fault], count)
            connects.add_metric(names, row[counters.TARGET_CONNECTS])
            retries.add_metric([*names, "sent"], row[counters.TARGET_RETRIES])
            retries.add_metric([*names, "denied"], row[counters.TARGET_RETRIES_DENIED])
            for result, count in zip(counters.HEDGES, row[counters.TARGET_HEDGES :], strict=False):
                hedges.add_metric([*names, result], count)
        yield from (inflight, queued, faults, connects, retries, hedges)

    def _fallbacks(self, rows: Sequence[tuple[list[str], int]]) -> Metric:
        family = counter_of("router_fallback_total")
        for names, base in rows:
            for cause, count in zip(counters.CAUSES, fold(self._segment, base, counters.FALLBACK_WORDS), strict=True):
                family.add_metric([*names, cause], count)
        return family

    def _endpoints(self, rows: Sequence[tuple[list[str], int]], revision: Revision | None) -> Iterator[Metric]:
        state, healthy = map(gauge_of, ("router_breaker_state", "router_endpoint_healthy"))
        openings = counter_of("router_breaker_openings_total")
        for names, base in rows:
            openings.add_metric(names, fold(self._segment, base, counters.ENDPOINT_WORDS)[counters.ENDPOINT_OPENINGS])
        now_ms = self._clock_ns() // 1_000_000
        for standing in standings(revision, self._segment, now_ms) if revision else ():
            names = [standing.target, standing.endpoint.url]
            state.add_metric(names, STATE_VALUES[NAMES[standing.register.state]])
            if standing.readiness is not None and standing.readiness.state != UNKNOWN:
                healthy.add_metric(names, int(standing.readiness.ready))
        yield from (state, openings, healthy)

    def _arms(self, rows: Sequence[tuple[list[str], int]]) -> Metric:
        """Sum arms over runs and phases."""
        sums: dict[tuple[str, str], tuple[int, int]] = {}
        for (experiment, _run, _phase, arm), base in rows:
            failures = sum(fold(self._segment, base + counters.ARM_FAILURES, counters.UNIT_BUCKETS))
            exchanges = sum(fold(self._segment, base + counters.ARM_EXCHANGES, counters.UNIT_BUCKETS))
            before = sums.get((experiment, arm), (0, 0))
            sums[experiment, arm] = (before[0] + exchanges, before[1] + failures)
        family = counter_of("router_arm_requests_total")
        for names, (exchanges, failures) in sums.items():
            # The two words are read at two moments, so the difference may fall by what came between.
            self._ok[names] = max(self._ok.get(names, 0), exchanges - failures)
            family.add_metric([*names, "ok"], self._ok[names])
            family.add_metric([*names, "failed"], failures)
        return family

    def _shadows(self, rows: Sequence[tuple[list[str], int]]) -> Iterator[Metric]:
        """Sum shadows over routes."""
        sums: dict[str, list[int]] = {}
        for (_route, target), base in rows:
            row = fold(self._segment, base, counters.SHADOW_WORDS)
            sums[target] = histogram.merge(sums[target], row) if target in sums else row
        inflight, total, seconds = (
            gauge_of("router_shadow_inflight"),
            counter_of("router_shadow_total"),
            histogram_of("router_shadow_seconds"),
        )
        for target, row in sums.items():
            inflight.add_metric([target], row[counters.SHADOW_INFLIGHT])
            for result, count in zip(counters.SHADOW_RESULTS, row[counters.SHADOW_COUNTS :], strict=False):
                total.add_metric([target, result], count)
            _add_histogram(seconds, [target], row[counters.SHADOW_SECONDS :], LATENCY_BOUNDS_US)
        yield from (inflight, total, seconds)

    def _fans(self, rows: Sequence[tuple[list[str], int]], revision: Revision | None) -> Iterator[Metric]:
        total, state = counter_of("router_fanout_total"), gauge_of("router_fanout_state")
        for names, base in rows:
            row = fold(self._segment, base + counters.FAN_COUNTS, len(counters.FAN_RESULTS))
            for result, count in zip(counters.FAN_RESULTS, row, strict=True):
                total.add_metric([*names, result], count)
        for experiment, arm, register in memberships(revision, self._segment, self._clock_ns() // 1_000_000):
            state.add_metric([experiment, arm], STATE_VALUES[NAMES[register.state]])
        yield from (total, state)

    def _workers(self) -> Iterator[Metric]:
        status = fold(self._segment, 0, counters.ROWS)
        refused, skipped = map(counter_of, ("router_refused_total", "router_gather_skipped_total"))
        for number, cause in enumerate(counters.REFUSALS):
            refused.add_metric([cause], status[counters.REFUSED + number])
        for number, cause in enumerate(counters.GATHER_CAUSES):
            skipped.add_metric([cause], status[counters.GATHER + number])
        rewards = counter_of("router_rewards_total")
        for number, result in enumerate(counters.REWARD_RESULTS):
            rewards.add_metric([result], status[counters.REWARDS + number])
        yield rewards
        tokens = counter_of("router_jwt_total")
        for number, result in enumerate(counters.JWT_RESULTS):
            tokens.add_metric([result], status[counters.JWT + number])
        yield tokens
        overhead = histogram_of("router_overhead_seconds")
        _add_histogram(overhead, (), status[counters.OVERHEAD :], OVERHEAD_BOUNDS_US)
        yield from (refused, skipped, overhead)
        yield _value(gauge_of("router_connections"), status[counters.CONNECTIONS])
        yield _value(gauge_of("router_tunnels"), status[counters.TUNNELS])
        yield _value(counter_of("router_connections_accepted_total"), status[counters.CONNECTIONS_TOTAL])
        yield _value(counter_of("router_accept_pauses_total"), status[counters.ACCEPT_PAUSES])
        yield _value(counter_of("router_events_dropped_total"), status[counters.EVENTS_DROPPED])

    def _outcomes(self) -> Iterator[Metric]:
        header = self._segment.words
        total = counter_of("router_outcomes_total")
        for number, fate in enumerate(counters.OUTCOME_FATES):
            total.add_metric([fate], header[counters.OUTCOMES + number])
        yield total
        yield _value(gauge_of("router_outcomes_waiting"), header[counters.OUTCOMES_WAITING])
        yield _value(gauge_of("router_outcomes_failed"), header[counters.OUTCOMES_FAILED])
        yield _value(gauge_of("router_outcomes_store_bytes"), header[counters.OUTCOMES_BYTES])

    def _archive(self) -> Iterator[Metric]:
        tally = self._keeper.tally
        yield _value(counter_of("router_archive_sealed_total"), tally.sealed)
        yield _value(counter_of("router_archive_unsound_total"), tally.unsound)
        yield _value(counter_of("router_archive_failures_total"), tally.failures)
        yield _value(gauge_of("router_archive_waiting_bytes"), tally.waiting_bytes)
        yield _value(gauge_of("router_archive_bytes"), tally.archive_bytes)
        yield _value(gauge_of("router_archive_files"), tally.files)

    def _sinks(self) -> Iterator[Metric]:
        sent, dropped = counter_of("router_sink_sent_total"), counter_of("router_sink_dropped_total")
        waiting = gauge_of("router_sink_waiting_bytes")
        for name, done in self._keeper.sinks().items():
            sent.add_metric([name], done.sent)
            dropped.add_metric([name], done.dropped)
            waiting.add_metric([name], done.waiting_bytes)
        yield from (sent, dropped, waiting)

    def _router(self, revision: Revision | None) -> Iterator[Metric]:
        header = self._segment.words
        oldest = self._clock_ns() - ALIVE_NS
        blocks = [self._segment.block(worker) for worker in range(self._segment.workers)]
        published = header[counters.PUBLISHED]
        yield _value(gauge_of("router_workers"), sum(block[counters.HEARTBEAT] > oldest for block in blocks))
        acknowledged = sum(block[counters.ACKNOWLEDGED] == published > 0 for block in blocks)
        yield _value(gauge_of("router_workers_acknowledged"), acknowledged)
        yield _value(gauge_of("router_revision"), published)
        yield _value(gauge_of("router_config_reload_success"), header[counters.RELOAD_OK])
        yield _value(gauge_of("router_journal_failed"), header[counters.JOURNAL_FAILED])
        yield _value(counter_of("router_worker_restarts_total"), header[counters.RESTARTS])
        weights = gauge_of("router_arm_weight")
        for experiment, arms in (revision.weights if revision else {}).items():
            for arm, weight in arms.items():
                weights.add_metric([experiment, arm], weight)
        yield weights
        killed = gauge_of("router_experiment_killed")
        if revision is not None:
            for each in revision.config.experiments:
                killed.add_metric([each.name], each.name in revision.killed)
        yield killed


def _value(family: CounterMetricFamily | GaugeMetricFamily, value: float) -> Metric:
    family.add_metric([], value)
    return family


def _add_histogram(
    family: HistogramMetricFamily, names: Sequence[str], words: Sequence[int], bounds_us: Sequence[int]
) -> None:
    buckets = words[histogram.HISTOGRAM_BUCKETS : histogram.HISTOGRAM_WORDS]
    reached = list(accumulate(buckets))
    exact = [(repr(bound / 1e6), float(reached[histogram.bucket(bound - 1)])) for bound in bounds_us]
    family.add_metric(names, [*exact, ("+Inf", float(reached[-1]))], words[histogram.HISTOGRAM_SUM] / 1e6)
