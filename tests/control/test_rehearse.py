"""What a release shows before it has traffic: checks are made one at a time, copies are counted from the first look."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import IO

import msgspec
import pytest
from msgspec.structs import replace

from router import counters
from router.config.load import load_text
from router.control.errand import AGAIN_S, Errands, Key
from router.control.rehearse import Rehearsal, Shown
from router.events.evaluated import Checked, Evaluated
from router.events.evaluation import Job
from router.events.model import Revision, Run
from router.events.rollout import Found, Progress, Step
from router.segment import Segment
from tests.guardrail.test_offline import document

NOW = (1_800_000_000.0, 50.0)
KEY = Key("e", 3, 1.5)


class Child:
    """A process that ends when it is told to."""

    def __init__(self) -> None:
        self.stdin: IO[bytes] | None = BytesIO()
        self.status: int | None = None
        self.killed = False

    def poll(self) -> int | None:
        """Return the status."""
        return self.status

    def kill(self) -> None:
        """End."""
        self.killed, self.status = True, -9

    def wait(self, timeout: float | None = None) -> int:  # noqa: ARG002 - as of a process
        """Return the status; there is nothing to wait for."""
        assert self.status is not None
        return self.status


class Children:
    """Starts processes, and keeps which."""

    def __init__(self) -> None:
        self.started: list[tuple[Path, Child]] = []

    def __call__(self, file: Path) -> Child:
        """Start one."""
        self.started.append((file, Child()))
        return self.started[-1][1]

    def end(self, evaluated: Evaluated | None = None, problem: str | None = None) -> None:
        """Have the last one end with a result."""
        file, child = self.started[-1]
        file.write_bytes(msgspec.json.encode(Checked(evaluated=evaluated, problem=problem)))
        child.status = 0


def revision(allocate: str, step: Step = "offline", tmp: Path = Path()) -> Revision:
    """Return a revision with a release in one of its first steps."""
    text = (
        "targets:\n"
        "  - {name: old, endpoints: ['http://127.0.0.1:8001']}\n"
        "  - {name: new, version: '7', endpoints: ['http://127.0.0.1:8002']}\n"
        "routes: [{name: r, target: old, unit: [header:x-user-id]}]\n"
        "experiments:\n"
        "  - name: e\n"
        "    route: r\n"
        "    arms: [{name: a, target: old}, {name: b, target: new}]\n"
        f"    allocate: {{use: rollout, {allocate}, stages: [{{share: 100%, hold: 60s}}]}}\n"
    )
    config = load_text(text.encode(), "router.yaml", tmp).config
    runs = {"e": Run(number=3, phase=1, epoch=1)}
    slots = counters.allocate({}, counters.row_keys(config, runs))
    progress = Progress(kind="rollout", run=3, step=step, since=1.5, began=1.0)
    return Revision(
        number=1, time=0.0, cause="start", author="t", digest="", config=config, weights={"e": {"a": 1.0, "b": 0.0}},
        runs=runs, slots=slots, rollouts={"e": progress},
    )  # fmt: skip


def offline(tmp_path: Path, more: str = "") -> Revision:
    """Return a revision whose release sends recorded requests first."""
    (tmp_path / "r.ndjson").write_text('{"path": "/"}\n')
    return revision(f"offline: {{requests: r.ndjson{more}}}", tmp=tmp_path)


def look(errands: Errands, made: Revision, monotonic: float = 50.0, key: Key = KEY) -> str:
    """Look, and return the verdict."""
    return errands.look(made.config.experiments[0], made, key, (NOW[0], monotonic)).status


def test_a_check_is_made_once_and_its_verdict_stays(tmp_path: Path) -> None:
    """Inconclusive while it is under way; the job names target, file and requirements."""
    children, made = Children(), offline(tmp_path, ", require: ['accuracy >= 90%', 'p99 <= 2 * baseline']")
    errands = Errands(tmp_path, children)
    assert look(errands, made) == look(errands, made) == "inconclusive"
    job = msgspec.json.decode(children.started[0][0].with_suffix(".job").read_bytes(), type=Job)
    assert (job.candidate.name, job.candidate.version) == ("new", "7")
    assert job.baseline is not None
    assert job.requests == str(tmp_path / "r.ndjson")
    children.end(document("fail"))
    assert look(errands, made) == look(errands, made) == "fail"
    assert len(children.started) == 1


def test_after_a_restart_a_result_is_taken_and_another_step_begins_anew(tmp_path: Path) -> None:
    """The file belongs to one step of one run."""
    children, made = Children(), offline(tmp_path)
    errands = Errands(tmp_path, children)
    look(errands, made)
    children.end(document())
    look(errands, made)
    again = Errands(tmp_path, children)
    look(again, made)
    assert look(again, made) == "pass"
    assert len(children.started) == 1
    assert look(again, made, key=Key("e", 4, 9.0)) == "inconclusive"
    assert len(children.started) == 2


@pytest.mark.parametrize("way", ["problem", "crash", "nonsense"])
def test_a_check_that_cannot_be_made_is_an_error_and_tried_again(tmp_path: Path, way: str) -> None:
    """It holds, it never passes; a minute later there is another try."""
    children, made = Children(), offline(tmp_path)
    errands = Errands(tmp_path, children)
    look(errands, made)
    if way == "problem":
        children.end(problem="line 3 is no request")
    elif way == "nonsense":
        children.started[0][0].write_text("{")
    children.started[0][1].status = 1
    assert look(errands, made) == look(errands, made, 50.0 + AGAIN_S / 2) == "error"
    assert len(children.started) == 1
    look(errands, made, 51.0 + AGAIN_S)
    assert len(children.started) == 2
    children.end(document())
    assert look(errands, made, 52.0 + AGAIN_S) == "pass"


def test_a_check_that_does_not_end_is_ended(tmp_path: Path) -> None:
    """After the time that its requests may take, and a while for the numbers."""
    children, made = Children(), offline(tmp_path, ", max_time: 10s")
    errands = Errands(tmp_path, children)
    look(errands, made)
    assert look(errands, made, 100.0) == "inconclusive"
    assert look(errands, made, 50.0 + 10 + 121) == "error"
    assert children.started[0][1].killed


def test_one_check_runs_at_a_time_and_ends_when_nobody_asks(tmp_path: Path) -> None:
    """Others wait for their turn; a release that has gone on, or away, leaves no process behind."""
    children, made = Children(), offline(tmp_path)
    errands = Errands(tmp_path, children)
    look(errands, made)
    assert look(errands, made, key=Key("f", 1, 1.0)) == "inconclusive"
    assert len(children.started) == 1
    errands.forget({Key("f", 1, 1.0)})
    assert children.started[0][1].killed
    look(errands, made, key=Key("f", 1, 1.0))
    assert len(children.started) == 2


def test_a_result_file_is_read_when_it_changes(tmp_path: Path) -> None:
    """A missing file and one that is something else are errors; nothing is started."""
    children, made = Children(), revision("offline: {result: out.json}", tmp=tmp_path)
    errands, file = Errands(tmp_path, children), tmp_path / "out.json"
    assert look(errands, made) == "error"
    file.write_text("[]")
    assert look(errands, made) == "error"
    file.write_bytes(msgspec.json.encode(document("inconclusive")))
    assert look(errands, made) == "inconclusive"
    file.write_bytes(msgspec.json.encode(document("pass")))
    assert look(errands, made) == "pass"
    file.write_bytes(msgspec.json.encode(replace(document(), target="else")))
    assert look(errands, made) == "error"
    assert not children.started


@pytest.fixture
def segment() -> Iterator[Segment]:
    """The counters of one worker."""
    made = Segment.create(1)
    yield made
    made.close()


def test_copies_count_from_the_first_look(tmp_path: Path, segment: Segment) -> None:
    """What an earlier release of the experiment counted is not this one's."""
    made = revision("shadow: {for: 60s, comparisons: 50}", "shadow")
    words, base = segment.block(0), made.slots[counters.mirror_key("e")]
    rehearsal = Rehearsal(segment, tmp_path)

    def after(monotonic: float, copies: int, failed: int) -> Found:
        """Count copies in each bucket, as fast as the requests themselves, and look."""
        for place in range(256):
            words[base + counters.MIRROR_COPIES + place] += copies
            words[base + counters.MIRROR_FAILED + place] += failed
        for cluster in range(32):
            words[base + counters.MIRROR_SECONDS + cluster * 240 + 60 + cluster % 2] += 8 * copies
            words[base + counters.MIRROR_PRIMARY_SECONDS + cluster * 240 + 60 + cluster % 2] += 8 * copies
        found = rehearsal.look(made.config.experiments[0], made, (NOW[0] + monotonic, monotonic)).shadow
        assert found is not None
        return found

    assert after(0.0, 10, 10).status == "inconclusive"
    healthy = after(10.0, 40, 0)
    assert (healthy.status, healthy.counts["copies"]) == ("pass", 40 * 256)
    assert after(300.0, 40, 30).status == "fail"


def test_copies_of_before_the_first_look_count_if_it_was_there_before(tmp_path: Path, segment: Segment) -> None:
    """All copies of a version that fails at once may have come and failed by then."""
    made = revision("shadow: {for: 60s, comparisons: 50}", "shadow")
    rehearsal = Rehearsal(segment, tmp_path)
    rehearsal.look(made.config.experiments[0], replace(made, rollouts={}), NOW)
    base = made.slots[counters.mirror_key("e")]
    for place in range(256):
        segment.block(0)[base + counters.MIRROR_COPIES + place] += 3
        segment.block(0)[base + counters.MIRROR_FAILED + place] += 3
    found = rehearsal.look(made.config.experiments[0], made, (NOW[0] + 60, NOW[1] + 60)).shadow
    assert found is not None
    assert (found.status, found.counts["copies"]) == ("fail", 768)


@pytest.mark.parametrize("step", ["stage", "bake", "rolled_back"])
def test_other_steps_show_nothing(tmp_path: Path, segment: Segment, step: Step) -> None:
    """Only what a step waits for is looked at."""
    made = revision("shadow: 60s", step)
    assert Rehearsal(segment, tmp_path).look(made.config.experiments[0], made, NOW) == Shown()
