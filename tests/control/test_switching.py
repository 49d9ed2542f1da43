"""What the control process sees and measures of a switch: endpoints, smoke tests, the time that it took."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from router import counters
from router.config.smoke import SmokeTest
from router.control import switched, trials
from router.control.allocated import kept_release
from router.control.pre_post import pre_post
from router.control.publish import Publisher
from router.control.readiness_now import endpoints, inflight
from router.control.smoke import Subject
from router.control.state import State
from router.control.steer import Move, steer
from router.control.switch import kill
from router.control.trials import Trials
from router.events.model import Revision
from router.events.rollout import Decided, Found, Progress
from router.rollout.effect import Record, Say
from router.rollout.fitness import EndpointNow
from router.routing.breaker import OPEN, Register
from router.routing.readiness import HEALTHY, UNHEALTHY, Readiness
from router.segment import Segment
from tests.control.build import NOW, present, started, yaml
from tests.control.desk import until

GUARD = "metrics: {primary: errors, guardrails: [{metric: errors, at_most: 5%, action: rollback}]}"
TOP = "metrics: [{name: errors, kind: ratio, exchange: failed, goal: down}]"
BLUE_GREEN = yaml(experiment=f"allocate: {{use: blue_green, tests: [{{path: /ready}}]}}\n{GUARD}", top=TOP)
HEALTH = "health: {path: /ready}, endpoints: ['http://127.0.0.1:8002', 'http://127.0.0.1:8003']"
ROLLING = yaml(experiment=f"allocate: {{use: rolling}}\n{GUARD}", top=TOP)
OLD, NEW = "http://127.0.0.1:8001", "http://127.0.0.1:8002"


def progress(share: float = 0.0, **more: object) -> Progress:
    """Return where a release is."""
    given = {"kind": "blue_green", "run": 1, "step": "bake" if share else "preview", "since": NOW, "began": NOW, **more}
    return Progress(share=share, **given)  # type: ignore[arg-type]


def moved(state: State, where: Progress, used: dict[str, tuple[str, ...]] | None = None) -> tuple[State, Revision]:
    """Bring a release somewhere."""
    made = steer(state, {"ramp": Move(progress=where, endpoints=used, said="")}, ("switch", "router", NOW))
    assert isinstance(made, tuple)
    return made


@pytest.mark.parametrize(
    ("state", "breaker", "usable"),
    [
        (None, 0, None),
        (HEALTHY, 0, True),
        (UNHEALTHY, 0, False),
        (HEALTHY, OPEN, False),
        (None, OPEN, False),
    ],
    ids=["not-asked-yet", "healthy", "unhealthy", "breaker", "breaker-alone"],
)
def test_an_endpoint_stands_as_health_and_breaker_say(state: int | None, breaker: int, usable: bool | None) -> None:  # noqa: FBT001 - a value
    """Workers and releases are of one opinion; who has not answered yet is neither fit nor unfit."""
    text = BLUE_GREEN.replace("endpoints: ['http://127.0.0.1:8002']", HEALTH)
    revision = present(started(text))
    segment = Segment.create(2)
    row = revision.slots[counters.endpoint_key("b", NEW)]
    if state is not None:
        segment.block(segment.workers)[row + counters.ENDPOINT_HEALTH] = Readiness(1, state).word
    if breaker:
        segment.block(1)[row + counters.ENDPOINT_STATE] = Register(1000, breaker, 1).word
    found = endpoints(revision, segment, revision.config.experiments[0], now_ms=1001)
    assert found["old"] == (EndpointNow(OLD, 1, usable=True),)
    assert found["new"][0] == EndpointNow(NEW, 1, usable=usable)


def test_a_kill_brings_all_endpoints_of_the_control_arm_back_into_use() -> None:
    """Everybody is on control then, so none of its endpoints may be left out; the new side's stay as they were."""
    where = progress(0.5, kind="rolling", step="batch")
    state, revision = moved(started(ROLLING), where, {"a": (), "b": (NEW,)})
    assert revision.endpoints == {"a": (), "b": (NEW,)}
    _, killed = kill(state, "ramp", NOW + 1, "ann", None)
    assert (killed.endpoints, killed.weights["ramp"]) == ({"b": (NEW,)}, {"old": 1.0, "new": 0.0})


def test_endpoints_that_a_file_no_longer_has_are_forgotten() -> None:
    """A subset names endpoints of the present configuration only."""
    _, revision = moved(started(ROLLING), progress(0.5, kind="rolling", step="batch"), {"b": (NEW, "http://gone")})
    assert kept_release(revision, revision.config, revision.runs)["endpoints"] == {"b": (NEW,)}


def test_what_failed_before_and_since_is_counted_apart() -> None:
    """The old arm's earlier phases, and the new one's present phase; nothing while both have units."""
    state = started(BLUE_GREEN)
    before = present(state)
    _, after = moved(state, progress(1.0))
    segment = Segment.create(2)
    for revision, arm, counts in ((before, "old", (100, 3)), (after, "new", (50, 1))):
        run = revision.runs["ramp"]
        base = after.slots[counters.arm_key("ramp", run.number, run.phase, arm)]
        segment.block(0)[base + 7] += counts[0]
        segment.block(1)[base + counters.ARM_FAILURES + 7] += counts[1]
    release = after.config.experiments[0]
    expected = {"pre_exchanges": 100.0, "pre_failures": 3.0, "post_exchanges": 50.0, "post_failures": 1.0}
    assert pre_post(after, segment, release) == expected
    assert pre_post(before, segment, release) == {}


# --- Smoke tests ----------------------------------------------------------------------------------------------------


class Asked:
    """Plays the smoke tests."""

    def __init__(self, *statuses: str) -> None:
        self.statuses = list(statuses)
        self.rounds: list[tuple[Subject, ...]] = []

    async def __call__(self, tests: Sequence[SmokeTest], subjects: Sequence[Subject]) -> Found:
        """Answer with the next status."""
        self.rounds.append(tuple(subjects))
        status = self.statuses.pop(0)
        if status == "raise":
            raise ZeroDivisionError
        return Found(name="smoke tests", status=status, action="rollback", reason=str(len(tests)))  # type: ignore[arg-type]


def looked(ask: Asked, monkeypatch: pytest.MonkeyPatch, *steps: tuple[float, bool, int]) -> list[str | None]:
    """Look at moments, with the new endpoint usable or not, in some run; return what was said each time."""
    clock = [0.0]
    monkeypatch.setattr(trials, "monotonic", lambda: clock[0])
    config = present(started(BLUE_GREEN)).config
    said: list[str | None] = []

    async def story() -> None:
        rounds = Trials(ask)
        for now, usable, run in steps:
            clock[0] = now
            stood = {"old": (EndpointNow(OLD, 1, usable=True),), "new": (EndpointNow(NEW, 1, usable=usable),)}
            found = rounds.look(config.experiments[0], progress(run=run), stood, config)
            said.append(None if found is None else found.status)
            for _ in range(3):
                await asyncio.sleep(0)
        await rounds.close()

    asyncio.run(story())
    return said


def test_tests_run_once_endpoints_are_ready_and_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed is asked again soon, what passed later; in between the last answer stands."""
    ask = Asked("fail", "pass", "fail")
    again, fresh = trials.AGAIN_S, trials.AGAIN_S + trials.FRESH_S
    steps = [(0.0, False, 1), (0.0, True, 1), (1.0, True, 1), (again, True, 1), (again + 1, True, 1), (fresh, True, 1)]
    assert looked(ask, monkeypatch, *steps, (fresh + 1, True, 1)) == [
        None,
        None,
        "fail",
        "fail",
        "pass",
        "pass",
        "fail",
    ]
    assert [[each.url for each in subjects] for subjects in ask.rounds] == [[NEW]] * 3


def test_an_answer_is_about_one_run_and_ready_endpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run, or an endpoint that was not ready in between, begins anew."""
    ask = Asked("pass", "pass", "pass")
    steps = [(0.0, True, 1), (1.0, True, 1), (2.0, True, 2), (3.0, True, 2), (4.0, False, 2), (5.0, True, 2)]
    assert looked(ask, monkeypatch, *steps) == [None, "pass", None, "pass", None, None]


def test_tests_that_break_off_are_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong in a round is an error, and the next round comes."""
    steps = [(0.0, True, 1), (1.0, True, 1), (trials.AGAIN_S, True, 1), (trials.AGAIN_S + 1, True, 1)]
    assert looked(Asked("raise", "pass"), monkeypatch, *steps) == [None, "error", "error", "pass"]


# --- How long a switch took -----------------------------------------------------------------------------------------


def test_every_worker_and_every_one_that_drains_has_to_have_it(tmp_path: Path) -> None:
    """A later revision counts as well; a worker that is being replaced counts until it is gone."""
    segment = Segment.create(2)
    publisher = Publisher(tmp_path, segment)
    segment.blocks[0][counters.ACKNOWLEDGED] = 5
    segment.blocks[1][counters.ACKNOWLEDGED] = 4
    assert (publisher.reached(4), publisher.reached(5)) == (True, False)
    segment.blocks[1][counters.ACKNOWLEDGED] = 6
    segment.blocks[2][counters.PID], segment.blocks[2][counters.ACKNOWLEDGED] = 77, 4
    assert publisher.reached(5) is False
    segment.blocks[2][counters.PID] = 0
    assert publisher.reached(5) is True


class Aftermath:
    """Keeps what is to be written down and told."""

    def __init__(self) -> None:
        self.effects: list[object] = []

    def take(self, experiment: object, revision: object, effects: tuple[object, ...], observed: object) -> None:  # noqa: ARG002 - as the real one
        """Keep it."""
        self.effects += effects


def watched(folder: Path, *, drains: bool) -> list[object]:
    """Watch a switch whose old side works on an exchange, which ends or does not."""
    state, before = moved(started(BLUE_GREEN), progress())
    _, after = moved(state, progress(1.0))
    segment, aftermath = Segment.create(2), Aftermath()
    gauge = after.slots[counters.target_key("a")] + counters.TARGET_INFLIGHT
    segment.block(1)[gauge] = 1

    async def story() -> None:
        watching = switched.Switched(segment, Publisher(folder, segment), aftermath)  # type: ignore[arg-type]
        watching.after("ramp", before.rollouts["ramp"], after, asyncio.get_running_loop().time())
        for worker in range(2):
            segment.block(worker)[counters.ACKNOWLEDGED] = after.number
        assert inflight(after, segment, "a") == 1
        if drains:
            segment.block(1)[gauge] = 0
        await until(lambda: aftermath.effects)
        await watching.close()

    asyncio.run(story())
    return aftermath.effects


def line_of(effect: object) -> Decided:
    """Return the line that is to be written down."""
    assert isinstance(effect, Record)
    return effect.decided


def test_a_switch_is_timed_to_the_last_exchange_of_the_old_side(tmp_path: Path) -> None:
    """Both times are in the decision: until all workers had it, and until the old side had nothing left."""
    (record,) = watched(tmp_path, drains=True)
    line = line_of(record)
    assert (line.action, line.step, line.share) == ("switched", "bake", 1.0)
    assert 0 <= line.numbers["acknowledged_s"] <= line.numbers["drained_s"]


def test_an_old_side_that_does_not_drain_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the limit it is a warning that says what is left; nothing waits for it."""
    monkeypatch.setattr(switched, "LIMIT_S", 0.05)
    record, say = watched(tmp_path, drains=False)
    line = line_of(record)
    assert line.numbers["inflight"] == 1
    assert "drained_s" not in line.numbers
    assert isinstance(say, Say)
    assert (say.severity, "still works on 1 exchanges" in say.text) == ("warning", True)


def test_workers_that_do_not_follow_are_told() -> None:
    """Without an acknowledgement the line says so, and has no time."""
    _, revision = moved(started(BLUE_GREEN), progress(1.0))
    record, say = switched.effects(switched.Moved("ramp", revision, "a", 0.0, "switch"), {}, 3, NOW)
    assert "not all workers serve revision" in line_of(record).reason
    assert isinstance(say, Say)
    assert replace(line_of(record), id="x").numbers == {"inflight": 3.0}
