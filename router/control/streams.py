"""Watching: when streams are looked at, and what follows.

Responsible for: one thread of low priority for the detectors, asking targets, telling people, and what guardrails are
told of critical anomalies.
Does not know: how anything is measured (``watching``) or detected (``router.detect``).

Rules: nothing that serves a request waits for a look. Looks take at most ``SHARE`` of a core over time. An anomaly is
told when its episode begins, and never again before it ended. Whatever goes wrong, what was known stays; it is said
once, counted, and tried again.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from logging import getLogger
from pathlib import Path
from typing import Any, Final, TypeVar

from router.control import anomaly
from router.control.beside import in_thread
from router.control.decisions import Decisions
from router.control.measure import Stop
from router.control.notices import Notices
from router.control.scored import Wanted, points
from router.control.scrape import Scraper
from router.control.watching import Changed, Gauges, Scores, Stream, Watching
from router.events.model import Revision
from router.events.rollout import Found
from router.segment import Segment

log = getLogger(__name__)

Made = TypeVar("Made")

SHARE: Final = 0.1
LOOK_S: Final = 1.0
WAIT_S: Final = 600.0  # for labels, where an entry does not say it


class Streams:
    """Looks at what is watched, and keeps what is known.

    Attributes:
        failures: Looks that came to nothing.
        problem: Why the last one did; None when it did not.
        spent_s: Seconds of a core that looks have taken.
    """

    def __init__(self, segment: Segment, folder: Path, decisions: Decisions, notices: Notices) -> None:
        """Know nothing yet.

        Args:
            segment: The counters.
            folder: Where what was learned is written down.
            decisions: The decision log.
            notices: Who is told.
        """
        # Per process
        self.failures = 0
        self.problem: str | None = None
        self.spent_s = 0.0
        self._watching = Watching(segment, folder)
        self._decisions = decisions
        self._notices = notices
        self._found: dict[str, tuple[Found, ...]] = {}
        self._standing: tuple[Mapping[str, Any], ...] = ()

    async def run(self, revision: Callable[[], Revision]) -> None:
        """Look until cancelled.

        Args:
            revision: Gives the present revision.
        """
        async with Scraper() as scraper:
            while True:
                spent = await self.look(revision(), scraper, (time.time(), time.monotonic()))
                shortest = min((stream.interval for stream in self._watching.streams.values()), default=LOOK_S)
                await asyncio.sleep(max(min(LOOK_S, shortest), spent * (1 / SHARE - 1)))

    def found(self, experiment: str) -> tuple[Found, ...]:
        """Return the critical anomalies of a release's new arm that last, for guardrails."""
        return self._found.get(experiment, ())

    def standing(self) -> tuple[Mapping[str, Any], ...]:
        """Return what is known of each stream, as plain data."""
        return self._standing

    async def look(self, revision: Revision, scraper: Scraper, now: tuple[float, float]) -> float:
        """Look once; return what that took, in seconds of one core: waiting for targets takes none.

        Args:
            revision: The present revision.
            scraper: Asks targets.
            now: Unix seconds, and seconds of the monotonic clock.
        """
        before = self.spent_s
        try:
            changed = await self._look(revision, scraper, now)
        except Exception as error:  # noqa: BLE001 - whatever a log, a disk or a library does, the router goes on
            self.failures += 1
            if (problem := f"the streams cannot be looked at: {error!r}") != self.problem:
                log.warning("watch: %s", problem)
            self.problem = problem
            changed = ()
        else:
            self.problem = self._watching.problem
        for each in changed:
            self._tell(each, revision)
        self._found = self._guarding()
        self._standing = tuple(map(_standing, self._watching.streams.values()))
        return self.spent_s - before

    async def _look(self, revision: Revision, scraper: Scraper, now: tuple[float, float]) -> tuple[Changed, ...]:
        watching = self._watching
        if not revision.config.watch and not watching.streams:
            return ()
        if watching.follows is not revision:
            await self._work(lambda _: watching.follow(revision, now[1]))
        due = watching.due(now[1])
        if not due:
            return ()
        gauges = await _ask(due, revision, scraper)

        def work(stop: Stop) -> tuple[Changed, ...]:
            scores = _scores(due, Path(revision.config.events.dir), now[0], stop)
            changed = watching.round(due, gauges, scores, now)
            watching.save(now[1])
            return changed

        return await self._work(work)

    async def _work(self, work: Callable[[Stop], Made]) -> Made:
        begun = time.monotonic()
        try:
            return await in_thread("watch", work)
        finally:
            self.spent_s += time.monotonic() - begun

    def _tell(self, changed: Changed, revision: Revision) -> None:
        subject, said, begun = changed
        if said.change != "begun":
            log.info("watch: %s: %s is %s", subject.whose, subject.watch.label, said.change)
            return
        log.warning("watch: %s", anomaly.sentence(subject, said, begun))
        if subject.watch.severity == "info":
            return
        if subject.experiment in revision.runs:
            self._decisions.record(anomaly.decided(subject, said, begun, revision), revision.number)
        told = anomaly.found(subject, said, begun, also_control=False)
        self._notices.tell(anomaly.say(subject, said, begun), subject.experiment, revision, (told,))

    def _guarding(self) -> dict[str, tuple[Found, ...]]:
        """Return what guardrails are told: of each experiment the critical anomalies of the new arm."""
        streams = self._watching.streams.values()
        lasting = {
            (each.subject.watch.label, each.subject.experiment, each.subject.arm)
            for each in streams
            if each.detecting.begun is not None
        }
        found: dict[str, list[Found]] = {}
        for stream in streams:
            subject, worst, begun = stream.subject, stream.detecting.worst, stream.detecting.begun
            if subject.blames and worst is not None and begun is not None:
                both = (subject.watch.label, subject.experiment, subject.against) in lasting
                told = anomaly.found(subject, worst, begun, also_control=both)
                found.setdefault(subject.experiment, []).append(told)
        return {experiment: tuple(each) for experiment, each in found.items()}


async def _ask(due: tuple[Stream, ...], revision: Revision, scraper: Scraper) -> Gauges:
    """Ask each target once for all of its gauges that are due."""
    wanted: dict[tuple[str, str], set[str]] = {}
    for stream in due:
        watch = stream.subject.watch
        if watch.target is not None and watch.scrape is not None and watch.gauge is not None:
            wanted.setdefault((watch.target, watch.scrape), set()).add(watch.gauge)
    targets = {target.name: target for target in revision.config.targets}
    asked = [(each, scraper.ask(targets[each[0]], each[1], frozenset(names))) for each, names in wanted.items()]
    answers = await asyncio.gather(*(answer for _, answer in asked))
    return {each: answer for (each, _), answer in zip(asked, answers, strict=True)}


def _scores(due: tuple[Stream, ...], folder: Path, now: float, stop: Stop) -> Scores:
    """Ask the archive for what became of predictions; what cannot be asked is said of the streams."""
    scored = [stream for stream in due if stream.subject.watch.score is not None and stream.subject.experiment]
    wanted = {stream: _wanted(stream, now) for stream in scored}
    if not wanted:
        return {}
    try:
        answers = points(folder, dict.fromkeys(wanted.values()), now, stop)
    except Exception as error:  # noqa: BLE001 - the other streams are looked at all the same
        stop.check()
        for stream in scored:
            stream.unmeasured = str(error) or repr(error)
        return {}
    for stream in scored:
        stream.unmeasured = None
    made = {stream.subject.key: answers[each].get(stream.subject.arm) for stream, each in wanted.items()}
    return {key: point for key, point in made.items() if point is not None}


def _wanted(stream: Stream, now: float) -> Wanted:
    subject, watch = stream.subject, stream.subject.watch
    end = now - (WAIT_S if watch.wait is None else watch.wait)
    # Whole intervals of the day's clock, so that the streams of one entry ask the same question.
    end = end // stream.interval * stream.interval
    source = f"response:{watch.prediction}"
    kind, label = watch.score or "accuracy", watch.outcome or ""
    return Wanted(kind, source, label, watch.positive, subject.experiment, subject.run, end - stream.interval, end)


def _standing(stream: Stream) -> Mapping[str, Any]:
    subject, detecting = stream.subject, stream.detecting
    watch, said = subject.watch, detecting.said
    return {
        "watch": watch.label,
        "what": watch.what,
        "detector": watch.by,
        "severity": watch.severity,
        "experiment": subject.experiment or None,
        "run": subject.run,
        "arm": subject.arm or None,
        "target": subject.target,
        "status": "alarm" if detecting.begun is not None else said.status,
        "time": stream.at,
        "value": said.value,
        "expected": said.expected,
        "score": said.score,
        "level": said.level,
        "side": said.side,
        "since": detecting.begun,
        "episodes": detecting.episodes,
        "problem": stream.problem,
    }
