"""One look at the event log: what it says of the experiments and of itself.

Responsible for: what is asked of the log, the bounds of the database that answers, and stopping it from another thread.
Does not know: when to look, what follows from the answer, how anything is computed (``router.analysis``).

Rules: runs in a thread of its own. Nothing of the analysis is imported before it is called, because the libraries are
in an extra and large; where they are not installed, ``NotInstalledError`` says so.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from router.config.schema import Config
from router.control.counted import Counted
from router.events.model import Invalid, Revised, Run
from router.events.recorded import before
from router.events.rollout import Decided
from router.events.ticks import ticked

if TYPE_CHECKING:
    from router.analysis.finding import Finding, Insufficient, Status
    from router.analysis.quality import Quality
    from router.analysis.result import Folded
    from router.report.report import Report

MEMORY_BYTES: Final = 256 * 1024 * 1024
EXTRA: Final = "the analysis of experiments needs more libraries: pip install 'router[analysis]'"


class NotInstalledError(Exception):
    """The libraries of the analysis are not installed; the message says what to do."""


class StoppedError(Exception):
    """The measuring was stopped."""


class Stop:
    """Ends what another thread is doing, at its next query."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._lock = threading.Lock()  # nothing is interrupted while it is being closed
        self._interrupt: Callable[[], None] | None = None

    @contextmanager
    def using(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """Say how to end a query that runs, for as long as there may be one."""
        with self._lock:
            self._interrupt = interrupt
        try:
            yield
        finally:
            with self._lock:
                self._interrupt = None

    def now(self) -> None:
        """End the query that runs, and whatever has not begun; to be repeated until the thread has ended."""
        self._asked.set()
        with self._lock:
            if self._interrupt is not None:
                self._interrupt()

    def check(self) -> None:
        """Stop here if that was asked for.

        Raises:
            StoppedError: If it was.
        """
        if self._asked.is_set():
            raise StoppedError


@dataclass(frozen=True, slots=True)
class Question:
    """What to look at.

    Attributes:
        config: The present configuration.
        runs: Where each experiment is.
        history: The revisions that are remembered, oldest first; older ones are read from the disk.
        counted: What the counters say.
        invalid: Experiment to the mark that its data are invalid.
        drills: Experiment to its last drill.
    """

    config: Config
    runs: dict[str, Run]
    history: tuple[Revised, ...]
    counted: Counted
    invalid: Mapping[str, Invalid] = field(default_factory=dict)
    drills: Mapping[str, Decided] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the log said.

    Attributes:
        time: Nothing later was looked at; unix seconds.
        took_s: How long it took.
        quality: Experiment to what is known of each of its phases, in order.
        log: What is known of the log itself.
        folded: What is known of metrics; None when that could not be computed.
        unfolded: Why not.
        unread: Parts of the archive that are damaged, and segments with lines that are no events; one sentence each.
        reports: Experiment to what is said of it; without those whose report could not be made.
    """

    time: float
    took_s: float
    quality: dict[str, tuple["Quality", ...]]
    log: tuple["Finding | Insufficient", ...]
    folded: "Folded | None" = None
    unfolded: str | None = None
    unread: tuple[str, ...] = ()
    reports: Mapping[str, "Report"] = field(default_factory=dict)

    def present(self, name: str, run: Run) -> "Quality | None":
        """Return what is known of the phase in which an experiment is; None when it was not looked at yet."""
        return next(
            (each for each in self.quality.get(name, ()) if (each.run, each.phase) == (run.number, run.phase)), None
        )

    def invalid(self, runs: dict[str, Run]) -> dict[str, Invalid]:
        """Return what makes experiments invalid in the phase in which they are."""
        found: dict[str, Invalid] = {}
        for name in self.quality:
            quality = self.present(name, runs[name]) if name in runs else None
            broken = quality.invalid if quality is not None else None
            if quality is not None and broken is not None:
                found[name] = Invalid(
                    run=quality.run,
                    phase=quality.phase,
                    time=self.time,
                    check=broken.check,
                    value=broken.value,
                    reason=broken.sentence,
                )
        return found

    def worst(self, name: str, run: Run) -> "Status | None":
        """Return the status of the phase in which an experiment is; None when it was not looked at yet."""
        quality = self.present(name, run)
        return quality.status if quality is not None else None


def measure(question: Question, stop: Stop) -> Snapshot:
    """Look at the log.

    Args:
        question: What to look at.
        stop: Ends it.

    Raises:
        NotInstalledError: If the libraries are not installed.
        StoppedError: If it was stopped.
        OSError: If files cannot be opened; the database raises its own errors for what is in them.
    """
    try:
        import duckdb  # noqa: F401, PLC0415 - see the module's rules
        import ibis  # noqa: F401, PLC0415 - the same
        from scipy import special  # noqa: F401, PLC0415 - the same
    except ImportError as error:
        raise NotInstalledError(f"{EXTRA} ({error})") from error
    from router.analysis.engine import duckdb_engine  # noqa: PLC0415 - the same
    from router.analysis.fold import fold  # noqa: PLC0415 - the same
    from router.analysis.history import history  # noqa: PLC0415 - the same
    from router.analysis.log_quality import Logged, Traffic, Written, judge_log  # noqa: PLC0415 - the same
    from router.analysis.observe import observe, observe_received  # noqa: PLC0415 - the same
    from router.analysis.quality import judge  # noqa: PLC0415 - the same
    from router.analysis.weights import in_force  # noqa: PLC0415 - the same
    from router.archive.engine import Limits  # noqa: PLC0415 - the same
    from router.archive.reading import open_archive  # noqa: PLC0415 - the same

    now, begun = time.time(), time.monotonic()
    config, counted = question.config, question.counted
    limits = Limits(threads=1, memory_bytes=MEMORY_BYTES)
    with (
        open_archive(Path(config.events.dir), limits) as archive,
        stop.using(archive.connection.interrupt),
    ):
        stop.check()
        engine = duckdb_engine(archive.connection)
        remembered = question.history
        older = before(Path(config.events.dir), remembered[0].number) if remembered else ()
        known = history((*older, *remembered))
        ticks, _ = ticked(Path(config.events.dir) / "journal")
        observed = observe(engine, config.experiments, in_force((*older, *remembered), ticks), now)
        received = observe_received(engine)
        folded: Folded | None = None
        unfolded: str | None = None
        try:
            folded = fold(engine, config.experiments, config.metrics, known, now)
        except Exception as error:  # noqa: BLE001 - what is known of the data's quality is not to be lost with it
            stop.check()
            unfolded = f"the metrics cannot be computed: {error!r}"
        unread = (
            *(f"{part.path} cannot be read: {part.reason}" for part in archive.unread),
            *(f"{path} has {lines} lines that are no events" for path, lines in archive.unsound.items()),
        )
    traffic = {route: Traffic(whole, without) for route, (whole, without) in counted.routes.items()}
    logged = Logged(traffic, received, Written(counted.exchanges, counted.dropped))
    quality = {name: tuple(judge(phase) for phase in phases) for name, phases in observed.items()}
    snapshot = Snapshot(
        time=now,
        took_s=time.monotonic() - begun,
        quality=quality,
        log=judge_log(logged),
        folded=folded,
        unfolded=unfolded,
        unread=unread,
    )
    return _reported(question, snapshot, stop, begun)


def _reported(question: Question, snapshot: Snapshot, stop: Stop, begun: float) -> Snapshot:
    """Add the reports of all experiments to what the log said."""
    from router.control.looks import with_looks  # noqa: PLC0415 - see the module's rules
    from router.report.compose import compose  # noqa: PLC0415 - the same
    from router.report.scene import Evidence  # noqa: PLC0415 - the same

    reports: dict[str, Report] = {}
    unfolded = snapshot.unfolded
    folded = snapshot.folded.experiments if snapshot.folded is not None else {}
    for experiment in question.config.experiments:
        name = experiment.name
        stop.check()
        if name in folded:
            quality, mark = snapshot.quality.get(name, ()), question.invalid.get(name)
            evidence = Evidence(
                folded[name], quality, mark, snapshot.log, snapshot.unread, drill=question.drills.get(name)
            )
            try:
                evidence = with_looks(experiment, evidence, snapshot.time, Path(question.config.events.dir))
                reports[name] = compose(experiment, evidence, snapshot.time)
            except Exception as error:  # noqa: BLE001 - what else is known is not to be lost with one report
                unfolded = f"the report of {name} cannot be made: {error!r}"
    return replace(snapshot, reports=reports, unfolded=unfolded, took_s=time.monotonic() - begun)
