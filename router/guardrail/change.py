"""A guardrail against control on a metric of the log: outcomes, header fields, members of bodies, shares of units.

Responsible for: pass, fail or inconclusive, from the change that the log shows, with intervals valid at any time.
Does not know: how the log is read or intervals come about (``router.report.known``), counters.

*Fail* when the change for the worse is beyond the margin and its interval excludes that there is none. *Pass* when the
interval, at the level of a pass, ends before the margin. Else, and where the log was not read, *inconclusive*. Each
phase is judged for itself, so the level is a stage's (``share.stage_level``).

Rules: pure. Where control is 0 any multiple of it is 0: then it never passes, and fails once the arm is worse.
"""

from typing import Literal, NamedTuple

from router.config.schema import Guardrail, Metric
from router.events.rollout import Found
from router.guardrail.rate import Levels
from router.guardrail.seen import Business, Known

Status = Literal["pass", "fail", "inconclusive"]


class _Worse(NamedTuple):
    """A change for the worse, above 0, and its interval; an end that is None is unbounded or unknown."""

    value: float
    low: float | None
    high: float | None


def judge_change(guardrail: Guardrail, metric: Metric, business: Business | None, levels: Levels) -> Found:
    """Judge a guardrail.

    Args:
        guardrail: One that compares a metric with control.
        metric: The metric.
        business: What the log says; None where it is not read.
        levels: Chances of a wrong failure within a stage, and of a wrong pass.
    """
    if business is None:
        return _found(guardrail, levels, ("inconclusive", "the log is not read yet"), None)
    sure, usual = business(metric.name, levels.fail), business(metric.name, levels.passing)
    if isinstance(sure, str) or isinstance(usual, str):
        return _found(guardrail, levels, ("inconclusive", str(sure if isinstance(sure, str) else usual)), None)
    return _found(guardrail, levels, _verdict(guardrail, metric, sure, usual), sure)


def _verdict(guardrail: Guardrail, metric: Metric, sure: Known, usual: Known) -> tuple[Status, str]:
    margin = _margin(guardrail)
    absolute = guardrail.absolute is not None
    worse = _worse(metric, sure, absolute=absolute)
    if worse is None:
        apart = _worse(metric, sure, absolute=True)
        if apart is not None and apart.low is not None and apart.low > 0:
            return "fail", f"{_values(sure)}: control is 0, and the arm is worse"
        return "inconclusive", f"{_values(sure)}: no change from control can be told"
    if worse.value > margin and worse.low is not None and worse.low > 0:
        return "fail", f"{_values(sure)}: worse by more than the margin, and worse at any look"
    within = _worse(metric, usual, absolute=absolute)
    if within is not None and within.high is not None and within.high < margin:
        return "pass", f"{_values(sure)}: within the margin"
    return "inconclusive", f"{_values(sure)}: not shown to be within the margin, nor beyond"


def _margin(guardrail: Guardrail) -> float:
    if guardrail.ratio is not None:
        return abs(guardrail.ratio - 1)
    return abs(guardrail.relative if guardrail.relative is not None else guardrail.absolute or 0.0)


def _worse(metric: Metric, known: Known, *, absolute: bool) -> _Worse | None:
    value = known.difference if absolute else known.change
    low, high = (known.difference_low, known.difference_high) if absolute else (known.change_low, known.change_high)
    if value is None:
        return None
    if metric.goal == "down":
        return _Worse(value, low, high)
    return _Worse(-value, None if high is None else -high, None if low is None else -low)


def _values(known: Known) -> str:
    control = "unknown" if known.control is None else f"{known.control:.6g}"
    change = "" if known.change is None else f", {known.change:+.3%}"
    return f"{known.value:.6g} of {known.units[0]} units and {control} of {known.units[1]} in control{change}"


def _found(guardrail: Guardrail, levels: Levels, said: tuple[Status, str], known: Known | None) -> Found:
    estimate = low = high = None
    counts: dict[str, float] = {}
    if known is not None:
        counts = {"treatment_units": float(known.units[0]), "control_units": float(known.units[1])}
        if guardrail.absolute is not None:
            estimate, low, high = known.difference, known.difference_low, known.difference_high
        else:
            base = 1.0 if guardrail.ratio is not None else 0.0
            estimate, low, high = (
                None if each is None else base + each for each in (known.change, known.change_low, known.change_high)
            )
    status, reason = said
    margin = next(each for each in (guardrail.ratio, guardrail.relative, guardrail.absolute) if each is not None)
    return Found(
        name=guardrail.title,
        status=status,
        action=guardrail.action,
        reason=reason,
        dry_run=guardrail.dry_run,
        estimate=estimate,
        low=low,
        high=high,
        margin=margin,
        alpha=levels.fail,
        counts=counts,
    )
