"""What a release shows before it has any traffic: its offline check, and copies of requests.

Responsible for: which of the two is looked at in which step, and counting copies from the moment a shadow began.
Does not know: verdicts (``router.guardrail``), how a check is made (``errand``), how requests are copied.

Rules: reads only. What a shadow has shown is counted from the last look before it; after a restart of the control
process from the first look, which costs time and nothing else.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from router import counters
from router.config.schema import Experiment
from router.control.errand import Errands, Key, Start
from router.events.model import Revision
from router.events.rollout import Found
from router.guardrail.shadowing import Copies, Seen, judge_shadow
from router.guardrail.track import Counts
from router.histogram import BUCKETS
from router.segment import Segment

EVERY_S: Final = 2.0
"""Between two looks at the counts of copies."""


class Shown(NamedTuple):
    """What a release has shown; of the step that it is in alone."""

    offline: Found | None = None
    shadow: Found | None = None


class _Shadow(NamedTuple):
    """A shadow that is looked at: the row as it was at first, what is remembered, the last verdict and its moment."""

    base: Counts
    seen: Seen
    found: Found
    looked: float


class Rehearsal:
    """Looks at releases that have no traffic yet."""

    def __init__(self, segment: Segment, folder: Path, start: Start | None = None) -> None:
        """Begin with nothing seen.

        Args:
            segment: The shared counters.
            folder: Where results of offline checks are kept.
            start: Starts a process that makes one.
        """
        # Per process
        self._segment = segment
        self._errands = Errands(folder, start)
        self._shadows: dict[Key, _Shadow] = {}
        self._keys: set[Key] = set()
        self._before: dict[str, Counts] = {}  # rows of copies as they were last, before a shadow

    def look(self, experiment: Experiment, revision: Revision, now: tuple[float, float]) -> Shown:
        """Look at a release.

        Args:
            experiment: Its experiment.
            revision: The present revision.
            now: Unix seconds, and seconds of the monotonic clock.
        """
        name, progress = experiment.name, revision.rollouts.get(experiment.name)
        rehearsed = (
            progress is not None
            and progress.run == revision.runs[name].number
            and progress.step in ("offline", "shadow")
            and name not in revision.killed
        )
        key = Key(name, progress.run, progress.since) if progress is not None and rehearsed else None
        self._leave([each for each in self._keys if each.experiment == name and each != key])
        if key is None or progress is None or progress.step == "offline":
            self._note(experiment, revision)
        if key is None or progress is None:
            return Shown()
        self._keys.add(key)
        if progress.step == "offline":
            return Shown(offline=self._errands.look(experiment, revision, key, now))
        return Shown(shadow=self._shadow(experiment, revision, key, now))

    def forget(self, known: Collection[str]) -> None:
        """Let go of releases that are no more."""
        self._leave([key for key in self._keys if key.experiment not in known])
        for name in self._before.keys() - set(known):
            del self._before[name]

    def _note(self, experiment: Experiment, revision: Revision) -> None:
        """Remember what was counted before a shadow begins: its first copies come before the first look at it."""
        at = revision.slots.get(counters.mirror_key(experiment.name))
        if experiment.allocate.rehearsal is not None and at is not None:
            self._before[experiment.name] = _row(self._segment, at)

    def _leave(self, keys: Collection[Key]) -> None:
        """Let go of steps that nobody is at any more; a check that is under way ends."""
        self._keys.difference_update(keys)
        self._errands.forget(self._keys)
        for key in self._shadows.keys() - self._keys:
            del self._shadows[key]

    def _shadow(self, experiment: Experiment, revision: Revision, key: Key, now: tuple[float, float]) -> Found | None:
        asked = experiment.allocate.rehearsal
        at = revision.slots.get(counters.mirror_key(experiment.name))
        if asked is None or at is None:
            return None
        known = self._shadows.get(key)
        if known is not None and now[1] - known.looked < EVERY_S:
            return known.found
        row = _row(self._segment, at)
        base, seen = (known.base, known.seen) if known is not None else (self._before.get(key.experiment, row), Seen())
        try:
            found, seen = judge_shadow(asked, copies_of(row - base), seen, now[0])
        except ValueError as error:
            base, seen = row, Seen()
            found = Found(name="shadow", status="error", action="rollback", reason=f"{error}; it is counted anew")
        self._shadows[key] = _Shadow(base, seen, found, now[1])
        return found


def copies_of(row: Counts) -> Copies:
    """Return the parts of a row of copies (``counters.MIRROR_WORDS``)."""
    places = (
        counters.MIRROR_COPIES, counters.MIRROR_FAILED, counters.MIRROR_PRIMARY_FAILED, counters.MIRROR_COMPARED,
        counters.MIRROR_AGREED,
    )  # fmt: skip
    by_bucket = [row[place : place + counters.UNIT_BUCKETS] for place in places]
    size = counters.LATENCY_CLUSTERS * BUCKETS
    times = [
        row[place : place + size].reshape(counters.LATENCY_CLUSTERS, BUCKETS)
        for place in (counters.MIRROR_SECONDS, counters.MIRROR_PRIMARY_SECONDS)
    ]
    copies, failed, primary_failed, compared, agreed = by_bucket
    # Words are read one after another, and a part of a sum may be newer than the sum.
    return Copies(
        copies,
        np.minimum(failed, copies),
        np.minimum(primary_failed, copies),
        compared,
        np.minimum(agreed, compared),
        *times,
    )


def _row(segment: Segment, at: int) -> Counts:
    """Return a row over all workers. Two words may be of different moments: what ended later is in the next look."""
    row: Counts = np.zeros(counters.MIRROR_WORDS, dtype=np.int64)
    for block in segment.blocks:
        row += np.array(block[at : at + counters.MIRROR_WORDS], dtype=np.int64)
    return row
