"""What is watched on a router: streams from counters, sampled bodies and targets, and what follows."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from router import counters
from router.config.schema import Config, Endpoint
from router.control.detecting import plan_of
from router.control.notices import Notices
from router.control.scrape import Scraped, Scraper, parse
from router.control.streams import Streams
from router.control.subjects import subjects
from router.detect.drift import DriftPlan
from router.detect.novelty import NoveltyPlan
from router.detect.season import SeasonPlan
from router.detect.stream import Plan
from router.events.model import Enrolment, Revision
from router.events.outcomes import Outcome, OutcomeStore
from router.events.rollout import Decided
from router.events.segment import SegmentName
from router.histogram import bucket
from router.segment import Segment
from tests.control.build import loaded, present, started, yaml
from tests.events.examples import exchange
from tests.ports import free_ports

START = 1_800_000_000.0
RELEASE = "allocate: {use: rollout, stages: [{share: 50%, hold: 1h}]}\n"


class Written:
    """A decision log that keeps a list."""

    def __init__(self) -> None:
        self.decided: list[Decided] = []

    def record(self, decided: Decided, revision: int) -> Decided:
        """Keep a decision."""
        del revision
        self.decided.append(decided)
        return decided


class Told(Notices):
    """Notices that keep a list."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.says: list[Any] = []

    def tell(self, say: Any, experiment: str, revision: Revision, found: Any = ()) -> None:
        """Keep what is told."""
        del revision, found
        self.says.append((experiment, say))


class Scene:
    """A router's streams with counters that a test writes, on a clock of the test's."""

    def __init__(self, folder: Path, watch: str, experiment: str = RELEASE) -> None:
        self.folder = folder
        (folder / "events").mkdir(exist_ok=True)
        top = f"events: {{dir: {folder / 'events'}}}\nwatch:\n{watch}"
        self.revision = present(started(yaml(experiment=experiment, top=top)))
        self.segment = Segment.create(1)
        self.clock = 0.0
        self.decisions, self.notices = Written(), Told(folder)
        self.streams = self.again()
        self.generator = np.random.default_rng(1)

    def again(self) -> Streams:
        """Return what a process that begins anew has."""
        return Streams(self.segment, self.folder, self.decisions, self.notices)  # type: ignore[arg-type]

    def serve(self, arm: str, exchanges: int, failures: int, seconds: float = 0.05) -> None:
        """Count exchanges of an arm, as a worker does."""
        block, slots = self.segment.block(0), self.revision.slots
        run = self.revision.runs["ramp"]
        row = slots[counters.arm_key("ramp", run.number, run.phase, arm)]
        block[row + counters.ARM_EXCHANGES] += exchanges
        block[row + counters.ARM_FAILURES] += failures
        by_arm = slots.get(counters.times_key("ramp", arm))
        pair = slots[counters.pair_key("r", "a" if arm == "old" else "b")]
        times = pair + counters.PAIR_SECONDS + 1 if by_arm is None else by_arm + counters.TIMES_DURATION
        for time in self.generator.lognormal(np.log(seconds), 0.3, exchanges):
            block[times + bucket(int(time * 1e6))] += 1

    def look(self, minutes: int, serve: Mapping[str, tuple[int, float, float]] | None = None) -> None:
        """Let minutes pass, in each of which arms have exchanges, a share of failures and a time."""

        async def run() -> None:
            async with Scraper() as scraper:
                for _ in range(minutes):
                    for arm, (exchanges, share, seconds) in (serve or {}).items():
                        failures = int(self.generator.binomial(exchanges, share))
                        self.serve(arm, exchanges, failures, seconds)
                    self.clock += 60.0
                    await self.streams.look(self.revision, scraper, (START + self.clock, self.clock))

        asyncio.run(run())

    def standing(self, arm: str) -> Mapping[str, Any]:
        """Return what is known of an arm's stream."""
        return next(each for each in self.streams.standing() if each["arm"] == arm)


HEALTHY = {"old": (600, 0.01, 0.05), "new": (600, 0.01, 0.05)}
FAILING = {"old": (600, 0.01, 0.05), "new": (600, 0.05, 0.05)}
SLOW = {"old": (600, 0.01, 0.05), "new": (600, 0.01, 0.09)}


def test_a_critical_anomaly_of_the_new_arm_rolls_back_and_lasts_until_it_is_over(tmp_path: Path) -> None:
    """Errors that rise on the new arm alone are a guardrail's failure, told once, with the evidence."""
    scene = Scene(tmp_path, "  - {metric: error_rate, severity: critical}\n")
    scene.look(100, HEALTHY)
    assert scene.streams.found("ramp") == ()
    scene.look(15, FAILING)
    (found,) = scene.streams.found("ramp")
    assert (found.status, found.action) == ("fail", "rollback")
    assert found.estimate == pytest.approx(0.05, abs=0.03)
    assert found.margin == pytest.approx(0.01, abs=0.005)
    ((experiment, say),) = scene.notices.says
    assert (experiment, say.event, say.severity) == ("ramp", "anomaly", "critical")
    (decided,) = scene.decisions.decided
    assert (decided.action, decided.experiment) == ("anomaly", "ramp")
    scene.look(30, HEALTHY)
    assert scene.streams.found("ramp") == ()
    assert len(scene.notices.says) == 1


def test_what_control_has_too_is_not_blamed_on_the_release(tmp_path: Path) -> None:
    """A dependency that fails both arms is told, and rolls nothing back."""
    scene = Scene(tmp_path, "  - {metric: error_rate, severity: critical}\n")
    scene.look(100, HEALTHY)
    scene.look(20, {"old": (600, 0.06, 0.05), "new": (600, 0.06, 0.05)})
    (found,) = scene.streams.found("ramp")
    assert found.status == "inconclusive"
    assert "old has the same" in found.reason
    assert len(scene.notices.says) == 2


def test_a_warning_is_told_and_an_info_is_only_shown(tmp_path: Path) -> None:
    """Neither is a matter for guardrails."""
    text = "  - {metric: p90, severity: warning}\n  - {metric: p50, severity: info, detector: ewma}\n"
    scene = Scene(tmp_path, text)
    scene.look(80, HEALTHY)
    scene.look(10, SLOW)
    assert [say.severity for _, say in scene.notices.says] == ["warning"]
    assert [each["status"] for each in scene.streams.standing() if each["arm"] == "new"] == ["alarm", "alarm"]
    assert [each["status"] for each in scene.streams.standing() if each["arm"] == "old"] == ["quiet", "quiet"]
    assert scene.streams.found("ramp") == ()
    assert len(scene.decisions.decided) == 1


def test_what_was_learned_survives_a_restart(tmp_path: Path) -> None:
    """The successor neither learns anew nor tells an anomaly that lasts again."""
    scene = Scene(tmp_path, "  - {metric: error_rate, severity: critical}\n")
    scene.look(80, HEALTHY)
    scene.streams = scene.again()
    scene.look(20, FAILING)
    assert len(scene.streams.found("ramp")) == 1
    scene.streams = scene.again()
    scene.look(3, FAILING)
    assert len(scene.streams.found("ramp")) == 1
    assert len(scene.notices.says) == 1


def test_traffic_that_stops_is_missing_and_no_anomaly_of_errors(tmp_path: Path) -> None:
    """Without exchanges there is no error share; the rate of a stopped arm is one."""
    scene = Scene(tmp_path, "  - {metric: error_rate}\n  - {metric: rate, severity: info}\n")
    scene.look(80, HEALTHY)
    scene.look(30, {"old": (600, 0.01, 0.05), "new": (0, 0.0, 0.05)})
    status = {each["what"]: each["status"] for each in scene.streams.standing() if each["arm"] == "new"}
    assert status["error_rate"] == "quiet"


def test_counters_that_begin_anew_are_a_missing_point(tmp_path: Path) -> None:
    """A new segment counts from 0, which is no negative traffic."""
    scene = Scene(tmp_path, "  - {metric: error_rate, severity: critical}\n  - {metric: p50}\n")
    scene.look(80, HEALTHY)
    block = scene.segment.block(0)
    for base in scene.revision.slots.values():
        block[base] = 0
    row = scene.revision.slots[counters.arm_key("ramp", 1, 1, "new")]
    for at in range(counters.ARM_WORDS):
        block[row + at] = 0
    scene.look(5, HEALTHY)
    assert scene.notices.says == []
    assert scene.streams.problem is None


def test_several_streams_together_are_watched_by_a_forest(tmp_path: Path) -> None:
    """Rows of error share, latency and rate; a reference is learned first."""
    scene = Scene(tmp_path, "  - {detector: isolation_forest, reference: 60, parameters: {limit: 4}}\n", "")
    scene.look(70, HEALTHY)
    assert scene.standing("new")["status"] == "quiet"
    scene.look(12, {"old": (600, 0.01, 0.05), "new": (300, 0.08, 0.2)})
    assert scene.standing("new")["status"] == "alarm"
    assert scene.standing("old")["status"] == "quiet"


def log_line(unit: str, arm: str, **rewards: float | str) -> str:
    """Return a line of the event log with a sampled body."""
    said = {"sampled": 1.0, "sampled_request": 1.0, **rewards}
    enrolled = [{"experiment": "ramp", "arm": arm, "run": 1, "phase": 1, "propensity": 0.5}]
    line = {"type": "exchange", "id": f"i{unit}", "unit": unit, "experiments": enrolled, "rewards": said}
    return json.dumps(line, separators=(",", ":")) + "\n"


def test_values_of_sampled_bodies_drift(tmp_path: Path) -> None:
    """Confidence of responses and a category of requests are compared with their reference, arm by arm."""
    watch = (
        "  - {json: /confidence, detector: psi, reference: 200, window: 100, severity: warning}\n"
        "  - {json: /country, of: request, detector: psi, reference: 200, window: 100, severity: warning}\n"
    )
    scene = Scene(tmp_path, watch)
    scene.look(2)
    segment = tmp_path / "events" / "exchange-20270115T080000Z-w0-1-000000.ndjson"
    generator = np.random.default_rng(2)
    with segment.open("a") as file:
        for at in range(400):
            moved = at >= 200
            confidence = float(generator.beta(2, 8 if moved else 2))
            for arm in ("old", "new"):
                country = "US" if moved and arm == "new" else str(generator.choice(["DE", "FR"]))
                said: dict[str, float | str] = {
                    "response:/confidence": confidence if arm == "new" else 0.5,
                    "request:/country": country,
                }
                file.write(log_line(f"{arm}{at}", arm, **said))
        file.flush()
        scene.look(2)
    changed = {(each["what"], each["arm"]): each["status"] for each in scene.streams.standing()}
    assert changed["response:/confidence", "new"] == "alarm"
    assert changed["request:/country", "new"] == "alarm"
    assert changed["response:/confidence", "old"] == "quiet"
    assert changed["request:/country", "old"] == "quiet"


METRICS = b"""\
# HELP process_resident_memory_bytes Resident memory.
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 2.5e+08
# TYPE gpu_used gauge
gpu_used{gpu="0"} 3
gpu_used{gpu="1",note="a } b"} 7 1700000000000
gpu_used{gpu="2"} NaN
gpu_used_total 5
requests_total{code="200"} 12
broken{ 1
"""


def test_a_gauge_is_read_from_prometheus_text() -> None:
    """Only lines of the gauge are parsed, so mistakes elsewhere do not matter; nan is no value."""
    found = parse(METRICS, ["process_resident_memory_bytes", "gpu_used", "requests_total", "absent"])
    assert found == {
        "process_resident_memory_bytes": {"": 2.5e8},
        "gpu_used": {"gpu=0": 3.0, "gpu=1,note=a } b": 7.0},
        "requests_total": {"code=200": 12.0},
        "absent": {},
    }
    with pytest.raises(ValueError, match=r".+"):
        parse(METRICS, ["broken"])


def test_gauges_are_the_largest_and_counters_the_sum_of_their_rises() -> None:
    """A counter that fell began anew; the first look at one says nothing."""
    scraped = Scraped()
    assert scraped.number("memory", {"a": 3.0, "b": 7.0}, 0.0) == 7.0
    assert scraped.number("memory", {}, 0.0) is None
    counter = Scraped()
    assert counter.number("gc_total", {"a": 10.0, "b": 100.0}, 0.0) is None
    assert counter.number("gc_total", {"a": 30.0, "b": 5.0, "c": 9.0}, 10.0) == pytest.approx((20 + 5) / 10)


WATCHES = """
  - {metric: p99, detector: change_point}
  - {metric: rate, detector: seasonal}
  - {json: /confidence, sample: 1%}
  - {detector: autoencoder, severity: info}
  - {metric: error_rate, parameters: {slack: 0.25, limit: 8}}
  - {score: recall, prediction: /label, outcome: truth}
  - {scrape: /metrics, gauge: memory, target: b, detector: ewma, experiment: ramp}
"""


def watches() -> Config:
    """Return a configuration with an entry of each kind."""
    return loaded(yaml(top=f"watch:{WATCHES}")).config


def test_each_entry_is_the_plan_that_it_says() -> None:
    """Detectors, directions and what is learned follow from the entry and its severity."""
    plans = [plan_of(watch) for watch in watches().watch]
    assert [type(plan) for plan in plans] == [Plan, SeasonPlan, DriftPlan, NoveltyPlan, Plan, Plan, Plan]
    told, recall, memory = (plan for plan in plans[4:] if isinstance(plan, Plan))
    assert (told.kind, told.direction, msgspec.to_builtins(told.chart)["limit"]) == ("share", "up", 8)
    assert (recall.kind, recall.direction) == ("share", "down")
    assert (memory.kind, memory.direction) == ("value", "both")


def test_each_entry_is_watched_on_each_arm_and_a_gauge_on_its_target() -> None:
    """Control is compared with nothing, the other arm with control."""
    found = subjects(present(started(yaml(top=f"watch:{WATCHES}"))))
    assert len(found) == 6 * 2 + 1
    assert [(each.arm, each.against) for each in found[:2]] == [("old", None), ("new", "old")]
    assert (found[-1].arm, found[-1].target, found[-1].against) == ("new", "b", "old")
    assert len({each.key for each in found}) == len(found)


def test_labels_are_joined_to_predictions_through_the_archive(tmp_path: Path) -> None:
    """Accuracy of each arm, of predictions whose labels came as outcomes."""
    entry = "{score: accuracy, prediction: /label, outcome: truth, positive: spam, interval: 1m, wait: 0s}"
    scene = Scene(tmp_path, f"  - {entry}\n")
    events, outcomes = [], []
    for at in range(40):
        arm, right = ("old", at % 4 == 1) if at % 2 else ("new", at % 5 > 0)
        enrolled = Enrolment("ramp", 1, 1, 0, arm, 0.5, "a")
        rewards: dict[str, float | str] = {"sampled": 1.0, "response:/label": "spam" if right else "ham"}
        made = {"id": f"{at:032x}", "request_id": f"q{at}", "time": START + 61.0, "experiments": (enrolled,)}
        events.append(msgspec.structs.replace(exchange(at), **made, rewards=rewards, bot=False))
        outcomes.append(Outcome(f"o{at}", "truth", 1.0, START + 62.0, timed=True, request_id=f"q{at}"))
    name = SegmentName("20270115T080000Z", 0, 4_000_001, 1)
    (tmp_path / "events" / str(name)).write_bytes(msgspec.json.Encoder().encode_lines(events))
    store = OutcomeStore(tmp_path / "events")
    store.append(outcomes, START + 63.0)
    store.close()
    scene.look(2)
    said = {each["arm"]: (each["value"], each["problem"]) for each in scene.streams.standing()}
    assert said == {"old": (0.5, None), "new": (0.8, None)}


def test_a_target_that_does_not_answer_is_a_problem_and_no_anomaly(tmp_path: Path) -> None:
    """The stream says why; the others go on."""
    (port,) = free_ports(1)
    watch = "  - {scrape: /metrics, gauge: memory, target: b, severity: critical}\n  - {metric: error_rate}\n"
    scene = Scene(tmp_path, watch)
    target = scene.revision.config.targets[1]
    lost = msgspec.structs.replace(target, endpoints=(Endpoint(url=f"http://127.0.0.1:{port}"),))
    config = msgspec.structs.replace(scene.revision.config, targets=(scene.revision.config.targets[0], lost))
    scene.revision = msgspec.structs.replace(scene.revision, config=config)
    scene.look(3, HEALTHY)
    gauge = next(each for each in scene.streams.standing() if each["what"] == "memory")
    assert gauge["status"] == "missing"
    assert f"127.0.0.1:{port}/metrics" in (gauge["problem"] or "")
    assert scene.standing("old")["value"] is not None
    assert scene.streams.found("ramp") == ()
