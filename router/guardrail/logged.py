"""One comparison of a condition with what the log says of a metric.

Responsible for: values, drops and rises of metrics of outcomes, by intervals that are valid at any time.
Does not know: how a metric or its interval is computed (``router.report``), counters.

Rules: pure. What the log says is of the whole phase. As elsewhere, a drop, a rise or a multiple of control's value
holds when the estimate is beyond it and the interval excludes no degradation; ``with confidence`` the interval has to
be beyond it. A fixed value has to be beyond the interval.
"""

from router.config.condition import Comparison, limit_in_words, name_of
from router.guardrail.seen import Known, Said, Seen

Ends = tuple[float | None, float | None]


def compare_logged(asked: Comparison, seen: Seen, alpha: float) -> Said:
    """Say what the log says of a metric, over all of the phase."""
    name = asked.quantity.name or seen.primary
    if seen.business is None:
        return Said(holds=None, reason=f"{name} is in the log, which was not read yet")
    known = seen.business(name, alpha)
    if isinstance(known, str):
        return Said(holds=None, reason=f"{name}: {known}")
    value, (low, high), limit, none = _claimed(asked, known)
    counts = {"treatment_units": float(known.units[0]), "control_units": float(known.units[1])}
    if value is None or limit is None:
        return Said(holds=None, reason=f"{name}: control's value is 0, and nothing is a share of it", counts=counts)
    above = asked.upward
    line = limit if asked.confidence is not None or none is None else none
    sure = (low is not None and low >= line) if above else (high is not None and high <= line)
    not_so = (high is not None and high <= limit) if above else (low is not None and low >= limit)
    holds = True if asked.beyond(value, limit) and sure else False if not_so else None
    ends = " to ".join("unbounded" if end is None else f"{end:.4g}" for end in (low, high))
    said = {True: "shown", False: "shown not to be", None: "not shown either way"}[holds]
    reason = (
        f"{name_of(asked.quantity) if asked.quantity.name else f'{name} {asked.quantity.change}'} is {value:.4g} "
        f"(bounds {ends}), {asked.operator} {limit_in_words(asked.limit)} {said}"
    )
    return Said(
        holds=holds, reason=reason, estimate=value, low=low, high=high, margin=limit, alpha=alpha, counts=counts
    )


def _claimed(asked: Comparison, known: Known) -> tuple[float | None, Ends, float | None, float | None]:
    """Return value, bounds, limit, and what no degradation is; None where that makes no sense."""
    if asked.quantity.change == "rise":
        return known.change, (known.change_low, known.change_high), asked.limit.value, 0.0
    if asked.quantity.change == "drop":
        ends = known.change_low, known.change_high
        low, high = (None if end is None else -end for end in reversed(ends))
        return None if known.change is None else -known.change, (low, high), asked.limit.value, 0.0
    if asked.quantity.of_control:
        return known.control, (None, None), asked.limit.value, None
    if asked.limit.of_control:
        ratio = None if known.change is None else known.change + 1
        low, high = (None if end is None else end + 1 for end in (known.change_low, known.change_high))
        return ratio, (low, high), asked.limit.value, 1.0
    return known.value, (known.low, known.high), asked.limit.value, None
