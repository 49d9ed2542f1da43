"""Drives releases: looks at them every moment, and carries out what is decided.

Responsible for: when to look, putting together what is known, handing effects on, and why nothing was decided.
Does not know: how anything is decided (``router.rollout``), how a revision comes about (``router.control.steer``).

Rules: what the journal has is where a release is; what is only shown (why it holds) is kept here and may be lost. A
decision is made from evidence of the very phase that it is about, under the lock of changes, so that no kill, reload or
request of a person comes between. Traffic first: everything else follows after the weights are with the workers.
Whatever goes wrong with one release, the others are looked at, and it is tried again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from logging import getLogger
from typing import Final, NamedTuple

from msgspec.structs import replace

from router.config.schema import Experiment
from router.control.aftermath import Aftermath
from router.control.clocks import Clocks
from router.control.measure import Snapshot
from router.control.observe import logged
from router.control.sense import Sensed, Senses
from router.control.trials import Trials
from router.control.trusted import served
from router.events.model import Revised, Revision
from router.events.rollout import Found, Progress
from router.rollout import machine
from router.rollout.hold import SILENT_S
from router.rollout.observed import Asked, Observed
from router.rollout.soft import Told, soft
from router.rollout.turn import Case, Refused, Turn

log = getLogger(__name__)

LOOK_S: Final = 0.5


class Scene(NamedTuple):
    """What a look begins with.

    Attributes:
        revision: The present revision.
        snapshot: What the log said last.
        acknowledged: Whether all workers serve it.
        history: The journal's entries, oldest first, as far as they are remembered.
    """

    revision: Revision
    snapshot: Snapshot | None
    acknowledged: bool
    history: tuple[Revised, ...] = ()


Decide = Callable[[Revision], "Turn | Refused | None"]
Change = Callable[[str, Decide], Awaitable[str | None]]


class Driver:
    """Looks at releases, and keeps what is known of them.

    Attributes:
        observed: Experiment to what its last decision was made from.
        problems: Experiment to why nothing could be decided.
    """

    def __init__(self, senses: Senses, clocks: Clocks, aftermath: Aftermath) -> None:
        # Per process
        self.observed: dict[str, Observed] = {}
        self.problems: dict[str, str] = {}
        self._senses = senses
        self._clocks = clocks
        self._aftermath = aftermath
        self._trials = Trials()
        self._progress: dict[str, Progress] = {}
        self._heard: dict[str, tuple[int, float]] = {}
        self._ill: dict[str, float] = {}
        self._soft: dict[str, Told] = {}

    async def run(self, ask: Callable[[], Scene], change: Change) -> None:
        """Look until cancelled.

        Args:
            ask: Gives what a look begins with.
            change: Decides under the lock of changes, and publishes; returns why that could not be done, or None.
        """
        try:
            while True:
                await self.look(ask, change, (time.time(), time.monotonic()))
                await asyncio.sleep(LOOK_S)
        finally:
            await self._trials.close()

    async def look(self, ask: Callable[[], Scene], change: Change, now: tuple[float, float]) -> None:
        """Look at each release once.

        Args:
            ask: As of ``run``.
            change: As of ``run``.
            now: Unix seconds, and seconds of the monotonic clock.
        """
        revision = ask().revision
        driven = [each for each in revision.config.experiments if each.allocate.driven]
        self._forget({each.name for each in driven})
        for experiment in driven:
            try:
                problem = await self._look(experiment, ask, change, now)
            except Exception as error:
                log.exception("release %r: nothing can be decided", experiment.name)
                problem = repr(error)
            self._note(experiment.name, problem)
        if (clocks := self._clocks.due(now)) is not None:
            await asyncio.to_thread(self._clocks.write, clocks)
        if (memories := self._senses.due(now)) is not None:
            await asyncio.to_thread(self._senses.write, memories)

    def present(self, name: str, revision: Revision) -> Progress | None:
        """Return where a release is, with what is known of why; None before it begins."""
        journaled = revision.rollouts.get(name)
        if journaled is None or journaled.run != revision.runs[name].number:
            return None
        known = self._progress.get(name)
        if known is None:
            return journaled
        shown = replace(
            known, holding=journaled.holding, holds=journaled.holds, reason=journaled.reason, by=journaled.by
        )
        return known if shown == journaled else journaled

    def settle(self, experiment: Experiment, turn: Turn, revision: Revision) -> None:
        """Keep what was decided, after traffic was moved, and hand on what else follows.

        Args:
            experiment: The experiment.
            turn: What was decided.
            revision: The revision after it.
        """
        progress, effects = turn
        self._progress[experiment.name] = progress
        self._aftermath.take(experiment, revision, effects, self.observed.get(experiment.name))

    def act(self, experiment: Experiment, revision: Revision, asked: Asked, now: float) -> Turn | Refused:
        """Decide what a person asks for.

        Args:
            experiment: The experiment.
            revision: The present revision.
            asked: What is asked for.
            now: Unix seconds.
        """
        name = experiment.name
        progress = self.present(name, revision)
        if progress is None:
            return Refused("the release has not begun yet; try again in a second")
        run = revision.runs[name]
        known = self.observed.get(name)
        observed = known if known is not None and known.phase == run.phase else Observed(phase=run.phase)
        observed = replace(observed, revision=revision.number, killed=name in revision.killed)
        return machine.act(experiment, progress, asked, observed, now)

    # --- One look -----------------------------------------------------------------------------------------------

    async def _look(
        self, experiment: Experiment, ask: Callable[[], Scene], change: Change, now: tuple[float, float]
    ) -> str | None:
        scene = ask()
        name, revision = experiment.name, scene.revision
        sensed = await asyncio.to_thread(self._senses.look, experiment, revision, now[0], scene.snapshot)

        def decide(present: Revision) -> Turn | None:
            if present.runs.get(name) != revision.runs[name] or present.config is not revision.config:
                return None  # what was seen is of another phase by now
            progress = self.present(name, present)
            if progress is None:
                trusted = served(scene.history, experiment, present.config, now[0])
                return machine.begin(experiment, present.runs[name].number, now[0], trusted=trusted)
            observed = self._observe(experiment, progress, scene._replace(revision=present), sensed, now)
            self.observed[name] = observed
            return machine.step(experiment, progress, observed, now[0])

        problem = await change(name, decide)
        self._tell(experiment, ask().revision, now[0])
        return problem

    def _tell(self, experiment: Experiment, revision: Revision, now: float) -> None:
        """Tell of soft guardrails, after whatever moves traffic."""
        name = experiment.name
        observed, progress = self.observed.get(name), self.present(name, revision)
        if observed is None or progress is None or progress.status == "over" or observed.killed:
            return
        effects, self._soft[name] = soft(Case(experiment, progress, observed, now), self._soft.get(name, Told()))
        self._aftermath.take(experiment, revision, effects, observed)

    def _observe(
        self, experiment: Experiment, progress: Progress, scene: Scene, sensed: Sensed, now: tuple[float, float]
    ) -> Observed:
        """Put together what is known."""
        name, revision = experiment.name, scene.revision
        seen = logged(experiment, revision, scene.snapshot)
        killed = name in revision.killed
        silent_s = self._silent(name, sum(sensed.exchanges.values()), now[1])
        counts = not (killed or silent_s > SILENT_S or progress.status == "paused")
        return Observed(
            phase=revision.runs[name].phase,
            revision=revision.number,
            step_s=self._clocks.look(name, progress, now, counts=counts),
            found=sensed.found,
            units=seen.units,
            exchanges=sensed.exchanges,
            sample_ratio=seen.sample_ratio,
            quality=seen.quality,
            primary=seen.primary,
            shadow=sensed.shown.shadow,
            offline=sensed.shown.offline,
            control=sensed.control,
            smoke=sensed.ready,
            unready_s=self._unready(name, sensed.ready, now[1]),
            tests=self._trials.look(experiment, progress, sensed.endpoints, revision.config),
            endpoints=dict(sensed.endpoints),
            pre_post=dict(sensed.pre_post),
            acknowledged=scene.acknowledged,
            risk=_with_risk(sensed.risk, progress.share),
            killed=killed,
            silent_s=silent_s,
        )

    def _silent(self, name: str, exchanges: int, monotonic: float) -> float:
        """Return for how long there was no exchange, in seconds."""
        count, since = self._heard.get(name, (-1, monotonic))
        if count != exchanges:
            count, since = exchanges, monotonic
        self._heard[name] = (count, since)
        return monotonic - since

    def _unready(self, name: str, ready: Found | None, monotonic: float) -> float:
        """Return for how long the new arm could not serve, in seconds."""
        if ready is None or ready.status != "fail":
            self._ill.pop(name, None)
            return 0.0
        return monotonic - self._ill.setdefault(name, monotonic)

    def _note(self, name: str, problem: str | None) -> None:
        if problem is None:
            if self.problems.pop(name, None) is not None:
                log.info("release %r: decisions come into force again", name)
        elif self.problems.get(name) != problem:
            log.error("release %r: what was decided cannot come into force: %s", name, problem)
            self.problems[name] = problem

    def _forget(self, known: set[str]) -> None:
        """Let go of what is known of releases that are no more."""
        self._clocks.forget(known)
        self._senses.forget(known)
        self._trials.keep(known)
        for kept in (self.observed, self.problems, self._progress, self._heard, self._ill, self._soft):
            for name in kept.keys() - known:
                del kept[name]


def _with_risk(parts: Mapping[str, float], share: float) -> dict[str, float]:
    """Return the parts of the risk with what they come to at a share; nothing when they are not known."""
    if not parts:
        return {}
    return {**parts, "risk": parts["failure_probability"] * parts["impact"] * share}
