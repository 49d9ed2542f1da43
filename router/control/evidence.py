"""Evidence about releases from the shared counters, over restarts.

Responsible for: the rows of an experiment's arms in the present phase, summed over workers, as ``Evidence``; what was
counted before the counters began from zero; keeping that, and what guardrails remember, in one file.
Does not know: what is concluded from it (``router.guardrail``), when it is written down (``driver``).

Rules: what cannot be read is said in ``Evidence.problem``, never taken for zero. Each row has an offset: what was
counted before these counters, less what they had counted before the phase (rows of times are for all phases). It is
kept with the counters' identity, a random number, so that a restart of the control process alone changes nothing, and
one of the whole router loses what was counted since the checkpoint, seconds; nothing is ever counted twice. A
checkpoint that cannot be read is told once, as a failed measurement, and evidence begins anew.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from router import counters
from router.config.schema import Experiment
from router.control.checkpoint import Checkpoint
from router.events.model import Revision
from router.guardrail.evidence import BUCKETS, ArmEvidence, Evidence
from router.guardrail.memory import Memory
from router.histogram import BUCKETS as TIMES
from router.segment import Segment

Counts = npt.NDArray[np.int64]

NAME: Final = "evidence.checkpoint"
EVERY_S: Final = 10.0


class _Row(msgspec.Struct, frozen=True):
    """A row of counters: what is added to it, and what it was when that was written down."""

    offset: bytes
    live: bytes


class _Kept(msgspec.Struct, frozen=True):
    """What is known of one release.

    Attributes:
        identity: Of the counters.
        run: Its run.
        phase: Phase of it.
        rows: Key of a row, without run and phase, to the row.
    """

    identity: int
    run: int
    phase: int
    rows: dict[str, _Row]


class Stored(msgspec.Struct, frozen=True):
    """What is written down: counts, and what guardrails made of them, of one moment.

    Attributes:
        kept: Experiment to its counts.
        memories: Experiment to what its guardrails remember.
    """

    kept: dict[str, _Kept]
    memories: dict[str, Memory]


class Gather:
    """Reads counters, and keeps what is known of each release."""

    def __init__(self, segment: Segment, folder: Path) -> None:
        """Read the checkpoint.

        Args:
            segment: The counters.
            folder: Where the checkpoint is.
        """
        # Per process
        self._segment = segment
        self._file = Checkpoint(folder / NAME, Stored, EVERY_S, packed=True)
        stored: Stored = self._file.read() or Stored({}, {})
        self._broken = self._file.broken
        if any(not _fits(row, key) for each in stored.kept.values() for key, row in each.rows.items()):
            self._broken, stored = f"{NAME} is of another version, so what it kept begins anew", Stored({}, {})
        self._kept, self._memories = stored.kept, stored.memories
        self._told: set[str] = set()
        self._changed = False

    @property
    def problem(self) -> str | None:
        """Why the checkpoint cannot be written; None when it can."""
        return self._file.problem

    def read(self, revision: Revision, experiment: Experiment, now: float) -> Evidence:
        """Return what is known of an experiment's arms in the present phase.

        Args:
            revision: The present revision.
            experiment: One of its experiments.
            now: Unix seconds.
        """
        run = revision.runs[experiment.name]
        found: dict[str, Counts] = {}
        problem = self._broken_for(experiment.name)
        for arm in experiment.arms:
            for kind, key, size in _rows(experiment.name, run.number, run.phase, arm.name):
                slot = revision.slots.get(key)
                if slot is not None:
                    found[f"{kind}\0{arm.name}"] = self._sum(slot, size)
                elif kind == "arm":
                    problem = f"arm {arm.name!r} has no counters in run {run.number}, phase {run.phase}"
        kept = self._entered(experiment.name, (run.number, run.phase), found)
        arms = {arm.name: _arm(found, kept, arm.name) for arm in experiment.arms if f"arm\0{arm.name}" in found}
        if any(min(*each.exchanges, *each.failures) < 0 for each in arms.values()):
            problem = "counts are below zero"
        return Evidence(time=now, run=run.number, phase=run.phase, arms=arms, problem=problem)

    def memory(self, name: str) -> Memory:
        """Return what the guardrails of a release remember."""
        return self._memories.get(name, Memory())

    def remember(self, name: str, memory: Memory) -> None:
        """Keep what the guardrails of a release remember."""
        self._memories[name] = memory

    def forget(self, known: Collection[str]) -> None:
        """Let go of releases that are no more."""
        for kept in (self._kept, self._memories):
            for name in kept.keys() - set(known):
                del kept[name]
        self._told &= set(known)

    def due(self, monotonic: float) -> Stored | None:
        """Return what is to be written down now; None when it is not time yet.

        Args:
            monotonic: Seconds of the monotonic clock.
        """
        if not self._kept or not self._file.due(monotonic, changed=self._changed):
            return None
        self._changed = False
        return Stored(dict(self._kept), dict(self._memories))

    def write(self, stored: Stored) -> None:
        """Write a checkpoint down; for a thread."""
        self._file.write(stored)

    def _broken_for(self, name: str) -> str | None:
        """Return why the checkpoint could not be read, once for each release."""
        if self._broken is None or name in self._told:
            return None
        self._told.add(name)
        return self._broken

    def _entered(self, name: str, place: tuple[int, int], found: dict[str, Counts]) -> _Kept:
        """Return the offsets of a release's rows, and keep what the rows are now."""
        identity = int(self._segment.words[counters.IDENTITY])
        before = self._kept.get(name)
        same = before is not None and (before.run, before.phase) == place
        rows: dict[str, _Row] = {}
        for key, live in found.items():
            known = before.rows.get(key) if before is not None and same else None
            if known is not None and before is not None:
                offset = known.offset
                if before.identity != identity:
                    offset = (np.frombuffer(offset, np.int64) + np.frombuffer(known.live, np.int64)).tobytes()
            else:
                # Rows of times go on from phase to phase.
                offset = (-live if key.startswith("times") else np.zeros_like(live)).tobytes()
            rows[key] = _Row(offset, live.tobytes())
        self._changed = self._changed or not same
        kept = self._kept[name] = _Kept(identity, place[0], place[1], rows)
        return kept

    def _sum(self, base: int, size: int) -> Counts:
        """Sum a row over all workers."""
        total = np.zeros(size, dtype=np.int64)
        for block in self._segment.blocks:
            total += np.frombuffer(block[base : base + size], dtype=np.int64)
        return total


def _rows(experiment: str, run: int, phase: int, arm: str) -> list[tuple[str, str, int]]:
    return [
        ("arm", counters.arm_key(experiment, run, phase, arm), counters.ARM_WORDS),
        ("times", counters.times_key(experiment, arm), counters.TIMES_WORDS),
    ]


def _arm(found: dict[str, Counts], kept: _Kept, arm: str) -> ArmEvidence:
    def total(key: str) -> Counts:
        return np.asarray(found[key] + np.frombuffer(kept.rows[key].offset, np.int64))

    counted = total(f"arm\0{arm}")
    failures = counted[counters.ARM_FAILURES : counters.ARM_FAILURES + BUCKETS]
    # Workers count on while words are read: a failure may be there before its exchange is.
    exchanges = np.maximum(counted[:BUCKETS], failures)
    times = f"times\0{arm}"
    if times not in found:
        return ArmEvidence(exchanges=tuple(exchanges.tolist()), failures=tuple(failures.tolist()))
    both = np.maximum(total(times), 0).reshape(2, counters.TIME_CLUSTERS, TIMES)
    return ArmEvidence(
        exchanges=tuple(exchanges.tolist()), failures=tuple(failures.tolist()), latency=both[0], first_byte=both[1]
    )


def _fits(row: _Row, key: str) -> bool:
    size = 8 * (counters.TIMES_WORDS if key.startswith("times") else counters.ARM_WORDS)
    return len(row.offset) == len(row.live) == size
