"""Writes a post-mortem report when a release was taken back.

Responsible for: what is put into one, when it is written, where it lies, how many are kept.
Does not know: how anything was decided, what a report says (``router.report.postmortem``), HTTP.

Rules: traffic moved before any of this; reading and writing happen in threads. A report that was not written because
the process ended is written by the next one. What cannot be known is said in the report, and nothing that fails here
stops anything else. At most ``KEPT`` reports are kept, the oldest go.
"""

import asyncio
import os
import re
import time
from collections.abc import Callable
from importlib.util import find_spec
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from router.config.schema import Config, Experiment
from router.control.aftermath import Aftermath, Due
from router.control.decisions import Decisions
from router.control.kill import control_arm, find
from router.control.measure import EXTRA, Snapshot
from router.events.decisions import Wanted
from router.events.exposures import Exposures, live_exposures
from router.events.model import Revision
from router.events.rollout import Decided, Progress
from router.report.postmortem import Ended, Exposed, Learned, Point, PostMortem, Reaction, Shown, Side, compose
from router.report.postmortem_page import postmortem_page

if TYPE_CHECKING:
    from router.report.report import Studied

log = getLogger(__name__)

KEPT: Final = 200
ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}-[0-9]{1,9}-[0-9]{1,11}")
ENDS: Final = frozenset({"rollback", "abort"})
_WATCHED_S: Final = 30.0  # for workers to acknowledge
_LOOK_S: Final = 0.01
_LOGGED_S: Final = 2.0  # until the event log has what began before
_POINTS: Final = 120  # of each arm over time
_LEAST_S: Final = 10.0  # width of one
_DAY_S: Final = 86400.0


class Scene(NamedTuple):
    """What is known when a report is written.

    Attributes:
        revision: The present revision.
        snapshot: What the fold said last.
        unfolded: Why it said nothing, if so.
        acknowledged: Workers that serve the present revision.
        workers: How many there are.
    """

    revision: Revision
    snapshot: Snapshot | None
    unfolded: str | None
    acknowledged: int
    workers: int


class PostMortems:
    """The reports of one router."""

    def __init__(self, decisions: Decisions, aftermath: Aftermath) -> None:
        # Per process
        self.drawing = asyncio.Lock()
        self._decisions = decisions
        self._aftermath = aftermath

    async def run(self, ask: Callable[[], Scene]) -> None:
        """Write reports as releases are taken back, until cancelled.

        Args:
            ask: Gives what is known now.
        """
        await self._recall(ask)
        while True:
            await self._aftermath.waiting.wait()
            self._aftermath.waiting.clear()
            while self._aftermath.reports:
                due = self._aftermath.reports.popleft()
                try:
                    await self._write(due, ask)
                except Exception:  # the release is back on control all the same
                    log.exception("release %r: the post-mortem report cannot be written", due.experiment)

    async def _recall(self, ask: Callable[[], Scene]) -> None:
        """Have those written that the process before did not come to."""
        revision = ask().revision
        for name, progress in revision.rollouts.items():
            if progress.step not in ("rolled_back", "aborted") or name not in revision.weights:
                continue
            wanted = Wanted(experiment=name, run=progress.run, actions=ENDS, since=time.time() - _DAY_S, limit=1)
            for decided in await self._decisions.find(wanted):
                path = folder_of(revision.config) / f"{report_id(decided)}.json"
                if not await asyncio.to_thread(path.exists):
                    self._aftermath.reports.append(Due(name, progress.run, decided.reason, decided))
                    self._aftermath.waiting.set()

    async def _write(self, due: Due, ask: Callable[[], Scene]) -> None:
        decided = due.decided
        late = time.time() - decided.time > _WATCHED_S
        acknowledged_s = None if late else await self._acknowledged(decided, ask)
        await asyncio.sleep(0 if late else _LOGGED_S + ask().revision.config.events.fsync)
        scene = ask()
        revision, name = scene.revision, due.experiment
        experiment = find(revision.config, name)
        progress = revision.rollouts.get(name)
        if progress is None:
            return
        wanted = Wanted(experiment=name, run=due.run, until=decided.time, limit=1000)
        decisions = (await self._decisions.find(wanted))[::-1]
        ended = _ended(experiment, revision.config, progress, decided, due.cause)
        learned = await asyncio.to_thread(_learned, Path(revision.config.events.dir), ended, scene)
        lasts = [each.last for each in learned.exposed if each.arm == ended.new.arm and each.last is not None]
        reaction = Reaction(
            acknowledged_s=acknowledged_s,
            workers=scene.workers,
            acknowledged=scene.acknowledged,
            last_s=max(lasts) - decided.time if lasts else None,
        )
        report = compose(ended, decisions, learned, reaction)
        async with self.drawing:
            path = await asyncio.to_thread(_save, folder_of(revision.config), report)
        log.info("release %r: post-mortem report %s", name, path)

    async def _acknowledged(self, decided: Decided, ask: Callable[[], Scene]) -> float | None:
        """Wait until all workers have the new weights; return how long that took from the decision, in seconds."""
        deadline = decided.time + _WATCHED_S
        while time.time() < deadline:
            scene = ask()
            if scene.acknowledged == scene.workers:
                return max(0.0, time.time() - decided.time)
            await asyncio.sleep(_LOOK_S)
        return None


def folder_of(config: Config) -> Path:
    """Return where reports lie."""
    return Path(config.events.dir) / "postmortems"


def report_id(decided: Decided) -> str:
    """Return the id of the report about a decision."""
    return f"{decided.experiment}-{decided.run}-{int(decided.time)}"


def listed(folder: Path, name: str) -> tuple[str, ...]:
    """Return the ids of the reports about an experiment, the newest first.

    Args:
        folder: Where reports lie; one that does not exist holds none.
        name: The experiment.
    """
    try:
        found = [path.stem for path in folder.iterdir() if path.suffix == ".json" and ID.fullmatch(path.stem)]
    except OSError:
        return ()
    own = [each for each in found if each.rsplit("-", 2)[0] == name]
    return tuple(sorted(own, key=_age, reverse=True))


def read_report(folder: Path, number: str, kind: str) -> bytes | None:
    """Return a report as it was written; None when there is none of that id.

    Args:
        folder: Where reports lie.
        number: Its id.
        kind: ``json`` or ``html``.
    """
    if not ID.fullmatch(number):
        return None
    try:
        return (folder / f"{number}.{kind}").read_bytes()
    except OSError:
        return None


def _age(number: str) -> tuple[int, str]:
    return int(number.rpartition("-")[2]), number


def _ended(experiment: Experiment, config: Config, progress: Progress, decided: Decided, cause: str) -> Ended:
    versions = {target.name: target.version for target in config.targets}
    sides = [
        Side(arm=arm.name, target=arm.target, version=versions.get(arm.target) if arm.target is not None else None)
        for arm in experiment.arms
    ]
    control = control_arm(experiment)
    return Ended(
        decided=decided,
        progress=progress,
        cause=cause,
        owner=experiment.owner,
        control=next(side for side in sides if side.arm == control),
        new=next((side for side in sides if side.arm != control), sides[0]),
    )


def _learned(folder: Path, ended: Ended, scene: Scene) -> Learned:
    """Return what the event log and its analysis say; whatever fails is said."""
    decided, missing = ended.decided, []
    begin, end = ended.progress.began, decided.time + _WATCHED_S
    width_s = max(_LEAST_S, (end - begin) / _POINTS)
    try:
        known = _exposures(folder, ended, (begin, end), width_s)
    except Exception as error:  # noqa: BLE001 - a database raises what it likes; the rest of the report is not to be lost
        known = Exposures(missing=f"the event log cannot be read: {error}")
    if known.missing is not None:
        missing.append(known.missing)
    if find_spec("matplotlib") is None:
        missing.append(f"there are no plots without matplotlib: {EXTRA}")
    effects, why = _effects(decided, scene)
    if why is not None:
        missing.append(why)
    return Learned(
        exposed=tuple(
            Exposed(
                phase=held.phase,
                arm=held.arm,
                exchanges=held.exchanges,
                units=held.units,
                failed=held.failed,
                first=held.first,
                last=held.last,
            )
            for held in known.held
        ),
        points=tuple(
            Point(
                time=each.start, arm=each.arm, exchanges=each.exchanges, failed=each.failed, p50=each.p50, p99=each.p99
            )
            for each in known.buckets
        ),
        effects=effects,
        missing=tuple(missing),
    )


def _exposures(folder: Path, ended: Ended, span: tuple[float, float], width_s: float) -> Exposures:
    """Read the event log: with the database where it is installed, since it also knows what was sealed."""
    name, run = ended.decided.experiment, ended.decided.run
    if find_spec("duckdb") is None:
        return live_exposures(folder, name, run, span, width_s)
    from router.archive.exposures import archived_exposures  # noqa: PLC0415 - libraries of an extra

    return archived_exposures(folder, name, run, span, width_s)


def _effects(decided: Decided, scene: Scene) -> tuple[tuple[Shown, ...], str | None]:
    """Return what metrics showed in each phase of the run when the log was looked at last, or why nothing is known."""
    snapshot = scene.snapshot
    report = snapshot.reports.get(decided.experiment) if snapshot is not None else None
    if report is None:
        return (), f"what metrics showed is not known: {scene.unfolded or 'the log was not looked at yet'}"
    phases = [phase for phase in report.phases if phase.run == decided.run]
    return tuple(shown for phase in reversed(phases) for shown in _shown(phase, scene.revision.config)), None


def _shown(phase: "Studied", config: Config) -> list[Shown]:
    from router.inference.effect import Effect  # noqa: PLC0415 - libraries of an extra, with a report they are there
    from router.report.digits import effect_in_words  # noqa: PLC0415 - the same

    metrics = {metric.name: metric for metric in config.metrics}
    found = []
    for arm in phase.arms:
        for each in arm.measures:
            if each.metric not in metrics:
                continue
            effect = each.effect if isinstance(each.effect, Effect) else None
            found.append(
                Shown(
                    phase=phase.phase,
                    metric=each.metric,
                    role=each.role,
                    said=effect_in_words(metrics[each.metric], each.effect),
                    value=effect.value if effect is not None else None,
                    low=effect.interval.low if effect is not None else None,
                    high=effect.interval.high if effect is not None else None,
                    control=effect.control.value if effect is not None else None,
                    treatment=effect.treatment.value if effect is not None else None,
                    direction=each.direction,
                )
            )
    return found


def _save(folder: Path, report: PostMortem) -> Path:
    """Draw and write a report, each file in one step; remove the oldest beyond ``KEPT``."""
    drawn: dict[str, str] = {}
    if find_spec("matplotlib") is not None and find_spec("scipy") is not None:
        from router.report.postmortem_plots import postmortem_plots  # noqa: PLC0415 - libraries of an extra

        drawn = postmortem_plots(report)
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    page = folder / f"{report.id}.html"
    _replace(page, postmortem_page(report, drawn).encode())
    _replace(folder / f"{report.id}.json", msgspec.json.encode(report))
    kept = sorted((path.stem for path in folder.glob("*.json") if ID.fullmatch(path.stem)), key=_age)
    for number in kept[:-KEPT]:
        for kind in ("json", "html"):
            (folder / f"{number}.{kind}").unlink(missing_ok=True)
    return page


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o640)


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with open(fresh, "wb", opener=_private) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
