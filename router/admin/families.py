"""The names of the Prometheus families, and the page that explains them.

Responsible for: name, type, labels and help of every family, the bounds of the histograms, ``docs/metrics.md``.
Does not know: where the numbers come from (``router.admin.metrics``).

Rules: nothing else names a family. The page is printed by ``python -m router.admin.families``. Bounds are powers of two
of a microsecond, at which the fine buckets of ``router.counters`` split too.
"""

import sys
from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct

from router.counters import (
    CAUSES,
    FAN_RESULTS,
    FAULTS,
    GATHER_CAUSES,
    JWT_RESULTS,
    OUTCOME_FATES,
    REFUSALS,
    REWARD_RESULTS,
    SHADOW_RESULTS,
    SHED_CAUSES,
)

# Upper bounds in microseconds, themselves not included. Model answers: 128 µs to 67 s; overhead: 8 µs to 1 s.
LATENCY_BOUNDS_US: Final = tuple(2**power for power in range(7, 27))
OVERHEAD_BOUNDS_US: Final = tuple(2**power for power in range(3, 21))


class Family(Struct, frozen=True):
    """One metric family.

    Attributes:
        name: As queries use it.
        kind: Type.
        labels: Label names.
        help: One sentence.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str


FAMILIES: Final = {
    family.name: family
    for family in (
        Family("router_requests_total", "counter", ("route", "target", "code"), "Exchanges by what callers saw."),
        Family("router_arm_requests_total", "counter", ("experiment", "arm", "result"), "Exchanges assigned to arms."),
        Family("router_request_seconds", "histogram", ("route", "target"), "First byte in to last byte out."),
        Family("router_first_byte_seconds", "histogram", ("route", "target"), "First byte in to first byte out."),
        Family("router_overhead_seconds", "histogram", (), "Time of an exchange that the router itself took."),
        Family("router_request_bytes_total", "counter", ("route", "target"), "Body bytes from callers."),
        Family("router_response_bytes_total", "counter", ("route", "target"), "Body bytes to callers."),
        Family("router_inflight", "gauge", ("target",), "Exchanges that a target is working on."),
        Family("router_upstream_connects_total", "counter", ("target",), "Connections opened to a target."),
        Family("router_upstream_faults_total", "counter", ("target", "fault"), "Failed attempts at a target, by how."),
        Family("router_retries_total", "counter", ("target", "result"), "Further attempts at the same target."),
        Family("router_hedges_total", "counter", ("target", "result"), "Second requests to a target that is slow."),
        Family("router_fallback_total", "counter", ("route", "to", "cause"), "Answers by a fallback, by its cause."),
        Family("router_breaker_state", "gauge", ("target", "endpoint"), "0 closed, 1 on its way back, 2 open."),
        Family("router_breaker_openings_total", "counter", ("target", "endpoint"), "Times that a breaker opened."),
        Family("router_endpoint_healthy", "gauge", ("target", "endpoint"), "1 ready, 0 not, by its own answers."),
        Family("router_shadow_total", "counter", ("target", "result"), "Copies for a shadow, by what came of them."),
        Family("router_shadow_seconds", "histogram", ("target",), "Sending a copy to the last byte of its answer."),
        Family("router_shadow_inflight", "gauge", ("target",), "Copies whose comparison is not done."),
        Family("router_fanout_total", "counter", ("experiment", "arm", "result"), "Requests to several arms, by arm."),
        Family("router_fanout_state", "gauge", ("experiment", "arm"), "0 asked, 1 on its way back, 2 left out."),
        Family("router_queued", "gauge", ("target",), "Exchanges that wait for a slot of a target."),
        Family("router_shed_total", "counter", ("route", "cause"), "Exchanges that were not let through."),
        Family("router_no_unit_total", "counter", ("route",), "Exchanges in which no source of the unit was present."),
        Family("router_client_gone_total", "counter", ("route",), "Exchanges whose caller went away before the end."),
        Family("router_refused_total", "counter", ("cause",), "Requests refused before any target saw them."),
        Family("router_gather_skipped_total", "counter", ("cause",), "Bodies that could not be read to decide."),
        Family("router_connections", "gauge", (), "Open caller connections."),
        Family("router_tunnels", "gauge", (), "Caller connections that are tunnels, as WebSockets are."),
        Family("router_connections_accepted_total", "counter", (), "Caller connections accepted."),
        Family("router_accept_pauses_total", "counter", (), "Times that no connections were accepted, for 0.2 s each."),
        Family("router_events_dropped_total", "counter", (), "Events that were not written to the event log."),
        Family("router_arm_weight", "gauge", ("experiment", "arm"), "Weight of an arm, relative to the other arms."),
        Family("router_bandit_ticks_total", "counter", ("experiment",), "Times that a bandit's weights were computed."),
        Family("router_bandit_failures_total", "counter", (), "Times that they could not be, so those of before stay."),
        Family("router_bandit_failed", "gauge", ("experiment",), "1 while a bandit's weights cannot be computed."),
        Family("router_bandit_observations", "gauge", ("experiment", "arm"), "Observations that a bandit knows."),
        Family("router_experiment_killed", "gauge", ("experiment",), "1 while an experiment is killed, else 0."),
        Family("router_experiment_invalid", "gauge", ("experiment",), "1 while data are invalid until fixed, else 0."),
        Family("router_sample_ratio_p", "gauge", ("experiment",), "Sequential p-value of the sample ratio."),
        Family("router_data_quality", "gauge", ("experiment", "check"), "0 fine, 1 a warning, 2 invalid."),
        Family("router_log_quality", "gauge", ("check",), "0 fine, 1 a warning."),
        Family("router_fold_lag_seconds", "gauge", (), "Age of what is known from the event log."),
        Family("router_fold_seconds", "gauge", (), "What the last look at the event log took."),
        Family("router_fold_failed", "gauge", (), "1 while the event log cannot be looked at."),
        Family("router_revision", "gauge", (), "Number of the revision that was published last."),
        Family("router_workers", "gauge", (), "Workers with a heartbeat in the last 5 seconds."),
        Family("router_workers_acknowledged", "gauge", (), "Workers that serve the last revision."),
        Family("router_worker_restarts_total", "counter", (), "Workers that were replaced."),
        Family("router_config_reload_success", "gauge", (), "1 when the configuration on disk is served."),
        Family("router_rewards_total", "counter", ("result",), "Rewards that answers might have said themselves."),
        Family("router_jwt_total", "counter", ("result",), "Tokens of callers that were looked at."),
        Family("router_outcomes_total", "counter", ("fate",), "Outcomes that were sent, by what became of them."),
        Family("router_outcomes_waiting", "gauge", (), "Outcomes that wait to be committed."),
        Family("router_outcomes_failed", "gauge", (), "1 while outcomes cannot be written, and callers are told so."),
        Family("router_archive_sealed_total", "counter", (), "Events that were sealed to Parquet."),
        Family("router_archive_unsound_total", "counter", (), "Lines of the event log that are no events."),
        Family("router_archive_failures_total", "counter", (), "Times that sealing, merging or retention failed."),
        Family("router_archive_waiting_bytes", "gauge", (), "Closed segments that are not sealed."),
        Family("router_archive_bytes", "gauge", (), "Parquet files of the archive."),
        Family("router_archive_files", "gauge", (), "Parquet files of the archive, in number."),
        Family("router_sink_sent_total", "counter", ("sink",), "Events that a sink has taken."),
        Family("router_sink_dropped_total", "counter", ("sink",), "Events that a sink was too slow for."),
        Family("router_sink_waiting_bytes", "gauge", ("sink",), "Events that wait for a sink."),
        Family("router_outcomes_store_bytes", "gauge", (), "Size of the outcome store on the disk."),
        Family("router_journal_failed", "gauge", (), "1 while the last decision could not be written to the journal."),
        Family(
            "router_notifications_total", "counter", ("notifier", "result"), "Notifications by what became of them."
        ),
        Family("router_notifications_waiting", "gauge", ("notifier",), "Notifications that wait for a notifier."),
        Family(
            "router_rollout_stage",
            "gauge",
            ("experiment",),
            "Stage of a release, from 1; 0 before the first and after a rollback; one more in each of bake and done.",
        ),
        Family("router_rollout_share", "gauge", ("experiment",), "Share of units that a release gives its new arm."),
        Family("router_rollout_risk", "gauge", ("experiment",), "Chance of a failure times impact times share."),
        Family("router_rollout_failed", "gauge", ("experiment",), "1 while a decision cannot come into force."),
        Family("router_watch_value", "gauge", ("watch", "experiment", "arm"), "Last point of a watched stream."),
        Family("router_watch_expected", "gauge", ("watch", "experiment", "arm"), "What was usual at that point."),
        Family(
            "router_watch_level", "gauge", ("watch", "experiment", "arm"), "Statistic of its detector, over its limit."
        ),
        Family(
            "router_watch_anomaly", "gauge", ("watch", "experiment", "arm", "severity"), "1 while an anomaly lasts."
        ),
        Family("router_watch_failed", "gauge", ("watch", "experiment", "arm"), "1 while a stream cannot be watched."),
        Family(
            "router_watch_anomalies_total",
            "counter",
            ("watch", "experiment", "arm", "severity"),
            "Anomalies that began since the stream was learned.",
        ),
        Family("router_watch_failures_total", "counter", (), "Looks at the watched streams that came to nothing."),
        Family("router_decisions_failed", "gauge", (), "1 while the decision log cannot be written."),
        Family("router_decisions_dropped_total", "counter", (), "Decisions that were never written down."),
        Family("router_decisions_unsound_total", "counter", (), "Lines of the decision log that are no decisions."),
    )
}  # fmt: skip

_PAGE: Final = """\
# Metrics

What `GET /metrics` on the admin address says, in the Prometheus text format, or in OpenMetrics where the `Accept`
header asks for it. Counters are summed over all workers; they do not fall when a worker is replaced or a route is
removed, and begin at 0 when the router starts.

| name | type | labels | meaning |
|---|---|---|---|
{rows}

- `result` of `router_arm_requests_total` is `failed` when the first attempt at the arm's target failed, however the
  exchange was rescued, else `ok`. An exchange is counted when it ends.
- `router_request_seconds` leaves tunnels (code `101`) out: how long one lasts is in its event.
- `code` of `router_requests_total` is `0` when the connection closed before any response, and `other` for a status
  that is not in the IANA registry. Codes that never occurred are left out.
- `result` of `router_shadow_total`: {shadows}. See [Trying a new version on real
  traffic](operations.md#trying-a-new-version-on-real-traffic). Copies are in no other family but
  `router_upstream_connects_total`: neither in that of an arm, nor of a route, nor in `router_inflight`.
- `result` of `router_fanout_total`: {fans}. See [interleaving.md](interleaving.md#what-is-seen-of-it).
- `cause` of `router_refused_total` is one of {refusals}.
- `cause` of `router_gather_skipped_total` is one of {gather}.
- `cause` of `router_shed_total` is one of {shed}: the route's rate, a share by load, no room to wait, a longer wait
  than `queue_timeout`, or than the exchange has left.
- `fault` of `router_upstream_faults_total` is one of {faults}; `status` is an answer of 500 or more.
- `target` is empty where an answer came from none, but from a fallback of another kind.
- `result` of `router_retries_total` is `sent`, or `denied` when the retry budget had no room.
- `result` of `router_hedges_total` is `won` when the second request was answered first, `rescued` when it took the
  place of a first one that failed, `lost` when the first was answered first, `failed` when the second failed before
  that, `cancelled` when the exchange ended without either, `denied` when there was no room for a second one.
- `to` of `router_fallback_total` is the fallback target, or the kind of answer; `cause` is one of {causes}: that of the
  first failure of the exchange that a fallback is for.
- `result` of `router_rewards_total` is one of {rewards}; see
  [outcomes.md](outcomes.md#rewards-from-the-response).
- Those of the archive and the sinks begin at 0 when the control process starts.
- `result` of `router_jwt_total` is one of {jwt}; see [targeting.md](targeting.md#tokens).
- `fate` of `router_outcomes_total` is one of {fates}; see [outcomes.md](outcomes.md#fates).
- `result` of `router_notifications_total` is `sent`, `retried` (a try failed, and another follows), `failed` (given
  up), `dropped` (too many waited) or `duplicate` (told within a day already); `notifier` is `use`, with a number from
  the second of a kind on.
- `router_breaker_state` is 1 while the breaker is half-open or on its ramp.
- `endpoint` is a base URL of the configuration. `router_endpoint_healthy` is left out where `health` is not configured,
  and before the first answers tell.
- `router_sample_ratio_p` is of the present phase, and may be watched continuously: in a sound experiment it is ever
  below 0.001 with a probability of at most 0.001. `check` of `router_data_quality` and `router_log_quality` is one of
  those in [data-quality.md](data-quality.md), and left out while there are too few data. All these, and
  `router_fold_lag_seconds`, are absent before the first look at the log and without the extra `analysis`.

## Histograms

Times are counted in whole microseconds, in buckets at most 12.5 % wide, and folded here into bounds that are powers of
two of a microsecond: `le` from `{latency[0]}` to `{latency[1]}` seconds, for the overhead from `{overhead[0]}` to
`{overhead[1]}`. The fine buckets split at each of them, so the counts are exact. For a rule on "within 250 ms" take the
bound next to it, `le="0.262144"`.

This page is printed by `python -m router.admin.families`.
"""


def reference() -> str:
    """Return the reference of all families as Markdown."""
    rows = []
    for family in FAMILIES.values():
        labels = ", ".join(f"`{label}`" for label in family.labels)
        rows.append(f"| `{family.name}` | {family.kind} | {labels} | {family.help} |")
    return _PAGE.format(
        rows="\n".join(rows),
        refusals=_listed(REFUSALS),
        gather=_listed(GATHER_CAUSES),
        faults=_listed(FAULTS),
        shed=_listed(SHED_CAUSES),
        causes=_listed(CAUSES),
        shadows=_listed(SHADOW_RESULTS),
        fans=_listed(FAN_RESULTS),
        rewards=_listed(REWARD_RESULTS),
        jwt=_listed(JWT_RESULTS),
        fates=_listed(OUTCOME_FATES),
        latency=(LATENCY_BOUNDS_US[0] / 1e6, LATENCY_BOUNDS_US[-1] / 1e6),
        overhead=(OVERHEAD_BOUNDS_US[0] / 1e6, OVERHEAD_BOUNDS_US[-1] / 1e6),
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    sys.stdout.write(reference())
