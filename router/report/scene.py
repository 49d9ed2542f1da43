"""One phase of an experiment with all that is known of it: what questions are asked of.

Responsible for: which arms there are and which is control, the cells of the phase, how far it is from its end.
Does not know: questions, answers.

Rules: frozen. Control is the one of the phase, which the configuration may have changed since.
"""

from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct

from router.analysis.aggregates import Aggregate, Cell, Place
from router.analysis.finding import Finding, Insufficient
from router.analysis.quality import Quality
from router.analysis.result import Result, Stage
from router.config.schema import Experiment, Metric
from router.events.model import Invalid
from router.events.rollout import Decided
from router.inference.effect import Effect
from router.report.compare import Question
from router.report.progress import End, end_of


class Taken(Struct, frozen=True, kw_only=True):
    """A look that counted, as it is remembered.

    Attributes:
        experiment: Name of the experiment.
        run: Number of the run.
        phase: Phase of the run.
        arm: The arm that was compared with control.
        time: When it was taken, in unix seconds.
        share: Of the planned data.
        information: Units of both arms.
        effect: What was found, at a fixed horizon.
        decision: Of a probability ratio test: ``reject`` or ``accept``.
        reason: Of the same, why.
    """

    experiment: str
    run: int
    phase: int
    arm: str
    time: float
    share: float
    information: float
    effect: Effect
    decision: str = ""
    reason: str = ""


class Evidence(NamedTuple):
    """What a report is made of.

    Attributes:
        result: What the fold found.
        quality: What is known of the data of each phase.
        invalid: That the router marked the data of a phase invalid.
        log: What is known of the log itself.
        unread: Parts of the archive that could not be read.
        looks: Looks that counted, in the order in which they were taken.
        drill: The last rehearsal of a rollback; None without any.
    """

    result: Result
    quality: tuple[Quality, ...] = ()
    invalid: Invalid | None = None
    log: tuple[Finding | Insufficient, ...] = ()
    unread: tuple[str, ...] = ()
    looks: tuple[Taken, ...] = ()
    drill: Decided | None = None


class Scene(NamedTuple):
    """One phase, and what is known of it.

    Attributes:
        experiment: The experiment.
        evidence: All that is known of it.
        stage: The phase.
        now: What it is about, in unix seconds.
        control: The arm that is the baseline.
        arms: The others.
        cells: Where to what is known there, of this phase.
        end: How far it is.
    """

    experiment: Experiment
    evidence: Evidence
    stage: Stage
    now: float
    control: str
    arms: tuple[str, ...]
    cells: Mapping[Place, Cell]
    end: End

    def cell(self, arm: str) -> Cell:
        """Return what is known of an arm."""
        return self.cells.get(Place(*self.stage.phase.place, arm), Cell())

    def pair(self, arm: str) -> tuple[Cell, Cell]:
        """Return what is known of an arm, and of control."""
        return self.cell(arm), self.cell(self.control)

    def question(self, arm: str, metric: Metric) -> Question:
        """Return what is known of a metric in an arm, and in control."""
        treatment, control = (cell.metrics.get(metric.name, Aggregate()) for cell in self.pair(arm))
        return Question(metric, treatment, control)

    def looks(self, arm: str) -> tuple[Taken, ...]:
        """Return the looks at an arm that counted, by the present method: what another spent is not its own."""
        place, tested = self.stage.phase.place, self.experiment.decide.method == "sprt"
        return tuple(
            each
            for each in self.evidence.looks
            if (each.run, each.phase, each.arm) == (*place, arm) and bool(each.decision) == tested
        )

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics, the primary first."""
        return self.evidence.result.plan.metrics

    @property
    def quality(self) -> Quality | None:
        """What is known of the phase's data."""
        place = self.stage.phase.place
        return next((each for each in self.evidence.quality if (each.run, each.phase) == place), None)

    @property
    def marked(self) -> str | None:
        """Why the router marked the phase's data invalid, if it did."""
        mark = self.evidence.invalid
        return mark.reason if mark is not None and (mark.run, mark.phase) == self.stage.phase.place else None


def scene_of(experiment: Experiment, evidence: Evidence, stage: Stage, now: float) -> Scene:
    """Return one phase with all that is known of it.

    Args:
        experiment: The experiment.
        evidence: All that is known of it.
        stage: The phase.
        now: Unix seconds.
    """
    control = stage.phase.control or experiment.control or experiment.arms[0].name
    named = stage.phase.arms or tuple(arm.name for arm in experiment.arms)
    place = stage.phase.place
    cells = {where: cell for where, cell in evidence.result.cells.items() if (where.run, where.phase) == place}
    seen = sorted({where.arm for where in cells} - set(named))
    arms = tuple(arm for arm in (*named, *seen) if arm != control)
    counted = [cells.get(Place(*place, arm), Cell()) for arm in (control, *arms)]
    end = end_of(experiment, stage, counted, now)
    return Scene(experiment, evidence, stage, now, control, arms, cells, end)
