"""What the shared counters say of releases, and what guardrails make of it.

Responsible for: exchanges of the arms, what is known for and against either side, and what guardrails remember.
Does not know: what follows from it (``router.rollout``), the event log (``observe``).

Rules: reads only. What could not be read is said as a failed measurement, never as a pass.
"""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from time import monotonic
from types import MappingProxyType
from typing import NamedTuple

from msgspec.structs import replace

from router.config.schema import Experiment, Metric
from router.control.evidence import Gather, Stored
from router.control.measure import Snapshot
from router.control.pre_post import pre_post
from router.control.readiness_now import endpoints, inflight
from router.control.rehearse import Rehearsal, Shown
from router.events.model import Revision
from router.events.rollout import Found
from router.guardrail.evidence import ArmEvidence, Evidence
from router.guardrail.forms import needs_log
from router.guardrail.judge import judge, reads_log
from router.guardrail.memory import Memory
from router.guardrail.seen import Business
from router.rollout.fitness import EndpointNow, serving, sides
from router.rollout.risk import chances, worse_control
from router.segment import Segment


def _nothing(_experiment: str) -> tuple[Found, ...]:
    return ()


class Sensed(NamedTuple):
    """What is known of the arms of an experiment in its present phase.

    Attributes:
        exchanges: Arm to its exchanges.
        found: What the guardrails say.
        control: What is known against control; None when nothing is.
        ready: Whether the new arm can serve; None when that is not known.
        endpoints: Arm to its endpoints as they stand.
        risk: The chance of a failure and its impact, by name; empty when not known.
        pre_post: What failed before everybody was on the new arm, and since; empty before.
        shown: What it has shown before it has any traffic.
    """

    exchanges: dict[str, int]
    found: tuple[Found, ...] = ()
    control: Found | None = None
    ready: Found | None = None
    endpoints: Mapping[str, tuple[EndpointNow, ...]] = MappingProxyType({})
    risk: Mapping[str, float] = MappingProxyType({})
    pre_post: Mapping[str, float] = MappingProxyType({})
    shown: Shown = Shown()


class Senses:
    """Looks at the arms of releases."""

    def __init__(
        self, segment: Segment, folder: Path, anomalies: Callable[[str], tuple[Found, ...]] = _nothing
    ) -> None:
        """Read what guardrails remembered.

        Args:
            segment: The shared counters.
            folder: Where it is kept over restarts, with what was counted.
            anomalies: Gives what watched streams say of an experiment.
        """
        # Per process
        self._segment = segment
        self._anomalies = anomalies
        self._gather = Gather(segment, folder)
        self._told: dict[str, tuple[Snapshot, tuple[int, int], Business]] = {}
        self._rehearsal = Rehearsal(segment, folder)

    def look(self, experiment: Experiment, revision: Revision, now: float, snapshot: Snapshot | None = None) -> Sensed:
        """Look at the arms of a release.

        Args:
            experiment: Its experiment.
            revision: The present revision.
            now: Unix seconds.
            snapshot: What the log said last, for guardrails that name metrics of it; None before the first look.
        """
        name = experiment.name
        evidence = self._gather.read(revision, experiment, now)
        evidence = replace(evidence, arms=self._working(experiment, revision, evidence))
        metrics = {metric.name: metric for metric in revision.config.metrics}
        told = self._business(experiment, metrics, revision, snapshot)
        found, memory = judge(experiment, metrics, evidence, self._memory(name, revision), now, told)
        self._gather.remember(name, memory)
        exchanges = {arm: sum(each.exchanges) for arm, each in evidence.arms.items()}
        stood = endpoints(revision, self._segment, experiment)
        old, new = (serving(stood.get(arm.name, ()), arm.name) for arm in sides(experiment))
        unfit = old if old is not None and old.status == "fail" else worse_control(experiment, evidence)
        apart = pre_post(revision, self._segment, experiment)
        shown = self._rehearsal.look(experiment, revision, (now, monotonic()))
        found += self._anomalies(name)
        return Sensed(exchanges, found, unfit, new, stood, chances(experiment, evidence), apart, shown)

    def _memory(self, name: str, revision: Revision) -> Memory:
        """Return what guardrails remember of a release; of one that was begun again nothing, for it may be mended."""
        known, progress = self._gather.memory(name), revision.rollouts.get(name)
        if progress is None or progress.began == known.began:
            return known
        return Memory(run=revision.runs[name].number, began=progress.began)

    def _working(self, experiment: Experiment, revision: Revision, evidence: Evidence) -> dict[str, ArmEvidence]:
        """Return what is known of the arms, with how many exchanges their targets are working on."""
        targets = {arm.name: arm.target for arm in experiment.arms if arm.target is not None}
        return {
            name: replace(arm, inflight=inflight(revision, self._segment, targets[name])) if name in targets else arm
            for name, arm in evidence.arms.items()
        }

    def _business(
        self,
        experiment: Experiment,
        metrics: Mapping[str, Metric],
        revision: Revision,
        snapshot: Snapshot | None,
    ) -> Business | None:
        """Return what the log says of metrics; None where no guardrail asks, or it was not read yet."""
        asked = needs_log(experiment, metrics) or reads_log(experiment, metrics)
        if snapshot is None or snapshot.folded is None or not asked:
            return None
        from router.report.known import business  # noqa: PLC0415 - it brings libraries of an extra

        name, run = experiment.name, revision.runs[experiment.name]
        place = run.number, run.phase
        last = self._told.get(name)
        if last is None or last[0] is not snapshot or last[1] != place:
            said = business(experiment, snapshot.folded.experiments.get(name), place)
            last = self._told[name] = (snapshot, place, said)
        return last[2]

    def forget(self, known: Collection[str]) -> None:
        """Let go of releases that are no more."""
        self._gather.forget(known)
        for name in self._told.keys() - set(known):
            del self._told[name]
        self._rehearsal.forget(known)

    def due(self, now: tuple[float, float]) -> Stored | None:
        """Return what is to be written down now; None when it is not time yet."""
        return self._gather.due(now[1])

    def write(self, stored: Stored) -> None:
        """Write down what was counted, and what guardrails remember; for a thread."""
        self._gather.write(stored)
