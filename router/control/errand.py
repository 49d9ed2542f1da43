"""Offline checks of releases: made by a process of their own, or read from a file.

Responsible for: when a check begins, that one runs at a time, how long it may take, where its result lies over
restarts.
Does not know: what is asked for (``router.evaluate``), what follows from a result (``router.rollout``).

Rules: nothing here waits: a look starts, asks and reads small files. A check belongs to one step of one run: another
step, and what it found is forgotten. A check that could not be made is tried again after ``AGAIN_S``, and holds
meanwhile. The process ends with this one, since its standard input does.
"""

import subprocess
import sys
from collections.abc import Callable, Collection
from logging import getLogger
from pathlib import Path
from typing import IO, Final, NamedTuple, Protocol

import msgspec
from msgspec import Struct

from router.config.rehearsal import OfflineCheck
from router.config.schema import Experiment
from router.events.evaluated import Checked, Evaluated
from router.events.evaluation import Job, asked_of
from router.events.model import Revision
from router.events.rollout import Found
from router.guardrail.judge import arms_of
from router.guardrail.offline import Expected, judge_offline, said

log = getLogger(__name__)

AGAIN_S: Final = 60.0
GRACE_S: Final = 120.0  # to compute what follows from the answers
MOST_BYTES: Final = 16 * 1024 * 1024


class Process(Protocol):
    """What is known of a process that was started."""

    stdin: IO[bytes] | None

    def poll(self) -> int | None:
        """Return its exit status; None while it runs."""

    def kill(self) -> None:
        """End it."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""


Start = Callable[[Path], Process]


class Key(NamedTuple):
    """Which step of which run of which experiment."""

    experiment: str
    run: int
    since: float

    def file(self, folder: Path) -> Path:
        """Return where its result lies."""
        return folder / f"offline-{self.experiment}-{self.run}-{int(self.since * 1000)}.json"


class Errand(NamedTuple):
    """A check that is under way: whose, and until when it may be, in seconds of the monotonic clock."""

    key: Key
    process: Process
    until: float


class _Read(Struct, frozen=True):
    """A result file that was read, with what tells whether it is another one now."""

    stamp: tuple[int, int, int]
    checked: Checked


class Errands:
    """Makes offline checks, one at a time."""

    def __init__(self, folder: Path, start: "Start | None" = None) -> None:
        """Begin with none under way.

        Args:
            folder: Where results are kept.
            start: Starts a process that makes a check.
        """
        # Per process
        self._folder = folder
        self._start = start or start_child
        self._under_way: Errand | None = None
        self._checked: dict[Key, Checked] = {}
        self._failed: dict[Key, float] = {}  # when a check could not be made
        self._files: dict[str, _Read] = {}

    def look(self, experiment: Experiment, revision: Revision, key: Key, now: tuple[float, float]) -> Found:
        """Say what is known of a release that is in its offline check, and see to it that more is.

        Args:
            experiment: Its experiment.
            revision: The present revision.
            key: The step that it is in.
            now: Unix seconds, and seconds of the monotonic clock.
        """
        offline = experiment.allocate.offline
        if offline is None:
            return said("error", "no offline check is configured")
        new, _ = arms_of(experiment)
        target = next(arm.target for arm in experiment.arms if arm.name == new) or ""
        version = next((each.version for each in revision.config.targets if each.name == target), None)
        if offline.result is not None:
            return judge_offline(self._read(offline.result), Expected(target, version, offline.max_age), now[0])
        self._collect(now[1])
        checked = self._checked.get(key)
        if checked is not None and checked.evaluated is not None:
            return judge_offline(checked, Expected(target, version, None), now[0])
        problem = checked.problem if checked is not None else None
        if self._under_way is None and now[1] - self._failed.get(key, -AGAIN_S) >= AGAIN_S:
            self._begin(key, experiment, revision, offline, now[1])
        if problem is not None:
            return said("error", f"the offline check could not be made: {problem}")
        if self._under_way is not None and self._under_way.key == key:
            return said("inconclusive", "recorded requests are being sent")
        return said("inconclusive", "the offline check waits for its turn")

    def forget(self, known: Collection[Key]) -> None:
        """Let go of checks that nobody asks for any more, the one under way included."""
        for kept in (self._checked, self._failed):
            for key in kept.keys() - set(known):
                del kept[key]
        if self._under_way is not None and self._under_way.key not in known:
            self._end(self._under_way)

    def _begin(
        self, key: Key, experiment: Experiment, revision: Revision, offline: OfflineCheck, monotonic: float
    ) -> None:
        """Start a check, or take the result of one that was made before a restart."""
        file = key.file(self._folder)
        if file.is_file():
            self._checked[key] = _result(file)
            return
        try:
            for older in self._folder.glob(f"offline-{key.experiment}-*"):
                if older.name.rsplit("-", 2)[0] == f"offline-{key.experiment}":
                    older.unlink(missing_ok=True)
            job = job_of(experiment, revision, offline)
            file.with_suffix(".job").write_bytes(msgspec.json.encode(job))
            self._under_way = Errand(key, self._start(file), monotonic + offline.max_time + GRACE_S)
        except (OSError, LookupError) as error:
            self._note(key, Checked(problem=str(error)), monotonic)

    def _collect(self, monotonic: float) -> None:
        """See whether the check that is under way has ended, or has to."""
        errand = self._under_way
        if errand is None:
            return
        status = errand.process.poll()
        if status is None:
            if monotonic > errand.until:
                self._end(errand)
                self._note(errand.key, Checked(problem="it did not end"), monotonic)
            return
        self._end(errand)
        file = errand.key.file(self._folder)
        if file.is_file():
            self._note(errand.key, _result(file), monotonic)
        else:
            self._note(errand.key, Checked(problem=f"its process ended with status {status}"), monotonic)

    def _note(self, key: Key, checked: Checked, monotonic: float) -> None:
        self._checked[key] = checked
        if checked.evaluated is None:
            log.warning("release %r: the offline check could not be made: %s", key.experiment, checked.problem)
            self._failed[key] = monotonic
            key.file(self._folder).unlink(missing_ok=True)

    def _end(self, errand: Errand) -> None:
        """Leave a process; one that still runs is killed, and has no work to finish."""
        self._under_way = None
        if errand.process.poll() is None:
            errand.process.kill()
        errand.process.wait()
        if errand.process.stdin is not None:
            errand.process.stdin.close()

    def _read(self, name: str) -> Checked:
        """Read a document of ``router evaluate --out``, anew only when the file is another."""
        path = Path(name)
        try:
            found = path.stat()
        except OSError as error:
            return Checked(problem=f"{name} cannot be read: {error.strerror}")
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        known = self._files.get(name)
        if known is None or known.stamp != stamp:
            if len(self._files) >= 64:
                self._files.clear()
            known = self._files[name] = _Read(stamp, _document(path))
        return known.checked


def start_child(file: Path) -> Process:
    """Start a process that makes the check whose job lies beside the file that its result goes to.

    Raises:
        OSError: If it cannot be started.
    """
    command = [sys.executable, "-m", "router.evaluate.child", str(file)]
    return subprocess.Popen(  # noqa: S603 - this program
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def job_of(experiment: Experiment, revision: Revision, offline: OfflineCheck) -> Job:
    """Return what is asked for: the new arm's target, with control's as the baseline where one is needed.

    Raises:
        LookupError: If a target is not configured.
    """
    targets = {arm.name: arm.target or "" for arm in experiment.arms}
    new, control = arms_of(experiment)
    compared = offline.no_worse is not None or any("baseline" in text for text in offline.require)
    return Job(
        candidate=asked_of(revision.config, targets[new]),
        baseline=asked_of(revision.config, targets[control]) if compared else None,
        requests=offline.requests or "",
        label=offline.label,
        prediction=offline.prediction,
        probability=offline.probability,
        positive=offline.positive,
        tolerance=offline.compare.tolerance,
        ignore=offline.compare.ignore,
        concurrency=offline.concurrency,
        timeout=offline.timeout,
        limit=offline.limit,
        seconds=offline.max_time,
        require=offline.require,
        no_worse=offline.no_worse,
    )


def _document(path: Path) -> Checked:
    try:
        return Checked(evaluated=msgspec.json.decode(_bytes(path), type=Evaluated))
    except (OSError, msgspec.MsgspecError) as error:
        return Checked(problem=f"{path} is not what router evaluate --out writes: {error}")


def _result(path: Path) -> Checked:
    try:
        return msgspec.json.decode(_bytes(path), type=Checked)
    except (OSError, msgspec.MsgspecError) as error:
        return Checked(problem=f"{path}: {error}")


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MOST_BYTES)
