"""The watched streams: what each has seen, and one round of looking.

Responsible for: a detector for each subject of the present revision, points when they are due, what changed, and the
file that everything learned survives a restart in.
Does not know: threads, the loop (``streams``), what follows from an anomaly (``anomaly``).

Rules: used by one thread at a time. Streams that an edit of the file leaves as they were go on; others begin anew. What
could not be measured is a missing point, never an anomaly. A point that waits for enough exchanges or values waits at
most ``PATIENCE`` intervals.
"""

from collections.abc import Iterable, Mapping
from logging import getLogger
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from router.config.schema import Metric, Watch
from router.control import reckon
from router.control.checkpoint import Checkpoint
from router.control.detecting import Detecting, Measure, interval_s, missing, plan_of
from router.control.sampled import Place, Sampled
from router.control.scrape import Scraped, Series
from router.control.subjects import Subject, subjects
from router.detect.drift import DriftPlan
from router.detect.stream import Point, Said
from router.events.model import Revision
from router.segment import Segment

log = getLogger(__name__)

PATIENCE: Final = 60
ENOUGH_VALUES: Final = 10  # for a mean of sampled values to be a point
SAVE_S: Final = 60.0
FILE: Final = "watch.json"

Gauges = Mapping[tuple[str, str], tuple[Mapping[str, Series], str | None]]
"""Target and path to each gauge's series, and why an endpoint did not answer."""
Scores = Mapping[str, Point]
"""Key of a subject to a point from labels."""


class Changed(NamedTuple):
    """That an episode began or ended."""

    subject: Subject
    said: Said
    begun: float


class Stream:
    """One subject at work."""

    def __init__(self, subject: Subject, metrics: Mapping[str, Metric], now: float) -> None:
        # Per stream
        watch = subject.watch
        self.subject = subject
        self.detecting = Detecting(plan_of(watch, metrics.get(watch.metric or "")))
        self.detecting.problem = missing(watch)
        self.interval = interval_s(watch)
        self.due = now + self.interval
        self.scraped = Scraped()
        self.totals: reckon.Totals | None = None
        self.weight = 0.0
        self.marked = now
        self.waited = 0
        self.at: float | None = None  # of the last point, in unix seconds
        self.unmeasured: str | None = None

    @property
    def problem(self) -> str | None:
        """Return why nothing can be measured or said; None when it can."""
        return self.unmeasured or self.detecting.problem

    @property
    def places(self) -> tuple[Place, ...]:
        """Return where its values come from."""
        subject, watch = self.subject, self.subject.watch
        if watch.json is None or not subject.experiment:
            return ()
        return (Place(subject.experiment, subject.run, subject.arm, f"{watch.of}:{watch.json}"),)


class Watching:
    """All streams.

    Attributes:
        streams: Subject's key to its stream.
        follows: The revision that it has streams for.
        problem: Why the log cannot be followed; None when it can.
    """

    def __init__(self, segment: Segment, folder: Path) -> None:
        """Remember nothing yet.

        Args:
            segment: The counters.
            folder: Where the file is.
        """
        # Per process
        self.streams: dict[str, Stream] = {}
        self.problem: str | None = None
        self._segment = segment
        self._folder = folder
        self.follows: Revision | None = None
        self._sampled: Sampled | None = None
        self._kept: dict[str, Any] | None = None
        self._file = Checkpoint(folder / FILE, dict[str, Any], SAVE_S)
        # Per round
        self._read: dict[tuple[str, str], reckon.Totals] = {}

    def follow(self, revision: Revision, now: float) -> None:
        """Have a stream for each subject of a revision.

        Args:
            revision: The present one.
            now: Seconds of the monotonic clock.
        """
        self.follows = revision
        if self._kept is None:
            self._kept = self._file.read() or {} if revision.config.watch else {}
        metrics = {metric.name: metric for metric in revision.config.metrics}
        before, self.streams = self.streams, {}
        for subject in subjects(revision):
            known = before.get(subject.key)
            if known is not None and (known.subject.watch, known.subject.run) == (subject.watch, subject.run):
                known.subject = subject
                self.streams[subject.key] = known
            else:
                self.streams[subject.key] = self._begun(subject, metrics, now)

    def due(self, now: float) -> tuple[Stream, ...]:
        """Return the streams whose point is due.

        Args:
            now: Seconds of the monotonic clock.
        """
        return tuple(stream for stream in self.streams.values() if now >= stream.due)

    def round(
        self, due: Iterable[Stream], gauges: Gauges, scores: Scores, now: tuple[float, float]
    ) -> tuple[Changed, ...]:
        """Give the streams that are due their points, and return what changed.

        Args:
            due: As ``due`` gave them.
            gauges: What targets said of themselves.
            scores: Points from labels.
            now: Unix seconds, and seconds of the monotonic clock.
        """
        revision = self.follows
        if revision is None:
            return ()
        self._sample(revision)
        self._read.clear()
        found = []
        for stream in due:
            stream.due = max(stream.due + stream.interval, now[1])
            measure = self._measure(stream, revision, gauges, scores, now[1])
            if measure is None:
                stream.waited += 1
                continue
            stream.waited = 0
            stream.at = now[0]
            begun = stream.detecting.begun
            said = stream.detecting.take(measure, int(now[0] // stream.interval), now[0])
            if said.change is not None:
                found.append(Changed(stream.subject, said, stream.detecting.begun or begun or now[0]))
        return tuple(found)

    def save(self, now: float) -> None:
        """Write down what was learned, once in a while.

        Args:
            now: Seconds of the monotonic clock.
        """
        if not self.streams or not self._file.due(now):
            return
        kept = {
            key: {
                "watch": msgspec.to_builtins(stream.subject.watch),
                "run": stream.subject.run,
                "detecting": stream.detecting.written(),
            }
            for key, stream in self.streams.items()
        }
        self._file.write(kept)

    # --- Points -------------------------------------------------------------------------------------------------

    def _measure(
        self, stream: Stream, revision: Revision, gauges: Gauges, scores: Scores, now: float
    ) -> Measure | None:
        """Return a point of a stream, or values, or a row; None while there is not enough for one."""
        subject, watch = stream.subject, stream.subject.watch
        if watch.json is not None:
            return self._values(stream)
        if watch.score is not None:
            return scores.get(subject.key)
        if watch.scrape is not None and watch.target is not None and watch.gauge is not None:
            said, problem = gauges.get((watch.target, watch.scrape), ({}, "was not asked"))
            stream.unmeasured = problem
            return Point(stream.scraped.number(watch.gauge, said.get(watch.gauge, {}), now))
        return self._counted(stream, revision, now)

    def _counted(self, stream: Stream, revision: Revision, now: float) -> Measure | None:
        subject, watch = stream.subject, stream.subject.watch
        weights = revision.weights[subject.experiment]
        weight = weights.get(subject.arm, 0.0) / (sum(weights.values()) or 1.0)
        read = self._totals(subject, revision)
        before = stream.totals
        # The rate of an arm whose share changed in between is that of neither.
        steady = weight if weight == stream.weight else 0.0
        seen = None if before is None else reckon.since(before, read, steady, now - stream.marked)
        metrics = {metric.name: metric for metric in revision.config.metrics}
        made: Measure | None
        if seen is None:
            made = Point(None)
        elif watch.metric is None:
            made = reckon.row(watch.metrics or reckon.TOGETHER, metrics, seen)
        else:
            made = reckon.measured(watch.metric, metrics.get(watch.metric), seen)
        if made is not None or stream.waited >= PATIENCE or weight != stream.weight:
            stream.totals, stream.weight, stream.marked = read, weight, now
        return made

    def _totals(self, subject: Subject, revision: Revision) -> reckon.Totals:
        """Read the counters of an arm, once in a round."""
        place = (subject.experiment, subject.arm)
        if place not in self._read:
            self._read[place] = reckon.totals(self._segment, revision, subject)
        return self._read[place]

    def _values(self, stream: Stream) -> Measure | None:
        sampled, places = self._sampled, stream.places
        if sampled is None or not places:
            return None
        if isinstance(stream.detecting.plan, DriftPlan):
            return sampled.take(places[0])
        if sampled.waiting(places[0]) < ENOUGH_VALUES and stream.waited < PATIENCE:
            return None
        numbers = [value for _, value in sampled.take(places[0]) if isinstance(value, float)]
        return Point(sum(numbers) / len(numbers) if len(numbers) >= ENOUGH_VALUES else None)

    def _sample(self, revision: Revision) -> None:
        wanted = frozenset(place for stream in self.streams.values() for place in stream.places)
        if not wanted:
            self._sampled = None
            return
        try:
            if self._sampled is None:
                self._sampled = Sampled(Path(revision.config.events.dir), self._folder / "watch-tail.json")
            self._sampled.look(wanted)
            self.problem = None
        except OSError as error:
            self.problem = f"sampled bodies cannot be read from the event log: {error}"

    def _begun(self, subject: Subject, metrics: Mapping[str, Metric], now: float) -> Stream:
        """Begin a stream, with what was learned before a restart."""
        stream = Stream(subject, metrics, now)
        kept = (self._kept or {}).pop(subject.key, None)
        try:
            same = kept is not None and msgspec.convert(kept["watch"], Watch) == subject.watch
            if kept is not None and same and kept["run"] == subject.run:
                stream.detecting.read(kept["detecting"])
        except (msgspec.ValidationError, KeyError, TypeError, AttributeError) as error:
            log.warning("watch: what was learned of %s cannot be used: %s", subject.whose, error)
        return stream
