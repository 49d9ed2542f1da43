"""What is sensed of a release: its counters, what its targets work on, and what the log says of metrics."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from router import counters
from router.analysis.result import Folded
from router.config.schema import Guardrail, Measured, Metric
from router.control.measure import Snapshot
from router.control.sense import Senses
from router.events.model import Revision
from router.segment import Segment
from tests.control.test_evidence import EXPERIMENT, count, revision
from tests.report.build import draw, evidence

CTR = Metric(name="ctr", kind="proportion", outcome="click", window=3600.0, goal="up")


@pytest.fixture
def segment() -> Iterator[Segment]:
    """The counters of two workers."""
    made = Segment.create(2)
    yield made
    made.close()


def guarded(*conditions: str) -> Revision:
    """Make a revision whose release has conditions."""
    rails = tuple(Guardrail(when=condition) for condition in conditions)
    experiment = structs.replace(EXPERIMENT, metrics=Measured(primary="ctr", guardrails=rails))
    now = revision()
    return structs.replace(now, config=structs.replace(now.config, experiments=(experiment,), metrics=(CTR,)))


def looked(segment: Segment, folder: Path, at: Revision, snapshot: Snapshot | None = None) -> dict[str, str]:
    """Look a few times, a second apart, and give the status of each guardrail."""
    senses, (experiment,) = Senses(segment, folder), at.config.experiments
    statuses: dict[str, str] = {}
    for second in range(70):
        count(segment, at, second % 2, "canary", second)
        count(segment, at, second % 2, "stable", second)
        found = senses.look(experiment, at, 1000.0 + second, snapshot).found
        statuses = {each.name: each.status for each in found[1:]}
    return statuses


def test_what_a_target_works_on_is_known(segment: Segment, tmp_path: Path) -> None:
    """Exchanges under way are the target's gauge; of control as well."""
    now = guarded("inflight > 5", "control.inflight > 5", "inflight > 5 for 30s")
    segment.block(1)[now.slots[counters.target_key("v2")] + counters.TARGET_INFLIGHT] = 6
    assert looked(segment, tmp_path, now) == {
        "when: inflight > 5": "fail",
        "when: control.inflight > 5": "pass",
        "when: inflight > 5 for 30s": "fail",
    }


def test_conditions_are_told_what_the_log_says(segment: Segment, tmp_path: Path) -> None:
    """Of the present phase, as soon as it was read; before that they are not decided."""
    now = guarded("ctr drop > 10%", "ctr drop > 10% and exchanges > 1000")
    (experiment,) = now.config.experiments
    arms = {"stable": draw(1, 20_000, 0.13), "canary": draw(2, 20_000, 0.10)}
    result = evidence(experiment, arms, metrics=(CTR,)).result
    snapshot = Snapshot(1000.0, 0.1, {}, (), Folded(1000.0, {"new-model": result}))
    names = [f"when: {each.when}" for each in (experiment.metrics or Measured(primary="ctr")).guardrails]
    assert looked(segment, tmp_path / "before", now) == dict(zip(names, ("inconclusive", "pass"), strict=True))
    assert looked(segment, tmp_path / "after", now, snapshot) == dict(zip(names, ("fail", "pass"), strict=True))
