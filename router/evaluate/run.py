"""All requests of a recording, sent to a target and perhaps a baseline, and the document of what came of it.

Responsible for: how many are under way at once, the order of the two, when to stop, and what is kept of each answer.
Does not know: the command line, what a release makes of the result.

Rules: what is held is bounded by ``limit`` small rows, and ``concurrency`` requests and answers. Of target and baseline
a coin says who is asked first, so neither always finds the other's caches warm. Once ``HOPELESS`` requests have gone
without a single answer, the rest is not sent: that is an answer too.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic, time
from typing import Final

import numpy as np
from msgspec import Struct

from router.config.requirement import parse
from router.evaluate import answers, measure, requirement
from router.evaluate.ask import ANSWER_BYTES, Asker
from router.evaluate.recording import Recorded, Recording, RecordingError, requests, survey
from router.evaluate.sides import Line, labels_of, side_of
from router.events.evaluated import Compared as Both
from router.events.evaluated import Evaluated
from router.events.evaluation import Asked, Job
from router.routing.compare import Answer, Rules
from router.routing.request import pointer_tokens

HOPELESS: Final = 100
NO_REQUIREMENT: Final = "failures <= 1%"

Progress = Callable[[int, int], None]


class EvaluateError(Exception):
    """The check could not be made; the message is for a person."""


class Row(Struct, frozen=True):
    """What is kept of a request: its place, what is true of it, and both answers."""

    place: int
    method: str
    label: str | float | bool | None
    expected: bool
    unit: str | None
    candidate: Line
    baseline: Line | None


async def evaluate(job: Job, progress: Progress) -> Evaluated:
    """Make an offline check.

    Args:
        job: What is asked for.
        progress: Called with the requests that are done, and how many there are.

    Raises:
        EvaluateError: If a file, an option or a requirement cannot be used.
    """
    try:
        for text in job.require:
            parse(text)
        recording = survey(Path(job.requests), pointer_tokens(job.label))
        began = monotonic()
        run = _Run(job, recording, progress)
        rows = await run.rows()
    except (RecordingError, ValueError) as error:
        raise EvaluateError(str(error)) from error
    except OSError as error:
        raise EvaluateError(f"certificates cannot be read: {error}") from error
    return _document(job, recording, rows, run.stopped, monotonic() - began)


class _Run:
    """One run; owns the connections."""

    def __init__(self, job: Job, recording: Recording, progress: Progress) -> None:
        self._job = job
        self._progress = progress
        self._generator = np.random.default_rng([job.seed, 1])
        self._label = pointer_tokens(job.label)
        self._places = answers.Places(
            None if job.prediction is None else pointer_tokens(job.prediction),
            None if job.probability is None else pointer_tokens(job.probability),
            job.positive,
        )
        self._rules = Rules(job.tolerance, frozenset(map(pointer_tokens, job.ignore)), ANSWER_BYTES)
        self._recording = recording
        self._rows: list[Row] = []
        self._answered = False
        self._failed: RecordingError | None = None
        self._ends_at = monotonic() + job.seconds
        self.stopped: str | None = None

    async def rows(self) -> list[Row]:
        """Send everything, and return what came of it in the order of the file."""
        total = min(self._job.limit, self._recording.lines)
        taken = None
        if total < self._recording.lines:
            taken = frozenset(self._generator.choice(self._recording.lines, total, replace=False).tolist())
        pending = enumerate(requests(self._recording, self._label, taken))
        async with AsyncExitStack() as stack:
            one = await stack.enter_async_context(self._asker(self._job.candidate))
            other = None
            if self._job.baseline is not None:
                other = await stack.enter_async_context(self._asker(self._job.baseline))
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._job.concurrency, total)):
                    group.create_task(self._work(pending, one, other, total))
        if self._failed is not None:
            raise self._failed
        return sorted(self._rows, key=lambda row: row.place)

    def _asker(self, asked: Asked) -> Asker:
        return Asker(asked.endpoints, asked.tls, self._job.timeout, self._job.concurrency)

    async def _work(self, pending: Iterator[tuple[int, Recorded]], one: Asker, other: Asker | None, total: int) -> None:
        """Take one request after another, while there is reason to."""
        while True:
            try:
                place, recorded = next(pending)
            except StopIteration:
                return
            except RecordingError as error:
                self._failed = error
                return
            if monotonic() >= self._ends_at:
                self.stopped = f"stopped after {self._job.seconds:g} s"
                return
            if not self._answered and len(self._rows) >= HOPELESS:
                self.stopped = f"stopped after {len(self._rows)} requests without a usable answer"
                return
            self._rows.append(await self._both(place, recorded, one, other))
            self._answered = self._answered or self._rows[-1].candidate.cause is None
            self._progress(len(self._rows), total)

    async def _both(self, place: int, recorded: Recorded, one: Asker, other: Asker | None) -> Row:
        """Ask both, one after the other."""
        theirs = None
        if other is not None and self._generator.random() < 0.5:
            theirs = await self._read(recorded, other)
        ours = await self._read(recorded, one)
        if other is not None and theirs is None:
            theirs = await self._read(recorded, other)
        agree = theirs_agree = None
        expected = answers.recorded_answer(recorded, ours.status)
        if expected is not None:
            agree = answers.agrees(ours, expected, self._rules)
            if theirs is not None:
                theirs_expected = answers.recorded_answer(recorded, theirs.status) or expected
                theirs_agree = answers.agrees(theirs, theirs_expected, self._rules)
        elif theirs is not None and theirs.cause is None:
            agree = answers.agrees(ours, Answer(theirs.status, theirs.body), self._rules)
        return Row(
            place,
            recorded.method,
            recorded.label,
            expected is not None,
            recorded.unit,
            _kept(ours, agree),
            None if theirs is None else _kept(theirs, theirs_agree),
        )

    async def _read(self, recorded: Recorded, asker: Asker) -> answers.Read:
        return answers.read(await asker.ask(recorded), recorded, self._places)


def _kept(read: answers.Read, agree: bool | None) -> Line:  # noqa: FBT001 - a column's value
    return Line(read.seconds, read.cause, agree, read.prediction, read.chances)


def _document(job: Job, recording: Recording, rows: list[Row], stopped: str | None, seconds: float) -> Evaluated:
    """Compute everything from the rows, and judge."""
    try:
        labels = labels_of([row.label if job.prediction or job.probability else None for row in rows], job.kind)
    except ValueError as error:
        raise EvaluateError(f"{recording.path}: {error}") from error
    units = measure.coded([row.unit for row in rows])
    how = measure.Draw(units, 1 - job.confidence, np.random.default_rng([job.seed, 2]))
    candidate = side_of([row.candidate for row in rows], labels, job.positive)
    theirs = [row.baseline for row in rows if row.baseline is not None]
    asked = [parse(text) for text in job.require or (() if job.no_worse is not None else (NO_REQUIREMENT,))]
    measured = measure.measure(candidate, labels, how)
    if job.no_worse is not None:
        asked.append(requirement.no_worse(job.no_worse, frozenset(each.name for each in measured)))
    compared: tuple[Both, ...] = ()
    if job.baseline is not None and theirs:
        baseline = side_of(theirs, labels, job.positive)
        compared = measure.compare(candidate, baseline, labels, how, {each.name for each in asked})
    required = tuple(
        requirement.judge(each, {found.name: found for found in measured}, {found.name: found for found in compared})
        for each in asked
    )
    expected = sum(row.expected for row in rows)
    return Evaluated(
        time=time(),
        seconds=seconds,
        target=job.candidate.name,
        version=job.candidate.version,
        baseline=None if job.baseline is None else job.baseline.name,
        requests=job.requests,
        digest=recording.digest,
        lines=recording.lines,
        asked=len(rows),
        methods=dict(Counter(row.method for row in rows)),
        labelled=int(labels.known.sum()),
        expected=expected,
        units=None if units is None else int(units.max()) + 1,
        causes=_causes([row.candidate for row in rows]),
        baseline_causes=_causes(theirs),
        agreement_with="recorded" if expected else "baseline" if theirs else None,
        confidence=job.confidence,
        seed=job.seed,
        measured=measured,
        compared=compared,
        calibration=measure.calibration(candidate),
        required=required,
        verdict=requirement.overall(required),
        notes=tuple(_notes(job, recording, rows, stopped)),
    )


def _causes(lines: list[Line]) -> dict[str, int]:
    return dict(Counter(line.cause for line in lines if line.cause is not None).most_common())


def _notes(job: Job, recording: Recording, rows: list[Row], stopped: str | None) -> Iterator[str]:
    posts = sum(row.method == "POST" for row in rows)
    if posts:
        yield (
            f"{posts} POST requests were sent: they are recordings, and calling the target must have no effect on "
            "anyone. Each had the mark of a copy, x-router-shadow: 1."
        )
    if stopped is not None:
        yield f"{stopped}; {min(job.limit, recording.lines) - len(rows)} requests were not sent"
    elif len(rows) < recording.lines:
        yield f"{len(rows)} of {recording.lines} requests, drawn with seed {job.seed}"
    if any(row.candidate.cause == "local" for row in rows):
        yield "some requests could not be sent for want of descriptors or memory here, which is no fault of the target"
    if any(row.label is not None for row in rows) and job.prediction is None and job.probability is None:
        yield "labels were not used: --prediction says where the prediction is in an answer"
