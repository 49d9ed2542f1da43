"""Evidence is what the counters of all workers say of the present phase."""

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from router import counters
from router.config.schema import Allocate, Arm, Config, Endpoint, Experiment, Route, Target
from router.control.evidence import Gather
from router.events.model import Revision, Run
from router.guardrail.memory import Memory
from router.segment import Segment

EXPERIMENT = Experiment(
    name="new-model",
    route="predict",
    arms=(Arm(name="stable", target="v1", weight=1), Arm(name="canary", target="v2", weight=1)),
    allocate=Allocate(use="rollout"),
)
CONFIG = Config(
    targets=tuple(Target(name=name, endpoints=(Endpoint(url=f"http://{name}"),)) for name in ("v1", "v2")),
    routes=(Route(name="predict", target="v1"),),
    experiments=(EXPERIMENT,),
)


def revision(run: int = 1, phase: int = 1) -> Revision:
    """Make a revision of one release in a phase."""
    runs = {"new-model": Run(number=run, phase=phase, epoch=0)}
    return Revision(
        number=1, time=0.0, cause="start", author="file", digest="", config=CONFIG,
        weights={"new-model": {"stable": 1.0, "canary": 1.0}}, runs=runs,
        slots=counters.allocate({}, counters.row_keys(CONFIG, runs)),
    )  # fmt: skip


@pytest.fixture
def segment() -> Iterator[Segment]:
    """The counters of two workers."""
    made = Segment.create(2)
    yield made
    made.close()


def count(segment: Segment, at: Revision, worker: int, arm: str, bucket: int, *, failed: bool = False) -> None:
    """Count an exchange as a worker does."""
    run = at.runs["new-model"]
    cell = at.slots[counters.arm_key("new-model", run.number, run.phase, arm)] + bucket
    block = segment.block(worker)
    block[cell] += 1
    if failed:
        block[cell + counters.ARM_FAILURES] += 1


def test_counts_are_summed_over_workers(segment: Segment, tmp_path: Path) -> None:
    """What any worker counted of an arm is in its evidence, by bucket."""
    now = revision()
    count(segment, now, 0, "canary", 3, failed=True)
    count(segment, now, 1, "canary", 3)
    count(segment, now, 1, "stable", 255)
    evidence = Gather(segment, tmp_path).read(now, EXPERIMENT, 5.0)
    assert (evidence.time, evidence.run, evidence.phase, evidence.problem) == (5.0, 1, 1, None)
    assert (evidence.arms["canary"].exchanges[3], evidence.arms["canary"].failures[3]) == (2, 1)
    assert sum(evidence.arms["canary"].exchanges) == 2
    assert evidence.arms["stable"].exchanges[255] == 1


def test_an_arm_without_counters_is_a_problem(segment: Segment, tmp_path: Path) -> None:
    """A row that is not there is said, not taken for a row of zeros."""
    now = structs.replace(revision(), runs={"new-model": Run(number=1, phase=2, epoch=0)})
    evidence = Gather(segment, tmp_path).read(now, EXPERIMENT, 5.0)
    assert evidence.problem == "arm 'canary' has no counters in run 1, phase 2"


def took(segment: Segment, at: Revision, arm: str, cluster: int, bucket: int) -> None:
    """Count how long an exchange took as a worker does."""
    row = at.slots[counters.times_key("new-model", arm)]
    segment.block(0)[row + counters.TIMES_DURATION + cluster * 240 + bucket] += 1


def keep(gather: Gather) -> None:
    """Write a checkpoint."""
    checkpoint = gather.due(100.0)
    assert checkpoint is not None
    gather.write(checkpoint)


def test_times_are_those_of_the_phase(segment: Segment, tmp_path: Path) -> None:
    """Rows of times go on over phases, and what was counted before the phase is taken off."""
    first, second = revision(), structs.replace(revision(), runs={"new-model": Run(number=1, phase=2, epoch=0)})
    second = structs.replace(second, slots=counters.allocate(first.slots, counters.row_keys(CONFIG, second.runs)))
    gather = Gather(segment, tmp_path)
    gather.read(first, EXPERIMENT, 0.0)
    took(segment, first, "canary", 5, 100)
    assert np.asarray(gather.read(first, EXPERIMENT, 1.0).arms["canary"].latency)[5, 100] == 1
    assert np.asarray(gather.read(second, EXPERIMENT, 2.0).arms["canary"].latency).sum() == 0
    took(segment, second, "canary", 6, 101)
    latency = np.asarray(gather.read(second, EXPERIMENT, 3.0).arms["canary"].latency)
    assert (latency.sum(), latency[6, 101]) == (1, 1)


def test_a_restart_of_the_control_process_changes_no_count(segment: Segment, tmp_path: Path) -> None:
    """The counters outlive it; what was counted meanwhile is there as well, and nothing twice."""
    now = revision()
    gather = Gather(segment, tmp_path)
    count(segment, now, 0, "canary", 3, failed=True)
    took(segment, now, "canary", 3, 100)
    gather.read(now, EXPERIMENT, 0.0)
    took(segment, now, "canary", 3, 100)
    gather.read(now, EXPERIMENT, 0.0)
    keep(gather)
    again = Gather(segment, tmp_path)
    count(segment, now, 1, "canary", 3)
    arm = again.read(now, EXPERIMENT, 1.0).arms["canary"]
    assert (arm.exchanges[3], arm.failures[3], np.asarray(arm.latency).sum()) == (2, 1, 1)


def test_a_restart_of_the_router_goes_on_from_the_checkpoint(segment: Segment, tmp_path: Path) -> None:
    """Counters that begin from zero are added to what was written down, also when they already have as many."""
    now = revision()
    gather = Gather(segment, tmp_path)
    gather.read(now, EXPERIMENT, 0.0)
    for _ in range(5):
        count(segment, now, 0, "canary", 3, failed=True)
        took(segment, now, "canary", 3, 100)
    gather.read(now, EXPERIMENT, 0.0)
    keep(gather)
    fresh = Segment.create(2)
    try:
        for _ in range(7):
            count(fresh, now, 0, "canary", 3)
            took(fresh, now, "canary", 4, 100)
        gather = Gather(fresh, tmp_path)
        for _ in range(2):  # reading twice adds nothing
            arm = gather.read(now, EXPERIMENT, 1.0).arms["canary"]
            assert (arm.exchanges[3], arm.failures[3], np.asarray(arm.latency).sum()) == (12, 5, 12)
        another = structs.replace(now, runs={"new-model": Run(number=2, phase=1, epoch=0)})
        another = structs.replace(another, slots=counters.allocate(now.slots, counters.row_keys(CONFIG, another.runs)))
        arm = gather.read(another, EXPERIMENT, 2.0).arms["canary"]
        assert (sum(arm.exchanges), np.asarray(arm.latency).sum()) == (0, 0)
    finally:
        fresh.close()


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"not compressed", id="garbage"),
        pytest.param(zlib.compress(b"\x81\xa1x\x01"), id="another-shape"),
    ],
)
def test_a_broken_checkpoint_is_told_once_and_evidence_begins_anew(
    segment: Segment, tmp_path: Path, stored: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that cannot be read is a failed measurement at the first look, and forgotten after it."""
    (tmp_path / "evidence.checkpoint").write_bytes(stored)
    now = revision()
    gather = Gather(segment, tmp_path)
    count(segment, now, 0, "canary", 3)
    problem = gather.read(now, EXPERIMENT, 0.0).problem
    assert problem is not None
    assert "begins anew" in problem
    assert "evidence.checkpoint" in caplog.text
    evidence = gather.read(now, EXPERIMENT, 1.0)
    assert (evidence.problem, evidence.arms["canary"].exchanges[3]) == (None, 1)


def test_a_checkpoint_that_cannot_be_written_is_said(segment: Segment, tmp_path: Path) -> None:
    """A full or missing disk costs evidence at the next restart, and nothing else."""
    gather = Gather(segment, tmp_path / "missing")
    gather.read(revision(), EXPERIMENT, 0.0)
    checkpoint = gather.due(0.0)
    assert checkpoint is not None
    gather.write(checkpoint)
    assert gather.problem is not None
    assert gather.due(1.0) is None
    gather.forget(set())
    assert gather.due(20.0) is None


def test_memories_are_kept_with_the_counts(segment: Segment, tmp_path: Path) -> None:
    """What guardrails remember survives with what it was made of."""
    gather = Gather(segment, tmp_path)
    gather.read(revision(), EXPERIMENT, 0.0)
    gather.remember("new-model", Memory(run=1, began=50.0))
    keep(gather)
    again = Gather(segment, tmp_path)
    assert again.memory("new-model") == Memory(run=1, began=50.0)
    assert again.memory("another") == Memory()
