"""What is watched: each entry of ``watch`` on each arm, or on a target.

Responsible for: the list of subjects of a revision, and which release an anomaly of one belongs to.
Does not know: detectors, measurements.

Rules: pure. A subject is of one run: another run has other versions, so everything about it is learned anew. The list
is bounded by ``MOST``.
"""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from router.config.schema import Arm, Experiment, Watch
from router.control.kill import control_arm
from router.events.model import Revision

MOST: Final = 1024


class Subject(Struct, frozen=True, kw_only=True):
    """One stream.

    Attributes:
        watch: The entry of the configuration.
        experiment: Its experiment; empty for a gauge of a target that is no arm.
        run: Run of the experiment; 0 without one.
        arm: The arm; empty likewise.
        target: Who serves the arm, or whose gauge it is; None for an arm that gives a flag's value.
        route: Route of the experiment; empty likewise.
        against: The arm to compare with: control, where this is another arm; None for control itself.
        driven: Whether it is a release, so that an anomaly can roll it back.
    """

    watch: Watch
    experiment: str
    run: int = 0
    arm: str = ""
    target: str | None = None
    route: str = ""
    against: str | None = None
    driven: bool = False

    @property
    def key(self) -> str:
        """Return what tells it from all others of the revision."""
        return "\0".join((self.watch.label, self.experiment, self.arm or f"target {self.target}"))

    @property
    def whose(self) -> str:
        """Return whose stream it is, for people."""
        return f"{self.experiment} {self.arm}" if self.arm else f"target {self.target}"

    @property
    def blames(self) -> bool:
        """Return whether an anomaly is one of a release's new arm, and critical."""
        return self.driven and self.against is not None and self.watch.severity == "critical"


def subjects(revision: Revision) -> tuple[Subject, ...]:
    """Return what is watched in a revision, at most ``MOST``."""
    found: dict[str, Subject] = {}
    for watch in revision.config.watch:
        for subject in _of(watch, revision):
            if len(found) < MOST:
                found.setdefault(subject.key, subject)
    return tuple(found.values())


def left_out(revision: Revision) -> int:
    """Return how many there would be beyond ``MOST``."""
    return max(0, sum(1 for watch in revision.config.watch for _ in _of(watch, revision)) - MOST)


def _of(watch: Watch, revision: Revision) -> Iterator[Subject]:
    experiments = [each for each in revision.config.experiments if watch.experiment in (None, each.name)]
    if watch.target is None:
        for experiment in experiments:
            for arm in experiment.arms:
                yield _subject(watch, experiment, arm, revision)
        return
    served = [(each, arm) for each in experiments for arm in each.arms if arm.target == watch.target]
    if not served:
        yield Subject(watch=watch, experiment="", target=watch.target)
    # Of an experiment both of whose arms have the target, the gauge blames neither: it is control's.
    for experiment in experiments:
        arms = [arm for each, arm in served if each is experiment]
        if arms:
            chosen = next((arm for arm in arms if arm.name == control_arm(experiment)), arms[0])
            yield _subject(watch, experiment, chosen, revision)


def _subject(watch: Watch, experiment: Experiment, arm: Arm, revision: Revision) -> Subject:
    control = control_arm(experiment)
    return Subject(
        watch=watch,
        experiment=experiment.name,
        run=revision.runs[experiment.name].number,
        arm=arm.name,
        target=arm.target,
        route=experiment.route,
        against=None if arm.name == control else control,
        driven=experiment.allocate.driven,
    )
