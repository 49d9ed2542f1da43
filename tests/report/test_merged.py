"""Experiments whose arms answer together: the preference decides, and metrics by arm say nothing."""

from typing import Any

import pytest
from msgspec import structs

from router.analysis.aggregates import Moments
from router.analysis.credit import Credit
from router.analysis.estimate import NotEnough
from router.config.allocate import Allocate
from router.config.schema import Decide, Experiment
from router.inference.preference import Preference
from router.report.compose import compose
from router.report.document import report_document
from router.report.report import Report
from tests.report.build import NOW, draw, evidence, experiment

ARMS = {"control": draw(1, 20_000, 0.10), "treatment": draw(2, 20_000, 0.13)}


def credit(wins: tuple[int, int]) -> Credit:
    """Give what units that each have one impression say."""
    n, net = sum(wins), float(wins[1] - wins[0])
    return Credit(
        arms=("control", "treatment"), shown=2 * n, units=2 * n, wins=wins, ties=0,
        sums=Moments(n, net, float(n), float(n), float(n), net), preferred=wins, first=wins,
    )  # fmt: skip


def said(wins: tuple[int, int] | None, use: str = "interleave", **more: Any) -> Report:
    """Give the report of one phase."""
    made = experiment()
    allocate = Allocate(use="interleave", list="/i") if use == "interleave" else Allocate(use="ensemble", at="/s")
    one: Experiment = structs.replace(made, allocate=allocate, **more)
    found = evidence(one, ARMS)
    credits_ = {} if wins is None else {((1, 1), "click"): credit(wins)}
    place = found.result.stages[0].phase.place
    credits_ = {(place, name): each for (_, name), each in credits_.items()}
    return compose(one, found._replace(result=structs.replace(found.result, credits=credits_)), NOW)


@pytest.mark.parametrize(
    ("wins", "expected"), [((400, 700), "ship"), ((550, 550), "keep running"), ((700, 400), "do not ship")]
)
def test_the_preference_decides(wins: tuple[int, int], expected: str) -> None:
    """Though the metric differs between arms, it is what people prefer within a list that counts."""
    report = said(wins)
    assert report.decision.verdict == expected
    primary = report.phases[0].arms[0].measures[0]
    assert isinstance(primary.effect, Preference)
    assert f"{sum(wins):,} units that prefer a ranker" in report.decision.reason
    report_document(report)


def test_without_outcomes_about_items_nothing_is_decided() -> None:
    """The arms' own numbers are no comparison, however far they are apart."""
    report = said(None)
    assert report.decision.verdict == "keep running"
    primary = report.phases[0].arms[0].measures[0]
    assert isinstance(primary.effect, NotEnough)
    assert primary.direction == "not shown"


def test_models_that_are_one_are_not_compared() -> None:
    """An ensemble has one answer for everybody."""
    report = said(None, use="ensemble")
    measures = report.phases[0].arms[0].measures
    assert all(isinstance(each.effect, NotEnough) for each in measures)
    assert report.phases[0].slices == ()
    assert report.decision.verdict == "keep running"


def test_a_fixed_horizon_is_read_when_it_is_there() -> None:
    """Before, the preference is hidden from the decision, as any effect is."""
    report = said((400, 700), decide=Decide(method="fixed", units=10**7))
    assert report.decision.verdict == "keep running"
    assert report.phases[0].arms[0].measures[0].effect is None
