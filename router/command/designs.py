"""What ``router analyze --against`` and ``--pre-post`` add: designs other than one unit, one arm.

Responsible for: the evidence of the other experiment, the route's exchanges by hour around a change, and showing what
is said of them.
Does not know: what is computed (``router.report.levels``, ``router.report.before_after``).

Rules: read only; what cannot be asked of an experiment is one sentence.
"""

from collections.abc import Mapping, Sequence
from math import floor
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct
from rich.text import Text

from router.analysis.estimate import NotEnough
from router.analysis.history import Phase
from router.archive.reading import Archive
from router.command.evidence import EvidenceError, Known
from router.command.terminal import console
from router.config.schema import Experiment, Metric
from router.inference.effect import Asked, Effect
from router.report.before_after import HOUR_S, MOST_HOURS, Hour, PrePost, before_after
from router.report.digits import absolute_in_words, effect_in_words, moment
from router.report.levels import TwoLevels

_HOURS = """\
SELECT CAST(floor((time - $change) / 3600) AS BIGINT) AS place, count(*), count(*) FILTER (failed OR deadline NOTNULL),
    sum(coalesce(deadline, duration))
FROM exchanges WHERE route = $route AND time >= $low AND time < $high GROUP BY 1 ORDER BY 1"""
_METRICS = {
    "failed": Metric(name="failed", kind="ratio", exchange="failed", goal="down"),
    "duration": Metric(name="duration", kind="mean", exchange="duration", goal="down"),
}


class Designs(Struct, frozen=True):
    """What is asked for beside the report.

    Attributes:
        against: Experiment of the same arms that assigns units where this one assigns clusters, or the reverse.
        pre_post: Whether the route's exchanges before and after the latest phase began are compared.
    """

    against: str | None = None
    pre_post: bool = False


def pre_post(archive: Archive, known: Known, experiment: Experiment, now: float) -> PrePost:
    """Compare a route's exchanges before and after the latest phase of an experiment began.

    Args:
        archive: The events.
        known: What the journal tells.
        experiment: The experiment.
        now: Later exchanges are not looked at; unix seconds.

    Raises:
        EvidenceError: If weights do not change at once, or when the phase began is not known.
    """
    if experiment.allocate.use != "fixed":
        raise EvidenceError(
            f"{experiment.name} has `allocate: {{use: {experiment.allocate.use}}}`; before and after are compared "
            "where weights are those of the file"
        )
    phases = known.history.phases.get(experiment.name, ())
    if not phases or phases[-1].start is None:
        raise EvidenceError(f"the journal does not tell when the latest phase of {experiment.name} began")
    change, span = phases[-1].start, MOST_HOURS * HOUR_S
    end = min(now, change + span, phases[-1].end or now)
    high = change + floor(max(0.0, end - change) / HOUR_S) * HOUR_S
    low = max(change - span, _before(phases))
    given = {"change": change, "route": experiment.route, "low": low, "high": high}
    rows = archive.connection.execute(_HOURS, given).fetchall()
    hours = [Hour(int(place), count, failed, float(seconds)) for place, count, failed, seconds in rows]
    whole = hours[1:] if hours and hours[0].place < 0 else hours  # the log, or the phase, began within the first
    return before_after(experiment.route, change, whole, Asked(experiment.decide.alpha))


def _before(phases: tuple[Phase, ...]) -> float:
    """Return when what was in force just before the latest phase had begun."""
    if len(phases) < 2:
        return 0.0
    last, before = phases[-1], phases[-2]
    ended = before.end is not None and last.start is not None and before.end < last.start
    return (before.end if ended else before.start) or 0.0


class Beside(NamedTuple):
    """What was found; None of what was not asked for."""

    interference: TwoLevels | None
    pre_post: PrePost | None


def documents(beside: Beside) -> Mapping[str, Any]:
    """Return what was asked for as plain data."""
    return {name: msgspec.to_builtins(each) for name, each in beside._asdict().items() if each is not None}


def show_beside(beside: Beside, metrics: Sequence[Metric]) -> None:
    """Write what was asked for, for a person.

    Args:
        beside: What was found.
        metrics: The metrics of the experiment, the primary first.
    """
    if beside.interference is not None:
        _show_levels(beside.interference, metrics[0])
    if beside.pre_post is not None:
        _show_pre_post(beside.pre_post)


def _show_levels(found: TwoLevels, metric: Metric) -> None:
    out = console()
    out.print(Text(f"Interference: {found.metric} by clusters ({found.by_clusters}) against by units"
                   f" ({found.by_units}); fixed horizon, to be read once"), style="bold", soft_wrap=True)  # fmt: skip
    for arm, each in found.arms.items():
        for title, effect in (("by clusters", each.cluster), ("by units", each.unit)):
            said = absolute_in_words(metric, effect) if isinstance(effect, Effect) else effect_in_words(metric, effect)
            out.print(Text(f"  {arm} {title}: {said}"), soft_wrap=True)
        out.print(Text(f"  {arm} difference: {_with_p(metric, each.difference)}"), soft_wrap=True)


def _show_pre_post(found: PrePost) -> None:
    out = console()
    size = "days" if found.width > HOUR_S else "hours"
    out.print(
        Text(
            f"pre/post: route {found.route}, {found.before} {size} before {moment(found.change)}, {found.after} after"
        ),
        style="bold",
        soft_wrap=True,
    )
    for name, effect in found.effects.items():
        out.print(Text(f"  {name}: {_with_p(_METRICS[name], effect)}"), soft_wrap=True)


def _with_p(metric: Metric, found: Effect | NotEnough) -> str:
    if isinstance(found, NotEnough):
        return effect_in_words(metric, found)
    p = "" if found.p is None else f", p {found.p:.2g}"
    return f"{absolute_in_words(metric, found)}{p}. {' '.join(found.notes)}"
