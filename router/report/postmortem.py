"""What is known of a release that was taken back: a post-mortem report, as frozen data.

Responsible for: names and shape of the report, and putting it together from what was decided.
Does not know: files, the event log (``router.control``), how it is shown (``postmortem_page``).

Rules: pure, and made without any extra: what only the analysis knows is then missing, and the report says so. What is
not known is None or absent, never 0. Nothing in it is NaN or infinite.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import msgspec
from msgspec import Struct

from router.events.rollout import Decided, Found, Progress

MOST_MOMENTS: Final = 500


class Side(Struct, frozen=True, kw_only=True):
    """One arm, and what served it.

    Attributes:
        arm: The arm.
        target: Its target; None for the value of a flag.
        version: What was deployed there; None when the file does not say.
    """

    arm: str
    target: str | None = None
    version: str | None = None


class Moment(Struct, frozen=True, kw_only=True):
    """One line of the timeline.

    Attributes:
        time: When, in unix seconds.
        action: What was done.
        place: Where the release was after it: ``stage 2``, ``bake``, …
        share: Share of units of the new arm after it.
        by: Who or what did it.
        reason: Why.
        decision: Id in the decision log.
        fired: Guardrails that failed then.
    """

    time: float
    action: str
    place: str
    share: float
    by: str
    reason: str
    decision: str
    fired: tuple[str, ...] = ()


class Exposed(Struct, frozen=True, kw_only=True):
    """Who had an arm in one phase of the run.

    Attributes:
        phase: The phase: one set of shares.
        place: Where the release was in it.
        arm: The arm.
        share: Share of units that it had.
        exchanges: Its exchanges.
        units: Different units; None when that is not known.
        failed: Exchanges that failed; None when that is not known.
        first: The first of them, in unix seconds; None when that is not known.
        last: The last one.
    """

    phase: int
    place: str = ""
    arm: str
    share: float | None = None
    exchanges: int
    units: int | None = None
    failed: int | None = None
    first: float | None = None
    last: float | None = None


class Point(Struct, frozen=True, kw_only=True):
    """What an arm did within a short time: for plots.

    Attributes:
        time: When that time began, in unix seconds.
        arm: The arm.
        exchanges: Exchanges.
        failed: Those that failed.
        p50: Median of their durations, in seconds.
        p99: 99th percentile.
    """

    time: float
    arm: str
    exchanges: int
    failed: int
    p50: float
    p99: float


class Shown(Struct, frozen=True, kw_only=True):
    """What a metric showed of the new arm in one phase.

    Attributes:
        phase: The phase.
        metric: The metric.
        role: What it is to the experiment: ``primary``, ``secondary``, ``guardrail``.
        said: The effect with its interval, in words.
        value: The effect, in the metric's unit; None while it may not be read.
        low: Lower end of its interval.
        high: Upper end.
        control: Value of the metric in control.
        treatment: Value in the new arm.
        direction: What is shown: ``better``, ``worse``, …
    """

    phase: int
    metric: str
    role: str
    said: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    control: float | None = None
    treatment: float | None = None
    direction: str = ""


class Reaction(Struct, frozen=True, kw_only=True):
    """How fast it went; all in seconds from the decision.

    Attributes:
        acknowledged_s: Until the last worker had the new weights; None when one had not within the time watched.
        workers: How many workers there are.
        acknowledged: How many had them.
        last_s: Until the last request began that was given the new arm; None when not known, below 0 when before.
    """

    acknowledged_s: float | None = None
    workers: int
    acknowledged: int
    last_s: float | None = None


class Learned(Struct, frozen=True, kw_only=True):
    """What the event log and its analysis say; empty without them.

    Attributes:
        exposed: Who had which arm.
        points: Errors and durations over time.
        effects: What metrics showed.
        missing: What is not known and why, one sentence each.
    """

    exposed: tuple[Exposed, ...] = ()
    points: tuple[Point, ...] = ()
    effects: tuple[Shown, ...] = ()
    missing: tuple[str, ...] = ()


class PostMortem(Struct, frozen=True, kw_only=True):
    """The report.

    Attributes:
        id: ``EXPERIMENT-RUN-TIME``.
        experiment: The experiment.
        run: Its run.
        time: When it was taken back, in unix seconds.
        began: When the run began.
        outcome: ``rollback`` or ``abort``.
        place: Where the release was.
        share: Share of units that the new arm had.
        cause: What fired, in a sentence.
        by: Who decided: ``router`` or a person.
        owner: Who owns the experiment.
        control: What everybody has now.
        new: What was taken back.
        fired: Hard guardrails that failed.
        looked: What the others said.
        numbers: What else was looked at.
        timeline: What happened in the run, oldest first.
        exposed: Who had which arm.
        effects: What metrics showed.
        points: Errors and durations over time.
        reaction: How fast it went.
        missing: What is not known and why.
    """

    id: str
    experiment: str
    run: int
    time: float
    began: float
    outcome: str
    place: str
    share: float
    cause: str
    by: str
    owner: str | None
    control: Side
    new: Side
    fired: tuple[Found, ...]
    looked: tuple[Found, ...]
    numbers: dict[str, float]
    timeline: tuple[Moment, ...]
    exposed: tuple[Exposed, ...]
    effects: tuple[Shown, ...]
    points: tuple[Point, ...]
    reaction: Reaction
    missing: tuple[str, ...]


class Ended(Struct, frozen=True, kw_only=True):
    """A release that was taken back, as the control process knows it.

    Attributes:
        decided: The line of the decision log.
        progress: Where the release is since.
        cause: What fired.
        owner: Who owns the experiment.
        control: What everybody has now.
        new: What was taken back.
    """

    decided: Decided
    progress: Progress
    cause: str
    owner: str | None
    control: Side
    new: Side


def compose(ended: Ended, decisions: Sequence[Decided], learned: Learned, reaction: Reaction) -> PostMortem:
    """Put a report together.

    Args:
        ended: What was taken back.
        decisions: The decision log of the run, oldest first.
        learned: What the event log says.
        reaction: How fast it went.
    """
    decided = ended.decided
    of_run = [each for each in decisions if each.run == decided.run and each.time <= decided.time]
    others = [each for each in reversed(of_run) if each.id != decided.id]
    before = next((each for each in others if each.share > 0), others[0] if others else None)
    fired = tuple(found for found in decided.found if _hard(found))
    places = _places(of_run)
    exposed = tuple(_placed(each, places, decided.phase) for each in learned.exposed) or _counted(of_run, places)
    missing = learned.missing
    if len(of_run) > MOST_MOMENTS:
        missing = (*missing, f"only the last {MOST_MOMENTS} of {len(of_run)} lines of the timeline are here")
    return PostMortem(
        id=f"{decided.experiment}-{decided.run}-{int(decided.time)}",
        experiment=decided.experiment,
        run=decided.run,
        time=decided.time,
        began=ended.progress.began,
        outcome=decided.action,
        place=place_of(before if before is not None else decided),
        share=before.share if before is not None else 0.0,
        cause=ended.cause,
        by=decided.by,
        owner=ended.owner,
        control=ended.control,
        new=ended.new,
        fired=fired,
        looked=tuple(found for found in decided.found if not _hard(found)),
        numbers=decided.numbers,
        timeline=tuple(_moment(each) for each in of_run[-MOST_MOMENTS:]),
        exposed=exposed,
        effects=learned.effects,
        points=learned.points,
        reaction=reaction,
        missing=missing,
    )


def place_of(decided: Decided) -> str:
    """Say where a release was; stages and batches are counted from 1."""
    return (
        f"{decided.step} {decided.stage + 1}" if decided.step in ("stage", "batch") else decided.step.replace("_", " ")
    )


def _hard(found: Found) -> bool:
    return found.status == "fail" and found.action == "rollback" and not found.dry_run


def _moment(decided: Decided) -> Moment:
    return Moment(
        time=decided.time,
        action=decided.action,
        place=place_of(decided),
        share=decided.share,
        by=decided.by,
        reason=decided.reason,
        decision=decided.id,
        fired=tuple(found.name for found in decided.found if found.status == "fail"),
    )


def _places(decisions: Sequence[Decided]) -> dict[int, tuple[str, float]]:
    """Return where the release was in each phase: a line that moves shares is of the phase before it."""
    found: dict[int, tuple[str, float]] = {}
    for earlier, later in pairwise(decisions):
        if earlier.share > 0:
            found[later.phase] = (place_of(earlier), earlier.share)
    return found


def _placed(exposed: Exposed, places: dict[int, tuple[str, float]], last: int) -> Exposed:
    place, share = places.get(exposed.phase, ("afterwards" if exposed.phase > last else "", None))
    return msgspec.structs.replace(exposed, place=place, share=share)


def _counted(decisions: Sequence[Decided], places: dict[int, tuple[str, float]]) -> tuple[Exposed, ...]:
    """Return who was exposed as far as the decision log knows it: the counts of the last look in each phase."""
    last = {each.phase: each for each in decisions if any(key.startswith("exchanges_") for key in each.numbers)}
    found = []
    for phase, decided in sorted(last.items()):
        for key, count in decided.numbers.items():
            arm = key.removeprefix("exchanges_")
            if arm == key or not count:
                continue
            units = decided.numbers.get(f"units_{arm}")
            known = Exposed(phase=phase, arm=arm, exchanges=int(count), units=None if units is None else int(units))
            found.append(_placed(known, places, phase))
    return tuple(found)
