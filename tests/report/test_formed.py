"""Limits and conditions in a report: what the log can say of them, and that the rest is judged live."""

import pytest

from router.analysis.aggregates import Cell
from router.config.schema import Guardrail, Measured
from router.report.compose import compose
from router.report.report import Compared
from tests.report.build import NOW, draw, evidence, experiment

BETTER = {"control": draw(1, 20_000, 0.10), "treatment": draw(2, 20_000, 0.13)}


def said(rail: Guardrail, arms: dict[str, Cell] = BETTER) -> Compared:
    """Give what a report says of an arm that is better, with one guardrail."""
    made = experiment(Measured(primary="ctr", guardrails=(rail,)))
    return compose(made, evidence(made, arms), NOW).phases[0].arms[0]


@pytest.mark.parametrize(
    ("rail", "status", "verdict"),
    [
        (Guardrail(metric="errors", at_most="5%"), "pass", "ship"),
        (Guardrail(metric="errors", at_most="0.1%"), "fail", "do not ship"),
        (Guardrail(metric="errors", at_most="0.1%", action="warn"), "fail", "ship"),
        (Guardrail(metric="errors", at_most="0.1%", dry_run=True), "fail", "ship"),
        (Guardrail(metric="ctr", at_least="10%"), "pass", "ship"),
        (Guardrail(metric="ctr", at_least="13%"), "unknown", "keep running"),
        (Guardrail(when="ctr drop > 1% or errors > 5%"), "pass", "ship"),
        (Guardrail(when="error_rate > 5% for 5m"), "unknown", "ship"),
        (Guardrail(slo=0.999), "unknown", "ship"),
    ],
    ids=lambda value: value.title if isinstance(value, Guardrail) else str(value),
)
def test_a_hard_limit_is_held_before_anything_ships(rail: Guardrail, status: str, verdict: str) -> None:
    """What the log can say decides as every guardrail does; what it cannot say is told and holds nothing."""
    found = said(rail)
    assert [(each.guardrail.title, each.status) for each in found.guardrails] == [(rail.title, status)]
    assert found.verdict == verdict
    assert f"guardrail {rail.title}" in [line.name for line in found.checklist]


def test_what_is_judged_live_says_so() -> None:
    """Nobody waits for a report to say what it cannot know."""
    (found,) = said(Guardrail(when="p99 > 2 * control")).guardrails
    assert found.reason == "is judged while the release runs, from counters over time: the decision log has it"
