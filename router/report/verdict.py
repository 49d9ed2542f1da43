"""What follows for an arm, from its checklist; and for the experiment, from its arms.

Responsible for: the order of questions, the reason, what would change it.
Does not know: how anything was found.

In this order, the first that holds:

1. a line that has to hold for anything to be said (``GROUND``: valid data, enough of it, long enough, readable, final
   values) does not: **keep running**, nothing is decided
2. a hard guardrail fails: **do not ship**
3. the primary metric is worse: **do not ship**
4. the primary metric is better: **do not ship** if a hard line failed, **keep running** while one is open, or **ship**
5. the test is at its end, or what matters is excluded: **do not ship**
6. **keep running**

Rules: pure. Nothing ships on a line that is unknown. Soft lines are told, and never decide.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from router.analysis.estimate import NotEnough
from router.config.schema import Decide, Metric
from router.inference.effect import Effect
from router.report.digits import effect_in_words, overall_in_words
from router.report.formed import in_log
from router.report.guardrail import hard
from router.report.report import Check, Compared, Decision, Guarded, Measure, Overall, Status, Verdict

ENOUGH: Final = "enough units"
LONG: Final = "long enough"
READABLE: Final = "may be read"
FINAL: Final = "values are final"
VALID: Final = "data are valid"
PRIMARY: Final = "primary is better"
GROUND: Final = (VALID, ENOUGH, LONG, READABLE, FINAL)


class Case(NamedTuple):
    """What a verdict on an arm is made of.

    Attributes:
        metric: The primary metric.
        primary: What is said of it.
        guardrails: The guardrails.
        overall: The overall criterion.
        lines: Lines of the checklist that were found elsewhere.
        ended: Whether the test is at its planned end.
        decide: How it is decided.
    """

    metric: Metric
    primary: Measure
    guardrails: tuple[Guarded, ...]
    overall: Overall | NotEnough | None
    lines: tuple[Check, ...]
    ended: bool
    decide: Decide


class Judged(NamedTuple):
    """What follows for an arm."""

    verdict: Verdict
    reason: str
    checklist: tuple[Check, ...]


def judge(case: Case) -> Judged:
    """Return what follows for one arm."""
    ground = [line for line in case.lines if line.name in GROUND]
    others = [line for line in case.lines if line.name not in GROUND]
    asked = (_primary(case), *(_guardrail(each) for each in case.guardrails), *_overall(case.overall))
    checklist = (*ground, *asked, *others)
    missing = next((line for line in ground if line.status != "pass"), None)
    if missing is not None:
        return Judged("keep running", f"nothing is decided: {missing.name}? {missing.evidence}", checklist)
    return Judged(*_verdict(case, checklist), checklist)


def _verdict(case: Case, checklist: Sequence[Check]) -> tuple[Verdict, str]:
    said = effect_in_words(case.metric, case.primary.effect)
    broken = next((each for each in case.guardrails if _hard(each) and each.status == "fail"), None)
    if broken is not None:
        return "do not ship", f"guardrail {_name(broken)} is broken: {broken.reason}"
    if case.primary.direction == "worse":
        return "do not ship", f"{case.metric.name} is worse: {said}"
    if case.primary.direction == "better":
        failed = next((line for line in checklist if line.hard and line.status == "fail"), None)
        if failed is not None:
            return "do not ship", f"{case.metric.name} is better, but: {failed.name}? {failed.evidence}"
        left = next((line for line in checklist if line.hard and line.status != "pass"), None)
        if left is not None:
            return "keep running", f"{case.metric.name} is better ({said}), but not yet: {left.name}: {left.evidence}"
        mind = "; ".join(f"{line.name}: {line.evidence}" for line in checklist if line.status == "warn")
        held = f"{case.metric.name} is better: {said}, and every hard line of the checklist passes"
        return "ship", f"{held}; but mind {mind}" if mind else held
    if excluded := _excluded(case):
        return "do not ship", excluded
    if case.ended:
        return "do not ship", f"the planned end is reached and {case.metric.name} is not shown to be better: {said}"
    return "keep running", f"{case.metric.name} is not decided yet: {said}"


def _excluded(case: Case) -> str:
    """Say that an improvement that matters is excluded; empty when it is not."""
    effect, mde = case.primary.effect, case.decide.mde
    if mde is None or not isinstance(effect, Effect) or isinstance(effect.relative, NotEnough):
        return ""
    ends = effect.relative.interval
    best = ends.high if case.metric.goal == "up" else (None if ends.low is None else -ends.low)
    if best is None or best >= mde:
        return ""
    said = effect_in_words(case.metric, effect)
    return f"an improvement of {mde:.4g} of control or more is excluded: {case.metric.name} {said}"


def _primary(case: Case) -> Check:
    status: Status = {"better": "pass", "worse": "fail"}.get(case.primary.direction, "unknown")  # type: ignore[assignment]
    evidence = f"{case.metric.name}: {effect_in_words(case.metric, case.primary.effect)}"
    return Check(name=PRIMARY, status=status, hard=True, evidence=evidence)


def _hard(guarded: Guarded) -> bool:
    return hard(guarded.guardrail) and in_log(guarded.guardrail)


def _name(guarded: Guarded) -> str:
    rail = guarded.guardrail
    return rail.metric if rail.compared and rail.metric is not None else rail.title


def _guardrail(guarded: Guarded) -> Check:
    name = f"guardrail {_name(guarded)}"
    status: Status = guarded.status if _hard(guarded) or guarded.status != "fail" else "warn"
    return Check(name=name, status=status, hard=_hard(guarded), evidence=guarded.reason)


def _overall(found: Overall | NotEnough | None) -> tuple[Check, ...]:
    """Return the line of the overall criterion: only one that is shown to be worse blocks."""
    if found is None:
        return ()
    if isinstance(found, NotEnough):
        return (Check(name="overall criterion", status="unknown", hard=False, evidence=overall_in_words(found)),)
    low, high = found.interval.low, found.interval.high
    failed = high is not None and high < 0
    status: Status = "fail" if failed else "pass" if low is not None and low >= 0 else "unknown"
    return (Check(name="overall criterion", status=status, hard=failed, evidence=overall_in_words(found)),)


def decide(arms: Sequence[Compared], change: Sequence[str]) -> Decision:
    """Return what follows for the experiment: the best arm that is ready, else what most of them wait for.

    Args:
        arms: The arms besides control.
        change: What would change it.
    """
    ready = [arm for arm in arms if arm.verdict == "ship"]
    if ready:
        best = max(ready, key=_gain)
        reason = best.reason if len(arms) == 1 else f"{best.arm}: {best.reason}"
        return Decision(verdict="ship", arm=best.arm, reason=reason, change=tuple(change), checklist=best.checklist)
    waiting = [arm for arm in arms if arm.verdict == "keep running"]
    chosen = max(waiting or arms, key=_gain, default=None)
    if chosen is None:
        return nothing("there is no arm besides control to compare")
    reason = chosen.reason if len(arms) == 1 else f"{chosen.arm}: {chosen.reason}"
    return Decision(
        verdict="keep running" if waiting else "do not ship",
        arm=None,
        reason=reason,
        change=tuple(change),
        checklist=chosen.checklist,
    )


def nothing(reason: str) -> Decision:
    """Return that nothing is decided."""
    return Decision(verdict="keep running", arm=None, reason=f"nothing is decided: {reason}", change=(), checklist=())


def _gain(arm: Compared) -> float:
    """Return the primary effect, above 0 where better; what is not known is the least."""
    primary = arm.measures[0] if arm.measures else None
    if primary is None or not isinstance(primary.effect, Effect):
        return float("-inf")
    return primary.effect.value if primary.goal == "up" else -primary.effect.value
