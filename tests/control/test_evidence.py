"""Evidence is what the counters of all workers say of the present phase."""

from collections.abc import Iterator

import pytest
from msgspec import structs

from router import counters
from router.config.schema import Arm, Config, Endpoint, Experiment, Route, Target
from router.control.evidence import Gather
from router.events.model import Revision, Run
from router.segment import Segment

EXPERIMENT = Experiment(
    name="new-model",
    route="predict",
    arms=(Arm(name="stable", target="v1", weight=1), Arm(name="canary", target="v2", weight=1)),
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


def test_counts_are_summed_over_workers(segment: Segment) -> None:
    """What any worker counted of an arm is in its evidence, by bucket."""
    now = revision()
    count(segment, now, 0, "canary", 3, failed=True)
    count(segment, now, 1, "canary", 3)
    count(segment, now, 1, "stable", 255)
    evidence = Gather(segment).read(now, EXPERIMENT, 5.0)
    assert (evidence.time, evidence.run, evidence.phase, evidence.problem) == (5.0, 1, 1, None)
    assert (evidence.arms["canary"].exchanges[3], evidence.arms["canary"].failures[3]) == (2, 1)
    assert sum(evidence.arms["canary"].exchanges) == 2
    assert evidence.arms["stable"].exchanges[255] == 1


def test_an_arm_without_counters_is_a_problem(segment: Segment) -> None:
    """A row that is not there is said, not taken for a row of zeros."""
    now = structs.replace(revision(), runs={"new-model": Run(number=1, phase=2, epoch=0)})
    evidence = Gather(segment).read(now, EXPERIMENT, 5.0)
    assert evidence.problem == "arm 'canary' has no counters in run 1, phase 2"
