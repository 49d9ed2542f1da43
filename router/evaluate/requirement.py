"""Verdicts on the requirements of an offline check.

Responsible for: pass, fail or inconclusive by the interval of a number, and what "no worse" is about.
Does not know: the form of requirements (``router.config.requirement``), how numbers and intervals are made.

Rules: pure. It passes where the whole interval is on the right side, fails where the whole is on the wrong side, and is
inconclusive otherwise: too little data is never a pass. Several need no correction: a bad target has to slip through
each (intersection-union, Berger 1982).
"""

from router.config.requirement import Requirement
from router.events.evaluated import Compared, Measured, Required, Verdict


def no_worse(margin: float, names: frozenset[str]) -> Requirement:
    """Return that the most telling number may be worse than the baseline's by a margin at most.

    Args:
        margin: Of a share absolute, of an error of numbers relative.
        names: Numbers that there are.
    """
    for name in ("accuracy", "mae", "agreement"):
        if name in names and name == "mae":
            return Requirement(f"mae <= {1 + margin:g} * baseline", name, False, 1 + margin, "ratio")
        if name in names:
            return Requirement(f"{name} >= baseline - {margin:.4g}", name, True, -margin, "difference")
    return Requirement(f"failures <= baseline + {margin:.4g}", "failures", False, margin, "difference")


def judge(requirement: Requirement, measured: dict[str, Measured], compared: dict[str, Compared]) -> Required:
    """Judge a requirement by the intervals of its number."""
    name = requirement.name
    if requirement.against is None:
        found = measured.get(name)
        if found is None or found.value is None:
            reason = found.reason if found is not None else f"there is no {name} for these requests"
            return Required(text=requirement.text, verdict="inconclusive", reason=reason)
        return _judged(requirement, name, (found.value, found.low, found.high), found.reason or f"{found.n} requests")
    both = compared.get(name)
    if both is None or both.candidate is None:
        reason = both.reason if both is not None else f"there is no {name} of target and baseline"
        return Required(text=requirement.text, verdict="inconclusive", reason=reason)
    if requirement.against == "ratio":
        ends = (both.ratio, both.ratio_low, both.ratio_high)
        return _judged(requirement, f"{name} over the baseline's", ends, both.reason or f"{both.n} requests")
    ends = (both.difference, both.low, both.high)
    return _judged(requirement, f"{name} less the baseline's", ends, both.reason or f"{both.n} requests")


def overall(required: tuple[Required, ...]) -> Verdict:
    """Return the verdict on all."""
    verdicts = {each.verdict for each in required}
    if "fail" in verdicts:
        return "fail"
    return "pass" if required and verdicts == {"pass"} else "inconclusive"


def _judged(
    requirement: Requirement, what: str, ends: tuple[float | None, float | None, float | None], why: str
) -> Required:
    value, low, high = ends
    if value is None or low is None or high is None:
        return Required(text=requirement.text, verdict="inconclusive", reason=f"{what}: no interval: {why}")
    inside, outside = (low, high) if requirement.least else (-high, -low)
    bound = requirement.bound if requirement.least else -requirement.bound
    verdict: Verdict = "pass" if inside >= bound else "fail" if outside < bound else "inconclusive"
    said = f"{what} {value:.5g}, between {low:.5g} and {high:.5g}, from {why}"
    return Required(text=requirement.text, verdict=verdict, reason=said)
