"""What Prometheus sees: names that are documented, sums over workers, counters that never fall."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics
from prometheus_client.parser import text_string_to_metric_families

from router import counters, histogram
from router.admin import families as families_module
from router.admin.bandits import BanditMetrics
from router.admin.families import FAMILIES, LATENCY_BOUNDS_US, reference
from router.admin.metrics import Metrics
from router.admin.quality import QualityMetrics
from router.admin.release import StageMetrics
from router.admin.releases import ReleaseMetrics
from router.admin.watched import WatchMetrics
from router.analysis.finding import Finding
from router.analysis.quality import Observed, judge
from router.analysis.sample_ratio import Block
from router.archive.courier import Sent
from router.config.allocate import Allocate
from router.config.schema import Arm, Config, Endpoint, Experiment, Fallback, Health, Route, Shadow, Target
from router.control.aftermath import Aftermath
from router.control.clocks import Clocks
from router.control.decisions import Decisions
from router.control.driver import Driver
from router.control.fold import Fold
from router.control.keeper import Keeper
from router.control.measure import Snapshot
from router.control.notices import Notices
from router.control.sense import Senses
from router.control.streams import Streams
from router.control.ticker import Ticker
from router.counters import (
    allocate,
    arm_key,
    endpoint_key,
    fan_key,
    pair_key,
    route_key,
    row_keys,
    shadow_key,
    target_key,
)
from router.events.model import Revision, Run
from router.events.rollout import Progress
from router.histogram import bucket
from router.rollout import observed
from router.routing.breaker import HALF_OPEN, OPEN, RAMP, Register
from router.routing.readiness import HEALTHY, UNHEALTHY, Readiness
from router.segment import Segment

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
NOW_NS = 100_000_000_000


def revision(
    number: int = 1, *, phase: int = 1, slots: dict[str, int] | None = None, experiment: bool = True
) -> Revision:
    """Make a revision of one route and two targets; without the experiment, of one target."""
    arms = (Arm(name="control", target="v1", weight=95), Arm(name="treatment", target="v2", weight=5))
    names = ("v1", "v2") if experiment else ("v1",)
    config = Config(
        targets=tuple(
            Target(name=name, endpoints=(Endpoint(url="http://h"),), health=Health(path="/ready")) for name in names
        ),
        routes=(
            Route(
                name="ranker",
                target="v1",
                fallback=(Fallback(target="v1"),),
                shadow=(Shadow(target="v2", share=0.1),) if experiment else (),
            ),
        ),
        experiments=(Experiment(name="e", route="ranker", arms=arms, allocate=Allocate(use="interleave", list="/x")),)
        if experiment
        else (),
    )
    runs = {"e": Run(number=1, phase=phase, epoch=1)}
    return Revision(
        number=number, time=0.0, cause="start", author="file", digest="d", config=config,
        weights={"e": {"control": 95.0, "treatment": 5.0}} if experiment else {}, runs=runs,
        slots=allocate(slots or {}, row_keys(config, runs)),
    )  # fmt: skip


def looked() -> Snapshot:
    """Make a look at a log that finds what cannot be said and what can."""
    blocks = (Block(1, {"control": 95.0, "treatment": 5.0}, {"control": 1900, "treatment": 100}),)
    quality = judge(Observed(experiment="e", run=1, phase=1, control="control", blocks=blocks))
    return Snapshot(0.0, 1.0, {"e": (quality,)}, (Finding("clock_skew", "ok", 0.0, 0.01, "clocks agree"),))


@pytest.fixture
def segment() -> Iterator[Segment]:
    """The counters of two workers."""
    made = Segment.create(2)
    yield made
    made.close()


def scrape(segment: Segment, current: Revision | None) -> Samples:
    """Render and parse, as Prometheus does."""
    return samples(Metrics(segment, lambda: current, lambda: NOW_NS))


def samples(metrics: Metrics) -> Samples:
    """Parse what the metrics say now."""
    text = metrics.render()[0].decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    """Look up one sample."""
    return found[name, frozenset(labels.items())]


def names_of(found: Samples) -> set[str]:
    """List the sample names."""
    return {name for name, _ in found}


def test_every_count_is_summed_over_workers(segment: Segment) -> None:
    """What two workers counted in the same word is shown as one number, under its labels."""
    current = revision()
    pair = current.slots[pair_key("ranker", "v2")]
    route, target = current.slots[route_key("ranker")], current.slots[target_key("v2")]
    words = {
        pair + counters.CODE_SLOT[200]: ("router_requests_total", {"route": "ranker", "target": "v2", "code": "200"}),
        pair + counters.CODE_SLOT[0]: ("router_requests_total", {"route": "ranker", "target": "v2", "code": "0"}),
        pair + counters.CODE_SLOT[599]: ("router_requests_total", {"route": "ranker", "target": "v2", "code": "other"}),
        pair + counters.PAIR_REQUEST_BYTES: ("router_request_bytes_total", {"route": "ranker", "target": "v2"}),
        pair + counters.PAIR_RESPONSE_BYTES: ("router_response_bytes_total", {"route": "ranker", "target": "v2"}),
        route + counters.ROUTE_NO_UNIT: ("router_no_unit_total", {"route": "ranker"}),
        route + counters.ROUTE_CLIENT_GONE: ("router_client_gone_total", {"route": "ranker"}),
        target + counters.TARGET_INFLIGHT: ("router_inflight", {"target": "v2"}),
        target + counters.TARGET_CONNECTS: ("router_upstream_connects_total", {"target": "v2"}),
        counters.CONNECTIONS: ("router_connections", {}),
        counters.CONNECTIONS_TOTAL: ("router_connections_accepted_total", {}),
        counters.EVENTS_DROPPED: ("router_events_dropped_total", {}),
        counters.REFUSED + counters.REFUSALS.index("no_route"): ("router_refused_total", {"cause": "no_route"}),
        counters.GATHER + counters.GATHER_CAUSES.index("invalid"): (
            "router_gather_skipped_total",
            {"cause": "invalid"},
        ),
        target + counters.TARGET_FAULTS + counters.FAULTS.index("dns"): (
            "router_upstream_faults_total",
            {"target": "v2", "fault": "dns"},
        ),
    }
    for number, word in enumerate(words):
        segment.block(0)[word] = number + 1
        segment.block(1)[word] = 100
    found = scrape(segment, current)
    for number, (name, labels) in enumerate(words.values()):
        assert value(found, name, **labels) == number + 101


def test_shadows_are_summed_over_routes_and_workers(segment: Segment) -> None:
    """What became of copies, how long answers took and what is under way, by target; results never fall."""
    shadow = Shadow(target="v2", share=1.0)
    config = Config(
        targets=tuple(Target(name=name, endpoints=(Endpoint(url="http://h"),)) for name in ("v1", "v2")),
        routes=tuple(Route(name=name, target="v1", shadow=(shadow,)) for name in ("a", "b")),
    )
    slots = allocate({}, row_keys(config, {}))
    current = replace(revision(experiment=False), config=config, slots=slots)
    for worker, route in enumerate(("a", "b")):
        base = slots[shadow_key(route, "v2")]
        segment.block(worker)[base + counters.SHADOW_INFLIGHT] = 2
        segment.block(worker)[base + counters.SHADOW_COUNTS + counters.SHADOW_RESULTS.index("differ")] = 5
        segment.block(worker)[base + counters.SHADOW_SECONDS] = 3000
        segment.block(worker)[base + counters.SHADOW_SECONDS + histogram.HISTOGRAM_BUCKETS + bucket(3000)] = 1
    found = scrape(segment, current)
    assert value(found, "router_shadow_total", target="v2", result="differ") == 10
    assert value(found, "router_shadow_total", target="v2", result="agree") == 0
    assert value(found, "router_shadow_inflight", target="v2") == 4
    assert value(found, "router_shadow_seconds_count", target="v2") == 2
    assert value(found, "router_shadow_seconds_sum", target="v2") == 0.006


def test_codes_that_never_occurred_are_left_out(segment: Segment) -> None:
    """Sixty codes a route and target would drown the five that matter."""
    current = revision()
    segment.block(0)[current.slots[pair_key("ranker", "v1")] + counters.CODE_SLOT[503]] = 1
    codes = [dict(labels)["code"] for name, labels in scrape(segment, current) if name == "router_requests_total"]
    assert codes == ["503"]


def test_arms_are_summed_over_buckets_phases_and_workers(segment: Segment) -> None:
    """The failed are among the exchanges of an arm, and shown apart from those that went well."""
    first = revision()
    second = revision(2, phase=2, slots=first.slots)
    for phase in (1, 2):
        base = second.slots[arm_key("e", 1, phase, "treatment")]
        for worker in (0, 1):
            for unit_bucket in (0, 255):
                segment.block(worker)[base + counters.ARM_EXCHANGES + unit_bucket] = 10
            segment.block(worker)[base + counters.ARM_FAILURES + 7] = 3
    found = scrape(segment, second)
    assert value(found, "router_arm_requests_total", experiment="e", arm="treatment", result="failed") == 12
    assert value(found, "router_arm_requests_total", experiment="e", arm="treatment", result="ok") == 80 - 12
    assert value(found, "router_arm_requests_total", experiment="e", arm="control", result="ok") == 0


def test_ok_never_falls_when_a_failure_is_read_before_its_exchange(segment: Segment) -> None:
    """Two words are read at two moments; the difference of the two must not look like a restart."""
    current = revision()
    base = current.slots[arm_key("e", 1, 1, "control")]
    metrics = Metrics(segment, lambda: current)
    ok = []
    for exchanges, failures in ((10, 0), (10, 1), (12, 2)):
        segment.block(0)[base + counters.ARM_EXCHANGES] = exchanges
        segment.block(0)[base + counters.ARM_FAILURES] = failures
        ok.append(value(samples(metrics), "router_arm_requests_total", experiment="e", arm="control", result="ok"))
    assert ok == [10, 10, 10]


def test_counters_of_removed_things_stay_and_their_gauges_go(segment: Segment) -> None:
    """A reload that removes an experiment and a target makes no counter vanish or fall."""
    before = revision()
    after = revision(2, slots=before.slots, experiment=False)
    segment.block(0)[before.slots[pair_key("ranker", "v2")] + counters.CODE_SLOT[200]] = 5
    segment.block(0)[before.slots[arm_key("e", 1, 1, "treatment")]] = 5
    segment.block(2)[before.slots[endpoint_key("v2", "http://h")] + counters.ENDPOINT_HEALTH] = HEALTHY
    old, new = scrape(segment, before), scrape(segment, after)
    gone = old.keys() - new.keys()
    gauges = {
        "router_inflight", "router_queued", "router_arm_weight", "router_experiment_killed", "router_breaker_state",
        "router_endpoint_healthy", "router_fanout_state",
    }  # fmt: skip
    assert {name for name, _ in gone} == gauges
    assert all(new[key] >= old[key] for key in new)


@given(st.lists(st.integers(0, 200_000_000), max_size=50))
def test_histogram_counts_are_exact_at_every_bound(times_us: list[int]) -> None:
    """Folding the fine buckets moves no time over a bound: each count is that of the raw times below it."""
    shared = Segment.create(1)
    current = revision()
    base = current.slots[pair_key("ranker", "v1")] + counters.PAIR_SECONDS
    block = shared.block(0)
    for us in times_us:
        block[base + histogram.HISTOGRAM_SUM] += us
        block[base + histogram.HISTOGRAM_BUCKETS + bucket(us)] += 1
    found = scrape(shared, current)
    shared.close()
    labels = {"route": "ranker", "target": "v1"}
    for bound in LATENCY_BOUNDS_US:
        expected = sum(us < bound for us in times_us)
        assert value(found, "router_request_seconds_bucket", **labels, le=repr(bound / 1e6)) == expected
    assert value(found, "router_request_seconds_bucket", **labels, le="+Inf") == len(times_us)
    assert value(found, "router_request_seconds_count", **labels) == len(times_us)
    assert value(found, "router_request_seconds_sum", **labels) == pytest.approx(sum(times_us) / 1e6)


@pytest.mark.parametrize(
    ("register", "state"),
    [(Register(), 0), (Register(99_000, OPEN, 1), 2), (Register(60_000, OPEN, 1), 1), (Register(95_000, RAMP, 1), 1),
     (Register(80_000, RAMP, 1), 0), (Register(60_000, HALF_OPEN, 1), 1)],
)  # fmt: skip
def test_the_breaker_is_shown_as_workers_see_it(segment: Segment, register: Register, state: int) -> None:
    """The last change of any worker holds, and time does the rest, whether or not a worker looked."""
    current = revision()
    row = current.slots[endpoint_key("v1", "http://h")]
    segment.block(0)[row] = Register(50_000, OPEN, 1).word if register.stamp_ms else 0
    segment.block(1)[row] = register.word
    for worker in range(2):
        segment.block(worker)[row + counters.ENDPOINT_OPENINGS] = worker + 1
    found = scrape(segment, current)
    assert value(found, "router_breaker_state", target="v1", endpoint="http://h") == state
    assert value(found, "router_breaker_openings_total", target="v1", endpoint="http://h") == 3


def test_health_is_shown_once_it_is_known(segment: Segment) -> None:
    """0 is not ready, 1 ready; an endpoint that has not been judged yet has no value."""
    current = revision()
    row = current.slots[endpoint_key("v1", "http://h")]
    segment.block(2)[row + counters.ENDPOINT_HEALTH] = Readiness(5, UNHEALTHY).word
    found = scrape(segment, current)
    assert value(found, "router_endpoint_healthy", target="v1", endpoint="http://h") == 0
    assert not [key for key in found if key[0] == "router_endpoint_healthy" and ("target", "v2") in key[1]]


def test_the_state_of_the_router_is_shown(segment: Segment) -> None:
    """Revision, reload, journal, restarts and weights come from the header and the present revision."""
    segment.words[counters.PUBLISHED] = 12
    segment.words[counters.RELOAD_OK] = 0
    segment.words[counters.JOURNAL_FAILED] = 1
    segment.words[counters.RESTARTS] = 3
    found = scrape(segment, revision())
    assert value(found, "router_revision") == 12
    assert value(found, "router_config_reload_success") == 0
    assert value(found, "router_journal_failed") == 1
    assert value(found, "router_worker_restarts_total") == 3
    assert value(found, "router_arm_weight", experiment="e", arm="treatment") == 5


def test_only_workers_with_a_pulse_are_counted(segment: Segment) -> None:
    """A worker that hangs or never started is missing from the number, one that lags from the acknowledged."""
    segment.words[counters.PUBLISHED] = 2
    for worker, (heartbeat, acknowledged) in enumerate(((NOW_NS - 1_000_000, 2), (NOW_NS - 6_000_000_000, 1))):
        segment.block(worker)[counters.HEARTBEAT] = heartbeat
        segment.block(worker)[counters.ACKNOWLEDGED] = acknowledged
    found = scrape(segment, revision())
    assert value(found, "router_workers") == 1
    assert value(found, "router_workers_acknowledged") == 1


def test_a_scrape_before_the_first_revision_is_an_answer(segment: Segment) -> None:
    """A router that is starting shows that nobody serves anything yet."""
    found = scrape(segment, None)
    assert value(found, "router_revision") == 0
    assert value(found, "router_workers_acknowledged") == 0
    assert "router_requests_total" not in names_of(found)


def test_what_came_of_each_arm_is_counted(segment: Segment) -> None:
    """Where a request goes to several arms, each arm has a count of each end of its part."""
    current = revision()
    row = current.slots[fan_key("e", "treatment")] + counters.FAN_COUNTS
    segment.block(1)[row + counters.FAN_RESULTS.index("late")] = 3
    found = scrape(segment, current)
    assert value(found, "router_fanout_total", experiment="e", arm="treatment", result="late") == 3
    assert value(found, "router_fanout_total", experiment="e", arm="control", result="late") == 0
    assert value(found, "router_fanout_state", experiment="e", arm="control") == 0
    word = Register(stamp_ms=NOW_NS // 1_000_000 - 1, state=OPEN, openings=1).word
    segment.block(0)[current.slots[fan_key("e", "control")] + counters.ENDPOINT_STATE] = word
    assert value(scrape(segment, current), "router_fanout_state", experiment="e", arm="control") == 2


def bandit(current: Revision) -> Revision:
    """Return a revision whose experiments are bandits."""
    learning = Allocate(use="thompson", reward="m", period=86400.0)
    experiments = tuple(replace(each, allocate=learning) for each in current.config.experiments)
    return replace(current, config=replace(current.config, experiments=experiments))


def release(current: Revision) -> Revision:
    """Return a revision whose experiments are releases in their first stage."""
    experiments = tuple(replace(each, allocate=Allocate(use="rollout")) for each in current.config.experiments)
    stage = Progress(kind="rollout", run=current.runs["e"].number, step="stage", since=0.0, began=0.0, share=0.01)
    return replace(current, config=replace(current.config, experiments=experiments), rollouts={"e": stage})


def test_every_family_is_shown_with_its_labels(
    segment: Segment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The table of families and the exposition agree on names, types and labels."""
    current = revision()
    keeper = Keeper(segment)
    monkeypatch.setattr(keeper, "sinks", lambda: {"stdout": Sent(3, 2, 1)})
    segment.block(0)[current.slots[pair_key("ranker", "v1")] + counters.CODE_SLOT[200]] = 1
    segment.block(2)[current.slots[endpoint_key("v1", "http://h")] + counters.ENDPOINT_HEALTH] = HEALTHY
    fold = Fold()
    fold.snapshot = looked()
    shown = {}
    ticker = Ticker()
    ticker.standings["e"] = {"arms": {"treatment": {"observations": 3}}}
    notices = Notices(tmp_path)
    monkeypatch.setattr(notices, "waiting", lambda: {"webhook": 1})
    notices.results["webhook"] = Counter(sent=1)
    decisions = Decisions(tmp_path)
    streams = Streams(segment, tmp_path, decisions, notices)
    watched = {"watch": "p99 cusum", "experiment": "e", "arm": "treatment", "severity": "critical", "status": "alarm"}
    measured = {"value": 3.0, "expected": 1.0, "level": 1.5, "episodes": 1, "problem": None}
    monkeypatch.setattr(streams, "standing", lambda: ({**watched, **measured},))
    parts = (QualityMetrics(fold), ReleaseMetrics(decisions, notices), WatchMetrics(streams))
    learned = BanditMetrics(ticker).collect(bandit(current))
    driver = Driver(Senses(segment, tmp_path), Clocks(tmp_path), Aftermath(Decisions(tmp_path), notices))
    driver.observed["e"] = observed.Observed(phase=1, risk={"risk": 0.001})
    released = StageMetrics(driver).collect(release(current))
    for metric in (*Metrics(segment, lambda: current, parts=parts, keeper=keeper).collect(), *learned, *released):
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        labels = {label for sample in metric.samples for label in sample.labels} - {"le"}
        shown[name] = (metric.type, labels)
    assert shown == {family.name: (family.kind, set(family.labels)) for family in FAMILIES.values()}


def test_open_metrics_is_spoken_to_those_who_ask(segment: Segment) -> None:
    """The Accept header chooses the format, and either is valid."""
    metrics = Metrics(segment, revision)
    body, content_type = metrics.render("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert "router_revision" in {family.name for family in parse_open_metrics(body.decode())}  # type: ignore[no-untyped-call]
    assert metrics.render("text/plain")[1].startswith("text/plain")


def test_the_reference_is_the_one_that_is_printed() -> None:
    """`docs/metrics.md` names every family and no other; `python -m router.admin.families` prints it anew."""
    page = Path(__file__).parents[2] / "docs" / "metrics.md"
    assert page.read_text() == reference()
    rows = [line.split("`")[1] for line in page.read_text().splitlines() if line.startswith("| `")]
    assert rows == list(FAMILIES)


def test_names_follow_the_conventions_of_prometheus() -> None:
    """Counters end in `_total`, times in `_seconds`, and each family is written once."""
    source = ast.parse(Path(families_module.__file__).read_text())
    written = [
        node.args[0] for node in ast.walk(source) if isinstance(node, ast.Call) and ast.unparse(node.func) == "Family"
    ]
    assert len(written) == len(FAMILIES)
    for family in FAMILIES.values():
        assert family.name.endswith("_total") == (family.kind == "counter")
        assert family.name.endswith("_seconds") or family.kind != "histogram"
