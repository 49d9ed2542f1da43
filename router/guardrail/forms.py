"""The verdict on a guardrail that is no plain comparison with control: ``when``, ``at_most``, ``slo``, ``trend``.

Responsible for: which module judges which form, what each needs to be counted, what is said of a failed measurement.
Does not know: how anything is judged, when that is asked (``judge``).

Rules: pure. ``form`` says what a guardrail is; those that compare a metric with control are not here.
"""

from collections.abc import Iterator, Mapping

from msgspec import structs

from router.config.condition import Quantity, comparisons
from router.config.counted import counted, with_counted
from router.config.schema import Experiment, Guardrail, Metric
from router.events.rollout import Found
from router.guardrail.burn import TICKET, burns_of, judge_objective
from router.guardrail.condition import condition_of, judge_condition
from router.guardrail.seen import Seen
from router.guardrail.trend import judge_trend


def formed(experiment: Experiment) -> Iterator[Guardrail]:
    """Give the guardrails of an experiment that are judged here, in the order of the file."""
    if experiment.metrics is not None:
        yield from (each for each in experiment.metrics.guardrails if not each.compared)


def judge_form(guardrail: Guardrail, seen: Seen, alpha: float) -> tuple[Found, ...]:
    """Judge a guardrail.

    Args:
        guardrail: One of ``formed``.
        seen: What is known.
        alpha: Chance of a wrong failure, over all of the run.

    Returns:
        One verdict; of an objective one for pages and one for tickets.
    """
    if guardrail.form == "slo":
        return judge_objective(guardrail, seen, alpha)
    if guardrail.form == "trend":
        return (judge_trend(guardrail, seen.metrics[guardrail.metric or ""], seen, alpha),)
    condition = condition_of(guardrail)
    return () if condition is None else (judge_condition(guardrail, condition, seen, alpha),)


def missed(guardrail: Guardrail, reason: str, counts: Mapping[str, float]) -> tuple[Found, ...]:
    """Return what is said of a guardrail when nothing could be measured: an error, never a pass and no failure."""
    error = Found(
        name=guardrail.title,
        status="error",
        action=guardrail.action,
        reason=reason,
        dry_run=guardrail.dry_run,
        counts=dict(counts),
    )
    if guardrail.form != "slo":
        return (error,)
    kinds = {burn.severity for burn in burns_of(guardrail)}
    ticket = structs.replace(error, name=f"{guardrail.title}{TICKET}", action="warn")
    return tuple(found for kind, found in (("page", error), ("ticket", ticket)) if kind in kinds)


def counted_metrics(metrics: Mapping[str, Metric]) -> dict[str, Quantity]:
    """Return the metrics that counters know, as quantities."""
    found = {name: counted(structs.asdict(metric)) for name, metric in metrics.items()}
    return {name: quantity for name, quantity in found.items() if quantity is not None}


def needs_log(experiment: Experiment, metrics: Mapping[str, Metric]) -> bool:
    """Return whether a form names a metric that only the log knows."""
    known = counted_metrics(metrics)
    conditions = [condition_of(guardrail) for guardrail in formed(experiment)]
    return any(
        each.quantity.kind == "metric"
        for condition in conditions
        if condition is not None
        for each in comparisons(with_counted(condition, known))
    )


def needs_latency(experiment: Experiment, metrics: Mapping[str, Metric]) -> bool:
    """Return whether a form takes durations over time."""
    known = counted_metrics(metrics)
    for guardrail in formed(experiment):
        condition = condition_of(guardrail)
        if guardrail.within is not None:
            return True
        if guardrail.form == "trend" and known[guardrail.metric or ""].kind == "quantile":
            return True
        if condition is not None:
            kinds = {each.quantity.kind for each in comparisons(with_counted(condition, known))}
            if "quantile" in kinds:
                return True
    return False
