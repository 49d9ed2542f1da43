"""Guardrails of a report that are no comparison of a metric with control: limits, and conditions on metrics of the log.

Responsible for: which of them the log can say, and what it says of one arm.
Does not know: how a condition is judged (``router.guardrail.condition``).

Rules: pure. What depends on time (``for``, rates, objectives, trends) is judged live, from counters; a report says so,
and neither ships nor stops for it.
"""

from collections.abc import Mapping
from typing import Final, Literal

from router.analysis.aggregates import Cell
from router.config.condition import comparisons
from router.config.schema import Experiment, Guardrail, Metric
from router.guardrail.condition import condition_of, evaluate
from router.guardrail.evidence import Evidence
from router.guardrail.forms import formed
from router.guardrail.seen import Business, Known, Seen
from router.guardrail.windows import Windows
from router.report.known import known_of
from router.report.report import Guarded

LIVE: Final = "is judged while the release runs, from counters over time: the decision log has it"


def in_log(guardrail: Guardrail) -> bool:
    """Return whether the log can say something of a guardrail."""
    condition = condition_of(guardrail)
    if condition is None:
        return guardrail.compared
    return all(each.quantity.kind == "metric" and each.for_s is None for each in comparisons(condition))


def judge_formed(
    experiment: Experiment, metrics: Mapping[str, Metric], cells: tuple[Cell, Cell]
) -> tuple[Guarded, ...]:
    """Judge the guardrails of one arm that are no comparison with control.

    Args:
        experiment: The experiment.
        metrics: Its metrics by name.
        cells: What is known of the arm, and of control.
    """

    def ask(name: str, alpha: float) -> Known | str:
        return known_of(experiment, metrics[name], cells, alpha)

    return tuple(_judge(experiment, guardrail, ask) for guardrail in formed(experiment))


def _judge(experiment: Experiment, guardrail: Guardrail, ask: Business) -> Guarded:
    condition = condition_of(guardrail)
    if condition is None or not in_log(guardrail):
        return Guarded(guardrail=guardrail, status="unknown", effect=None, reason=LIVE)
    seen = Seen(
        windows=Windows(),
        evidence=Evidence(time=0.0, run=0, phase=0, arms={}),
        new="",
        control="",
        primary="" if experiment.metrics is None else experiment.metrics.primary,
        business=ask,
    )
    holds, parts = evaluate(condition, seen, experiment.decide.alpha)
    status: Literal["pass", "fail", "unknown"] = "unknown" if holds is None else "fail" if holds else "pass"
    return Guarded(guardrail=guardrail, status=status, effect=None, reason="; ".join(part.reason for part in parts))
