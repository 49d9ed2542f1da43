"""What the event log says of a release, as the decision about it wants to know it.

Responsible for: units, soundness of the data and the primary metric of the present phase, from the last fold.
Does not know: counters, guardrails, what follows.

Rules: pure. What the fold has not said is not known: it is never a pass. Imports nothing heavy.

A report calls a sample ratio right from 1,000 units on, so that it would also have seen a small mismatch. A step of a
release asks less: each arm was due ``DUE`` units, and the test, valid at any look, is not even suspicious, so that a
gross mismatch, as of a version that loses its users, would have been seen. How sure a step has to be, guardrails say.
"""

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from router.analysis.promotion import may_promote
from router.config.schema import Experiment
from router.control.measure import Snapshot
from router.events.model import Revision

if TYPE_CHECKING:
    from router.analysis.quality import Quality

DUE: Final = 20.0
"""Units that each arm has to be due before a step of a release calls a sample ratio sound."""
SUSPICIOUS: Final = 0.05
"""Below this p-value so few units are not called sound: it takes the 1,000 of a report then."""

Primary = Literal["better", "worse", "equivalent", "inconclusive"]
Soundness = Literal["sound", "broken", "unknown"]


class Logged(NamedTuple):
    """What the log says of the phase in which an experiment is.

    Attributes:
        units: Arm to its units; None when that is not known.
        sample_ratio: Whether the data may be trusted.
        quality: Why, in a sentence.
        primary: What the primary metric says of the new arm.
    """

    units: dict[str, int] | None = None
    sample_ratio: Soundness = "unknown"
    quality: str = "the log was not read yet"
    primary: Primary = "inconclusive"


def logged(experiment: Experiment, revision: Revision, snapshot: Snapshot | None) -> Logged:
    """Return what the log says of a release.

    Args:
        experiment: Its experiment.
        revision: The present revision.
        snapshot: What the last fold said; None before the first.
    """
    name, run = experiment.name, revision.runs[experiment.name]
    mark = revision.invalid.get(name)
    quality = snapshot.present(name, run) if snapshot is not None else None
    promotion = may_promote(quality, mark.reason if mark is not None else None)
    broken = mark is not None or (quality is not None and quality.invalid is not None)
    fair = promotion.allowed or (quality is not None and _fair(quality))
    sample_ratio: Soundness = "broken" if broken else "sound" if fair else "unknown"
    report = snapshot.reports.get(name) if snapshot is not None else None
    phases = report.phases if report is not None else ()
    studied = next((each for each in phases if (each.run, each.phase) == (run.number, run.phase)), None)
    if studied is None:
        return Logged(sample_ratio=sample_ratio, quality=promotion.reason)
    units = {arm.name: int(studied.units.get(arm.name, 0)) for arm in experiment.arms}
    primary: Primary = "inconclusive"
    for arm in studied.arms:
        directions = [each.direction for each in arm.measures if each.role == "primary"]
        if directions and directions[0] in ("better", "worse"):
            primary = "better" if directions[0] == "better" else "worse"
    return Logged(units, sample_ratio, promotion.reason, primary)


def _fair(quality: "Quality") -> bool:
    """Say whether units are spread as their weights promise, as far as so many units can tell."""
    due = [units for units in quality.sample_ratio.expected.values() if units > 0]
    return len(due) > 1 and min(due) >= DUE and quality.sample_ratio.p >= SUSPICIOUS
