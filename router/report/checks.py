"""What could make a result wrong though its arithmetic is right, each as a line of the checklist.

Responsible for: validity of the data, whole weeks, bias from before the exposure, differential attrition, units in
several arms, missing data, novelty, slices; whether a release's way back was rehearsed.
Does not know: effects' methods, what follows from a line (``verdict``).

Shares of arms and covariates are compared by the always-valid method, since they are looked at whenever somebody looks;
a line fails below ``P``, as rarely as the sample ratio does.

Rules: pure. A line has its evidence, whatever its status; too little data is ``unknown``, never ``pass``.
"""

from collections.abc import Mapping, Sequence
from math import floor
from typing import Final

from router.analysis.aggregates import Aggregate, Cell, Fates, Moments
from router.analysis.estimate import NotEnough
from router.analysis.finding import Finding, Insufficient, duration, percent
from router.analysis.promotion import may_promote
from router.analysis.quality import Quality
from router.analysis.result import Stage, Stray
from router.config.schema import Metric
from router.events.rollout import Decided
from router.inference import always_valid
from router.inference.effect import Asked, Effect
from router.inference.preference import Preference
from router.report.digits import moment, number, slice_in_words
from router.report.report import Check, Sliced, Slope, Status

P: Final = 0.001
WEEK_S: Final = 7 * 86400.0
SLACK_S: Final = 43200.0
MANY_WEEKS: Final = 4
UNMATCHED: Final = 0.01
_SHARE: Final = Metric(name="share", kind="proportion", goal="down", outcome="share")
_BEFORE: Final = Metric(name="before", kind="mean", goal="up", outcome="before")
_STATUSES: Final[dict[str, Status]] = {"ok": "pass", "warn": "warn", "invalid": "fail", "insufficient data": "unknown"}


def valid(quality: Quality | None, marked: str | None) -> Check:
    """Say whether the data of a phase are valid.

    Args:
        quality: What is known of them.
        marked: Why the router marked them invalid, if it did.
    """
    promotion = may_promote(quality, marked)
    broken = marked is not None or (quality is not None and quality.invalid is not None)
    status: Status = "fail" if broken else "pass" if promotion.allowed else "unknown"
    evidence = promotion.reason
    if status == "pass" and quality is not None:
        evidence = next((each.sentence for each in quality.findings if each.check == "sample_ratio"), evidence)
    return Check(name="data are valid", status=status, hard=True, evidence=evidence)


def told(quality: Quality | None) -> tuple[Check, ...]:
    """Return the other findings of data quality, as lines that do not block."""
    if quality is None:
        return ()
    return tuple(
        Check(
            name=_NAMES.get(each.check, each.check), status=_STATUSES[each.status], hard=False, evidence=each.sentence
        )
        for each in quality.findings
        if each.check != "sample_ratio"
    )


_NAMES: Final = {
    "multiple_exposure": "units are in one arm each",
    "duplicates": "exchanges are logged once",
    "bots": "few exchanges are of bots",
    "overrides": "few exchanges are forced",
    "outcome_gap": "outcomes come after exposures",
}


def whole_weeks(stage: Stage, now: float) -> Check:
    """Say whether a phase has covered whole weeks, so that every weekday weighs the same."""
    start = stage.phase.start
    if start is None:
        return Check(name="whole weeks", status="unknown", hard=False, evidence="when the phase began is not known")
    lasted = max(0.0, (stage.phase.end if stage.phase.end is not None else now) - start)
    weeks = floor((lasted + SLACK_S) / WEEK_S)
    rest = lasted - weeks * WEEK_S
    if weeks == 0:
        evidence = f"{duration(lasted)}: no whole week yet, so weekdays are not weighed as they come"
        return Check(name="whole weeks", status="warn", hard=False, evidence=evidence)
    shown = "1 week" if weeks == 1 else f"{weeks} weeks"
    if rest <= SLACK_S or weeks >= MANY_WEEKS:
        return Check(
            name="whole weeks", status="pass", hard=False, evidence=f"{shown} {'is' if weeks == 1 else 'are'} covered"
        )
    evidence = f"{shown} and {duration(rest)}: some weekdays weigh more than others"
    return Check(name="whole weeks", status="warn", hard=False, evidence=evidence)


def as_planned(stage: Stage) -> Check:
    """Say whether what a phase is judged by was fixed before it began."""
    name, changed = "rules were fixed beforehand", stage.phase.redecided
    if stage.phase.start is None:
        return Check(name=name, status="unknown", hard=False, evidence="when the phase began is not known")
    if not changed:
        return Check(name=name, status="pass", hard=False, evidence="no change of decide or metrics since it began")
    times = "once" if len(changed) == 1 else f"{len(changed)} times"
    evidence = (
        f"decide or metrics changed {times} since it began, last at {moment(changed[-1])}: alpha is not what it says "
        "if that was after a look at the data"
    )
    return Check(name=name, status="warn", hard=False, evidence=evidence)


def rehearsed(drill: Decided | None) -> Check:
    """Say whether the way back of a release was rehearsed, and how long it took.

    Args:
        drill: The last drill; None without any.
    """
    name = "rollback was rehearsed"
    if drill is None:
        evidence = "never: `router drill NAME` times a kill and a rollback while the new arm has no traffic"
        return Check(name=name, status="warn", hard=False, evidence=evidence)
    took = {"kill": drill.numbers.get("kill_s"), "rollback": drill.numbers.get("rollback_s")}
    said = [f"{what} {seconds:.2f} s" for what, seconds in took.items() if seconds is not None]
    evidence = f"on {moment(drill.time)} in run {drill.run}: {', '.join(said) or drill.reason}"
    whole = "kill_s" in drill.numbers and "resume_s" in drill.numbers
    return Check(name=name, status="pass" if whole else "warn", hard=False, evidence=evidence)


def before_exposure(metrics: Sequence[Metric], arm: Cell, control: Cell) -> Check | None:
    """Say whether the arms were alike before the exposure: an A/A test on covariates; None where there are none."""
    covered = [metric for metric in metrics if metric.covariate is not None]
    if not covered:
        return None
    found = {metric.name: _aa(metric, arm, control) for metric in covered}
    effects = {name: each for name, each in found.items() if isinstance(each, Effect) and each.p is not None}
    name = "arms were alike before"
    if not effects:
        reason = next((each.reason for each in found.values() if isinstance(each, NotEnough)), "no p-value")
        return Check(name=name, status="unknown", hard=False, evidence=f"not enough data: {reason}")
    worst = min(effects, key=lambda each: effects[each].p or 0.0)
    p = min(1.0, (effects[worst].p or 0.0) * len(effects))
    evidence = f"covariate of {worst}: difference {number(effects[worst].value)}, p = {p:.2g} (always valid)"
    if p < P:
        return Check(name=name, status="fail", hard=True, evidence=f"{evidence}: the arm cannot have done that")
    return Check(name=name, status="pass", hard=True, evidence=evidence)


def _aa(metric: Metric, arm: Cell, control: Cell) -> Effect | NotEnough:
    pair = [_covariate(cell.metrics.get(metric.name, Aggregate())) for cell in (arm, control)]
    return always_valid.compare(_BEFORE, pair[0], pair[1], Asked(P))


def _covariate(known: Aggregate) -> Aggregate:
    """Return the sums of a covariate as those of a mean."""
    sums = known.units
    return Aggregate(units=Moments(sums.n, sums.x, sums.xx))


def attrition(metrics: Sequence[Metric], arm: Cell, control: Cell) -> Check:
    """Say whether arms lose different shares of their units before a value is known (survivorship)."""
    name = "no arm loses more units"
    worst: tuple[float, str] | None = None
    for metric in metrics:
        pair = [_lost(cell.metrics.get(metric.name, Aggregate())) for cell in (arm, control)]
        if not pair[0].units.y and not pair[1].units.y:
            continue
        effect = always_valid.compare(_SHARE, pair[0], pair[1], Asked(P))
        if isinstance(effect, Effect) and effect.p is not None:
            shares = f"{percent(effect.treatment.value)} against {percent(effect.control.value)} of control"
            said = f"{metric.name}: {shares} have no value (p = {effect.p:.2g})"
            worst = min(worst, (effect.p, said)) if worst is not None else (effect.p, said)
    if worst is None:
        return Check(name=name, status="pass", hard=False, evidence="every unit whose window is over has its values")
    if worst[0] * max(1, len(metrics)) < P:
        return Check(name=name, status="fail", hard=True, evidence=f"{worst[1]}: who is left is not comparable")
    return Check(name=name, status="pass", hard=False, evidence=worst[1])


def _lost(known: Aggregate) -> Aggregate:
    whole = known.units.n + known.missing
    return Aggregate(units=Moments(whole, float(known.missing), float(known.missing)))


def missing(
    strays: Sequence[tuple[str, Stray]],
    log: Sequence[Finding | Insufficient],
    unread: Sequence[str],
    fates: Mapping[str, Fates] | None = None,
) -> Check:
    """Say what of the data is not there: outcomes of nobody, events that were dropped, files that cannot be read."""
    name = "no data are missing"
    said = [f"{metric}: {percent(share)} of its outcomes belong to no unit" for metric, share in _stray_shares(strays)]
    said += [
        f"{metric}: {percent(share)} of the outcomes in windows were received too late to count: give it a longer grace"
        for metric, share in _overdue(fates or {})
    ]
    said += [each.sentence for each in log if each.status == "warn"]
    said += list(unread[:3])
    if not said:
        evidence = "the log is whole, and outcomes belong to units"
        return Check(name=name, status="pass", hard=False, evidence=evidence)
    return Check(name=name, status="warn", hard=False, evidence="; ".join(said))


def _overdue(fates: Mapping[str, Fates]) -> list[tuple[str, float]]:
    counts = [(metric, each.overdue, each.overdue + each.attributed) for metric, each in fates.items()]
    return [(metric, late / whole) for metric, late, whole in counts if whole and late / whole > UNMATCHED]


def _stray_shares(strays: Sequence[tuple[str, Stray]]) -> list[tuple[str, float]]:
    shares = [(metric, stray.unmatched / stray.total) for metric, stray in strays if stray.total]
    return [(metric, share) for metric, share in shares if share > UNMATCHED]


def settled(effect: Effect | NotEnough | Preference | None, slopes: Sequence[Slope | NotEnough]) -> Check:
    """Say whether the effect goes with time: wears off (novelty) or grows (learning)."""
    name = "the effect is steady"
    known = [each for each in slopes if isinstance(each, Slope)]
    if not isinstance(effect, Effect) or not known:
        reason = next((each.reason for each in slopes if isinstance(each, NotEnough)), "no effect by day yet")
        return Check(name=name, status="unknown", hard=False, evidence=reason)
    said = []
    for each in known:
        if each.interval.holds(0.0):
            continue
        word = "wears off" if each.value * effect.value < 0 else "grows"
        against = "the day of the first exposure" if each.against == "day" else "days since the first exposure"
        ends = f"[{number(each.interval.low or 0.0)}, {number(each.interval.high or 0.0)}]"
        said.append(f"it {word} with {against}: {number(each.value)} a day {ends}")
    if said:
        return Check(name=name, status="warn", hard=False, evidence="; ".join(said))
    evidence = "no trend by " + " or ".join(each.against for each in known)
    return Check(name=name, status="pass", hard=False, evidence=evidence)


def sliced(arm: str, found: Sequence[Sliced]) -> Check:
    """Say whether slices of an arm agree with the whole: none says the opposite, none is shown to be worse."""
    name = "slices agree"
    mine = [each for each in found if each.arm == arm and not each.descriptive]
    turned = [" and ".join(each.slicing) for each in mine if each.reversed]
    if turned:
        evidence = f"by {', '.join(turned)} the slices say the opposite of the whole (Simpson's paradox)"
        return Check(name=name, status="fail", hard=True, evidence=f"{evidence}: the arms differ in more than the arm")
    worse = [
        f"{' and '.join(each.slicing)} {slice_in_words(each.slicing, level.values)}"
        for each in mine
        for level in each.levels
        if level.direction == "worse"
    ]
    if worse:
        return Check(name=name, status="warn", hard=False, evidence=f"worse in: {'; '.join(worse)}")
    if not mine:
        return Check(name=name, status="unknown", hard=False, evidence="the experiment has no slices")
    evidence = f"none of {sum(len(each.levels) for each in mine)} slices is shown to be worse"
    return Check(name=name, status="pass", hard=False, evidence=evidence)
